"""Writes tests/golden/trl.json: what TRL's own loss code says of random log-probs.

    .bench/trl-1.16/bin/python benchmarks/golden_losses.py tests/golden/trl.json

Run it in an environment of benchmarks/peers/trl-1.16.txt.  The trainers' loss methods are called on
stand-ins for everything that is not a formula: a "model" that hands out the numbers drawn here.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import trl
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_trainer import KTOTrainer

B, T = 6, 9
BASE: dict[str, Any] = {"beta": 0.1, "label_smoothing": 0.0, "f": "reverse_kl", "alpha": 0.5}
CASES: dict[str, dict[str, Any]] = {
    "sigmoid": {},
    "sigmoid, forward KL": {"type": "sigmoid", "f": "forward_kl"},
    "sigmoid, JS": {"type": "sigmoid", "f": "js_divergence"},
    "sigmoid, alpha": {"type": "sigmoid", "f": "alpha_divergence", "alpha": 0.3},
    "robust": {"label_smoothing": 0.1},
    "ipo": {},
    "ipo, JS": {"type": "ipo", "f": "js_divergence"},
    "hinge": {"beta": 0.3},
    "hinge, forward KL": {"type": "hinge", "f": "forward_kl"},
    "exo_pair": {"label_smoothing": 1e-3},
    "nca_pair": {},
    "bco_pair": {},
    "sppo_hard": {},
    "apo_zero": {},
    "apo_down": {},
    "discopop": {},
    "sigmoid_norm": {"beta": 5.0},
    "sft": {},
    "aot": {"label_smoothing": 0.1},
    "aot_unpaired": {"label_smoothing": 0.1},
}


class Draw:
    """Random log-probs of tokens: chosen answers first, then rejected ones; one prompt token."""

    def __init__(self) -> None:
        make = torch.Generator().manual_seed(7)
        self.length = torch.randint(2, T + 1, (2 * B,), generator=make)
        self.mask = torch.arange(T)[None] < self.length[:, None]
        token = -3 * torch.rand(2 * B, T, generator=make, dtype=torch.float64)
        self.token = torch.where(self.mask, token, 0.0)
        near = torch.randn(2 * B, generator=make, dtype=torch.float64)
        self.ref = self.token.sum(1) + 2 * near
        self.other = torch.randn(2 * B, generator=make, dtype=torch.float64) + 0.4

    def model(self, rows: torch.Tensor, dtype: torch.dtype) -> Any:
        """Says these log-probs, whatever it is asked."""
        token = self.token[rows].to(dtype)
        none = torch.zeros_like(token)
        said = SimpleNamespace(log_probs=token, entropy=none, mean_logits=none, is_top1=none > 0)
        return lambda **_: said

    def inputs(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """Prompt and answer: a mask that says which columns are the answer's."""
        mask = torch.cat([torch.zeros(len(rows), 1), self.mask[rows].float()], 1).long()
        ids = torch.zeros_like(mask)
        return {"input_ids": ids, "attention_mask": ids + 1, "completion_mask": mask}


def trainer(**more: Any) -> Any:
    """What a trainer's loss method looks up on itself."""
    same = lambda x: x  # noqa: E731
    alone = SimpleNamespace(device="cpu", gather_for_metrics=same, gather=same)
    return SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=alone,
        args=SimpleNamespace(discopop_tau=0.05),
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
        ld_alpha=None,
        use_weighting=False,
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        **more,
    )


def dpo(draw: Draw, name: str, pairs: list[int], case: dict[str, Any]) -> float:
    """The mean over some pairs."""
    told = BASE | {"type": name} | case
    dtype = torch.float32 if told["f"] == "alpha_divergence" else torch.float64
    fake = trainer(
        beta=told["beta"],
        label_smoothing=told["label_smoothing"],
        f_divergence_type=told["f"],
        f_alpha_divergence_coef=told["alpha"],
        loss_types=[told["type"]],
        loss_weights=[1.0],
    )
    rows = torch.tensor([*pairs, *[B + p for p in pairs]])
    inputs = draw.inputs(rows)
    inputs["ref_chosen_logps"], inputs["ref_rejected_logps"] = draw.ref[rows].to(dtype).chunk(2)
    return float(DPOTrainer._compute_loss(fake, draw.model(rows, dtype), inputs, False))


def kto(draw: Draw, good: list[bool]) -> dict[str, Any]:
    """All answers as unpaired ones; the numbers for other prompts are drawn as they are."""
    rows = torch.arange(2 * B)
    fake = trainer(
        beta=0.2,
        loss_type="kto",
        calculate_KL=True,
        desirable_weight=1.0,
        undesirable_weight=1.3,
        _compute_kl_logps=lambda model, batch: draw.other,
    )
    inputs = draw.inputs(rows) | {"label": torch.tensor(good), "ref_logps": draw.ref}
    inputs["ref_KL_logps"] = torch.zeros_like(draw.other)
    loss = KTOTrainer._compute_loss(fake, draw.model(rows, torch.float64), inputs, False)
    seen = {k: v[-1] for k, v in fake._metrics["train"].items() if k[:3] in ("kl", "rew", "log")}
    return {"good": good, "mismatch": draw.other.tolist(), "loss": float(loss)} | seen


def alone(draw: Draw) -> dict[str, Any]:
    """Losses that need no reference, without the term of imitation that TRL adds apart."""
    total = draw.token.sum(1)
    win, lose = total.chunk(2)
    mean_win, mean_lose = (total / draw.length).chunk(2)
    how = {"beta": 2.0, "simpo_gamma": 0.5, "alpha": 0.0, "label_smoothing": 0.0}
    fake = trainer(loss_type="simpo", **how)
    simpo = CPOTrainer.cpo_loss(fake, mean_win, mean_lose)[0]
    fake = trainer(loss_type="sigmoid", **how | {"beta": 0.1})
    cpo = CPOTrainer.cpo_loss(fake, win, lose)[0]
    orpo = -ORPOTrainer.odds_ratio_loss(trainer(beta=0.25), mean_win, mean_lose)[0]
    return {"simpo": simpo.tolist(), "cpo": cpo.tolist(), "orpo": orpo.tolist()}


def main() -> None:
    """Draw, ask, write."""
    draw = Draw()
    out: dict[str, Any] = {
        "made by": f"TRL {trl.__version__}, benchmarks/golden_losses.py",
        "logp": draw.token.sum(1).tolist(),
        "ref": draw.ref.tolist(),
        "n": draw.length.tolist(),
        "pairs": {},
    }
    for name, case in CASES.items():
        lots = [list(range(B))] if name.startswith("aot") else [[b] for b in range(B)]
        out["pairs"][name] = case | {"loss": [dpo(draw, name, lot, case) for lot in lots]}
    out["kto"] = kto(draw, [b % 3 != 0 for b in range(2 * B)])
    out |= alone(draw)
    Path(sys.argv[1]).write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
