"""Which examples come at which step: a pure function of the seed, so no resumed run disagrees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Generic, TypeVar

from accord.errors import BadData

T = TypeVar("T")


@dataclass(frozen=True)
class Stream(Generic[T]):
    """An endless stream of items, `batch` a step, in which every epoch is a new permutation.

    A step may reach across two epochs: every batch is full, and every epoch has each item once.
    """

    items: Sequence[T]
    batch: int
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.items:
            raise BadData("there is nothing to draw examples from: the list is empty")
        if self.batch < 1:
            raise ValueError(f"a batch of {self.batch} examples")

    def at(self, step: int) -> list[T]:
        """The examples of a step; steps count from 0."""
        return [self.items[i] for i in self.places(step)]

    def places(self, step: int) -> list[int]:
        """Their indices in `items`."""
        size = len(self.items)
        spots = range(step * self.batch, (step + 1) * self.batch)
        return [order(size, spot // size, self.seed)[spot % size] for spot in spots]

    def epoch(self, step: int) -> int:
        """The epoch a step begins in, from 0."""
        return step * self.batch // len(self.items)

    def epochs(self, step: int) -> list[int]:
        """The epoch of each example of a step."""
        size = len(self.items)
        return [spot // size for spot in range(step * self.batch, (step + 1) * self.batch)]

    def steps(self, epochs: float) -> int:
        """Steps until every item has come `epochs` times; the last may reach a little further."""
        return math.ceil(round(epochs * len(self.items), 6) / self.batch)


@lru_cache(maxsize=8)
def order(count: int, epoch: int, seed: int) -> tuple[int, ...]:
    """A permutation of `count` things, the same on every machine and Python.

    Of `random` only the stream of a seeded `random()` is promised to stay, hence the sorting.
    """
    draw = Random(f"{seed}/{epoch}").random
    keys = [draw() for _ in range(count)]
    return tuple(sorted(range(count), key=keys.__getitem__))
