"""Models that can be talked to: policies found below the runs folder, and what was registered."""

import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from fastapi import HTTPException, Request
from sqlalchemy import select

from accord.errors import AccordError, BadData, BadSettings, NoAnswer
from accord.store import artifact, record
from accord.store.judgements import people
from accord.store.judgements.opening import Store, now
from accord.store.judgements.tables import Model
from accord.web.runs_find import moment
from accord.web.talking import Voice

log = logging.getLogger(__name__)
FRESH_S = 5.0
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
"""capitals, as keys are not: who gives the key itself is told so, before anything is kept"""
OWN = "ACCORD_"
"""what variables of this site begin with: no endpoint is told those"""
SHIPPED = Path(__file__).parent.parent / "demo" / "storyteller"
"""the small model that comes with the package: there is always one to talk to"""
SKIPPED = ("commits", "not-finite", "reference")


@dataclass(frozen=True)
class Known:
    """A model, as the pages name it."""

    name: str
    """of a folder: its path below the runs folder"""
    kind: Literal["folder", "endpoint"]
    where: str
    """the folder, or the base URL of an endpoint"""
    called: str = ""
    """the model's name there, for an endpoint"""
    key: str = ""
    """name of the environment variable that holds the endpoint's key; empty: it wants none"""
    artifact: str = ""
    """id of the artifact it is; empty: unknown"""
    created: datetime | None = None
    run: str = ""
    """the run it came from, by name; empty: none that is known"""
    numbers: dict[str, Any] = field(default_factory=dict)
    id: int | None = None
    """of its row, where it was registered"""

    @property
    def sign(self) -> str:
        """What answers of it are marked with: the artifact, or the name."""
        return self.artifact or self.name

    @property
    def names(self) -> list[str]:
        """All words that a server's complaint may call it by, for who is not to know them."""
        last = Path(self.where).name if self.kind == "folder" else ""
        every = (self.name, self.where, self.called, self.key, self.artifact, last)
        return [*filter(None, every)]

    @property
    def locked(self) -> bool:
        """Whether it wants a key that this process does not have."""
        return bool(self.key) and not os.environ.get(self.key, "").strip()


class Sealed:
    """The artifacts below a folder; what did not change is not read again."""

    def __init__(self, root: Path):
        self.root = root
        self._lock = threading.Lock()
        self._told: dict[Path, tuple[int, artifact.Artifact | None]] = {}
        self._found: list[artifact.Artifact] = []
        self._at = -FRESH_S

    def all(self, fresh: bool = False) -> list[artifact.Artifact]:
        """All that are whole, oldest first; `fresh`: looked for now, not a moment ago."""
        with self._lock:
            if fresh or time.monotonic() - self._at >= FRESH_S:
                found = [one for path in _sealed(self.root) if (one := self._open(path))]
                self._found = sorted(found, key=lambda a: (a.created, str(a.folder)))
                self._at = time.monotonic()
            return self._found

    def _open(self, folder: Path) -> artifact.Artifact | None:
        path = folder / artifact.FILE
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            return None
        if (kept := self._told.get(folder)) and kept[0] == stamp:
            return kept[1]
        try:
            made = artifact.open_artifact(folder)
        except AccordError:
            made = None  # half copied, or changed since: not what it says it is
        self._told[folder] = (stamp, made)
        return made


_making = threading.Lock()


def sealed(app: Any) -> Sealed:
    """The artifacts of this site, found when first asked for."""
    with _making:
        found: Sealed | None = getattr(app.state, "sealed", None)
        if found is None:
            found = app.state.sealed = Sealed(app.state.cfg.runs)
    return found


def models(app: Any) -> list[Known]:
    """All that can be talked to: the newest policies first, then what was registered, by name."""
    store: Store = app.state.store
    with store.read() as session:
        rows = [*session.scalars(select(Model).where(Model.hidden.is_(False)).order_by(Model.name))]
    root: Path = app.state.cfg.runs
    found = [_of_folder(one, root) for one in sealed(app).all() if one.kind == "policy"]
    if (SHIPPED / "config.json").is_file():
        found.insert(0, Known("storyteller", "folder", str(SHIPPED)))
    taken = {one.name for one in found}
    return found[::-1] + [_of_row(row) for row in rows if row.name not in taken]


def model(app: Any, name: str) -> Known:
    """The model of that name, or of that artifact id; 404 where there is none."""
    for fresh in (False, True):  # it may have been made a moment ago
        if fresh:
            sealed(app).all(fresh=True)
        for one in models(app):
            if name in (one.name, one.artifact):
                return one
    raise HTTPException(404, f"There is no model {name!r}; the page of models lists all.")


def titles(app: Any) -> dict[str, str]:
    """What answers are marked with -> what people call it."""
    return {one.sign: one.name for one in models(app)}


def voice(app: Any, known: Known, user_id: int) -> Voice:
    """Where to talk to a model; a folder's process is started first.

    NoAnswer says why not: in full to who manages models, without paths and such to others.
    """
    try:
        return _voice(app, known)
    except AccordError as error:
        store: Store = app.state.store
        if people.may(people.user(store, user_id).role, "manage"):
            raise NoAnswer(str(error)) from None
        log.warning("%s: %s", known.name, error)
        raise NoAnswer(_for_readers(known, str(error))) from None


def _voice(app: Any, known: Known) -> Voice:
    if known.kind == "endpoint":
        token = _key(known.key) if known.key else ""
        return Voice(known.where, known.called or known.name, token, known.name)
    workers = app.state.workers
    if workers is None:
        raise NoAnswer(f"{known.name} is a folder, and this site starts no models (workers=false)")
    url, key = workers.url(known.where)
    return Voice(url, Path(known.where).name, key, known.name)


def _for_readers(known: Known, said: str) -> str:
    """The reason, unless it speaks of this machine."""
    said = said.replace(known.where, known.name)
    rest = said.replace(known.name, "")
    if "/" in rest or "\\" in rest or known.key:
        return f"{known.name} cannot be talked to just now; a manager who tries is told why"
    return said


def register(store: Store, name: str, where: str, called: str = "", key: str = "") -> Model:
    """Keep an endpoint's address, or a model folder of this machine, under a name.  `key` names the
    environment variable that holds the endpoint's key.
    """
    name, where, called, key = " ".join(name.split()), where.strip(), called.strip(), key.strip()
    if not 1 <= len(name) <= 120:
        raise BadSettings("a model's name has 1 to 120 characters")
    if where.startswith(("http://", "https://")):
        where = where.rstrip("/")
        if key:
            _variable(key)
    elif not (Path(where) / "config.json").is_file():
        raise BadData(f"{where or 'nothing'} is neither an address (http://...) nor a model folder")
    elif key:
        raise BadSettings(f"{where} is a folder of this machine: it takes no key")
    with store.write() as session:
        found = session.scalars(select(Model).where(Model.name == name)).first()
        if found is not None and not found.hidden:
            raise BadSettings(f"there is a model {name!r} already; choose another name")
        if found is None:
            found = Model(name=name)
            session.add(found)
        found.where, found.called, found.key = where, called, key
        found.hidden, found.created, found.artifact = False, now(), ""
        session.flush()
    return found


def _variable(key: str) -> None:
    """BadSettings where no variable is called so; what may be the key itself is not repeated."""
    if not VARIABLE.fullmatch(key):
        raise BadSettings(
            "what is wanted is the NAME of the environment variable that holds the key, as "
            "OPENAI_API_KEY (capitals, digits, underscores), never the key itself"
        )
    if key.startswith(OWN):
        raise BadSettings(f"{key} belongs to this site; put the endpoint's key in another variable")
    _key(key)


def _key(variable: str) -> str:
    """What it holds; BadSettings where it holds nothing."""
    if not (found := os.environ.get(variable, "").strip()):
        raise BadSettings(
            f"this site's environment has no variable {variable}, which is to hold the key: set "
            "it, and start the site again"
        )
    return found


def forget(store: Store, model_id: int) -> None:
    """Take a registered model from the list; what was said and judged stays."""
    with store.write() as session:
        found = session.get(Model, model_id)
        if found is None:
            raise HTTPException(404, "There is no such model.")
        found.hidden = True


def of_request(request: Request, name: str) -> Known:
    """The model of that name, for a route."""
    return model(request.app, name)


def _of_row(row: Model) -> Known:
    folder = not row.where.startswith(("http://", "https://"))
    kind: Literal["folder", "endpoint"] = "folder" if folder else "endpoint"
    told = (row.name, kind, row.where, row.called, row.key, row.artifact, row.created)
    return Known(*told, id=row.id)


def _of_folder(made: artifact.Artifact, root: Path) -> Known:
    folder = made.folder
    run = folder.parent if (folder.parent / record.FILE).is_file() else None
    return Known(
        name=folder.relative_to(root).as_posix(),
        kind="folder",
        where=str(folder),
        artifact=made.id,
        created=moment(made.created),
        run=run.relative_to(root).as_posix() if run and run != root else "",
        numbers={k: v for k, v in made.numbers.items() if isinstance(v, int | float)},
    )


def _sealed(root: Path) -> Iterator[Path]:
    for here, below, names in os.walk(root):
        if artifact.FILE in names:
            below.clear()
            yield Path(here)
            continue
        below[:] = [name for name in below if name not in SKIPPED and name[:1] != "."]
