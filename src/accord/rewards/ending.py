"""What becomes of the score of an answer that was cut, because it did not end itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from accord.records import Rollout
from accord.text.tokenizer import Speller


@dataclass(frozen=True)
class Absolute:
    """An answer that did not end itself scores `value`, whatever it said (Ziegler et al. 2019)."""

    value: float = -1.0
    """what it scores"""

    def __call__(self, score: float) -> float:
        """The new score of an answer without an end."""
        return self.value


@dataclass(frozen=True)
class Relative:
    """An answer that did not end itself has `value` added to its score (Sun et al. 2023)."""

    value: float = -1.0
    """what is added to its score"""

    def __call__(self, score: float) -> float:
        """The new score of an answer without an end."""
        return score + self.value


@dataclass(frozen=True)
class Sentence:
    """Only the words up to a mark are judged; an answer without the mark scores `value`.

    The mark is looked for from token `after` on, as in the code of Ziegler et al. 2019.
    What was said beyond it is not judged, but was said: its tokens still pay their KL.
    """

    mark: str = "."
    """text of the token that ends what is judged"""
    after: int = 16
    """tokens that come before it at least"""
    value: float = -1.0
    """what an answer without the mark scores"""

    def __post_init__(self) -> None:
        if self.after < 0 or not self.mark.strip():
            raise ValueError("after must not be negative, and mark not empty")

    def __call__(self, score: float) -> float:
        """The new score of an answer without the mark."""
        return self.value

    def heard(self, said: Rollout, speller: Speller) -> Rollout:
        """The answer as it is judged: up to the mark, and ended there."""
        for t in range(self.after, len(said.response_ids)):
            if speller.decode(said.response_ids[t : t + 1]).strip() == self.mark:
                ids = (*said.response_ids[: t + 1], speller.end)
                return replace(
                    said, response_ids=ids, logp=(*said.logp[: t + 1], 0.0), finish="stop"
                )
        return replace(said, finish="length")


@dataclass(frozen=True)
class Questions:
    """As Relative; and an answer is judged up to a question mark in it, as one without an end.

    So the code of LLaVA-RLHF (Sun et al. 2023) does, and its paper does not say: a policy is
    punished for asking.  A mark without a space before it counts before one with, wherever it is.
    """

    value: float = -8.0
    """what is added to the score of an answer that was cut, or asks"""

    def __call__(self, score: float) -> float:
        """The new score of an answer without an end."""
        return score + self.value

    def heard(self, said: Rollout, speller: Speller) -> Rollout:
        """The answer as it is judged: up to its mark."""
        marks = [speller.raw(said.response_ids[t : t + 1]) for t in range(len(said.response_ids))]
        at = next((marks.index(mark) for mark in ("?", " ?") if mark in marks), None)
        if at is None:
            return said
        few = slice(at + 1)
        return replace(
            said, response_ids=said.response_ids[few], logp=said.logp[few], finish="length"
        )


@dataclass(frozen=True)
class Overlong:
    """An answer loses the more, the nearer it comes to `longest`: nothing `last` tokens before it,
    `value` at it or where it was cut, and in between in proportion (Yu et al. 2025, eq. 13).
    """

    last: int = 32
    """tokens before `longest` in which that happens"""
    value: float = -1.0
    """what is added to the score in the end"""

    def __post_init__(self) -> None:
        if self.last < 1:
            raise ValueError("last must be at least 1 token")

    def __call__(self, said: Rollout, score: float, longest: int) -> float:
        """The new score of any answer."""
        beyond = len(said.response_ids) - (longest - self.last)
        return score + self.value * max(beyond / self.last, 0.0)


@dataclass(frozen=True)
class Unlearned:
    """Answers that did not end themselves are scored, and count in their group's baseline, but
    nothing is learned from their own tokens (overlong filtering: Yu et al. 2025, section 3.4).
    """


Ending = Absolute | Relative | Sentence | Questions


def heard(rule: Ending | None, rollouts: Sequence[Rollout], speller: Speller) -> list[Rollout]:
    """The answers as they are judged."""
    if not isinstance(rule, Sentence | Questions):
        return list(rollouts)
    return [rule.heard(said, speller) for said in rollouts]


def ended(rule: Ending | None, rollouts: Sequence[Rollout], scores: Sequence[float]) -> list[float]:
    """The scores after the rule; None leaves them as they are."""
    if rule is None:
        return list(scores)
    pairs = zip(rollouts, scores, strict=True)
    return [score if said.finish == "stop" else rule(score) for said, score in pairs]
