"""A language model that is asked questions: as a judge, a critic, or one who rewrites.

Who is asked may be a policy on this machine or a server that speaks OpenAI's protocol; those who
ask hold an `LLM` and see no difference.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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
    form: str = ""
    """response_format as JSON, where a server is to hold the answer to a form; no other heeds it"""


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


class Streams:
    """An `LLM` that tells each answer when it comes, so that it can be kept at once.

    Asks are drawn one by one, when there is room for another.
    """

    def saying(
        self, asks: Iterable[Ask], *, longest: int, how: Sampling
    ) -> Iterator[tuple[int, Spoken | Invalid]]:
        """(which ask, its answer), in any order."""
        raise NotImplementedError

    def weighing(
        self, asks: Iterable[tuple[Ask, Sequence[str]]]
    ) -> Iterator[tuple[int, tuple[float, ...] | Invalid]]:
        """(which ask, log p of its options), in any order."""
        raise NotImplementedError

    def say(
        self, asks: Sequence[Ask], *, longest: int, how: Sampling = Sampling()
    ) -> list[Spoken | Invalid]:
        """An answer to each, in order."""
        return _laid(len(asks), self.saying(asks, longest=longest, how=how))

    def weigh(
        self, asks: Sequence[Ask], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...] | Invalid]:
        """log p of the options of each, in order."""
        return _laid(len(asks), self.weighing(zip(asks, options, strict=True)))


def thought(
    llm: LLM,
    asks: Sequence[Ask],
    options: Sequence[str],
    conclude: Callable[[int, str], Ask],
    *,
    longest: int,
    how: Sampling,
    read: Callable[[str], str] = str.rstrip,
) -> list[tuple[float, ...] | Invalid]:
    """log p of the options after a chain of thought on each ask, one chain for one ask.

    `read` says what of a text is the chain, `conclude` (which ask, its chain) what is asked then.
    """
    found: list[tuple[float, ...] | Invalid] = []
    then: dict[int, Ask] = {}
    for place, chain in enumerate(llm.say(asks, longest=longest, how=how)):
        text = read(chain.text) if isinstance(chain, Spoken) else ""
        if text.strip():
            then[place] = conclude(place, text)
        found.append(chain if isinstance(chain, Invalid) else Invalid("chain of thought: empty"))
    weighed = llm.weigh([*then.values()], [options] * len(then)) if then else []
    for place, odds in zip(then, weighed, strict=True):
        found[place] = odds
    return found


def _laid(count: int, given: Iterable[tuple[int, Any]]) -> list[Any]:
    found = dict(given)
    return [found[place] for place in range(count)]
