"""fp32 products of linear layers by oneDNN, on processors where MKL is not at home.

torch multiplies fp32 matrices by MKL, which leaves half of an AMD processor with AVX-512 unused:
105 against 230 GFLOP/s on one core of the machine this was written on (benchmarks/products.py).
The sums are the same up to the order of addition.  bf16 goes through oneDNN anyway.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from accord.errors import BadSettings

SWITCH = "ACCORD_PRODUCTS"
"""environment: `torch` or `onednn`; nothing: what is faster here"""
LOT = 64
"""rows are filled up to a multiple: for each number of them oneDNN prepares anew, and keeps that"""
_CPU = Path("/proc/cpuinfo")


def there() -> bool:
    """Whether this torch has oneDNN's linear layer."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _wish() -> str:
    if (wish := os.environ.get(SWITCH, "")) not in ("", "torch", "onednn"):
        raise BadSettings(f"{SWITCH}={wish}: say torch or onednn, or nothing: what is faster here")
    return wish


@cache
def faster() -> bool:
    """Whether oneDNN multiplies fp32 matrices, where it is asked for, or faster than torch."""
    if (wish := _wish()) or not there():
        return wish == "onednn" and there()
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return wide and _CPU.is_file() and "AuthenticAMD" in _CPU.read_text()


def chosen(weight: Tensor) -> bool:
    """Whether oneDNN's linear layer multiplies by such a weight here: in fp32 where it is faster or
    asked for; in bf16 unless torch is, which takes it too, but does not lay weights out before.
    """
    if weight.device.type != "cpu" or not there():
        return False
    if weight.dtype is torch.bfloat16:
        return _wish() != "torch"
    return weight.dtype is torch.float32 and faster()


def times(x: Tensor, weight_OI: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W' + b by oneDNN; the weight as it lies, or in oneDNN's order."""
    run = torch.ops.mkldnn._linear_pointwise.default
    return run(x, weight_OI, bias, "none", [], "")  # type: ignore[no-any-return]


class Linear(nn.Linear):
    """torch's linear layer, its fp32 products made by oneDNN."""

    def forward(self, input: Tensor) -> Tensor:
        """x W' + b."""
        if not _fits(input, self.weight):
            return F.linear(input, self.weight, self.bias)
        rows_NI = input.reshape(-1, input.shape[-1])
        count = len(rows_NI)
        if (more := -count % LOT) and count > LOT:
            rows_NI = F.pad(rows_NI, (0, 0, 0, more))
        # shaped out here: autograd lets nobody change in place a view made inside a function
        made_NO: Tensor = _Linear.apply(rows_NI, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return made_NO[:count].view(*input.shape[:-1], -1)


def quicken(model: nn.Module) -> None:
    """Its linear layers multiply by oneDNN from now on, where that is faster."""
    if faster():
        for module in model.modules():
            if type(module) is nn.Linear:
                module.__class__ = Linear


def plain(module: nn.Module) -> TypeGuard[nn.Linear]:
    """A linear layer and nothing else."""
    return type(module) in (nn.Linear, Linear)


def _fits(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype is weight.dtype is torch.float32
        and x.device.type == "cpu"
        and weight.device.type == "cpu"
        and x.dim() > 1
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
    )


class _Linear(torch.autograd.Function):
    """y = x W' + b;  dx = dy W,  dW = dy' x,  db = Σ dy."""

    @staticmethod
    def forward(ctx: Any, x_NI: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x_NI = x_NI.contiguous()
        _, for_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(x_NI if for_weight else None, weight)
        return times(x_NI, weight, bias)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, dy_NO: Tensor) -> tuple[Tensor | None, ...]:
        x_NI, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        dy_NO = dy_NO.contiguous()
        return (
            times(dy_NO, weight.t()) if for_x else None,
            times(dy_NO.t(), x_NI.t()) if for_weight else None,
            dy_NO.sum(0) if for_bias else None,
        )
