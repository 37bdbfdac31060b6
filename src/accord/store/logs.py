"""Where numbers go besides `metrics.jsonl`: a terminal, TensorBoard, W&B, trackio.

A sink is told what happens and cannot change it; one that fails is put off with a warning, because
a run is worth more than its view.
"""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from accord.config import digest
from accord.errors import BadSettings, MissingExtra

Numbers = Mapping[str, float | int | None]


class Sink:
    """Told what happens in runs, one after another.  Override what matters."""

    def begin(self, name: str, done: int, total: int, settings: Mapping[str, Any]) -> None:
        """A run begins, or goes on after `done` of `total` steps; done == total: nothing to do."""

    def tick(self, n: int = 1) -> None:
        """Within a step, n more answers are finished."""

    def log(self, step: int, numbers: Numbers) -> None:
        """A step is over; these are its numbers, timings included."""

    def end(self, complete: bool) -> None:
        """The run is over, or broke off."""

    @contextmanager
    def count(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Work outside of runs, in `unit`s; what it yields is told how many more are done."""
        yield lambda n: None

    def close(self) -> None:
        """No more runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TensorBoard(Sink):
    """Event files for TensorBoard, one folder a run."""

    def __init__(self, folder: str | Path):
        self._writer_class = _need(
            "tensorboard.summary.writer.event_file_writer", "tensorboard"
        ).EventFileWriter
        event_pb2 = _need("tensorboard.compat.proto.event_pb2", "tensorboard")
        summary_pb2 = _need("tensorboard.compat.proto.summary_pb2", "tensorboard")
        self._event, self._log, self._summary = (
            event_pb2.Event,
            event_pb2.SessionLog,
            summary_pb2.Summary,
        )
        self.folder = Path(folder)
        self._writer: Any = None

    def begin(self, name: str, done: int, total: int, settings: Mapping[str, Any]) -> None:
        """A new file; what an earlier one says of later steps no longer holds."""
        self._writer = self._writer_class(str(self.folder / name))
        start = self._log(status=self._log.START)
        self._writer.add_event(self._event(wall_time=time.time(), step=done, session_log=start))

    def log(self, step: int, numbers: Numbers) -> None:
        """One scalar each."""
        values = [
            self._summary.Value(tag=name, simple_value=value)
            for name, value in numbers.items()
            if value is not None
        ]
        summary = self._summary(value=values)
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=summary))

    def end(self, complete: bool) -> None:
        """Write out what is left."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Tracker(Sink):
    """W&B, or trackio, which speaks the same words.  Nothing is sent unless you make one."""

    def __init__(self, project: str, *, by: str = "wandb", **options: Any):
        self._api = _need(by, by)
        self.by, self.project, self.options = by, project, options
        self._run: Any = None

    def begin(self, name: str, done: int, total: int, settings: Mapping[str, Any]) -> None:
        """A run of that name in the project, or the rest of it."""
        again = {"resume": "allow"}
        if self.by == "wandb":  # it knows runs by id, trackio by name
            again["id"] = f"{name}-{digest(settings)[:8]}"
        self._run = self._api.init(
            project=self.project, name=name, config=dict(settings), **(again | self.options)
        )

    def log(self, step: int, numbers: Numbers) -> None:
        """All numbers of the step at once."""
        self._api.log({k: v for k, v in numbers.items() if v is not None}, step=step)

    def end(self, complete: bool) -> None:
        """Hand over what is left."""
        if self._run is not None:
            self._api.finish()
            self._run = None


def sink(name: str, folder: str | Path, project: str = "accord") -> Sink:
    """A sink by its name: tensorboard, wandb or trackio."""
    if name == "tensorboard":
        return TensorBoard(Path(folder) / "tensorboard")
    if name in ("wandb", "trackio"):
        return Tracker(project, by=name)
    raise BadSettings(f"no sink is called {name!r}; there are tensorboard, wandb and trackio")


def _need(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{extra} is not installed; it comes with: pip install 'accord[{extra}]'"
        ) from error
