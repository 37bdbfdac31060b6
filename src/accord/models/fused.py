"""Log-probabilities of chosen tokens without ever holding a [B, T, V] tensor.

Only scored positions reach the head; they pass it in chunks, and in training each chunk's logits
are recomputed in the backward pass.  There is one definition of a log-probability in this house,
and it is in fp32.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_BYTES = 1 << 26
"""the most memory one chunk of fp32 logits takes"""

Logits = Callable[[Tensor], Tensor]
"""hidden_NH -> logits_NV"""


def logp(
    logits: Logits, hidden_NH: Tensor, ids_N: Tensor, vocab: int, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """(logp_N, entropy_N), nats, of the tempered next-token distribution; entropy has no grad."""
    size = max(1, CHUNK_BYTES // (4 * vocab))
    again = torch.is_grad_enabled() and len(ids_N) > size
    parts: list[tuple[Tensor, Tensor]] = []
    for hidden, ids in zip(hidden_NH.split(size), ids_N.split(size), strict=True):
        args = (logits, hidden, ids, temperature)
        parts.append(checkpoint(_chunk, *args, use_reentrant=False) if again else _chunk(*args))
    if not parts:
        return hidden_NH.new_zeros(0), hidden_NH.new_zeros(0)
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _chunk(
    logits: Logits, hidden_NH: Tensor, ids_N: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    logits_NV = logits(hidden_NH)
    if temperature != 1:
        logits_NV = logits_NV / temperature
    total_N = logits_NV.logsumexp(-1)
    logp_N = logits_NV.gather(1, ids_N[:, None])[:, 0] - total_N
    with torch.no_grad():
        p_NV = (logits_NV - total_N[:, None]).exp_()
        entropy_N = total_N - torch.linalg.vecdot(p_NV, logits_NV)
    return logp_N, entropy_N
