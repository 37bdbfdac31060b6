"""fp32 master weights under a model that computes in bf16.

Autocast would leave to each operation what it computes in, and families differ: a norm's weight, a
bias or an expert in fp32 gives sums that the bf16 original never saw.  Here every module sees its
weights rounded, as if it had been loaded so; a copy to be trained then says, before its first
update, exactly what the original says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def give_masters(model: nn.Module) -> None:
    """Weights below fp32 become fp32, and are seen rounded to what they were by their modules."""
    for module in model.modules():
        low = {k: w.dtype for k, w in module.named_parameters(recurse=False) if w.itemsize < 4}
        if low:
            module.rounded_to = low  # type: ignore[assignment]
            module.register_forward_pre_hook(_round)
            module.register_forward_hook(_restore, always_call=True)
    for weight in model.parameters():
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


def _swap(module: Any, made: dict[int, Tensor]) -> None:
    own = module._parameters
    module.masters = {name: own[name] for name in module.rounded_to}
    for name, dtype in module.rounded_to.items():
        weight = own[name]
        if id(weight) not in made:
            made[id(weight)] = weight.to(dtype)
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
