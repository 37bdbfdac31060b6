"""What a run is watched for, and where it went wrong."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import Field

from accord.config import Settings, plain
from accord.errors import BadSettings
from accord.store import files
from accord.web.runs_series import Column

FILE = "alerts.json"
Role = Literal["reward", "kl", "entropy", "length", "clip", "grad", "loss", "speed"]
ROLES: Mapping[Role, tuple[str, ...]] = {
    "reward": ("objective/scores", "objective/rlhf_reward", "reward", "score", "return/mean"),
    "kl": ("objective/kl", "kl", "policy/kl"),
    "entropy": ("objective/entropy", "entropy", "policy/entropy"),
    "length": ("completions/mean_length", "mean_length", "length"),
    "clip": ("policy/clipfrac", "clipfrac"),
    "grad": ("policy/grad_norm", "grad_norm"),
    "loss": ("loss", "loss/policy_avg"),
    "speed": ("tokens_per_second", "samples_per_second", "fps", "step_time"),
}
"""which number of a run is its reward, its KL, ...: the first of these that it has"""
WORDS: Mapping[Role, str] = {
    "reward": "Reward",
    "kl": "KL to the reference",
    "entropy": "Entropy",
    "length": "Answer length",
    "clip": "Clipped share",
    "grad": "Gradient norm",
    "loss": "Loss",
    "speed": "Throughput",
}


class Rules(Settings):
    """When a run is worth a warning."""

    kl_most: float | None = Field(default=20.0, gt=0)
    """nats of KL to the reference beyond which the policy has gone too far; none: not watched"""
    length_times: float | None = Field(default=1.5, gt=1)
    """answers this many times as long as at the start, while the reward rises; none: not watched"""
    entropy_share: float | None = Field(default=0.3, gt=0, lt=1)
    """entropy below this share of what it was at the start; none: not watched"""
    grad_times: float | None = Field(default=20.0, gt=1)
    """a gradient norm this many times its median; none: not watched"""
    quiet_minutes: float | None = Field(default=10.0, gt=0)
    """a run that is at work and has written nothing for so long; none: not watched"""
    window: int = Field(default=5, ge=1, le=10_000)
    """steps that are averaged before they are held against a limit"""


@dataclass(frozen=True)
class Alert:
    """Something to look at."""

    kind: str
    tone: Literal["warn", "bad"]
    step: int
    """where it began"""
    words: str
    metric: str = ""
    """the chart that shows it"""


def rules(root: Path) -> Rules:
    """Those of this runs folder: its alerts.json, or the defaults.  BadSettings names a file that
    holds others."""
    if not (root / FILE).exists():
        return Rules()
    try:
        return Rules(**files.read_json(root / FILE))
    except BadSettings as error:
        raise BadSettings(f"{root / FILE}: {error}; mend it, or remove it") from None


def set_rules(root: Path, made: Rules) -> None:
    """Keep them beside the runs."""
    root.mkdir(parents=True, exist_ok=True)
    with files.writing(str(root / FILE)):
        files.write_whole(root / FILE, files.dump(plain(made)))


def named(columns: Mapping[str, Column], role: Role) -> str:
    """Which column plays a role; empty where none does."""
    return next((name for name in ROLES[role] if name in columns), "")


def alerts(
    columns: Mapping[str, Column],
    rules: Rules,
    *,
    folder: Path | None = None,
    quiet_s: float | None = None,
) -> list[Alert]:
    """What is wrong with a run, the gravest first.  `quiet_s`: since when it has written nothing,
    of a run that is at work."""
    found = [*_broken(columns, folder), *_far(columns, rules), *_long(columns, rules)]
    found += [*_settled(columns, rules), *_jumps(columns, rules)]
    if quiet_s is not None and rules.quiet_minutes and quiet_s > 60 * rules.quiet_minutes:
        last = max((c.steps[-1] for c in columns.values() if len(c)), default=0)
        said = f"Nothing has been written for {quiet_s / 60:.0f} minutes, though it is at work."
        found.append(Alert("quiet", "warn", last, said))
    return found


def _broken(columns: Mapping[str, Column], folder: Path | None) -> list[Alert]:
    found = [
        Alert("nan", "bad", column.broken, f"{name} was NaN or infinite.", name)
        for name, column in columns.items()
        if column.broken is not None
    ]
    if folder is not None and (folder / "not-finite").is_dir():
        last = max((c.steps[-1] for c in columns.values() if len(c)), default=-1)
        said = "A NaN or an infinity stopped it; the rows it was met in lie below not-finite/."
        found.append(Alert("nan", "bad", last + 1, said))
    return found


def _far(columns: Mapping[str, Column], rules: Rules) -> list[Alert]:
    name = named(columns, "kl")
    if not name or rules.kl_most is None:
        return []
    steps, means = _smooth(columns[name], rules.window)
    at = next((i for i, mean in enumerate(means) if mean > (rules.kl_most or 0)), None)
    if at is None:
        return []
    now = "is still" if means[-1] > rules.kl_most else "is below it again, and now"
    said = f"KL passed the limit of {rules.kl_most:g} and {now} {means[-1]:.3g}."
    return [Alert("kl", "bad" if means[-1] > rules.kl_most else "warn", steps[at], said, name)]


def _long(columns: Mapping[str, Column], rules: Rules) -> list[Alert]:
    reward, length = named(columns, "reward"), named(columns, "length")
    if not reward or not length or rules.length_times is None:
        return []
    steps, lengths = _smooth(columns[length], rules.window)
    reward_steps, rewards = _smooth(columns[reward], rules.window)
    if not lengths or not rewards or lengths[0] <= 0:
        return []
    for step, mean in zip(steps, lengths):
        if mean > rules.length_times * lengths[0]:
            i = min(bisect_left(reward_steps, step), len(rewards) - 1)
            if rewards[i] > rewards[0]:
                said = (
                    f"Answers are {mean / lengths[0]:.1f} times as long as at the start while the "
                    f"reward rises ({rewards[0]:.3g} → {rewards[i]:.3g}): is length what it pays?"
                )
                return [Alert("length", "warn", step, said, length)]
    return []


def _settled(columns: Mapping[str, Column], rules: Rules) -> list[Alert]:
    name = named(columns, "entropy")
    if not name or rules.entropy_share is None:
        return []
    steps, means = _smooth(columns[name], rules.window)
    if not means or means[0] <= 0:
        return []
    for step, mean in zip(steps, means):
        if mean < rules.entropy_share * means[0]:
            said = (
                f"Entropy fell to {mean:.3g}, {mean / means[0]:.0%} of its start ({means[0]:.3g}): "
                "the policy says nearly the same every time."
            )
            return [Alert("entropy", "warn", step, said, name)]
    return []


def _jumps(columns: Mapping[str, Column], rules: Rules) -> list[Alert]:
    name = named(columns, "grad")
    if not name or rules.grad_times is None:
        return []
    column = columns[name]
    known = [value for value in column.values if value == value]
    middle = median(known) if len(known) >= 10 else 0.0
    if middle <= 0 or max(known) <= rules.grad_times * middle:
        return []
    at = next(i for i, v in enumerate(column.values) if v > (rules.grad_times or 0) * middle)
    said = f"{name} jumped to {column.values[at]:.3g}; its median is {middle:.3g}."
    return [Alert("grad", "warn", column.steps[at], said, name)]


def _smooth(column: Column, window: int) -> tuple[Sequence[int], list[float]]:
    """(step, mean of the `window` steps up to it); the first mean is of the first full window."""
    if column.gaps:
        both = [(s, v) for s, v in zip(column.steps, column.values) if v == v]
        steps, values = [s for s, _ in both], [v for _, v in both]
    else:
        steps, values = list(column.steps), list(column.values)
    if len(values) < window:
        return [], []
    sums = [0.0, *accumulate(values)]
    means = [(b - a) / window for a, b in zip(sums, sums[window:])]
    return steps[window - 1 :], means
