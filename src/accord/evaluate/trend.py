"""Do two rewards agree, and do they part?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from accord.maths.intervals import student

History = Sequence[Mapping[str, float | None]]
"""What a run logged: one row a step, with the key `step`."""
FEWEST = 5
"""measurements below which a trend is not spoken of"""


def pearson(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Linear correlation; None where one side does not vary."""
    if len(x) < 2 or len(set(x)) == 1 or len(set(y)) == 1:
        return None
    dx, dy = _centred(x), _centred(y)
    norm = math.sqrt(_dot(dx, dx) * _dot(dy, dy))
    return max(-1.0, min(1.0, _dot(dx, dy) / norm)) if norm > 0 else None


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Correlation of ranks; equal values share the mean of their places."""
    return pearson(_ranks(x), _ranks(y))


@dataclass(frozen=True, slots=True)
class Parting:
    """How the learned reward and the true rule moved in the later half of training."""

    since: int
    """the step where the later half begins"""
    learned: float
    """change of the fitted line over the later half"""
    true: float
    found: bool
    """learned reward up and true rule down, each more than chance would move it"""


def parting(
    history: History, learned: str = "objective/scores", true: str = "eval/true"
) -> Parting | None:
    """The plainest sign of over-optimisation (Gao et al. 2022): one reward up, the other down.

    A line is fitted to each in the later half of the steps; a change counts where its slope is
    outside the 95 % interval around none.  None where there are fewer than five measurements.
    """
    trues = series(history, true)
    if not trues:
        return None
    first, last = trues[0][0], trues[-1][0]
    since = first + (last - first) / 2
    late_true = [p for p in trues if p[0] >= since]
    late_learned = [p for p in series(history, learned) if p[0] >= since]
    if min(len(late_true), len(late_learned)) < FEWEST:
        return None
    up, sure_up = _line(late_learned)
    down, sure_down = _line(late_true)
    found = up > 0 > down and sure_up and sure_down
    return Parting(math.ceil(since), up, down, found)


def series(history: History, key: str) -> list[tuple[float, float]]:
    """(step, value) wherever the key was measured."""
    found = []
    for place, row in enumerate(history):
        step, value = row.get("step"), row.get(key)
        if value is not None and math.isfinite(value):
            found.append((float(place if step is None else step), float(value)))
    return found


def recent(history: History, key: str, share: float = 0.1) -> float | None:
    """Mean over the last tenth of the measurements."""
    values = [value for _, value in series(history, key)]
    return fmean(values[-max(1, round(share * len(values))) :]) if values else None


def smooth(values: Sequence[float], share: float = 0.1) -> list[float]:
    """A centred moving mean; at the ends, of what there is."""
    reach = round(share * len(values) / 2)
    return [fmean(values[max(0, at - reach) : at + reach + 1]) for at in range(len(values))]


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, bool]:
    """(change over the span of the least-squares line, whether chance is an unlikely cause)."""
    x, y = _centred([p[0] for p in points]), _centred([p[1] for p in points])
    spread = _dot(x, x)
    if spread == 0:
        return 0.0, False
    slope = _dot(x, y) / spread
    freedom = len(points) - 2
    rest = sum((b - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    error = math.sqrt(rest / freedom / spread)
    change = slope * (x[-1] - x[0])
    return change, abs(slope) > student(freedom) * error and abs(change) > 1e-9


def _centred(x: Sequence[float]) -> list[float]:
    mean = fmean(x)
    return [value - mean for value in x]


def _dot(x: Sequence[float], y: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(x, y, strict=True))


def _ranks(x: Sequence[float]) -> list[float]:
    places: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(x)):
        places.setdefault(value, []).append(place)
    return [fmean(places[value]) for value in x]
