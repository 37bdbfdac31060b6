"""Matrix products of frozen weights, as fast as a CPU does them, for as long as nothing learns.

oneDNN wants a weight in an order of its own.  Where all of a model's weights are small enough to
have a second time, they are laid out so once; larger ones are multiplied as they lie.  What is no
plain linear layer (quantised, adapted in another precision than the base) is called as it is.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from accord.models import linear, lora

PACK_BYTES = 1 << 28
"""the most that the weights of a model laid out a second time may take"""
KINDS = torch.float32, torch.bfloat16
Product = Callable[[Tensor], Tensor]
"""x_NI -> y_NO"""


def product(layers: Sequence[nn.Module], pack: bool) -> Product:
    """x W' + b of linear layers that read the same x, their outputs side by side."""
    found = [_seen(layer, pack) for layer in layers]
    plain = [pair for pair in found if pair is not None]
    if len(plain) < len(layers):
        return _beside([layer.__call__ for layer in layers])
    if not pack:
        return _beside([_made(weight, bias) for weight, bias in plain])
    if all(bias is None for _, bias in plain):
        return _packed(torch.cat([weight for weight, _ in plain]), None)
    biases = [w.new_zeros(len(w)) if b is None else b for w, b in plain]
    return _packed(torch.cat([weight for weight, _ in plain]), torch.cat(biases))


def _beside(parts: Sequence[Product]) -> Product:
    if len(parts) == 1:
        return parts[0]
    return lambda x: torch.cat([part(x) for part in parts], -1)


def _seen(layer: nn.Module, merge: bool) -> tuple[Tensor, Tensor | None] | None:
    """(weight, bias) as the layer multiplies by them now; None if only itself knows."""
    if lora.wrapped(layer):
        active = [] if layer.disable_adapters else [*layer.active_adapters]
        active = [name for name in active if name in layer.lora_A]
        base = layer.get_base_layer()
        if not active:
            return _seen(base, merge)
        if not merge or not _simple(layer, base, active[0]) or len(active) > 1:
            return None
        return base.weight + layer.get_delta_weight(active[0]), base.bias
    if not linear.plain(layer):
        return None
    return layer.weight, layer.bias


def _simple(layer: Any, base: nn.Module, name: str) -> bool:
    """W + (alpha / r) B A in one precision, so that the sum may be had in one matrix."""
    from peft.tuners.lora.layer import Linear

    low, high = layer.lora_A[name], layer.lora_B[name]
    return (
        type(layer) is Linear
        and linear.plain(base)
        and not layer.merged
        and name not in layer.lora_variant
        and low.bias is None
        and high.bias is None
        and low.weight.dtype == high.weight.dtype == base.weight.dtype == torch.float32
    )


def _made(weight: Tensor, bias: Tensor | None) -> Product:
    run = linear.times if linear.chosen(weight) else F.linear
    return lambda x: run(x, weight, bias)


def _packed(weight: Tensor, bias: Tensor | None) -> Product:
    if linear.chosen(weight):
        weight = torch.ops.mkldnn._reorder_linear_weight(weight)
        return lambda x: linear.times(x, weight, bias)
    return lambda x: F.linear(x, weight, bias)
