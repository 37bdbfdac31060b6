"""Several answers to one prompt, with the prompt read once.

A row is laid flat as its stem (the prompt) and then its branches (the answers), one after another.
Each branch looks at the stem and at itself; hidden states and gradients are those of the whole
sequences side by side, for the stem's tokens are computed once and used by all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from accord.data.rows import Choices, Grouped
from accord.models.attention import Heads, causal
from accord.models.trunk import Flat

Run = tuple[Tensor, Tensor, Tensor]
"""queries, keys and values of a run of tokens, [1, heads, T, D]"""


@dataclass(frozen=True)
class Fork:
    """The layout of rows of one stem and some branches; lengths in tokens, a stem may be 0."""

    stems: Sequence[int]
    branches: Sequence[Sequence[int]]
    _masks: dict[tuple[int, int, int | None], Tensor] = field(default_factory=dict)

    @property
    def lengths(self) -> Sequence[int]:
        """Of the whole sequences, one per branch."""
        return [t + n for t, few in zip(self.stems, self.branches, strict=True) for n in few]

    def attend(self, heads: Heads, layer: int) -> Tensor:
        """One call per stem and per branch, whose keys are the stem's and its own."""
        runs = [
            t for stem, few in zip(self.stems, self.branches, strict=True) for t in (stem, *few)
        ]
        each, parts = heads.split(runs), []
        for stem, few in zip(self.stems, self.branches, strict=True):
            root = next(each)
            if stem:
                parts.append(self._mix(heads, root, None))
            parts += [self._mix(heads, next(each), root if stem else None) for _ in few]
        return torch.cat(parts, 1)

    def _mix(self, heads: Heads, own: Run, root: Run | None) -> Tensor:
        (q, k, v), stem = own, 0
        if root is not None:
            stem = root[1].shape[2]
            k, v = (torch.cat([x, y], 2) for x, y in zip(root[1:], (k, v), strict=True))
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


class Forked(NamedTuple):
    """Rows of answers laid flat, each prompt once; S counts the answers' tokens, in order."""

    flat: Flat
    at_S: Tensor
    """the flat index of each token"""
    before_S: Tensor
    """of what predicts it: its neighbour, or the prompt's last"""
    own_A: Tensor
    """tokens of each real answer"""

    @property
    def last_A(self) -> Tensor:
        """The flat index of each real answer's last token."""
        return self.at_S[self.own_A.cumsum(0) - 1]


def fork(few: Choices) -> Forked:
    """Every row laid flat: its prompt, then each of its answers without it."""
    ids, places = [], []
    at: list[int] = []
    before: list[int] = []
    stems, branches, end = few.shared_B.tolist(), [], 0
    for b, (stem, lengths) in enumerate(zip(stems, few.length_BK.tolist(), strict=True)):
        spans = [(0, 0, stem), *((k, stem, n) for k, n in enumerate(lengths) if n)]
        for k, first, beyond in spans:
            ids.append(few.ids_BKT[b, k, first:beyond])
            places.append(torch.arange(first, beyond, device=few.ids_BKT.device))
        branches.append([n - stem for n in lengths if n])
        root = end + stem - 1
        end += stem
        for n in branches[-1]:
            at += range(end, end + n)
            before += [root, *range(end, end + n - 1)]
            end += n
    flat = Flat(torch.cat(ids), torch.cat(places), Fork(stems, branches))
    numbers = (at, before, [n for few in branches for n in few])
    return Forked(flat, *(torch.tensor(x, device=flat.ids_N.device) for x in numbers))


def together(rows: Grouped) -> tuple[Flat, Tensor]:
    """Rows laid flat, with one prompt for neighbours that share it; and before_S: for each answer
    token, in order, the flat index of what predicts it.
    """
    ids, places, end, root = [], [], 0, 0
    before: list[int] = []
    stems: list[int] = []
    branches: list[list[int]] = []
    told = zip(rows.group_B.tolist(), rows.stem_B.tolist(), rows.length_B.tolist(), strict=True)
    last = None
    for b, (group, stem, beyond) in enumerate(told):
        if group != last:
            stems.append(stem)
            branches.append([])
            root, last = end + stem - 1, group
            end += stem
        first = stem if branches[-1] else 0
        ids.append(rows.ids_BT[b, first:beyond])
        places.append(torch.arange(first, beyond, device=rows.ids_BT.device))
        branches[-1].append(beyond - stem)
        before += [root, *range(end, end + beyond - stem - 1)]
        end += beyond - stem
    flat = Flat(torch.cat(ids), torch.cat(places), Fork(stems, branches))
    return flat, torch.tensor(before, device=flat.ids_N.device)
