"""Whether agreement is measured right: against other libraries, and on hands that are known."""

import math
import random
from collections.abc import Callable
from itertools import combinations

import evalica
import krippendorff
import numpy as np
import pandas as pd
import pytest

from accord.store.judgements import acts, agreement, leases, people, progress, resolve, studies
from accord.store.judgements.acts import Opinion
from accord.store.judgements.forms import Act, NewItem, StudyConfig, Task
from accord.store.judgements.opening import Store
from accord.store.judgements.ranking import bradley_terry
from accord.store.judgements.tables import Study, User
from judgement_fakes import drain, held, of, team

Hand = Callable[[Task], tuple[int, ...]]


def noisy(rng: random.Random, right: float) -> Hand:
    """A hand that finds the first answer of an item better with this probability."""
    return lambda task: (0, 1) if rng.random() < right else (1, 0)


def table(store: Store, study: Study, few: list[User]) -> np.ndarray:
    """annotator x item: 1 where the first answer is better, 0 else, nan where not judged."""
    made = resolve.records(store, study.id, resolve.Filters(labels="every", ties="keep"))
    found = np.full((len(few), studies.studies(store)[0].items), np.nan)
    rows = {user.pseudonym: at for at, user in enumerate(few)}
    for one in made.comparisons:
        item = int(one.id.split("/")[0].removeprefix("item-"))
        found[rows[one.judge], item - 1] = float(np.sign(one.ranks[1] - one.ranks[0]))
    return found


def test_alpha_is_what_two_libraries_say(lite: Store) -> None:
    rng = random.Random(4)
    few = team(lite, 4)
    study = held(lite, count=24, overlap=3)
    for user in (*few, *few):  # the first three would take all there is
        for _ in range(9):
            task = leases.next_task(lite, study.id, user.id)
            if task is None:
                break
            act = Act(task.lease_id, task.key, ranks=of(task, noisy(rng, 0.8)(task)))
            acts.submit(lite, user.id, act)
    made = agreement.report(lite, study.id)
    data = table(lite, study, few)
    assert int((~np.isnan(data)).sum()) > 60
    ways = np.hstack((data, -data))
    assert made.alpha == pytest.approx(krippendorff.alpha(ways, level_of_measurement="nominal"))
    assert made.alpha == pytest.approx(evalica.alpha(pd.DataFrame(ways), "nominal").alpha)
    assert made.low is not None
    assert made.high is not None
    assert made.low < made.alpha < made.high
    assert (made.level, made.undefined_why, made.n) == (
        "nominal",
        "",
        int(((~np.isnan(data)).sum(axis=0) > 1).sum()),
    )
    assert len(made.kappas) == 6
    for one in made.kappas:
        rows = [
            few.index(next(u for u in few if u.id == who.id)) for who in (one.first, one.second)
        ]
        both = data[rows][:, ~np.isnan(data[rows]).any(axis=0)]
        assert one.n == both.shape[1]
        assert one.alike == pytest.approx(float((both[0] == both[1]).mean()))


def test_alpha_of_ratings_is_ordinal(lite: Store) -> None:
    rng = random.Random(1)
    few = team(lite, 3)
    study = held(lite, "rate", count=20, answers=1, overlap=3, axes=("good",))
    data = np.zeros((3, 20))
    for at, user in enumerate(few):
        while (task := leases.next_task(lite, study.id, user.id)) is not None:
            number = min(7, max(1, task.item_id % 7 + rng.choice((0, 1, 2))))
            data[at, task.item_id - 1] = number
            told = Act(task.lease_id, task.key, ratings={"good": (number,)})
            acts.submit(lite, user.id, told)
    made = agreement.report(lite, study.id)
    assert made.level == "ordinal"
    right = krippendorff.alpha(data, level_of_measurement="ordinal")
    assert made.alpha == pytest.approx(right)
    assert made.alpha == pytest.approx(evalica.alpha(pd.DataFrame(data), "ordinal").alpha)
    assert made.position is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "Nothing has been judged"),
        ([[(0, 1)]], "raise the overlap"),
        ([[(0, 0)] * 2] * 2, "no chance to disagree"),
    ],
)
def test_where_agreement_is_undefined_it_is_said(
    lite: Store, said: list[list[tuple[int, int]]], why: str
) -> None:
    study = held(lite, count=2, overlap=2)
    for user, few in zip(team(lite, len(said)), said):
        order = iter(few)
        for _ in few:
            task = leases.next_task(lite, study.id, user.id)
            assert task is not None
            act = Act(task.lease_id, task.key, ranks=of(task, next(order)))
            acts.submit(lite, user.id, act)
    made = agreement.report(lite, study.id)
    assert made.alpha is None
    assert made.low is None
    assert why in made.undefined_why


def test_where_the_better_answer_always_stands_first_agreement_is_not_smaller(lite: Store) -> None:
    """Files of chosen and rejected answers are so: two who are mostly right agree, and say so."""
    rng = random.Random(2)
    study = held(lite, count=200, overlap=2)
    for user in team(lite, 2):
        while (task := leases.next_task(lite, study.id, user.id)) is not None:
            act = Act(task.lease_id, task.key, ranks=of(task, noisy(rng, 0.9)(task)))
            acts.submit(lite, user.id, act)
    made = agreement.report(lite, study.id)
    (two,) = made.kappas
    assert made.raw == two.alike
    assert two.kappa == pytest.approx(2 * two.alike - 1)  # chance is one half: no answer is first
    assert made.alpha == pytest.approx(two.kappa, abs=0.01)
    assert two.n == 200


def test_texts_have_no_agreement(lite: Store) -> None:
    study = held(lite, "rewrite", count=1, answers=1, overlap=2)
    for user in team(lite, 2):
        task = leases.next_task(lite, study.id, user.id)
        assert task is not None
        acts.submit(lite, user.id, Act(task.lease_id, task.key, rewrite=f"by {user.name}"))
    made = agreement.report(lite, study.id)
    assert (made.alpha, made.raw, made.kappas) == (None, None, [])
    assert "Texts" in made.undefined_why
    assert progress.disputed(lite, study.id) == []
    assert len(resolve.records(lite, study.id).demonstrations) == 2


def test_ai_judges_are_in_the_kappas_alone(lite: Store) -> None:
    one, two = team(lite, 2)
    study = held(lite, count=4, overlap=2)
    drain(lite, one, study, lambda task: (0, 1) if task.item_id % 2 else (1, 0))
    drain(lite, two, study, lambda task: (0, 1) if task.item_id < 3 else (1, 0))
    before = agreement.report(lite, study.id)
    judge = people.add(lite, "gpt", "annotator", kind="ai")
    for item in range(1, 5):
        acts.put_ai(lite, study.id, judge.id, item, Opinion(soft=0.9 if item % 2 else 0.1))
    after = agreement.report(lite, study.id)
    assert after.alpha == before.alpha
    assert {(row.first.name, row.second.name): row.kappa for row in after.kappas} == {
        ("a0", "a1"): 0.0,
        ("a0", "gpt"): 1.0,
        ("a1", "gpt"): 0.0,
    }
    people.exclude(lite, two.id)
    assert agreement.report(lite, study.id).n == 0


def test_rows_of_annotators(lite: Store) -> None:
    one, two, three = team(lite, 3)
    study = held(lite, count=10, overlap=3)
    drain(lite, one, study, lambda task: (0, 1))
    drain(lite, two, study, lambda task: (0, 1) if task.item_id < 9 else (0, 0))
    for _ in range(4):
        task = leases.next_task(lite, study.id, three.id)
        assert task is not None
        act = "skip" if task.item_id == 1 else "judge"
        ranks = None if act == "skip" else (0, 1)  # always the one shown first
        told = Act(task.lease_id, task.key, act=act, ranks=ranks, ms_total=1000 * task.item_id)  # type: ignore[arg-type]
        acts.submit(lite, three.id, told)
    rows = {row.user.name: row for row in progress.annotators(lite, study.id)}
    assert {name: (row.count, row.skipped) for name, row in rows.items()} == {
        "a0": (10, 0),
        "a1": (10, 0),
        "a2": (3, 1),
    }
    assert rows["a1"].tie_share == 0.2
    assert rows["a2"].median_s == 3.0
    assert rows["a2"].left_share is not None
    assert (rows["a2"].left_share.value, rows["a2"].left_n) == (1.0, 3)
    assert rows["a0"].agreement_n == 13
    assert rows["a2"].agreement_n == 6
    people.exclude(lite, two.id)
    rows = {row.user.name: row for row in progress.annotators(lite, study.id)}
    assert rows["a0"].agreement_n == 3, "an excluded annotator is nobody to agree with"
    assert rows["a1"].count == 10, "but is still shown"


def strengths_and_lean(games: resolve.Games, names: list[str]) -> tuple[dict[str, float], float]:
    """Bradley and Terry's log-strengths with a term for the left place, by Newton's method."""
    x = np.zeros((len(games.games), len(names)))
    for row, ((a, b, winner), left) in enumerate(zip(games.games, games.left)):
        assert winner != "tie"
        x[row, names.index(a)] += 1
        x[row, names.index(b)] -= 1
        x[row, 0] = 1 if left == "x" else -1  # the first model is the origin: its column is free
    y = np.array([winner == "x" for _, _, winner in games.games], dtype=float)
    w = np.zeros(len(names))
    for _ in range(20):
        p = 1 / (1 + np.exp(-x @ w))
        w += np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]), x.T @ (y - p))
    return dict(zip(names[1:], w[1:])), float(w[0])


def test_known_strengths_and_a_left_bias_are_found(lite: Store) -> None:
    """Four models of known strength; annotators lean to the left, and one hardly looks.

    The report of annotators finds who does not look, the report of places finds the lean; without
    the one, and with a term for the recorded places, the strengths come out.
    """
    strength = {"m0": 0.0, "m1": 0.7, "m2": 1.4, "m3": 2.1}
    lean, rng = 0.6, random.Random(11)
    study = studies.create(lite, "s", "pairwise", StudyConfig(gold_rate=0.0, overlap=4))
    new = [
        NewItem(
            [{"role": "user", "content": f"q{i} {x} {y}"}],
            (f"{x} {i}", f"{y} {i}"),
            models=(x, y),
        )
        for i in range(20)
        for x, y in combinations(strength, 2)
    ]
    studies.add_items(lite, study.id, new)
    few = team(lite, 4)
    for user in few:
        sharp = 0.0 if user is few[3] else 1.0
        while (task := leases.next_task(lite, study.id, user.id)) is not None:
            left, right = (strength[one.text.split()[0]] for one in task.answers)
            p_left = 1 / (1 + math.exp(-sharp * (left - right) - lean))
            ranks = (0, 1) if rng.random() < p_left else (1, 0)
            acts.submit(lite, user.id, Act(task.lease_id, task.key, ranks=ranks, ms_total=5000))
    report = agreement.report(lite, study.id)
    assert report.position is not None
    assert report.position.low > 0.5, "the lean to the left is found"
    rows = {row.user.name: row.agreement or 1 for row in progress.annotators(lite, study.id)}
    assert min(rows, key=lambda name: rows[name]) == "a3", "who does not look agrees least"
    people.exclude(lite, few[3].id)
    games = resolve.leaderboard_games(lite)
    assert len(games.games) == 360
    plain = bradley_terry(games.games)
    assert sorted(plain, key=lambda name: plain[name]) == [*strength]
    found, found_lean = strengths_and_lean(games, [*strength])
    for name, value in found.items():  # standard errors: 0.2, of the lean 0.13
        assert value == pytest.approx(strength[name], abs=0.5), name
    assert found_lean == pytest.approx(lean, abs=0.3)
