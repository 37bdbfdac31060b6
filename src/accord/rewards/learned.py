"""A reward model, trained on comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

from accord.data.rows import pad
from accord.engine.roles import Critic
from accord.errors import BadModel
from accord.records import Invalid, Rollout
from accord.rewards.base import Score
from accord.text.tokenizer import Speller


@dataclass(frozen=True)
class Learned:
    """Scores by a Critic.  Ids pass straight through, so both must spell alike."""

    critic: Critic
    policy: Speller

    def __post_init__(self) -> None:
        if self.critic.speller.fingerprint != self.policy.fingerprint:
            raise BadModel(
                "the reward model spells differently from the policy (another tokenizer or "
                "template); train it from the same base model"
            )

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout, read where the reward model was trained to be read."""
        if not rollouts:
            return []
        tokens = pad([r.prompt_ids for r in rollouts], [r.response_ids for r in rollouts])
        scores = self.critic.score(tokens).tolist()
        return [s if abs(s) < float("inf") else Invalid(f"the score is {s}") for s in scores]
