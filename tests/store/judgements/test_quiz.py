"""The quiz before a study: two tries, told at once, and it counts for nothing else."""

from typing import Any

import pytest

from accord.errors import BadSettings
from accord.store.judgements import acts, agreement, audit, leases, people, quiz, resolve, studies
from accord.store.judgements.forms import Act, BadAct, NewItem, Quiz, Receipt, StudyConfig
from accord.store.judgements.opening import Store
from accord.store.judgements.progress import annotators, study_progress
from accord.store.judgements.resolve import Filters
from accord.store.judgements.verdicts import best
from judgement_fakes import held, of, prefer, team


def known(count: int, **more: Any) -> list[NewItem]:
    """Items of which the first answer is known to be better."""
    gold = {"ranks": [0, 1], "why": "It answers."} | more
    return [
        NewItem([{"role": "user", "content": f"g{i}"}], (f"g{i} a", f"g{i} b"), gold=gold)
        for i in range(count)
    ]


def study_of(store: Store, *, there: int = 6, items: int = 3, passes: float = 0.6, count: int = 4):
    """A study whose quiz asks so many of so many known items."""
    asks = Quiz(items=items, passes=passes)
    return held(store, count=count, overlap=2, gold=known(there), quiz=asks)


def give(store: Store, user, study, *right: bool) -> list[Receipt]:
    """Answers of the quiz, right or wrong; fast ones are marked as such, and still practice."""
    told = []
    for ok in right:
        made = prefer(store, user, study, (0, 1) if ok else (1, 0), ms_total=9000)
        assert made is not None
        told.append(made)
    return told


def test_known_items_come_first_and_are_told_at_once(store: Store) -> None:
    (ada,) = team(store, 1)
    study = study_of(store)
    assert quiz.quiz(store, study.id, ada.id) == quiz.Quiz("asks", 0, 3, 0, 1)
    first, second, third = give(store, ada, study, True, False, True)
    assert [one.right for one in (first, second, third)] == [True, False, True]
    assert first.why.endswith("is better. It answers.")
    assert quiz.quiz(store, study.id, ada.id).state == "passed"
    task = leases.next_task(store, study.id, ada.id)
    assert task is not None
    assert task.messages[0]["content"].startswith("q"), "now the study itself"
    receipt = acts.submit(store, ada.id, Act(task.lease_id, task.key, ranks=(0, 1)))
    assert receipt.right is None


def test_who_fails_may_try_once_more_with_other_items(store: Store) -> None:
    (ada,) = team(store, 1)
    study = study_of(store)
    give(store, ada, study, False, False, True)
    found = quiz.quiz(store, study.id, ada.id)
    assert (found.state, found.attempt, found.answered) == ("asks", 2, 0)
    seen = {one.item_id for one in quiz_answers(store, study, ada)}
    task = leases.next_task(store, study.id, ada.id)
    assert task is not None
    assert task.item_id not in seen
    give(store, ada, study, True, True, False)
    assert quiz.quiz(store, study.id, ada.id).state == "passed"


def quiz_answers(store: Store, study, user):
    with store.read() as session:
        return quiz.answers(session, study.id, user.id)


def test_who_fails_twice_gets_nothing_until_a_manager_lets_them_in(store: Store) -> None:
    (ada,) = team(store, 1)
    (mia,) = team(store, 1, "manager")
    study = study_of(store)
    give(store, ada, study, False, False, True, False, False, False)
    assert quiz.quiz(store, study.id, ada.id).state == "failed"
    assert leases.next_task(store, study.id, ada.id) is None
    (stuck,) = quiz.stuck(store, study.id)
    assert (stuck[0].name, stuck[1].right) == (ada.name, 0)
    with pytest.raises(BadAct, match="only owners and managers"):
        quiz.let_in(store, study.id, ada.id, by=ada.id)
    quiz.let_in(store, study.id, ada.id, by=mia.id)
    quiz.let_in(store, study.id, ada.id, by=mia.id)
    (event,) = audit.events(store, what=quiz.LET_IN)
    assert (event.user_id, event.about) == (mia.id, {"study": study.id, "user": ada.id})
    assert leases.next_task(store, study.id, ada.id) is not None
    assert quiz.stuck(store, study.id) == []


def test_what_was_told_cannot_be_taken_back(store: Store) -> None:
    (ada,) = team(store, 1)
    study = study_of(store)
    give(store, ada, study, False)
    with pytest.raises(BadAct, match="answers of the quiz stand"):
        acts.undo(store, ada.id, study.id)
    give(store, ada, study, True, True)
    prefer(store, ada, study)
    assert acts.undo(store, ada.id, study.id) is not None, "what came after can"


def test_skipping_is_no_way_through(store: Store) -> None:
    (ada,) = team(store, 1)
    study = study_of(store, there=3)
    for _ in range(3):
        task = leases.next_task(store, study.id, ada.id)
        assert task is not None
        receipt = acts.submit(store, ada.id, Act(task.lease_id, task.key, "skip"))
        assert receipt.right is False
    assert quiz.quiz(store, study.id, ada.id).state == "failed", "three known items: one try"


def test_it_counts_for_nothing_else(store: Store) -> None:
    ada, ben = team(store, 2)
    study = study_of(store)
    for one in (ada, ben):
        give(store, one, study, True, True, False)
        while prefer(store, one, study, ms_total=9000):
            pass
    assert study_progress(store, study.id, ada.id).judgements == 8
    assert {row.count for row in annotators(store, study.id)} == {4}
    assert {studies.studies(store, one)[0].mine for one in (ada, ben)} == {4}
    assert {row.gold_n for row in annotators(store, study.id)} == {0}
    assert len(resolve.records(store, study.id, Filters()).comparisons) == 4
    report = agreement.report(store, study.id)
    assert report.n == 4


def test_who_judged_before_there_was_one_goes_on(store: Store) -> None:
    ada, ben = team(store, 2)
    study = held(store, count=4, overlap=2, gold=known(2))
    prefer(store, ada, study)
    studies.revise(store, study.id, StudyConfig(overlap=2, gold_rate=0, quiz=Quiz(items=1)))
    assert quiz.quiz(store, study.id, ada.id).open
    assert quiz.quiz(store, study.id, ben.id).state == "asks", "a new one"
    give(store, ben, study, True)
    prefer(store, ben, study)
    studies.revise(store, study.id, StudyConfig(overlap=2, gold_rate=0, quiz=Quiz(items=2)))
    assert quiz.quiz(store, study.id, ben.id).open, "a longer one is for those who come now"


def test_a_share_is_met_where_it_is_met_exactly(lite: Store) -> None:
    assert 0.56 * 25 > 14
    (ada,) = team(lite, 1)
    study = study_of(lite, there=25, items=25, passes=0.56)
    give(lite, ada, study, *[True] * 14, *[False] * 11)
    assert quiz.quiz(lite, study.id, ada.id).state == "passed"


def test_who_has_left_does_not_wait_to_be_let_in(store: Store) -> None:
    ada, ben = team(store, 2)
    (mia,) = team(store, 1, "manager")
    study = study_of(store)
    for one in (ada, ben):
        give(store, one, study, False)
    people.exclude(store, ben.id, by=mia.id)
    assert [user.id for user, _ in quiz.stuck(store, study.id)] == [ada.id]


def test_managers_have_none(store: Store) -> None:
    (mia,) = team(store, 1, "manager")
    study = study_of(store)
    assert quiz.quiz(store, study.id, mia.id).open
    task = leases.next_task(store, study.id, mia.id)
    assert task is not None
    assert task.messages[0]["content"].startswith("q")


def test_too_few_known_items_are_told(store: Store) -> None:
    (ada,) = team(store, 1)
    study = study_of(store, there=2)
    assert quiz.quiz(store, study.id, ada.id).state == "short"
    assert leases.next_task(store, study.id, ada.id) is None
    assert "asks 3 known items, and the study has 2: nobody can begin" in quiz.warning(
        store, study.id
    )
    studies.add_items(store, study.id, known(4)[2:])
    assert "there is no second try" in quiz.warning(store, study.id)
    studies.add_items(store, study.id, known(6)[4:])
    assert quiz.warning(store, study.id) == ""


def test_a_study_without_one_asks_as_before(store: Store) -> None:
    (ada,) = team(store, 1)
    study = held(store, count=2, gold=known(3))
    assert quiz.quiz(store, study.id, ada.id) == quiz.Quiz("none")
    task = leases.next_task(store, study.id, ada.id)
    assert task is not None
    assert of(task, (0, 1))


def test_the_known_answer_in_words() -> None:
    assert best({"ranks": [0, 1]}, (1, 0)) == "The known answer: B is better."
    assert best({"ranks": [0, 0]}, (0, 1)) == "The known answer: a tie."
    assert best({"ranks": [2, 0, 1]}, (0, 1, 2)) == "The known answer: B, then C, then A."
    assert best({"ranks": [0, 1, 0]}, (0, 1, 2)) == "The known answer: A and C, then B."
    assert best({"both_bad": True, "why": "Both lie."}, (0, 1)).endswith("are bad. Both lie.")
    told = best({"ratings": {"helpful": [5, 2]}}, (1, 0))
    assert told == "The known ratings: helpful A 2, B 5."


def test_settings_of_older_stores_are_read() -> None:
    old = StudyConfig.of({"models": ["a", "b"], "overlap": 2})
    assert old.talk.models == ("a", "b")
    assert StudyConfig.of({"quiz": {"items": 4, "passes": 0.5}}).quiz == Quiz(items=4, passes=0.5)
    with pytest.raises(BadSettings):
        StudyConfig.of({"quiz": {"items": -1}})


def test_nobody_is_asked_twice_in_two_tabs(store: Store) -> None:
    (ada,) = team(store, 1)
    study = study_of(store)
    first = leases.next_task(store, study.id, ada.id)
    again = leases.next_task(store, study.id, ada.id)
    assert first is not None
    assert again is not None
    assert first.lease_id == again.lease_id
    one = acts.submit(store, ada.id, Act(first.lease_id, first.key, ranks=of(first, (0, 1))))
    same = acts.submit(store, ada.id, Act(first.lease_id, first.key, ranks=of(first, (0, 1))))
    assert (same.repeated, same.right, same.why) == (True, one.right, one.why)
    assert people.users(store)


def test_a_lease_from_before_the_quiz_is_no_way_past_it(store: Store) -> None:
    (ada,) = team(store, 1)
    study = held(store, count=2, gold=known(6))
    before = leases.next_task(store, study.id, ada.id)
    assert before is not None
    config = studies.config_of(studies.study(store, study.id))
    studies.revise(store, study.id, config.model_copy(update={"quiz": Quiz(items=3)}))
    with pytest.raises(BadAct, match="begins with a quiz now"):
        acts.submit(store, ada.id, Act(before.lease_id, before.key, ranks=(0, 1)))
    task = leases.next_task(store, study.id, ada.id)
    assert task is not None
    assert task.messages[0]["content"].startswith("g")


def test_who_wrote_a_known_item_is_not_left_half_way(store: Store) -> None:
    (ada,) = team(store, 1)
    first, *rest = known(3)
    by = (f"human:{ada.pseudonym}", "")
    mine = [NewItem(first.messages, first.answers, by, gold=first.gold), *rest]
    study = held(store, count=2, gold=mine, quiz=Quiz(items=3))
    assert quiz.quiz(store, study.id, ada.id).state == "short"
    assert leases.next_task(store, study.id, ada.id) is None
