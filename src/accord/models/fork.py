"""Several answers to one prompt, with the prompt read once.

A row is laid flat as its stem (the prompt) and then its branches (the answers), one after another.
Each branch looks at the stem and at itself; hidden states and gradients are those of the whole
sequences side by side, for the stem's tokens are computed once and used by all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from accord.data.rows import Choices
from accord.models.attention import Heads, causal
from accord.models.trunk import Flat


@dataclass(frozen=True)
class Fork:
    """The layout of rows of one stem and some branches; lengths in tokens, a stem may be 0."""

    stems: Sequence[int]
    branches: Sequence[Sequence[int]]
    _masks: dict[tuple[int, int, int | None], Tensor] = field(default_factory=dict)

    def attend(self, heads: Heads, layer: int) -> Tensor:
        """One call per stem and per branch, whose keys are the stem's and its own."""
        parts, start = [], 0
        for stem, few in zip(self.stems, self.branches, strict=True):
            root = slice(start, start + stem)
            if stem:
                parts.append(self._mix(heads, root, root, 0))
            start += stem
            for length in few:
                parts.append(self._mix(heads, slice(start, start + length), root, stem))
                start += length
        return torch.cat(parts, 1)

    def _mix(self, heads: Heads, own: slice, root: slice, stem: int) -> Tensor:
        q, k, v = (x[None, :, own] for x in (heads.q, heads.k, heads.v))
        if stem:
            k, v = (torch.cat([x[None, :, root], y], 2) for x, y in ((heads.k, k), (heads.v, v)))
        return heads.mix(q, k, v, self._mask(stem, q.shape[2], heads.window, q.device))[0]

    def _mask(
        self, stem: int, length: int, window: int | None, device: torch.device
    ) -> Tensor | None:
        far = window is not None and stem + length > window
        if not stem and not far:
            return None
        key = (stem, length, window if far else None)
        if key not in self._masks:  # the same for every layer of a kind
            self._masks[key] = causal(stem + length, key[2], device)[stem:]
        return self._masks[key]


def fork(few: Choices) -> tuple[Flat, Tensor]:
    """(every row laid flat, the flat index of each real answer's last token, in order)."""
    ids, places, last = [], [], []
    stems, branches, end = few.shared_B.tolist(), [], 0
    for b, (stem, lengths) in enumerate(zip(stems, few.length_BK.tolist(), strict=True)):
        spans = [(0, 0, stem), *((k, stem, n) for k, n in enumerate(lengths) if n)]
        for k, first, beyond in spans:
            ids.append(few.ids_BKT[b, k, first:beyond])
            places.append(torch.arange(first, beyond, device=few.ids_BKT.device))
        own = [n - stem for n in lengths if n]
        branches.append(own)
        end += stem
        for n in own:
            end += n
            last.append(end - 1)
    flat = Flat(torch.cat(ids), torch.cat(places), Fork(stems, branches))
    return flat, torch.tensor(last, device=few.ids_BKT.device)
