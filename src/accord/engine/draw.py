"""Drawing tokens: one uniform number per answer and place, never a shared random stream."""

import hashlib
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from accord.errors import BadSettings

BLOCK = 64
_GOLDEN, _MIX1, _MIX2 = -7046029254386353131, -4658895280553007687, -7723592293110705685
"""splitmix64's constants (Steele, Lea & Flood 2014), as signed 64-bit numbers"""


@dataclass(frozen=True)
class Sampling:
    """How a distribution is sharpened and cut before a token is drawn from it."""

    temperature: float = 1.0
    """0 is greedy"""
    top_p: float = 1.0
    """the smallest set of tokens with at least this much probability; 1 keeps all"""
    top_k: int = 0
    """the k likeliest tokens, of equals those of lower ids; 0 keeps all"""
    min_p: float = 0.0
    """tokens at least this many times as probable as the likeliest; 0 keeps all"""

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.top_k < 0:
            raise BadSettings(f"{self}: temperature >= 0, 0 < top_p <= 1, top_k >= 0")
        if not 0 <= self.min_p <= 1:
            raise BadSettings(f"{self}: 0 <= min_p <= 1")

    @property
    def full(self) -> bool:
        """Nothing is cut, so a trainer can compute the same probabilities."""
        return self.temperature > 0 and self.top_p == 1 and self.top_k == 0 and self.min_p == 0


def key(seed: int, sample: str) -> int:
    """The random key of one answer: 64 bits of sha256(seed, sample id), signed."""
    digest = hashlib.sha256(f"{seed}\x00{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def uniform(key_B: Tensor, place_B: Tensor) -> Tensor:
    """u in [0, 1), float64: the `place`-th number of each answer's own stream (splitmix64)."""
    z = key_B + (place_B + 1) * _GOLDEN
    z = (z ^ _shift(z, 30)) * _MIX1
    z = (z ^ _shift(z, 27)) * _MIX2
    z = z ^ _shift(z, 31)
    return _shift(z, 11).double() * 2.0**-53


def _shift(z: Tensor, by: int) -> Tensor:
    """z >> by without the sign: torch has no unsigned 64-bit shift."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def draw(logits_BV: Tensor, u_B: Tensor, how: Sampling) -> tuple[Tensor, Tensor]:
    """(ids_B, logp_B): tokens by inverse cumulative probability, and the log-probability each had
    in the distribution it was really drawn from.  A greedy token was certain: its logp is 0.

    One uniform per row instead of one exponential per vocabulary entry; the id is found in two
    levels, block then place, with sums over blocks in float64, so that the tail of a large
    vocabulary keeps its exact share.  Overwrites `logits_BV` where it can.
    """
    if how.temperature == 0:
        best_B, ids_B = logits_BV.float().max(-1)
        return ids_B, best_B - best_B  # 0, but NaN where the logits are not finite
    logits_BV = logits_BV.float()
    if how.temperature != 1:
        logits_BV = logits_BV / how.temperature
    logits_BV = cut(logits_BV, how)
    p_BV = logits_BV.sub_(logits_BV.amax(-1, keepdim=True)).exp_()  # unnormalised
    if lacking := -p_BV.shape[1] % BLOCK:
        p_BV = F.pad(p_BV, (0, lacking))
    p_BNK = p_BV.view(len(p_BV), -1, BLOCK)
    upto_BN = p_BNK.sum(-1).double().cumsum(-1)
    ids_B = _invert(p_BNK, upto_BN, u_B)
    p_B = p_BV.gather(1, ids_B[:, None])[:, 0]
    return ids_B, (p_B.double().log() - upto_BN[:, -1].log()).float()


def cut(logits_BV: Tensor, how: Sampling) -> Tensor:
    """Tokens outside top-k, then outside top-p of what is left (Holtzman et al. 2020), then below
    min-p (Nguyen et al. 2024), get -inf.
    """
    if 0 < how.top_k < logits_BV.shape[1]:
        least_B1 = logits_BV.topk(how.top_k, -1).values[:, -1:]
        equal_BV = logits_BV == least_B1
        left_B1 = how.top_k - (logits_BV > least_B1).sum(-1, keepdim=True)
        beyond_BV = (logits_BV < least_B1) | (equal_BV & (equal_BV.cumsum(-1) > left_B1))
        logits_BV = logits_BV.masked_fill(beyond_BV, float("-inf"))
    if how.top_p < 1:
        ranked_BV, order_BV = logits_BV.sort(dim=-1, descending=True, stable=True)
        share_BV = ranked_BV.softmax(-1)
        beyond_BV = share_BV.cumsum(-1) - share_BV >= how.top_p
        logits_BV = logits_BV.masked_fill(beyond_BV.scatter(1, order_BV, beyond_BV), float("-inf"))
    if how.min_p > 0:
        least_B1 = logits_BV.amax(-1, keepdim=True) + math.log(how.min_p)
        logits_BV = logits_BV.masked_fill(logits_BV < least_B1, float("-inf"))
    return logits_BV


def _invert(p_BNK: Tensor, upto_BN: Tensor, u_B: Tensor) -> Tensor:
    """The first id whose cumulative probability exceeds u."""
    goal_B1 = (u_B * upto_BN[:, -1])[:, None]
    block_B1 = (upto_BN <= goal_B1).sum(-1, keepdim=True).clamp(max=upto_BN.shape[1] - 1)
    before_B1 = torch.where(block_B1 > 0, upto_BN.gather(1, (block_B1 - 1).clamp(min=0)), 0.0)
    inside_BK = p_BNK[torch.arange(len(p_BNK), device=p_BNK.device), block_B1[:, 0]].double()
    place_B = (inside_BK.cumsum(-1) <= goal_B1 - before_B1).sum(-1)
    # rounding may push the goal past the block's end: never beyond the last id that can occur
    last_B = BLOCK - 1 - (inside_BK > 0).flip(-1).int().argmax(-1)
    return block_B1[:, 0] * BLOCK + torch.minimum(place_B, last_B)
