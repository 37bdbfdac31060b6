"""Bytes of the tensors that are alive at once, real ones or such that hold nothing."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Counts the bytes of storages made inside it that are still alive, and the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and notes what it made."""
        given = {x.untyped_storage()._cdata for x in _tensors((args, kwargs)) if not x.is_mkldnn}
        made = func(*args, **(kwargs or {}))
        for tensor in _tensors(made):
            if tensor.is_mkldnn:  # oneDNN keeps its own order in a storage that nobody sees
                self._note(tensor, id(tensor))
                continue
            storage = tensor.untyped_storage()
            if storage._cdata not in given and storage._cdata not in self._sizes:
                self._note(storage, storage._cdata)
        return made

    def _note(self, held: torch.UntypedStorage | Tensor, key: int) -> None:
        size = held.nbytes if isinstance(held, Tensor) else held.nbytes()
        self._sizes[key] = size
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(held, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


def watched(work: Callable[[], Any]) -> int:
    """The most bytes a piece of real work held beyond what was there before it."""
    with Live() as live:
        work()
    return live.peak
