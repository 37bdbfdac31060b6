"""A static key-value cache of slots: one slot per answer being written."""

import torch
from torch import Tensor

GRAIN = 16
"""how many places a turned cache grows by"""


class SlotCache:
    """Keys and values per layer, [slots, key heads, places, D], allocated once.

    Layers are allocated at first use, since their head counts and sizes may differ.
    """

    def __init__(self, slots: int, places: int):
        self.slots, self.places = slots, places
        self._kv: dict[int, tuple[Tensor, Tensor]] = {}
        self.seen = 0
        """places in use: attention never looks beyond them"""
        self.back_S: Tensor | None = None
        """by how much less far than its index the next token of each slot stands, for pictures
        with two sides lie before it"""

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
        self.seen = max(self.seen, k.shape[1])
        keys, values = self._rows(*self._layer(layer, k, v))
        keys[slot, :, : k.shape[1]], values[slot, :, : k.shape[1]] = k, v

    def put(self, layer: int, place_B: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Lay one token per slot, [B, key heads, D], at `place_B`; all seen so far comes back."""
        keys, values = self._kv[layer]
        row_B = torch.arange(len(place_B), device=place_B.device)
        keys[row_B, :, place_B], values[row_B, :, place_B] = k, v
        return keys[: len(place_B), :, : self.seen], values[: len(place_B), :, : self.seen]

    def copy(self, source: "SlotCache", rows: Tensor, slots: Tensor) -> None:
        """Lay rows of another cache into slots of this one: how a prompt is fanned out."""
        self.seen = max(self.seen, source.seen)
        if source.back_S is not None:
            if self.back_S is None:
                self.back_S = source.back_S.new_zeros(self.slots)
            self.back_S[slots] = source.back_S[rows]
        for layer, (k, v) in source._kv.items():
            keys, values = self._rows(*self._layer(layer, k[0], v[0]))
            keys[slots, :, : source.seen] = k[rows, :, : source.seen]
            values[slots, :, : source.seen] = v[rows, :, : source.seen]

    def move(self, sources: Tensor, targets: Tensor) -> None:
        """Lay some slots over others, each source being none of the targets."""
        if self.back_S is not None:
            self.back_S[targets] = self.back_S[sources]
        self._move(sources, targets)

    def _move(self, sources: Tensor, targets: Tensor) -> None:
        for pair in self._kv.values():
            for x in self._rows(*pair):
                x[targets, :, : self.seen] = x[sources, :, : self.seen]

    def keep(self, slots: Tensor) -> None:
        """Drop all slots but these, so that finished answers cost nothing."""
        if self.back_S is not None:
            self.back_S = self.back_S[slots]
        at = torch.arange(len(slots), device=slots.device)
        moved = slots != at
        if not torch.isin(slots[moved], at[moved]).any():  # each into the place of a dropped one
            self._move(slots[moved], at[moved])
            self._kv = {i: (k[: len(slots)], v[: len(slots)]) for i, (k, v) in self._kv.items()}
        else:
            self._kv = {i: (k[slots], v[slots]) for i, (k, v) in self._kv.items()}
        self.slots = len(slots)

    def grow(self, slots: int) -> None:
        """To so many slots; the new ones are empty."""
        more = slots - self.slots
        if self.back_S is not None:
            self.back_S = torch.cat([self.back_S, self.back_S.new_zeros(more)])
        for layer, pair in self._kv.items():
            k, v = (torch.cat([x, x.new_zeros(more, *x.shape[1:])]) for x in pair)
            self._kv[layer] = k, v
        self.slots = slots

    def backs(self, count: int, like: Tensor) -> Tensor:
        """`back_S` of the first slots; nought where no picture was seen."""
        return torch.zeros_like(like) if self.back_S is None else self.back_S[:count]

    def _rows(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Views of a layer, [slots, key heads, places, D] both."""
        return keys, values


class TurnedCache(SlotCache):
    """The same with keys as columns, [slots, key heads, D, places], and no more places than are in
    use: a few queries meet such keys up to three times as fast on a CPU, and values without gaps
    are not copied first.
    """

    def _layer(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        there = self._kv.get(layer)
        if there is None or there[1].shape[2] < self.seen:
            wide = min(self.places, -(-self.seen // GRAIN) * GRAIN)
            keys = k.new_zeros(self.slots, k.shape[0], k.shape[-1], wide)
            values = v.new_zeros(self.slots, v.shape[0], wide, v.shape[-1])
            if there is not None:
                keys[..., : there[0].shape[-1]] = there[0]
                values[:, :, : there[1].shape[2]] = there[1]
            self._kv[layer] = keys, values
        return self._kv[layer]

    def put(self, layer: int, place_B: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """As above; back come keys [B, key heads, D, places] and values [B, key heads, places, D],
        with a few places beyond those seen.
        """
        keys, values = self._layer(layer, k[0][:, None], v[0][:, None])
        row_B = torch.arange(len(place_B), device=place_B.device)
        keys[row_B, :, :, place_B], values[row_B, :, place_B] = k, v
        upto = -(-self.seen // GRAIN) * GRAIN
        return keys[: len(place_B), :, :, :upto], values[: len(place_B), :, :upto]

    def _rows(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return keys.transpose(2, 3), values
