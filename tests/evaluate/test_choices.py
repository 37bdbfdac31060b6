"""Multiple choice: shapes, scores by hand, ties, places, pairs; the command on a small model."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.config import read
from accord.data.choices import Choice, choice, read_choices
from accord.data.pieces import Flaw
from accord.engine.local import Local
from accord.engine.roles import Policy
from accord.errors import BadData, RunMismatch
from accord.evaluate.choices import Put, answered, chosen, paired, put
from accord.recipes.choices_job import ChoicesJob, run_choices
from accord.recipes.job import Desk
from accord.records import Invalid
from llm_fakes import FakeLLM
from recipe_fakes import newborn

SAMPLE = Path(__file__).parent.parent / "choices.jsonl"
SHAPES: dict[str, dict[str, Any]] = {
    "hhh": {"prompt": "q", "corrects": ["r"], "incorrects": ["w", "v"]},
    "big-bench": {"input": "q", "target_scores": {"w": 0, "r": 1, "v": 0}},
    "truthful": {
        "question": "q",
        "mc1_targets": {"choices": ["r", "w", "v"], "labels": [1, 0, 0]},
    },
    "truthful, plain": {"question": "q", "mc1_targets": {"r": 1, "w": 0, "v": 0}},
    "piqa": {"goal": "q", "sol1": "w", "sol2": "r", "label": 1},
    "hellaswag": {"ctx": "q", "endings": ["w", "r", "v"], "label": "1"},
    "mmlu": {"question": "q", "choices": ["w", "r", "v"], "answer": 1},
    "mmlu by letter": {"question": "q", "choices": ["w", "r", "v"], "answer": "B"},
    "by text": {"question": "q", "options": ["w", "r", "v"], "answer": "r"},
    "arc": {
        "question": "q",
        "choices": {"text": ["w", "r", "v"], "label": ["1", "2", "3"]},
        "answerKey": "2",
    },
    "arc, listed": {
        "question": "q",
        "choices": [{"text": "w", "label": "A"}, {"text": "r", "label": "B"}],
        "answerKey": "B",
    },
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_says_which_is_right(name: str) -> None:
    found = choice(SHAPES[name])
    if name in ("arc", "mmlu"):
        assert found.options == ("w", "r", "v"), "the order of the file"
    assert [found.options[k] for k in found.right] == ["r"]
    assert found.prompt == "q"
    assert not found.lettered


def test_letters_stand_in_their_order_and_texts_do_not_tell() -> None:
    letters = choice({"prompt": "q", "corrects": [" (B)"], "incorrects": [" (A)"]})
    assert (letters.options, letters.right, letters.lettered) == ((" (A)", " (B)"), {1}, True)
    places = [
        min(choice({"prompt": f"q{n}", "corrects": ["yes"], "incorrects": ["no"]}).right)
        for n in range(200)
    ]
    assert 70 < sum(places) < 130


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "q"}, "needed are prompt"),
        ({"prompt": "q", "corrects": ["a"], "incorrects": []}, "has 1"),
        ({"prompt": "q", "corrects": ["a"], "incorrects": ["a"]}, "are the same"),
        ({"prompt": "q", "corrects": "ab", "incorrects": ["a"]}, "not a list"),
        ({"prompt": " ", "corrects": ["b"], "incorrects": ["a"]}, "is empty"),
        ({"question": "q", "choices": ["x", "y"], "answer": 2}, "no place below 2"),
        ({"question": "q", "choices": ["x", "y"], "answer": True}, "no place below 2"),
        ({"input": "q", "target_scores": {"x": 1, "y": 1}}, "2 of 2 options are right"),
        (["q"], "not an object"),
    ],
)
def test_what_is_no_question_is_said(row: object, says: str) -> None:
    with pytest.raises(Flaw, match=says):
        choice(row)


def test_a_file_with_bad_rows_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(SAMPLE.read_text() + '{"prompt": "q"}\n')
    found, tally = read_choices(path)
    assert [one.id for one in found] == ["h1", "h2", "h3", "h4"]
    assert [one.kind for one in found] == ["helpful", "helpful", "honest", "harmless"]
    assert tally.dropped == {"missing key": 1}
    path.write_text('{"prompt": "q"}\n')
    with pytest.raises(BadData, match="holds no question of multiple choice"):
        read_choices(path)


def ask_one(*options: str, right: int = 0, kind: str = "", lettered: bool = False) -> Choice:
    return Choice("q", options, frozenset({right}), lettered, kind, "id")


def test_what_is_put() -> None:
    one = ask_one("red wine", "gin")
    asked, options = put(one, Put())
    assert (asked.messages[0].text, asked.opened, options) == ("q", "", (" red wine", " gin"))
    asked, options = put(one, Put("letters"))
    assert asked.messages[0].text == "q\n\nOptions:\n (A) red wine\n (B) gin\n\n"
    assert (asked.opened, options) == ("The answer is:", (" (A)", " (B)"))
    assert put(one, Put(between=""))[1] == one.options
    assert put(one, Put(opened="So: "))[1] == one.options, "no second space"
    letters = ask_one(" (A)", " (B)", lettered=True)
    assert put(letters, Put("letters"))[1] == (" (A)", " (B)")
    with pytest.raises(BadData, match="form=texts"):
        put(ask_one(*(f"option {n}" for n in range(27))), Put("letters"))


def test_measures_by_hand() -> None:
    """log p -1 of 2 bytes beside -1.5 of 6: the whole prefers the first, per byte the second."""
    logp = {" r": -1.0, " white": -1.5, " gin": -9.0}
    llm = FakeLLM(weigh=lambda ask, options: [logp[o] for o in options])
    rows = answered(llm, [ask_one("r", "white", right=1, kind="x"), ask_one("r", "gin", kind="y")])
    found = chosen(rows)
    every, x, y = found.groups
    assert (x.name, x.accuracy.value, x.normalised.value) == ("x", 0, 1)
    assert (y.name, y.accuracy.value, y.normalised.value) == ("y", 1, 1)
    assert (every.accuracy.value, every.normalised.value, every.chance) == (0.5, 1.0, 0.5)
    p1, p2 = 1 / (1 + math.exp(0.5)), 1 / (1 + math.exp(-8))
    assert x.right.value == pytest.approx(p1)
    assert every.right.value == pytest.approx((p1 + p2) / 2)
    assert found.error == pytest.approx(((1 - p1) + (1 - p2)) / 2), "sure 1 - p1 of a wrong one"
    assert (found.ties, found.lost, found.places) == (0, {}, [])
    by_bytes = chosen(rows, normalised=True)
    assert by_bytes.error == pytest.approx(((1 - p1) + (1 - p2)) / 2)


def test_ties_are_shared_and_several_may_be_right() -> None:
    even = FakeLLM(weigh=lambda ask, options: [-1.0] * len(options))
    (row,) = answered(even, [ask_one("one", "two")])
    assert row.hit() == 0.5
    two = Choice("q", ("one", "two", "six"), frozenset({0, 1}), False)
    found = chosen(answered(even, [two]))
    assert found.groups[0].accuracy.value == pytest.approx(2 / 3)
    assert found.groups[0].right.value == pytest.approx(2 / 3)
    assert found.ties == 1


def test_a_judge_of_places_is_found_out() -> None:
    """Who always says (A) chooses it in all, where it is right in half."""
    letters = [ask_one(" (A)", " (B)", right=n % 2, lettered=True) for n in range(10)]
    llm = FakeLLM(weigh=lambda ask, options: [-0.1, -2.0])
    assert chosen(answered(llm, letters)).places == [(1.0, 0.5), (0.0, 0.5)]


def test_what_cannot_be_asked_is_counted_apart() -> None:
    llm = FakeLLM(weigh=lambda ask, options: [-0.1, -2.0])
    good = answered(llm, [ask_one("one", "two")])
    rows = [*good, Invalid("70 tokens, and the model reads 64"), Invalid("81 tokens, and the "
            "model reads 64")]  # fmt: skip
    found = chosen(rows)
    assert found.lost == {"N tokens, and the model reads N": 2}
    assert found.groups[0].questions == 1
    with pytest.raises(BadData, match="none of 2 questions could be asked: N tokens"):
        chosen(rows[1:])
    with pytest.raises(BadData, match="none of 1 questions"):
        chosen(answered(FakeLLM(weigh=lambda a, o: [-math.inf] * 2), [ask_one("one", "two")]))


def test_two_models_question_by_question() -> None:
    few = [ask_one("one", "two", right=n % 2) for n in range(12)]
    first = answered(FakeLLM(weigh=lambda ask, options: [-0.1, -2.0]), few)
    knows = [
        answered(FakeLLM(weigh=lambda a, o, r=min(c.right): [-float(k != r) for k in (0, 1)]), [c])
        for c in few
    ]
    found = paired([row for one in knows for row in one], first)
    assert (found.questions, found.only, found.only_other) == (12, 6, 0)
    assert found.change.value == 0.5
    assert found.p == pytest.approx(2 / 64)
    same = paired(first, first)
    assert (same.change.value, same.change.low, same.change.high, same.p) == (0, 0, 0, 1)
    with pytest.raises(BadData, match="no question that both"):
        paired([Invalid("no")] * 12, first)


def test_whole_options_are_scored_not_their_first_token(tmp_path: Path) -> None:
    """The oracle: log p of each option is that of prompt and option less that of the prompt."""
    policy = Policy.open(newborn(tmp_path / "model"))
    one = Choice("Tom", ("ran home.", "sat on a mat."), frozenset({0}), False)
    (row,) = answered(Local(policy), [one])
    assert not isinstance(row, Invalid)
    from accord.data.rows import pad

    prompt = policy.speller.prompt_ids(put(one, Put())[0].messages)
    for text, logp in zip(one.options, row.logp, strict=True):
        ids = policy.speller.begun(f" {text}")
        assert len(ids) > 1
        logp_BT = policy.logp(pad([prompt], [ids]))
        assert logp_BT.sum().item() == pytest.approx(logp, abs=1e-4)


def test_the_command(tmp_path: Path) -> None:
    newborn(tmp_path / "a")
    newborn(tmp_path / "b", seed=1)
    path = tmp_path / "questions.jsonl"
    rows = [
        {"question": f"{who} ", "choices": ["ran home.", "sat."], "answer": n % 2, "subject": who}
        for n, who in enumerate(("Tom", "Lily", "Ben", "Tom", "Lily", "Anna"))
    ]
    rows.append({"question": "Tom " * 200, "choices": ["ran home.", "sat."], "answer": 0})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told: list[str] = []
    words = [f"choices={path}", f"model={tmp_path}/a", f"out={tmp_path}/out"]

    def call(*more: str) -> Any:
        return run_choices(Desk((), told.append), read(ChoicesJob, None, [*words, *more]))

    done = call(f"against={tmp_path}/b")
    numbers = json.loads((done.artifact.folder / "choices.json").read_text())
    mine = numbers["models"]["model"]
    assert mine["groups"][0]["questions"] == 6
    ((reason, lost),) = mine["lost"].items()
    assert "the model has room for N" in reason
    assert lost == 1
    assert [group["name"] for group in mine["groups"]] == ["all", "Anna", "Ben", "Lily", "Tom"]
    assert numbers["paired"]["questions"] == 6
    page = (done.artifact.folder / "choices.html").read_text()
    assert "could not be asked" in page
    lines = [
        json.loads(x) for x in (done.artifact.folder / "answers.jsonl").read_text().splitlines()
    ]
    assert len(lines) == 7
    assert isinstance(lines[0]["model"], list)
    assert "has room for" in lines[-1]["model"]
    told.clear()
    assert call(f"against={tmp_path}/b").artifact.id == done.artifact.id
    assert [line.endswith("6 known from before") for line in told[-2:]] == [True, True]


def test_a_folder_with_another_report_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    newborn(tmp_path / "a")
    path = tmp_path / "questions.jsonl"
    row = {"question": "Tom ", "choices": ["ran home.", "sat."], "answer": 0}
    path.write_text(json.dumps(row) + "\n")
    words = [f"choices={path}", f"model={tmp_path}/a", f"out={tmp_path}/out"]

    def call(*more: str) -> Any:
        return run_choices(Desk((), lambda _: None), read(ChoicesJob, None, [*words, *more]))

    first = call()
    for more, why in (
        ("against=http://127.0.0.1:9/v1#x", "against"),  # asked, it would be NoAnswer
        ("normalise=bytes", "normalise"),
    ):
        with pytest.raises(RunMismatch, match=f"{why}.*Give another folder"):
            call(more)
    path.write_text(json.dumps(row | {"answer": 1}) + "\n")
    with pytest.raises(RunMismatch, match=r"data.*Give another folder"):
        call()
    path.write_text(json.dumps(row) + "\n")
    assert call().artifact.id == first.artifact.id
    assert call("asked.dry=true", "against=http://127.0.0.1:9/v1#x") is None, "nothing is kept"


@pytest.mark.parametrize(
    "change",
    ["put.form=letters", "put.opened=So", "put.between=", "normalise=bytes", "seed=1", "limit=1"],
)
def test_every_setting_is_heard(tmp_path: Path, change: str) -> None:
    newborn(tmp_path / "a")
    path = tmp_path / "questions.jsonl"
    rows = [
        {"question": f"{who} and", "choices": ["ran home.", "sat."], "answer": n % 2}
        for n, who in enumerate(("Tom", "Lily", "Ben", "the dog", "a cat", "Anna", "a frog"))
    ]
    bad = [{"question": "no"}] if change.startswith("limit") else []
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *bad]))
    words = [f"choices={path}", f"model={tmp_path}/a"]

    def call(*more: str) -> Any:
        return run_choices(Desk((), lambda _: None), read(ChoicesJob, None, [*words, *more]))

    def found(done: Any) -> Any:
        folder = done.artifact.folder
        told = json.loads((folder / "choices.json").read_text())["models"]
        return told, (folder / "choices.html").read_text(), (folder / "answers.jsonl").read_text()

    after = call(f"out={tmp_path}/two", change)
    if bad:
        with pytest.raises(BadData, match="too many rows"):
            call(f"out={tmp_path}/one")
        return
    assert found(call(f"out={tmp_path}/one")) != found(after)


def test_it_is_called_with_its_file_first(tmp_path: Path) -> None:
    newborn(tmp_path / "a")
    words = ["choices", str(SAMPLE), f"model={tmp_path}/a", f"out={tmp_path}/out"]
    done = CliRunner().invoke(cli.app, ["evaluate", *words])
    assert done.exit_code != 0, "these prompts are longer than this model reads"
    assert "none of 4 questions could be asked" in done.stderr
    path = tmp_path / "short.jsonl"
    path.write_text('{"prompt": "Tom", "corrects": [" ran"], "incorrects": [" sat"]}\n' * 2)
    words = ["choices", str(path), f"model={tmp_path}/a", f"out={tmp_path}/out"]
    done = CliRunner().invoke(cli.app, ["evaluate", *words])
    assert done.exit_code == 0, done.stderr
    assert "Accuracy" in done.stdout
    assert "choices.html" in done.stdout


def test_a_dry_run_asks_nobody_and_a_split_is_of_a_folder(tmp_path: Path) -> None:
    told: list[str] = []
    words = [f"choices={SAMPLE}", "model=http://127.0.0.1:9/v1#x", f"out={tmp_path}/out"]
    dry = read(ChoicesJob, None, [*words, "asked.dry=true"])
    assert run_choices(Desk((), told.append), dry) is None
    assert "4 calls" in told[-1]
    with pytest.raises(BadData, match="a single file has no splits"):
        run_choices(Desk((), told.append), read(ChoicesJob, None, [*words, "split=test"]))
