"""What a shape is, and what records of one kind can serve as."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from accord.data.pieces import Flaw, Row, number, question, words
from accord.records import Comparison, Conversation, Demonstration, Prompt, Rating

Kind = Literal["prompts", "demonstrations", "comparisons", "ratings"]
Record = Prompt | Demonstration | Comparison | Rating


@dataclass(frozen=True)
class Graded:
    """One answer and its score: a comparison only beside other answers to the same prompt."""

    prompt: Conversation
    response: str
    score: float
    id: str


Made = Record | Graded
Parts = Iterable[Made | Flaw]
"""what a row that holds several judgements becomes"""


def always(row: Row) -> bool:
    """Its keys say enough."""
    return True


@dataclass(frozen=True)
class Shape:
    """Rows of these keys hold records of this kind, made by this function."""

    said: str
    """a short phrase for people"""
    kind: Kind
    keys: tuple[str, ...]
    make: Callable[[Row, str], Made | Parts]
    """a row (without its nulls) and its name; raises Flaw where nothing can be made of it"""
    fits: Callable[[Row], bool] = always
    """where the keys alone do not tell"""
    asks: Callable[[Row, str], Prompt] | None = None
    """its prompt alone, where the rest may have flaws that do not matter"""
    named: bool = True
    """whether a key 'id' names the row; some sources give the same id to many"""
    placed: bool = False
    """whether the shape itself says which answer stands first, and no judge saw them so"""

    def holds(self, row: Row) -> bool:
        """Whether a row is of this shape."""
        return all(key in row for key in self.keys) and self.fits(row)


# --- what serves as what ---

SERVES: Mapping[Kind, Mapping[Kind, str]] = {
    "prompts": {"prompts": ""},
    "demonstrations": {"demonstrations": "", "prompts": "the prompts alone"},
    "ratings": {
        "ratings": "",
        "demonstrations": "the good answers",
        "prompts": "the prompts alone",
    },
    "comparisons": {
        "comparisons": "",
        "demonstrations": "the best answers",
        "ratings": "best answers good, others not",
        "prompts": "the prompts alone",
    },
}
"""rows' own kind -> the kinds they can be read as, and how that is said"""


def serve(record: Record, kind: Kind) -> list[Record]:
    """A record as another kind wants it; Flaw where it has nothing to give."""
    match record, kind:
        case (Comparison(), "comparisons") | (Rating(), "ratings"):
            return [record]
        case (Demonstration(), "demonstrations") | (Prompt(), "prompts"):
            return [record]
        case Prompt(), _:
            raise TypeError(f"a prompt is no source of {kind}")
        case _, "prompts":
            truth = record.response if isinstance(record, Demonstration) else ""
            return [Prompt(record.prompt, record.id, truth)]
        case Rating(), "demonstrations":
            if not record.good:
                raise Flaw("not a good answer", "it is rated bad: nothing to imitate")
            return [Demonstration(record.prompt, record.response, id=record.id)]
        case Comparison(), "demonstrations":
            response = record.responses[_best(record)[0]]
            return [Demonstration(record.prompt, response, id=record.id)]
        case Comparison(), "ratings":
            best, more = _best(record), {"judge": record.judge, "why": record.why}
            return [
                Rating(record.prompt, text, i in best, id=f"{record.id}/{i}", **more)
                for i, text in enumerate(record.responses)
            ]
    raise TypeError(f"a {type(record).__name__} is no source of {kind}")


def _best(record: Comparison) -> list[int]:
    if record.tie:
        raise Flaw("no answer stands out", "its answers are tied: none is the one to imitate")
    return [i for i, place in enumerate(record.ranks) if place == min(record.ranks)]


# --- what most shapes share ---


def ask_prompt(row: Row, name: str) -> Prompt:
    """The prompt of a row that has one by that name."""
    price = number(row, "length_bonus")
    talk = question(row["prompt"], "prompt")
    return Prompt(talk, name, truth(row), 1.0 if price is None else price)


TRUTHS = ("truth", "response", "completion", "answer", "output", "ground_truth")
"""keys under which a row with a prompt may say the right answer, or one to be imitated"""


def truth(row: Row) -> str:
    """The right answer to a row's prompt, where it has one that is a text or a number."""
    for key in TRUTHS:
        if key in row and isinstance(said := row[key], str | int | float):
            return str(said)
    return ""


def compared(
    row: Row,
    name: str,
    prompt: Conversation,
    responses: tuple[str, ...],
    ranks: tuple[int, ...],
    **more: Any,
) -> Comparison:
    """A comparison that does not contradict itself, with what the row says of it beside."""
    if prompt[-1].role == "assistant":
        raise Flaw("prompt is answered", "what comes before the answers is the assistant's")
    places: dict[str, int] = {}
    for text, place in zip(responses, ranks, strict=True):
        if places.setdefault(text.strip(), place) != place:
            raise Flaw("answers are equal", "the same answer is placed above itself")
    if len(places) == 1:
        raise Flaw("answers are equal", "all its answers are the same")
    p_first = soft_label(row, len(responses))
    if p_first is not None and (p_first - 0.5) * (ranks[0] - ranks[1]) > 0:
        raise Flaw(
            "label contradicts itself", f"p_first is {p_first}, but the order says otherwise"
        )
    told: dict[str, Any] = {
        "judge": words(row.get("judge") or "human", "judge"),
        "strength": number(row, "strength", "margin"),
        "why": words(row.get("why", ""), "why"),
    }
    return Comparison(prompt, responses, ranks, p_first=p_first, id=name, **(told | more))


def soft_label(row: Row, answers: int) -> float | None:
    """The judge's probability that the first of two is better, where the row has one."""
    p = number(row, "p_first")
    if p is not None and (answers != 2 or not 0 <= p <= 1):
        raise Flaw("wrong type", f"key 'p_first' is {p} of {answers}; it is for two, within 0..1")
    return p


def by_score(first: float, second: float) -> tuple[tuple[int, int], float | None]:
    """(ranks, strength) of two answers with scores: the higher is better, equal is a tie."""
    if first == second:
        return (0, 0), None
    return ((0, 1) if first > second else (1, 0)), abs(first - second)
