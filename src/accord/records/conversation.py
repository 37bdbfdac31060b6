"""What is said to a model and by it."""

from dataclasses import dataclass, field, replace
from typing import Literal

Role = Literal["system", "user", "assistant"]
Ids = tuple[int, ...]
"""Token ids: the only currency between sampler, reward and trainer.  Text is a view of them."""


@dataclass(frozen=True, slots=True)
class Text:
    """A part that is read."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A part that is seen."""

    path: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A part that is known to be true, and that judges alone are told."""

    text: str


Part = Text | Image | Fact


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: its parts in the order they were said."""

    role: Role
    content: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, text: str) -> "Message":
        return cls(role, (Text(text),))

    @property
    def text(self) -> str:
        """The text parts, joined; pictures and facts are left out."""
        return "".join(part.text for part in self.content if isinstance(part, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(part for part in self.content if isinstance(part, Image))

    @property
    def facts(self) -> tuple[str, ...]:
        return tuple(part.text for part in self.content if isinstance(part, Fact))


Conversation = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation that waits for an answer."""

    messages: Conversation
    id: str = ""
    truth: str = field(default="", compare=False)
    """an answer known to be right, where the source has one: what a checking reward goes by"""
    price: float = field(default=1.0, compare=False)
    """what a token of its answer costs, as a multiple of what others cost"""


def ask(text: str) -> Conversation:
    """The shortest conversation: one user message."""
    return (Message.of("user", text),)


def facts(conversation: Conversation) -> tuple[str, ...]:
    """All that judges are told of it."""
    return tuple(fact for message in conversation for fact in message.facts)


def untold(conversation: Conversation) -> Conversation:
    """The same without what judges alone are told."""
    return tuple(
        replace(one, content=tuple(part for part in one.content if not isinstance(part, Fact)))
        if one.facts
        else one
        for one in conversation
    )
