"""Attention over ragged sequences, for any Hugging Face model that uses the attention interface.

Every forward pass of the house is ONE flat row of N tokens with explicit positions.  A `Layout`
says which of them may look at which: whole sequences side by side (training, prefill), or one new
token per slot of a key-value cache (decoding).  No padding is ever computed, and since the layout
travels as a keyword, the model's own code runs unchanged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

from accord.errors import BadModel
from accord.models.cache import SlotCache

NAME = "accord"
_UNKNOWN = ("s_aux", "position_bias")
"""what some families hand to attention and this one does not do"""


class Layout(Protocol):
    """Who looks at whom in a flat row of N tokens."""

    def attend(self, heads: "Heads", layer: int) -> Tensor:
        """The mixed values, [query heads, N, D]."""
        ...


@dataclass(frozen=True)
class Heads:
    """What one attention layer works on: q [heads, N, D]; k, v [key heads, N, D]."""

    q: Tensor
    k: Tensor
    v: Tensor
    scale: float
    window: int | None = None
    softcap: float | None = None

    def split(self, lengths: Sequence[int]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(q, k, v) of each run of tokens, [1, heads, T, D]; a split's gradient is one cat, where
        that of every slice would be as large as the whole.
        """
        whole = (x[None].split(list(lengths), 2) for x in (self.q, self.k, self.v))
        return zip(*whole, strict=True)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """softmax(q k' · scale) v over batches [b, heads, ., D]; no mask means causal."""
        shared = q.shape[1] // k.shape[1]
        # the CPU's kernel reads shared keys where they lie; on a GPU not every kernel does
        as_is = q.device.type == "cpu" and self.softcap is None
        if shared > 1 and not as_is:
            k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
        if self.softcap is not None:
            return self._capped(q, k, v, mask)
        return F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=mask is None, scale=self.scale, enable_gqa=shared > 1 and as_is
        )

    def _capped(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Gemma 2's: scores pass through c · tanh(./c) before the softmax."""
        assert self.softcap is not None
        if mask is None:
            mask = causal(q.shape[2], None, q.device)
        score = self.softcap * torch.tanh(q @ k.transpose(-1, -2) * self.scale / self.softcap)
        wide = torch.promote_types(score.dtype, torch.float32)
        share = score.masked_fill(~mask, float("-inf")).softmax(-1, dtype=wide)
        return share.to(v.dtype) @ v


def causal(length: int, window: int | None, device: torch.device) -> Tensor:
    """[T, T], True where row t may look at column s: s <= t, and t - s < window."""
    at = torch.arange(length, device=device)
    gap = at[:, None] - at[None, :]
    return (gap >= 0) if window is None else (gap >= 0) & (gap < window)


@dataclass(frozen=True)
class Packed:
    """Whole sequences side by side; each looks at itself alone, causally.

    With a cache, the keys and values of sequence i are also kept, as its i-th slot.
    """

    lengths: Sequence[int]
    cache: SlotCache | None = None

    def attend(self, heads: Heads, layer: int) -> Tensor:
        """One call per sequence: on ragged lengths faster than any block mask on CPU."""
        parts = []
        for row, (length, (q, k, v)) in enumerate(
            zip(self.lengths, heads.split(self.lengths), strict=True)
        ):
            far = heads.window is not None and length > heads.window
            mask = causal(length, heads.window, q.device) if far else None
            parts.append(heads.mix(q, k, v, mask)[0])
            if self.cache is not None:
                self.cache.fill(layer, row, k[0], v[0])
        return torch.cat(parts, 1)


@dataclass(frozen=True)
class Step:
    """One new token per slot, at `place_B`; it looks at everything before it in its own slot."""

    cache: SlotCache
    place_B: Tensor

    def attend(self, heads: Heads, layer: int) -> Tensor:
        """Write the new keys and values, then look back over the cache."""
        k, v = self.cache.put(layer, self.place_B, heads.k.transpose(0, 1), heads.v.transpose(0, 1))
        gap = self.place_B[:, None] - torch.arange(k.shape[2], device=k.device)
        seen = gap >= 0 if heads.window is None else (gap >= 0) & (gap < heads.window)
        # query heads that share a key head become queries of that head: the cache is never copied
        q = heads.q.transpose(0, 1).unflatten(1, (k.shape[1], -1))
        mixed = heads.mix(q, k, v, seen[:, None, None])
        return mixed.flatten(1, 2).transpose(0, 1)


def _interface(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """In place of transformers' own attention: [1, heads, N, D] -> [1, N, heads, D]."""
    layout: Layout | None = more.get("layout") or getattr(module, "layout", None)
    odd = [name for name in _UNKNOWN if more.get(name) is not None]
    if layout is None or odd:
        kind = type(module).__name__
        why = f"its attention uses {', '.join(odd)}" if odd else "it does not pass keywords on"
        raise BadModel(f"{kind}: this architecture cannot run here, because {why}")
    scale = more.get("scaling") or query.shape[-1] ** -0.5
    # some families hand over queries and keys in fp32 where values are in bf16
    q, k, v = query[0].to(value.dtype), key[0].to(value.dtype), value[0]
    heads = Heads(q, k, v, scale, more.get("sliding_window"), more.get("softcap"))
    return layout.attend(heads, module.layer_idx).transpose(0, 1)[None], None  # type: ignore[arg-type]


AttentionInterface.register(NAME, _interface)
