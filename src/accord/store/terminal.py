"""The live view of runs in a terminal: a bar, the step, the numbers that matter, the time left.

Where nobody watches (a pipe, a log file), plain lines, one every few seconds at most.
"""

import atexit
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from accord.store.logs import Numbers, Sink

SHOWN = (
    "score",
    "objective/scores",
    "rewards",
    "objective/kl",
    "kl",
    "eval/accuracy",
    "rewards/accuracies",
    "accuracy",
    "eval/loss",
    "loss",
    "objective/entropy",
    "entropy",
    "completions/mean_length",
    "length",
)
"""what is shown of a step's numbers, most wanted first"""
_BARS = "▁▂▃▄▅▆▇█"
_TREND = 12


class Terminal(Sink):
    """One line of bar and one of numbers while a run goes on; one line that stays when it is over.

    `show` names the numbers to see, by default the first few of SHOWN; `every` is the number of
    seconds between two lines where there is no terminal.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        show: Sequence[str] = (),
        every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.console = console or Console(stderr=True)
        self.show, self.every, self.clock = tuple(show), every, clock
        self._live: Live | None = None
        self._fancy = (self.console.encoding or "").lower().startswith("utf")
        self._clear("", 0, 0)
        atexit.register(self.close)  # the cursor comes back, whatever happens

    def _clear(self, name: str, done: int, total: int) -> None:
        self.name, self.done, self.first, self.total = name, done, done, total
        self.answers, self.unit = 0, "steps"
        self.began = self._said = self.clock()
        self._paces: deque[float] = deque([self.began], maxlen=21)
        self._trends: dict[str, deque[float]] = {}
        self._latest: dict[str, float | int] = {}

    # --- what the run tells -----------------------------------------------------------------------

    def begin(self, name: str, done: int, total: int, settings: Mapping[str, Any]) -> None:
        """A new bar, or a word that nothing is left to do."""
        self._begin(name, done, total, "steps")

    def _begin(self, name: str, done: int, total: int, unit: str) -> None:
        self.close()
        self._clear(name, done, total)
        self.unit = unit
        if done >= total:
            return
        if done:
            self._print(Text.assemble(self._head(), (f"going on at step {done} of {total}", "dim")))
        elif not self.console.is_terminal:
            self._print(Text.assemble(self._head(), f"{total} {unit}"))
        if self.console.is_terminal:
            self._live = Live(console=self.console, get_renderable=self.view, refresh_per_second=5)
            self._live.transient = True
            self._live.start()

    def tick(self, n: int = 1) -> None:
        """Counted until the step is over."""
        self.answers += n

    def log(self, step: int, numbers: Numbers) -> None:
        """The bar moves on."""
        self.done, self.answers = step + 1, 0
        self._paces.append(self.clock())
        for key, value in numbers.items():
            if value is not None:
                self._latest[key] = value
                self._trends.setdefault(key, deque(maxlen=_TREND)).append(float(value))
        due = self.clock() - self._said >= self.every
        if not self.console.is_terminal and due and self.done < self.total:
            self._said = self.clock()
            share = f"{self.done}/{self.total}".rjust(2 * len(str(self.total)) + 1)
            left = f"left {span(self.left)}  " if self.left is not None else ""
            self._print(Text.assemble(self._head(), f"{share}  {left}", self._numbers(trend=False)))

    def end(self, complete: bool) -> None:
        """The line that stays."""
        self.close()
        mark, colour = ("✓", "green") if complete else ("✗", "red")
        if not self._fancy:
            mark = "done:" if complete else "stopped:"
        took = span(self.clock() - self.began)
        if complete and self.first >= self.total:
            said = f"all {self.total} {self.unit} were done before; nothing left to do"
        elif complete:
            said = f"{self.total} {self.unit}, {took}  "
        else:
            said = f"broke off after {self.done} of {self.total} {self.unit}, {took}  "
        self._print(
            Text.assemble(self._head(), (f"{mark} ", colour), said, self._numbers(trend=False))
        )

    @contextmanager
    def count(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """The same bar for work that is no run."""
        self._begin(name, 0, total, unit)

        def more(n: int) -> None:
            self.log(self.done + n - 1, {})

        complete = False
        try:
            yield more
            complete = True
        finally:
            self.end(complete)

    def close(self) -> None:
        """Take the bar away."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    # --- what people see --------------------------------------------------------------------------

    @property
    def left(self) -> float | None:
        """Seconds to the end, by the pace of the last twenty steps; None before the first."""
        if len(self._paces) < 2:
            return None
        pace = (self._paces[-1] - self._paces[0]) / (len(self._paces) - 1)
        since = self.clock() - self._paces[-1]
        return max((self.total - self.done) * pace - min(since, pace), 0.0)

    def view(self) -> Group:
        """The two lines of this moment."""
        count = f"{self.done}/{self.total}".rjust(2 * len(str(self.total)) + 1)
        left = f"{span(self.left)} left" if self.left is not None else "…" if self._fancy else ""
        top = Table.grid(padding=(0, 1), expand=False)
        bar = ProgressBar(
            total=self.total,
            completed=self.done,
            width=max(10, min(40, self.console.width - 46)),
            complete_style="cyan",
        )
        took = Text(span(self.clock() - self.began), "dim")
        top.add_row(self._head(), bar, Text(count, "bold"), took, Text(left, "cyan"))
        answers = f"{self.answers} answers" if self.answers else ""
        below = Text.assemble(" " * len(self._head()), " ", self._numbers(trend=True))
        if answers:
            below.append(("   " if self._latest else "") + answers, "dim")
        below.truncate(self.console.width - 1)
        return Group(top, below)

    def _head(self) -> Text:
        return Text(f"  {self.name:<9} ", "bold")

    def _numbers(self, *, trend: bool) -> Text:
        wide = self.console.width if self.console.is_terminal else 110
        room = wide - (28 if trend else 40)
        made = Text()
        for key in chosen(self._latest, self.show):
            one = Text.assemble((label(key) + " ", "dim"), (short(self._latest[key]), "bold"))
            if trend and self._fancy and len(self._trends[key]) > 1:
                one.append(" " + sparkline(self._trends[key]), "cyan")
            if len(made) + 3 + len(one) > room:
                break
            made.append("   " if made else "").append_text(one)
        return made

    def _print(self, line: Text) -> None:
        line.rstrip()
        self.console.print(line, soft_wrap=True, highlight=False)


def chosen(numbers: Mapping[str, Any], show: Sequence[str] = ()) -> list[str]:
    """The keys to show: those asked for, else the known ones, else the first four."""
    known = [key for key in show or SHOWN if key in numbers]
    return known or [key for key in numbers if key not in ("lr", "step_time", "epoch")][:4]


def label(key: str) -> str:
    """A number's name for people: its last word, `held-out` before what was not trained on."""
    words = {"scores": "score", "accuracies": "accuracy", "mean_length": "length"}
    last = key.rpartition("/")[2]
    name = words.get(last, last).replace("_", " ")
    return f"held-out {name}" if key.startswith("eval/") else name


def short(value: float | int) -> str:
    """Three digits that count, as people write them."""
    if isinstance(value, int) or abs(value) >= 1e5 or 0 < abs(value) < 1e-3:
        return f"{value:,}" if isinstance(value, int) else f"{value:.2e}"
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".removesuffix(".")


def span(seconds: float) -> str:
    """0:07, 12:30, 3:05:00."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def sparkline(values: Sequence[float] | deque[float]) -> str:
    """The course of a few numbers, from their lowest to their highest."""
    low, high = min(values), max(values)
    if high == low:
        return _BARS[3] * len(values)
    return "".join(_BARS[round((v - low) / (high - low) * (len(_BARS) - 1))] for v in values)
