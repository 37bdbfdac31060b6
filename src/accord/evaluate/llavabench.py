"""LLaVA-Bench (Liu et al. 2023): a judge that is told what the picture shows scores two answers, a
reference's and the model's, from 1 to 10; 100 * mean(model) / mean(reference) is the result.

The judge's words are ours.  Both orders are asked, and each answer has the mean of its two scores.
A verdict that cannot be read is counted apart; in the paper's way, told beside, it is -1 for both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from accord.data.benchmark import Row, distinct, objects
from accord.errors import BadData
from accord.evaluate.seeing import Look, Reply, ready
from accord.maths.intervals import Estimate, redrawn
from accord.records import Conversation, Invalid, ask
from accord.rewards.judge.opinions import Opinion
from accord.rewards.judge.verdict import SHOWN

VERSION = "llava-bench-1"
"""of the judge's words"""
LOST = -1.0
"""both scores, of a verdict that cannot be read, in the paper's way"""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORDS = """\
A question was asked about a picture. You cannot see it; here is what it shows.

=== The picture ===
{context}

=== Question ===
{question}

=== Answer of assistant 1 ===
{first}

=== Answer of assistant 2 ===
{second}

=== Your task ===
Score both answers from 1 to 10, higher is better: are they helpful, to the point, true of the
picture, and as detailed as was asked for? The order in which they stand is chance and counts for
nothing. Write on the first line two numbers and nothing else, with a space between: the score of
assistant 1, and that of assistant 2. From the second line on, say why.
"""
Pair = tuple[float, float]
"""(score of the reference, score of the model)"""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, what the judge is told of the picture, and the reference's answer."""

    look: Look
    category: str
    context: str
    reference: str


@dataclass(frozen=True, slots=True)
class Scored:
    """What the judge said of one pair."""

    pair: Pair | Invalid
    """the mean of both orders; Invalid where either cannot be read"""
    paper: Pair
    """of the order that the paper asks, the reference first; -1, -1 where it cannot be read"""
    tilt: float | None
    """points that the answer shown first has more than the other, over both orders"""


@dataclass(frozen=True)
class Part:
    """The numbers of all questions, or of a category."""

    name: str
    count: int
    """pairs that were scored"""
    unread: int
    relative: Estimate | None
    """100 * mean(model) / mean(reference); questions are drawn again for the interval"""
    model: float | None
    reference: float | None
    """mean scores"""
    paper: float | None
    """the paper's way, with -1 in both means"""


def read(questions: Path, references: Path, context: Path) -> list[Question]:
    """The questions with what belongs to them; BadData names file and line."""
    rows = objects(questions)
    looks = [
        Look(r.text("question_id"), r.text("text", "question"), r.text("image"), r.where)
        for r in rows
    ]
    distinct([(one.id, one.where) for one in looks])
    told = {row.text("image", "id"): _context(row) for row in objects(context)}
    right = ready(references, looks)
    found: list[Question] = []
    for row, look, answer in zip(rows, looks, right, strict=True):
        if look.image not in told:
            raise row.bad(f"{context} does not tell what {look.image} shows")
        if isinstance(answer, Invalid):
            raise row.bad(f"{references} does not answer question {look.id}")
        found.append(Question(look, row.text("category"), told[look.image], answer))
    return found


def _context(row: Row) -> str:
    """Captions, and boxes as numbers from 0 to 1."""
    if "captions" not in row.row:
        return row.text("caption")
    told = ["\n".join(row.texts("captions"))]
    boxes = row.row.get("instances", [])
    try:
        lines = [f"{box['category']}: {[float(x) for x in box['bbox']]}" for box in boxes]
    except (LookupError, TypeError, ValueError):
        raise row.bad(
            '"instances" are no list of {"category": "cup", "bbox": [0, 0, 1, 1]}'
        ) from None
    if lines:
        told.append("Things and their boxes (left, top, right, bottom, as shares of the picture):")
    return "\n\n".join(["\n".join(told[:1]), "\n".join([*told[1:], *lines])]).strip()


def put(one: Question, first: str, second: str) -> Conversation:
    """What the judge is asked."""
    told = {"context": one.context, "question": one.look.question}
    return ask(_WORDS.format(**told, first=first, second=second))


def scores(text: str) -> Pair | Invalid:
    """Two numbers from 1 to 10 on the first line, and nothing else there."""
    line = text.strip().split("\n", 1)[0].replace("*", "")
    found = [float(one) for one in _NUMBER.findall(line)]
    alone = not re.search(r"[^\d\s.,;/|]", line)
    if len(found) != 2 or not alone or not all(1 <= one <= 10 for one in found):
        return Invalid(f"no two scores from 1 to 10 on the first line: {line[:SHOWN]!r}")
    return found[0], found[1]


def scored(
    judge: Opinion, questions: Sequence[Question], said: Sequence[Reply], *, swap: bool = True
) -> list[Scored | Invalid]:
    """A verdict on each pair; Invalid where the model gave no answer."""
    good = [(i, text) for i, text in enumerate(said) if not isinstance(text, Invalid)]
    asked = [put(questions[i], questions[i].reference, text) for i, text in good]
    if swap:
        asked += [put(questions[i], text, questions[i].reference) for i, text in good]
    heard = judge.written(asked)
    n = judge.card.n
    given = [one if isinstance(one, Invalid) else scores(one.text) for one in heard]
    found = [_mean(given[at : at + n]) for at in range(0, len(given), n)]
    out: list[Scored | Invalid] = [one if isinstance(one, Invalid) else Invalid("") for one in said]
    for at, (i, _) in enumerate(good):
        out[i] = _both(found[at], found[at + len(good)] if swap else None)
    return out


def _mean(few: Sequence[Pair | Invalid]) -> Pair | Invalid:
    readable = [one for one in few if not isinstance(one, Invalid)]
    if not readable:
        return few[0]
    return fmean(a for a, _ in readable), fmean(b for _, b in readable)


def _both(one: Pair | Invalid, other: Pair | Invalid | None) -> Scored:
    """The verdict of one order, or of two."""
    paper = (LOST, LOST) if isinstance(one, Invalid) else one
    if isinstance(one, Invalid) or other is None:
        return Scored(one, paper, None)
    if isinstance(other, Invalid):
        return Scored(other, paper, None)
    pair = ((one[0] + other[1]) / 2, (one[1] + other[0]) / 2)
    return Scored(pair, paper, (one[0] - one[1] + other[0] - other[1]) / 2)


def parts(
    questions: Sequence[Question], verdicts: Sequence[Scored | Invalid], *, seed: int = 0
) -> list[Part]:
    """All, then each category."""
    groups: dict[str, list[Scored]] = {"all": []}
    for one, verdict in zip(questions, verdicts, strict=True):
        if not isinstance(verdict, Invalid):
            groups["all"].append(verdict)
            groups.setdefault(one.category, []).append(verdict)
    if not groups["all"]:
        bad = [one.reason for one in verdicts if isinstance(one, Invalid)]
        raise BadData(f"no question has an answer: {bad[0] if bad else 'there are none'}")
    return [_part(name, rows, seed) for name, rows in groups.items()]


def _part(name: str, rows: Sequence[Scored], seed: int) -> Part:
    units: dict[Pair, int] = {}
    for one in rows:
        if not isinstance(one.pair, Invalid):
            units[one.pair] = units.get(one.pair, 0) + 1
    total, value = sum(units.values()), _relative(units)
    paper: dict[Pair, int] = {}
    for one in rows:
        paper[one.paper] = paper.get(one.paper, 0) + 1
    between = None
    if value is not None:
        between = Estimate(value, *(redrawn(units, _relative, seed=seed) or (value, value)))
    return Part(
        name,
        total,
        len(rows) - total,
        between,
        sum(b * k for (_, b), k in units.items()) / total if total else None,
        sum(a * k for (a, _), k in units.items()) / total if total else None,
        _relative(paper),
    )


def _relative(units: Mapping[Pair, int]) -> float | None:
    reference = sum(a * k for (a, _), k in units.items())
    return 100 * sum(b * k for (_, b), k in units.items()) / reference if reference > 0 else None
