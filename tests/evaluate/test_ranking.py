"""Tables of models: golden numbers on real votes, an oracle, and the trap of a torn graph."""

import csv
import json
import math
import random

import evalica
import pytest

from accord.errors import BadData
from accord.maths.tournament import beaten
from accord.store.judgements.ranking import bradley_terry, elo, on_scale, read, table


def slowly(games) -> dict[str, float]:
    """MM (Hunter 2004, eq. 3): p_i = W_i / Σ_j n_ij / (p_i + p_j), until nothing moves."""
    wins = beaten(games)
    names = list(wins)
    n = {(i, j): wins[i].get(j, 0) + wins[j].get(i, 0) for i in names for j in names if i != j}
    p = dict.fromkeys(names, 1 / len(names))
    for _ in range(20_000):
        new = {
            i: sum(wins[i].values()) / sum(n[i, j] / (p[i] + p[j]) for j in names if j != i)
            for i in names
        }
        p = {i: x / sum(new.values()) for i, x in new.items()}
    return p


def played(strength: dict[str, float], count: int, seed: int, ties: float = 0.2):
    rng, games = random.Random(seed), []
    for _ in range(count):
        x, y = rng.sample(list(strength), 2)
        won = rng.random() < strength[x] / (strength[x] + strength[y])
        games.append((x, y, "tie" if rng.random() < ties else "x" if won else "y"))
    return games


def rows_of(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def votes(shared):
    return shared("data/llmfao/llmfao.csv")


def test_golden_numbers_on_real_votes(votes, shared) -> None:
    games = read(votes, x="left", y="right")
    assert len(games) == 8931
    assert bradley_terry(games)["GPT 4"] == pytest.approx(0.0412178737, abs=1e-9)
    assert elo(games)["GPT 4"] == pytest.approx(1095.5935481722963, rel=1e-12)
    rows = rows_of(shared("data/llmfao/llmfao-golden.csv"))
    for name, made in (("bradley_terry", bradley_terry(games)), ("elo", elo(games))):
        golden = {r["item"]: float(r["score"]) for r in rows if r["algorithm"] == name}
        assert len(golden) == 59
        assert made == pytest.approx(golden, rel=1e-6)


def test_a_table_of_real_votes(votes) -> None:
    games = read(votes, x="left", y="right")
    workers = [row["worker"] for row in rows_of(votes)]
    found = table(games, units=workers, draws=20)
    assert found.note == ""
    best = found.rows[0]
    assert (best.name, best.games) == ("GPT 4", 158)
    assert best.interval[0] < best.strength < best.interval[1]
    assert best.elo_interval[0] < best.elo_interval[1]
    assert sum(row.strength for row in found.rows) == pytest.approx(1)
    strengths = [row.strength for row in found.rows]
    assert strengths == sorted(strengths, reverse=True)


@pytest.mark.parametrize("seed", range(4))
def test_strengths_are_those_of_the_definition(seed: int) -> None:
    games = played({"a": 4.0, "b": 2.0, "c": 1.0, "d": 0.5}, 60, seed)
    assert bradley_terry(games) == pytest.approx(slowly(games), rel=1e-6)


def test_two_models_by_hand() -> None:
    games = [("a", "b", "x")] * 2 + [("b", "a", "x"), ("a", "b", "tie"), ("a", "a", "x")]
    assert bradley_terry(games) == pytest.approx({"a": 2.5 / 4, "b": 1.5 / 4})
    assert elo([("a", "b", "x")]) == {"a": 1002.0, "b": 998.0}
    second = 4 * (0 - 1 / (1 + 10 ** (-4 / 400)))
    assert elo([("a", "b", "x"), ("a", "b", "y")])["a"] == pytest.approx(1002 + second)


def test_the_library_alone_would_answer_where_there_is_no_answer() -> None:
    """Why there is a guard: a chain of defeats gets numbers, and no complaint."""
    said = evalica.bradley_terry(["a", "b", "c"], ["b", "c", "d"], [evalica.Winner.X] * 3)
    assert all(math.isfinite(score) for score in said.scores)


@pytest.mark.parametrize(
    ("games", "says"),
    [
        ([("a", "b", "x"), ("b", "c", "tie")], "a is cut off from b, c:"),
        ([("a", "b", "tie"), ("b", "c", "x")], "c is cut off from a, b:"),
        (
            [("a", "b", "tie"), ("b", "c", "tie"), ("d", "e", "tie")],
            "d, e are cut off from a, b, c:",
        ),
        ([("a", "b", "x")] * 9, "b is cut off from a:"),
        (
            [(f"m{i}", f"m{i + 1}", "x") for i in range(12)],
            "m1, m2, m3, m4, m5 and 7 more are cut off from m0:",
        ),
    ],
)
def test_who_is_cut_off_is_said_and_gets_no_strength(games, says) -> None:
    with pytest.raises(BadData, match=says):
        bradley_terry(games)
    found = table(games, draws=4)
    assert says in found.note
    assert "\n" not in found.note
    lost = {row.name for row in found.rows if row.strength is None}
    assert lost
    assert all(row.interval is None for row in found.rows if row.name in lost)
    assert all(math.isfinite(row.elo) for row in found.rows)
    names = [row.name for row in found.rows if row.strength is not None]
    assert [row.name for row in found.rows][: len(names)] == names


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    strength = {"a": 0.5, "b": 0.3, "c": 0.2}
    held = 0
    for seed in range(40):
        rows = {r.name: r for r in table(played(strength, 150, seed), draws=60, seed=seed).rows}
        low, high = rows["a"].interval
        held += low <= 0.5 <= high
    assert held >= 33


def test_units_are_drawn_whole() -> None:
    """One judge's hundred votes are one witness: with two judges, intervals are wide."""
    games = [("a", "b", "x")] * 100 + [("a", "b", "y")] * 80
    alone = table(games, draws=100).rows[0]
    whole = table(games, units=["j"] * 60 + ["k"] * 120, draws=100).rows[0]
    assert alone.interval[1] - alone.interval[0] < 0.2
    assert whole.interval is None, "half of the draws hear one judge alone, and fall apart"
    with pytest.raises(BadData, match="1 units for 180 games"):
        table(games, units=["j"])


def test_the_same_seed_the_same_table_and_it_is_written(tmp_path) -> None:
    games = played({"a": 2.0, "b": 1.0}, 40, 1)
    one = table(games, seed=3, draws=30)
    assert one == table(games, seed=3, draws=30)
    assert one != table(games, seed=4, draws=30)
    one.write(tmp_path / "table.json")
    told = json.loads((tmp_path / "table.json").read_text())
    assert [row["name"] for row in told["rows"]] == ["a", "b"]
    assert told["rows"][0]["strength"] == one.rows[0].strength


def test_files_that_hold_no_games(tmp_path) -> None:
    path = tmp_path / "games.csv"
    path.write_text("x,y,winner\na,b,Left\na,b,won\n")
    with pytest.raises(BadData, match="row 2: 'won' is no column, or no verdict"):
        read(path)
    path.write_text("p,q,winner\na,b,x\n")
    with pytest.raises(BadData, match="row 1: 'x'"):
        read(path)
    path.write_text("p,q,winner\na,b,TIE\n")
    assert read(path, x="p", y="q") == [("a", "b", "tie")]
    for none in ([], [("a", "a", "x")]):
        with pytest.raises(BadData, match="nothing to rank"):
            table(none)


def test_points_are_odds_and_their_intervals_hold_the_truth() -> None:
    """Of a strong one too: its share of all strength hardly varies, its odds do."""
    strength = {"a": 0.8, "b": 0.12, "c": 0.05, "d": 0.03}
    true, held = on_scale(strength), 0
    assert math.fsum(true.values()) == pytest.approx(4000)
    assert true["a"] - true["b"] == pytest.approx(400 * math.log10(0.8 / 0.12))
    for seed in range(30):
        games = played(strength, 200, seed, ties=0)
        rows = {row.name: row for row in table(games, draws=60, seed=seed).rows}
        odds = rows["a"].strength / rows["b"].strength
        assert rows["a"].points - rows["b"].points == pytest.approx(400 * math.log10(odds))
        low, high = rows["a"].points_interval
        held += low <= true["a"] <= high
    assert held >= 25
