"""A static key-value cache of slots: one slot per answer being written."""

import torch
from torch import Tensor


class SlotCache:
    """Keys and values per layer, [slots, key heads, places, D], allocated once.

    Layers are allocated at first use, since their head counts and sizes may differ.
    """

    def __init__(self, slots: int, places: int):
        self.slots, self.places = slots, places
        self._kv: dict[int, tuple[Tensor, Tensor]] = {}
        self.seen = 0
        """places in use: attention never looks beyond them"""

    def _layer(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if layer not in self._kv:
            # zeros, not empty: a masked place still enters 0 · v, and 0 · NaN is NaN
            self._kv[layer] = (self._room(k), self._room(v))
        return self._kv[layer]

    def _room(self, like: Tensor) -> Tensor:
        """Keys and values may differ in size (DeepSeek's do)."""
        return like.new_zeros(self.slots, like.shape[0], self.places, like.shape[-1])

    def fill(self, layer: int, slot: int, k: Tensor, v: Tensor) -> None:
        """Lay a whole sequence, [key heads, T, D], into the first T places of a slot."""
        keys, values = self._layer(layer, k, v)
        keys[slot, :, : k.shape[1]], values[slot, :, : k.shape[1]] = k, v
        self.seen = max(self.seen, k.shape[1])

    def put(self, layer: int, place_B: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Lay one token per slot, [B, key heads, D], at `place_B`; all seen so far comes back."""
        keys, values = self._kv[layer]
        row_B = torch.arange(len(place_B), device=place_B.device)
        keys[row_B, :, place_B], values[row_B, :, place_B] = k, v
        return keys[: len(place_B), :, : self.seen], values[: len(place_B), :, : self.seen]

    def copy(self, source: "SlotCache", rows: Tensor, slots: Tensor) -> None:
        """Lay rows of another cache into slots of this one: how a prompt is fanned out."""
        for layer, (k, v) in source._kv.items():
            keys, values = self._layer(layer, k[0], v[0])
            keys[slots, :, : source.seen] = k[rows, :, : source.seen]
            values[slots, :, : source.seen] = v[rows, :, : source.seen]
        self.seen = max(self.seen, source.seen)

    def keep(self, slots: Tensor) -> None:
        """Drop all slots but these, so that finished answers cost nothing."""
        self._kv = {layer: (k[slots], v[slots]) for layer, (k, v) in self._kv.items()}
        self.slots = len(slots)
