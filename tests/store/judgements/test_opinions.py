"""Opinions of AI judges: marked, outside the overlap, stored once per origin."""

import pytest

from accord.store.judgements import acts, people, progress
from accord.store.judgements.acts import Opinion
from accord.store.judgements.forms import BadAct, NotThere
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Judgement
from judgement_fakes import held, prefer, team


def given(store: Store, judgement_id: int) -> Judgement:
    with store.read() as session:
        return session.get_one(Judgement, judgement_id)


def test_an_ai_judge_is_marked_and_takes_no_place(store: Store) -> None:
    (one,) = team(store, 1)
    judge = people.add(store, "gpt", "annotator", kind="ai")
    study = held(store, count=1, overlap=1)
    origin = {"model": "m", "principle": "honest"}
    first = acts.put_ai(store, study.id, judge.id, 1, Opinion(soft=0.8, origin=origin))
    again = acts.put_ai(store, study.id, judge.id, 1, Opinion(soft=0.8, origin=origin))
    assert (again.judgement_id, again.repeated) == (first.judgement_id, True)
    assert given(store, first.judgement_id).ranks == [0, 1]
    newer = acts.put_ai(store, study.id, judge.id, 1, Opinion(soft=0.1, origin={"model": "n"}))
    assert given(store, newer.judgement_id).ranks == [1, 0]
    counts = progress.study_progress(store, study.id)
    assert (counts.ai, counts.judgements, counts.open) == (1, 0, 1)
    assert prefer(store, one, study) is not None


@pytest.mark.parametrize(
    ("opinion", "says"),
    [
        (Opinion(soft=1.2), "probability"),
        (Opinion(soft=0.9, ranks=(1, 0)), "otherwise"),
        (Opinion(), "a place to each"),
        (Opinion(soft=0.9, shown=(0, 0)), "no order"),
    ],
)
def test_an_opinion_that_makes_no_sense_is_refused(
    lite: Store, opinion: Opinion, says: str
) -> None:
    (one,) = team(lite, 1)
    judge = people.add(lite, "gpt", "annotator", kind="ai")
    study = held(lite)
    with pytest.raises(BadAct, match=says):
        acts.put_ai(lite, study.id, judge.id, 1, opinion)
    with pytest.raises(BadAct, match="is a person"):
        acts.put_ai(lite, study.id, one.id, 1, opinion)
    with pytest.raises(NotThere, match="no item 99"):
        acts.put_ai(lite, study.id, judge.id, 99, opinion)
