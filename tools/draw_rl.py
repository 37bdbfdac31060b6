"""Draws docs/rl.svg: the loop that all methods here are, and the same words in two worlds.

python tools/draw_rl.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

OUT = Path(__file__).resolve().parents[1] / "docs" / "rl.svg"
INK, PALE, ACCENT = "#1f2933", "#eef2f6", "#2f6f9f"
VERBS = [
    ("obtain", "the policy acts:\nstate → action"),
    ("judge", "a number for what\nit did, or an order"),
    ("store", "rows in a buffer"),
    ("optimise", "make what did well\nlikelier"),
]
WORDS = [
    ("", "a cart with a pole", "a language model"),
    ("state", "4 numbers: where, how fast", "the prompt and the tokens so far"),
    ("action", "push left, push right", "the next token"),
    ("transition", "physics", "append it"),
    ("reward", "1 a step while it stands", "0, then a score at the end, less a price of KL"),
    ("end", "it fell", "the end token, or the longest answer"),
    ("policy", "a net of 2 × 64", "the model itself"),
    ("buffer", "8 windows of 128 steps", "64 answers"),
]


def loop(ax) -> None:
    """Four boxes in a ring."""
    spots = [(0.25, 0.76), (0.75, 0.76), (0.75, 0.26), (0.25, 0.26)]
    for (name, told), (x, y) in zip(VERBS, spots, strict=True):
        box = FancyBboxPatch(
            (x - 0.19, y - 0.14), 0.38, 0.28, boxstyle="round,pad=0.01", fc=PALE, ec=ACCENT, lw=1.2
        )
        ax.add_patch(box)
        ax.text(x, y + 0.08, name, ha="center", va="center", weight="bold", color=ACCENT)
        ax.text(x, y - 0.045, told, ha="center", va="center", size=8, color=INK)
    ends = [((0.44, 0.76), (0.56, 0.76)), ((0.75, 0.61), (0.75, 0.41))]
    ends += [((0.56, 0.26), (0.44, 0.26)), ((0.25, 0.41), (0.25, 0.61))]
    for start, stop in ends:
        arrow = FancyArrowPatch(start, stop, arrowstyle="-|>", mutation_scale=12, color=INK)
        ax.add_patch(arrow)
    ax.text(0.5, 0.51, "for each step", ha="center", va="center", size=8, style="italic", color=INK)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")


def words(ax) -> None:
    """A table of two worlds."""
    for row, cells in enumerate(WORDS):
        y = 0.95 - row * 0.125
        for x, cell in zip((0.0, 0.15, 0.49), cells, strict=True):
            head = row == 0 or x == 0.0
            ax.text(
                x,
                y,
                cell,
                size=8,
                va="center",
                color=ACCENT if head else INK,
                weight="bold" if head else "normal",
            )
        ax.plot([0, 1], [y - 0.0625] * 2, color="#d5dce3", lw=0.6)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")


def main() -> None:
    """One file, the same bytes each time."""
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "accord", "font.size": 10}
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10.5, 3.4), gridspec_kw={"width_ratios": (0.8, 1.4)}
    )
    loop(left)
    words(right)
    figure.tight_layout()
    figure.savefig(OUT, metadata={"Date": None})
    print(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
