"""The pieces a row of data is made of: texts, messages, numbers; and the flaws they may have."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from hashlib import sha256
from typing import Any

from accord.records import Conversation, Fact, Image, Message, Text, ask
from accord.records.conversation import Part, Role

Row = Mapping[str, Any]
ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
ALIASES: dict[str, Role] = {
    "developer": "system",
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
}
"""what others call the three: ShareGPT, Open-Assistant, Gemini"""
TOOLS = ("tool", "function", "function_call", "observation", "ipython")
THOUGHTS = ("thinking", "reasoning_content", "reasoning")
TURN = re.compile(r"\n\n(Human|Assistant):")


class Flaw(Exception):
    """Why a row cannot be used: a reason to count it under, and what exactly is wrong."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def words(value: object, key: str) -> str:
    """Text that can be spelled."""
    if not isinstance(value, str):
        raise Flaw("wrong type", f"key {key!r} holds a {type(value).__name__}, not text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Flaw("broken text", f"key {key!r} holds half a character") from None
    return value


def filled(value: object, key: str) -> str:
    """Text that says something."""
    text = words(value, key)
    if not text.strip():
        raise Flaw("empty answer", f"key {key!r} is empty")
    return text


def name_of(value: object, key: str) -> str:
    """Who judged, by number or pseudonym; an e-mail address becomes a pseudonym."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    said = words(value, key)
    return f"judge-{pseudonym(said)}" if "@" in said else said


def pseudonym(said: str) -> str:
    """Eight digits, always the same for the same person.  Unsalted: who guesses an address can
    check it, so they keep a name out of sight, and keep no secret.
    """
    return sha256(said.encode()).hexdigest()[:8]


def listed(value: object, key: str) -> list[Any]:
    """A list, or the JSON of one, as tables hold it."""
    found = unpacked(value)
    if not isinstance(found, list):
        raise Flaw("wrong type", f"key {key!r} holds a {type(value).__name__}, not a list")
    return found


def unpacked(value: object) -> object:
    """What a text that is the JSON of a list or an object holds; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def number(row: Row, *keys: str) -> float | None:
    """The first of some keys that is there and not empty, finite."""
    key = next((key for key in keys if row.get(key) not in (None, "")), None)
    return None if key is None else finite(row[key], key)


NUMBERS = (int, float, Decimal, str)


def finite(value: object, key: str) -> float:
    """A finite number; tables hold it as text."""
    try:
        found = float(value) if type(value) in NUMBERS else math.nan  # type: ignore[arg-type]
    except (OverflowError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise Flaw("wrong type", f"key {key!r} holds {_short(value)}, not a finite number")
    return found


def whole(value: object, key: str) -> int:
    """A whole number of ordinary size; 1.0 is one, as tables with gaps hold it."""
    if isinstance(value, float | Decimal):
        with suppress(ArithmeticError):  # a Decimal that compares with nothing
            if -(2**31) < value < 2**31 and value == int(value):
                return int(value)
    if type(value) is not int or abs(value) >= 2**31:
        raise Flaw("wrong type", f"key {key!r} holds {_short(value)}, not a whole number")
    return value


YES_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def yes(value: object, key: str) -> bool:
    """True or false; tables hold it as text."""
    found = YES_NO.get(str(value).lower()) if isinstance(value, bool | int | str) else None
    if found is None:
        raise Flaw("wrong type", f"key {key!r} holds {_short(value)}, not true or false")
    return found


def _short(value: object) -> str:
    try:
        said = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return f"a very large {type(value).__name__}"
    return said if len(said) <= 60 else said[:57] + "..."


# --- conversations ---


def conversation(value: object, key: str) -> Conversation:
    """Messages from `[{"role", "content"}, …]`, or from a text that is the user's only message."""
    if isinstance(value, str):
        told = unpacked(value) if '"role"' in value or '"from"' in value else value
        if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
            return ask(words(value, key))
        value = told
    if not isinstance(value, list) or not value:
        raise Flaw("wrong type", f"key {key!r} must be text or a list of messages")
    return tuple(message(one, key) for one in value)


def message(value: object, key: str) -> Message:
    """One message, as {"role", "content"} or ShareGPT's {"from", "value"}."""
    if not isinstance(value, dict):
        raise Flaw("wrong type", f"key {key!r}: a message needs 'role' and 'content'")
    said = value if "role" in value else {**value, "role": value.get("from")}
    if said.get("tool_calls") or said["role"] in TOOLS:
        raise Flaw("tool calls", f"key {key!r} calls a tool, which a record cannot hold")
    if thought := next((word for word in THOUGHTS if said.get(word)), None):
        raise Flaw("thinking", f"key {key!r} holds {thought!r}, which a record cannot hold")
    content = said.get("content", said.get("value"))
    if said["role"] is None or content is None:
        raise Flaw("wrong type", f"key {key!r}: a message needs 'role' and 'content'")
    role = role_of(said["role"], key)
    if isinstance(content, list):
        return Message(role, tuple(_part(one, key) for one in content))
    return Message.of(role, words(content, f"{key}.content"))


def role_of(value: object, key: str) -> Role:
    """One of the three roles, whatever others call it."""
    known = {**ROLES, **ALIASES}
    if not isinstance(value, str) or value.lower() not in known:
        raise Flaw(
            "unknown role", f"key {key!r}: role {_short(value)} is not one of {', '.join(ROLES)}"
        )
    return known[value.lower()]


def _part(value: object, key: str) -> Part:
    match value:
        case {"type": "text", "text": text}:
            return Text(words(text, f"{key}.text"))
        case {"type": "image", "path": path} | {"type": "image", "image": str(path)}:
            return Image(words(path, f"{key}.path"))
        case {"type": "fact", "text": text}:
            return Fact(words(text, f"{key}.text"))
    raise Flaw("wrong type", f"key {key!r}: a part is a text, a fact, or an image with a path")


def question(value: object, key: str) -> Conversation:
    """A conversation that waits for an answer."""
    talk = conversation(value, key)
    if talk[-1].role == "assistant":
        raise Flaw("prompt is answered", f"key {key!r} ends with the assistant's turn")
    return talk


def answer(value: object, key: str, prompt: Conversation) -> str:
    """Text, or messages that end with the assistant's and otherwise repeat the prompt (or not)."""
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, str) and '"role"' not in value and '"from"' not in value:
        return filled(value, key)
    talk = conversation(value, key)
    if isinstance(value, str) and talk == ask(value):
        return filled(value, key)
    if talk[:-1] not in ((), prompt):
        raise Flaw("prompts differ", f"key {key!r} answers another prompt than the row's")
    return last(talk, key)[1]


def last(talk: Conversation, key: str) -> tuple[Conversation, str]:
    """A whole conversation as its prompt and the assistant's last words."""
    if talk[-1].role != "assistant":
        raise Flaw("no answer", f"key {key!r} does not end with the assistant's turn")
    if len(talk) > 1 and talk[-2].role == "assistant":
        raise Flaw("turns do not alternate", f"key {key!r}: the assistant speaks twice in a row")
    if talk[-1].images:
        raise Flaw("wrong type", f"key {key!r}: an answer is text, not a picture")
    return talk[:-1], filled(talk[-1].text, key)


def under(system: object, key: str, talk: Conversation) -> Conversation:
    """A conversation with a system prompt before it, where there is one."""
    if system is None or system == "":
        return talk
    return (Message.of("system", words(system, key)), *talk)


def turns(text: str, key: str) -> Conversation:
    r"""A transcript "\n\nHuman: …\n\nAssistant: …" as messages, without the space around turns."""
    start, *parts = TURN.split(text if text.startswith("\n\n") else "\n\n" + text)
    if start.strip() or not parts:
        raise Flaw("not a transcript", rf"key {key!r} must begin with '\n\nHuman:'")
    roles: list[Role] = ["user" if who == "Human" else "assistant" for who in parts[::2]]
    if any(role != ("user", "assistant")[i % 2] for i, role in enumerate(roles)):
        raise Flaw("turns do not alternate", f"key {key!r}: one side speaks twice in a row")
    return tuple(Message.of(r, said.strip()) for r, said in zip(roles, parts[1::2], strict=True))


def ranked_by(scores: Sequence[float]) -> tuple[int, ...]:
    """Places from scores, the highest first; equal scores share a place."""
    order = sorted(set(scores), reverse=True)
    return tuple(order.index(score) for score in scores)
