"""How many comparisons hard or clamped labels need for each soft one, in the limit of many.

    python benchmarks/exhibits/soft_theory.py

A linear reward r = θ x on Gaussian differences x; the judge's log odds are x₁ + noise + lean.  An
estimate that minimises the Bradley-Terry loss errs, across θ, with variance B / (A θ)² / n, where
A = E σ'(θ x₁) and B = E (q - σ(θ x₁))² (White 1982).  Only the direction counts, as it orders
answers.
"""

from functools import cache
from math import exp, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

from accord.maths.feedback import clamped, preferred, unswapped

NODES = 61
"""of the grid over a Gaussian, within 5 standard deviations"""
NOISES = tuple(0.25 * i for i in range(1, 17))
LEAN = 2.0
"""nats, to either place: the order in which two answers were drawn is chance"""


def sigmoid(x: float) -> float:
    """σ."""
    return 1 / (1 + exp(-x))


@cache
def points() -> list[tuple[float, float]]:
    """(standard Gaussian, its weight)."""
    x = [10 * i / (NODES - 1) - 5 for i in range(NODES)]
    w = [exp(-a * a / 2) for a in x]
    return [(a, b / sum(w)) for a, b in zip(x, w, strict=True)]


def label(kind: str, odds: float) -> float:
    """Of one answer of the judge, before orders are averaged."""
    q = preferred(odds, 0.0)
    return clamped(q, 0.4, 0.6) if kind == "clamped" else q


@cache
def moments(kind: str, gap: float, noise: float, lean: float, swap: bool) -> tuple[float, float]:
    """E q and E q² at one true gap.  A hard label of both orders is 1 where 2 gap + the difference
    of two noises is above 0: the lean falls out."""
    if kind == "hard":
        at = [sqrt(2) * gap] if swap else [gap + lean, gap - lean]
        mean = sum(NormalDist().cdf(x / noise) for x in at) / len(at)
        return mean, mean
    first = second = 0.0
    for a, wa in points():
        for b, wb in points() if swap else [(0.0, 0.5), (1.0, 0.5)]:
            side = lean if swap or b else -lean
            q = label(kind, gap + noise * a + side)
            if swap:
                q = unswapped(q, label(kind, -gap + noise * b + lean))
            first, second = first + wa * wb * q, second + wa * wb * q * q
    return first, second


@cache
def error(kind: str, noise: float, lean: float = 0.0, swap: bool = False) -> float:
    """Variance across θ for one comparison, relative to θ²."""
    told = [(x, w, *moments(kind, x, noise, lean, swap)) for x, w in points()]

    def slope(theta: float) -> float:
        return sum(w * x * (m - sigmoid(theta * x)) for x, w, m, _ in told)

    low, high = 1e-6, 50.0
    for _ in range(60):
        mid = sqrt(low * high)
        low, high = (mid, high) if slope(mid) > 0 else (low, mid)
    s = [sigmoid(low * x) for x, *_ in told]
    A = sum(w * p * (1 - p) for (_, w, *_), p in zip(told, s, strict=True))
    B = sum(w * (m2 - 2 * p * m + p * p) for (_, w, m, m2), p in zip(told, s, strict=True))
    return B / (A * low) ** 2


def more(kind: str, noise: float, lean: float, swap: bool) -> float:
    """Comparisons of this kind for each soft one of the same judge, asked alike."""
    return error(kind, noise, lean, swap) / error("soft", noise, lean, swap)


def summary_of_theory() -> str:
    """As Markdown."""
    ways = [(lean, swap) for lean in (0.0, LEAN) for swap in (False, True)]
    heads = [
        f"{kind}, {'leaning' if lean else 'even-handed'}, {'both orders' if swap else 'one order'}"
        for kind in ("hard", "clamped")
        for lean, swap in ways
    ]
    lines = ["| noise | " + " | ".join(heads) + " |", "|---:|" + "---:|" * len(heads)]
    for noise in (0.5, 1.0, 1.5, 2.0, 4.0):
        few = [f"{more(kind, noise, *way):.2f}" for kind in ("hard", "clamped") for way in ways]
        lines.append(f"| {noise} | " + " | ".join(few) + " |")
    return "\n".join(lines)


def drawn_theory(axes: Any) -> None:
    """Lines over noise."""
    styles = [
        ("hard", 0.0, False, "#b2452b", "-", "hard, even-handed"),
        ("clamped", 0.0, False, "#7a7a3c", "-", "clamped, even-handed"),
        ("hard", LEAN, False, "#b2452b", "--", "hard, leaning, one order"),
        ("hard", LEAN, True, "#b2452b", ":", "hard, leaning, both orders"),
        ("clamped", LEAN, True, "#7a7a3c", ":", "clamped, leaning, both orders"),
    ]
    for kind, lean, swap, colour, stroke, name in styles:
        y = [more(kind, x, lean, swap) for x in NOISES]
        axes.plot(NOISES, y, stroke, color=colour, linewidth=1.4, label=name)
    axes.axhline(1, color="#1f5f99", linewidth=1.4, label="soft, asked alike")
    axes.set_xlabel("noise of the judge, in spreads of the true log odds")
    axes.set_ylabel("comparisons needed, times those of soft labels")
    axes.set_title("a linear reward, many comparisons", fontsize=9)
    axes.set_ylim(0, 3)
    axes.legend(frameon=False, fontsize=7)


def simulated(kind: str, noise: float, lean: float, swap: bool, fits: int = 600) -> float:
    """The same variance, of many fits to 3,000 comparisons each (Newton's method)."""
    rng, n, found = np.random.default_rng(0), 3000, []

    def verdicts(odds: Any) -> Any:
        q = 1 / (1 + np.exp(-odds - noise * rng.standard_normal(n)))
        return q.clip(0.4, 0.6) if kind == "clamped" else q

    for _ in range(fits):
        x = rng.standard_normal((n, 2))
        if swap:
            q = (verdicts(x[:, 0] + lean) + 1 - verdicts(-x[:, 0] + lean)) / 2
        else:
            q = verdicts(x[:, 0] + lean * rng.choice([-1, 1], n))
        q = (q > 0.5).astype(float) if kind == "hard" else q
        theta = np.zeros(2)
        for _ in range(12):
            p = 1 / (1 + np.exp(-x @ theta))
            theta += np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (q - p))
        found.append(theta[1] / theta[0])
    return n * float(np.var(found))


def main() -> None:
    """The table, and the variances beside those of simulated fits."""
    print(summary_of_theory(), "", "| judge | labels | variance | simulated |", sep="\n")
    print("|---|---|---:|---:|")
    for lean in (0.0, LEAN):
        for swap in (False, True):
            for kind in ("soft", "hard", "clamped"):
                how = f"lean {lean:g}, {'both orders' if swap else 'one order'}"
                two = error(kind, 1.5, lean, swap), simulated(kind, 1.5, lean, swap)
                print(f"| {how} | {kind} | {two[0]:.2f} | {two[1]:.2f} |")


if __name__ == "__main__":
    main()
