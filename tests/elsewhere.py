"""A GPU that is only pretended: its tensors say that they lie on cuda:0, and compute as on a CPU.

As on a real one, tensors of both kinds do not mix (scalars and indices may), only `to`, `cpu` and
`copy_` carry numbers across, and what an operation makes lies where what it was made from does.
"""

import weakref
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, UntypedStorage
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
_PLACE = Tensor.device.__get__  # type: ignore[attr-defined]
_CROSSES = ("copy_", "_to_copy", "index", "index_put", "index_put_", "set_", "detach")


class Marks:
    """The storages that pretend."""

    def __init__(self) -> None:
        self._keys: dict[int, Any] = {}
        self.carried: list[str] = []
        """where whatever crossed went"""

    def __contains__(self, x: Tensor) -> bool:
        return x.untyped_storage()._cdata in self._keys

    def put(self, x: Tensor, gpu: bool) -> Tensor:
        storage = x.untyped_storage()
        key = storage._cdata
        if gpu and key not in self._keys:
            self._keys[key] = weakref.finalize(storage, self._keys.pop, key, None)
        elif not gpu and key in self._keys:
            self._keys.pop(key).detach()
        return x


class _Spread(TorchDispatchMode):
    """What is made lies where its makers do; a mix is an error."""

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self.marks = marks

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        there = {x in self.marks for x in given if x.dim() > 0}
        name = func.overloadpacket.__name__
        if len(there) > 1 and name not in _CROSSES:
            raise RuntimeError(f"{name}: tensors on cuda:0 and on cpu")
        first = given[0] in self.marks if name in _CROSSES and given else any(there)
        gpu = first or (not there and any(x in self.marks for x in given))
        old = {x.untyped_storage()._cdata for x in given}
        old |= {x._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, UntypedStorage)}
        made = func(*args, **(kwargs or {}))
        for x in tree_leaves(made):
            if isinstance(x, Tensor) and x.untyped_storage()._cdata not in old:
                self.marks.put(x, gpu)
        return made


class _Say(TorchFunctionMode):
    """Answers where a tensor lies, and carries it."""

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self.marks = marks

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func == _PLACE:
            return GPU if args[0] in self.marks else func(*args)
        if func in (Tensor.to, Tensor.cpu):
            return self._carry(func, args, kwargs)
        if func is Tensor.__deepcopy__:  # the storage is copied, and no operation sees it
            gpu = args[0] in self.marks
            return self.marks.put(func(*args, **kwargs), gpu)
        if func is Tensor.numpy and args[0] in self.marks:
            raise TypeError("can't convert cuda:0 to numpy")
        if (goal := kwargs.get("device")) is None or torch.device(goal).type != "cuda":
            return func(*args, **kwargs)
        made = func(*args, **(kwargs | {"device": CPU}))
        return self.marks.put(made, True) if isinstance(made, Tensor) else made

    def _carry(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        x, copied = args[0], bool(kwargs.pop("copy", False))
        if func is Tensor.cpu:
            goal, dtype = CPU, None
        elif len(args) > 1 and isinstance(args[1], Tensor):
            goal, dtype = (GPU if args[1] in self.marks else CPU), args[1].dtype
        else:
            goal, dtype, *_ = torch._C._nn._parse_to(*args[1:], **kwargs)
        if torch.device(goal or CPU).type not in ("cpu", "cuda"):
            return func(*args, **kwargs)
        gpu = x in self.marks if goal is None else torch.device(goal).type == "cuda"
        crosses = gpu != (x in self.marks)
        made = x.to(dtype=dtype or x.dtype, copy=copied or crosses)
        if crosses:
            self.marks.carried.append("gpu" if gpu else "cpu")
            self.marks.put(made, gpu)
        return made


@contextmanager
def pretended_gpu():
    """A machine with a GPU, for as long as it lasts; yields what lies there."""
    marks = Marks()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "mem_get_info", lambda device=None: (1 << 34, 1 << 35))
        patch.setattr(torch.cuda, "memory_reserved", lambda device=None: 0)
        patch.setattr(torch.cuda, "memory_allocated", lambda device=None: 0)
        size = type("Properties", (), {"total_memory": 1 << 35})
        patch.setattr(torch.cuda, "get_device_properties", lambda device: size)
        with _Spread(marks), _Say(marks):
            yield marks
