"""The micro-batch that memory is foreseen to hold: chosen once, before a learner's first update."""

import warnings
from collections.abc import Iterable
from typing import Any

import torch

from accord.engine import room
from accord.engine.learner import Learner
from accord.engine.memory import Work, learned, moments, passes
from accord.models import quantised
from accord.models.heads import Judge, Part
from accord.models.load import Dtype
from accord.models.lora import Lora

SAFE = 1.15
"""what is foreseen is within so much of what is then taken"""
SHARE = 0.9
"""of what is free: an allocator leaves gaps"""
MOST_ROWS = 16
"""rows that are rehearsed; more take in proportion"""


def fit(learner: Learner[Any], row: int, waiting: Iterable[Learner[Any]] = ()) -> None:
    """Lower the learner's budget to what fits; a row is this many tokens at most.

    `waiting` have not begun either: the gradients and means to come of theirs are kept free.  Only
    where memory may be short is a pass rehearsed; where nothing can be foreseen, all stays as it
    is, and memory that runs out halves the budget (budget.py).
    """
    part, budget = learner.model, learner.budget
    free = room.free(part.trunk.device)
    if learner.how.micro_tokens is not None or free is None:
        return
    left = int(SHARE * free) - _coming(learner)
    left -= sum(_coming(x) + learned(x.model) for x in waiting if _beside(x, part))
    wanted = budget.size
    if learned(part) + wanted * roughly(part) < left or (work := _work(learner, row)) is None:
        return
    most = min(MOST_ROWS, max(2, wanted // row))
    half, whole = passes(part.trunk.model.config, work, (most // 2, most))
    each = (whole - half) / (most - most // 2)
    base = whole - each * most
    if SAFE * (base + each * wanted / row) <= left:
        return
    tokens = row * (left / SAFE - base) / each if each > 0 else 0
    while budget.size > max(row, tokens):
        budget.size //= 2
    budget.size = max(row, budget.size)
    foreseen = (base + each * wanted / row) / 1e9
    warnings.warn(
        f"memory is short: {budget.size} {budget.what} instead of {wanted}, for which "
        f"{foreseen:.2f} GB are foreseen, and {max(0, left) / 1e9:.2f} GB are left. Only the speed "
        "changes",
        stacklevel=4,
    )


def roughly(part: Part) -> int:
    """Bytes that a token makes in a pass, generously: three fp32 numbers for whatever enters or
    leaves a matrix.
    """
    return sum(12 * sum(w.shape[-2:]) for w in part.trunk.parameters() if w.dim() > 1)


def _coming(learner: Learner[Any]) -> int:
    """Bytes of the means that its first step will make on its device."""
    there = bool(learner.steps.optimizer.state)
    return 0 if _away(learner) or there else moments(learner.model, learner.how.bits)


def _away(learner: Learner[Any]) -> bool:
    return learner.how.offload and learner.model.trunk.device.type != "cpu"


def _beside(learner: Learner[Any], part: Part) -> bool:
    return learner.model is not part and learner.model.trunk.device == part.trunk.device


def _work(learner: Learner[Any], row: int) -> Work | None:
    """The update of one row, to be rehearsed; None for what a rehearsal does not know."""
    trunk, using = learner.model.trunk, learner.model.using
    dtypes: dict[torch.dtype, Dtype] = {torch.float32: "fp32", torch.bfloat16: "bf16"}
    dtype = dtypes.get(trunk.compute or trunk.model.dtype)
    if dtype is None or quantised.kind(trunk.model):
        return None
    how, lora = learner.how, None
    more: dict[str, Any] = {"recompute": how.recompute, "offload": _away(learner)}
    if using is not None:
        there = trunk.adapters.configs[using]
        names = there.target_modules or ()
        targets = names if isinstance(names, str) else ",".join(sorted(names))
        lora = Lora(there.r, there.lora_alpha, targets)
    if isinstance(learner.model, Judge):  # its head reads few of the tokens, and is small
        return Work("reward", dtype, lora, max(1, row - 2), 1, **more)
    return Work("sft", dtype, lora, 0, row, **more)
