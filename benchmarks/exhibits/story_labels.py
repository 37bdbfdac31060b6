"""Soft or hard labels, clamped or not, both orders or one: preference models from a noisy judge.

    python benchmarks/exhibits/story_labels.py [--seeds 0 1 2 3 4] [--out FILE] [--svg FILE]

The storyteller tells two stories to each opening; a simulated judge (src/accord/demo/simulated.py)
labels the pairs under the principles of `stories`, with noise on its odds and a liking for the
first place.  A preference model learns from each kind of label, by the stages that constitutional
AI uses, and is held against word lists on pairs that nobody labelled.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from look import STYLE
from translation import spread

from accord.data.constitution import read_constitution
from accord.demo.find import SHIPPED
from accord.demo.gentle import harms
from accord.demo.openings import openings
from accord.demo.simulated import Simulated
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.maths.feedback import clamped
from accord.recipes.common import spell_prompts
from accord.recipes.constitutional import compare
from accord.recipes.reward import RewardModel
from accord.recipes.stage import Place
from accord.recipes.stages import reward_stage
from accord.recipes.weighing import Feedback, Pair
from accord.records import Comparison, Invalid, Prompt
from accord.rewards.learned import Learned

PROMPTS, TESTS, DRAWN, LONGEST = 200, 80, 8, 60
NOISES = (1.0, 4.0)
PLACE = 1.5
BOTH = ("soft", "clamped", "hard")
KINDS = (*((how, True) for how in BOTH), ("soft", False), ("hard", False))
CFG = RewardModel(epochs=2, batch=32, held_out=0.0, lr=3e-4, optimizer=Optimizer(micro_tokens=2048))
Row = dict[str, Any]


def told(policy: Policy, prompts: Sequence[Prompt], seed: int) -> list[tuple[str, str]]:
    """Two stories to each opening."""
    asked, _ = spell_prompts(prompts, policy.speller, 400)
    said = policy.sample(
        [one.ids for one in asked], n=2, longest=LONGEST, seed=seed, how=Sampling(0.7)
    )
    texts = [policy.speller.text(one) for one in said]
    return list(zip(texts[::2], texts[1::2], strict=True))


def labels(pairs: Sequence[Pair], judge: Simulated, how: str, swap: bool) -> list[Comparison]:
    """The pairs as the judge labels them."""
    cfg = Feedback(swap=swap, labels="hard" if how == "hard" else "soft")
    found = []
    for pair, label in zip(pairs, compare(cfg, judge.c, judge, pairs), strict=True):
        if isinstance(label, Invalid):
            raise SystemExit(label.reason)
        q = clamped(label.q, 0.4, 0.6) if how == "clamped" else label.q
        ranks = (int(q < 0.5), int(q > 0.5))
        found.append(Comparison(pair.prompt, pair.answers, ranks, "ai", p_first=q, id=pair.name))
    return found


def one(seed: int, home: Path) -> list[Row]:
    """All kinds of labels at all noises, on one draw of stories."""
    policy, c = Policy.open(SHIPPED), read_constitution("stories")
    prompts = openings(PROMPTS + TESTS, seed)
    pairs = [
        Pair(f"{seed}/{i}", prompt.messages, two)
        for i, (prompt, two) in enumerate(
            zip(prompts[:PROMPTS], told(policy, prompts[:PROMPTS], seed), strict=True)
        )
        if two[0] != two[1]
    ]
    tests = prompts[PROMPTS:]
    asked, _ = spell_prompts(tests, policy.speller, 400)
    said = policy.sample(
        [a.ids for a in asked], n=DRAWN, longest=LONGEST, seed=1000 + seed, how=Sampling(0.7)
    )
    counts = [harms(policy.speller.text(r)) for r in said]
    differ = [i for i in range(0, len(said), 2) if counts[i] != counts[i + 1]]
    rows = []
    for noise in NOISES:
        for how, swap in KINDS:
            place = Place(home / f"{seed}-{noise:g}-{how}-{swap}", seed)
            judge = Simulated(c, noise, PLACE)
            made = reward_stage(place, CFG, policy, labels(pairs, judge, how, swap))
            score = Learned(made.handle, policy.speller)(said)
            right = fmean(
                0.5
                if score[i] == score[i + 1]
                else float((score[i] > score[i + 1]) == (counts[i] < counts[i + 1]))  # type: ignore[operator]
                for i in differ
            )
            rows.append(
                {"seed": seed, "noise": noise, "how": how, "both": swap, "right": right,
                 "pairs": len(pairs), "tests": len(differ)}
            )  # fmt: skip
            print(rows[-1], flush=True)
            shutil.rmtree(place.out)
    return rows


def at(rows: Sequence[Row], noise: float, how: str, both: bool) -> list[float]:
    """One kind of label, seed by seed."""
    return [
        row["right"]
        for row in rows
        if (row["noise"], row["how"], row["both"]) == (noise, how, both)
    ]


def table(rows: Sequence[Row]) -> str:
    """Means, and paired differences to soft labels of both orders."""
    lines = [
        "| noise | labels | orders | right | − soft, both |",
        "|---:|---|---|---:|---:|",
    ]
    for noise in NOISES:
        base = at(rows, noise, "soft", True)
        for how, both in KINDS:
            mine = at(rows, noise, how, both)
            gap = [100 * (m - b) for m, b in zip(mine, base, strict=True)]
            less = "" if (how, both) == ("soft", True) else spread(gap)
            orders = "both" if both else "one"
            lines.append(f"| {noise:g} | {how} | {orders} | {100 * fmean(mine):.1f} | {less} |")
    return "\n".join(lines)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Full: means; faint: seeds.  Dashed: one order."""
    import matplotlib
    from matplotlib.figure import Figure

    colours = dict(zip(BOTH, ("#1f5f99", "#4a7a3a", "#b2452b"), strict=True))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained", facecolor="white")
        axes = figure.subplots()
        for how, both in KINDS:
            lots = [[100 * x for x in at(rows, noise, how, both)] for noise in NOISES]
            stroke = "-" if both else "--"
            for line in zip(*lots, strict=True):
                axes.plot(NOISES, line, stroke, color=colours[how], lw=0.5, alpha=0.25)
            name = f"{how}, {'both orders' if both else 'one order'}"
            mean = [fmean(lot) for lot in lots]
            axes.plot(NOISES, mean, f"o{stroke}", color=colours[how], ms=4, lw=1.4, label=name)
        axes.set(
            xlabel="noise of the judge's odds, logits", xticks=NOISES,
            ylabel="the gentler of two new stories scores higher, %",
        )  # fmt: skip
        figure.legend(loc="outside right center", frameon=False, fontsize=7)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    """Train, tell, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--svg", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        rows = [row for seed in given.seeds for row in one(seed, Path(home))]
    print(table(rows))
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1))
    if given.svg:
        draw(rows, given.svg)


if __name__ == "__main__":
    main()
