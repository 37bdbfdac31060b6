"""Draws docs/methods/control.svg: the return of CartPole's episodes while each method learns.

    for name in default a2c reinforce christiano; do accord control ... out=runs/control/$name; done
    python tools/draw_control.py runs/control/default runs/control/a2c ...

A curve for each run folder, named as the folder; a point is the mean return of the episodes that
ended in a step, smoothed over neighbouring steps where there are many.
"""

import json
import sys
from itertools import accumulate
from pathlib import Path
from statistics import fmean

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

OUT = Path(__file__).resolve().parents[1] / "docs" / "methods" / "control.svg"
POINTS = 60


def curve(folder: Path) -> tuple[list[float], list[float]]:
    """(actions so far, mean return) in at most POINTS points."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    done = list(accumulate(row["actions"] for row in rows))
    told = [(n, row["episode/return"]) for n, row in zip(done, rows) if "episode/return" in row]
    size = max(1, len(told) // POINTS)
    lots = [told[i : i + size] for i in range(0, len(told), size)]
    return [lot[-1][0] for lot in lots], [fmean(worth for _, worth in lot) for lot in lots]


def main() -> None:
    """One file."""
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "accord", "font.size": 9}
    figure, ax = plt.subplots(figsize=(7, 3))
    for name in sys.argv[1:]:
        ax.plot(*curve(Path(name)), label=Path(name).name, lw=1.4)
    ax.axhline(475, color="grey", lw=0.8, ls=":")
    ax.set(xlabel="actions", ylabel="return of an episode", ylim=(0, 515))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(OUT, metadata={"Date": None})
    print(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
