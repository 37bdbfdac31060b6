"""Rewards that are rules: a function of what was asked and what was said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accord.records import Invalid, Rollout
from accord.rewards.base import Score
from accord.text.tokenizer import Speller

Judge = Callable[[str, str, bool], float]
"""(prompt text, answer text, whether the answer ended itself) -> score"""


@dataclass(frozen=True)
class Rule:
    """A plain Python function as a reward.  An exception makes that one answer invalid."""

    judge: Judge
    speller: Speller

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        return [self._one(rollout) for rollout in rollouts]

    def _one(self, rollout: Rollout) -> Score:
        asked = self.speller.decode(rollout.prompt_ids)
        try:
            return float(self.judge(asked, self.speller.text(rollout), rollout.finish == "stop"))
        except Exception as error:  # noqa: BLE001  a user's rule may fail in any way
            return Invalid(f"{type(error).__name__}: {error}")
