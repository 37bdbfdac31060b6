"""Votes on two answers side by side: LMArena's conversations, and plain tables."""

from itertools import takewhile

from accord.data.pieces import (
    Flaw,
    Row,
    conversation,
    filled,
    last,
    listed,
    name_of,
    question,
    unpacked,
    words,
    yes,
)
from accord.data.shapes.base import Shape, ask_prompt, compared
from accord.records import Comparison, Conversation, Prompt, ask

WINNERS = {
    **dict.fromkeys(("model_a", "left", "a", "answer1", "response1"), (0, 1)),
    **dict.fromkeys(("model_b", "right", "b", "answer2", "response2"), (1, 0)),
    **dict.fromkeys(("tie", "tie (bothbad)", "both_bad", "bothbad"), (0, 0)),
}

APART = "each model had a conversation of its own"
"""and the whole of it was judged, which no single answer of it stands for"""


def _winner(row: Row) -> tuple[tuple[int, int], dict[str, str]]:
    said = words(row["winner"], "winner").strip().lower()
    if said not in WINNERS:
        raise Flaw("unknown winner", f"key 'winner' is {said!r}, not {', '.join(WINNERS)}")
    return WINNERS[said], {"why": "both bad"} if "bad" in said else {}


def _arena(row: Row, name: str) -> Comparison:
    talks = _talks(row)
    (prompt, first), (other, second) = map(last, talks, ("conversation_a", "conversation_b"))
    if prompt != other:
        raise Flaw(APART, "they go different ways before their last turns")
    if not prompt:
        raise Flaw("no prompt", "key 'conversation_a' holds the answer alone")
    ranks, more = _winner(row)
    return compared(row, name, prompt, (first, second), ranks, **(more | _voter(row)))


def _talks(row: Row) -> tuple[Conversation, Conversation]:
    first, second = (
        conversation(unpacked(row[key]), key) for key in ("conversation_a", "conversation_b")
    )
    return first, second


def _common(first: Conversation, second: Conversation) -> Conversation:
    """What two conversations begin with, as far as it waits for an answer."""
    same = list(takewhile(lambda pair: pair[0] == pair[1], zip(first, second)))
    while same and same[-1][0].role == "assistant":
        same.pop()
    return tuple(message for message, _ in same)


def _ask_arena(row: Row, name: str) -> Prompt:
    """What both models were asked before they went apart."""
    asked = _common(*_talks(row))
    if not asked:
        raise Flaw("no prompt", "the two conversations begin with different messages")
    return Prompt(asked, name)


def _arena_columns(row: Row, name: str) -> Comparison:
    """The form with one column for each outcome; prompt and answers are lists of turns."""
    turns = [listed(row[key], key) for key in ("prompt", "response_a", "response_b")]
    if any(len(one) != 1 for one in turns):
        raise Flaw(APART, f"its prompts, and the answers, are {len(turns[0])} turns, not one")
    asked, first, second = (filled(one[0], "prompt and responses") for one in turns)
    keys = ("winner_model_a", "winner_model_b", "winner_tie")
    won = [yes(row[key], key) for key in keys]
    if sum(won) != 1:
        raise Flaw("unknown winner", "not exactly one of a, b and tie has won")
    ranks = ((0, 1), (1, 0), (0, 0))[won.index(True)]
    return compared(row, name, ask(asked), (first, second), ranks, **_voter(row))


def _ask_columns(row: Row, name: str) -> Prompt:
    told = listed(row["prompt"], "prompt")
    return Prompt(ask(filled(told[0] if told else "", "prompt")), name)


def _ab(row: Row, name: str) -> Comparison:
    """Left against right, one row a vote.  Answers may be mere names of models."""
    prompt = question(row["prompt"], "prompt")
    ranks, more = _winner(row)
    told = (filled(row["left"], "left"), filled(row["right"], "right"))
    return compared(row, name, prompt, told, ranks, **(more | _voter(row)))


def _voter(row: Row) -> dict[str, str]:
    key = next((k for k in ("judge", "worker") if row.get(k) not in (None, "")), None)
    return {"judge": name_of(row[key], key)} if key else {}


def _models_only(row: Row) -> bool:
    return "model_x" in row and "model_y" in row


SHAPES = (
    Shape(
        "LMArena votes",
        "comparisons",
        ("conversation_a", "conversation_b", "winner"),
        _arena,
        asks=_ask_arena,
    ),
    Shape(
        "LMArena votes, a column for each outcome",
        "comparisons",
        ("prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie"),
        _arena_columns,
        asks=_ask_columns,
    ),
    Shape(
        "A/B votes on models by name, without their answers",
        "comparisons",
        ("prompt", "left", "right", "winner"),
        _ab,
        _models_only,
        asks=ask_prompt,
        named=False,
    ),
    Shape(
        "A/B votes",
        "comparisons",
        ("prompt", "left", "right", "winner"),
        _ab,
        asks=ask_prompt,
        named=False,
    ),
)
