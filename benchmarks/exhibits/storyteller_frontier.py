"""DPO's Figure 2, left (Rafailov et al. 2023), on the storyteller: gold reward over KL.

    python benchmarks/exhibits/storyteller_frontier.py [--seeds 0 1 2] [--rounds 4] [--out FOLDER]

DPO, PPO with a learned and with the gold reward, each at several prices of KL, and the preferred
answers imitated; measured on the way and at the end.  The same command goes on where it was broken
off; raw numbers are in FOLDER/frontier.json.
"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from look import STYLE
from stories import BETAS, QUICK, Size, World, kept, parser
from translation import spread

from accord.maths.frontier import Law, law, optimum

LEVELS = (0.0, 0.5, 1.0)
"""what the rule can say"""
AT = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
"""KL, nats, at which methods are compared"""
FAR = 20.0
"""KL, nats, beyond which no point is fitted or drawn; the table has them all"""
Point = dict[str, Any]


def measured(worlds: Sequence[World], rounds: int) -> Iterator[Point]:
    """All points; every price of KL for all seeds before the next price."""
    for world in worlds:
        yield {"seed": world.seed, "method": "start", "beta": 0.0, "last": True, **begun(world)}
    for turn in range(rounds):
        for world in worlds:
            for method, betas in BETAS.items():
                if turn >= len(betas):
                    continue
                _, looks = world.trained(method, betas[turn])
                for look in looks:
                    told = {"seed": world.seed, "method": method, "beta": betas[turn]}
                    yield {**told, "last": look is looks[-1], **look}


def begun(world: World) -> dict[str, Any]:
    """The start, and how often the rule gives it each of its levels."""

    def make() -> dict[str, Any]:
        said = world.said(world.start, 4)
        gold = list(world.gold(said))
        share = [gold.count(level) / len(gold) for level in LEVELS]
        return {"kl": 0.0, **world.told(said), "share": share}

    return dict(kept(world.home / "start.json", world.about, make))


def most(points: Sequence[Point]) -> list[tuple[float, float]]:
    """(KL, gold) that no policy can lie above, but for the error of the start's shares.

    A policy's KL is at least that between how often it and the start reach each level of the rule
    (data processing), and of three shares the best at a KL is the closed form.
    """
    shares = [p["share"] for p in points if p["method"] == "start"]
    ref_N = torch.tensor(shares, dtype=torch.float64).mean(0)
    levels_N = torch.tensor(LEVELS, dtype=torch.float64)
    told = [optimum(ref_N, levels_N, 0.01 * 1.1**k) for k in range(80)]
    return sorted((kl, gold) for gold, kl in told)


def fitted(points: Sequence[Point], method: str, seed: int) -> tuple[Law, float, float] | None:
    """Gold over d = √KL through all looks of a seed, d (α - β d); its least and greatest KL."""
    own = [p for p in points if (p["seed"], p["method"]) == (seed, method) and p["kl"] <= FAR]
    zero = next(p["gold"] for p in points if p["seed"] == seed and p["method"] == "start")
    kls = [p["kl"] for p in own]
    if len(own) < 3:
        return None
    line = law([math.sqrt(max(kl, 0.0)) for kl in kls], [p["gold"] - zero for p in own], "bon")
    return line, min(kls), max(kls)


def table(points: Sequence[Point]) -> str:
    """Every method and price after training; mean over seeds, ± half a 95 % interval."""
    lines = ["| method | β | KL, nats | gold reward | learned reward | ended | tokens | seeds |"]
    lines.append("|---|" + "---:|" * 7)
    cells = dict.fromkeys((p["method"], p["beta"]) for p in points)
    for method, beta in sorted(cells, key=lambda c: ([*BETAS, "start"].index(c[0]), c[1])):
        few = [p for p in points if (p["method"], p["beta"]) == (method, beta) and p["last"]]
        shown = [spread([p[key] for p in few], 2) for key in ("kl", "gold", "learned")]
        shown += [f"{100 * fmean(p['ended'] for p in few):.0f} %"]
        shown += [f"{fmean(p['length'] for p in few):.0f}", str(len(few))]
        lines.append(f"| {method} | {beta or ''} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def claim(points: Sequence[Point]) -> str:
    """DPO's gold reward less that of another at the same KL, seed by seed."""
    lines = ["| DPO less … | " + " | ".join(f"at {kl:g} nats" for kl in AT) + " |"]
    lines.append("|---|" + "---:|" * len(AT))
    seeds = sorted({p["seed"] for p in points})
    for method in ("PPO, learned reward", "PPO, gold reward"):
        cells = []
        for kl in AT:
            gaps = []
            for seed in seeds:
                both = [fitted(points, name, seed) for name in ("DPO", method)]
                lines_ = [one[0] for one in both if one and one[1] <= kl <= one[2]]
                if len(lines_) == 2:
                    gaps.append(lines_[0](math.sqrt(kl)) - lines_[1](math.sqrt(kl)))
            cells.append(
                f"{spread(gaps, 3)} ({len(gaps)} of {len(seeds)})" if gaps else "not both there"
            )
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(points: Sequence[Point], path: Path) -> None:
    """Large: after training; small: on the way; lines: the fits, mean over seeds."""
    import matplotlib
    from matplotlib.figure import Figure

    looks = zip(BETAS, ("#1f5f99", "#b2452b", "#c99700", "#4a7a3a"), "osD^", strict=True)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained", facecolor="white")
        axes = figure.subplots()
        points = [p for p in points if p["kl"] <= FAR]
        far = max(p["kl"] for p in points) * 1.03
        bound = [(0.0, fmean(p["gold"] for p in points if p["method"] == "start"))]
        bound += [(kl, gold) for kl, gold in most(points) if kl <= far]
        bound += [(far, 1.0)]
        axes.plot(
            *zip(*bound, strict=True), color="#888888", linewidth=1.1, label="the most there can be"
        )
        for method, colour, mark in looks:
            _method(
                axes, [p for p in points if p["method"] in (method, "start")], method, colour, mark
            )
        axes.set(xlabel="KL from the start, nats per answer", ylabel="gold reward", xlim=(0, far))
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=7)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def _method(axes: Any, points: Sequence[Point], method: str, colour: str, mark: str) -> None:
    own = [p for p in points if p["method"] == method]
    for last, size, alpha in ((False, 2.5, 0.45), (True, 5.5, 0.9)):
        few = [p for p in own if p["last"] == last]
        axes.plot(
            [p["kl"] for p in few], [p["gold"] for p in few], mark, color=colour, markersize=size,
            alpha=alpha, markeredgewidth=0, label=method if last else None,
        )  # fmt: skip
    seeds = sorted({p["seed"] for p in own})
    fits = [fit for seed in seeds if (fit := fitted(points, method, seed))]
    if not fits:
        return
    zero = fmean(p["gold"] for p in points if p["method"] == "start")
    low, high = (math.sqrt(fmean(fit[k] for fit in fits)) for k in (1, 2))
    d = [low + (high - low) * i / 60 for i in range(61)]
    line = [zero + fmean(fit[0](x) for fit in fits) for x in d]
    axes.plot([x * x for x in d], line, color=colour, linewidth=1.0, alpha=0.7)


def main() -> None:
    """Train what is missing, tell, draw."""
    told = parser(__doc__)
    told.add_argument("--rounds", type=int, default=4, help="prices of KL that are tried")
    given = told.parse_args()
    size = QUICK if given.quick else Size()
    worlds = [World(seed, given.out, size) for seed in given.seeds]
    points = list(measured(worlds, given.rounds))
    (given.out / "frontier.json").write_text(json.dumps(points, indent=1))
    print(table(points), claim(points), sep="\n\n")
    bound = most(points)
    above = [p for p in points if p["gold"] > max(g for kl, g in bound if kl <= p["kl"] + 0.05)]
    print(f"\n{len(above)} of {len(points)} points lie above the bound")
    for method in BETAS:
        fits = [fit for seed in given.seeds if (fit := fitted(points, method, seed))]
        print(method, "R² of the fits:", [round(fit[0].explained, 3) for fit in fits])
    if given.svg:
        draw(points, given.svg)


if __name__ == "__main__":
    main()
