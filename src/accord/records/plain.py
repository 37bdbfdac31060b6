"""Conversations as plain JSON, the same way wherever they are kept."""

from typing import Any

from accord.records.conversation import Conversation, Fact, Image, Message, Part, Text

KINDS: dict[str, tuple[type[Any], str]] = {
    "text": (Text, "text"),
    "image": (Image, "path"),
    "fact": (Fact, "text"),
}
"""what a part says it is -> its class, and the key that holds it"""


def messages(conversation: Conversation) -> list[dict[str, Any]]:
    """[{"role", "content"}]: content is text where there is no more, else a list of parts."""
    return [{"role": one.role, "content": content(one)} for one in conversation]


def content(message: Message) -> str | list[dict[str, str]]:
    """Of one message."""
    if message == Message.of(message.role, message.text):
        return message.text
    names = {kind: (name, key) for name, (kind, key) in KINDS.items()}
    told = ((*names[type(part)], part) for part in message.content)
    return [{"type": name, key: getattr(part, key)} for name, key, part in told]


def part(told: dict[str, Any]) -> Part:
    """What one of such parts says; KeyError where it is none."""
    kind, key = KINDS[told["type"]]
    made: Part = kind(told[key])
    return made
