"""Pictures as SVG that takes its colours from the page, so one picture serves light and dark."""

import io
import itertools
import random
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from accord.evaluate.trend import History, series, smooth
from accord.evaluate.words import digits, percent

_TONES = {  # drawn in colours that nothing else has, replaced by the page's own
    "ink": "#a10101",
    "muted": "#a20202",
    "line": "#a30303",
    "after": "#a40404",
    "before": "#a50505",
    "paper": "#a60606",
}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "accord",
    "font.size": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": _TONES["line"],
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.labelcolor": _TONES["muted"],
    "axes.labelsize": 7.5,
    "axes.xmargin": 0.02,
    "grid.color": _TONES["line"],
    "grid.linewidth": 0.6,
    "text.color": _TONES["muted"],
    "xtick.color": _TONES["muted"],
    "ytick.color": _TONES["muted"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 4,
    "ytick.major.pad": 4,
}
MOST_POINTS = 600


@dataclass(frozen=True, slots=True)
class Curve:
    """One line over the steps of training."""

    key: str
    """as logged"""
    title: str
    note: str
    """what it means, for someone who sees such a curve for the first time"""
    form: Literal["number", "share"] = "number"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture and the words that go with it."""

    title: str
    note: str
    svg: str
    alt: str
    wide: bool = False


def curve(history: History, what: Curve, level: tuple[float, str] | None = None) -> Plot | None:
    """The key over the steps, thin as measured and bold as a moving mean; None if never measured.

    `level`: a dashed line to compare with, and its name.
    """
    points = series(history, what.key)
    if not points:
        return None
    x, y = [p[0] for p in points], [p[1] for p in points]
    say = percent if what.form == "share" else digits
    with _drawing((4.75, 2.3) if what.wide else (3.15, 2.05)) as (figure, axes):
        bold = smooth(y)
        if len(y) == 1:
            axes.plot(x, y, "o", color=_TONES["after"], markersize=4)
        axes.plot(x, y, color=_TONES["after"], linewidth=0.8, alpha=0.45)
        axes.plot(x, bold, color=_TONES["after"], linewidth=1.9, solid_capstyle="round")
        axes.plot(x[-1:], bold[-1:], "o", color=_TONES["after"], markersize=3.5, clip_on=False)
        if level is not None:
            _level(axes, level[0], f"{level[1]} {say(level[0])}", y)
        _ticks(axes, x, what.form)
        svg = _svg(figure, f"curve-{what.key}")
    alt = (
        f"{what.title} over {len(y)} measurements: {say(y[0])} at step {x[0]:.0f}, {say(y[-1])} at "
        f"step {x[-1]:.0f}, lowest {say(min(y))}, highest {say(max(y))}."
    )
    if level is not None:
        alt += f" Dashed line: {level[1]}, {say(level[0])}."
    return Plot(what.title, what.note, svg, alt, what.wide)


def scatter(points: Sequence[tuple[float, float]], split: int, seed: int = 0) -> str:
    """Learned reward (y) against the true score (x, moved a little aside so that dots show).

    The first `split` points are from before training.  At most 600 are drawn, evenly taken.
    """
    xs = [p[0] for p in points]
    levels = sorted(set(xs))
    gaps = [b - a for a, b in itertools.pairwise(levels)]
    few = len(levels) <= 12
    room = 0.22 * min(gaps) if gaps and few else 0.1 if few else 0.0
    rng = random.Random(f"scatter/{seed}")
    step = max(1, -(-len(points) // MOST_POINTS))
    with _drawing((4.9, 3.3)) as (figure, axes):
        for name, marker, side in (
            ("before", "o", range(0, split, step)),
            ("after", "D", range(split, len(points), step)),
        ):
            x = [points[i][0] + rng.uniform(-room, room) for i in side]
            y = [points[i][1] for i in side]
            size = 3.6 if marker == "o" else 3.2
            fill = "none" if name == "before" else _TONES[name]
            axes.plot(
                x,
                y,
                marker,
                markersize=size,
                markerfacecolor=fill,
                markeredgecolor=_TONES[name],
                markeredgewidth=0.8,
                alpha=0.75,
            )
        axes.grid(axis="both")
        axes.set_xlabel("true score, by the rule")
        axes.set_ylabel("learned reward")
        if few:
            axes.set_xticks(levels, [f"{level:g}" for level in levels])
        return _svg(figure, "scatter")


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one method."""

    name: str
    points: Sequence[tuple[float, float]]
    errors: Sequence[tuple[float, float]] = ()
    """standard errors of each, drawn twice as long: about 95 %"""
    role: Literal["method", "limit"] = "method"


_LOOKS = (
    *(("after", "o", "-"), ("before", "s", "-"), ("ink", "^", "-"), ("muted", "D", "-")),
    *(("after", "v", ":"), ("before", "P", ":"), ("ink", "X", ":"), ("muted", "*", ":")),
    *(("after", "D", "--"), ("before", "^", "--")),
)
"""tone, marker and stroke of each method in turn"""


def tradeoff(lines: Sequence[Line], x: str, y: str) -> str:
    """Lines in a plane, named in a legend; what is a limit is drawn without markers."""
    looks = itertools.cycle(_LOOKS)
    with _drawing((6.4, 3.9)) as (figure, axes):
        for line in lines:
            xs, ys = zip(*line.points, strict=True)
            if line.role == "limit":
                axes.plot(xs, ys, color=_TONES["muted"], linewidth=1.1, label=line.name)
                continue
            tone, marker, stroke = next(looks)
            colour = _TONES[tone]
            if line.errors:
                ex, ey = ([2 * e[k] for e in line.errors] for k in (0, 1))
                axes.errorbar(xs, ys, ey, ex, "none", ecolor=colour, elinewidth=0.7, alpha=0.6)
            axes.plot(
                xs, ys, marker + stroke, color=colour, markersize=4, linewidth=1.1, label=line.name
            )
        axes.grid(axis="both")
        if all(float(at).is_integer() for line in lines for at, _ in line.points):
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(lines) > 1:
            # of many names some would lie on points: they go beside the plane
            beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if len(lines) > 5 else {}
            axes.legend(frameon=False, labelcolor=_TONES["muted"], **beside)
        return _svg(figure, "tradeoff")


def _level(axes: Any, value: float, name: str, y: Sequence[float]) -> None:
    axes.axhline(value, color=_TONES["before"], linewidth=1, dashes=(4, 3), zorder=1.5)
    away = 0.06 * (max(*y, value) - min(*y, value))  # from the line to the middle of its name
    third = max(1, round(0.35 * len(y)))
    middle = y[third : len(y) - third] or y
    places = [  # the name goes where the curve is not; far enough is enough
        (min(2.5 * away, *(abs(b - value - side * away) for b in part)), at, ha, side)
        for side in (1, -1)
        for at, ha, part in (
            (1.0, "right", y[-third:]),
            (0.0, "left", y[:third]),
            (0.5, "center", middle),
        )
    ]
    _, at, ha, side = max(places, key=lambda place: place[0])
    axes.annotate(
        name,
        (at, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3 * side),
        textcoords="offset points",
        ha=ha,
        va="bottom" if side > 0 else "top",
        color=_TONES["before"],
        bbox={"facecolor": _TONES["paper"], "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
    )


def _ticks(axes: Any, x: Sequence[float], form: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.margins(y=0.14)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if form == "share":
        low, high = axes.get_ylim()
        marks = MaxNLocator(4).tick_values(low, high)
        axes.set_yticks([at for at in marks if max(low, 0) <= at <= min(high, 1)])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:g}%"))
    axes.set_xlabel("step")


@contextmanager
def _drawing(size: tuple[float, float]) -> Any:
    """(figure, axes) in the house style, without touching anyone else's."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        yield figure, axes


def _svg(figure: Any, name: str) -> str:
    """The picture as a fragment of HTML: page colours and fonts, ids of its own, no addresses."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    out = io.StringIO()
    # savefig would draw it once more beforehand, for nothing
    FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    for rest in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r'\sxmlns(:\w+)?="[^"]*"'):
        svg = re.sub(rest, "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    mark = re.sub(r"\W+", "-", name)
    svg = re.sub(r'\bid="', f'id="{mark}-', svg)
    svg = re.sub(r'(?:xlink:)?href="#', f'href="#{mark}-', svg)
    svg = svg.replace("url(#", f"url(#{mark}-")
    return _coloured(svg, _TONES).replace("<svg", '<svg aria-hidden="true"', 1)


def _coloured(svg: str, tones: Mapping[str, str]) -> str:
    for name, colour in tones.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg
