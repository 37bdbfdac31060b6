"""Losses that learn from comparisons without a reward model: the family of DPO.

Each option is a formula over answers of which one is preferred.  σ is the logistic function,
a = log π/ρ of an answer as a sum over its tokens, h = a⁺ - a⁻, n the number of tokens.  Rankings
count as all their pairs, averaged within a row; ties and soft labels as in `Duels`.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from accord.maths.answers import (
    REVERSE_KL,
    Answered,
    Direct,
    Divergence,
    Duels,
    above_0,
    doubt,
    duels,
    exp,
)
from accord.maths.losses import Loss

Lengths = Literal["sums", "means"]


def _cross_entropy(z_BN: Tensor, smooth: float) -> Tensor:
    """-(1-ε) log σ(z) - ε log σ(-z)."""
    return -(1 - smooth) * F.logsigmoid(z_BN) - smooth * F.logsigmoid(-z_BN)


@dataclass(frozen=True)
class DPO(Direct):
    """-log σ(β h): Rafailov et al. 2023, eq. 7; with another f, Wang et al. 2023 (f-DPO).

    Its gradient is β σ(-β h) (∇log π(y⁻) - ∇log π(y⁺)): pairs that are ranked wrongly count most.
    """

    beta: float = 0.1
    """price of moving away from the reference; the reward implied is β log π/ρ"""
    f: Divergence = REVERSE_KL
    """which divergence keeps the policy near"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        return d.loss(-F.logsigmoid(self.beta * d.h_BN(self.f)), self.beta)


@dataclass(frozen=True)
class CDPO(Direct):
    """-(1-ε) log σ(β h) - ε log σ(-β h): conservative DPO, Mitchell 2023.

    It stops pulling where σ(β h) = 1-ε, and so trains to a certain margin and not beyond.
    """

    beta: float = 0.1
    """price of moving away from the reference"""
    smooth: float = 0.1
    """ε, the share of labels taken to be wrong"""
    f: Divergence = REVERSE_KL
    """which divergence keeps the policy near"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)
        doubt(self.smooth)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        return d.loss(_cross_entropy(self.beta * d.h_BN(self.f), self.smooth), self.beta)


@dataclass(frozen=True)
class RobustDPO(Direct):
    """[-(1-ε) log σ(β h) + ε log σ(-β h)] / (1 - 2ε): Chowdhury et al. 2024.

    If a share ε of labels was flipped, its mean is that of DPO on the true ones.  May be negative.
    """

    beta: float = 0.1
    """price of moving away from the reference"""
    smooth: float = 0.1
    """ε, the share of labels that are flipped"""
    f: Divergence = REVERSE_KL
    """which divergence keeps the policy near"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)
        doubt(self.smooth)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        z_BN = self.beta * d.h_BN(self.f)
        right_BN, wrong_BN = -F.logsigmoid(z_BN), -F.logsigmoid(-z_BN)
        each_BN = ((1 - self.smooth) * right_BN - self.smooth * wrong_BN) / (1 - 2 * self.smooth)
        return d.loss(each_BN, self.beta)


@dataclass(frozen=True)
class IPO(Direct):
    """(h - 1 / (2β))²: Azar et al. 2023, eq. 17, where β is τ.  It asks for one margin, no more.

    The paper and the code of DPO's authors take h of sums over tokens.  TRL takes each a per token,
    and says that IPO's authors did so too; its β then means something else.
    """

    beta: float = 0.1
    """τ; the margin asked for is 1 / (2β) nats: an answer's for sums, a token's for means"""
    lengths: Lengths = "sums"
    """a as the sum over an answer's tokens, or as their mean"""
    f: Divergence = REVERSE_KL
    """which divergence keeps the policy near"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats squared."""
        d = duels(a)
        h_BN = d.h_BN(self.f) if self.lengths == "sums" else _per_token(d, self.f)
        return d.loss((h_BN - 1 / (2 * self.beta)) ** 2, self.beta)


def _per_token(d: Duels, f: Divergence) -> Tensor:
    """a⁺/n⁺ - a⁻/n⁻, or the same of scores."""
    return f(d.win.a_BN) / d.win.n_BN - f(d.lose.a_BN) / d.lose.n_BN


@dataclass(frozen=True)
class Hinge(Direct):
    """max(0, 1 - β h): the hinge of SLiC (Zhao et al. 2023) against a reference, as in RSO
    (Liu et al. 2024), where β is γ.  Beyond the margin nothing is learned.
    """

    beta: float = 0.1
    """slope; the margin asked for is 1/β nats"""
    f: Divergence = REVERSE_KL
    """which divergence keeps the policy near"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row."""
        d = duels(a)
        return d.loss((1 - self.beta * d.h_BN(self.f)).relu(), self.beta)


@dataclass(frozen=True)
class NormDPO(Direct):
    """-log σ(β (a⁺/n⁺ - a⁻/n⁻)): length-normalised DPO, Lambert et al. 2024 (Tülu 3)."""

    beta: float = 5.0
    """price of moving away from the reference, per token"""
    f: Divergence = REVERSE_KL
    """which divergence keeps the policy near"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        return d.loss(-F.logsigmoid(self.beta * _per_token(d, self.f)), self.beta)


@dataclass(frozen=True)
class RPO(Direct):
    """-log σ(β h) - α log π(y⁺)/n⁺: DPO + NLL, Pang et al. 2024 (Iterative RPO).

    The second term keeps the preferred answers likely, which DPO alone does not.
    """

    beta: float = 0.1
    """price of moving away from the reference"""
    alpha: float = 1.0
    """weight of imitating the preferred answer"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        imitate_BN = -d.win.mean_BN
        return d.loss(-F.logsigmoid(self.beta * d.h_BN()) + self.alpha * imitate_BN, self.beta)


@dataclass(frozen=True)
class RDPO(Direct):
    """-log σ(β h + α (n⁺ - n⁻)): length-regularised DPO, after Park et al. 2024 (R-DPO).

    The sign follows from the objective E[r - α n] - β KL, whose optimum has r = β a + α n + const:
    a longer winner has partly won by its length, and is learned from less.  Some texts write -α;
    a negative α says that.
    """

    beta: float = 0.1
    """price of moving away from the reference"""
    alpha: float = 0.01
    """price of a token, in units of the reward"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        longer_BN = (d.win.n_BN - d.lose.n_BN).to(d.weight_BN.dtype)
        return d.loss(-F.logsigmoid(self.beta * d.h_BN() + self.alpha * longer_BN), self.beta)


@dataclass(frozen=True)
class EXO(Direct):
    """KL(q ‖ p), q = (σ(β h), σ(-β h)), p = (1-ε, ε): EXO-pref, Ji et al. 2024, eq. 16.

    DPO is KL(p ‖ q); this way round the policy seeks one mode.
    """

    beta: float = 0.1
    """price of moving away from the reference"""
    smooth: float = 1e-3
    """ε, the share of labels taken to be wrong; at 0 the loss would be infinite"""
    f: Divergence = REVERSE_KL
    """which divergence keeps the policy near"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta, smooth=self.smooth)
        doubt(self.smooth)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        p = torch.tensor([1 - self.smooth, self.smooth], dtype=torch.float64).log().tolist()
        z_BN = self.beta * d.h_BN(self.f)
        win_BN = z_BN.sigmoid() * (F.logsigmoid(z_BN) - p[0])
        lose_BN = (-z_BN).sigmoid() * (F.logsigmoid(-z_BN) - p[1])
        return d.loss(win_BN + lose_BN, self.beta)


@dataclass(frozen=True)
class NCA(Direct):
    """-log σ(β a⁺) - ½ log σ(-β a⁺) - ½ log σ(-β a⁻): Chen et al. 2024 (NCA, for pairs).

    It looks at each answer's own reward, so the preferred one cannot sink with the other.
    """

    beta: float = 0.1
    """price of moving away from the reference"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        d = duels(a)
        win_BN, lose_BN = self.beta * d.win.a_BN, self.beta * d.lose.a_BN
        against_BN = F.logsigmoid(-win_BN) + F.logsigmoid(-lose_BN)
        return d.loss(-F.logsigmoid(win_BN) - 0.5 * against_BN, self.beta)


@dataclass(frozen=True)
class SPPO(Direct):
    """(a⁺ - ½/β)² + (a⁻ + ½/β)²: self-play, Wu et al. 2024, eq. 4.7 with P = 1 and 0 ("hard").

    With soft labels its gradient is that of the paper's P as it stands.
    """

    beta: float = 1e-3
    """1/η: a winner is to rise, a loser to fall, by ½/β nats; TRL's default is 0.1"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats squared."""
        d, far = duels(a), 0.5 / self.beta
        return d.loss((d.win.a_BN - far) ** 2 + (d.lose.a_BN + far) ** 2, self.beta)


@dataclass(frozen=True)
class APOZero(Direct):
    """1 - σ(β a⁺) + σ(β a⁻): D'Oosterlinck et al. 2024, eq. 7.

    For winners that are better than what the policy says: they rise, losers fall.
    """

    beta: float = 0.1
    """price of moving away from the reference"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row."""
        d = duels(a)
        win_BN, lose_BN = self.beta * d.win.a_BN, self.beta * d.lose.a_BN
        return d.loss((-win_BN).sigmoid() + lose_BN.sigmoid(), self.beta)


@dataclass(frozen=True)
class APODown(Direct):
    """σ(β a⁺) + 1 - σ(β h): D'Oosterlinck et al. 2024, eq. 8.

    For winners that are worse than what the policy says: both fall, losers further.
    """

    beta: float = 0.1
    """price of moving away from the reference"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row."""
        d = duels(a)
        win_BN = (self.beta * d.win.a_BN).sigmoid()
        return d.loss(win_BN + (-self.beta * d.h_BN()).sigmoid(), self.beta)


@dataclass(frozen=True)
class DiscoPOP(Direct):
    """(1-m) (-log σ(β h)) + m e^(-β h),  m = σ(β h / τ): Lu et al. 2024, eq. 5.

    Found by a search over programs; not convex.
    """

    beta: float = 0.1
    """price of moving away from the reference"""
    tau: float = 0.05
    """how sharply it goes over from one half to the other"""
    f: Divergence = REVERSE_KL
    """which divergence keeps the policy near"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta, tau=self.tau)

    def __call__(self, a: Answered) -> Loss:
        """Per row."""
        d = duels(a)
        z_BN = self.beta * d.h_BN(self.f)
        m_BN = (z_BN / self.tau).sigmoid()
        return d.loss(-F.logsigmoid(z_BN) * (1 - m_BN) + exp(-z_BN) * m_BN, self.beta)


@dataclass(frozen=True)
class PlackettLuce(Direct):
    """-log Πₖ exp(β aₖ) / Σ_{j not above k} exp(β aⱼ): Rafailov et al. 2023, appendix A.3, eq. 20.

    The likelihood of a whole ranking; of two answers it is DPO.  Answers in one place have each the
    others below or beside it (Breslow 1974), and share the stages that a strict order would have.
    """

    pairs = "rankings"
    beta: float = 0.1
    """price of moving away from the reference"""

    def __post_init__(self) -> None:
        above_0(beta=self.beta)

    def __call__(self, a: Answered) -> Loss:
        """Per row, nats."""
        s_BK, place_BK = self.beta * a.a_BK, a.rank_BK
        weight_BK = torch.ones_like(s_BK)
        if a.p_first_B is not None:
            p_B = a.p_first_B.to(s_BK.dtype)
            soft_B1 = ~p_B.isnan()[:, None]
            place_BK = torch.where(soft_B1, 0, place_BK)
            weight_BK = torch.where(soft_B1, 2 * a.good_BK(), weight_BK)
        other_BKK = a.mask_BK[:, None, :] & a.mask_BK[:, :, None]
        below_BKK = (place_BK[:, None, :] >= place_BK[:, :, None]) & other_BKK
        beside_BK = ((place_BK[:, None, :] == place_BK[:, :, None]) & other_BKK).sum(2)
        last_BK = (below_BKK.sum(2) == beside_BK).to(s_BK.dtype)
        stages_BK = (beside_BK - last_BK) / beside_BK.clamp(min=1)
        lowest = torch.finfo(s_BK.dtype).min
        total_BK = s_BK[:, None, :].masked_fill(~below_BKK, lowest).logsumexp(2)
        each_BK = torch.where(a.mask_BK, weight_BK * stages_BK * (total_BK - s_BK), 0.0)
        return Loss(each_BK.sum(1), duels(a).loss(s_BK.new_zeros(()), self.beta).watch)
