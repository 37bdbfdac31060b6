"""`run.json`: what a run is, and where it was computed.

Settings, recipe and identity (model, data, template: what the caller fingerprints) make up what a
run is; another value is another run.  The environment is noted but may change, and so may settings
of memory and speed: a run killed for memory goes on with others.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accord.config import plain
from accord.errors import BadData, BadSettings, RunMismatch
from accord.store import commit, files
from accord.store.journal import rows
from accord.store.lock import holder

FILE = "run.json"
FORMAT = 1
SPARING = {"optimizer": ("micro_tokens", "recompute", "offload")}
"""settings below a key that change memory and speed, never what is computed"""
_ABSENT = object()
_PACKAGES = ("accord", "torch", "transformers", "peft", "tokenizers", "safetensors")


@dataclass(frozen=True)
class Sight:
    """A run folder as seen from outside, whether or not somebody is writing into it."""

    folder: Path
    recipe: str
    settings: dict[str, Any]
    identity: dict[str, Any]
    created: str
    done: int
    """steps that are committed"""
    total: int
    writer: str | None
    """who is at it now ("process 4711")"""

    @property
    def complete(self) -> bool:
        """Nothing is left to do."""
        return self.done >= self.total


def look(folder: str | Path) -> Sight | None:
    """What is known of a run, without changing it; None where there is no run."""
    folder = Path(folder)
    if not (folder / FILE).is_file():
        return None
    told = files.read_json(folder / FILE)
    found, _ = commit.newest(folder / "commits", full=False)
    try:
        return Sight(
            folder,
            told["recipe"],
            told["settings"],
            told["identity"],
            told["created"],
            found.step if found else 0,
            told["total"],
            holder(folder),
        )
    except KeyError as error:
        raise BadData(f"{folder / FILE} lacks {error}; restore it, or start anew") from error


def runs(root: str | Path) -> list[Sight]:
    """All runs below a folder, oldest first."""
    found = (look(path.parent) for path in sorted(Path(root).rglob(FILE)))
    return sorted((s for s in found if s), key=lambda s: (s.created, str(s.folder)))


def metrics(folder: str | Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl, as far as they are whole."""
    return list(rows(Path(folder) / "metrics.jsonl"))


def seconds(folder: str | Path) -> float:
    """Spent in a run's steps, in all the sessions that it took."""
    return sum(row.get("step_time", 0.0) for row in rows(Path(folder) / "timings.jsonl"))


def describe(cfg: Any, identity: Mapping[str, Any], total: int | None) -> dict[str, Any]:
    """What makes a run that run, as JSON."""
    if total is None:
        total = cfg.get("steps") if isinstance(cfg, Mapping) else getattr(cfg, "steps", None)
    if not isinstance(total, int):
        raise BadSettings("how many steps? give run.steps(cfg, total), or settings with `steps`")
    if total < 1:
        raise BadSettings(f"{total} steps: there is nothing to do; look at the number of examples")
    settings = plain(cfg)
    if not isinstance(settings, dict):
        raise TypeError(f"settings are a Settings object or a dict, not {type(cfg).__name__}")
    told = {
        "recipe": "" if isinstance(cfg, Mapping) else type(cfg).__name__,
        "settings": settings,
        "identity": plain(identity),
        "total": total,
    }
    made: dict[str, Any] = json.loads(json.dumps(told, allow_nan=False))
    return made


def check(folder: Path, now: Mapping[str, Any]) -> None:
    """RunMismatch, naming what differs, if the folder holds another run."""
    if (folder / FILE).exists():
        _same(folder, files.read_json(folder / FILE), now)


def note(folder: Path, now: Mapping[str, Any], done: int) -> None:
    """Begin the record of a run; on resume, add the environment if it is another one."""
    here = environment()
    if (folder / FILE).exists():
        then = files.read_json(folder / FILE)
        seen = then.get("environments", [])
        if seen and {**seen[-1], "from_step": 0} == {**here, "from_step": 0}:
            return
        record = {**then, "environments": [*seen, {"from_step": done, **here}]}
    else:
        record = {
            "format": FORMAT,
            **now,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "environments": [{"from_step": 0, **here}],
        }
    with files.writing(str(folder / FILE)):
        files.write_whole(folder / FILE, files.dump(record))


def _same(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if then.get("format") != FORMAT:
        raise RunMismatch(
            f"{folder / FILE} has format {then.get('format')!r} and this version writes {FORMAT}; "
            "give another folder (out=...), or use the version that began it"
        )
    parts = ("recipe", "settings", "identity", "total")
    try:
        old, new = ({part: record[part] for part in parts} for record in (then, now))
    except KeyError as error:
        raise BadData(f"{folder / FILE} lacks {error}; restore it, or start anew") from error
    changes = differences(computed(old), computed(new))
    if not changes:
        return
    told = [said(*change) for change in changes[:5]]
    more = f", and {len(changes) - 5} more" if len(changes) > 5 else ""
    raise RunMismatch(
        f"{folder} holds another run: {'; '.join(told)}{more}. "
        "Give another folder (out=...), or what the run was begun with"
    )


def computed(told: Any) -> Any:
    """A tree of settings without those that change memory and speed alone."""
    if not isinstance(told, Mapping):
        return told
    return {
        key: computed(
            {k: v for k, v in value.items() if k not in SPARING[key]}
            if key in SPARING and isinstance(value, Mapping)
            else value
        )
        for key, value in told.items()
    }


def differences(old: Any, new: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    """(dotted key, old, new) wherever two trees differ; options of another kind count as one."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return [] if old == new and type(old) is type(new) else [(key, old, new)]
    if old.get("kind") != new.get("kind"):
        return [(key, old, new)]
    found = []
    for name in [*old, *(n for n in new if n not in old)]:
        below = f"{key}.{name}" if key else str(name)
        found += differences(old.get(name, _ABSENT), new.get(name, _ABSENT), below)
    return found


def said(key: str, old: Any, new: Any) -> str:
    """A difference in words."""
    return f"{_key(key)} was {_shown(old)} and is now {_shown(new)}"


def _key(key: str) -> str:
    names = {"total": "the number of steps", "recipe": "the recipe"}
    return names.get(key) or key.removeprefix("settings.").removeprefix("identity.")


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, Mapping) and "kind" in value:
        fields = ", ".join(f"{k}={_shown(v)}" for k, v in value.items() if k != "kind")
        return f"{value['kind']}({fields})"
    if isinstance(value, str):
        sha = len(value) == 64 and set(value) <= set("0123456789abcdef")
        return value[:12] + "…" if sha else repr(value)
    return "none" if value is None else json.dumps(value)


def environment() -> dict[str, Any]:
    """Versions, platform and commit of the code: noted, not compared."""
    told: dict[str, Any] = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            told[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return told | {"git": _git()}


def _git() -> str | None:
    """The commit this code is at, "-dirty" when files differ from it; None outside of git."""
    ask = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
    ]
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        said = subprocess.run(ask, capture_output=True, text=True, timeout=10, env=quiet)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None if said.returncode == 0 else None
