"""Writes tests/golden/trl_groups.json: TRL's own losses of groups, and their gradients.

    .bench/trl-1.16/bin/python benchmarks/golden_groups.py tests/golden/trl_groups.json

Run it in an environment of benchmarks/peers/trl-1.16.txt.  GRPOTrainer's and RLOOTrainer's loss
methods are called on stand-ins for everything that is not a formula, with log-probs drawn here.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import trl
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer

B, T = 6, 9
BASE: dict[str, Any] = {
    "loss": "grpo",
    "level": "token",
    "low": 0.2,
    "high": 0.2,
    "beta": 0.0,
    "delta": None,
}
CASES: dict[str, dict[str, Any]] = {
    "grpo": {"beta": 0.04},
    "grpo, dual clip": {"delta": 1.5},
    "bnpo": {"loss": "bnpo"},
    "dr_grpo": {"loss": "dr_grpo"},
    "dapo": {"loss": "dapo", "high": 0.28},
    "gspo": {"level": "sequence", "low": 3e-4, "high": 4e-4},
    "gspo, wide": {"level": "sequence", "beta": 0.1},
}


class Draw:
    """Random log-probs of answers of unequal length, and advantages."""

    def __init__(self) -> None:
        make = torch.Generator().manual_seed(11)
        kind: dict[str, Any] = {"generator": make, "dtype": torch.float64}
        length = torch.randint(2, T + 1, (B,), generator=make)
        self.mask = (torch.arange(T)[None] < length[:, None]).long()
        self.logp = torch.where(self.mask > 0, -3 * torch.rand(B, T, **kind), 0.0)
        self.old = self.logp + 0.4 * torch.randn(B, T, **kind)
        self.ref = self.logp + 0.5 * torch.randn(B, T, **kind)
        self.adv = torch.randn(B, **kind)


def alone() -> Any:
    """One process, which gathers and adds up nothing."""
    return SimpleNamespace(
        num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x, sync_gradients=True
    )


def ask(kind: Any, fake: Any, draw: Draw, **more: Any) -> dict[str, Any]:
    """The loss, and what it says of every token's log-prob."""
    logp = draw.logp.clone().requires_grad_()
    fake.model = SimpleNamespace(training=True)
    fake.accelerator, fake.aux_loss_enabled = alone(), False
    fake._metrics = defaultdict(lambda: defaultdict(list))
    fake._get_per_token_logps_and_entropies = lambda *_, **__: (logp, torch.zeros_like(logp), None)
    none = torch.zeros(B, 1).long()
    inputs = {
        "prompt_ids": none,
        "prompt_mask": none + 1,
        "completion_ids": draw.mask,
        "completion_mask": draw.mask,
        "advantages": draw.adv,
        "num_items_in_batch": draw.mask.sum(),
    }
    loss = kind._compute_loss(fake, None, inputs | more)
    loss.backward()
    return {"value": loss.item(), "slope": logp.grad.tolist()}


def group(draw: Draw, case: dict[str, Any]) -> dict[str, Any]:
    """A case of GRPOTrainer."""
    told = BASE | case
    fake = SimpleNamespace(
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level=told["level"],
        beta=told["beta"],
        args=SimpleNamespace(
            use_bias_correction_kl=False, delta=told["delta"], steps_per_generation=1
        ),
        loss_type=told["loss"],
        epsilon_low=told["low"],
        epsilon_high=told["high"],
        use_vllm=False,
        current_gradient_accumulation_steps=1,
        max_completion_length=T,
        _entropy_bonus_enabled=False,
    )
    more = {"old_per_token_logps": draw.old, "ref_per_token_logps": draw.ref}
    return told | ask(GRPOTrainer, fake, draw, **more)


def rloo(draw: Draw) -> dict[str, Any]:
    """RLOOTrainer at its first step, where the sampler is the policy."""
    fake = SimpleNamespace(epsilon_low=0.2, epsilon_high=0.2)
    return ask(RLOOTrainer, fake, draw, old_logps=(draw.logp * draw.mask).sum(1))


def main() -> None:
    """Draw, ask, write."""
    draw = Draw()
    out = {
        "made by": f"TRL {trl.__version__}, benchmarks/golden_groups.py",
        "mask": draw.mask.tolist(),
        **{name: getattr(draw, name).tolist() for name in ("logp", "old", "ref", "adv")},
        "cases": {name: group(draw, case) for name, case in CASES.items()},
        "rloo": rloo(draw),
    }
    Path(sys.argv[1]).write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
