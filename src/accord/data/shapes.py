"""The shapes in which one row of data may come, and the records they become.

A new shape is a function from a row to a record and a line in one of the three tables below.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from accord.config import nearest
from accord.records import (
    Comparison,
    Conversation,
    Demonstration,
    Image,
    Message,
    Prompt,
    Text,
    ask,
)
from accord.records.conversation import Part, Role

Row = Mapping[str, Any]
R = TypeVar("R", Prompt, Demonstration, Comparison)
ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
TURN = re.compile(r"\n\n(Human|Assistant):")


class Flaw(Exception):
    """Why a row cannot be used: a reason to count it under, and what exactly is wrong."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Shape(Generic[R]):
    """Rows that have these keys are read by this function."""

    keys: tuple[str, ...]
    make: Callable[[Row, str], R]


def record(row: object, shapes: Sequence[Shape[R]], name: str) -> R:
    """The record a row becomes, called `name` unless it has an id; Flaw if it becomes none."""
    if not isinstance(row, dict):
        raise Flaw("not an object", f"the line holds a {type(row).__name__}, not an object")
    here = {key: value for key, value in row.items() if value is not None}
    for shape in shapes:
        if all(key in here for key in shape.keys):
            own = here.get("id", name)
            if not isinstance(own, str | int) or isinstance(own, bool):
                raise Flaw("wrong type", f"key 'id' holds {own!r}; it must be a string or a number")
            return shape.make(here, str(own) or name)
    raise Flaw("missing key", _wanted(here, shapes))


def _wanted(row: Row, shapes: Sequence[Shape[R]]) -> str:
    known = sorted({key for shape in shapes for key in shape.keys})
    near = [(key, nearest(key, known)) for key in row if key not in known]
    hint = "".join(f"; is {key!r} meant to be {good!r}?" for key, good in near if good)
    forms = ", or ".join(" + ".join(shape.keys) for shape in shapes)
    return f"keys are {', '.join(map(repr, row)) or 'none'}; needed are {forms}{hint}"


# --- pieces of a row ---


def words(value: object, key: str) -> str:
    """Text that can be spelled."""
    if not isinstance(value, str):
        raise Flaw("wrong type", f"key {key!r} holds a {type(value).__name__}, not text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Flaw("broken text", f"key {key!r} holds half a character") from None
    return value


def conversation(value: object, key: str) -> Conversation:
    """Messages from `[{"role", "content"}, …]`, or from a text that is the user's only message."""
    if isinstance(value, str):
        return ask(words(value, key))
    if not isinstance(value, list) or not value:
        raise Flaw("wrong type", f"key {key!r} must be text or a list of messages")
    return tuple(_message(one, key) for one in value)


def _message(value: object, key: str) -> Message:
    if not isinstance(value, dict) or "role" not in value or "content" not in value:
        raise Flaw("wrong type", f"key {key!r}: a message needs 'role' and 'content'")
    role, content = value["role"], value["content"]
    if not isinstance(role, str) or role not in ROLES:
        raise Flaw("unknown role", f"key {key!r}: role {role!r} is not one of {', '.join(ROLES)}")
    if isinstance(content, list):
        return Message(ROLES[role], tuple(_part(one, key) for one in content))
    return Message.of(ROLES[role], words(content, f"{key}.content"))


def _part(value: object, key: str) -> Part:
    match value:
        case {"type": "text", "text": text}:
            return Text(words(text, f"{key}.text"))
        case {"type": "image", "path": path}:
            return Image(words(path, f"{key}.path"))
    raise Flaw("wrong type", f"key {key!r}: a part is a text or an image with a path")


def question(value: object, key: str) -> Conversation:
    """A conversation that waits for an answer."""
    talk = conversation(value, key)
    if talk[-1].role == "assistant":
        raise Flaw("prompt is answered", f"key {key!r} ends with the assistant's turn")
    return talk


def answer(value: object, key: str, prompt: Conversation) -> str:
    """Text, or messages that end with the assistant's and otherwise repeat the prompt (or not)."""
    if isinstance(value, str):
        return _filled(words(value, key), key)
    talk = conversation(value, key)
    if talk[:-1] not in ((), prompt):
        raise Flaw("prompts differ", f"key {key!r} answers another prompt than the row's")
    return _last(talk, key)[1]


def _last(talk: Conversation, key: str) -> tuple[Conversation, str]:
    """A whole conversation as its prompt and the assistant's last words."""
    if talk[-1].role != "assistant":
        raise Flaw("no answer", f"key {key!r} does not end with the assistant's turn")
    if talk[-1].images:
        raise Flaw("wrong type", f"key {key!r}: an answer is text, not a picture")
    return talk[:-1], _filled(talk[-1].text, key)


def _filled(text: str, key: str) -> str:
    if not text.strip():
        raise Flaw("empty answer", f"key {key!r} is empty")
    return text


def number(row: Row, *keys: str) -> float | None:
    """The first of some keys that is there, finite."""
    key = next((key for key in keys if key in row), None)
    if key is None:
        return None
    value = row[key]
    try:
        found = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise Flaw("wrong type", f"key {key!r} holds {value!r}, not a finite number")
    return found


def turns(text: str, key: str) -> Conversation:
    r"""A transcript "\n\nHuman: …\n\nAssistant: …" as messages, without the space around turns."""
    start, *parts = TURN.split(text if text.startswith("\n\n") else "\n\n" + text)
    if start.strip() or not parts:
        raise Flaw("not a transcript", rf"key {key!r} must begin with '\n\nHuman:'")
    roles: list[Role] = ["user" if who == "Human" else "assistant" for who in parts[::2]]
    if any(role != ("user", "assistant")[i % 2] for i, role in enumerate(roles)):
        raise Flaw("turns do not alternate", f"key {key!r}: one side speaks twice in a row")
    return tuple(Message.of(r, said.strip()) for r, said in zip(roles, parts[1::2], strict=True))


# --- shapes of prompts and demonstrations ---


def _prompt(row: Row, name: str) -> Prompt:
    key = "prompt" if "prompt" in row else "messages"
    return Prompt(question(row[key], key), name)


def _demonstration(row: Row, name: str) -> Demonstration:
    key = "response" if "response" in row else "completion"
    prompt = question(row["prompt"], "prompt")
    return Demonstration(prompt, answer(row[key], key, prompt), _author(row), name)


def _dialogue(row: Row, name: str) -> Demonstration:
    prompt, response = _last(conversation(row["messages"], "messages"), "messages")
    if not prompt:
        raise Flaw("no prompt", "key 'messages' holds the answer alone")
    return Demonstration(prompt, response, _author(row), name)


def _text(row: Row, name: str) -> Demonstration:
    """Plain text: an answer to nobody."""
    return Demonstration((), _filled(words(row["text"], "text"), "text"), _author(row), name)


def _author(row: Row) -> str:
    return words(row.get("author", "human"), "author")


# --- shapes of comparisons ---


def _ranked(row: Row, name: str) -> Comparison:
    prompt = question(row["prompt"], "prompt")
    told = row["responses"]
    if not isinstance(told, list) or len(told) < 2:
        raise Flaw("wrong type", "key 'responses' must be a list of two answers or more")
    responses = tuple(answer(one, f"responses[{i}]", prompt) for i, one in enumerate(told))
    ranks = row.get("ranks")
    if ranks is None:
        p = _p_first(row, len(responses))
        ranks = [0, 0] if p == 0.5 else [0, 1] if p is not None and p > 0.5 else [1, 0]
    if not isinstance(ranks, list) or any(type(place) is not int for place in ranks):
        raise Flaw("wrong type", "key 'ranks' must be a list of whole numbers, 0 for the best")
    if len(ranks) != len(responses):
        raise Flaw("wrong type", f"key 'ranks' has {len(ranks)} for {len(responses)} responses")
    return _compared(row, name, prompt, responses, tuple(ranks))


def _pair(row: Row, name: str) -> Comparison:
    prompt = question(row["prompt"], "prompt")
    responses = tuple(answer(row[key], key, prompt) for key in ("chosen", "rejected"))
    return _compared(row, name, prompt, responses, (0, 1))


def _whole_pair(row: Row, name: str) -> Comparison:
    """Two whole conversations, as messages or transcripts, that differ in the last turn alone."""
    chosen, rejected = row["chosen"], row["rejected"]
    if isinstance(chosen, str) and isinstance(rejected, str):
        prompt, responses = _transcripts(words(chosen, "chosen"), words(rejected, "rejected"))
        return _compared(row, name, prompt, responses, (0, 1))
    first = conversation(chosen, "chosen")
    second = conversation(rejected, "rejected")
    if first[:-1] != second[:-1] or not first[:-1]:
        raise Flaw("prompts differ", "'chosen' and 'rejected' do not answer the same prompt")
    responses = (_last(first, "chosen")[1], _last(second, "rejected")[1])
    return _compared(row, name, first[:-1], responses, (0, 1))


def _transcripts(chosen: str, rejected: str) -> tuple[Conversation, tuple[str, ...]]:
    """Of hh-rlhf (Bai et al. 2022): split where the assistant speaks last in `chosen`."""
    before, mark, _ = chosen.rpartition("\n\nAssistant:")
    if not mark:
        raise Flaw("not a transcript", "key 'chosen' has neither a prompt nor '\\n\\nAssistant:'")
    if not rejected.startswith(before + mark):
        raise Flaw("prompts differ", "'rejected' does not begin with the prompt of 'chosen'")
    answers = [whole[len(before + mark) :] for whole in (chosen, rejected)]
    for said, key in zip(answers, ("chosen", "rejected"), strict=True):
        _filled(said, key)
        if TURN.search(said):
            raise Flaw("turns do not alternate", f"key {key!r}: one side speaks twice in a row")
    prompt = turns(before, "chosen")
    if prompt[-1].role != "user":
        raise Flaw("turns do not alternate", "key 'chosen': the assistant speaks twice in a row")
    return prompt, tuple(said.strip() for said in answers)


def _p_first(row: Row, answers: int) -> float | None:
    p = number(row, "p_first")
    if p is not None and (answers != 2 or not 0 <= p <= 1):
        raise Flaw("wrong type", f"key 'p_first' is {p} of {answers}; it is for two, within 0..1")
    return p


def _compared(
    row: Row, name: str, prompt: Conversation, responses: tuple[str, ...], ranks: tuple[int, ...]
) -> Comparison:
    places: dict[str, int] = {}
    for text, place in zip(responses, ranks, strict=True):
        if places.setdefault(text.strip(), place) != place:
            raise Flaw("answers are equal", "the same answer is placed above itself")
    if len(places) == 1:
        raise Flaw("answers are equal", "all its answers are the same")
    p_first = _p_first(row, len(responses))
    if p_first is not None and (p_first - 0.5) * (ranks[0] - ranks[1]) > 0:
        raise Flaw(
            "label contradicts itself", f"p_first is {p_first}, but the order says otherwise"
        )
    return Comparison(
        prompt,
        responses,
        ranks,
        judge=words(row.get("judge", "human"), "judge"),
        strength=number(row, "strength", "margin"),
        p_first=p_first,
        why=words(row.get("why", ""), "why"),
        id=name,
    )


# --- the tables: the first shape whose keys are all there is taken ---

PROMPTS = (Shape(("prompt",), _prompt), Shape(("messages",), _prompt))
DEMONSTRATIONS = (
    Shape(("prompt", "response"), _demonstration),
    Shape(("prompt", "completion"), _demonstration),
    Shape(("messages",), _dialogue),
)
TEXTS = (Shape(("text",), _text), *DEMONSTRATIONS)
COMPARISONS = (
    Shape(("prompt", "responses", "ranks"), _ranked),
    Shape(("prompt", "responses", "p_first"), _ranked),
    Shape(("prompt", "chosen", "rejected"), _pair),
    Shape(("chosen", "rejected"), _whole_pair),
)
