"""A learned reward pushed too far: gold and learned reward over √KL (after Gao et al. 2022).

    python benchmarks/exhibits/overoptimisation.py [--seeds 0 1 2] [--out FILE] [--svg FILE]
    python benchmarks/exhibits/overoptimisation.py --read FILE --svg FILE

The task: translation.py.  A gold metric labels few comparisons, some of them wrongly; a reward
model learns from them; best-of-n and PPO without a KL price follow it.  Both rewards are in
standard deviations of the start's own answers, its mean being 0.
"""

import argparse
import json
import time
from collections.abc import Sequence
from math import comb, sqrt
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import torch
from look import STYLE
from translation import LONGEST, STEPS, Language, cloned, compared, judge, spread

from accord.engine.draw import Sampling
from accord.engine.roles import Critic, Policy
from accord.evaluate.frontier import distance
from accord.evaluate.trend import pearson
from accord.maths.control import Constant, FixedKL
from accord.maths.frontier import Law, law
from accord.maths.selection import best_of_n_bound
from accord.recipes import ppo
from accord.records import Rollout
from accord.rewards.learned import Learned
from accord.store.run import Run

NOISE = 0.15
SIZES = (800, 3200)
"""pairs sampled for each reward model; those that gold scores alike are left out"""
NS = (1, 2, 4, 8, 16, 32, 64, 128)
MANY, ASKED = 256, 48
"""answers to each of so many prompts, from which best-of-n is estimated"""
PUSHED = 100
LOOKS = (2, 4, 6, 9, 12, 16, 20, 26, 32, 40, 50, 65, 80, 100)
"""steps of PPO after which the policy is measured"""
Curve = list[dict[str, float]]


class World:
    """The start, and the gold metric in its units."""

    def __init__(self, seed: int):
        self.seed, self.language = seed, Language.of(seed)
        self.asked = self.language.prompts(1200, "train")
        self.start = cloned(self.language.shown(self.asked), seed)
        self.tests = [one.ids for one in self.language.prompts(120, "test")]
        self.own = self.said(self.start)
        gold = self.language.gold(self.own)
        self.zero, self.unit = fmean(gold), pstdev(gold)

    def said(self, policy: Policy, n: int = 4) -> list[Rollout]:
        """Answers to the prompts of the test, at temperature 1."""
        return policy.sample(self.tests, n=n, longest=LONGEST, seed=-7)

    def gold(self, said: Sequence[Rollout]) -> list[float]:
        """In the start's standard deviations."""
        return [(x - self.zero) / self.unit for x in self.language.gold(said)]

    def learned(self, size: int) -> tuple[Critic, Learned]:
        """A reward model of so many comparisons."""
        pairs = self.language.prompts(size, "compare")
        few = compared(self.language, self.start, pairs, NOISE, 1.0)
        return judge(self.start, few, self.own, self.seed, epochs=3.0)

    def measure(self, policy: Policy, reward: Learned) -> dict[str, float]:
        """One point of the curve of PPO; KL is exact at every position of its own answers."""
        said = self.said(policy)
        kl = distance(policy, self.start, said).exact.value
        score, gold = list(reward(said)), self.gold(said)
        told = {"d": sqrt(max(kl, 0)), "learned": fmean(score), "gold": fmean(gold)}
        right = pearson(score, gold)
        length = fmean(len(r.response_ids) for r in said)
        return told | {"pearson": float("nan") if right is None else right, "length": length}


class Watching(Run):
    """Measures the policy as it goes."""

    def __init__(self, world: World, reward: Learned):
        super().__init__()
        self.world, self.reward, self.curve = world, reward, Curve()

    def keep(self, name: str, part: Any) -> Any:
        """As a run does; the policy is what is measured."""
        if name == "policy":
            self.policy = part
        return super().keep(name, part)

    def log(self, step: int, **numbers: Any) -> None:
        """After a step."""
        super().log(step, **numbers)
        if step + 1 in LOOKS:
            seen = self.world.measure(self.policy, self.reward)
            self.curve.append({"step": step + 1, **seen})


def pushed(world: World, critic: Critic, reward: Learned) -> Curve:
    """PPO without a price of KL, step by step."""
    cfg = ppo.PPO(
        steps=PUSHED, batch=128, longest=LONGEST, epochs=2, minibatches=2, kl=FixedKL(0.0),
        lr=3e-4, lr_critic=1e-3, schedule=Constant(), optimizer=STEPS,
    )  # fmt: skip
    run = Watching(world, reward)
    ppo.train(cfg, run, world.start, reward, critic, world.asked, seed=world.seed)
    return [{"step": 0, **world.measure(world.start, reward)}, *run.curve]


def best(world: World, said: Sequence[Rollout], reward: Learned) -> Curve:
    """Best-of-n by the learned reward, each n from the same answers, without bias.

    Of MANY answers in falling order, the k-th (from 0) is the best of n drawn without putting back
    with probability C(MANY - 1 - k, n - 1) / C(MANY, n).  KL is the bound, log n - (n-1)/n.
    """
    score, gold = list(reward(said)), world.gold(said)
    zero = fmean(score), fmean(gold)
    places = [
        sorted(range(at, at + MANY), key=lambda i: -score[i]) for at in range(0, len(said), MANY)
    ]
    curve = Curve()
    for n in NS:
        share = [comb(MANY - 1 - k, n - 1) / comb(MANY, n) for k in range(MANY)]
        told = [
            fmean(sum(w * x[i] for w, i in zip(share, few, strict=True)) for few in places)
            for x in (score, gold)
        ]
        d = sqrt(best_of_n_bound(n))
        curve.append({"n": n, "d": d, "learned": told[0] - zero[0], "gold": told[1] - zero[1]})
    return curve


def both(seed: int) -> dict[str, Any]:
    """All curves of a seed."""
    began = time.process_time()
    world, told = World(seed), dict[str, Any]()
    asked = [one.ids for one in world.language.prompts(ASKED, "best")]
    said = world.start.sample(asked, n=MANY, longest=LONGEST, seed=3, how=Sampling(1.0))
    for size in SIZES:
        critic, reward = world.learned(size)
        told[str(size)] = {"bon": best(world, said, reward), "rl": pushed(world, critic, reward)}
        for form, curve in told[str(size)].items():
            few = [f"({p['d']:.2f}, {p['learned']:.2f}, {p['gold']:.2f})" for p in curve]
            print(f"seed {seed}, {size} pairs, {form}:", " ".join(few), flush=True)
    took = time.process_time() - began
    print(f"seed {seed}: {took:.0f} s of CPU", flush=True)
    return {"seed": seed, "curves": told, "cpu_s": took, "gold": (world.zero, world.unit)}


def fitted(curve: Curve, form: Any) -> Law:
    """Gao's form through the gold reward."""
    return law([p["d"] for p in curve], [p["gold"] - curve[0]["gold"] for p in curve], form)


def summary(seeds: Sequence[dict[str, Any]]) -> str:
    """Where gold peaks and where it ends, as Markdown."""
    lines = [
        "| reward model of | pushed by | √KL reached | learned there | gold there | gold at its "
        "best look | at √KL | law: α | β | R² | peaks at √KL, by seed |",
        "|---|---|" + "---:|" * 9,
    ]
    for size in SIZES:
        for form in ("bon", "rl"):
            curves = [one["curves"][str(size)][form] for one in seeds]
            laws = [fitted(curve, form) for curve in curves]
            tops = [max(curve, key=lambda p: p["gold"]) for curve in curves]
            peaks = ", ".join(f"{x.peak[0]:.2f}" if x.peak else "none" for x in laws)
            cells = [spread([curve[-1][key] for curve in curves], 2) for key in ("d", "learned")]
            cells += [
                spread([curve[-1]["gold"] - curve[0]["gold"] for curve in curves], 2),
                spread(
                    [top["gold"] - c[0]["gold"] for top, c in zip(tops, curves, strict=True)], 2
                ),
                spread([top["d"] for top in tops], 2),
                spread([x.alpha for x in laws], 2),
                spread([x.beta for x in laws], 2),
                f"{min(x.explained for x in laws):.2f} to {max(x.explained for x in laws):.2f}",
            ]
            name = "best-of-n" if form == "bon" else "PPO"
            lines.append(f"| {size:,} pairs | {name} | " + " | ".join(cells) + f" | {peaks} |")
    return "\n".join(lines)


def draw(seeds: Sequence[dict[str, Any]], path: Path) -> None:
    """Two panels: best-of-n and PPO; learned dashed, gold full, its law dotted, seeds faint."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.5), layout="constrained", facecolor="white")
        panels = figure.subplots(1, 2)
        for axes, form, title in zip(panels, ("bon", "rl"), ("best-of-n", "PPO, no price of KL")):
            for size, colour in zip(SIZES, ("#b2452b", "#1f5f99"), strict=True):
                curves = [one["curves"][str(size)][form] for one in seeds]
                _lines(axes, curves, form, f"{size:,} pairs", colour)
            axes.axhline(0, color="#888888", linewidth=0.7)
            axes.set_title(title, fontsize=9)
            axes.set_xlabel("√KL from the start, √nats per answer")
        panels[0].set_ylabel("reward, standard deviations of the start's answers")
        panels[0].legend(frameon=False, fontsize=7)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def _lines(axes: Any, curves: Sequence[Curve], form: str, name: str, colour: str) -> None:
    steps = list(zip(*curves, strict=True))
    x = [fmean(p["d"] for p in few) for few in steps]
    for key, stroke, marker in (("learned", "--", ""), ("gold", "-", "o")):
        y = [fmean(p[key] - c[0][key] for p, c in zip(few, curves, strict=True)) for few in steps]
        axes.plot(
            x, y, stroke, marker=marker, markersize=3, color=colour, linewidth=1.4,
            label=f"{key}, {name}",
        )  # fmt: skip
    for curve in curves:
        gold = [p["gold"] - curve[0]["gold"] for p in curve]
        axes.plot([p["d"] for p in curve], gold, color=colour, linewidth=0.6, alpha=0.35)
    laws = [fitted(curve, form) for curve in curves]
    far = [x[-1] * i / 60 for i in range(61)]
    axes.plot(far, [fmean(one(d) for one in laws) for d in far], ":", color=colour, linewidth=1.1)


def main() -> None:
    """All seeds, or a figure of what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--read", type=Path, help="curves that --out wrote, instead of measuring")
    given = parser.parse_args()
    torch.set_num_threads(1)
    told = json.loads(given.read.read_text()) if given.read else []
    for seed in [] if given.read else given.seeds:
        told.append(both(seed))
        if given.out:
            given.out.write_text(json.dumps(told, indent=1))
    print(summary(told))
    if given.svg:
        draw(told, given.svg)


if __name__ == "__main__":
    main()
