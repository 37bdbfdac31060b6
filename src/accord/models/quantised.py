"""Weights of 8 or 4 bits, frozen under adapters that are trained, through bitsandbytes.

int8: LLM.int8(), Dettmers et al. 2022.  int4: NF4 with quantised scales, as in
QLoRA, Dettmers et al. 2023.  Embeddings, norms and the head stay in bf16, and so do activations.
And an optimizer whose means are of 8 bits.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from transformers import BitsAndBytesConfig, PreTrainedModel

from accord.errors import BadModel, MissingExtra

KINDS = ("int8", "int4")
SMALL = 4096
"""numbers below which a tensor's means stay floats"""


def options(dtype: str, device: str) -> dict[str, Any]:
    """What `from_pretrained` is told for such weights; nothing for others.

    MissingExtra where bitsandbytes is not installed.
    """
    if dtype not in KINDS:
        return {}
    installed(f"dtype={dtype}")
    how = BitsAndBytesConfig(
        load_in_8bit=dtype == "int8",
        load_in_4bit=dtype == "int4",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": how, "device_map": {"": device}}


def adam(
    params: Iterable[Tensor],
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """AdamW whose two means are of 8 bits, quantised in blocks of 256 with a scale for each.

    Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization".  Tensors of fewer than
    `SMALL` numbers keep floats.  MissingExtra where bitsandbytes is not installed.
    """
    library = installed("optimizer.bits=8")
    knobs = (lr, betas, eps, weight_decay)
    return library.optim.AdamW8bit(params, *knobs, min_8bit_size=SMALL)  # type: ignore[no-any-return]


def installed(who: str) -> Any:
    """bitsandbytes; MissingExtra, which says who needs it, where it is not installed."""
    try:
        import bitsandbytes
    except ImportError as error:
        raise MissingExtra(
            f"{who} needs bitsandbytes: pip install -c constraints.txt -e '.[quant]'"
        ) from error
    return bitsandbytes


def steady(model: PreTrainedModel) -> None:
    """The same products with and without gradients.

    On a CPU and in evaluation mode, the first pass without gradients makes bitsandbytes repack
    4-bit weights for a kernel that passes no gradient on; 8-bit ones are then computed in fp16.
    """
    if kind(model):
        for layer in model.modules():
            if type(layer).__module__.startswith("bitsandbytes."):
                layer.train()  # switches nothing else: these layers have no dropout


def kind(model: PreTrainedModel) -> str | None:
    """int8 or int4; None for a model of plain weights."""
    for name, flag in zip(KINDS, ("is_loaded_in_8bit", "is_loaded_in_4bit"), strict=True):
        if getattr(model, flag, False):
            return name
    return None


def whole(model: PreTrainedModel, to: str) -> None:
    """BadModel where the weights are quantised, and the whole of them is needed."""
    if found := kind(model):
        raise BadModel(
            f"weights in {found} cannot be {to} as a whole: train an adapter (lora=Lora), or open "
            "the model with dtype=bf16"
        )


def footprint(model: PreTrainedModel) -> int:
    """Bytes of all weights, scales included, each counted once."""
    weights = {id(w): w for w in (*model.parameters(), *model.buffers())}
    total = sum(w.nbytes for w in weights.values())
    for weight in weights.values():
        scales = getattr(weight, "SCB", None)
        state = getattr(weight, "quant_state", None)
        total += scales.nbytes if scales is not None else 0
        total += _bytes(state) if state is not None else 0
    return total


def _bytes(state: Any) -> int:
    """Of NF4's scales, and the scales of those."""
    inner = _bytes(state.state2) if getattr(state, "state2", None) is not None else 0
    return int(state.absmax.nbytes + state.code.nbytes + inner)
