"""Log-probabilities of chosen tokens without ever holding a [B, T, V] tensor.

Only scored positions reach the head; they pass it in chunks, and in training each chunk's logits
are recomputed in the backward pass.  There is one definition of a log-probability in this house,
and it is in fp32.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from accord.maths.divergence import exact

CHUNK_BYTES = 1 << 26
"""the most memory one chunk of fp32 logits takes"""

Logits = Callable[[Tensor], Tensor]
"""hidden_NH -> logits_NV"""


def logp(
    logits: Logits, hidden_NH: Tensor, ids_N: Tensor, vocab: int, temperature: float = 1.0
) -> Tensor:
    """logp_N, nats, of the tempered next-token distribution."""
    return _each(logits, hidden_NH, ids_N, vocab, temperature, entropy=False)[0]


def logp_entropy(
    logits: Logits, hidden_NH: Tensor, ids_N: Tensor, vocab: int, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The same, and the distribution's entropy_N, nats, which has no gradient."""
    return _each(logits, hidden_NH, ids_N, vocab, temperature, entropy=True)


def apart(
    logits: tuple[Logits, Logits],
    hidden_NH: tuple[Tensor, Tensor],
    ids_N: Tensor,
    vocab: int,
    temperature: float = 1.0,
) -> Tensor:
    """What two models say of the same tokens, without a gradient: [N, 4], nats.

    In order: log π and log ρ of the token, KL(π ‖ ρ) of the two next-token distributions over the
    whole vocabulary, and the entropy of π's.  Both are tempered.
    """
    size = max(1, CHUNK_BYTES // (8 * vocab))  # two at once
    parts = [hidden_NH[0].new_zeros(0, 4)]
    pieces = (*(h_NH.split(size) for h_NH in hidden_NH), ids_N.split(size))
    for mine, theirs, ids in zip(*pieces, strict=True):
        logp_NV = (logits[0](mine) / temperature).log_softmax(-1)
        ref_NV = (logits[1](theirs).to(logp_NV.device) / temperature).log_softmax(-1)
        at_N1 = ids[:, None]
        picked = [x_NV.gather(1, at_N1)[:, 0] for x_NV in (logp_NV, ref_NV)]
        entropy_N = torch.special.entr(logp_NV.exp()).sum(-1)
        parts.append(torch.stack([*picked, exact(logp_NV, ref_NV), entropy_N], 1))
    return torch.cat([part.to(ids_N.device) for part in parts])


def _each(
    logits: Logits, hidden_NH: Tensor, ids_N: Tensor, vocab: int, temperature: float, entropy: bool
) -> tuple[Tensor, Tensor]:
    size = max(1, CHUNK_BYTES // (4 * vocab))
    again = torch.is_grad_enabled() and len(ids_N) > size
    parts: list[tuple[Tensor, Tensor]] = []
    for hidden, ids in zip(hidden_NH.split(size), ids_N.split(size), strict=True):
        args = (logits, hidden, ids, temperature, entropy)
        parts.append(checkpoint(_chunk, *args, use_reentrant=False) if again else _chunk(*args))
    if not parts:
        return hidden_NH.new_zeros(0), hidden_NH.new_zeros(0)
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _chunk(
    logits: Logits, hidden_NH: Tensor, ids_N: Tensor, temperature: float, entropy: bool
) -> tuple[Tensor, Tensor]:
    logits_NV = logits(hidden_NH)
    if temperature != 1:
        logits_NV = logits_NV / temperature
    return _Picked.apply(logits_NV, ids_N, entropy)  # type: ignore[no-any-return,no-untyped-call]


class _Picked(torch.autograd.Function):
    """log softmax(logits)[id], and the entropy where it is asked for.

    The exponentials are taken once and kept in place of the logits: over a large vocabulary every
    pass through memory counts.  d log p_i / d logits = onehot_i - p.
    """

    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor, ids_N: Tensor, entropy: bool) -> tuple[Tensor, Tensor]:
        top_N1 = logits_NV.amax(-1, keepdim=True)
        # nothing is added to `top` before it is taken away: beside large logits that costs bits
        below_NV = logits_NV - top_N1
        picked_N = below_NV.gather(1, ids_N[:, None])[:, 0]
        exp_NV = below_NV.exp() if entropy else below_NV.exp_()
        mass_N = exp_NV.sum(-1)
        logp_N = picked_N - mass_N.log()
        if entropy:
            below_NV.clamp_(min=torch.finfo(below_NV.dtype).min)  # 0 · -inf is NaN, and counts 0
            entropy_N = mass_N.log() - torch.linalg.vecdot(exp_NV, below_NV) / mass_N
        else:
            entropy_N = torch.zeros_like(logp_N)
        ctx.mark_non_differentiable(entropy_N)
        ctx.save_for_backward(exp_NV, mass_N, ids_N)
        return logp_N, entropy_N

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, slope_N: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        exp_NV, mass_N, ids_N = ctx.saved_tensors
        slope_NV = exp_NV * (-slope_N / mass_N)[:, None]
        slope_NV.scatter_add_(1, ids_N[:, None], slope_N[:, None])
        return slope_NV, None, None
