"""What two ways of RLHF made of descriptions, as numbers and a page with the pictures."""

import json
import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from accord.demo.sights import Asked, Seen
from accord.evaluate.sheet import Finding, Section, Sheet
from accord.evaluate.words import digits, percent
from accord.maths.intervals import over_seeds
from accord.store.artifact import Artifact
from accord.worlds.scenes.claims import hallucinated
from accord.worlds.scenes.things import Scene

SIMULATED = (
    "The annotator is simulated: a program that knows the scene, counts what is false in two "
    "answers, and turns a share of its verdicts round. No person judged anything here."
)


@dataclass(frozen=True)
class Arm:
    """One way, at each of its seeds."""

    name: str
    said: Sequence[Sequence[Seen]]
    """of each seed, what each answer says"""
    rewards: Sequence[dict[str, Any]]
    """of each seed: the reward model's accuracy (None: no pair was held out), the reward at first
    and last, the KL"""

    def of(self, key: str) -> list[float]:
        """A mean for each seed."""
        ways = {
            "wrong": lambda one: float(one.false > 0),
            "false": lambda one: float(one.false),
            "share": lambda one: one.false / one.claims if one.claims else math.nan,
            "told": lambda one: one.told,
            "words": lambda one: float(one.words),
        }
        values = [[ways[key](one) for one in few] for few in self.said]
        return [fmean(v for v in few if v == v) for few in values]


COLUMNS = {
    "wrong": "with a false claim",
    "false": "false claims each",
    "share": "of claims false",
    "told": "of things told",
    "words": "words",
}
SHARES = ("wrong", "share", "told")


@dataclass(frozen=True)
class Told:
    """All that was measured."""

    mistakes: float
    errs: float
    pairs: int
    arms: Sequence[Arm]
    """after SFT, plain RLHF, Fact-RLHF"""
    shown: Sequence[tuple[Path, Asked, Sequence[tuple[str, str]]]]
    """(picture, what is asked, (way, answer))"""

    def numbers(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "simulated": SIMULATED,
            "pairs": self.pairs,
            "arms": [
                {
                    "name": arm.name,
                    **{key: arm.of(key) for key in COLUMNS},
                    "rewards": list(arm.rewards),
                }
                for arm in self.arms
            ],
        }

    def sheet(self) -> Sheet:
        """The page."""
        seeds = max(len(arm.said) for arm in self.arms)
        return Sheet(
            "Fact-RLHF",
            "A model that sees learns not to make things up",
            "It imitated answers of which a share was wrong, and answered as they do. Then one "
            "reward model learned what an annotator prefers from the picture alone, and one was "
            "told what is there; PPO followed each. What is false was counted.",
            [Finding("warning", "Simulated", SIMULATED), *self._findings()],
            [self._table(seeds), self._rewards(), self._pictures()],
            f"{self.pairs} comparisons, {percent(self.errs)} of them turned round; "
            f"{percent(self.mistakes)} of the imitated answers are wrong.",
        )

    def _arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    def _findings(self) -> list[Finding]:
        plain, factual = self._arm("plain RLHF"), self._arm("Fact-RLHF")
        start = self._arm("after SFT").of("wrong")[0]
        found = []
        for arm in (plain, factual):
            change = over_seeds([value - start for value in arm.of("wrong")])
            sure = change.high < 0 or change.low > 0
            way = "fewer" if change.value < 0 else "more"
            name = arm.name[:1].upper() + arm.name[1:]
            title = f"{name}: {way} answers with a false claim"
            title = title if sure else f"{name}: no change that can be told from chance"
            found.append(
                Finding("note" if sure and way == "fewer" else "warning", title, _signed(change))
            )
        gap = over_seeds(
            [f - p for f, p in zip(factual.of("wrong"), plain.of("wrong"), strict=True)]
        )
        better = gap.high < 0
        found.append(
            Finding(
                "note" if better else "warning",
                "Facts help" if better else "Facts do not show an advantage here",
                f"Fact-RLHF less plain RLHF: {_signed(gap)}",
            )
        )
        return found

    def _table(self, seeds: int) -> Section:
        rows = []
        for arm in self.arms:
            cells = []
            for key in COLUMNS:
                say = percent if key in SHARES else digits
                values = arm.of(key)
                if len(values) < 2:
                    cells.append(say(values[0]))
                    continue
                one = over_seeds(values)
                cells.append(f"{say(one.value)} ({say(one.low)} to {say(one.high)})")
            rows.append([arm.name, *cells])
        return Section(
            "On scenes that nobody learned from",
            f"{len(self.arms[0].said[0])} questions, an answer each. In brackets the 95 % interval "
            f"of the mean over {seeds} seeds of reward model and PPO (Student's t): the tuned "
            "model and the pairs are the same for all.",
            ("", *COLUMNS.values()),
            rows,
        )

    def _rewards(self) -> Section:
        rows = [
            [
                f"{arm.name}, seed {seed}",
                "none held out" if one["accuracy"] is None else percent(one["accuracy"]),
                digits(one["first"]),
                digits(one["last"]),
                digits(one["kl"]),
                percent(wrong),
            ]
            for arm in self.arms
            for seed, (one, wrong) in enumerate(zip(arm.rewards, arm.of("wrong"), strict=False))
        ]
        return Section(
            "What the reward models knew, and what PPO made of it",
            "Accuracy on held-out pairs (some verdicts are turned round). Where the reward rises "
            "and false claims do not fall, the reward model is being hacked.",
            ("", "accuracy", "reward, first step", "last step", "KL, nats", "with a false claim"),
            rows,
        )

    def _pictures(self) -> Section:
        return Section(
            "The same questions, answered by each",
            "Those first on which they differ. Marked: what is not so.",
            texts=[
                (asked.question, [(name, pieces(asked.alone, text)) for name, text in told])
                for _, asked, told in self.shown
            ],
            pictures=[data_url(path) for path, _, _ in self.shown],
        )


def _signed(one: Any) -> str:
    def say(value: float) -> str:
        return f"{100 * value:+.0f}"

    return f"{say(one.value)} points ({say(one.low)} to {say(one.high)})"


def pieces(scene: Scene, text: str) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it is false."""
    found, end = [], 0
    for start, beyond in hallucinated(scene, text):
        if start >= end:
            found += [(text[end:start], False), (text[start:beyond], True)]
            end = beyond
    return [piece for piece in (*found, (text[end:], False)) if piece[0]]


def data_url(path: Path) -> str:
    """A picture that needs no file."""
    return f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"


@dataclass(frozen=True)
class Shown:
    """The page that was made."""

    page: Artifact

    @property
    def path(self) -> Path:
        """The page itself."""
        return self.page.folder / "factual.html"

    def lines(self) -> list[str]:
        """For people."""
        told = json.loads((self.page.folder / "factual.json").read_text("utf-8"))
        rows = [f"{'':<12}{'with a false claim':>20}{'of things told':>16}{'words':>7}"]
        for arm in told["arms"]:
            wrong, named, words = (fmean(arm[key]) for key in ("wrong", "told", "words"))
            rows.append(f"{arm['name']:<12}{wrong:>20.0%}{named:>16.0%}{words:>7.0f}")
        out = self.page.folder.parent
        pairs, study = out / "judged" / "comparisons.jsonl", f"{out / 'people.db'}#pictures"
        return [
            *rows,
            told["simulated"],
            "To judge the same pairs yourself, beside their pictures:",
            f"  accord label data={pairs} study={study}",
        ]
