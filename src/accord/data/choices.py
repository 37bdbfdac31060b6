"""Questions of multiple choice, from the shapes in which benchmarks come.

    read_choices("hhh.jsonl")

Rows that cannot be used are counted by reason, as everywhere.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.config import digest
from accord.data import formats
from accord.data.pieces import Flaw, words
from accord.data.tally import Tally
from accord.errors import BadData

KINDS = ("category", "subset", "subject", "class", "harm_type", "type", "task", "source_id")
"""keys that say what sort of question it is, the first that a row has"""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LETTER = re.compile(r"\s*\(?([A-Za-z])[).]?\s*")
_PUT = Callable[[Mapping[str, Any]], tuple[str, Sequence[str], Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Choice:
    """One question."""

    prompt: str
    options: tuple[str, ...]
    """in an order that does not tell which is right"""
    right: frozenset[int]
    """places of the options that are right: one or more, and never all"""
    lettered: bool
    """the prompt shows the options, and they are its letters: (A), (B)"""
    kind: str = ""
    id: str = ""


def read_choices(path: str | Path, split: str | None = None) -> tuple[list[Choice], Tally]:
    """The questions of a file, a folder or a hub id; BadData where none of its rows is one."""
    found, tally = [], Tally()
    for entry in formats.source(path, split)():
        where = f"{entry.file}:{entry.number}"
        try:
            if isinstance(entry.row, Flaw):
                raise entry.row
            called = entry.stem or formats.stem(Path(entry.file).name)
            found.append(choice(entry.row, f"{called}:{entry.number}"))
            tally.keep()
        except Flaw as flaw:
            tally.drop(flaw.reason, f"{where}: {flaw.detail}")
    if not found:
        table = "\n".join(tally.lines()) if tally.total else "it has no rows"
        raise BadData(f"{path} holds no question of multiple choice: {table}")
    return found, tally


def choice(row: object, name: str = "") -> Choice:
    """One row; Flaw where it is no question."""
    if not isinstance(row, Mapping):
        raise Flaw("not an object", f"a row is a {type(row).__name__}, not an object with keys")
    put = next((how for keys, how in SHAPES if all(key in row for key in keys)), None)
    if put is None:
        keys = ", ".join(map(repr, list(row)[:20])) or "none"
        wanted = "; or ".join(" + ".join(keys) for keys, _ in SHAPES)
        raise Flaw("missing key", f"keys are {keys}; needed are {wanted}")
    prompt, options, right = put(row)
    if len(options) < 2:
        raise Flaw("too few options", f"it has {len(options)}; a choice is of two or more")
    if any(not words(option, "options") for option in options) or not prompt.strip():
        raise Flaw("empty text", "the question or one of its options is empty")
    if len(set(options)) < len(options):
        raise Flaw("options twice", f"two of its options are the same: {options!r}")
    if not 0 < len(set(right)) < len(options):
        raise Flaw("nothing to choose", f"{len(set(right))} of {len(options)} options are right")
    letters = [m.group(1).upper() if (m := LETTER.fullmatch(o)) else "" for o in options]
    lettered = sorted(letters) == list(LETTERS[: len(letters)])
    if lettered:
        order = sorted(range(len(options)), key=lambda k: letters[k])
    elif put in (_sorted_out, _targets, _truthful):  # the right ones stand first
        order = sorted(range(len(options)), key=lambda k: digest([prompt, options[k]]))
    else:
        order = list(range(len(options)))
    kind = next((str(row[key]) for key in KINDS if row.get(key) not in (None, "")), "")
    return Choice(
        prompt,
        tuple(options[k] for k in order),
        frozenset(order.index(k) for k in right),
        lettered,
        kind,
        str(row.get("id") or name),
    )


# --- shapes ---


def _sorted_out(row: Mapping[str, Any]) -> tuple[str, list[str], range]:
    """HHH: what may follow the prompt, the right ones and the wrong ones."""
    good, bad = (_texts(row[key], key) for key in ("corrects", "incorrects"))
    return words(row["prompt"], "prompt"), [*good, *bad], range(len(good))


def _targets(row: Mapping[str, Any]) -> tuple[str, list[str], list[int]]:
    """BIG-bench: options with their scores, 1 for those that are right."""
    scores = row["target_scores"]
    if not isinstance(scores, Mapping):
        raise Flaw("wrong type", "key 'target_scores' holds no object of options and scores")
    told = {text: score for text, score in scores.items() if score is not None}
    best = [k for k, score in enumerate(told.values()) if score == max(told.values())]
    return words(row["input"], "input"), list(told), best


def _truthful(row: Mapping[str, Any]) -> tuple[str, list[str], list[int]]:
    """TruthfulQA's mc1: options with labels, 1 for the right one."""
    told = row["mc1_targets"]
    if isinstance(told, Mapping) and "choices" in told:
        options, labels = _texts(told["choices"], "mc1_targets"), list(told.get("labels", ()))
    else:
        options, labels = list(told), list(told.values()) if isinstance(told, Mapping) else []
    right = [k for k, label in enumerate(labels) if label]
    return words(row["question"], "question"), options, right


def _asked(question: str, many: str, answer: str) -> _PUT:
    """A question, its options, and which is right: its place from 0, its letter, or its text."""

    def put(row: Mapping[str, Any]) -> tuple[str, list[str], list[int]]:
        held, names = row[many], []
        if isinstance(held, Mapping):  # ARC: texts and labels side by side
            names, held = list(held.get("label", ())), held.get("text")
        elif isinstance(held, list) and held and isinstance(held[0], Mapping):
            names = [one.get("label") for one in held]
            held = [one.get("text") for one in held]
        options = _texts(held, many)
        return words(row[question], question), options, [_which(row[answer], options, names)]

    return put


def _two(row: Mapping[str, Any]) -> tuple[str, list[str], list[int]]:
    """PIQA."""
    options = [words(row[key], key) for key in ("sol1", "sol2")]
    return words(row["goal"], "goal"), options, [_which(row["label"], options, [])]


SHAPES: tuple[tuple[tuple[str, ...], _PUT], ...] = (
    (("prompt", "corrects", "incorrects"), _sorted_out),
    (("input", "target_scores"), _targets),
    (("question", "mc1_targets"), _truthful),
    (("goal", "sol1", "sol2", "label"), _two),
    (("ctx", "endings", "label"), _asked("ctx", "endings", "label")),
    *(
        ((asked, many, answer), _asked(asked, many, answer))
        for asked in ("question", "prompt", "query")
        for many in ("choices", "options")
        for answer in ("answer", "answerKey", "answer_index", "label", "gold")
    ),
)
"""keys, and what is made of them: HHH, BIG-bench, TruthfulQA, PIQA, HellaSwag; MMLU, ARC, alike"""


def _texts(held: object, key: str) -> list[str]:
    if not isinstance(held, list | tuple):
        raise Flaw("wrong type", f"key {key!r} holds a {type(held).__name__}, not a list of texts")
    return [words(text, key) for text in held]


def _which(answer: object, options: Sequence[str], names: Sequence[object]) -> int:
    """The place of the right option."""
    if isinstance(answer, list | tuple) and len(answer) == 1:
        (answer,) = answer
    told = list(_places(answer, options, names))
    if not told or not 0 <= told[0] < len(options):
        raise Flaw(
            "no such option",
            f"the answer is {answer!r}: no place below {len(options)}, no letter, no option",
        )
    return told[0]


def _places(answer: object, options: Sequence[str], names: Sequence[object]) -> Iterator[int]:
    if isinstance(answer, bool):
        return
    if answer in names:
        yield names.index(answer)
    if isinstance(answer, int):
        yield answer
    if isinstance(answer, str):
        if answer in options:
            yield options.index(answer)
        if answer.strip().isdecimal():
            yield int(answer)
        if letter := LETTER.fullmatch(answer):
            yield ord(letter.group(1).upper()) - ord("A")
