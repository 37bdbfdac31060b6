"""A run: the steps still to do, the parts that change in them, and what was logged.

    policy = run.keep("policy", policy)
    for step in run.steps(cfg, total):
        ...
        run.log(step, loss=loss)

Killed anywhere and called again, it ends with the same files as if nothing had happened.  In its
folder: `run.json` (what it is), `commits/`, `metrics.jsonl`, `samples.jsonl`, `ledger.jsonl`,
`timings.jsonl` for the numbers that no two runs have in common, and where a part met a NaN, below
`not-finite/`, the rows it met it in.
"""

import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat, TypeVar

from accord.errors import BadData, CannotWrite, RunMismatch
from accord.store import artifact, commit, files, record
from accord.store.commit import Commit, Part
from accord.store.journal import Journal, cut_to_step, finite, number
from accord.store.ledger import Ledger
from accord.store.lock import Lock
from accord.store.logs import Sink

P = TypeVar("P", bound=Part)
JOURNALS = ("metrics", "samples", "ledger")
TIMINGS = ("step_time", "fps", "tokens_per_second", "samples_per_second", "micro_tokens")


def timing(key: str) -> bool:
    """Whether a number depends on the clock or the machine: `step_time`, `fps`, ..., wherever they
    are, and all below `time/`.
    """
    return key.rpartition("/")[2] in TIMINGS or key.startswith("time/")


class Run:
    """Steps that resume.  Without a path nothing is written, and all else is the same."""

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        name: str = "",
        save_every: int = 1,
        identity: Mapping[str, Any] = {},
        keep_commits: int = 2,
        sinks: Sequence[Sink] = (),
    ):
        """`identity` says what else makes this run this run: fingerprints of model, data, template.

        A commit follows every `save_every` steps and the last; `keep_commits` of them are kept.
        """
        if save_every < 1 or keep_commits < 2:
            raise ValueError("save_every is at least 1, and keep_commits at least 2")
        self.path = Path(path) if path is not None else None
        self.name = name or (self.path.name if self.path else "run")
        self.save_every, self.keep_commits = save_every, keep_commits
        self.identity, self.sinks = dict(identity), list(sinks)
        self.settings: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        """the lines of metrics.jsonl; the current step's is the last, and grows"""
        self.ledger = Ledger()
        self.total = 0
        self.completed = 0
        """steps done"""
        self.committed = 0
        """steps that a crash cannot undo"""
        self._parts: dict[str, Part] = {}
        self._journals = {name: Journal(self._at(f"{name}.jsonl")) for name in JOURNALS}
        self._timings = Journal(self._at("timings.jsonl"))
        self._lock: Lock | None = None
        self._what: dict[str, Any] = {}
        self._state = "new"  # new, begun, over
        self._step: int | None = None
        self._enough = False
        self._samples: list[dict[str, Any]] = []
        self._timed: dict[str, float | int | None] = {}
        self._began = 0.0

    def keep(self, name: str, part: P) -> P:
        """Make a part's state the run's: it is committed, and loaded when the run goes on."""
        if self._state != "new":
            raise RuntimeError(f"keep {name!r} before run.steps(...): its state is loaded there")
        if not re.fullmatch(r"\w[\w.-]*", name) or name == commit.MANIFEST:
            raise ValueError(f"{name!r} cannot be a part's name: letters, digits, _ . - only")
        for other, kept in self._parts.items():
            if other == name or kept is part:
                raise ValueError(f"a run keeps each part once, under one name; {other!r} is kept")
        self._parts[name] = part
        if hasattr(part, "kept"):
            part.kept = True
        if hasattr(part, "home"):
            part.home = self.path and self.path / "not-finite" / name
        return part

    @property
    def done(self) -> bool:
        """Whether no step is left.  Before run.steps(...), as the folder says."""
        if self._state == "new" and self.path is not None:
            seen = record.look(self.path)
            return seen is not None and seen.complete
        return self._state != "new" and self.completed >= self.total

    @property
    def where(self) -> str:
        """One sentence for whoever interrupts: what is safe, and how to go on."""
        if self.path is None:
            return "this run has no folder; nothing of it was kept"
        if self.committed and self.committed >= self.total:
            return f"all {self.total} steps are done, in {self.path}"
        return (
            f"{self.committed} of {self.total} steps are safe in {self.path}; "
            "the same command again goes on from there"
        )

    def steps(self, cfg: Any, total: int | None = None) -> Iterator[int]:
        """The numbers of the steps still to do, of `total` (by default the setting `steps`).

        Raises RunMismatch where the folder holds another run or other parts, CannotWrite where it
        is held by another process or cannot be written, BadData where commits exist and none of
        them verifies.  A run that is complete yields nothing.
        """
        now = record.describe(cfg, self.identity, total)
        if self._state == "begun":
            raise RuntimeError(f"{self.name} broke off; make a new Run: it goes on from the commit")
        if self._state == "over" and now != self._what:
            raise RuntimeError(f"{self.name} is over; make a new Run for other settings")
        self._what, self.settings, self.total = now, now["settings"], now["total"]
        if self._state == "new" and self.path is not None:
            self._open(self.path, now)
        told = {**self.settings, **now["identity"]}  # runs of equal settings are told apart by it
        self._tell("begin", self.name, self.completed, self.total, told)
        if self.completed >= self.total:
            self._state = "over"
            self._tell("end", True)
            self._shut()
            return iter(())
        self._state = "begun"
        return self._loop()

    def log(self, step: int, **numbers: SupportsFloat | None) -> None:
        """Numbers of the current step, None where there is none; NaN and infinity are refused.

        May be called several times in a step, each time with other keys.
        """
        self._current(step)
        row = self._row(step)
        for key, value in numbers.items():
            if key in row or key in self._timed:
                raise ValueError(f"step {step}: {key!r} was already logged")
            made = number(value, f"step {step}: {key}")
            (self._timed if timing(key) else row)[key] = made

    def sample(self, step: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Records for people to read: prompts, answers, scores."""
        self._current(step)
        self._samples += [{"step": step, **finite(r, f"step {step}: sample")} for r in records]

    def enough(self, step: int) -> None:
        """No step after the current one is needed: those that are left count as done."""
        self._current(step)
        self._enough = True

    def tick(self, n: int = 1) -> None:
        """n more answers are finished; for whoever watches."""
        self._tell("tick", n)

    def finish(
        self, write: Callable[[Path], None], *, kind: str, folder: Path | None = None, **told: Any
    ) -> artifact.Artifact:
        """Seal what the complete run made as an artifact: see `artifact.finish`.

        `write` fills the folder, by default `<run>/<kind>`; settings are the run's; data and
        template, unless given, come from its identity.
        """
        if not self.done:
            raise RuntimeError(f"{self.name} is not done: {self.completed} of {self.total} steps")
        if folder is None and self.path is None:
            raise ValueError("a run without a folder needs one for its artifact: folder=...")
        for key in ("data", "template"):
            told.setdefault(key, self.identity.get(key))
        into = folder or (self.path or Path()) / kind
        return artifact.finish(into, write, kind=kind, settings=self.settings, **told)

    def close(self) -> None:
        """Let go of the folder, for another process to go on; a run that is over already has."""
        self._shut()

    # --- the loop ---------------------------------------------------------------------------------

    def _loop(self) -> Iterator[int]:
        try:
            while self.completed < self.total:
                self._step, self._began = self.completed, time.perf_counter()
                yield self._step
                with commit.unbroken():
                    self._end_step(self._step)
            self._state = "over"
        finally:
            self._step = None
            self._tell("end", self._state == "over")
            self._shut()

    def _end_step(self, step: int) -> None:
        self._check()
        self._timed.setdefault("step_time", time.perf_counter() - self._began)
        row = self.history[-1] if self.history and self.history[-1]["step"] == step else None
        self._journals["metrics"].append([row] if row else [])
        self._journals["samples"].append(self._samples)
        self._journals["ledger"].append(self.ledger.take())
        self._timings.append([{"step": step, **self._timed}])
        numbers = {k: v for k, v in (row or {}).items() if k != "step"} | self._timed
        self._samples, self._timed = [], {}
        self.completed = self.total if self._enough else step + 1
        if self.path and (self.completed % self.save_every == 0 or self.completed == self.total):
            self._commit(self.path)
        self._tell("log", step, numbers)

    def _commit(self, path: Path) -> None:
        for journal in self._journals.values():
            journal.sync()
        states = {name: journal.state for name, journal in self._journals.items() if journal.size}
        home = path / "commits"
        commit.write(home, self.completed, self._parts, states, self.keep_commits)
        self.committed = self.completed

    # --- beginning and going on -------------------------------------------------------------------

    def _open(self, path: Path, now: Mapping[str, Any]) -> None:
        with files.writing(str(path)):
            path.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(path)
        try:
            record.check(path, now)
            found = self._find(path)
            with files.writing(str(path)):
                files.draft_of(path / record.FILE).unlink(missing_ok=True)
            record.note(path, now, found.step if found else 0)
            self._resume(path, found)
        except BaseException:
            self._shut()
            raise

    def _find(self, path: Path) -> Commit | None:
        home = path / "commits"
        found, broken = commit.newest(home, fits=self._fits)
        if found is None and broken:
            raise BadData(
                f"{path} has commits, but none that verifies: {'; '.join(broken.values())}. "
                "Restore the files, or start anew in another folder (out=...)"
            )
        if found and not (path / record.FILE).exists():
            raise BadData(f"{path} has commits but no {record.FILE}; restore it, or start anew")
        for reason in broken.values():
            step = found.step if found else 0
            warnings.warn(f"{reason}; going on from step {step} instead", stacklevel=4)
        with files.writing(str(home)):
            commit.tidy(home, broken, self.keep_commits)
        return found

    def _fits(self, found: Commit) -> None:
        for name, journal in self._journals.items():
            journal.check(found.journals.get(name))

    def _resume(self, path: Path, found: Commit | None) -> None:
        states = found.journals if found else {}
        if found and set(found.parts) != set(self._parts):
            lost = sorted(set(found.parts) - set(self._parts))
            new = sorted(set(self._parts) - set(found.parts))
            said = [f"holds {', '.join(lost)}, which nobody registered"] if lost else []
            said += [f"lacks {', '.join(new)}"] if new else []
            raise RunMismatch(
                f"{found.folder} {' and '.join(said)}; keep the parts it was begun with, "
                "or give another folder (out=...)"
            )
        for name, journal in self._journals.items():
            journal.resume(states.get(name))
        self.completed = self.committed = found.step if found else 0
        cut_to_step(path / "timings.jsonl", self.completed)
        self.history = list(self._journals["metrics"].rows())
        self.ledger.replay(self._journals["ledger"].rows())
        for name, part in self._parts.items() if found else ():
            assert found is not None
            part.load(found.folder / name)

    # --- small things -----------------------------------------------------------------------------

    def _at(self, name: str) -> Path | None:
        return self.path / name if self.path is not None else None

    def _current(self, step: int) -> None:
        self._check()
        if step != self._step:
            at = "no step" if self._step is None else f"step {self._step}"
            raise ValueError(f"cannot log for step {step}: the run is at {at}")

    def _check(self) -> None:
        if self._lock is not None:
            self._lock.check()
        elif self.path is not None:
            raise CannotWrite(f"{self.path} is closed; make a new Run: it goes on from the commit")

    def _row(self, step: int) -> dict[str, Any]:
        if not self.history or self.history[-1]["step"] != step:
            self.history.append({"step": step})
        return self.history[-1]

    def _tell(self, what: str, *told: Any) -> None:
        for sink in list(self.sinks):
            try:
                getattr(sink, what)(*told)
            except Exception as error:  # noqa: BLE001  a run is worth more than its view
                self.sinks.remove(sink)
                name = type(sink).__name__
                warnings.warn(
                    f"{name} failed ({error}) and is put off; the run goes on", stacklevel=2
                )

    def _shut(self) -> None:
        for journal in (*self._journals.values(), self._timings):
            journal.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
