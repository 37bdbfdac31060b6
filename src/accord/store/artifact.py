"""Artifacts: folders that do not change any more, and know what they were made from.

`artifact.json` lists every file with size and sha256, the settings, and the ids of the parents; the
id is the hash of all that, without time and place.  So from a policy one finds the way back to the
reward model, its comparisons, and the answers that were compared.
"""

import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accord.config import digest, plain
from accord.errors import BadData, CannotWrite, RunMismatch
from accord.store import files, record
from accord.store.journal import finite

FILE = "artifact.json"
FORMAT = 1
_TIMELESS = ("kind", "settings", "parents", "hashes", "numbers", "files")


@dataclass(frozen=True)
class Artifact:
    """One sealed folder."""

    id: str
    kind: str
    """prompts, comparisons, policy, reward, report, ..."""
    name: str
    created: str
    settings: dict[str, Any]
    parents: tuple[str, ...]
    """ids of the artifacts it was made from"""
    hashes: dict[str, str]
    """of the settings and, where it has them, of data and template"""
    numbers: dict[str, Any]
    files: dict[str, dict[str, Any]]
    """relative path -> {sha256, size}"""
    versions: dict[str, Any] = field(compare=False)
    folder: Path = field(compare=False)

    @property
    def short(self) -> str:
        """Enough of the id to tell artifacts apart."""
        return self.id[:12]

    @classmethod
    def find(cls, root: str | Path) -> list["Artifact"]:
        """All artifacts below a folder, oldest first; broken ones are left out with a warning."""
        found = []
        for path in sorted(Path(root).rglob(FILE)):
            try:
                found.append(open_artifact(path.parent))
            except BadData as error:
                warnings.warn(str(error), stacklevel=2)
        return sorted(found, key=lambda a: (a.created, str(a.folder)))


@dataclass(frozen=True)
class Line:
    """An artifact and the lines it comes from; `artifact` is None where only the id is known."""

    id: str
    artifact: Artifact | None
    parents: tuple["Line", ...] = ()

    def __str__(self) -> str:
        """A tree for people; what comes again is told once, and then named."""
        return "\n".join(self._lines(set()))

    def _lines(self, seen: set[str], before: str = "", own: str = "") -> Iterator[str]:
        made, again = self.artifact, self.id in seen and bool(self.parents)
        told = f"{made.kind} {made.short}  {made.folder}" if made else f"{self.id[:24]}  (not here)"
        yield before + own + told + ("  (as above)" if again else "")
        seen.add(self.id)
        if own:
            before += "   " if own.startswith("└") else "│  "
        for left, parent in enumerate(() if again else self.parents, 1 - len(self.parents)):
            yield from parent._lines(seen, before, "├─ " if left else "└─ ")


def seal(
    folder: str | Path,
    *,
    kind: str,
    settings: Any,
    parents: Iterable[Artifact | str] = (),
    data: str | None = None,
    template: str | None = None,
    numbers: Mapping[str, Any] | None = None,
    name: str = "",
) -> Artifact:
    """Make a folder an artifact: hash what is in it and write `artifact.json`, last.

    `settings` are Settings or a dict, `data` and `template` fingerprints, `numbers` what was
    measured on it, `name` what people call it (the folder's, by default).  A parent that is no
    artifact, a model from elsewhere, is named by its fingerprint.
    CannotWrite where the folder is sealed already or the disk refuses.
    """
    folder = Path(folder)
    if (folder / FILE).exists():
        raise CannotWrite(f"{folder} is sealed already; an artifact does not change")
    told = _told(kind, settings, parents, data, template) | {
        "numbers": plain(finite(numbers or {}, "numbers"))
    }
    with files.writing(f"the artifact {folder}"):
        told["files"] = files.seal_files(folder)
        if not told["files"]:
            raise CannotWrite(f"{folder} is empty; there is nothing to seal")
        made = {
            "format": FORMAT,
            "id": digest(told),
            "name": name or folder.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **told,
            "versions": record.environment(),
        }
        files.write_whole(folder / FILE, files.dump(made))
    return open_artifact(folder)


def finish(
    folder: str | Path, write: Callable[[Path], None], *, kind: str, settings: Any, **told: Any
) -> Artifact:
    """The artifact at `folder`: made by `write`, or as it lies there if it was made from the same.

    `write` fills an empty folder beside it, which is sealed and then given its name: after a crash
    the artifact is there whole or not at all.  `told` is what `seal` takes.  RunMismatch where the
    folder holds an artifact of other settings or parents; settings of memory and speed may differ.
    """
    folder = Path(folder)
    if there := made(folder, kind=kind, settings=settings, **told):
        return there
    draft = folder.with_name(f"tmp-{os.getpid()}-{folder.name}")
    with files.writing(f"the artifact {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists() and any(folder.iterdir()):
            raise CannotWrite(
                f"{folder} exists and is no artifact; choose another folder (out=...)"
            )
        for left in folder.parent.glob(f"tmp-*-{folder.name}"):
            shutil.rmtree(left)
        try:
            draft.mkdir()
            write(draft)
            seal(draft, kind=kind, settings=settings, name=folder.name, **told)
            os.replace(draft, folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        files.sync_folder(folder.parent)
    return open_artifact(folder)


def made(folder: str | Path, *, kind: str, settings: Any, **told: Any) -> Artifact | None:
    """The artifact at `folder` if it was made from just this; None where there is none yet.

    RunMismatch where it was made from other settings, parents, data or template.
    """
    folder = Path(folder)
    if not (folder / FILE).exists():
        return None
    parents, data, template = (told.get(key) for key in ("parents", "data", "template"))
    return _same(open_artifact(folder), _told(kind, settings, parents or (), data, template))


def fits(folder: str | Path, *, kind: str, settings: Any, data: str | None = None) -> None:
    """RunMismatch where `folder` holds an artifact of other settings, kind or data (where said).

    For before the work, when parents that have to be opened first are not known yet.
    """
    folder = Path(folder)
    if (folder / FILE).exists():
        there = open_artifact(folder)
        told = _told(kind, settings, there.parents, data or there.hashes.get("data"), None)
        told["hashes"] |= {k: v for k, v in there.hashes.items() if k == "template"}
        _same(there, told)


def origin(path: str | Path) -> Artifact | None:
    """The artifact that a folder is, or that a file lies in; None for what comes from elsewhere."""
    for folder in (Path(path), Path(path).parent):
        if (folder / FILE).is_file():
            return open_artifact(folder)
    return None


def open_artifact(folder: str | Path, *, full: bool = False) -> Artifact:
    """An artifact that is what it was when it was sealed; BadData says what is not.

    Quick compares names and sizes; `full` reads every file.
    """
    folder = Path(folder)
    told = files.read_json(folder / FILE)
    if told.get("format") != FORMAT:
        raise BadData(
            f"{folder / FILE}: format {told.get('format')!r}, this version reads {FORMAT}"
        )
    try:
        if digest({key: told[key] for key in _TIMELESS}) != told["id"]:
            raise BadData(f"{folder / FILE} was changed after it was sealed; restore it")
        said = files.differs(folder, told["files"], own=FILE, full=full)
        values = {f.name: told[f.name] for f in fields(Artifact) if f.name != "folder"}
    except KeyError as error:
        raise BadData(f"{folder / FILE} lacks {error}; restore it") from error
    if said:
        raise BadData(f"{folder} is not what was sealed: {said}; restore it, or make it again")
    return Artifact(**(values | {"parents": tuple(told["parents"]), "folder": folder}))


def lineage(artifact: Artifact, root: str | Path) -> Line:
    """Where an artifact comes from, as far as its ancestors lie below `root`."""
    known = {other.id: other for other in Artifact.find(root)}
    return _line(artifact.id, known | {artifact.id: artifact}, {})


def _line(name: str, known: Mapping[str, Artifact], told: dict[str, Line]) -> Line:
    if name not in told:  # once, or what many descend from is walked again by each of them
        made = known.get(name)
        parents = tuple(_line(p, known, told) for p in made.parents) if made else ()
        told[name] = Line(name, made, parents)
    return told[name]


def _told(
    kind: str,
    settings: Any,
    parents: Iterable[Artifact | str],
    data: str | None,
    template: str | None,
) -> dict[str, Any]:
    """All that an artifact is made from, known before it is made."""
    hashes = {"settings": digest(settings), "data": data, "template": template}
    return {
        "kind": kind,
        "settings": plain(settings),
        "parents": [p if isinstance(p, str) else p.id for p in parents],
        "hashes": {name: value for name, value in hashes.items() if value is not None},
    }


def _same(there: Artifact, told: Mapping[str, Any]) -> Artifact:
    keys = ("kind", "settings", "parents", "hashes")
    old = {key: getattr(there, key) for key in keys} | {"parents": list(there.parents)}
    old, new = record.computed(old), record.computed({key: told[key] for key in keys})
    for made_from in (old, new):  # of all settings, those too that may differ: they are compared
        made_from["hashes"].pop("settings", None)
    changes = record.differences(old, new)
    if not changes:
        return there
    key, was, now = changes[0]
    raise RunMismatch(
        f"{there.folder} is an artifact made otherwise: {record.said(key, was, now)}. "
        "Give another folder (out=...), or the settings it was made with"
    )
