"""A language model that is asked questions: as a judge, a critic, or one who rewrites.

Who is asked may be a policy on this machine or a server that speaks OpenAI's protocol; those who
ask hold an `LLM` and see no difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from accord.engine.draw import Sampling
from accord.records import Conversation, Invalid


@dataclass(frozen=True, slots=True)
class Ask:
    """One question."""

    messages: Conversation
    opened: str = ""
    """how the answer begins already, such as "The answer is:"; what is given back follows it"""
    seed: int = 0
    """the dice of this answer: the same question with the same seed is the same call"""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One answer, without what it was opened with."""

    text: str
    ended: bool
    """it came to its end by itself, and was not cut at the most tokens allowed"""
    read: int = 0
    """tokens of the question"""
    written: int = 0
    """tokens of the answer"""


class LLM(Protocol):
    """One model.  What cannot be answered is `Invalid(reason)`, never a made-up text or number."""

    @property
    def which(self) -> str:
        """Who it is: weights and template, or address and name.  Part of what is cached by."""
        ...

    def say(
        self, asks: Sequence[Ask], /, *, longest: int, how: Sampling = Sampling()
    ) -> list[Spoken | Invalid]:
        """An answer of at most `longest` tokens to each, in order."""
        ...

    def weigh(
        self, asks: Sequence[Ask], options: Sequence[Sequence[str]], /
    ) -> list[tuple[float, ...] | Invalid]:
        """log p of each option as the whole continuation (the sum over its tokens, nats); the
        options of `asks[i]` are `options[i]`.
        """
        ...
