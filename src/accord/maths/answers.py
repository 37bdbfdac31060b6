"""What a policy and its reference say of K answers to each of B prompts, for losses to compare.

A log-prob is a SUM over the tokens of an answer, its end included, in nats; a loss that wants the
mean divides by the count.  a = log π(y) - log ρ(y) throughout, and h = a⁺ - a⁻ of a pair.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from accord.maths.losses import Loss

Data = Literal["unpaired", "pairs", "rankings"]
Reward = Literal["ratio", "sum", "mean"]


class Answered(NamedTuple):
    """K answers to each of B prompts, what two models say of them, and which ones people prefer."""

    logp_BK: Tensor
    """log π(y), with a gradient"""
    ref_BK: Tensor
    """log ρ(y); never looked at by a loss that needs no reference"""
    n_BK: Tensor
    """tokens added up in either"""
    mask_BK: Tensor
    """True where there is an answer; what stands elsewhere, in any column, is never looked at"""
    rank_BK: Tensor
    """places: 0 is best, equal places are ties; where nothing is paired, 0 is good and 1 is bad"""
    p_first_B: Tensor | None = None
    """of two answers, the first: the probability that it is better (of one: that it is good); NaN,
    or none at all, where the places speak"""
    extra_BE: Tensor | None = None
    """what the rest of the batch says, as the loss's own `columns` has put it"""

    @property
    def a_BK(self) -> Tensor:
        """log π/ρ; 0 where there is no answer."""
        return torch.where(self.mask_BK, self.logp_BK - self.ref_BK, 0.0)

    def good_BK(self) -> Tensor:
        """The probability that an answer is good: 1 in place 0, else 0; or what p_first says."""
        good_BK = (self.rank_BK == 0).to(self.logp_BK.dtype)
        if self.p_first_B is not None:
            p_B = self.p_first_B.to(good_BK.dtype)
            said_BK = torch.stack([p_B, 1 - p_B], 1)[:, : good_BK.shape[1]]
            head_BK = torch.where(said_BK.isnan(), good_BK[:, :2], said_BK)
            good_BK = torch.cat([head_BK, good_BK[:, 2:]], 1)
        return torch.where(self.mask_BK, good_BK, 0.0)


class Direct:
    """What a recipe has to know of a loss before it lays its rows.  Not settings: facts."""

    pairs: Data = "pairs"
    """unpaired: rows of one answer, each good or bad, will do; rankings: made for more than two"""
    needs_reference: bool = True
    """whether `ref_BK` is looked at"""
    needs_batch: bool = False
    """whether `columns` must see all rows of an optimizer step, as the policy is before it"""
    needs_mismatch: bool = False
    """whether `columns` must be told log π/ρ of answers to other prompts"""
    width: int = 0
    """E, how many numbers of the whole batch each row then carries"""

    def columns(self, whole: Answered, mismatch_N: Tensor | None = None) -> Tensor:
        """extra_BE for all rows of an optimizer step, from one pass without a gradient.

        Made before the cut into micro-batches, so that the cut cannot change it.
        """
        return whole.logp_BK.new_zeros(len(whole.logp_BK), self.width)


# --- pairs ---


class Side(NamedTuple):
    """The better, or the worse, answers of N pairs in each row."""

    logp_BN: Tensor
    ref_BN: Tensor
    n_BN: Tensor

    @property
    def a_BN(self) -> Tensor:
        """log π/ρ."""
        return self.logp_BN - self.ref_BN

    @property
    def mean_BN(self) -> Tensor:
        """log π per token."""
        return self.logp_BN / self.n_BN

    def reward_BN(self, by: Reward) -> Tensor:
        """The reward that a policy implies, before β: log π/ρ, log π, or log π per token."""
        return {"ratio": self.a_BN, "sum": self.logp_BN, "mean": self.mean_BN}[by].detach()


class Duels(NamedTuple):
    """The N = K(K-1) ways of calling one answer of a row better than another.

    Each has the probability that it is so as its weight, 1 or 0 by hard labels, ½ for ties; so a
    loss of soft labels is the mean over the labels that might have been drawn.
    """

    win: Side
    lose: Side
    weight_BN: Tensor
    """sums to 1 over the pairs of a row, or to 0 where there are fewer than two answers"""

    def h_BN(self, f: "Divergence | None" = None) -> Tensor:
        """a⁺ - a⁻, or the same of the scores that a divergence makes of them."""
        win_BN, lose_BN = self.win.a_BN, self.lose.a_BN
        return win_BN - lose_BN if f is None else f(win_BN) - f(lose_BN)

    def mean(self, x_BN: Tensor) -> Tensor:
        """x_B: over the pairs of each row; what has no weight does not enter."""
        return (torch.where(self.weight_BN > 0, x_BN, 0.0) * self.weight_BN).sum(1)

    def loss(self, each_BN: Tensor, beta: float = 1.0, by: Reward = "ratio") -> Loss:
        """The mean over the pairs of each row, and what the field watches; equal rewards agree by
        half, and accuracy is the share of judges who are agreed with.
        """
        win_BN, lose_BN = beta * self.win.reward_BN(by), beta * self.lose.reward_BN(by)
        watch = {
            "rewards/chosen": win_BN,
            "rewards/rejected": lose_BN,
            "rewards/accuracies": (1 + (win_BN - lose_BN).sign()) / 2,
            "rewards/margins": win_BN - lose_BN,
            "logps/chosen": self.win.logp_BN.detach(),
            "logps/rejected": self.lose.logp_BN.detach(),
        }
        return Loss(self.mean(each_BN), {name: self.mean(x_BN) for name, x_BN in watch.items()})


def duels(a: Answered) -> Duels:
    """Every two answers of each row, either way round."""
    K, dtype = a.logp_BK.shape[1], a.logp_BK.dtype
    if K < 2:
        raise ValueError(f"rows of {K} answer hold no pair; a loss of unpaired answers takes them")
    i_N, j_N = (~torch.eye(K, dtype=torch.bool, device=a.logp_BK.device)).nonzero(as_tuple=True)
    q_BN = (1 + (a.rank_BK[:, j_N] - a.rank_BK[:, i_N]).sign().to(dtype)) / 2
    if a.p_first_B is not None:
        p_B1 = a.p_first_B.to(dtype)[:, None]
        q_BN = torch.where(p_B1.isnan(), q_BN, torch.where(i_N < j_N, p_B1, 1 - p_B1))
    q_BN = torch.where(a.mask_BK[:, i_N] & a.mask_BK[:, j_N], q_BN, 0.0)
    told = ((a.logp_BK, 0.0), (a.ref_BK, 0.0), (a.n_BK, 1))
    win, lose = (
        Side(*(torch.where(q_BN > 0, x_BK[:, k_N], none) for x_BK, none in told))
        for k_N in (i_N, j_N)
    )
    return Duels(win, lose, q_BN / q_BN.sum(1, keepdim=True).clamp(min=1))


# --- how a log-ratio becomes a score ---


def exp(x: Tensor, bend: float = 30.0) -> Tensor:
    """eˣ; beyond the bend its tangent, so that neither it nor its gradient is ever infinite."""
    return x.clamp(max=bend).exp() * (1 + (x - bend).clamp(min=0))


def log1mexp(x: Tensor) -> Tensor:
    """log(1 - eˣ) for x <= 0, exact near 0 and far from it (Mächler 2012).

    As near to 0 as one step of the dtype it is held, for at 0 it is infinite.
    """
    x = x.clamp(max=-torch.finfo(x.dtype).eps)
    near = x > -0.6931471805599453
    return torch.where(
        near,
        torch.where(near, -torch.expm1(x), 1.0).log(),
        torch.log1p(-torch.where(near, -1.0, x).exp()),
    )


@dataclass(frozen=True)
class ReverseKL:
    """f'(u) = log u + 1, less its constant: the score is a, and DPO is itself (Rafailov 2023)."""

    def __call__(self, a: Tensor) -> Tensor:
        """The score, before β."""
        return a


@dataclass(frozen=True)
class ForwardKL:
    """f'(u) = -1/u, plus 1: the score is 1 - e⁻ᵃ.  Wang et al. 2023 (f-DPO)."""

    def __call__(self, a: Tensor) -> Tensor:
        """The score, before β."""
        return 1 - exp(-a)


@dataclass(frozen=True)
class JensenShannon:
    """f'(u) = log(2u / (1 + u)): the score is log 2 + log σ(a).  Wang et al. 2023."""

    def __call__(self, a: Tensor) -> Tensor:
        """The score, before β."""
        return 0.6931471805599453 + F.logsigmoid(a)


@dataclass(frozen=True)
class Alpha:
    """f'(u) = (1 - u^-α) / α: between reverse KL (α → 0) and forward KL (α = 1).

    Wang et al. 2023.  TRL's `f_alpha_divergence_coef` is 1 - α.
    """

    alpha: float = 0.5
    """how far from reverse KL, which is 0, to forward KL, which is 1"""

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ValueError("alpha must be above 0 and at most 1; at 0 it is ReverseKL")

    def __call__(self, a: Tensor) -> Tensor:
        """The score, before β."""
        x = -self.alpha * a
        return torch.where(x < 1, -torch.expm1(x.clamp(max=1)), 1 - exp(x)) / self.alpha


Divergence = ReverseKL | ForwardKL | JensenShannon | Alpha
REVERSE_KL = ReverseKL()


# --- what knobs may be ---


def above_0(**knobs: float) -> None:
    """Raises ValueError for a knob that is not above 0."""
    for name, value in knobs.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, not {value:g}")


def doubt(smooth: float) -> None:
    """Raises ValueError for a share of wrong labels that is impossible."""
    if not 0 <= smooth < 0.5:
        raise ValueError("smooth must be from 0 to below 0.5: half wrong says nothing at all")
