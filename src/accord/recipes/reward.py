"""A reward learned from comparisons (Christiano et al. 2017; Stiennon 2020; Ouyang 2022).

for each batch of comparisons (x, y₁ … y_K, an order on them):
    minimise  -log σ(r(x, y⁺) - r(x, y⁻))        or another loss of the same rows
then shift (and scale) r so that its zero and its unit mean something
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from accord.config import Settings
from accord.config.limits import Above0, Count, Share
from accord.data.comparisons import Anew, Spelled, lots
from accord.data.rows import Choices, Rows, Tokens, choices
from accord.data.shown import Answer, Shown
from accord.data.stream import Stream
from accord.engine.roles import Critic
from accord.engine.steps import Optimizer
from accord.errors import BadData
from accord.evaluate.trend import pearson
from accord.maths.control import Constant, Cosine, Linear
from accord.maths.losses import Loss
from accord.maths.preference import BradleyTerry, Compared, Preference
from accord.maths.weights import even
from accord.models.heads import Judge
from accord.models.lora import Lora
from accord.recipes import common
from accord.recipes.method import Method
from accord.store.run import Run

METHODS = (
    Method(
        "reward model", "reward", "reward learning", "offline", ("pairs",), "Christiano et al. 2017"
    ),
)


class RewardModel(Settings):
    """A scalar head on a language model, learned from comparisons."""

    loss: Preference = BradleyTerry()
    """what is minimised over the scores of answers to one prompt"""
    epochs: Above0 = 1.0
    """passes over the comparisons; more than one soon overfits"""
    batch: Count = 32
    """comparisons (prompts) per optimizer step"""
    longest: Count = 1024
    """tokens of prompt and answer together; longer ones are dropped and counted, never cut"""
    held_out: Share = 0.1
    """share of prompts kept aside to measure on"""
    normalise: Literal["none", "mean", "mean-and-std"] = "mean"
    """afterwards bring reference answers to mean 0 (Stiennon et al. 2020), or the start's own
    answers to mean 0 and deviation 1 (Ziegler et al. 2019)"""
    measure_every: Count = 50
    """steps between two looks at the held-out comparisons"""
    lr: Above0 = 1e-5
    """learning rate at its highest"""
    schedule: Constant | Linear | Cosine = Cosine(floor=0.1)
    """how the learning rate changes from step to step"""
    optimizer: Optimizer = Optimizer()
    """how gradients become steps"""
    lora: Lora | None = None
    """train an adapter instead of the whole model"""
    shown: Shown = Answer()
    """how it sees an answer: as it stands, or with a request to judge it by facts (Fact-RLHF)"""


@dataclass(frozen=True)
class Judged(Rows):
    """Answers and the order people put them in."""

    answers: Choices
    rank_BK: Tensor
    strength_B: Tensor
    p_first_B: Tensor


def train(
    cfg: RewardModel,
    run: Run,
    start: Critic,
    comparisons: Sequence[Spelled],
    held_out: Sequence[Spelled] = (),
    *,
    anew: Anew | None = None,
    seed: int = 0,
) -> Critic:
    """The critic that agrees with the comparisons, which `anew` lays otherwise in each epoch."""
    how: dict[str, Any] = {"optimizer": cfg.optimizer, "lora": cfg.lora, "seed": seed}
    critic = run.keep("critic", start.trainable(lr=cfg.lr, **how))
    stream = Stream(common.Named(comparisons), cfg.batch, seed)
    total = stream.steps(cfg.epochs)
    for step in run.steps(cfg, total):
        few = common.enter(run, stream, step, anew)
        rows, factor = lay(few), cfg.schedule(step, total)
        prefers = partial(prefer, loss=cfg.loss)
        names = [c.id for c in few]
        seen = critic.update(rows, even(len(rows)), prefers, lr=cfg.lr * factor, names=names)
        if held_out and (step % cfg.measure_every == 0 or step == total - 1):
            seen |= {f"eval/{k}": v for k, v in measure(critic, held_out).items()}
        seen["micro_tokens"] = critic.micro_tokens
        run.log(step, **seen, lr=cfg.lr * factor, epoch=stream.epoch(step))
    return critic


def lay(few: Sequence[Spelled]) -> Judged:
    """Comparisons as rows; absent answers, strengths and soft labels are marked, not guessed."""
    answers = choices([c.prompt_ids for c in few], [c.response_ids for c in few])
    K = answers.length_BK.shape[1]
    nan = float("nan")
    return Judged(
        answers,
        torch.tensor([[*c.ranks, *[K] * (K - len(c.ranks))] for c in few]),
        torch.tensor([nan if c.strength is None else c.strength for c in few]),
        torch.tensor([nan if c.p_first is None else c.p_first for c in few]),
    )


def prefer(model: Judge, rows: Judged, *, loss: Preference) -> Loss:
    """Score every answer, then let the loss compare."""
    score_BK = model.compare(rows.answers)
    mask_BK = rows.answers.mask_BK
    return loss(Compared(score_BK, mask_BK, rows.rank_BK, rows.strength_B, rows.p_first_B))


def measure(critic: Critic, held_out: Sequence[Spelled], bins: int = 10) -> dict[str, float]:
    """Agreement with held-out comparisons: accuracy (equal scores count half), calibration error of
    σ(score gap) against the share of judges who agree, and the correlation of score with length,
    the prompt's not counted.  Ties have no right answer: left out.
    """
    score_N = torch.cat([critic.score(lay(few).answers.answers()) for few in lots(held_out)])
    length_N = torch.tensor([float(len(ids)) for c in held_out for ids in c.response_ids])
    first = torch.tensor([len(c.response_ids) for c in held_out]).cumsum(0).tolist()
    starts = [0, *first[:-1]]
    pairs = [
        (s + i, s + j, 1.0 if c.p_first is None else c.p_first if i == 0 else 1 - c.p_first)
        for s, c in zip(starts, held_out, strict=True)
        for i, a in enumerate(c.ranks)
        for j, b in enumerate(c.ranks)
        if a < b
    ]
    told = {
        "length_correlation": pearson(score_N.tolist(), length_N.tolist()) or 0.0,
        "score_mean": float(score_N.mean()),
        "score_std": float(score_N.std(correction=0)),
    }
    if not pairs:
        return told
    better, worse, sure = zip(*pairs, strict=True)
    i_N, j_N, q_N = torch.tensor(better), torch.tensor(worse), torch.tensor(sure)
    gap_N = (score_N[i_N] - score_N[j_N]).cpu()
    return {
        "accuracy": float(agreed(gap_N, torch.ones_like(q_N)).mean()),
        "calibration_error": calibration(gap_N, agreed(gap_N, q_N), bins),
        "margin": float(gap_N.mean()),
        "longer_preferred": float((length_N[i_N] > length_N[j_N]).float().mean()),
        **told,
    }


def agreed(gap_N: Tensor, q_N: Tensor) -> Tensor:
    """The share of judges on the side of the score, q being the share who prefer the first."""
    return torch.where(gap_N > 0, q_N, torch.where(gap_N < 0, 1 - q_N, 0.5))


def calibration(gap_N: Tensor, right_N: Tensor, bins: int) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 5) of the confidence σ(|gap|)."""
    sure_N = gap_N.abs().sigmoid()
    lot_N = ((sure_N - 0.5) * 2 * bins).long().clamp(max=bins - 1)
    error = 0.0
    for lot in range(bins):
        if (here := lot_N == lot).any():
            off = (sure_N[here].mean() - right_N[here].mean()).abs()
            error += float(off * here.float().mean())
    return error


def normalise(critic: Critic, answers: Tokens | Iterable[Tokens], how: str) -> None:
    """Give the score a zero, and for mean-and-std a unit, by how it judges these answers."""
    if how == "none":
        return
    critic.normalise(1.0, 0.0)
    few = [answers] if isinstance(answers, Tokens) else answers
    score_N = torch.cat([critic.score(tokens) for tokens in few])
    spread = float(score_N.std(correction=0)) if how == "mean-and-std" else 1.0
    if spread == 0:
        raise BadData(
            "the reward model scores all reference answers alike; it cannot be normalised"
        )
    critic.normalise(1 / spread, -float(score_N.mean()) / spread)
