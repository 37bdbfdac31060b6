"""The mean of a policy over its steps, which is steadier than its last step."""

from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors.torch import save_file

from accord.engine.handle import Handle
from accord.errors import BadModel
from accord.models.load import tensors

H = TypeVar("H", bound=Handle[Any])


class Average(Generic[H]):
    """θ̄ ← d θ̄ + (1-d) θ: Polyak & Juditsky 1992; d = 0.992 in Ouyang et al. 2022, appendix C.4.

    Of the weights that a handle learns, kept beside them.
    """

    def __init__(self, handle: H, decay: float | None):
        """Without a decay it is the last step, and takes no memory."""
        if handle.learner is None:
            raise TypeError("a frozen model has no weights to average")
        self.handle, self.decay, self.kept = handle, decay or 0.0, False
        self._steps = handle.learner.steps
        self._weights = self._steps.exact() if decay else {}
        self.mean = {name: w.clone() for name, w in self._weights.items()}

    @torch.no_grad()
    def learn(self) -> None:
        """Take in the weights as they are now."""
        for name, w in self._weights.items():
            self.mean[name].lerp_(w, 1 - self.decay)

    @torch.no_grad()
    def settle(self) -> H:
        """The handle, its weights made their mean."""
        for name, w in self._weights.items():
            w.copy_(self.mean[name])
        self._steps.show()
        return self.handle

    def save(self, folder: Path) -> None:
        """The mean, named like the weights."""
        named = {name: w.cpu().contiguous() for name, w in self.mean.items()}
        save_file(named, folder / "average.safetensors")

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Take up where `save` stopped; BadModel where it is of other weights."""
        given = tensors(folder / "average.safetensors")
        if given.keys() != self.mean.keys():
            odd = sorted(given.keys() ^ self.mean.keys())[0]
            raise BadModel(f"{folder}: the saved average is of another model: {odd} differs")
        for name, w in self.mean.items():
            w.copy_(given[name])
