"""Judgements as records: labels, ties, filters, and where each record comes from."""

from typing import Any

import pytest

from accord.errors import BadSettings
from accord.records import Comparison, Demonstration
from accord.store.judgements import acts, leases, people, resolve, studies
from accord.store.judgements.acts import Opinion
from accord.store.judgements.forms import Act, NewItem, StudyConfig
from accord.store.judgements.opening import Store
from accord.store.judgements.resolve import Filters, Resolved
from accord.store.judgements.tables import Study, User
from judgement_fakes import held, items, of, prefer, team

ALL = ("tie", "both_bad", "strength")
Said = tuple[int, int] | str
"""ranks of a and b; or bad, skip, flag"""


def say(store: Store, user: User, study: Study, what: Said, **more: Any) -> None:
    """The user's next item, so."""
    task = leases.next_task(store, study.id, user.id)
    assert task is not None
    how: dict[str, Any] = {"ranks": of(task, what)} if not isinstance(what, str) else {}
    if what == "bad":
        how["both_bad"] = True
    elif isinstance(what, str):
        how["act"] = what
    acts.submit(store, user.id, Act(task.lease_id, task.key, **{"ms_total": 9000} | how | more))


def judged(store: Store, *said: Said, answers: int = 2, **config: Any) -> tuple[Study, list[User]]:
    """One item, judged by as many as there is said."""
    few = team(store, len(said))
    kind = "rank" if answers > 2 else "pairwise"
    config = {"overlap": len(said), "verdicts": ALL} | config
    study = held(store, kind, count=1, answers=answers, **config)
    for user, what in zip(few, said):
        say(store, user, study, what)
    return study, few


def brief(made: Resolved) -> list[tuple[Any, ...]]:
    return [(one.ranks, one.p_first) for one in made.comparisons] + [
        (one.response[-1], one.good) for one in made.ratings
    ]


A, B, T = (0, 1), (1, 0), (0, 0)


@pytest.mark.parametrize(
    ("said", "filters", "records"),
    [
        ((A,), {}, [(A, None)]),
        ((A, A, B), {}, [(A, None)]),
        ((A, B), {}, []),
        ((A, B), {"ties": "keep"}, [(T, None)]),
        ((A, B), {"ties": "half"}, [(T, 0.5)]),
        ((T,), {}, []),
        ((T, A), {}, [(A, None)]),
        ((A, A, B), {"labels": "soft"}, [(A, pytest.approx(2 / 3))]),
        ((B, T), {"labels": "soft"}, [(B, 0.25)]),
        ((A,), {"labels": "soft"}, [(A, 1.0)]),
        ((T, T), {"labels": "soft", "ties": "keep"}, [(T, None)]),
        ((T, T), {"labels": "soft", "ties": "half"}, [(T, 0.5)]),
        ((A, B, T), {"labels": "every"}, [(A, None), (B, None)]),
        ((A, B, T), {"labels": "every", "ties": "half"}, [(A, None), (B, None), (T, 0.5)]),
        (("bad",), {}, [("a", False), ("b", False)]),
        (("bad", "bad", A), {}, [("a", False), ("b", False)]),
        (("bad", A, A), {}, [(A, None)]),
        (("bad", A), {"labels": "every"}, [(A, None), ("a", False), ("b", False)]),
        ((A, A, B), {"agreement": 0.6}, [(A, None)]),
        ((A, A, B), {"agreement": 0.7}, []),
        ((A, A), {"least": 3}, []),
        ((A, "skip"), {}, [(A, None)]),
        ((A, "flag"), {}, []),
        ((A, "flag"), {"flagged": "keep"}, [(A, None)]),
        ((A,), {"final_only": True}, []),
        ((A,), {"since": "2020-01-01"}, [(A, None)]),
        ((A,), {"since": "2999-01-01"}, []),
        ((A,), {"people": ("somebody",)}, []),
    ],
)
def test_labels_ties_and_filters(
    lite: Store, said: tuple[Said, ...], filters: dict[str, Any], records: list[Any]
) -> None:
    study, _ = judged(lite, *said)
    assert brief(resolve.records(lite, study.id, Filters(**filters))) == records


def test_what_was_left_out_is_told(lite: Store) -> None:
    study, few = judged(lite, A, B, "bad")
    assert resolve.records(lite, study.id).told == {"ties": 1, "'both bad' outvoted": 1}
    people.exclude(lite, few[1].id)
    made = resolve.records(lite, study.id, Filters(agreement=0.9))
    assert made.told == {
        "judgements of excluded annotators": 1,
        "items on which fewer than 0.9 agree": 1,
    }
    assert made.judgement_ids == []


def test_a_record_says_who_why_and_how_much(store: Store) -> None:
    one, two = team(store, 2)
    study = held(store, count=1, overlap=2, verdicts=ALL)
    say(store, one, study, A, strength=1, reason="shorter")
    alone = resolve.records(store, study.id).comparisons[0]
    assert alone == Comparison(
        prompt=alone.prompt,
        responses=("q0 a", "q0 b"),
        ranks=A,
        judge=one.pseudonym,
        strength=1.0,
        why="shorter",
        id="item-1",
    )
    assert alone.prompt[0].text == "q0"
    say(store, two, study, A, strength=2)
    both = resolve.records(store, study.id)
    assert (both.comparisons[0].strength, both.comparisons[0].why) == (1.5, "")
    assert both.comparisons[0].judge == "+".join(sorted((one.pseudonym, two.pseudonym)))
    every = resolve.records(store, study.id, Filters(labels="every"))
    assert [row.id for row in every.comparisons] == ["item-1/1", "item-1/2"]
    assert both.judgement_ids == every.judgement_ids == [1, 2]
    assert both.digest != every.digest
    assert both.digest == resolve.records(store, study.id).digest


def test_only_some_people_and_marks(lite: Store) -> None:
    study, few = judged(lite, A, B, B)
    only = Filters(people=(few[0].pseudonym,))
    assert brief(resolve.records(lite, study.id, only)) == [(A, None)]
    (quick,) = [people.add(lite, "quick", "annotator")]
    studies.revise(
        lite, study.id, StudyConfig(gold_rate=0.0, overlap=4, verdicts=ALL, leaks=("q0",))
    )
    say(lite, quick, study, A, ms_total=10)
    counts = {
        name: len(resolve.records(lite, study.id, Filters(labels="every", **how)).comparisons)
        for name, how in {
            "all": {"leaks": "keep"},
            "no leaks": {},
            "no fast": {"fast": "drop", "leaks": "keep"},
        }.items()
    }  # type: ignore[arg-type]
    assert counts == {"all": 4, "no leaks": 3, "no fast": 3}


def test_straight_lines_can_be_left_out(lite: Store) -> None:
    (one,) = team(lite, 1)
    study = held(lite, count=12, shuffle=False)
    for _ in range(12):
        say(lite, one, study, A)
    assert len(resolve.records(lite, study.id).comparisons) == 12
    made = resolve.records(lite, study.id, Filters(straight="drop"))
    assert (len(made.comparisons), made.told) == (9, {"judgements marked straight": 3})


def test_known_items_and_taken_back_verdicts_are_no_records(lite: Store) -> None:
    (one,) = team(lite, 1)
    gold = [NewItem([{"role": "user", "content": "known"}], ("x a", "x b"), gold={"ranks": [0, 1]})]
    study = held(lite, count=12, gold=gold, gold_rate=0.5)
    while prefer(lite, one, study, A, ms_total=9000):
        pass
    acts.undo(lite, one.id, study.id)
    made = resolve.records(lite, study.id)
    assert len(made.comparisons) == 11
    assert made.told == {"judgements on known items": 1}


def test_an_adjudicator_outweighs_all(store: Store) -> None:
    (boss,) = team(store, 1, "manager")
    study, _ = judged(store, A, B)
    task = leases.next_task(store, study.id, boss.id, adjudicate=True)
    assert task is not None
    receipt = acts.submit(store, boss.id, Act(task.lease_id, task.key, ranks=of(task, B)))
    made = resolve.records(store, study.id, Filters(final_only=True, agreement=1.0, least=2))
    assert brief(made) == [(B, None)]
    assert made.comparisons[0].judge == boss.pseudonym
    assert made.judgement_ids == [receipt.judgement_id]
    assert made.told == {"judgements outweighed by an adjudicator": 2}
    acts.undo(store, boss.id, study.id)
    again = leases.next_task(store, study.id, boss.id, adjudicate=True)
    assert again is not None
    acts.submit(store, boss.id, Act(again.lease_id, again.key, act="flag"))
    out = resolve.records(store, study.id)
    assert (brief(out), out.told["items thrown out by an adjudicator"]) == ([], 1)


@pytest.mark.parametrize(
    ("filters", "records"),
    [
        ({}, [(A, None)]),
        ({"ai": "keep"}, [(A, None)]),
        ({"ai": "only"}, [(B, None)]),
        ({"ai": "only", "labels": "soft"}, [(B, 0.3)]),
        ({"ai": "keep", "labels": "soft"}, [(A, pytest.approx((1 + 1 + 0.3) / 3))]),
        ({"ai": "only", "labels": "every"}, [(B, 0.3)]),
    ],
)
def test_ai_judges_are_asked_for(lite: Store, filters: Any, records: list[Any]) -> None:
    study, _ = judged(lite, A, A)
    judge = people.add(lite, "gpt", "annotator", kind="ai")
    acts.put_ai(lite, study.id, judge.id, 1, Opinion(soft=0.3))
    assert brief(resolve.records(lite, study.id, Filters(**filters))) == records


# --- the other kinds ---


def test_a_ranking_is_one_comparison(store: Store) -> None:
    study, _ = judged(store, (2, 0, 1), (1, 0, 2), answers=3)  # type: ignore[arg-type]
    made = resolve.records(store, study.id)
    assert [one.ranks for one in made.comparisons] == [(1, 0, 1)]
    assert len([*made.comparisons[0].pairs()]) == 2
    every = resolve.records(store, study.id, Filters(labels="every"))
    assert [one.ranks for one in every.comparisons] == [(2, 0, 1), (1, 0, 2)]
    with pytest.raises(BadSettings, match="soft is for two answers"):
        resolve.records(store, study.id, Filters(labels="soft"))


def test_ratings_become_ratings_and_comparisons(store: Store) -> None:
    one, two = team(store, 2)
    study = held(store, "rate", count=1, overlap=2, axes=("good", "kind"))
    for user, good, kind in ((one, (7, 2), (3, 4)), (two, (6, 1), (2, 1))):
        task = leases.next_task(store, study.id, user.id)
        assert task is not None
        told = {"good": of(task, good), "kind": of(task, kind)}
        acts.submit(store, user.id, Act(task.lease_id, task.key, ratings=told))
    mean = resolve.records(store, study.id)
    assert brief(mean) == [(A, None), ("a", True), ("b", False)]
    each = resolve.records(store, study.id, Filters(axes="each", ties="keep"))
    assert [(row.id, row.ranks) for row in each.comparisons] == [
        ("item-1/good", A),
        ("item-1/kind", T),
    ]
    soft = resolve.records(store, study.id, Filters(axes="each", labels="soft", ties="half"))
    assert [row.p_first for row in soft.comparisons] == [1.0, 0.5]
    every = resolve.records(store, study.id, Filters(labels="every"))
    assert brief(every) == [
        (A, None),
        (A, None),
        ("a", True),
        ("b", False),
        ("b", False),
    ], "the second annotator's (6+2)/2 is the middle: neither good nor bad"
    assert every.told == {"ratings in the middle of the scale": 1}


def test_a_rewriting_is_a_demonstration(store: Store) -> None:
    (one,) = team(store, 1)
    study = held(store, "rewrite", count=1, answers=1)
    task = leases.next_task(store, study.id, one.id)
    assert task is not None
    acts.submit(store, one.id, Act(task.lease_id, task.key, rewrite="Better."))
    made = resolve.records(store, study.id)
    (row,) = made.demonstrations
    assert row == Demonstration(row.prompt, "Better.", author=one.pseudonym, id="item-1/1")
    assert made.judgement_ids == [1]


# --- games, and what left the house ---


def test_games_between_models(store: Store) -> None:
    (one,) = team(store, 1)
    study = studies.create(
        store, "g", "rank", StudyConfig(gold_rate=0.0, verdicts=("tie", "both_bad"))
    )
    studies.add_items(store, study.id, items(2, 3, models=("x", "y", "z")))
    studies.add_items(
        store, study.id, [NewItem([{"role": "user", "content": "?"}], ("p a", "p b"))]
    )
    for own in ((0, 1, 1), None, (0, 1)):
        task = leases.next_task(store, study.id, one.id)
        assert task is not None
        ranks = None if own is None else of(task, own)
        acts.submit(store, one.id, Act(task.lease_id, task.key, ranks=ranks, both_bad=own is None))
    found = resolve.leaderboard_games(store)
    assert found.games == [
        ("x", "y", "x"),
        ("x", "z", "x"),
        ("y", "z", "tie"),
        ("x", "y", "tie"),
        ("x", "z", "tie"),
        ("y", "z", "tie"),
    ]
    assert found.units == [1, 1, 1, 2, 2, 2]
    assert found.told == {"pairs without two different models": 1}
    assert resolve.leaderboard_games(store, []).games == []


def test_an_export_leads_back_to_its_annotators(store: Store) -> None:
    study, few = judged(store, A, A)
    made = resolve.records(store, study.id)
    noted = resolve.handed_out(store, study.id, Filters(), made, "out.jsonl", few[0].id)
    assert [row.id for row in resolve.exports(store, user_id=few[1].id)] == [noted.id]
    assert [row.id for row in resolve.exports(store, digest=made.digest)] == [noted.id]
    assert resolve.exports(store, study_id=study.id + 1) == []
    assert resolve.contributors(store, noted.id) == {few[0].id: 1, few[1].id: 1}
    assert resolve.exports(store, user_id=999) == []


def test_a_day_that_is_none_is_said(lite: Store) -> None:
    study, _ = judged(lite, A)
    with pytest.raises(BadSettings, match="expected a day"):
        resolve.records(lite, study.id, Filters(since="yesterday"))
    assert isinstance(resolve.records(lite, study.id).comparisons[0], Comparison)
