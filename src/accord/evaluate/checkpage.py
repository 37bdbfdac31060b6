"""What a check found, in a terminal and as one page that loads nothing."""

from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from rich.markup import escape

from accord.data.check.check import Checked
from accord.data.check.finding import Finding
from accord.data.check.lengths import Lengths
from accord.data.check.sheet import Line
from accord.data.check.spelling import Piece
from accord.data.check.texts import visible
from accord.evaluate import paper
from accord.evaluate.words import count, digits, percent
from accord.maths.intervals import Estimate
from accord.store import files

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
BAR = 30
JUDGES = 5
KEYS = 12
"""names of keys that are listed"""
LONG = 600
"""characters of an example in a terminal"""


def unspelled(line: Line) -> list[list[Piece]]:
    """A row without a model: its turns, and each answer."""
    prompt = Piece("\n".join(f"{message.role}: {message.text}" for message in line.prompt) + "\n")
    return [
        [prompt, *([Piece(text, trained=True)] if text else [])] for text in line.answers or ("",)
    ]


def numbers(done: Checked) -> list[tuple[str, str]]:
    """The statistics of labels, each as a name and what it is."""
    told = done.labels
    if told is None:
        return []
    rows = [("labels", ", ".join(f"{n:,} {name}" for name, n in told.balance.items()))]
    place = "not known: the shape of the rows says it" if done.sheet.sorted else "no winner"
    rows.append(("first wins", spread(told.first) if told.first else place))
    rows.append(("longer wins", spread(told.longer) if told.longer else "no two lengths"))
    if (agreed := told.agreement) is not None:
        judges = f"{count(agreed.judges, 'judge')} on {count(agreed.pairs, 'pair')}"
        rows.append(("judges alike", f"{percent(agreed.same)} ({judges})"))
        if agreed.alpha is None:
            rows.append(("Krippendorff's alpha", "undefined: nobody differs"))
        else:
            one = agreed.alpha
            sure = isfinite(one.low) and isfinite(one.high)
            range_ = (
                f"{digits(one.low)} to {digits(one.high)}" if sure else "too few for an interval"
            )
            rows.append(("Krippendorff's alpha", f"{digits(one.value)} ({range_})"))
        rows += [
            (f"agrees least: {judge.name}" if not i else judge.name, spread(judge.agrees))
            for i, judge in enumerate(agreed.each[:JUDGES])
        ]
    return rows


def spread(one: Estimate) -> str:
    """A share with its 95 % interval."""
    return f"{percent(one.value)} ({percent(one.low)} to {percent(one.high)})"


def summary(done: Checked) -> str:
    """What becomes of the rows, in a sentence."""
    rows = done.total - done.lost
    several = "" if done.kept == rows else f"{done.kept:,} "
    return (
        f"{rows:,} of {count(done.total, 'row')} can be used, {done.lost:,} dropped, none cut; "
        f"{several}{done.sheet.kind}, lengths in {done.sheet.unit}"
    )


def shape(done: Checked) -> str:
    """What the rows were taken for, and the keys that nothing was made of."""
    left = done.sheet.ignored
    more = f" and {len(left) - KEYS} more" if len(left) > KEYS else ""
    said = f"; keys not read: {', '.join(left[:KEYS])}{more}" if left else ""
    return f"read as {done.sheet.shape or done.sheet.kind}{said}"


def lines(done: Checked) -> Iterator[str]:
    """For a terminal, with rich's markup; at most 80 columns where nothing is quoted."""
    yield f"[bold]{escape(done.name)}[/]: {summary(done)}"
    yield f"  {escape(visible(shape(done)))}"
    for one in done.findings:
        colour = COLOURS[one.severity]
        yield f"\n[{colour}]{one.severity}[/] [bold]{escape(one.title)}[/]: {scope(one)}"
        for example in one.examples:
            yield f"    [dim]{escape(visible(example.id))}[/] {escape(visible(example.text))}"
        yield f"  → {escape(one.todo)}"
    if not done.findings:
        yield "\n[green]nothing found[/]"
    if done.labels is not None:
        yield "\n[bold]labels[/] (95% intervals)"
    for name, value in numbers(done):
        yield f"  {escape(visible(name)):<24} {escape(value)}"
    for some in done.lengths:
        yield f"\n[bold]{some.what}[/] ({done.sheet.unit}): " + quantiles(some)
        for low_high, n, width, over in bars(done, some):
            bar = f"{'█' * round(BAR * width) or '▏'[: bool(n)]:<{BAR}}"
            told = " [red]too long[/]" if over else ""
            yield f"  {low_high:>13} {bar} {n:,}{told}"
    for called, pieces in done.shown:
        yield f"\n[bold]{escape(called)}[/] as it is read:"
        yield "".join(_painted(piece) for piece in pieces)


def scope(one: Finding) -> str:
    """How many of how many."""
    detail = f" ({one.detail})" if one.detail else ""
    return escape(f"{one.count:,} of {one.of:,} {one.unit}{detail}")


def quantiles(some: Lengths) -> str:
    """The quantiles on a line."""
    return ", ".join(f"{name} {value:,.0f}" for name, value in some.quantiles.items())


def bars(done: Checked, some: Lengths) -> Iterator[tuple[str, int, float, bool]]:
    """(range, how many, width from 0 to 1, whether all of it is beyond the limit) of each bar."""
    most, limit = max(bar.count for bar in some.bars), done.sheet.limit
    for bar in some.bars:
        low_high = f"{bar.low:,}" if bar.low == bar.high else f"{bar.low:,}–{bar.high:,}"
        yield low_high, bar.count, bar.count / most, limit is not None and bar.low > limit


def shown(text: str) -> str:
    """Every character visible, lines kept."""
    return "\n".join(visible(row) for row in text.split("\n"))


def _painted(piece: Piece) -> str:
    text = piece.text
    if len(text) > LONG:
        text = f"{text[: LONG // 2]} … {text[-LONG // 2 :]}"
    seen = escape(shown(text))
    if piece.control:
        return f"[magenta]{seen}[/]"
    return f"[green]{seen}[/]" if piece.trained else seen


def write(done: Checked, path: Path) -> Path:
    """The page as a file; CannotWrite where the disk refuses."""
    with files.writing(f"the page {path}", "html"):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, render(done).encode())
    return path


def render(done: Checked) -> str:
    """The page as text."""
    return paper.filled(
        "check",
        ("report", "check"),
        {"visible": visible, "shown": shown},
        quantiles=quantiles,
        done=done,
        summary=summary(done),
        shape=shape(done),
        numbers=numbers(done),
        bars=bars,
    )
