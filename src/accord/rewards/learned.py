"""A reward model, trained on comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

from accord.data.rows import Tokens, pad
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

    @property
    def which(self) -> str:
        """The fingerprint of its weights."""
        return f"reward model {self.critic.fingerprint}"

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout, read where the reward model was trained to be read."""
        if not rollouts:
            return []
        scores = self.critic.score(as_judged(rollouts, self.policy.end)).tolist()
        return [s if abs(s) < float("inf") else Invalid(f"the score is {s}") for s in scores]


def as_judged(rollouts: Sequence[Rollout], end: int) -> Tokens:
    """Answers as rows, spelled like those that were compared: with an end, also where one was cut.

    People were shown the text of a cut answer, and texts are spelled with their end; scored at any
    other token, a reward model is asked what it never learned.
    """
    said = [r.response_ids if r.finish == "stop" else (*r.response_ids, end) for r in rollouts]
    return pad([r.prompt_ids for r in rollouts], said)
