"""How much is computed at once: chosen from the machine, and halved where memory runs out.

A budget changes memory and speed, not what is computed: gradients are sums over micro-batches,
scores and samples do not depend on their neighbours, but for rounding.  In fp32 that is the last
bits of a sum, and hardly ever another token; in bf16 it is enough to draw another one now and then,
so that answers written fewer at a time may be other answers, of the same distribution.
"""

import re
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from accord.errors import TooLittleMemory
from accord.models.trunk import Trunk

T = TypeVar("T")
UPDATE = {"cpu": 1024}
"""real tokens in one forward and backward pass: on a CPU, what stays near its caches is fastest"""
SCORE = {"cpu": 8192}
"""real tokens in one pass without gradients"""
LARGE = 8192, 16384
"""the same two on other devices"""
CACHE_BYTES = 1 << 30
"""what the sampler's cache and logits may take on a CPU; on a GPU an eighth of its memory"""
ASIDE = 8
"""this part of the sampler's cache may prompts take that are being read, and as much those that
were read and wait: both lie beside it"""
MOST_SLOTS = {"cpu": 256}
_FULL = re.compile(
    "can't allocate memory"
    r"|could not (create|execute) a primitive(?! descriptor)|could not create a memory( object)?$"
)
"""what torch's allocator says, and oneDNN, whose scratch memory is its own (dnnl.hpp)"""
MANY_SLOTS = 1024


class Budget:
    """Tokens of a pass, or slots of a sampler.  Once halved it stays so, and is worth saving."""

    def __init__(self, size: int, what: str, but: str = ""):
        """`but`: what else changes where it is halved, said after "Only the speed changes"."""
        self.size, self.what, self.but = size, what, but

    def spend(self, work: Callable[[int], T], least: int) -> T:
        """work(size), again from its start with half as much whenever memory runs out.

        `least` is where less would change nothing; TooLittleMemory when even that is too much.
        """
        while True:
            try:
                return work(self.size)
            except (RuntimeError, MemoryError) as error:
                if not exhausted(error):
                    raise
                said = (str(error).strip() or type(error).__name__).splitlines()[0]
            # beyond the handler: what failed, and all that its traceback held, is let go
            if self.size <= least:
                raise TooLittleMemory(
                    f"out of memory with {self.size} {self.what}, and less cannot be done at once "
                    f"({said}). What helps: shorter rows (longest=…), optimizer.recompute=true, "
                    "lora=Lora, dtype=bf16, or a smaller model"
                )
            self.size = max(least, self.size // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            warnings.warn(
                f"out of memory: going on with {self.size} {self.what}. Only the speed changes"
                f"{self.but}",
                stacklevel=2,
            )


def exhausted(error: BaseException) -> bool:
    """Whether memory ran out, rather than something being wrong."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _FULL.search(str(error)) is not None


def for_updates(device: torch.device, asked: int | None) -> Budget:
    """Real tokens in one forward and backward pass."""
    return Budget(asked or UPDATE.get(device.type, LARGE[0]), "tokens in a micro-batch")


def for_scores(device: torch.device, asked: int | None = None) -> Budget:
    """Real tokens in one pass without gradients."""
    return Budget(asked or SCORE.get(device.type, LARGE[1]), "tokens in a pass")


def for_samples(trunk: Trunk, places: int, asked: int | None = None) -> Budget:
    """Answers written at once: a function of the model, the longest answer and the machine alone,
    so that a resumed run chooses as the first did.
    """
    coarse = (trunk.compute or trunk.model.dtype) == torch.bfloat16
    but = ", and by rounding in bf16 what is drawn" if coarse else ""
    if asked is not None:
        return Budget(asked, "answers at once", but)
    room = CACHE_BYTES
    if trunk.device.type == "cuda":
        room = torch.cuda.get_device_properties(trunk.device).total_memory // 8
    most = MOST_SLOTS.get(trunk.device.type, MANY_SLOTS)
    fit = room * ASIDE // ((ASIDE + 2) * slot_bytes(trunk, places))
    return Budget(max(1, min(most, fit)), "answers at once", but)


def for_prompts(device: torch.device, slots: int, places: int) -> int:
    """Tokens of prompts, filled up to the longest, that a sampler reads in one pass; one prompt may
    have more.
    """
    return max(1, min(slots * places // ASIDE, for_scores(device).size))


def slot_bytes(trunk: Trunk, places: int) -> int:
    """What one answer being written takes: its keys and values, and its row of logits, which is
    held in fp32 beside the two copies that drawing makes.
    """
    config = trunk.model.config.get_text_config()
    each = (trunk.compute or trunk.model.dtype).itemsize
    layers = getattr(config, "per_layer_config", None) or [config] * config.num_hidden_layers
    numbers = sum(_key_numbers(layer) for layer in layers)
    return 2 * numbers * each * places + 3 * 4 * int(config.vocab_size)


def _key_numbers(layer: Any) -> int:
    """Width of one token's keys in a layer; its values take about as much."""
    heads: int = layer.num_attention_heads
    size: int = getattr(layer, "head_dim", None) or layer.hidden_size // heads
    return size * int(getattr(layer, "num_key_value_heads", None) or heads)
