"""Soft labels against hard and clamped ones, by a noisy judge, asked once or in both orders.

    python benchmarks/exhibits/soft_labels.py [--seeds 0 1 2 3 4 5 6 7] [--out FILE] [--svg FILE]
    python benchmarks/exhibits/soft_labels.py --read FILE --svg FILE

The sentences, the start and its answers: translation.py.  Here gold is what its words are worth,
each a Gaussian draw.  The judge is simulated: its log odds that the answer shown first is better
are SHARP x (how much more gold gives it, in standard deviations of the start's answers) + Gaussian
noise + a lean to a place.  The code of constitutional AI makes labels of them, and reward
models learn from these.
"""

import argparse
import json
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, fsum, log1p
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import torch
from look import STYLE
from soft_theory import drawn_theory, summary_of_theory
from translation import END, LONGEST, TARGET, VOCAB, Language, cloned, judge, spread

from accord.data.comparisons import Spelled
from accord.data.constitution import Constitution, Question
from accord.data.principled import OPTIONS, dice
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.recipes.weighing import Feedback, Label, Pair, Thought, asked, labelled, votes
from accord.records import ask
from accord.rewards.learned import judged

SHARP, NOISE, LEAN = 0.7, 1.5, -2.0
"""nats: for a standard deviation of gold; standard deviation, anew for each order; to a place"""
SURE = 5.0
"""times: a judge that is too sure; its hard labels are those of the even-handed one"""
PAIRS, TESTS, EACH = 800, 120, 8
"""pairs that are labelled; prompts held out, and answers to each"""
ASKS = Constitution(
    "exhibit", "Sentence", "Translation", (), (Question("right", "Which one is right?"),)
)
KINDS: dict[str, dict[str, Any]] = {
    "soft": {},
    "hard": {"labels": "hard"},
    "clamped": {"think": Thought(1, 0.4, 0.6)},
}
Told = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Way:
    """One way to ask and to label."""

    kind: str
    lean: float = LEAN
    swap: bool = False
    pairs: int = PAIRS
    sure: float = 1.0
    """what the judge's log odds are multiplied by: its verdicts are the same, and surer"""

    @property
    def name(self) -> str:
        """In tables."""
        judge = "leaning" if self.lean else "even-handed" if self.sure == 1 else "too sure"
        return f"{judge}, {'both orders' if self.swap else 'one order'}, {self.pairs} pairs"


WAYS = (
    *(Way(kind, 0.0) for kind in KINDS),
    *(Way(kind) for kind in KINDS),
    *(Way(kind, swap=True) for kind in KINDS),
    *(Way(kind, pairs=2 * PAIRS) for kind in ("soft", "hard")),
    *(Way(kind, 0.0, sure=SURE) for kind in ("soft", "clamped")),
)
"""both orders are twice the calls, so that once with twice the pairs costs as much"""


class Wavering:
    """A simulated judge of one pair, as an `LLM`: it knows what gold gives, and errs."""

    def __init__(self, worth: Mapping[str, float], way: Way, seed: int):
        self.worth, self.way, self.seed = worth, way, seed

    which = "simulated judge"

    def say(self, asks: Sequence[Ask], *, longest: int, how: Sampling = Sampling()) -> list[Spoken]:
        """A thought that says nothing: its verdict is the same with and without."""
        return [Spoken("Let me see.", True) for _ in asks]

    def weigh(
        self, asks: Sequence[Ask], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...]]:
        """log p of the two options; the same two in the same order are the same verdict."""
        return [self._verdict(*shown(one)) for one in asks]

    def _verdict(self, first: str, second: str) -> tuple[float, float]:
        noise = random.Random(dice(self.seed, first, second)).gauss(0, NOISE)
        odds = SHARP * (self.worth[first] - self.worth[second]) + noise
        odds = self.way.sure * (odds + self.way.lean)
        return -log1p(exp(-odds)), -log1p(exp(odds))


def shown(question: Ask) -> tuple[str, str]:
    """The two answers, in their order."""
    head, tail = (f"\n{option} " for option in OPTIONS)
    first, _, second = question.messages[-1].text.rpartition(f"Options:{head}")[2].partition(tail)
    return first.strip(), second.strip()


class World:
    """A seed: its language, its start, the pairs, and the answers that are held out."""

    def __init__(self, seed: int):
        self.seed, self.language = seed, Language.of(seed)
        shown = self.language.shown(self.language.prompts(1200, "train"))
        self.start = cloned(shown, seed)

        def said(part: str, count: int, n: int) -> list[Any]:
            ids = [one.ids for one in self.language.prompts(count, part)]
            return self.start.sample(ids, n=n, longest=LONGEST, seed=seed + 1000)

        dice = random.Random(f"worth/{seed}")
        self.worth = {word: dice.gauss(0, 1) for word in range(TARGET, VOCAB)}
        told = said("compare", 2 * PAIRS, 2)
        self.duels = list(zip(told[0::2], told[1::2], strict=True))
        self.tests = said("test", TESTS, EACH)
        self.own = said("own", TESTS, 4)
        self.zero, self.unit = 0.0, 1.0
        gold = self.gold(self.own)
        self.zero, self.unit = fmean(gold), pstdev(gold)

    def gold(self, said: Sequence[Any]) -> list[float]:
        """In standard deviations of the start's answers, less their mean."""
        worth = [fsum(self.worth.get(i, 0.0) for i in one.response_ids) for one in said]
        return [(x - self.zero) / self.unit for x in worth]

    def labels(self, way: Way) -> Iterator[tuple[tuple[Any, Any], Label]]:
        """What the judge makes of the pairs, by the code of constitutional AI."""
        speller = self.start.speller
        cfg = Feedback(swap=way.swap, **KINDS[way.kind])
        for n, two in enumerate(self.duels[: way.pairs]):
            texts = (speller.text(two[0]), speller.text(two[1]))
            if not all(texts) or texts[0] == texts[1]:
                continue
            worth = dict(zip(texts, self.gold(two), strict=True))
            llm = Wavering(worth, way, dice(self.seed, n))
            pair = Pair(str(n), ask(speller.decode(two[0].prompt_ids)), texts)
            put = votes(cfg, ASKS, pair, self.seed)
            label = labelled(cfg, put, asked(cfg, ASKS, llm, put))
            assert isinstance(label, Label)
            yield two, label

    def learned_from(self, way: Way) -> dict[str, float]:
        """A reward model of such labels, held against gold; a label of ½ counts as the second."""
        rows, right = list[Spelled](), list[float]()
        for n, (two, label) in enumerate(self.labels(way)):
            ranks = (int(label.q < 0.5), int(label.q > 0.5))
            ids = tuple(judged(one, END) for one in two)
            rows.append(Spelled(two[0].prompt_ids, ids, ranks, None, label.q, str(n)))
            a, b = self.gold(two)
            right += [] if a == b else [float((label.q > 0.5) == (a > b))]
        _, reward = judge(self.start, rows, self.own, self.seed, epochs=3.0)
        score = [float(x) for x in reward(self.tests)]  # type: ignore[arg-type]
        return against(score, self.gold(self.tests)) | {"labels": fmean(right)}


def against(score: Sequence[float], gold: Sequence[float]) -> dict[str, float]:
    """Share of the pairs of a prompt's answers that are put in gold's order, gold's ties left out;
    and what gold gives the best of each prompt by score."""
    agree, best = [], []
    for at in range(0, len(score), EACH):
        few = range(at, at + EACH)
        best.append(gold[max(few, key=lambda i: score[i])])
        for i, j in combinations(few, 2):
            if gold[i] != gold[j]:
                agree.append(float((score[i] > score[j]) == (gold[i] > gold[j])))
    return {"accuracy": fmean(agree), "best": fmean(best)}


def measured(seed: int) -> Told:
    """Every way, of one seed."""
    began, world, told = time.process_time(), World(seed), Told()
    for way in WAYS:
        told[name(way)] = seen = world.learned_from(way)
        few = "  ".join(f"{key} {x:.3f}" for key, x in seen.items())
        print(f"seed {seed}  {name(way):45} {few}", flush=True)
    print(f"seed {seed}: {time.process_time() - began:.0f} s of CPU", flush=True)
    return told


def name(way: Way) -> str:
    """In the file of what was measured."""
    return f"{way.kind}: {way.name}"


def summary(seeds: Sequence[Told]) -> str:
    """Each way, and the paired differences, as Markdown."""

    def values(way: Way, key: str, unit: float = 100) -> list[float]:
        return [unit * one[name(way)][key] for one in seeds]

    lines = [
        "| judge | labels | labels right, % | reward model right, % | best of 8: gold, sd |",
        "|---|---|---:|---:|---:|",
    ]
    for way in WAYS:
        right, learned = (spread(values(way, key)) for key in ("labels", "accuracy"))
        best = spread(values(way, "best", 1), 2)
        lines.append(f"| {way.name} | {way.kind} | {right} | {learned} | {best} |")
    lines += ["", "| difference | reward model right, points | by seed | best of 8, sd |"]
    lines += ["|---|---:|---|---:|"]
    for one, other in differences():
        few, best = (
            [a - b for a, b in zip(values(one, key, unit), values(other, key, unit), strict=True)]
            for key, unit in (("accuracy", 100.0), ("best", 1.0))
        )
        by = ", ".join(f"{x:+.1f}" for x in few)
        told = f"{one.kind} ({one.name}) less {other.kind} ({other.name})"
        lines.append(f"| {told} | {spread(few)} | {by} | {spread(best, 2)} |")
    return re.sub(r"-(?=\d)", "−", "\n".join(lines))


def differences() -> list[tuple[Way, Way]]:
    """What is compared, seed by seed."""
    settings = [(0.0, False, PAIRS), (LEAN, False, PAIRS), (LEAN, True, PAIRS)]
    against_hard = [
        (Way(kind, *how), Way("hard", *how)) for how in settings for kind in ("soft", "clamped")
    ]
    orders = [(Way(kind, swap=True), Way(kind, pairs=2 * PAIRS)) for kind in ("soft", "hard")]
    sure, even = (Way(kind, 0.0, sure=SURE) for kind in ("soft", "clamped")), Way("hard", 0.0)
    return [*against_hard, *orders, *((way, even) for way in sure)]


def draw(seeds: Sequence[Told], path: Path) -> None:
    """Left: accuracy by way, seeds as dots, means as bars.  Right: theory."""
    import matplotlib
    from matplotlib.figure import Figure

    colours = {"soft": "#1f5f99", "hard": "#b2452b", "clamped": "#7a7a3c"}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.6), layout="constrained", facecolor="white")
        left, right = figure.subplots(1, 2)
        groups = list(dict.fromkeys(way.name for way in WAYS))
        for way in WAYS:
            at = groups.index(way.name) + (list(KINDS).index(way.kind) - 1) * 0.22
            few = [100 * one[name(way)]["accuracy"] for one in seeds]
            label = way.kind if way.name == groups[0] else None
            left.plot([at] * len(few), few, "o", color=colours[way.kind], markersize=3, alpha=0.45)
            left.plot(
                [at - 0.09, at + 0.09], [fmean(few)] * 2, color=colours[way.kind], linewidth=2.2,
                label=label,
            )  # fmt: skip
        left.set_xticks(range(len(groups)), [one.replace(", ", "\n") for one in groups])
        left.set_ylabel("held-out pairs in gold's order, %")
        left.set_title("reward models", fontsize=9)
        left.legend(frameon=False, fontsize=7)
        drawn_theory(right)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    """All seeds, or a figure of what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4, 5, 6, 7])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--read", type=Path, help="what --out wrote, instead of measuring")
    given = parser.parse_args()
    torch.set_num_threads(1)
    told = json.loads(given.read.read_text()) if given.read else []
    for seed in [] if given.read else given.seeds:
        told.append(measured(seed))
        if given.out:
            given.out.write_text(json.dumps(told, indent=1))
    print(summary(told), "", summary_of_theory(), sep="\n")
    if given.svg:
        draw(told, given.svg)


if __name__ == "__main__":
    main()
