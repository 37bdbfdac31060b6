"""A reward model, trained on comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

from accord.data.rows import Tokens, pad
from accord.data.shown import Answer, Case
from accord.engine.roles import Critic
from accord.errors import BadData
from accord.records import Ids, Invalid, Rollout
from accord.rewards.base import Score
from accord.rewards.reader import Reader
from accord.text.tokenizer import Speller

Row = tuple[Ids, Ids]


@dataclass(frozen=True)
class Learned:
    """Scores by a Critic.

    Where it spells like the policy and is shown answers as they stand, ids pass straight through.
    Else prompt and answer are read back as text and shown as comparisons were when it was trained:
    by its own tokenizer and template, with its own end, or with a request and facts after it.
    """

    critic: Critic
    policy: Speller
    reader: Reader | None = None
    """knows the policy's prompts as conversations; asked only where the spellers differ"""
    still: bool = False
    """show facts in the order in which held-out pairs were measured, the same every time; else in
    one of each visit to a prompt, which all answers of that visit share"""

    @property
    def which(self) -> str:
        """The fingerprint of its weights."""
        return f"reward model {self.critic.fingerprint}"

    @property
    def alike(self) -> bool:
        """Whether it spells like the policy."""
        return self.critic.speller.fingerprint == self.policy.fingerprint

    @property
    def straight(self) -> bool:
        """Whether it reads the very ids of the policy, and nothing else."""
        return self.alike and self.critic.shown == Answer()

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout, read where the reward model was trained to be read."""
        rows = [self._fitting(row) for row in self.rows(rollouts)]
        good = [row for row in rows if not isinstance(row, Invalid)]
        if not good:
            return [row for row in rows if isinstance(row, Invalid)]
        scores = iter(self.critic.score(pad(*zip(*good, strict=True))).tolist())
        return [row if isinstance(row, Invalid) else _number(next(scores)) for row in rows]

    def rows(self, rollouts: Sequence[Rollout]) -> list[Row | Invalid]:
        """Prompts and answers as the reward model spells them."""
        if self.straight:
            return [(r.prompt_ids, judged(r, self.policy.end)) for r in rollouts]
        said = (self.reader or Reader(self.policy))(rollouts)
        asked = [
            Case(one.talk, (one.answer,), "" if self.still else _visit(rollout))
            for one, rollout in zip(said, rollouts, strict=True)
        ]
        spelled = self.critic.shown.many(self.critic.speller, asked)
        return [
            Invalid(f"the reward model cannot read it: {row}")
            if isinstance(row, BadData)
            else (row[0], row[1][0])
            for row in spelled
        ]

    def _fitting(self, row: Row | Invalid) -> Row | Invalid:
        if isinstance(row, Invalid) or len(row[0]) + len(row[1]) <= self.critic.context:
            return row
        length = len(row[0]) + len(row[1])
        return Invalid(f"{length} tokens, and the reward model reads {self.critic.context}")


def as_judged(rollouts: Sequence[Rollout], end: int) -> Tokens:
    """Answers as rows, spelled like those that were compared."""
    return pad([r.prompt_ids for r in rollouts], [judged(r, end) for r in rollouts])


def judged(rollout: Rollout, end: int) -> Ids:
    """An answer with an end, also where it was cut.

    People were shown the text of a cut answer, and texts are spelled with their end; scored at any
    other token, a reward model is asked what it never learned.
    """
    said = rollout.response_ids
    return said if rollout.finish == "stop" else (*said, end)


def _visit(rollout: Rollout) -> str:
    """What its prompt is called in this step: its own name without the number of the draw."""
    return rollout.id.rpartition("/")[0] or rollout.id


def _number(score: float) -> Score:
    return score if abs(score) < float("inf") else Invalid(f"the score is {score}")
