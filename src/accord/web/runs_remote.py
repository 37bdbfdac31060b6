"""Runs that are computed elsewhere: their lines come over HTTP and are kept as a run's own files.

Every line has a number, `seq`, one more than the last.  A line that was received before is passed
over, so a trainer that does not know whether a request arrived sends it again.
"""

import json
import os
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from accord.store import files, record
from accord.store.journal import cut_to_step
from accord.store.judgements.tables import User
from accord.web.runs_find import REMOTE, inside
from accord.web.security import bearer
from accord.web.tail import last_line

router = APIRouter(tags=["runs"])
NAME = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)*", re.ASCII)
KINDS = ("metrics", "timings", "samples")
_lock = threading.Lock()


class Begun(BaseModel):
    """What a run is, for its first request."""

    recipe: str = Field(default="", max_length=80)
    total: int = Field(default=0, ge=0)
    """steps; 0: unknown"""
    settings: dict[str, Any] = {}


class Line(BaseModel):
    """A line of one of its files; or, `cut`, that it goes on from an earlier step."""

    seq: int = Field(ge=1, le=2**53)
    kind: Literal["metrics", "timings", "samples", "cut"] = "metrics"
    row: dict[str, Any]
    """with `step`, a whole number"""


class Lines(BaseModel):
    """What happened since."""

    run: Begun | None = None
    lines: list[Line] = Field(default=[], max_length=10_000)
    over: Literal["done", "failed"] | None = None


class Received(BaseModel):
    """What the site has by now."""

    seq: int
    """the last line it has: go on with the next"""
    new: int
    """lines of this request that it did not have"""


@router.post("/api/v1/runs/{name:path}/events")
def receive(
    name: str,
    given: Lines,
    request: Request,
    user: Annotated[User, Depends(bearer("runs", "manage"))],
) -> Received:
    """Lines of a run that is computed elsewhere; needs a manager's token with the scope `runs`."""
    root: Path = request.app.state.cfg.runs
    folder = inside(root, name) if len(name) <= 200 and NAME.fullmatch(name) else None
    if folder is None:
        said = "a run's name is letters, digits, _ . - and / between them, at most 200 of them"
        raise HTTPException(422, said)
    for line in given.lines:
        step = line.row.get("step")
        if type(step) is not int or not 0 <= step < 2**53:
            raise HTTPException(422, f"line {line.seq}: its row needs a whole number `step`")
    with _lock:
        return _keep(folder, given)


def _keep(folder: Path, given: Lines) -> Received:
    if (folder / record.FILE).exists() and not (folder / REMOTE).exists():
        said = f"{folder.name} is a run of this machine; send another name"
        raise HTTPException(409, said)
    folder.mkdir(parents=True, exist_ok=True)
    told = files.read_json(folder / REMOTE) if (folder / REMOTE).exists() else {}
    last = max([told.get("seq", 0), *(_last(folder, kind) for kind in KINDS)])
    if given.run is not None or not (folder / record.FILE).exists():
        _describe(folder, given.run or Begun())
    new = 0
    for line in sorted(given.lines, key=lambda one: one.seq):
        if line.seq > last:
            _add(folder, line)
            last, new = line.seq, new + 1
    over = given.over or (None if new else told.get("over"))
    files.write_whole(folder / REMOTE, files.dump({"seq": last, "over": over}))
    return Received(seq=last, new=new)


def _describe(folder: Path, begun: Begun) -> None:
    made = {"format": record.FORMAT, **begun.model_dump(), "identity": {}}
    made["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    if (folder / record.FILE).exists():
        made["created"] = files.read_json(folder / record.FILE).get("created", made["created"])
    files.write_whole(folder / record.FILE, files.dump(made))


def _add(folder: Path, line: Line) -> None:
    if line.kind == "cut":
        for kind in KINDS:
            cut_to_step(folder / f"{kind}.jsonl", line.row["step"])
        return
    path = folder / f"{line.kind}.jsonl"
    with path.open("ab") as file:
        file.write(json.dumps({**line.row, "seq": line.seq}).encode() + b"\n")


def _last(folder: Path, kind: str) -> int:
    """The number of the last line of a file; half a line that a crash left is cut off first."""
    path = folder / f"{kind}.jsonl"
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 20)))
        end = file.read().rfind(b"\n")
        whole = max(0, size - (1 << 20)) + end + 1
        if whole < size:
            file.truncate(whole)
    seq = (last_line(path, 1 << 20) or {}).get("seq", 0)
    return seq if type(seq) is int else 0
