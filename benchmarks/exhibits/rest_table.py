"""ReST's table 1 in small (Gulcehre et al. 2023): BC, ReST, and on-line RL with as many samples.

    python benchmarks/exhibits/rest_table.py [--seeds 0 1 2] [--out FILE.json] [--quick]

The task and both metrics: translation.py.  The reward is learned and needs no reference
translation; gold does, and no method sees it.  Every method starts from the same imitation (BC) of
the same demonstrations, and answers the same prompts at the same temperature.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from translation import LONGEST, STEPS, Language, cloned, compared, judge, spread

from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.evaluate.frontier import distance
from accord.evaluate.trend import pearson
from accord.maths.control import FixedKL
from accord.maths.selection import Everything, Filter, Fixed, Scale, best_of_n_bound
from accord.recipes import ppo, rest
from accord.recipes.growing import Given, Grow, grow
from accord.recipes.harvest import Harvest
from accord.recipes.improving import Improve
from accord.records import Rollout
from accord.store.run import Run

TEMPERATURE = 0.8
PROMPTS, N, BEST, BATCH = 1200, 8, 16, 128
COMPARED, NOISE, EPOCHS = 8_000, 0.1, 3.0
METHODS = (
    "BC (G=0, I=0)",
    "ReST (G=1, I=0)",
    "ReST (G=1, I=4)",
    "ReST (G=2, I=3)",
    "ReST (G=2, I=3), twice the samples",
    "on-line RL (PPO, β = 0.05)",
    "on-line RL (PPO, β = 0.5)",
    f"BC, best of {BEST} by the reward",
)


class Measured(rest.Walk):
    """Every Improve is measured; a first Grow that was made before is not made again."""

    def __init__(self, first: Harvest | None, measure: Callable[[Policy], dict[str, float]]):
        self.first, self.measure = first, measure
        self.steps: list[dict[str, float]] = []

    def grown(self, g: int, cfg: Grow, policy: Policy, make: Callable[[Run], Harvest]) -> Harvest:
        """What Grow g brings in."""
        return self.first if g == 1 and self.first else make(Run())

    def improved(
        self, g: int, i: int, cfg: Improve, policy: Policy, make: Callable[[Run], Any]
    ) -> Policy:
        """The policy after Improve i of Grow g."""
        made, told = make(Run())
        self.steps.append({"g": g, "i": i, "kept": told["kept"], **self.measure(made)})
        return made

    def tell(self, said: str) -> None:
        """For people."""
        print("   ", said, flush=True)


class World:
    """All that the methods of one seed share."""

    def __init__(self, seed: int, count: int):
        self.seed, self.language = seed, Language.of(seed)
        language, self.asked = self.language, self.language.prompts(count, "train")
        demonstrations = language.shown(self.asked)
        self.bc = cloned(demonstrations, seed)
        pairs = language.prompts(COMPARED * count // PROMPTS, "compare")
        pairs_said = compared(language, self.bc, pairs, NOISE, 1.0)
        self.tests = language.prompts(200, "test")
        own = self.said(self.bc, 2)
        self.critic, self.reward = judge(self.bc, pairs_said, own, seed, EPOCHS)
        self.given = Given(self.asked, demonstrations, language.prompts(60, "aside"))
        how = Grow(n=N, temperature=TEMPERATURE, longest=LONGEST)
        self.harvest = grow(how, self.bc, self.reward, self.given, Run(), seed=seed)
        self.scale: Scale = self.harvest.scale
        self.how = how.model_copy(update={"scale": self.scale})

    def said(self, policy: Policy, n: int) -> list[Rollout]:
        """Answers to the prompts of the test."""
        ids, how = [one.ids for one in self.tests], Sampling(TEMPERATURE)
        return policy.sample(ids, n=n, longest=LONGEST, seed=-7, how=how)

    def measure(self, policy: Policy) -> dict[str, float]:
        """Four answers to each prompt of the test."""
        said = self.said(policy, 4)
        told = self.told(said)
        return told | {"kl": distance(policy, self.bc, said, TEMPERATURE).exact.value}

    def told(self, said: Sequence[Rollout]) -> dict[str, float]:
        """Means; reward on the scale of the first Grow, all times 100 but length."""
        raw, gold = list(self.reward(said)), self.language.gold(said)
        scaled = self.scale(torch.tensor(raw))
        right = pearson(raw, gold)
        return {
            "reward": 100 * float(scaled.mean()),
            "raw": fmean(raw),
            "gold": 100 * fmean(gold),
            "perfect": 100 * fmean(g == 1 for g in gold),
            "distinct": 100 * len({(r.prompt_ids, r.response_ids) for r in said}) / len(said),
            "length": fmean(len(r.response_ids) for r in said),
            "pearson": float("nan") if right is None else right,
        }

    def rest(self, rounds: int, keep: Filter, n: int) -> tuple[dict[str, float], list[Any]]:
        """A row of ReST, and its Improves; with all N answers the first Grow is shared."""
        improve = Improve(
            keep=keep, epochs=3, batch=64, lr=1e-3, measure_every=20, measure_n=4, patience=3,
            optimizer=STEPS,
        )  # fmt: skip
        cfg = rest.ReST(rounds=rounds, grow=self.how.model_copy(update={"n": n}), improve=improve)
        walk = Measured(self.harvest if n == N else None, self.measure)
        rest.train(cfg, walk, self.bc, self.reward, self.given, seed=self.seed)
        return {**walk.steps[-1], "samples": float(rounds * n * len(self.asked))}, walk.steps

    def ppo(self, beta: float) -> dict[str, float]:
        """On-line RL with as many samples as a Grow of N."""
        steps = N * len(self.asked) // BATCH
        cfg = ppo.PPO(
            steps=steps, batch=BATCH, longest=LONGEST, temperature=TEMPERATURE, epochs=2,
            minibatches=2, kl=FixedKL(beta), lr=5e-4, lr_critic=1e-3, optimizer=STEPS,
        )  # fmt: skip
        policy = ppo.train(
            cfg, Run(), self.bc, self.reward, self.critic, self.asked, seed=self.seed
        )
        return {**self.measure(policy), "samples": float(steps * BATCH)}

    def best(self) -> dict[str, float]:
        """The best of BEST by the reward, of BC's own answers; KL is the bound."""
        said = self.said(self.bc, BEST)
        score = self.reward(said)
        best = [
            said[max(range(at, at + BEST), key=lambda i: score[i])]
            for at in range(0, len(said), BEST)
        ]
        return {**self.told(best), "samples": 0.0, "kl": best_of_n_bound(BEST)}


def table(seed: int, count: int) -> dict[str, Any]:
    """All rows of one seed."""
    began = time.process_time()
    world = World(seed, count)
    steps: dict[str, Any] = {}
    rows = {METHODS[0]: world.measure(world.bc) | {"samples": 0.0}}
    ways = ((1, Everything(), N), (1, Fixed((0.7, 0.8, 0.9, 0.95)), N))
    ways += ((2, Fixed((0.7, 0.8, 0.9)), N // 2), (2, Fixed((0.7, 0.8, 0.9)), N))
    show(METHODS[0], rows[METHODS[0]])
    for name, way in zip(METHODS[1:5], ways, strict=True):
        rows[name], steps[name] = world.rest(*way)
        show(name, rows[name])
    for name, beta in zip(METHODS[5:7], (0.05, 0.5), strict=True):
        rows[name] = world.ppo(beta)
        show(name, rows[name])
    rows[METHODS[7]] = world.best()
    show(METHODS[7], rows[METHODS[7]])
    grown = world.harvest.numbers
    took = time.process_time() - began
    print(f"seed {seed}: {took:.0f} s of CPU; grown {grown}", flush=True)
    return {"seed": seed, "rows": rows, "steps": steps, "grown": grown, "cpu_s": took}


def show(name: str, row: dict[str, float]) -> None:
    """A line while it runs."""
    told = "  ".join(f"{k} {row[k]:.1f}" for k in ("reward", "gold", "perfect", "distinct", "kl"))
    print(f"  {name:36} {told}  pearson {row['pearson']:.2f}", flush=True)


def summary(seeds: Sequence[dict[str, Any]]) -> str:
    """The table as Markdown; differences from BC are taken seed by seed."""
    head = "| method | samples | reward × 100 | − BC | gold × 100 | − BC | distinct % | KL |"
    lines = [head, "|---|" + "---:|" * 7]
    for name in METHODS:
        rows = [one["rows"][name] for one in seeds]
        first = [one["rows"][METHODS[0]] for one in seeds]
        cells = [f"{rows[0]['samples']:,.0f}"]
        for key in ("reward", "gold"):
            cells.append(f"{fmean(row[key] for row in rows):.1f}")
            gaps = [row[key] - bc[key] for row, bc in zip(rows, first, strict=True)]
            cells.append("" if name == METHODS[0] else spread(gaps))
        cells += [f"{fmean(row[key] for row in rows):.1f}" for key in ("distinct", "kl")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """All seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    given = parser.parse_args()
    torch.set_num_threads(1)
    told: list[dict[str, Any]] = []
    for seed in given.seeds:
        told.append(table(seed, PROMPTS // 10 if given.quick else PROMPTS))
        if given.out:
            given.out.write_text(json.dumps(told, indent=1))
    print(summary(told))


if __name__ == "__main__":
    main()
