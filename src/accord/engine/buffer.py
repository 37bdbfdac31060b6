"""Rows that stay from step to step, as a part that a run keeps: what was judged, and how."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors.torch import save_file

from accord.data.rows import Rows
from accord.models.load import tensors

R = TypeVar("R", bound=Rows)


class Buffer(Generic[R]):
    """The newest `most` rows, the oldest first."""

    def __init__(self, kind: type[R], most: int):
        self.kind, self.most = kind, most
        self.rows: R | None = None
        self.count = 0
        """how many were ever added"""
        self.kept = False

    def __len__(self) -> int:
        return len(self.rows) if self.rows is not None else 0

    def add(self, rows: R) -> None:
        """More of them; beyond `most` the oldest go."""
        if self.rows is not None:
            pairs = ((f.name, getattr(self.rows, f.name)) for f in fields(rows))
            rows = replace(rows, **{k: torch.cat([x, getattr(rows, k)]) for k, x in pairs})
        self.count += len(rows) - len(self)
        self.rows = rows.take(slice(-self.most, None))

    def save(self, folder: Path) -> None:
        """All rows, and the count."""
        told = dict(self.rows.flat()) if self.rows is not None else {}
        told = {k: v.contiguous() for k, v in told.items()}
        save_file({**told, "count of all": torch.tensor(self.count)}, folder / "rows.safetensors")

    def load(self, folder: Path) -> None:
        """The same."""
        told = tensors(folder / "rows.safetensors")
        self.count = int(told.pop("count of all"))
        self.rows = self.kind(**told) if told else None
