"""The report: one page that says what happened, with nothing to load from anywhere else."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accord.evaluate import paper
from accord.evaluate.outcome import Answer, Outcome
from accord.evaluate.plots import Curve, Plot, curve, scatter
from accord.evaluate.tell import ANSWERS, Subject, keys, tell
from accord.evaluate.trend import History, series
from accord.evaluate.winrate import number
from accord.evaluate.words import MINUS, count, digits, duration, percent
from accord.store import files

FILE = "report.html"
CURVES = (
    Curve(
        "objective/scores",
        "Learned reward",
        "What training pushes up: the reward model's score of the answers of each step.",
        wide=True,
    ),
    Curve(
        "eval/true",
        "True rule",
        "What is really wanted; training does not use it. It should rise with the learned reward: "
        "where it falls while that one rises, the model pleases the reward model alone.",
        wide=True,
    ),
    Curve(
        "objective/kl",
        "Distance from the start (KL)",
        "Nats per answer. Some is needed to change at all; much means texts unlike those the "
        "model wrote before.",
    ),
    Curve("completions/mean_length", "Length", "Tokens per answer, the mean of each step."),
    Curve(
        "completions/clipped_ratio",
        "Cut off",
        "Share of answers that did not end within the limit.",
        form="share",
    ),
    Curve(
        "objective/entropy",
        "Entropy",
        "How open each next token is, in nats. Near 0 the model hardly has a choice left.",
    ),
    Curve(
        "policy/clipfrac",
        "Clipped",
        "Share of tokens whose change PPO held back. A few percent are normal.",
        form="share",
    ),
    Curve("val/error", "Error of the critic", "How far its forecasts are off, squared."),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the way, in words, with how long it took."""

    name: str
    text: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """One annotator, seen from outside.  A name `simulated:...` is shown as what it is."""

    name: str
    reliability: float | None
    judgements: int
    ties: int
    with_truth: float | None
    with_others: float | None

    @property
    def simulated(self) -> bool:
        """A program, not a person."""
        return self.name.startswith("simulated:")

    @property
    def called(self) -> str:
        """The name alone."""
        return self.name.removeprefix("simulated:")


@dataclass(frozen=True, slots=True)
class Story:
    """One prompt answered before and after."""

    before: Answer
    after: Answer
    why: str = ""
    """how it came to be shown"""


@dataclass(frozen=True, slots=True)
class File:
    """Something that was kept: where, and what it is."""

    path: str
    what: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """Something to try, and why."""

    command: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that the page shows.  Sections without content are left out."""

    title: str
    subtitle: str = ""
    outcome: Outcome
    subject: Subject = ANSWERS
    notes: tuple[str, ...] = ()
    """what a reader must know to judge the result, said below the verdict"""
    stages: tuple[Stage, ...] = ()
    history: History = ()
    curves: tuple[Curve, ...] = CURVES
    stories: tuple[Story, ...] = ()
    highlight: re.Pattern[str] | None = None
    """the words the rule looks for"""
    panel: tuple[Judge, ...] = ()
    reward_model: Mapping[str, float] = field(default_factory=dict)
    """as `recipes.reward.measure` gives it: accuracy, calibration_error, length_correlation, ..."""
    files: tuple[File, ...] = ()
    next: tuple[Command, ...] = ()
    method: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """heading -> {name: value}: settings, seeds, versions, the model"""
    seconds: float | None = None
    made: str = ""
    """when and with what, for the last line"""


_REWARD_ROWS = {
    "accuracy": (
        "Agrees with held-out judgements",
        percent,
        "Half would be guessing; judges who err keep it below 100%.",
    ),
    "calibration_error": (
        "Error of its confidence",
        percent,
        "0% where it is right 80% of the times that it is 80% sure.",
    ),
    "margin": ("Mean lead of the preferred answer", digits, "Its score above the other's."),
    "length_correlation": (
        "Correlation of score with length",
        digits,
        "Far from 0, it may be paying for length and not for content.",
    ),
    "longer_preferred": (
        "Judges preferred the longer answer",
        percent,
        "Far from half, length and preference went together.",
    ),
}


def write(report: Report, folder: str | Path) -> Path:
    """Write `report.html` into the folder (made if need be) and return its path.

    CannotWrite where the disk refuses.
    """
    folder = Path(folder)
    page = render(report).encode()
    with files.writing(f"the report {folder / FILE}"):
        folder.mkdir(parents=True, exist_ok=True)
        files.write_whole(folder / FILE, page)
    return folder / FILE


_FILTERS: dict[str, Callable[..., Any]] = {
    "digits": lambda x: digits(number(x)) if isinstance(x, float | int) else "invalid",
    "percent": percent,
    "short": lambda x: "invalid" if number(x) is None else f"{x:.3g}".replace("-", MINUS),
    "duration": duration,
    "share": lambda x: "–" if x is None or x != x else percent(x),
}


def render(report: Report) -> str:
    """The page as text."""
    outcome = report.outcome
    return paper.filled(
        "report",
        ("report",),
        _FILTERS,
        count=count,
        report=report,
        told=tell(outcome, report.subject),
        keys=keys(outcome, report.seconds, report.subject),
        bar=_bar(outcome),
        plots=plots(report),
        unmeasured=[c.title for c in report.curves if not series(report.history, c.key)],
        scatter=_agreement(report),
        stories=[_columns(story, report.highlight) for story in report.stories],
        reward_rows=_reward_rows(report),
    )


def pick(before: Sequence[Answer], after: Sequence[Answer], n: int = 6) -> tuple[Story, ...]:
    """Stories to show without flattering anyone: the first ones as they come, then, of the others,
    the largest gain and the largest loss by the true rule, each said to be that.
    """
    pairs = list(zip(before, after, strict=True))
    shown = [Story(b, a, "as it came") for b, a in pairs[: n - 2 if n > 2 else n]]
    rest = [
        (change, place)
        for place, (b, a) in enumerate(pairs)
        if place >= len(shown) and (change := _change(b, a)) is not None
    ]
    if n > 2 and rest:
        best = max(rest, key=lambda one: (one[0], -one[1]))
        worst = min(rest)
        if best[0] > 0:
            shown.append(Story(*pairs[best[1]], "largest gain of the others"))
        if worst[0] < 0:
            shown.append(Story(*pairs[worst[1]], "largest loss of the others"))
    return tuple(shown)


def plots(report: Report) -> list[Plot]:
    """The curves that were measured, each with the level before training, or the target."""
    before, target = report.outcome.before, report.outcome.kl_target
    cut = None if before.ended is None else 1 - before.ended
    levels = {
        "objective/scores": (before.learned, "before"),
        "eval/true": (before.true, "before"),
        "objective/kl": (target, "target"),
        "completions/mean_length": (before.length, "before"),
        "completions/clipped_ratio": (cut, "before"),
    }
    found = []
    for what in report.curves:
        value, name = levels.get(what.key, (None, ""))
        plot = curve(report.history, what, None if value is None else (value, name))
        if plot is not None:
            found.append(plot)
    return found


def marked(
    text: str | Sequence[tuple[str, bool]], pattern: re.Pattern[str] | None
) -> Sequence[tuple[str, bool]]:
    """The text in pieces, each with whether the pattern found it; escaping is the page's task.
    What comes in pieces stays as it is.
    """
    if not isinstance(text, str):
        return text
    if pattern is None:
        return [(text, False)]
    pieces, end = [], 0
    for found in pattern.finditer(text):
        if found.end() > found.start():
            pieces += [(text[end : found.start()], False), (found[0], True)]
            end = found.end()
    return [piece for piece in [*pieces, (text[end:], False)] if piece[0]]


def _columns(story: Story, pattern: re.Pattern[str] | None) -> dict[str, Any]:
    change = _change(story.before, story.after)
    return {
        "prompt": story.before.prompt,
        "why": story.why,
        "winner": None if not change else "after" if change > 0 else "before",
        "sides": [
            (name, answer, marked(answer.text.strip(), pattern))
            for name, answer in (("before", story.before), ("after", story.after))
        ],
    }


def _change(before: Answer, after: Answer) -> float | None:
    old, new = number(before.true), number(after.true)
    return None if old is None or new is None else new - old


def _bar(outcome: Outcome) -> dict[str, Any]:
    wins = outcome.wins
    shares = {
        name: 100 * n / wins.count
        for name, n in (("wins", wins.wins), ("ties", wins.ties), ("losses", wins.losses))
    }
    missing = f"; {count(wins.invalid, 'pair')} not judged" if wins.invalid else ""
    return {
        "shares": shares,
        "alt": (
            f"{count(wins.wins, 'win')}, {count(wins.ties, 'tie')}, "
            f"{count(wins.losses, 'loss', 'losses')}; win rate {percent(wins.rate)}, "
            f"95 percent interval {percent(wins.low)} to {percent(wins.high)}{missing}"
        ),
    }


def _agreement(report: Report) -> Plot | None:
    outcome = report.outcome
    if len(outcome.points) < 2:
        return None
    alt = f"{count(len(outcome.points), 'answer')}: learned reward against true score."
    if outcome.pearson is not None:
        alt += f" Pearson {digits(outcome.pearson)}, Spearman {digits(outcome.spearman)}."
    return Plot("Learned against true", "", scatter(outcome.points, outcome.split), alt)


def _reward_rows(report: Report) -> list[tuple[str, str, str]]:
    rows = []
    for key, value in report.reward_model.items():
        if key in _REWARD_ROWS:
            label, say, note = _REWARD_ROWS[key]
            rows.append((label, say(value), note))
        elif not key.startswith("score_"):  # its zero and unit say nothing by themselves
            rows.append((key.replace("_", " "), digits(value), ""))
    return rows
