"""A policy that acts in a world of numbers: it scales what it sees, then says what to do."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from accord.engine.learner import Learner
from accord.engine.running import Running
from accord.models.dense import Actor
from accord.models.load import fingerprint, tensors


class Player:
    """An actor with its learner, and the scale of what it sees (none: as it is)."""

    def __init__(self, learner: Learner[Actor], seen: Running | None):
        self.learner, self.seen = learner, seen

    @property
    def fingerprint(self) -> str:
        """sha256 of all that decides what it does."""
        return fingerprint(self._told())

    def scaled(self, seen_NF: Tensor) -> Tensor:
        """States as the nets read them."""
        return self.seen.normal(seen_NF) if self.seen is not None else seen_NF

    @torch.no_grad()
    def act(self, seen_NF: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """did_NA by chance; without `rng` the likeliest."""
        return self.learner.model.draw(self.scaled(seen_NF), rng)

    def export(self, folder: Path) -> None:
        """Weights and scale."""
        save_file(self._told(), folder / "actor.safetensors")

    def _told(self) -> dict[str, Tensor]:
        told = {k: v.detach().contiguous() for k, v in self.learner.model.state_dict().items()}
        if self.seen is not None:
            told |= {"seen|mean": self.seen.mean_F, "seen|std": self.seen.std_F}
        return told


def fill(actor: Actor, folder: Path) -> Running | None:
    """Give an actor the weights that `export` wrote; the scale of what it sees."""
    told = tensors(folder / "actor.safetensors")
    mean, std = told.pop("seen|mean", None), told.pop("seen|std", None)
    actor.load_state_dict(told)
    if mean is None or std is None:
        return None
    seen = Running(len(mean))
    seen.count, seen.mean_F, seen.square_F = 1, mean, std**2
    return seen
