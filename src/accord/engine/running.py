"""Mean and variance of all that was seen so far, as a part that a run keeps."""

import json
from pathlib import Path

import torch
from torch import Tensor


class Running:
    """Per column; chunks are merged exactly (Chan, Golub & LeVeque 1983), in float64."""

    def __init__(self, width: int):
        self.count = 0
        self.mean_F = torch.zeros(width, dtype=torch.float64)
        self.square_F = torch.zeros(width, dtype=torch.float64)
        """Σ (x - mean)²"""
        self.kept = False

    @property
    def std_F(self) -> Tensor:
        """The population's; 1 while nothing was seen."""
        if not self.count:
            return torch.ones_like(self.mean_F)
        return (self.square_F / self.count).sqrt()

    def learn(self, x_NF: Tensor) -> None:
        """These were seen too."""
        n, mean_F = len(x_NF), x_NF.double().mean(0)
        square_F = ((x_NF.double() - mean_F) ** 2).sum(0)
        total, apart_F = self.count + n, mean_F - self.mean_F
        self.square_F = self.square_F + square_F + apart_F**2 * (self.count * n / total)
        self.mean_F = self.mean_F + apart_F * (n / total)
        self.count = total

    def normal(self, x_NF: Tensor, most: float = 10.0) -> Tensor:
        """(x - mean) / std, held within ±most; a column that never changed is left at 0."""
        std_F = self.std_F.clamp(min=1e-4)
        return ((x_NF - self.mean_F) / std_F).clamp(-most, most).to(x_NF.dtype)

    def save(self, folder: Path) -> None:
        """A few numbers."""
        told = {"count": self.count, "mean": self.mean_F.tolist(), "square": self.square_F.tolist()}
        (folder / "running.json").write_text(json.dumps(told))

    def load(self, folder: Path) -> None:
        """The same numbers."""
        told = json.loads((folder / "running.json").read_text())
        self.count = told["count"]
        self.mean_F = torch.tensor(told["mean"], dtype=torch.float64)
        self.square_F = torch.tensor(told["square"], dtype=torch.float64)
