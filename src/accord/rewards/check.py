"""Does a reward say in training what it said when it was measured?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from accord.data.comparisons import sides, spell_pairs
from accord.engine.roles import Critic
from accord.errors import BadData, BadModel
from accord.records import Comparison, Invalid, Rollout
from accord.rewards.base import Reward
from accord.rewards.learned import Learned
from accord.store.artifact import Artifact
from accord.text.tokenizer import Speller

SLACK = 0.01
"""share of pairs that may fall otherwise: scores a rounding apart, in other micro-batches"""
LOST = 0.1
"""share of pairs beyond which a reward that cannot judge them is broken"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a reward prefers what people preferred; equal scores count half."""

    accuracy: float
    pairs: int
    invalid: int
    """pairs of which one answer got no score; they count for nobody"""
    reason: str = ""
    """why, of one of these"""

    def __str__(self) -> str:
        lost = f" ({self.invalid} without a score)" if self.invalid else ""
        return f"{self.accuracy:.1%} of {self.pairs} pairs{lost}"


def agreement(reward: Reward, speller: Speller, comparisons: Sequence[Comparison]) -> Agreement:
    """Of comparisons whose answers are scored as if the policy with this speller had said them.

    BadData where there is no pair, or more than a tenth of the pairs get no score.
    """
    rows, _ = spell_pairs(comparisons, speller)
    said = [
        Rollout(f"{n}/{k}", row.prompt_ids, ids, (0.0,) * len(ids), 0, "stop")
        for n, row in enumerate(rows)
        for k, ids in enumerate(row.response_ids)
    ]
    scores = iter(reward(said))
    points, lost, why = [], 0, ""
    for row in rows:
        given = [next(scores) for _ in row.response_ids]
        for i, a in enumerate(row.ranks):
            for j, b in enumerate(row.ranks):
                better, worse = given[i], given[j]
                if a >= b:
                    continue
                if isinstance(better, Invalid) or isinstance(worse, Invalid):
                    lost += 1
                    why = next(s.reason for s in (better, worse) if isinstance(s, Invalid))
                else:
                    points.append(1.0 if better > worse else 0.5 if better == worse else 0.0)
    if not points or lost > LOST * (lost + len(points)):
        why = f"{lost} pairs got no score: {why}" if lost else "no comparison has a better answer"
        raise BadData(f"the reward cannot be checked: {why}")
    return Agreement(sum(points) / len(points), len(points), lost, why)


def held_out(comparisons: Sequence[Comparison], critic: Critic, made: Artifact) -> list[Comparison]:
    """Those that the reward model was measured on when it was made from these."""
    longest = min(made.settings["longest"], critic.context)
    named = (replace(one, id=str(n)) for n, one in enumerate(comparisons))
    rows, _ = spell_pairs(named, critic.speller, longest, critic.shown)
    share, seed = made.settings["held_out"], made.settings["seed"]
    _, kept = sides(rows, comparisons, critic.shown, share, seed)
    return [comparisons[int(row.id)] for row in kept]


def check(
    reward: Reward, speller: Speller, comparisons: Sequence[Comparison], expected: float
) -> Agreement:
    """BadModel where a reward model agrees otherwise than it was measured to (another template,
    another end, damaged weights): on the same comparisons, but on the way that training takes.
    """
    still = replace(reward, still=True) if isinstance(reward, Learned) else reward
    found = agreement(still, speller, comparisons)
    if abs(found.accuracy - expected) > max(SLACK, 1.5 / found.pairs):
        raise BadModel(
            f"the reward model agreed with {expected:.1%} of the held-out pairs when it was made, "
            f"and on the way that training takes with {found}: it is not shown what it learned; "
            "compare its template and tokenizer with the policy's"
        )
    return found
