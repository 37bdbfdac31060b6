"""What one can do in a world, as numbers a policy gives and as the world wants them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from accord.errors import BadSettings
from accord.models.dense import Actor, Chooser, Mover


@dataclass(frozen=True)
class Choice:
    """One of n actions."""

    n: int
    start: int = 0
    """the world's number of the first"""

    @property
    def width(self) -> int:
        """Numbers by which `shown` tells an action."""
        return self.n

    def actor(self, seen: int, hidden: Sequence[int], seed: int) -> Actor:
        """A policy that has done nothing yet."""
        return Chooser(seen, self.n, hidden, seed)

    def shown(self, did_NA: Tensor) -> Tensor:
        """One column for each."""
        return F.one_hot(did_NA[:, 0].long(), self.n).to(did_NA.dtype)

    def given(self, did_A: Sequence[float]) -> Any:
        """As the world's step wants it."""
        return int(did_A[0]) + self.start


@dataclass(frozen=True)
class Reach:
    """Numbers, each between two ends; a policy has them from -1 to 1."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        """Numbers by which `shown` tells an action."""
        return len(self.low)

    def actor(self, seen: int, hidden: Sequence[int], seed: int) -> Actor:
        """A policy that has done nothing yet."""
        return Mover(seen, len(self.low), hidden, seed)

    def shown(self, did_NA: Tensor) -> Tensor:
        """As it is carried out: within ±1."""
        return did_NA.clamp(-1, 1)

    def given(self, did_A: Sequence[float]) -> Any:
        """As the world's step wants it."""
        low, high = torch.tensor(self.low), torch.tensor(self.high)
        within = (torch.tensor(did_A).clamp(-1, 1) + 1) / 2
        return (low + within * (high - low)).reshape(self.shape).numpy()


Acts = Choice | Reach


def acts(space: Any) -> Acts:
    """What a Gymnasium action space allows; BadSettings for those that no policy here can fill."""
    kind = type(space).__name__
    if kind == "Discrete":
        return Choice(int(space.n), int(space.start))
    if kind == "Box" and bool(space.is_bounded()):
        low, high = space.low.flatten().tolist(), space.high.flatten().tolist()
        return Reach(tuple(low), tuple(high), tuple(space.shape))
    raise BadSettings(
        f"actions of the space {space} cannot be learned here: a world has n choices (Discrete), "
        "or numbers between two ends (Box)"
    )
