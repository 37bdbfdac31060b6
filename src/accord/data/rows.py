"""Tensors whose first axis is the row.  A recipe declares its columns by subclassing Rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from accord.records import Ids


@dataclass(frozen=True)
class Rows:
    """Every field is a tensor with B rows, or again Rows."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def take(self, index: Tensor | slice) -> Self:
        """Some of the rows."""
        picked = {f.name: getattr(self, f.name) for f in fields(self)}
        picked = {k: v.take(index) if isinstance(v, Rows) else v[index] for k, v in picked.items()}
        return replace(self, **picked)

    def to(self, device: torch.device | str) -> Self:
        """The same rows elsewhere."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @property
    def cost_B(self) -> Tensor:
        """Real tokens a model reads for each row: what a micro-batch is budgeted by."""
        costs = [v.cost_B for _, v in self.columns() if isinstance(v, Rows)]
        if not costs:
            return torch.ones(len(self), dtype=torch.long)
        return torch.stack(costs).sum(0)

    def columns(self) -> Iterator[tuple[str, Any]]:
        """(name, tensor or Rows) of every field."""
        return ((f.name, getattr(self, f.name)) for f in fields(self))

    def flat(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """(dotted name, tensor) of every tensor, however deep."""
        for name, value in self.columns():
            if isinstance(value, Rows):
                yield from value.flat(f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", value


@dataclass(frozen=True)
class Tokens(Rows):
    """Right-padded ids, a mask that is True exactly where a token is scored, and real lengths.

    Column t speaks of token t.  Ids beyond `length_B` are never looked at.
    """

    ids_BT: Tensor
    mask_BT: Tensor
    length_B: Tensor
    row_B: Tensor
    """each row's index in the list it was made from: who it is, when something goes wrong"""

    @property
    def last_B(self) -> Tensor:
        """The index of the last real token."""
        return self.length_B - 1

    @property
    def cost_B(self) -> Tensor:
        """The length: every real token is read once."""
        return self.length_B.cpu()


def pad(prompts: Sequence[Ids], responses: Sequence[Ids], *, score_prompt: bool = False) -> Tokens:
    """Rows of prompt + response; the response is scored.  Masks are made here, from lengths.

    With `score_prompt` every token but the first, which nothing precedes, is scored too.
    """
    whole = [(*p, *r) for p, r in zip(prompts, responses, strict=True)]
    for row, (prompt, ids) in enumerate(zip(prompts, whole, strict=True)):
        if not prompt or len(ids) == len(prompt):
            what = "prompt" if not prompt else "response"
            raise ValueError(f"row {row} has an empty {what}; nothing can be scored")
    T = max(map(len, whole), default=0)
    ids_BT = torch.zeros(len(whole), T, dtype=torch.long)
    mask_BT = torch.zeros(len(whole), T, dtype=torch.bool)
    for b, (prompt, ids) in enumerate(zip(prompts, whole, strict=True)):
        ids_BT[b, : len(ids)] = torch.tensor(ids)
        mask_BT[b, 1 if score_prompt else len(prompt) : len(ids)] = True
    length_B = torch.tensor([len(ids) for ids in whole], dtype=torch.long)
    return Tokens(ids_BT, mask_BT, length_B, torch.arange(len(whole)))


@dataclass(frozen=True)
class Grouped(Tokens):
    """Rows of which neighbours may answer one prompt, which is read once for all side by side.

    All tokens of an answer are scored.
    """

    stem_B: Tensor
    """tokens of the prompt"""
    group_B: Tensor
    """which prompt it is, by a number of its own"""

    @property
    def cost_B(self) -> Tensor:
        """The answer, and the prompt where the row before is of another (a cut adds one more)."""
        begins_B = torch.ones_like(self.group_B, dtype=torch.bool)
        begins_B[1:] = self.group_B[1:] != self.group_B[:-1]
        return (self.length_B - torch.where(begins_B, 0, self.stem_B)).cpu()


def grouped(groups: Sequence[tuple[Ids, Sequence[Ids]]]) -> Grouped:
    """A row for every answer, (prompt, its answers) after (prompt, its answers)."""
    pairs = [(g, prompt, said) for g, (prompt, few) in enumerate(groups) for said in few]
    laid = pad([prompt for _, prompt, _ in pairs], [said for _, _, said in pairs])
    stem_B = torch.tensor([len(prompt) for _, prompt, _ in pairs], dtype=torch.long)
    group_B = torch.tensor([g for g, _, _ in pairs], dtype=torch.long)
    return Grouped(laid.ids_BT, laid.mask_BT, laid.length_B, laid.row_B, stem_B, group_B)


@dataclass(frozen=True)
class Choices(Rows):
    """K answers to one prompt per row, as whole sequences; `length_BK` is 0 where there are fewer.

    The first `shared_B` tokens, the prompt, are the same in all answers of a row.  Answers to one
    prompt stay in one row, so no micro-batch can part what must be compared.
    """

    ids_BKT: Tensor
    length_BK: Tensor
    shared_B: Tensor
    row_B: Tensor

    @property
    def cost_B(self) -> Tensor:
        """The prompt is read once, and each answer."""
        own_BK = (self.length_BK - self.shared_B[:, None]).clamp(min=0)
        return (self.shared_B + own_BK.sum(1)).cpu()

    @property
    def mask_BK(self) -> Tensor:
        """True where there is an answer."""
        return self.length_BK > 0

    def answers(self) -> Tokens:
        """Every real answer as a row of its own, in order; its last token is scored."""
        real_BK = self.mask_BK
        ids_NT, length_N = self.ids_BKT[real_BK], self.length_BK[real_BK]
        at_T = torch.arange(ids_NT.shape[1], device=ids_NT.device)
        row_N = self.row_B[:, None].expand_as(real_BK)[real_BK]
        return Tokens(ids_NT, at_T[None, :] == length_N[:, None] - 1, length_N, row_N)


def choices(prompts: Sequence[Ids], answers: Sequence[Sequence[Ids]]) -> Choices:
    """Rows of K answers, each prompt + answer."""
    whole = [[(*p, *a) for a in few] for p, few in zip(prompts, answers, strict=True)]
    for row, few in enumerate(answers):
        if not all(few):
            raise ValueError(f"row {row} has an empty answer; nothing can be scored")
    K = max(len(few) for few in whole)
    T = max(len(ids) for few in whole for ids in few)
    ids_BKT = torch.zeros(len(whole), K, T, dtype=torch.long)
    length_BK = torch.zeros(len(whole), K, dtype=torch.long)
    for b, few in enumerate(whole):
        for k, ids in enumerate(few):
            ids_BKT[b, k, : len(ids)] = torch.tensor(ids)
            length_BK[b, k] = len(ids)
    shared_B = torch.tensor([len(p) for p in prompts])
    return Choices(ids_BKT, length_BK, shared_B, torch.arange(len(whole)))


def align(values: Sequence[Sequence[float]], mask_BT: Tensor) -> Tensor:
    """Lay one number per scored token, row by row, into the shape of the mask."""
    out_BT = torch.zeros(mask_BT.shape, dtype=torch.get_default_dtype())
    out_BT[mask_BT.cpu()] = torch.tensor([v for row in values for v in row], dtype=out_BT.dtype)
    return out_BT.to(mask_BT.device)
