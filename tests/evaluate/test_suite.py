"""A reward on comparisons with known verdicts: numbers by hand, spoiled answers, two rewards."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.config import read
from accord.data.comparisons import spell_pairs
from accord.data.sources import write
from accord.engine.roles import Critic, Policy
from accord.errors import BadData, BadSettings
from accord.evaluate.answers import LETTERS
from accord.evaluate.suite import SPOILS, Case, drifted, judged, scored, spoil, withstood
from accord.recipes.job import Desk
from accord.recipes.reward import measure
from accord.recipes.suite_job import SuiteJob, run_suite
from accord.records import Comparison, Fact, Image, Invalid, Message, Prompt, Text, ask
from accord.rewards.reader import Reader, Said
from recipe_fakes import newborn, records

RULES = """
def letters(prompt, answer, ended):
    return len(answer) / 100

def few(prompt, answer, ended):
    return -len(answer) / 100

def fussy(prompt, answer, ended):
    if not answer:
        raise ValueError("nothing to read")
    return float(answer.strip()[0].isupper())
"""
ROWS = [
    {"id": 1, "prompt": "a", "chosen": "A long and good one.", "rejected": "Bad.", "subset": "x"},
    {"id": 2, "prompt": "b", "chosen": "Short. Very.", "rejected": "far too long it is, really",
     "subset": "x"},
    {"id": 3, "prompt": "c", "chosen": "Good words here.", "rejected": "no.", "subset": "y"},
]  # fmt: skip


def case(subset: str, *scores: Any, texts=("One. Two.", "A third one"), prompt="q") -> Case:
    return Case(Comparison.pair(ask(prompt), *texts), subset, scores)


def test_a_rule_is_told_who_was_cut() -> None:
    def shown(rollouts):
        return [LETTERS.text(one) + one.finish for one in rollouts]

    rows = [(ask("q"), ["ab", "cd"]), (ask("r"), ["", "e"])]
    ended = [[True, False], [False, True]]
    assert scored(shown, rows, ended=ended) == [["abstop", "cdlength"], ["length", "estop"]]
    assert scored(shown, rows) == [["abstop", "cdstop"], ["stop", "estop"]]


def test_measures_by_hand() -> None:
    found = judged(
        [case("x", 2.0, 1.0), case("x", 0.0, 1.0), case("y", 3.0, 0.0), case("y", 1.0, 1.0)]
    )
    every, x, y = found.subsets
    assert (every.accuracy.value, x.accuracy.value, y.accuracy.value) == (0.625, 0.5, 0.75)
    assert (every.margin.value, x.margin.value, y.margin.value) == (0.75, 0.0, 1.5)
    assert (found.macro, found.ties, found.lost) == (0.625, 1, {})
    sure = [1 / (1 + math.exp(-gap)) for gap in (1, 1, 3, 0)]
    # the tenths of ½..1: 0.731 twice (right in half), 0.953, and 0.5 (half right)
    by_hand = 2 * abs(sure[0] - 0.5) + abs(sure[2] - 1) + 0
    assert found.error == pytest.approx(by_hand / 4)
    assert found.shorter
    assert not found.longer
    assert found.mean == pytest.approx(9 / 8)


def test_length_is_told_apart() -> None:
    """Who counts letters is right where the better one is longer alone."""
    rng = random.Random(0)
    cases = []
    for n in range(60):
        texts = ["x" * rng.randint(1, 40) for _ in range(2)]
        cases.append(case("", *map(float, map(len, texts)), texts=tuple(texts), prompt=str(n)))
    found = judged(cases)
    assert (found.longer.value, found.shorter.value) == (1, 0)  # type: ignore[union-attr]
    assert found.length == pytest.approx(1)


def test_what_has_no_score_counts_nowhere() -> None:
    bad = Invalid("line 7 is broken")
    found = judged([case("x", 2.0, 1.0), case("x", bad, 1.0), case("y", float("nan"), 0.0)])
    assert found.lost == {"line N is broken": 1, "not a number": 1}
    assert [(one.name, one.comparisons) for one in found.subsets] == [("all", 1)]
    with pytest.raises(BadData, match=r"none of 1 comparisons .* line N is broken"):
        judged([case("x", bad, 1.0)])


def test_several_answers_make_several_pairs() -> None:
    row = Comparison(ask("q"), ("a", "bb", "ccc"), (0, 1, 1))
    found = judged([Case(row, "", (2.0, 1.0, 3.0))])
    assert found.subsets[0].accuracy.value == 0.5, "of two pairs one is right; the tie is no pair"
    assert found.subsets[0].comparisons == 1


def test_answers_are_spoiled_as_their_names_say() -> None:
    text = " One two three four. Five six. Seven!"
    cases = [case("", 1.0, 0.0, texts=(text, "no")), case("", 1.0, 0.0, prompt="other")]
    made = {name: few[0][1] for name, few in spoil(cases, most=9, seed=1).items() if few}
    first = next(c for c, _ in spoil(cases, most=9, seed=1)["empty"])
    if first is not cases[0]:
        made = {name: few[1][1] for name, few in spoil(cases, most=9, seed=1).items()}
    assert made["sentences reversed"] == " Seven! Five six. One two three four."
    assert made["end repeated"] == text + " Seven! Seven! Seven!"
    assert made["cut in half"] == " One two three"
    assert made["empty"] == ""
    assert made["another's answer"].strip() == "One. Two."
    assert sorted(made["words shuffled"].split()) == sorted(text.split())
    assert made["words shuffled"] != text
    one = spoil([case("", 1.0, 0.0, texts=("Yes", "no"))], most=9)
    assert {name for name, few in one.items() if few} == {"end repeated", "cut in half", "empty"}
    assert len(spoil(cases * 20, most=7)["empty"]) == 7


def test_one_question_about_several_pictures_is_several_prompts() -> None:
    """Whoever reads answers of files is shown each prompt's own picture and facts."""
    talks = [
        (Message("user", (Image(f"{n}.png"), Text("What is this?"), *few)),)
        for n, few in [(0, ()), (1, ()), (1, (Fact("a cat"),)), (1, (Fact("a dog"),))]
    ]
    reader = Reader(LETTERS, [Prompt(talk, str(n)) for n, talk in enumerate(talks)])
    seen: list[Said] = []

    def looks(rollouts):
        seen.extend(reader(rollouts))
        return [1.0] * len(rollouts)

    scored(looks, [(talk, ("a cat",)) for talk in talks])
    assert [one.talk for one in seen] == talks
    assert [(one.prompt, one.answer) for one in seen] == [("What is this?", "a cat")] * 4


def test_who_is_fooled_is_told() -> None:
    """Who counts letters prefers the repeated, not the cut; it cannot tell the shuffled."""

    def letters(rollouts):
        return [float(len(LETTERS.text(one))) for one in rollouts]

    rows = [(ask(f"q{n}"), (f"The cat {n} sat. It ran off.", "no")) for n in range(30)]
    cases = [
        Case(Comparison.pair(talk, *texts), "", tuple(few))
        for (talk, texts), few in zip(rows, scored(letters, rows), strict=True)
    ]
    made = spoil(cases, most=30)
    given = {
        name: [one for (one,) in scored(letters, [(c.row.prompt, [t]) for c, t in few])]
        for name, few in made.items()
    }
    found = {one.name: one for one in withstood(made, given, 2.0)}
    assert set(found) == set(SPOILS)
    assert found["end repeated"].holds.value == 0  # type: ignore[union-attr]
    assert found["cut in half"].holds.value == found["empty"].holds.value == 1  # type: ignore
    assert found["words shuffled"].holds.value == 0.5  # type: ignore[union-attr]
    assert found["end repeated"].margin == pytest.approx(-3 * len(" It ran off.") / 2.0)
    assert found["end repeated"].worst is not None
    assert found["empty"].worst is None
    given["empty"] = [Invalid("nothing")] * 30
    none = {one.name: one for one in withstood(made, given, 2.0)}["empty"]
    assert (none.answers, none.lost, none.holds) == (0, 30, None)


def test_two_rewards_on_the_same_references() -> None:
    cases = [case("", float(n), 0.5, prompt=str(n)) for n in range(4)]
    others = [case("", float(-n), 0.5, prompt=str(n)) for n in range(4)]
    old, new = [0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 5.0, 7.0]
    found = drifted(new, old, cases, others)
    unit = math.sqrt(1.25)
    assert found.change.value == pytest.approx(2.5 / unit)
    assert found.spread == pytest.approx(2)
    assert found.rank == pytest.approx(1)
    assert found.accuracy.value == 0.75, "right in 3 of 4, beside none"
    assert found.apart == 0.75
    same = drifted(old, old, cases, cases)
    assert (same.change.value, same.accuracy.value, same.apart) == (0, 0, 0)
    with pytest.raises(BadData, match="nothing to compare"):
        drifted([Invalid("no")] * 4, old, cases, others)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def call(home: Path, *words: str, out: str = "out") -> Any:
    given = {"data": "@/judged.jsonl", "reward": "@/rules.py:letters", "out": f"@/{out}"}
    given |= dict(word.split("=", 1) for word in words)
    said = [f"{k}={v}".replace("@", str(home)) for k, v in given.items() if v != "none"]
    return run_suite(Desk((), lambda _: None), read(SuiteJob, None, said))


def numbers(done: Any) -> dict[str, Any]:
    return json.loads((done.artifact.folder / "rewards.json").read_text())


def test_the_command(home: Path) -> None:
    done = call(home)
    told = numbers(done)
    assert [(s["name"], s["comparisons"]) for s in told["subsets"]] == [
        ("all", 3),
        ("x", 2),
        ("y", 1),
    ]
    assert [s["accuracy"]["value"] for s in told["subsets"]] == [pytest.approx(2 / 3), 0.5, 1]
    assert told["macro"] == 0.75
    page = (done.artifact.folder / "rewards.html").read_text()
    assert "end repeated" in page
    assert call(home).artifact.id == done.artifact.id
    lost = numbers(call(home, "reward=@/rules.py:fussy", out="fussy"))
    empty = next(one for one in lost["spoiled"] if one["name"] == "empty")
    assert (empty["answers"], empty["lost"]) == (0, 3)


@pytest.mark.parametrize(
    "change",
    [
        "reward=@/rules.py:few",
        "reward=tokens,-2*@/rules.py:letters",
        "against=@/rules.py:few",
        "by=prompt",
        "spoiled=0",
        "spoiled=1",
        "seed=1",
    ],
)
def test_every_setting_is_heard(home: Path, change: str) -> None:
    before, after = numbers(call(home)), numbers(call(home, change, out="other"))
    before.pop("settings"), after.pop("settings")
    assert before != after


def test_columns_splits_and_references_are_heard(home: Path) -> None:
    rows = [{"frage": row["prompt"], **row} for row in ROWS]
    for row in rows:
        del row["prompt"]
    (home / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("data=@/theirs.jsonl", "columns.prompt=frage")
    assert numbers(call(home, *words, out="c"))["subsets"] == numbers(call(home))["subsets"]
    with pytest.raises(BadSettings, match=r"say against="):
        call(home, "references=@/judged.jsonl", out="r")
    both = numbers(call(home, "against=@/rules.py:few", "references=@/judged.jsonl", out="d"))
    assert both["drift"]["answers"] == 3
    refs = [{"prompt": "z", "response": "some words " * n} for n in (1, 2, 3, 4, 5)]
    (home / "refs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in refs))
    more = numbers(call(home, "against=@/rules.py:few", "references=@/refs.jsonl", out="e"))
    assert more["drift"]["answers"] == 5
    assert more["drift"]["rank"] == pytest.approx(-1)
    with pytest.raises(BadData, match="no row has a key 'sort'"):
        call(home, "by=sort", out="f")
    with pytest.raises(BadData, match="a single file has no splits"):
        call(home, "split=test", out="g")


def test_rows_that_are_bad_have_a_limit(home: Path) -> None:
    path = home / "judged.jsonl"
    path.write_text(path.read_text() + '{"prompt": "a"}\n')
    with pytest.raises(BadData, match="too many rows"):
        call(home)
    assert numbers(call(home, "limit=0.5"))["subsets"][0]["comparisons"] == 3


def test_a_reward_model_is_read_as_it_was_trained(home: Path) -> None:
    """The oracle: `accord reward`'s own measure of the same comparisons."""
    start = Policy.open(newborn(home / "model"))
    critic = Critic.on(start, seed=1)
    critic.normalise(3.0, 0.5)
    critic.export(home / "critic")
    compared = records().comparisons
    write(home / "judged.jsonl", compared)
    told = numbers(call(home, "reward=@/critic"))
    rows, _ = spell_pairs(compared, critic.speller)
    theirs = measure(critic, rows)
    mine = told["subsets"][0]
    assert mine["accuracy"]["value"] == pytest.approx(theirs["accuracy"])
    assert mine["margin"]["value"] == pytest.approx(theirs["margin"], abs=1e-5)
    assert told["error"] == pytest.approx(theirs["calibration_error"], abs=1e-5)
    assert (told["mean"], told["deviation"]) == (
        pytest.approx(theirs["score_mean"], abs=1e-5),
        pytest.approx(theirs["score_std"], abs=1e-5),
    )


def test_it_is_called_with_its_file_first(home: Path) -> None:
    words = [f"{home}/judged.jsonl", f"reward={home}/rules.py:letters", f"out={home}/out"]
    done = CliRunner().invoke(cli.app, ["evaluate", "rewards", *words])
    assert done.exit_code == 0, done.stderr
    assert "sentences reversed" in done.stdout
