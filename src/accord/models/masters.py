"""fp32 master weights under a model that computes in bf16.

Autocast would leave to each operation what it computes in, and families differ: a norm's weight, a
bias or an expert in fp32 gives sums that the bf16 original never saw.  Here every module sees its
weights rounded, as if it had been loaded so; a copy to be trained then says, before its first
update, exactly what the original says.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def give_masters(model: nn.Module, but: Sequence[nn.Module] = ()) -> None:
    """Weights below fp32 become fp32, and are seen rounded to what they were by their modules;
    save for parts that never learn.
    """
    left = {id(module) for part in but for module in part.modules()}
    learning = [module for module in model.modules() if id(module) not in left]
    for module in learning:
        low = {k: w.dtype for k, w in module.named_parameters(recurse=False) if w.itemsize < 4}
        if low:
            module.rounded_to = low  # type: ignore[assignment]
            module.register_forward_pre_hook(_round)
            module.register_forward_hook(_restore, always_call=True)
    for weight in [weight for module in learning for weight in module.parameters(recurse=False)]:
        if weight.itemsize < 4:
            weight.data = weight.data.float()


@contextmanager
def rounded(model: nn.Module) -> Iterator[None]:
    """All weights stay rounded for as long as nothing learns: they are not cast at every pass."""
    parts = [m for m in model.modules() if hasattr(m, "rounded_to") and not hasattr(m, "masters")]
    made: dict[int, Tensor] = {}  # tied weights stay one
    for part in parts:
        _swap(part, made)
    try:
        yield
    finally:
        for part in parts:
            _swap_back(part)


def lows(model: nn.Module) -> dict[int, torch.dtype]:
    """id of each master -> the precision in which its modules see it."""
    parts = [m for m in model.modules() if hasattr(m, "rounded_to")]
    return {id(m._parameters[k]): low for m in parts for k, low in m.rounded_to.items()}  # type: ignore[union-attr, operator]


def lower(weight: nn.Parameter, low: torch.dtype) -> None:
    """The weight is kept rounded; its master must be kept elsewhere by who calls this.

    A stand-in of the master's shape, which holds no numbers, gathers the gradient as the master
    would have: each use of the weight widened to fp32, then added.
    """
    stand = torch.empty((), dtype=weight.dtype, device=weight.device).expand(weight.shape)
    weight.stand = stand.requires_grad_()  # type: ignore[attr-defined]
    weight.data = weight.data.to(low)


def leaf(weight: nn.Parameter) -> Tensor:
    """What gathers the gradient of a weight: itself, or its master's stand-in."""
    found: Tensor = getattr(weight, "stand", weight)
    return found


class _Seen(torch.autograd.Function):
    """A rounded weight, whose gradient goes to the stand-in of its master."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, stand: Tensor) -> Tensor:
        ctx.wide = stand.dtype
        return weight.detach()

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, slope: Tensor) -> tuple[None, Tensor]:
        return None, slope.to(ctx.wide)


def _seen(weight: Any, low: torch.dtype) -> Tensor:
    if weight.dtype == low and hasattr(weight, "stand"):
        return _Seen.apply(weight, weight.stand)  # type: ignore[no-any-return,no-untyped-call]
    return weight.to(low)  # type: ignore[no-any-return]


def _swap(module: Any, made: dict[int, Tensor]) -> None:
    own = module._parameters
    module.masters = {name: own[name] for name in module.rounded_to}
    for name, dtype in module.rounded_to.items():
        weight = own[name]
        if id(weight) not in made:
            made[id(weight)] = _seen(weight, dtype)
        own[name] = made[id(weight)]


def _swap_back(module: Any) -> None:
    module._parameters.update(module.__dict__.pop("masters"))


def _round(module: nn.Module, given: Any) -> None:
    if not hasattr(module, "masters"):
        _swap(module, {})
        module.once = True  # type: ignore[assignment]


def _restore(module: nn.Module, given: Any, made: Any) -> None:
    if module.__dict__.pop("once", False):
        _swap_back(module)
