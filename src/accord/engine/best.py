"""The weights of the best step so far, and when it is time to stop looking for a better one."""

import json
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors.torch import save_file

from accord.engine.handle import Handle
from accord.errors import BadModel
from accord.models.load import tensors

H = TypeVar("H", bound=Handle[Any])


class Best(Generic[H]):
    """Of the weights that a handle learns, those with the highest number, kept beside them."""

    def __init__(self, handle: H, patience: int):
        """It is over after `patience` looks in a row without a better one."""
        if handle.learner is None:
            raise TypeError("a frozen model has no weights to choose from")
        self.handle, self.patience, self.kept = handle, patience, False
        self.value: float | None = None
        self.updates = 0
        """how many updates the best weights have seen"""
        self.since = 0
        """looks since then"""
        self._steps = handle.learner.steps
        self._weights = self._steps.exact()
        self.best = {name: w.clone() for name, w in self._weights.items()}

    @property
    def over(self) -> bool:
        """Whether it has waited long enough."""
        return self.since >= self.patience

    @torch.no_grad()
    def see(self, value: float) -> None:
        """What the weights are worth as they are now; the earlier of equals stays."""
        if self.value is not None and value <= self.value:
            self.since += 1
            return
        self.value, self.since, self.updates = value, 0, self.handle.version
        for name, w in self._weights.items():
            self.best[name].copy_(w)

    @torch.no_grad()
    def settle(self) -> H:
        """The handle, its weights made the best."""
        for name, w in self._weights.items():
            w.copy_(self.best[name])
        self._steps.show()
        return self.handle

    def save(self, folder: Path) -> None:
        """The best weights, named like the weights, and what was seen."""
        named = {name: w.cpu().contiguous() for name, w in self.best.items()}
        save_file(named, folder / "best.safetensors")
        seen = {"value": self.value, "updates": self.updates, "since": self.since}
        (folder / "best.json").write_text(json.dumps(seen))

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Take up where `save` stopped; BadModel where it is of other weights."""
        given = tensors(folder / "best.safetensors")
        if given.keys() != self.best.keys():
            odd = sorted(given.keys() ^ self.best.keys())[0]
            raise BadModel(f"{folder}: the best weights are of another model: {odd} differs")
        for name, w in self.best.items():
            w.copy_(given[name])
        for name, value in json.loads((folder / "best.json").read_text()).items():
            setattr(self, name, value)
