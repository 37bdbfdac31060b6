"""Losses that need no reference, mixtures, and the whole family by name."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from accord.maths.answers import Answered, Direct, above_0, duels, log1mexp
from accord.maths.losses import Loss
from accord.maths.pairwise import (
    CDPO,
    DPO,
    EXO,
    IPO,
    NCA,
    RDPO,
    RPO,
    SPPO,
    APODown,
    APOZero,
    DiscoPOP,
    Hinge,
    NormDPO,
    PlackettLuce,
    RobustDPO,
)
from accord.maths.unpaired import AOT, BCO, KTO


@dataclass(frozen=True)
class ORPO(Direct):
    """-log p̄⁺ - λ log σ(log odds(p̄⁺) - log odds(p̄⁻)): Hong et al. 2024, eqs. 6 and 7.

    odds(p) = p / (1-p), and p̄ is the geometric mean of an answer's token probabilities.  From a
    base model, in one stage.  TRL's first term counts the prompt's tokens too, and all alike.
    """

    needs_reference = False

    lam: float = 0.1
    """λ, weight of the odds ratio (TRL calls it beta)"""

    def __post_init__(self) -> None:
        above_0(lam=self.lam)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        win_BN, lose_BN = d.win.mean_BN, d.lose.mean_BN
        odds_BN = win_BN - lose_BN - (log1mexp(win_BN) - log1mexp(lose_BN))
        return d.loss(-win_BN - self.lam * F.logsigmoid(odds_BN), self.lam, by="mean")


@dataclass(frozen=True)
class SimPO(Direct):
    """-log σ(β log π(y⁺)/n⁺ - β log π(y⁻)/n⁻ - γ): Meng et al. 2024, eq. 6.

    The learning rate matters more than anything else: 3e-7 to 1e-6 (section 4).
    """

    needs_reference = False

    beta: float = 2.0
    """scale of the reward, a mean log-prob per token; 2 to 2.5 is usual"""
    gamma: float = 1.0
    """margin asked for, in units of the reward; 0.5 to 1.5 is usual.  TRL's `simpo_gamma` too"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)
        if self.gamma < 0:
            raise ValueError("gamma must not be negative: it is the margin that a winner must have")

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        z_BN = self.beta * (d.win.mean_BN - d.lose.mean_BN) - self.gamma
        return d.loss(-F.logsigmoid(z_BN), self.beta, by="mean")


@dataclass(frozen=True)
class CPO(Direct):
    """-log σ(β (log π(y⁺) - log π(y⁻))) - α log π(y⁺): Xu et al. 2024.

    The paper's second term is a sum over tokens; TRL takes a mean (of prompts' tokens too).
    """

    needs_reference = False

    beta: float = 0.1
    """scale of the reward, log π"""
    alpha: float = 1.0
    """weight of imitating the preferred answer"""
    lengths: Literal["sums", "means"] = "sums"
    """the second term as a sum over the answer's tokens, or as their mean"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        imitate_BN = -(d.win.logp_BN if self.lengths == "sums" else d.win.mean_BN)
        z_BN = self.beta * (d.win.logp_BN - d.lose.logp_BN)
        return d.loss(-F.logsigmoid(z_BN) + self.alpha * imitate_BN, self.beta, by="sum")


@dataclass(frozen=True)
class NLL(Direct):
    """-log π(y⁺)/n⁺: imitate the good answers and ignore the others ("Preferred-FT"; TRL: `sft`).

    Something to mix with other losses.  The mean over a row's good answers; 0 where it has none.
    """

    pairs = "unpaired"
    needs_reference = False

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats per token."""
        good_BK = a.good_BK()
        logp_BK = torch.where(a.mask_BK, a.logp_BK, 0.0)
        each_BK = -good_BK * logp_BK / a.n_BK.clamp(min=1)
        total_B = good_BK.sum(1)
        each_B = each_BK.sum(1) / torch.where(total_B > 0, total_B, 1.0)
        return Loss(each_B, {"loss/nll": each_B.detach()})


Single = (
    DPO | CDPO | RobustDPO | IPO | Hinge | NormDPO | RPO | RDPO | EXO | NCA | SPPO | APOZero
    | APODown | DiscoPOP | PlackettLuce | KTO | BCO | AOT | ORPO | SimPO | CPO | NLL
)  # fmt: skip


@dataclass(frozen=True)
class Mixture(Direct):
    """Σ weight · loss: MPO (Wang et al. 2024) is 0.8 DPO + 0.2 BCO + 1 NLL.

    Rewards and log-probs are those that the first loss with a reward watches.
    """

    losses: tuple[Single, ...]
    """those added up"""
    weights: tuple[float, ...]
    """how much each counts"""

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.losses) or min(self.weights, default=0) <= 0:
            raise ValueError("a mixture needs losses, and for each of them a weight above 0")
        for need in ("needs_reference", "needs_batch", "needs_mismatch"):
            object.__setattr__(self, need, any(getattr(loss, need) for loss in self.losses))
        object.__setattr__(self, "width", sum(loss.width for loss in self.losses))
        kinds = [loss.pairs for loss in self.losses]
        most = next(k for k in ("rankings", "pairs", "unpaired") if k in kinds)
        object.__setattr__(self, "pairs", most)

    def columns(self, whole: Answered, mismatch_N: Tensor | None = None) -> Tensor:
        """Those of all, side by side."""
        return torch.cat([loss.columns(whole, mismatch_N) for loss in self.losses], 1)

    def __call__(self, a: Answered) -> Loss:
        """Per row."""
        widths = [loss.width for loss in self.losses]
        extra_BE = a.logp_BK.new_zeros(len(a.logp_BK), 0) if a.extra_BE is None else a.extra_BE
        if extra_BE.shape[1] != sum(widths):
            raise ValueError("a mixture needs the columns of its losses: call its `columns`")
        own = zip(self.losses, extra_BE.split(widths, 1), strict=True)
        told = [loss(a._replace(extra_BE=few_BE)) for loss, few_BE in own]
        each_B = torch.stack([w * x.each for w, x in zip(self.weights, told, strict=True)]).sum(0)
        watch: dict[str, Tensor] = {}
        for loss in told:
            known = ("rewards/", "logps/", "share/") if "rewards/chosen" in watch else ()
            watch |= {k: x for k, x in loss.watch.items() if not k.startswith(known)}
        return Loss(each_B, watch)


Preferring = Single | Mixture
