"""A reference that goes after its policy."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from accord.engine.roles import Policy
from accord.errors import BadModel
from accord.models.load import tensors

FILE = "reference.safetensors"


@dataclass(frozen=True)
class Refresh:
    """ρ ← a π + (1-a) ρ, every so many steps (TR-DPO: Gorbatov et al. 2024, eqs. 5 and 6).

    Of an adapter its two factors are mixed, each by itself.
    """

    every: int = 512
    """steps between two refreshments"""
    share: float = 0.6
    """a: of the policy in the new reference; 1 puts the policy in its place (iterative DPO)"""

    def __post_init__(self) -> None:
        if self.every < 1 or not 0 < self.share <= 1:
            raise ValueError("every must be at least 1, and share above 0 and at most 1")


class Trailing:
    """What stands for the reference in each step, and is kept by a run, for it changes."""

    def __init__(self, policy: Policy, copy: Policy, how: Refresh):
        """`copy` is a trainable copy of the model that `policy` began as; it never learns."""
        if policy.learner is None or copy.learner is None:
            raise TypeError("both the policy and its trailing reference must be trainable copies")
        self.now, self.how, self.kept = copy, how, False
        self._from, self._to = policy.learner.steps, copy.learner.steps

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """After step number `step`, counted from 0."""
        if (step + 1) % self.how.every:
            return
        policy = self._from.exact()
        for name, w in self._to.exact().items():
            w.lerp_(policy[name].to(w.device), self.how.share)
        self._to.show()

    def save(self, folder: Path) -> None:
        """Its weights as they learn."""
        named = {name: w.cpu().contiguous() for name, w in self._to.exact().items()}
        save_file(named, folder / FILE)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Take up where `save` stopped; BadModel where it is of other weights."""
        given, mine = tensors(folder / FILE), self._to.exact()
        if given.keys() != mine.keys():
            odd = sorted(given.keys() ^ mine.keys())[0]
            raise BadModel(f"{folder}: the saved reference is of another model: {odd} differs")
        for name, w in mine.items():
            w.copy_(given[name])
        self._to.show()
