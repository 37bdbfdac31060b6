"""Adam, in the two forms that differ by where ε stands."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor


class AdamTF(torch.optim.Optimizer):
    """θ ← θ - lr √(1-β₂ᵗ)/(1-β₁ᵗ) · m / (√v + ε): Kingma & Ba 2015, end of section 2.

    The form of TensorFlow, and so of the first RLHF codes: ε stands outside the bias correction.
    Torch adds ε to √v̂ instead; while v is young and gradients are small beside ε, its steps are up
    to 1/√(1-β₂) times as long (Huang, Liu & von Werra 2023).  Decay is decoupled: θ ← θ - lr λ θ.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        knobs = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, knobs)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step along the gradients at hand; `closure` is there for form and must be None."""
        if closure is not None:
            raise TypeError("AdamTF evaluates no closure: call backward() first, then step()")
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, p.grad, group)

    def _move(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state, lr, (beta1, beta2) = self.state[p], group["lr"], group["betas"]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
        state["step"] += 1
        t, m, v = int(state["step"]), state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(grad, 1 - beta1)
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        p.mul_(1 - lr * group["weight_decay"])
        size = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        p.addcdiv_(m, v.sqrt() + group["eps"], value=-size)


def adam(
    params: Iterable[Tensor],
    form: Literal["torch", "tf"] = "torch",
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019, algorithm 2), with ε where torch has it, or TensorFlow."""
    if form == "tf":
        return AdamTF(params, lr, betas, eps, weight_decay)
    return torch.optim.AdamW(params, lr, betas, eps, weight_decay, fused=True)
