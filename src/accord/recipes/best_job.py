"""Best-of-n: n answers to each prompt, of which the one that a reward likes most is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from accord.config.limits import Count
from accord.data import sources
from accord.data.columns import SplitFacts
from accord.engine.roles import Policy
from accord.errors import BadSettings, CannotWrite
from accord.maths.selection import best_of_n_bound, best_of_n_kl
from accord.recipes.job import Desk
from accord.recipes.jobs import SampleJob, answered, questions
from accord.recipes.judging import Bench, Rewards
from accord.records import Demonstration
from accord.rewards.base import valid


class BestJob(SampleJob, Rewards):
    """The best of several answers of a model."""

    n: Count = 16
    """answers to each prompt, of which the best is given"""
    out: Path | None = None
    """JSON lines to write prompts and best answers to, as demonstrations; not written over"""
    files: SplitFacts = SplitFacts()
    """how prompts= and check= are read"""


@dataclass(frozen=True)
class BestOfN:
    """What came out."""

    rows: Sequence[tuple[str, str, float]]
    """prompt, best answer, its reward"""
    mean: float
    """reward of all answers"""
    n: int
    kl: float
    """of the best of n from the policy, nats; mean over prompts, rewards as likely as they came"""
    lost: int
    """answers without a valid score"""
    lone: int
    """prompts that none of their answers has a valid score for"""

    def lines(self) -> list[str]:
        """For people."""
        best = sum(r for *_, r in self.rows) / len(self.rows)
        told = [
            f"reward {best:.4g}, where the mean of all {self.n} answers is {self.mean:.4g}",
            f"KL from the policy at most {best_of_n_bound(self.n):.2f} nats, "
            f"{self.kl:.2f} by the rewards that came",
        ]
        if self.lost:
            told.append(f"{self.lost} answers had no valid score; {self.lone} prompts are left out")
        return told


def run_best(desk: Desk, job: BestJob) -> BestOfN:
    """accord best"""
    job.some("best-of-n")
    if job.how.temperature == 0 and job.n > 1:
        raise BadSettings(
            f"how.temperature=0 gives {job.n} times the same answer, and there is no best of them: "
            "say a temperature above 0, or use accord sample"
        )
    if job.out is not None and job.out.exists():
        raise CannotWrite(f"{job.out} is there already; choose another file (out=...)")
    prompts = questions(desk, job)
    compared = (
        sources.read(job.check, "comparisons", **job.files.how()).records if job.check else ()
    )
    policy = Policy.open(job.model, dtype=job.dtype, template=job.template)
    bench = Bench.of(job, policy.speller, prompts, compared, dtype=job.dtype)
    bench.check(desk.tell)
    said = answered(job, policy, prompts)
    known, scores, dropped = valid(said, bench.reward(said))
    of = {r.id: score for r, score in zip(known, scores, strict=True)}
    rows, kls, shown = [], [], []
    for place, prompt in enumerate(prompts):
        few = [r for r in said[place * job.n : (place + 1) * job.n] if r.id in of]
        if not few:
            continue
        best = max(few, key=lambda r: of[r.id])  # of equals the first
        text = policy.speller.text(best)
        rows.append((policy.speller.decode(best.prompt_ids), text, of[best.id]))
        shown.append(Demonstration(prompt.messages, text, "best of n", prompt.id))
        _, count_K = torch.tensor([of[r.id] for r in few]).double().unique(return_counts=True)
        kls.append(best_of_n_kl(count_K, len(few)))
    if job.out is not None:
        job.out.parent.mkdir(parents=True, exist_ok=True)
        sources.write(job.out, shown)
    mean, lone = sum(scores) / len(scores), len(prompts) - len(rows)
    return BestOfN(rows, mean, job.n, sum(kls) / len(kls), len(dropped), lone)
