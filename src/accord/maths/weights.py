"""How much each number of a loss counts.

Weights are data, made over the WHOLE optimizer batch; so the losses of micro-batches, ranks and
packs simply add, and every "loss aggregation mode" is a choice made here.
"""

from typing import Literal, assert_never

import torch
from torch import Tensor

Unit = Literal["token", "sequence", "constant"]


def weigh(mask_BT: Tensor, by: Unit = "token", *, longest: int | None = None) -> Tensor:
    """w_BT, zero outside the mask:

    token:     w = m / Σm          every token alike: DAPO (Yu et al. 2025, section 3.3)
    sequence:  w = m / (B Σₜm)     every answer alike: GRPO (Shao et al. 2024, eq. 3)
    constant:  w = m / (B L)       no bias by length: Dr. GRPO (Liu et al. 2025, section 3)

    The first two sum to 1, B counting the rows that have a token.  The third sums to less: L is
    `longest`, the most tokens an answer may have, and never the padded width, which depends on what
    else is in the batch.  Raises ValueError where `longest` is missing, or given to another unit.
    """
    if (longest is None) == (by == "constant"):
        raise ValueError(f"weigh by {by!r}: longest is {longest}; 'constant' alone needs it")
    w_BT = mask_BT.to(torch.get_default_dtype())
    length_B1 = w_BT.sum(1, keepdim=True)
    match by:
        case "token":
            return w_BT / w_BT.sum().clamp(min=1)
        case "sequence":
            return w_BT / length_B1.clamp(min=1) / (length_B1 > 0).sum().clamp(min=1)
        case "constant":
            return w_BT / (len(w_BT) * (longest or 1))
        case _:
            assert_never(by)


def even(n: int) -> Tensor:
    """w_B = 1/n, for losses with one number per row."""
    return torch.full((n,), 1 / n)
