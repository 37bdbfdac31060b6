"""DPO's Figure 2, left, exactly (Rafailov et al. 2023): reward over KL where all can be listed.

    python benchmarks/exhibits/frontier.py [--seeds 0 1 2] [--out FILE.json] [--svg FILE.svg]

No policy can lie above the closed form.  Who comes how near to it, at which KL?
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from listed import BEGIN, LONGEST, best_of, judged, likelihood, newborn, plane, scores, worth
from listed import SAID as ANSWERS

from accord.engine.roles import Critic, Policy
from accord.maths.advantages import GAE, LeaveOneOut
from accord.maths.control import FixedKL, Linear
from accord.maths.direct import NLL
from accord.maths.frontier import optimum
from accord.maths.losses import Clip
from accord.maths.pairwise import DPO, IPO
from accord.maths.surrogate import RewardKL, Surrogate
from accord.recipes import dpo, grpo, ppo, reward
from accord.recipes.common import Asked
from accord.rewards.learned import Learned
from accord.store.run import Run

BETAS = (2.0, 1.0, 0.5, 0.25)
PAIRS = 4000
ASKED = [Asked("p", (BEGIN,))]
REWARD_N = torch.tensor([worth(ids) for ids in ANSWERS], dtype=torch.float64)


def by_ppo(start: Policy, judge: Any, beta: float, seed: int) -> Policy:
    """60 steps of 256 answers."""
    cfg = ppo.PPO(
        steps=60, batch=256, longest=LONGEST, kl=FixedKL(beta), gae=GAE(lam=1.0), epochs=2,
        minibatches=2, clip=Clip(eps_value=None), critic="zero", lr=2e-3, lr_critic=5e-3,
        schedule=Linear(), whiten="none",
    )  # fmt: skip
    critic = Critic.on(newborn(100 + seed), seed=seed)
    return ppo.train(cfg, Run(), start, judge, critic, ASKED, seed=seed)


def by_rloo(start: Policy, judge: Any, beta: float, seed: int) -> Policy:
    """As many answers, in groups of 4, and as many updates."""
    cfg = grpo.GRPO(
        steps=60, batch=64, group=4, longest=LONGEST, baseline=LeaveOneOut(),
        weigh_by="constant", loss=Surrogate(), kl=RewardKL(beta), epochs=2, minibatches=2,
        lr=2e-3, schedule=Linear(),
    )  # fmt: skip
    return grpo.train(cfg, Run(), start, judge, ASKED, seed=seed)


def by_pairs(start: Policy, pairs: Any, loss: Any, seed: int) -> Policy:
    """15,360 comparisons seen, in passes over those that there are."""
    epochs = 60 * 256 / len(pairs)
    cfg = dpo.Preference(
        loss=loss, epochs=epochs, batch=128, lr=3e-3, schedule=Linear(), held_out=0
    )
    return dpo.train(cfg, Run(), start, pairs, seed=seed)


def learned(start: Policy, pairs: Any, seed: int) -> Learned:
    """A reward model of the same comparisons."""
    cfg = reward.RewardModel(epochs=4, batch=64, lr=2e-3, schedule=Linear(), held_out=0)
    critic = reward.train(cfg, Run(), Critic.on(start, seed=seed), pairs, seed=seed)
    return Learned(critic, start.speller)


def one(seed: int) -> list[dict[str, Any]]:
    """All points of one language: a start, and comparisons of its own."""
    start = newborn(seed)
    ref_N = likelihood(start)
    pairs = judged(ref_N, PAIRS, seed)
    proxy = learned(start, pairs, seed)
    points: list[dict[str, Any]] = []

    def note(method: str, beta: float, p_N: torch.Tensor) -> None:
        kl, got = plane(p_N, ref_N, REWARD_N)
        best = highest(ref_N, kl)
        assert got <= best + 1e-6, f"{method} lies above the frontier: {got} at {kl}, {best}"
        point = {"seed": seed, "method": method, "beta": beta, "kl": kl, "reward": got}
        points.append(point | {"best": best, "start": float((ref_N * REWARD_N).sum())})
        print(json.dumps(points[-1]), flush=True)

    trained: dict[str, Callable[[float], Policy]] = {
        "DPO": lambda b: by_pairs(start, pairs, DPO(beta=b), seed),
        "IPO": lambda b: by_pairs(start, pairs, IPO(beta=b), seed),
        "PPO, learned reward": lambda b: by_ppo(start, proxy, b, seed),
        "PPO, true reward": lambda b: by_ppo(start, scores, b, seed),
        "RLOO, learned reward": lambda b: by_rloo(start, proxy, b, seed),
        "RLOO, true reward": lambda b: by_rloo(start, scores, b, seed),
    }
    for name, make in trained.items():
        for beta in BETAS:
            note(name, beta, likelihood(make(beta)))
    note("preferred answers imitated", 0.0, likelihood(by_pairs(start, pairs, NLL(), seed)))
    for n in (2, 4, 8, 16):
        note("best of n, true reward", float(n), best_of(ref_N, REWARD_N, n))
    return points


def highest(ref_N: torch.Tensor, kl: float) -> float:
    """The most reward that any policy has at this KL: the closed form, β found by bisection."""
    low, high = 1e-3, 1e4
    for _ in range(200):
        mid = math.sqrt(low * high)
        low, high = (mid, high) if optimum(ref_N, REWARD_N, mid)[1] > kl else (low, mid)
    return optimum(ref_N, REWARD_N, high)[0]


def table(points: list[dict[str, Any]]) -> str:
    """How much of what can be gained at its KL a method gains: mean, and half a 95 % interval."""
    lines = ["| method | β, or n | KL, nats | share of the possible gain |", "|---|---:|---:|---:|"]
    for method, beta in dict.fromkeys((p["method"], p["beta"]) for p in points):
        few = [p for p in points if (p["method"], p["beta"]) == (method, beta)]
        share = [100 * (p["reward"] - p["start"]) / (p["best"] - p["start"]) for p in few]
        half = 4.303 * stdev(share) / math.sqrt(3) if len(share) == 3 else float("nan")
        kl = fmean(p["kl"] for p in few)
        lines.append(f"| {method} | {beta:g} | {kl:.2f} | {fmean(share):.1f} ± {half:.1f} % |")
    return "\n".join(lines)


def draw(points: list[dict[str, Any]], file: Path) -> None:
    """Gain over KL, one panel a language; the line is the closed form."""
    import matplotlib.pyplot as plt

    seeds = sorted({p["seed"] for p in points})
    figure, panels = plt.subplots(1, len(seeds), figsize=(4.2 * len(seeds), 3.8), squeeze=False)
    looks = dict(zip(dict.fromkeys(p["method"] for p in points), "osv^<>DP", strict=False))
    for axes, seed in zip(panels[0], seeds, strict=True):
        ref_N = likelihood(newborn(seed))
        most = 1.15 * max(p["kl"] for p in points if p["seed"] == seed)
        line = [optimum(ref_N, REWARD_N, 0.05 * 1.06**k) for k in range(110)]
        line = [(got, kl) for got, kl in line if kl <= most]
        axes.plot(
            [k for _, k in line], [r for r, _ in line], color="#888888", label="the best there is"
        )
        for method, mark in looks.items():
            few = [p for p in points if p["method"] == method and p["seed"] == seed]
            axes.plot([p["kl"] for p in few], [p["reward"] for p in few], mark, ms=5, label=method)
        axes.set(xlabel="KL from the start, nats", title=f"language {seed}")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("true reward")
    figure.legend(
        *panels[0][0].get_legend_handles_labels(), ncols=4, loc="lower center", fontsize=8
    )
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    """Run, tell, keep, draw."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked.add_argument("--out", type=Path)
    asked.add_argument("--svg", type=Path)
    told = asked.parse_args()
    points = [point for seed in told.seeds for point in one(seed)]
    print(table(points))
    if told.out:
        told.out.write_text(json.dumps(points, indent=1) + "\n")
    if told.svg:
        draw(points, told.svg)


if __name__ == "__main__":
    main()
