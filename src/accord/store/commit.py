"""Commits: folders that are there whole or not at all.

Parts are written below `commits/tmp-<pid>`; every file is brought to the disk; `manifest.json`,
the list of all files with size and sha256, comes last; then the folder gets its name, the number of
steps done.  Only then is an older commit removed.  Readers take a commit whose manifest verifies
and no other, so whatever is killed whenever, the last good one is found.
"""

import contextlib
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from accord.errors import BadData
from accord.store import files

MANIFEST = "manifest.json"
FORMAT = 1
_NAME = re.compile(r"\d{8,}")


class Part(Protocol):
    """Anything with a state that the next step depends on."""

    def save(self, folder: Path, /) -> None:
        """Write the whole state as files into an empty folder."""

    def load(self, folder: Path, /) -> None:
        """Take up exactly the state that `save` wrote."""


@dataclass(frozen=True)
class Commit:
    """The state of a run after `step` steps."""

    folder: Path
    step: int
    parts: tuple[str, ...]
    journals: dict[str, dict[str, Any]]


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Ctrl-C waits until this is over, and is then as if pressed now."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def write(
    home: Path,
    step: int,
    parts: Mapping[str, Part],
    journals: Mapping[str, Mapping[str, Any]],
    keep: int = 2,
) -> Commit:
    """Commit all parts as the state after `step` steps, and keep the `keep` newest commits.

    Raises CannotWrite where the disk refuses; what was committed before is untouched.
    """
    draft, final = home / f"tmp-{os.getpid()}", home / f"{step:08d}"
    try:
        with files.writing(f"the commit of step {step}"):
            _draft(draft, step, parts, journals)
            os.rename(draft, final)
            files.sync_folder(home)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)  # gives a full disk its room back
        raise
    _prune(home, keep)
    return Commit(final, step, tuple(parts), {k: dict(v) for k, v in journals.items()})


def _draft(
    draft: Path, step: int, parts: Mapping[str, Part], journals: Mapping[str, Mapping[str, Any]]
) -> None:
    draft.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    for name, part in parts.items():
        (draft / name).mkdir()
        part.save(draft / name)
    manifest = {
        "format": FORMAT,
        "step": step,
        "parts": list(parts),
        "journals": journals,
        "files": files.seal_files(draft),
    }
    files.write_synced(draft / MANIFEST, files.dump(manifest))
    files.sync_folder(draft)


def verify(folder: Path, *, full: bool = True) -> Commit:
    """A commit that is what it was when written; BadData says what is wrong with it.

    Quick compares names and sizes, full content too.
    """
    told = files.read_json(folder / MANIFEST)
    if told.get("format") != FORMAT:
        raise BadData(
            f"{folder}: manifest format {told.get('format')!r}, this version reads {FORMAT}"
        )
    try:
        said = files.differs(folder, told["files"], own=MANIFEST, full=full)
        commit = Commit(folder, int(told["step"]), tuple(told["parts"]), dict(told["journals"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{folder}: the manifest lacks {error}") from error
    if said:
        raise BadData(f"{folder}: {said}")
    if folder.name != f"{commit.step:08d}":
        raise BadData(f"{folder}: holds step {commit.step}")
    return commit


def newest(
    home: Path, *, full: bool = True, fits: Callable[[Commit], None] = lambda _: None
) -> tuple[Commit | None, dict[Path, str]]:
    """The newest commit that verifies (and `fits`), and what is wrong with each newer one.

    (None, {}) where nothing was ever committed.
    """
    wrong: dict[Path, str] = {}
    for folder in reversed(_named(home)):
        try:
            commit = verify(folder, full=full)
            fits(commit)
        except BadData as error:
            wrong[folder] = str(error)
        else:
            return commit, wrong
    return None, wrong


def tidy(home: Path, broken: Mapping[Path, str], keep: int = 2) -> None:
    """Finish what a crash left undone, and put broken commits aside as `broken-<step>`."""
    for draft in home.glob("tmp-*"):
        shutil.rmtree(draft)
    for folder in broken:
        aside = home / f"broken-{folder.name}"
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(folder, aside)
    _prune(home, keep)


def _named(home: Path) -> list[Path]:
    found = (path for path in home.glob("*") if _NAME.fullmatch(path.name))
    return sorted(found, key=lambda path: int(path.name))


def _prune(home: Path, keep: int) -> None:
    for folder in _named(home)[:-keep]:
        # renamed first: a reader must never meet half of it under a commit's name
        away = folder.with_name(f"tmp-{os.getpid()}-{folder.name}")
        with contextlib.suppress(OSError):  # then it happens at the next start
            os.rename(folder, away)
            shutil.rmtree(away)
