"""What happens in runs, as it happens: one stream for all that a tab shows."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from accord.web.runs_alerts import Rules, alerts
from accord.web.runs_find import Finder, Found
from accord.web.runs_samples import Sample, sample
from accord.web.runs_series import FILES, Shelf
from accord.web.tail import Tail, last_step

MOST = 400
"""lines told one by one; whoever is further behind fetches the picture again"""
LOOK_S = 2.0
SHOWN = 8
"""samples of a step that are sent along"""


@dataclass(frozen=True)
class Happened:
    """One thing that a page is told."""

    event: str
    """rows | again | state | samples"""
    data: Any
    mark: str
    """where to go on from, should the stream break off"""


class Stream:
    """The news of some runs since a mark: `poll` again and again.

    A mark is a place in each file of each run: "a_b_c~d_e_f" for two runs.
    """

    def __init__(self, runs: list[Found], finder: Finder, shelf: Shelf, mark: str = ""):
        self.finder, self.shelf = finder, shelf
        marks = mark.split("~") if mark else []
        self.runs = [
            _Followed(run, marks[i] if i < len(marks) else "") for i, run in enumerate(runs)
        ]

    @property
    def mark(self) -> str:
        """Where all of it has come to."""
        return "~".join(run.mark for run in self.runs)

    def poll(self, rules: Rules) -> Iterator[Happened]:
        """What is new."""
        for i, run in enumerate(self.runs):
            for event, data in run.news(self, rules):
                yield Happened(event, {"run": i, **data}, self.mark)


class _Followed:
    def __init__(self, run: Found, mark: str):
        self.run = run
        places = mark.split("_") if mark else []
        paths = [run.folder / name for name in (*FILES, "samples.jsonl")]
        # without a mark of its own, a file is told of from its end on
        self.tails = [
            Tail(path, places[i]) if i < len(places) else Tail(path).to_end()
            for i, path in enumerate(paths)
        ]
        self.shown: list[Sample] = []
        """of the last step: more of them may still be on their way"""
        self.late = len(places) < len(paths)
        """what was sampled between the page and this stream is not on the page yet"""
        if self.late:
            last = last_step(paths[-1], self.tails[-1].offset)
            self.shown = [sample(row, -1) for row in last][:SHOWN]
        self.state: Any = None
        self.next = 0.0
        """when its alerts are looked for again: what takes long is done seldom"""

    @property
    def mark(self) -> str:
        return "_".join(tail.mark for tail in self.tails)

    def news(self, stream: Stream, rules: Rules) -> Iterator[tuple[str, dict[str, Any]]]:
        *numbers, texts = self.tails
        if any(tail.cut() for tail in self.tails):
            self._to_end()
            yield "again", {}
        rows: list[dict[str, Any]] = []
        for tail in numbers:
            while len(rows) <= MOST and (few := tail.read()):
                rows += [row for _, row in few]
        if len(rows) > MOST:
            self._to_end()
            yield "again", {}
        elif rows:
            yield "rows", {"rows": [_finite(row) for row in rows]}
        heard, self.late = self.late and bool(self.shown), False
        while few := texts.read():
            heard = True
            shown = [*self.shown, *(sample(row, -1) for _, row in few)]
            self.shown = [one for one in shown if one.step == shown[-1].step][:SHOWN]
        if heard:
            told = [asdict(one) for one in self.shown]
            yield "samples", {"step": self.shown[-1].step, "samples": told}
        if (state := self._look(stream, rules)) != self.state:
            self.state = state
            yield "state", state

    def _to_end(self) -> None:
        self.tails = [Tail(tail.path).to_end() for tail in self.tails]
        self.shown = []

    def _look(self, stream: Stream, rules: Rules) -> dict[str, Any]:
        run = stream.finder.get(self.run.name)
        if run is None:
            return {"status": "gone", "step": 0, "total": 0, "alerts": []}
        if self.state and run.status == self.state["status"] and time.monotonic() < self.next:
            return dict(self.state) | {"step": run.step}  # alerts are not looked for all the time
        begun = time.monotonic()
        state = state_of(run, stream.shelf, rules)
        self.next = time.monotonic() + max(LOOK_S, 20 * (time.monotonic() - begun))
        return state


def state_of(run: Found, shelf: Shelf, rules: Rules) -> dict[str, Any]:
    """How a run is getting on, with its alerts."""
    watched = shelf.get(run.folder)
    quiet = time.time() - run.touched if run.status == "running" and run.touched else None
    found = alerts(watched.columns, rules, folder=run.folder, quiet_s=quiet)
    return {
        "status": run.status,
        "step": run.step,
        "total": run.total,
        "alerts": [asdict(one) for one in found],
    }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Without what JSON has no word for."""
    return {
        key: None if isinstance(value, float) and value - value != 0 else value
        for key, value in row.items()
        if key != "seq" and (value is None or type(value) in (int, float))
    }
