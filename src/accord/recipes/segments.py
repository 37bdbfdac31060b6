"""A reward learned from comparisons of segments of behaviour (Christiano et al. 2017).

now and then, while a policy learns:
    cut pairs of segments from what it just did; keep those on which the ensemble disagrees most
    ask which of the two is better                 p = (1-ε) σ(Σ r̂(first) - Σ r̂(second)) + ε/2
    for some epochs, every member of the ensemble: minimise -log p of what was said
the reward of a step is the mean over the members, each brought to mean 0 and deviation 1
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor

from accord.data.rows import Rows
from accord.engine.buffer import Buffer
from accord.engine.draw import key
from accord.engine.learner import Learner
from accord.engine.steps import Optimizer
from accord.errors import BadSettings
from accord.maths.losses import Loss
from accord.maths.segments import disagreement, prefer
from accord.models.dense import Ensemble
from accord.recipes import common
from accord.recipes.method import POLICY, Method
from accord.store.run import Run
from accord.worlds.seats import Piece, Seats

METHODS = (
    Method(
        "RL from compared segments",
        "control prefer=Segments",
        *POLICY,
        ("pairs", "sampling", "value"),
        "Christiano et al. 2017",
    ),
)
Asked = Callable[[Sequence[tuple[Piece, Piece]], torch.Generator], Sequence[float | None]]
"""(pairs, dice) -> for each, the probability that the first is better: 1, 0, ½ where they are
alike; None where they cannot be compared"""


@dataclass(frozen=True)
class Segments:
    """An ensemble of reward models, learned from comparisons while the policy learns."""

    length: int = 25
    """steps of a segment"""
    first: int = 100
    """comparisons before the policy first learns, of what it does by chance"""
    total: int = 700
    """comparisons in all; the later, the fewer a step: in proportion to 1/(1 + step)"""
    members: int = 3
    """reward models, each learned from a resampling of its own"""
    noise: float = 0.1
    """share of comparisons that are taken to be tosses of a coin"""
    candidates: int = 10
    """pairs of which the one with most disagreement is asked about; 1: pairs by chance"""
    keep: int = 3000
    """comparisons that are learned from: the newest"""
    warm: int = 50
    """passes over the first comparisons"""
    epochs: int = 3
    """passes over all that are kept, whenever there are new ones"""
    batch: int = 32
    """comparisons per optimizer step"""
    lr: float = 1e-3
    """learning rate"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers"""

    def __post_init__(self) -> None:
        counts = (self.length, self.first, self.members, self.candidates, self.keep, self.batch)
        if min(*counts, self.warm, self.epochs, *self.hidden) < 1 or self.lr <= 0:
            raise ValueError("all counts must be at least 1, and lr above 0")
        if self.total < self.first:
            raise ValueError("total counts the first comparisons too: it cannot be less")
        if not 0 <= self.noise < 1:
            raise ValueError("noise must be from 0 to below 1: of coins alone nothing is learned")

    def fits(self, window: int | None, limit: int | None, steps: int) -> None:
        """BadSettings where in some step no piece of an episode would be as long as a segment.

        `window` are the steps of every world that the policy acts in turn (none: whole episodes),
        `limit` those of an episode (none: nobody knows).  Episodes go on from window to window.
        """
        shortest = _shortest(window, limit, steps)
        if shortest is not None and self.length > shortest:
            said = [f"obtain.length={window}"] * bool(window)
            said += [f"episodes of {limit} steps"] * bool(limit)
            raise BadSettings(
                f"prefer.length={self.length}: with {' and '.join(said)} there are steps in which "
                f"nothing longer than {shortest} is done in one episode: say prefer.length="
                f"{shortest} or less" + ", or a longer obtain.length" * bool(window)
            )

    def due(self, step: int, steps: int) -> int:
        """Comparisons that should have been asked for by the end of a step."""
        share = math.log1p(step) / math.log(steps) if steps > 1 else 1.0
        return self.first + round((self.total - self.first) * share)


@dataclass(frozen=True)
class Oracle:
    """A judge who adds up the true reward, and now and then tosses a coin instead."""

    noise: float = 0.1
    """share of comparisons that a toss of a coin answers"""

    def __post_init__(self) -> None:
        if not 0 <= self.noise <= 1:
            raise ValueError("noise is a share, from 0 to 1")

    def __call__(
        self, pairs: Sequence[tuple[Piece, Piece]], dice: torch.Generator
    ) -> Sequence[float | None]:
        """Of every pair."""
        u_N2 = torch.rand(len(pairs), 2, generator=dice).tolist()
        gaps = (float(a.reward_T.sum() - b.reward_T.sum()) for a, b in pairs)
        return [
            float(coin < 0.5) if u < self.noise else (1 + (gap > 0) - (gap < 0)) / 2
            for (u, coin), gap in zip(u_N2, gaps)
        ]


@dataclass(frozen=True)
class Judged(Rows):
    """Two segments, what was said of them, and how often each member learns from it."""

    seen_BKTF: Tensor
    q_B: Tensor
    times_BE: Tensor


class Compared:
    """The reward as the ensemble has it, kept by a run."""

    def __init__(
        self, cfg: Segments, run: Run, seats: Seats, steps: int, ask: Asked | None, seed: int
    ):
        self.cfg, self.seats, self.steps, self.seed = cfg, seats, steps, seed
        self.ask = ask or Oracle(cfg.noise)
        width = seats.width + seats.acts.width
        model = Ensemble(width, cfg.hidden, cfg.members, abs(key(seed, "rewards")) >> 1)
        how = Optimizer(betas=(0.9, 0.999), micro_tokens=65536)
        self.learner = run.keep("rewards", Learner(model, how, cfg.lr))
        self.buffer = run.keep("comparisons", Buffer(Judged, cfg.keep))
        self.told: dict[str, float] = {}

    def __call__(self, pieces: Sequence[Piece]) -> list[Tensor]:
        """reward_T of each piece; the world's own is not looked at."""
        with torch.no_grad():
            return [self.learner.model.agreed(self._seen(piece)) for piece in pieces]

    def learn(self, step: int, pieces: Sequence[Piece]) -> dict[str, float]:
        """Ask, if it is time to, and learn from all that was said."""
        if any(piece.ended for piece in pieces):
            raise BadSettings(
                "episodes of this world end by themselves, and when they end tells the policy what "
                "only comparisons may tell it: make them all of one length (horizon=200)"
            )
        due = self.cfg.due(step, self.steps) - self.buffer.count
        if due > 0:
            dice = torch.Generator().manual_seed(key(self.seed, f"segments {step}"))
            first = self.buffer.count == 0
            self._judge(self._choose(pieces, due, dice), dice)
            self._fit(self.cfg.warm if first else self.cfg.epochs, key(self.seed, f"fit {step}"))
        return {"rewards/comparisons": float(self.buffer.count), **self._measure(due > 0)}

    def _choose(
        self, pieces: Sequence[Piece], due: int, dice: torch.Generator
    ) -> list[tuple[Piece, Piece]]:
        """Pairs of segments, the more disputed first; the first of all by chance."""
        length = self.cfg.length
        room = list(accumulate(max(0, len(piece) - length + 1) for piece in pieces))
        if not room[-1]:
            raise BadSettings(
                f"prefer.length={length}: nothing that was done is so long; longer windows, or "
                "shorter segments"
            )
        many = due * self.cfg.candidates if self.buffer.count else due
        spots = torch.randint(room[-1], (2 * many,), generator=dice)
        whose = torch.searchsorted(torch.tensor(room), spots, right=True).tolist()
        starts = [0, *room]
        cut = [_cut(pieces[i], s - starts[i], length) for i, s in zip(whose, spots.tolist())]
        pairs = list(zip(cut[::2], cut[1::2]))
        if many == due:
            return pairs
        with torch.no_grad():
            said_NKTE = self.learner.model(self._both(pairs))
        return [pairs[i] for i in disagreement(said_NKTE).topk(due).indices.tolist()]

    def _judge(self, pairs: Sequence[tuple[Piece, Piece]], dice: torch.Generator) -> None:
        said = list(self.ask(pairs, dice))
        known = [(pair, q) for pair, q in zip(pairs, said, strict=True) if q is not None]
        if not known:
            return
        # each member's own resampling, made as rows come (Oza & Russell 2001)
        times_BE = torch.poisson(torch.ones(len(known), self.cfg.members), generator=dice)
        q_B = torch.tensor([q for _, q in known])
        self.buffer.add(Judged(self._both([pair for pair, _ in known]), q_B, times_BE))

    def _fit(self, epochs: int, dice: int) -> None:
        rows, model = self.buffer.rows, self.learner.model
        if rows is None:
            return
        if self.learner.version == 0:
            model.look(rows.seen_BKTF.flatten(0, 2))
        count = math.ceil(len(rows) / self.cfg.batch)
        learned = partial(compare, noise=self.cfg.noise)
        for few in common.minibatches(rows, epochs, count, seed=dice):
            self.learner.update(few, few.times_BE / len(few), learned)
        model.settle(rows.seen_BKTF.flatten(0, 2))

    @torch.no_grad()
    def _measure(self, anew: bool) -> dict[str, float]:
        """How often members side with labels they did not learn from."""
        rows = self.buffer.rows
        if not anew or rows is None:
            return {}
        right_BE = compare(self.learner.model, rows, noise=self.cfg.noise).watch[
            "rewards/accuracies"
        ]
        unseen_BE = rows.times_BE == 0
        if not unseen_BE.any():
            return {}
        return {"rewards/unseen_accuracy": float(right_BE[unseen_BE].mean())}

    def _seen(self, piece: Piece) -> Tensor:
        return torch.cat([piece.seen_UF[:-1], self.seats.acts.shown(piece.did_TA)], 1)

    def _both(self, pairs: Sequence[tuple[Piece, Piece]]) -> Tensor:
        return torch.stack([torch.stack([self._seen(a), self._seen(b)]) for a, b in pairs])


def compare(model: Ensemble, rows: Judged, *, noise: float) -> Loss:
    """What every member says of the two, then the loss."""
    return prefer(model(rows.seen_BKTF), rows.q_B, noise=noise)


def _shortest(window: int | None, limit: int | None, steps: int) -> int | None:
    """Of so many steps, the least that the longest piece of an episode can have."""
    if window is None or limit is None:
        return window or limit
    longest, at = list[int](), 0
    while (not longest or at) and len(longest) < steps:
        first = min(window, limit - at)
        longest.append(max(first, min(window - first, limit)))
        at = (at + window) % limit
    return min(longest)


def _cut(piece: Piece, start: int, length: int) -> Piece:
    stop = start + length
    return Piece(
        piece.seen_UF[start : stop + 1], piece.did_TA[start:stop], piece.reward_T[start:stop], False
    )
