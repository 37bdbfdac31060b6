"""DPO's Figure 2, right (Rafailov et al. 2023), on the storyteller: win rate over temperature.

    python benchmarks/exhibits/temperatures.py [--seeds 0 1 2] [--out FOLDER] [--svg FILE]

Each method at the first of its prices of KL in stories.py; policies that the frontier's exhibit
trained in the same FOLDER are not trained again.  A win: the gold rule gives more to an answer than
to one that the start gave to the same opening at temperature 1; a tie is half a win.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from look import STYLE
from stories import BETAS, LONGEST, QUICK, Size, World, kept, parser
from translation import spread

from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.evaluate.winrate import winrate
from accord.records import Rollout

HEATS = (0.0, 0.25, 0.5, 0.75, 1.0)
BEST = 8
BEST_NAME = f"best of {BEST}"
TRAINED = ("DPO", "PPO, learned reward", "Preferred-FT")
WHO = (*TRAINED, BEST_NAME, "start")
Row = dict[str, Any]


def row(world: World, who: str, heat: float, n: int) -> Row:
    """One method at one temperature, against the start at temperature 1."""
    about = {**world.about, "who": who, "heat": heat, "n": n, "best": BEST, "of": beta(who)}
    file = world.home / "temperatures" / f"{_plain(who)}-{heat:g}.json"
    if who in TRAINED:
        folder, _ = world.trained(who, beta(who))
        policy = Policy.open(folder, slots=256)
    else:
        policy = world.start
    told = kept(file, about, lambda: _measured(world, who, policy, heat, n))
    said = f"{told['rate']:.3f} ({told['wins']}-{told['ties']}-{told['losses']})"
    print(f"seed {world.seed}  {who:20} {heat:4g}  {said}  gold {told['gold']:.3f}", flush=True)
    return {"seed": world.seed, "who": who, "heat": heat, **told}


def beta(who: str) -> float | None:
    """The price of KL at which a method is shown."""
    return BETAS[who][0] if who in TRAINED else None


def _plain(name: str) -> str:
    return name.lower().replace(", ", "-").replace(" ", "-")


def _measured(world: World, who: str, policy: Policy, heat: float, n: int) -> Row:
    ids, how = [one.ids for one in world.tests], Sampling(heat)
    other = kept(
        world.home / "temperatures" / "other.json", {**world.about, "n": n},
        lambda: world.gold(world.start.sample(ids, n=n, longest=LONGEST, seed=-11)),
    )  # fmt: skip
    if who == BEST_NAME:
        other, said = other[::n], best(world, heat)
    else:
        said = policy.sample(ids, n=n, longest=LONGEST, seed=-13, how=how)
    gold = world.gold(said)
    met = winrate(other, gold)
    numbers = {"rate": met.rate, "wins": met.wins, "ties": met.ties, "losses": met.losses}
    numbers |= {"low": met.low, "high": met.high, "gold": fmean(gold)}
    numbers["length"] = fmean(len(one.response_ids) for one in said)
    return numbers | {"ended": fmean(one.finish == "stop" for one in said)}


def best(world: World, heat: float) -> list[Rollout]:
    """To each opening, of so many answers of the start the one that the reward model likes most."""
    ids, size = [one.ids for one in world.tests], BEST if heat else 1  # greedy ones are all alike
    said = world.start.sample(ids, n=size, longest=LONGEST, seed=-13, how=Sampling(heat))
    score = list(world.learned(said))
    lots = range(0, len(said), size)
    return [said[max(range(at, at + size), key=lambda i: score[i])] for at in lots]


def table(rows: Sequence[Row], key: str) -> str:
    """Means over seeds, ± half a 95 % interval, in per cent."""
    lines = ["| method | β | " + " | ".join(f"{heat:g}" for heat in HEATS) + " |"]
    lines.append("|---|" + "---:|" * (len(HEATS) + 1))
    for who in WHO:
        cells = [spread([100 * r[key] for r in _at(rows, who, heat)]) for heat in HEATS]
        lines.append(f"| {who} | {beta(who) or ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def gaps(rows: Sequence[Row]) -> str:
    """Win rates less one another, seed by seed, in points."""
    lines = ["| | " + " | ".join(f"{heat:g}" for heat in HEATS) + " |"]
    lines.append("|---|" + "---:|" * len(HEATS))
    for one, other in ((WHO[0], WHO[1]), (WHO[0], BEST_NAME), (WHO[0], "start"), (WHO[1], "start")):
        cells = []
        for heat in HEATS:
            both = zip(_at(rows, one, heat), _at(rows, other, heat), strict=True)
            cells.append(spread([100 * (a["rate"] - b["rate"]) for a, b in both]))
        lines.append(f"| {one} less {other} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _at(rows: Sequence[Row], who: str, heat: float) -> list[Row]:
    few = [r for r in rows if r["who"] == who and r["heat"] == heat]
    return sorted(few, key=lambda r: int(r["seed"]))


def draw(rows: Sequence[Row], path: Path) -> None:
    """Full: mean of the seeds; faint: each of them."""
    import matplotlib
    from matplotlib.figure import Figure

    colours = ("#1f5f99", "#b2452b", "#4a7a3a", "#c99700", "#666666")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained", facecolor="white")
        axes = figure.subplots()
        axes.axhline(50, color="#888888", linewidth=0.7)
        for who, colour, mark in zip(WHO, colours, "os^Dv", strict=True):
            lots = [_at(rows, who, heat) for heat in HEATS]
            for line in zip(*lots, strict=True):
                axes.plot(HEATS, [100 * r["rate"] for r in line], color=colour, lw=0.6, alpha=0.35)
            mean = [100 * fmean(r["rate"] for r in lot) for lot in lots]
            axes.plot(HEATS, mean, marker=mark, color=colour, markersize=4, lw=1.4, label=who)
        axes.set(
            xlabel="temperature of sampling", xticks=HEATS,
            ylabel="win rate against the start at temperature 1, %",
        )  # fmt: skip
        figure.legend(loc="outside right center", frameon=False, fontsize=7)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    """Train what is missing, tell, draw."""
    given = parser(__doc__).parse_args()
    size = QUICK if given.quick else Size()
    rows = []
    for seed in given.seeds:
        world = World(seed, given.out, size)
        rows += [row(world, who, heat, size.n) for who in WHO for heat in HEATS]
    (given.out / "temperatures.json").write_text(json.dumps(rows, indent=1))
    print(table(rows, "rate"), gaps(rows), table(rows, "gold"), sep="\n\n")
    if given.svg:
        draw(rows, given.svg)


if __name__ == "__main__":
    main()
