"""Rewards that go by an answer known to be right: an option by its letter, yes, or no.

Sun et al. 2023 add them to a learned reward, so that a policy does not unlearn short right answers:
reward=runs/reward/reward,2*correct.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from accord.errors import BadData
from accord.records import Conversation, Prompt, Rollout
from accord.rewards.base import Score
from accord.rewards.reader import Reader

OPTION = re.compile(r"\(?([A-H])\)?[.)]?")
"""how a row writes the letter that is right"""


class YesNo(NamedTuple):
    """What an answer that begins with the right word earns, and one with the other."""

    right: float = 0.5
    wrong: float = -0.5


EVEN = YesNo()


@dataclass(frozen=True)
class Correct:
    """1 for the right option; for yes and no as much as said below; 0 where nothing is known."""

    reader: Reader
    right: Mapping[Conversation, str]
    """what is right: a letter, yes, or no"""
    yes: YesNo = EVEN
    """where yes is right.  The authors' code pays nothing there, against a bias to say yes"""
    no: YesNo = EVEN
    """where no is right"""

    @classmethod
    def of(cls, reader: Reader, prompts: Sequence[Prompt], yes: YesNo = EVEN) -> "Correct":
        """For these prompts; BadData where none of them knows an option, yes or no."""
        known = {p.messages: told for p in prompts if (told := normal(p.truth))}
        if not known:
            raise BadData(
                "reward=correct must know what is right: no prompt has a letter, yes or no as its "
                "truth"
            )
        return cls(reader, known, yes)

    @property
    def which(self) -> str:
        """Its name, and SHA-256 of what is right."""
        told = sorted(f"{talk} {answer}" for talk, answer in self.right.items())
        return f"correct {self.yes} {sha256(chr(10).join(told).encode()).hexdigest()}"

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        said = self.reader(rollouts)
        return [self._score(one.answer, self.right.get(one.talk, "")) for one in said]

    def _score(self, answer: str, right: str) -> float:
        said = answer.strip()
        if right in ("yes", "no"):
            pays = self.yes if right == "yes" else self.no
            other = "no" if right == "yes" else "yes"
            begins = said.lower()
            return pays.right if begins.startswith(right) else pays.wrong * begins.startswith(other)
        if not right:
            return 0.0
        return float(said.startswith(f"{right}.") or f"correct option is {right}." in said)


def normal(truth: str) -> str:
    """A letter of an option, yes or no; empty where it is neither."""
    said = truth.strip().rstrip(".").lower()
    if said in ("yes", "no"):
        return said
    found = OPTION.fullmatch(truth.strip())
    return found[1] if found else ""
