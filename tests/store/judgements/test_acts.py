"""What is stored of an act, what is refused, what is marked, and how it is taken back."""

from typing import Any

import pytest
from sqlalchemy import func, select

from accord.store.judgements import acts, leases, people, progress, studies
from accord.store.judgements.forms import (
    Act,
    BadAct,
    Gone,
    Kind,
    NewItem,
    NotThere,
    StudyConfig,
    Task,
)
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Judgement, Study, User
from judgement_fakes import drain, held, items, of, prefer, team


def given(store: Store, judgement_id: int) -> Judgement:
    with store.read() as session:
        return session.get_one(Judgement, judgement_id)


def asked(store: Store, study: Study, user: User) -> Task:
    task = leases.next_task(store, study.id, user.id)
    assert task is not None
    return task


def test_a_verdict_is_kept_in_the_items_own_order(store: Store) -> None:
    (one,) = team(store, 1)
    study = held(store, "rank", count=6, answers=4)
    for _ in range(6):
        task = asked(store, study, one)
        act = Act(task.lease_id, task.key, ranks=of(task, (2, 0, 5, 0)), reason=" so ")
        judged = given(store, acts.submit(store, one.id, act).judgement_id)
        assert judged.ranks == [1, 0, 2, 0], "places are dense, ties stay"
        assert sorted(judged.shown) == [0, 1, 2, 3]
        assert [one.text for one in task.answers] == [
            f"q{task.item_id - 1} {'abcd'[at]}" for at in judged.shown
        ]
        assert judged.reason == "so"


def test_ratings_too(store: Store) -> None:
    (one,) = team(store, 1)
    study = held(store, "rate", count=3, axes=("helpful", "kind"))
    for _ in range(3):
        task = asked(store, study, one)
        told = {"kind": of(task, (1, 7)), "helpful": of(task, (6, 2))}
        receipt = acts.submit(store, one.id, Act(task.lease_id, task.key, ratings=told))
        assert given(store, receipt.judgement_id).ratings == {"helpful": [6, 2], "kind": [1, 7]}


def test_the_same_key_is_stored_once(store: Store) -> None:
    one, two = team(store, 2)
    study = held(store, count=2, overlap=2)
    task = asked(store, study, one)
    act = Act(task.lease_id, task.key, ranks=(0, 1))
    first, again = acts.submit(store, one.id, act), acts.submit(store, one.id, act)
    assert (first.judgement_id, again.judgement_id) == (first.judgement_id, first.judgement_id)
    assert (first.repeated, again.repeated) == (False, True)
    other = asked(store, study, two)
    theirs = acts.submit(store, two.id, Act(other.lease_id, task.key, ranks=(0, 1)))
    assert not theirs.repeated, "nobody can use up a key of somebody else"
    later = asked(store, study, one)
    with pytest.raises(BadAct, match="belongs to another item"):
        acts.submit(store, one.id, Act(later.lease_id, task.key, ranks=(0, 1)))


def test_a_second_page_of_a_judged_item_is_too_late(store: Store) -> None:
    (one,) = team(store, 1)
    study = held(store)
    task, other = asked(store, study, one), asked(store, study, one)
    acts.submit(store, one.id, Act(task.lease_id, task.key, ranks=(0, 1)))
    with pytest.raises(Gone, match="already"):
        acts.submit(store, one.id, Act(other.lease_id, other.key, ranks=(1, 0)))
    with pytest.raises(NotThere):
        acts.submit(store, one.id, Act(999, "k", ranks=(1, 0)))


@pytest.mark.parametrize(
    ("kind", "config", "act", "says"),
    [
        ("pairwise", {}, {}, "a place to each of the 2"),
        ("pairwise", {}, {"ranks": (0, 1, 2)}, "a place to each of the 2"),
        ("pairwise", {}, {"ranks": (0.5, 1)}, "whole numbers"),
        ("pairwise", {"verdicts": ()}, {"ranks": (0, 0)}, "a tie is no verdict"),
        ("pairwise", {}, {"both_bad": True}, "'both bad' is no verdict"),
        ("pairwise", {"verdicts": ("both_bad",)}, {"both_bad": True, "ranks": (0, 1)}, "without"),
        ("pairwise", {}, {"ranks": (0, 1), "strength": 2}, "no strength"),
        ("pairwise", {"verdicts": ("strength",)}, {"ranks": (0, 1), "strength": 4}, "1 .* to 3"),
        (
            "pairwise",
            {"verdicts": ("strength", "tie")},
            {"ranks": (0, 0), "strength": 1},
            "a tie has",
        ),
        ("pairwise", {}, {"rewrite": "x"}, "not for rewrite"),
        ("pairwise", {}, {"ranks": (0, 1), "ratings": {"helpful": (1, 2)}}, "not for ratings"),
        ("pairwise", {"reason": "required"}, {"ranks": (0, 1), "reason": "  "}, "for a reason"),
        ("pairwise", {"reason": "none"}, {"ranks": (0, 1), "reason": "as"}, "no reasons"),
        ("pairwise", {}, {"ranks": (0, 1), "ms_total": -1}, "milliseconds"),
        ("pairwise", {}, {"act": "skip", "ranks": (0, 1)}, "one or the other"),
        ("pairwise", {}, {"act": "like"}, "no act"),
        ("pairwise", {}, {"ranks": (0, 1), "reason": "x" * 20_001}, "at most"),
        ("rate", {"axes": ("good",)}, {"ratings": {"bad": (1, 1)}}, "rated on good"),
        ("rate", {"axes": ("good",)}, {"ratings": {"good": (1,)}}, "1 ratings for 2"),
        ("rate", {"axes": ("good",)}, {"ratings": {"good": (0, 1)}}, "1 to 7"),
        ("rate", {"axes": ("good",), "scale": 5}, {"ratings": {"good": (6, 1)}}, "1 to 5"),
        ("rate", {"axes": ("good",)}, {"ranks": (0, 1)}, "for ratings, not for ranks"),
        ("rewrite", {}, {"rewrite": " \n"}, "empty"),
        ("rewrite", {}, {"ranks": (0, 1)}, "not for ranks"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    lite: Store, kind: Kind, config: dict[str, Any], act: dict[str, Any], says: str
) -> None:
    (one,) = team(lite, 1)
    study = held(lite, kind, **config)
    task = asked(lite, study, one)
    with pytest.raises(BadAct, match=says):
        acts.submit(lite, one.id, Act(task.lease_id, task.key, **act))
    with lite.read() as session:
        assert session.scalar(select(func.count(Judgement.id))) == 0
    assert asked(lite, study, one).lease_id == task.lease_id, "the lease is still theirs"


def test_skips_and_flags_give_the_item_to_others(store: Store) -> None:
    one, two = team(store, 2)
    study = held(store, count=2)
    for act in ("skip", "flag"):
        task = asked(store, study, one)
        told = Act(task.lease_id, task.key, act=act, reason="no idea")  # type: ignore[arg-type]
        acts.submit(store, one.id, told)
    assert leases.next_task(store, study.id, one.id) is None
    assert drain(store, two, study) == [1, 2]
    counts = progress.study_progress(store, study.id, two.id)
    assert (counts.skipped, counts.flagged, counts.judgements, counts.mine) == (1, 1, 2, 2)


def test_undo_gives_the_item_back_with_what_was_said(store: Store) -> None:
    one, two = team(store, 2)
    study = held(store, count=2, verdicts=("tie", "strength"))
    task = asked(store, study, one)
    act = Act(task.lease_id, task.key, ranks=(1, 0), strength=3, reason="hm", tags=("t",))
    first = acts.submit(store, one.id, act)
    other = asked(store, study, one)
    back = acts.undo(store, one.id, study.id)
    assert back is not None
    assert (back.item_id, back.lease_id) == (task.item_id, task.lease_id)
    assert back.draft is not None
    assert [back.draft[key] for key in ("ranks", "strength", "reason", "tags")] == [
        [1, 0],
        3,
        "hm",
        ["t"],
    ]
    assert asked(store, study, one).item_id == task.item_id, "it comes before the next one"
    assert leases.next_task(store, study.id, two.id) is None, "its place is not given away"
    acts.submit(store, one.id, Act(back.lease_id, back.key, ranks=(0, 1)))
    assert asked(store, study, one).item_id == other.item_id
    with store.read() as session:
        rows = [*session.scalars(select(Judgement).order_by(Judgement.id))]
    assert [row.act for row in rows] == ["judge", "withdraw", "judge"]
    assert rows[1].supersedes == first.judgement_id
    assert rows[0].reason == "hm", "nothing is overwritten"
    assert progress.study_progress(store, study.id).judgements == 1


def test_undo_of_nothing_and_of_more(store: Store) -> None:
    (one,) = team(store, 1)
    study = held(store, count=3)
    assert acts.undo(store, one.id, study.id) is None
    order = drain(store, one, study)
    assert [task.item_id for _ in order if (task := acts.undo(store, one.id, study.id))] == order[
        ::-1
    ]
    assert acts.undo(store, one.id, study.id) is None
    assert progress.study_progress(store, study.id).open == 3


def test_what_was_revealed_stands(store: Store) -> None:
    (one,) = team(store, 1)
    study = studies.create(store, "r", "pairwise", _config(reveal=True))
    studies.add_items(store, study.id, items(1, models=("old", "new")))
    task = asked(store, study, one)
    assert [shown.model for shown in task.answers] == ["", ""], "blind until then"
    receipt = acts.submit(store, one.id, Act(task.lease_id, task.key, ranks=(0, 1)))
    names = {"a": "old", "b": "new"}
    assert receipt.models == tuple(names[shown.text[-1]] for shown in task.answers)
    with pytest.raises(BadAct, match="stands"):
        acts.undo(store, one.id, study.id)


def _config(**more: Any) -> StudyConfig:
    return StudyConfig(gold_rate=0.0, **more)


def test_names_are_shown_where_the_study_is_not_blind(lite: Store) -> None:
    (one,) = team(lite, 1)
    study = studies.create(lite, "seen", "pairwise", _config(blind=False))
    studies.add_items(lite, study.id, items(1, models=("old", "new")))
    task = asked(lite, study, one)
    assert {shown.model for shown in task.answers} == {"old", "new"}


# --- marks ---


def test_fast_and_leaking_verdicts_are_marked(lite: Store) -> None:
    (one,) = team(lite, 1)
    study = studies.create(
        lite, "m", "pairwise", _config(shortest_s=3.0, leaks=("Claudine", "c++"))
    )
    texts = [("I am CLAUDINE.", "b"), ("Claudines", "b"), ("C++, I", "b"), ("a", "b")]
    talk = [{"role": "user", "content": "who?"}]
    studies.add_items(lite, study.id, [NewItem(talk, pair) for pair in texts])
    marks = []
    for ms in (2999, 3000, 9000, None):
        task = asked(lite, study, one)
        act = Act(task.lease_id, task.key, ranks=(0, 1), ms_total=ms)
        marks.append(given(lite, acts.submit(lite, one.id, act).judgement_id).marks)
    assert marks == [["fast", "leak"], [], ["leak"], []]


def test_ten_times_the_same_place_is_marked(lite: Store) -> None:
    (one,) = team(lite, 1)
    study = held(lite, count=14)
    marks = []
    for i in range(14):
        task = asked(lite, study, one)
        ranks = (1, 0) if i == 2 else (0, 1)
        act = Act(task.lease_id, task.key, ranks=ranks)
        marks.append(given(lite, acts.submit(lite, one.id, act).judgement_id).marks)
    assert marks == [[]] * 12 + [["straight"]] * 2


@pytest.mark.parametrize(
    ("gold", "own", "bad", "missed"),
    [
        ({"ranks": [0, 1]}, (0, 1), False, False),
        ({"ranks": [0, 7]}, (0, 1), False, False),
        ({"ranks": [0, 1]}, (1, 0), False, True),
        ({"ranks": [0, 1]}, (0, 0), False, True),
        ({"ranks": [0, 1]}, None, True, True),
        ({"both_bad": True}, None, True, False),
        ({"both_bad": True}, (0, 1), False, True),
    ],
)
def test_a_known_item_that_was_missed_is_marked(
    lite: Store, gold: dict[str, Any], own: tuple[int, int] | None, bad: bool, missed: bool
) -> None:
    (one,) = team(lite, 1)
    study = studies.create(
        lite, "g", "pairwise", _config(verdicts=("tie", "both_bad")).model_copy(
            update={"gold_rate": 0.5}
        )
    )  # fmt: skip
    studies.add_items(lite, study.id, [*items(9), *_gold(gold)])
    seen = []
    while (task := leases.next_task(lite, study.id, one.id)) is not None:
        golden = task.messages[0]["content"] == "known"
        ranks = of(task, own) if own and golden else None if golden else (0, 1)
        act = Act(task.lease_id, task.key, ranks=ranks, both_bad=bad and golden)
        judged = given(lite, acts.submit(lite, one.id, act).judgement_id)
        seen += [judged.marks] if golden else []
    assert seen == [["gold-missed"] if missed else []]
    row = progress.annotators(lite, study.id)[0]
    assert (row.gold_right, row.gold_n) == (int(not missed), 1)


def _gold(gold: dict[str, Any]) -> list[NewItem]:
    return [NewItem([{"role": "user", "content": "known"}], ("x a", "x b"), gold=gold)]


# --- adjudication ---


def test_an_adjudicator_settles_what_others_disagree_on(store: Store) -> None:
    one, two = team(store, 2)
    (boss,) = team(store, 1, "manager")
    study = held(store, count=3, overlap=2)
    drain(store, one, study, lambda task: (0, 1))
    drain(store, two, study, lambda task: (0, 1) if task.item_id == 1 else (1, 0))
    queue = progress.disputed(store, study.id)
    assert [(row.item_id, row.why, row.agree) for row in queue] == [
        (2, "disagreement", 0.5),
        (3, "disagreement", 0.5),
    ]
    task = leases.next_task(store, study.id, boss.id, adjudicate=True)
    assert task is not None
    assert task.adjudicates
    assert task.item_id == 2
    assert [(said["who"], said["ranks"]) for said in task.others] == [
        ("a0", [*of(task, (0, 1))]),
        ("a1", [*of(task, (1, 0))]),
    ]
    acts.submit(store, boss.id, Act(task.lease_id, task.key, ranks=of(task, (1, 0))))
    assert [row.item_id for row in progress.disputed(store, study.id)] == [3]
    later = leases.next_task(store, study.id, boss.id, adjudicate=True)
    assert later is not None
    acts.submit(store, boss.id, Act(later.lease_id, later.key, act="flag"))
    assert leases.next_task(store, study.id, boss.id, adjudicate=True) is None
    assert progress.disputed(store, study.id) == []
    with pytest.raises(BadAct, match="settled"):
        acts.undo(store, two.id, study.id)


def test_one_adjudicator_an_item_who_may_have_judged_it(store: Store) -> None:
    boss, other = team(store, 2, "manager")
    (one,) = team(store, 1)
    study = held(store, count=1, overlap=2)
    drain(store, boss, study, lambda task: (0, 1))
    drain(store, one, study, lambda task: (1, 0))
    task = leases.next_task(store, study.id, boss.id, adjudicate=True)
    assert task is not None
    assert leases.next_task(store, study.id, other.id, adjudicate=True) is None
    acts.submit(store, boss.id, Act(task.lease_id, task.key, act="skip"))
    again = leases.next_task(store, study.id, other.id, adjudicate=True)
    assert again is not None
    assert again.item_id == task.item_id
    assert leases.next_task(store, study.id, boss.id, adjudicate=True) is None


def test_a_flagged_item_goes_to_the_adjudicators(store: Store) -> None:
    (one,) = team(store, 1)
    (boss,) = team(store, 1, "owner")
    study = held(store, count=1)
    task = asked(store, study, one)
    acts.submit(store, one.id, Act(task.lease_id, task.key, act="flag", reason="rude"))
    ruling = leases.next_task(store, study.id, boss.id, adjudicate=True)
    assert ruling is not None
    assert ruling.others[0]["reason"] == "rude"
    acts.submit(store, boss.id, Act(ruling.lease_id, ruling.key, ranks=(0, 1)))
    assert studies.studies(store)[0].open == 0


# --- whose judgements count ---


def test_excluding_opens_items_again_and_including_closes_them(store: Store) -> None:
    one, two = team(store, 2)
    study = held(store, count=3)
    drain(store, one, study)
    assert people.exclude(store, one.id) == 3
    assert progress.study_progress(store, study.id).judgements == 0
    assert prefer(store, two, study) is not None
    assert people.include(store, one.id) == 2, "one was judged by somebody else since"
    counts = progress.study_progress(store, study.id)
    assert (counts.open, counts.judgements) == (0, 4)


def test_another_overlap_opens_and_closes_items(store: Store) -> None:
    (one,) = team(store, 1)
    study = held(store, count=3)
    drain(store, one, study)
    studies.revise(store, study.id, _config(overlap=2), one.id)
    assert studies.studies(store)[0].open == 3
    studies.revise(store, study.id, _config(overlap=1), one.id)
    assert studies.studies(store, one)[0].mine == 3
    assert studies.studies(store)[0].open == 0
