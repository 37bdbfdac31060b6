"""Gradients into steps: the optimizer, in the precision and the place its state is to have."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from accord.maths.optim import adam
from accord.models import masters, quantised


@dataclass(frozen=True)
class Optimizer:
    """How gradients become steps."""

    form: Literal["torch", "tf"] = "torch"
    """where Adam's eps stands: torch's place, or TensorFlow's, outside the bias correction"""
    betas: tuple[float, float] = (0.9, 0.95)
    """how slowly the means of gradients and of their squares forget"""
    eps: float = 1e-8
    """added to the root of the mean square"""
    weight_decay: float = 0.0
    """decoupled: every step, weights shrink by lr times this"""
    max_norm: float | None = 1.0
    """gradients longer than this are scaled down to it; none: never"""
    micro_tokens: int | None = None
    """real tokens in one forward and backward pass; none: 1024 on a CPU, 8192 elsewhere, and half
    as many whenever memory runs out.  Changes memory and speed, never a gradient"""
    recompute: bool = False
    """compute activations again in the backward pass instead of keeping them (gradient
    checkpointing): less memory, about a third more time, the same gradient"""
    bits: Literal[8, 32] = 32
    """of each mean: 8 take a quarter of the memory (block-wise: Dettmers et al. 2022; the extra
    `quant`), and steps are then no longer exactly Adam's"""
    offload: bool = False
    """the means, and under bf16 the fp32 masters, live in main memory and the step is computed
    there, the same step: on a GPU, 8 bytes less of its memory per weight that learns, and under
    bf16 10; on a CPU nothing changes"""

    def __post_init__(self) -> None:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("both of betas must be from 0 to below 1")
        if self.eps < 0 or self.weight_decay < 0:
            raise ValueError("eps and weight_decay must not be negative")
        if self.max_norm is not None and self.max_norm <= 0:
            raise ValueError("max_norm must be above 0; none: gradients are never scaled down")
        if self.micro_tokens is not None and self.micro_tokens < 1:
            raise ValueError("micro_tokens must be at least 1; none: as many as fit")
        if self.bits == 8 and self.form == "tf":
            raise ValueError("an optimizer of bits=8 has eps in torch's place: form=torch")


class Steps:
    """Moves `weights` along their gradients.  Keeps what the next step depends on, by name."""

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        how: Optimizer,
        lr: float,
        home: torch.device | None = None,
        low: Mapping[int, torch.dtype] | None = None,
    ):
        """`home`: where the optimizer works; none: where each weight is, or a CPU if offloaded.

        `low`: see `masters.lows`; of a weight that is also at home, only that precision stays here.
        """
        self.weights = dict(weights)
        self._home = home or (torch.device("cpu") if how.offload else None)
        self._eight = how.bits == 8
        self._twins = {name: self._twin(w) for name, w in self.weights.items()}
        away = {name for name, w in self.weights.items() if self._twins[name] is not w}
        kinds = {name: (low or {}).get(id(self.weights[name])) for name in away}
        self._lowered = {name for name, kind in kinds.items() if kind is not None}
        for name, kind in kinds.items():
            if kind is not None:
                masters.lower(self.weights[name], kind)
        knobs: dict[str, Any] = {
            "lr": lr,
            "betas": how.betas,
            "eps": how.eps,
            "weight_decay": how.weight_decay,
        }
        twins = self._twins.values()
        make = quantised.adam if self._eight else partial(adam, form=how.form)
        self.optimizer: torch.optim.Optimizer = make(twins, **knobs)

    def step(self, lr: float) -> None:
        """One step of this size."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        moved = [(w, self._twins[name]) for name, w in self.weights.items()]
        for w, twin in moved:
            grad = masters.leaf(w).grad
            if twin is not w and grad is not None:
                twin.grad = grad.to(twin.device)
        self.optimizer.step()
        with torch.no_grad():
            for w, twin in moved:
                if twin is not w and twin.grad is not None:
                    w.copy_(twin)
                    twin.grad = None

    def leaves(self) -> list[Tensor]:
        """The tensors that gather the gradients."""
        return [masters.leaf(w) for w in self.weights.values()]

    def forget(self) -> None:
        """No gradient stays."""
        for x in self.leaves():
            x.grad = None

    def exact(self) -> dict[str, Tensor]:
        """The weights as they learn, by name: of one that is kept rounded here, its master."""
        kept = {name: self._twins[name] for name in self._lowered}
        return {name: kept.get(name, w).detach() for name, w in self.weights.items()}

    def show(self) -> None:
        """The masters were changed: round them anew."""
        with torch.no_grad():
            for name in self._lowered:
                self.weights[name].copy_(self._twins[name])

    @contextmanager
    def whole(self) -> Iterator[None]:
        """The masters stand in the model's place for as long: to be saved, or copied."""
        held = {name: self.weights[name].data for name in self._lowered}
        try:
            for name in held:
                self.weights[name].data = self._twins[name].data
            yield
        finally:
            for name, data in held.items():
                self.weights[name].data = data

    def state(self) -> dict[str, Tensor]:
        """The optimizer's numbers, flat: name|key."""
        return {
            f"{name}|{key}": _own(key, torch.as_tensor(value))
            for name, twin in self._twins.items()
            for key, value in self.optimizer.state.get(twin, {}).items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up from `state`, and from the weights (`exact`) as they now are."""
        with torch.no_grad():
            for name, w in self.weights.items():
                if self._twins[name] is not w and name not in self._lowered:
                    self._twins[name].copy_(w)
        self.show()
        self.optimizer.state.clear()
        for name, value in state.items():
            of, _, key = name.rpartition("|")
            self.optimizer.state[self._twins[of]][key] = self._placed(value, self._twins[of])

    def _twin(self, w: nn.Parameter) -> nn.Parameter:
        if self._home is None or w.device == self._home:
            return w
        return nn.Parameter(w.detach().to(self._home, copy=True))

    def _placed(self, value: Tensor, twin: Tensor) -> Any:
        if value.dim() > 0:
            return value.to(twin.device)
        if self._eight:
            return int(value)
        # the count of steps lies with the weight if fused, else in main memory
        return value.to(twin.device) if self.optimizer.defaults.get("fused") else value


def _own(key: str, value: Tensor) -> Tensor:
    """What eight bits stand for is one table that all weights share; a file wants one for each."""
    return value.clone() if key.startswith("qmap") else value
