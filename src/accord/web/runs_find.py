"""Finding runs below a folder, and how each is getting on, without changing or reading much."""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from accord.errors import AccordError
from accord.store import artifact, files, record
from accord.store.lock import holder
from accord.web.tail import glance, last_line

Status = Literal["running", "done", "stopped", "failed"]
FRESH_S = 2.0
"""how long a look around the folder is good for"""
QUIET_S = 120.0
"""a run elsewhere, whose lock cannot be seen, counts as running this long after its last line"""
REMOTE = "remote.json"
"""in the folder of a run that is computed elsewhere and sends its lines"""
POINTS = 32
HEADLINES = (
    "objective/scores",
    "rewards/margins",
    "return/mean",
    "rewards/accuracies",
    "eval/accuracy",
    "score",
    "reward",
    "loss",
)
"""whose course the list shows: the first of these that a run has"""


@dataclass(frozen=True)
class Found:
    """A run, as the list shows it."""

    name: str
    """its path below the runs folder"""
    folder: Path
    recipe: str
    created: datetime | None
    total: int
    """steps; 0: unknown"""
    step: int
    """steps that were logged"""
    status: Status
    writer: str
    """who is at it ("process 4711"); empty: nobody"""
    touched: float
    """when its last line was written, in seconds since 1970; 0: never"""
    course: tuple[float, ...]
    course_of: str
    settings: Mapping[str, Any]
    identity: Mapping[str, Any]
    remote: bool = False


class Finder:
    """Runs below a folder; what did not change is not read again."""

    def __init__(self, root: Path):
        self.root = root
        self._lock = threading.Lock()
        self._found: list[Found] = []
        self._at = -FRESH_S
        self._told: dict[Path, tuple[Any, dict[str, Any]]] = {}
        self._courses: dict[Path, tuple[Any, tuple[str, tuple[float, ...], int]]] = {}

    def runs(self) -> list[Found]:
        """All of them, those that run first, then the newest."""
        with self._lock:
            if time.monotonic() - self._at >= FRESH_S:
                found = [one for path in run_folders(self.root) if (one := self._look(path))]
                self._found = sorted(found, key=_order)
                self._at = time.monotonic()
            return self._found

    def get(self, name: str) -> Found | None:
        """The run of that name, as it is now; names that lead elsewhere find nothing."""
        folder = inside(self.root, name)
        if folder is None or not (folder / record.FILE).is_file():
            return None
        with self._lock:
            return self._look(folder)

    def _look(self, folder: Path) -> Found | None:
        told = self._run_json(folder)
        if told is None:
            return None
        course_of, course, step = self._course(folder)
        total, remote = told["total"], (folder / REMOTE).exists()
        touched = _touched(folder)
        writer = holder(folder) or ""
        status = _status(folder, total, writer, touched, remote)
        return Found(
            name=folder.relative_to(self.root).as_posix(),
            folder=folder,
            recipe=str(told.get("recipe") or ""),
            created=moment(told.get("created")),
            total=total,
            step=step,
            status=status,
            writer=writer,
            touched=touched,
            course=course,
            course_of=course_of,
            settings=told.get("settings") or {},
            identity=told.get("identity") or {},
            remote=remote,
        )

    def _run_json(self, folder: Path) -> dict[str, Any] | None:
        path = folder / record.FILE
        stamp = _stamp(path)
        if (kept := self._told.get(path)) and kept[0] == stamp:
            return kept[1]
        try:
            told = files.read_json(path)
        except AccordError:
            return None  # half written, or nobody's run
        if not isinstance(told, dict) or not isinstance(told.get("total"), int):
            return None
        self._told[path] = (stamp, told)
        return told

    def _course(self, folder: Path) -> tuple[str, tuple[float, ...], int]:
        path = folder / "metrics.jsonl"
        stamp = _stamp(path)
        if (kept := self._courses.get(path)) and kept[0] == stamp:
            return kept[1]
        rows = glance(path, POINTS)
        named = next((key for key in HEADLINES if any(_is_number(r.get(key)) for r in rows)), "")
        values = tuple(float(r[named]) for r in rows if _is_number(r.get(named))) if named else ()
        last = last_line(path) or {}
        step = last.get("step")
        made = (named, values[-4 * POINTS :], step + 1 if isinstance(step, int) else 0)
        self._courses[path] = (stamp, made)
        return made


def run_folders(root: Path) -> Iterator[Path]:
    """Folders with a run.json; what cannot hold one (commits, artifacts) is not entered."""
    for here, below, names in os.walk(root):
        if artifact.FILE in names:
            below.clear()
            continue
        below[:] = [n for n in below if n not in ("commits", "not-finite") and n[:1] != "."]
        if record.FILE in names:
            yield Path(here)


def inside(root: Path, name: str) -> Path | None:
    """The folder of that name below `root`; None where the name leads out of it."""
    if not name or name.startswith("/") or "\0" in name:
        return None
    folder = root / name
    parts = Path(name).parts
    if ".." in parts or not folder.resolve().is_relative_to(root.resolve()):
        return None
    return folder


def _status(folder: Path, total: int, writer: str, touched: float, remote: bool) -> Status:
    if remote:
        told = files.read_json(folder / REMOTE)
        if told.get("over"):
            return "failed" if told["over"] == "failed" else "done"
        return "running" if time.time() - touched < QUIET_S else "stopped"
    if writer:
        return "running"
    if 0 < total <= _committed(folder):
        return "done"
    return "failed" if (folder / "not-finite").exists() else "stopped"


def _committed(folder: Path) -> int:
    try:
        return max((int(n) for n in os.listdir(folder / "commits") if n.isdigit()), default=0)
    except OSError:
        return 0


def _touched(folder: Path) -> float:
    try:
        return (folder / "metrics.jsonl").stat().st_mtime
    except OSError:
        return 0.0


def _stamp(path: Path) -> tuple[int, int]:
    try:
        told = path.stat()
    except OSError:
        return (0, 0)
    return (told.st_mtime_ns, told.st_size)


def moment(text: Any) -> datetime | None:
    """A time as our files write it, with its zone; None where it is none."""
    try:
        made = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and value == value and abs(value) != float("inf")


def _order(run: Found) -> tuple[bool, float, str]:
    return run.status != "running", -(run.created.timestamp() if run.created else 0.0), run.name
