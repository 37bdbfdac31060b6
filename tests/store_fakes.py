"""A small run of two parts that never forget: any step lost, doubled or torn shows in the end."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from accord.store.logs import Sink
from accord.store.run import Run

CFG = {"steps": 4, "lr": 0.1}
IDENTITY = {"model": "a" * 64, "data": "b" * 64}


class Chain:
    """A part whose state depends on all that it ever saw, and which writes in small pieces."""

    def __init__(self, seed: int = 0):
        self.state, self.kept = hashlib.sha256(str(seed).encode()).hexdigest(), False

    def move(self, by: Any) -> float:
        """Take one step; a number that depends on the whole past."""
        self.state = hashlib.sha256(f"{self.state} {by}".encode()).hexdigest()
        return int(self.state[:8], 16) / 3

    def save(self, folder: Path) -> None:
        """Two files, one of them further down."""
        (folder / "deep").mkdir()
        for path in (folder / "state.txt", folder / "deep" / "copy.txt"):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
            os.write(fd, self.state[:32].encode())
            os.write(fd, self.state[32:].encode())
            os.close(fd)

    def load(self, folder: Path) -> None:
        """Both must agree."""
        self.state = (folder / "state.txt").read_text()
        assert (folder / "deep" / "copy.txt").read_text() == self.state


def play(
    path: Path | None,
    cfg: Any = CFG,
    *,
    within: Callable[[int, Run], None] = lambda step, run: None,
    sinks: Sequence[Sink] = (),
    identity: dict[str, Any] = IDENTITY,
    **options: Any,
) -> tuple[str, str, Run]:
    """Run to the end; `within` is called in the middle of every step."""
    run = Run(path, sinks=sinks, identity=identity, **options)
    policy, price = run.keep("policy", Chain(1)), run.keep("kl", Chain(2))
    for step in run.steps(cfg):
        x = policy.move(step)
        run.sample(
            step, [{"id": f"{step}.{i}", "said": f"Grüße {i}\n", "score": x} for i in (0, 1)]
        )
        within(step, run)
        run.ledger.note(step, [f"{step}.{i}" for i in range(3)], {f"{step}.1": "no verdict"})
        run.log(step, score=x, kl=price.move(x), tokens_per_second=7.0)
    return policy.state, price.state, run


def tree(path: Path) -> dict[str, bytes]:
    """All that two equal runs have in common, byte for byte; nothing unknown lies about."""
    found = {p.relative_to(path).as_posix(): p for p in path.rglob("*") if p.is_file()}
    for own in ("run.json", "timings.jsonl", "lock"):
        found.pop(own, None)
    return {name: p.read_bytes() for name, p in sorted(found.items()) if "broken-" not in name}


class Told(Sink):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []

    def begin(self, name: str, done: int, total: int, settings: Mapping[str, Any]) -> None:
        self.all.append(("begin", name, done, total, dict(settings)))

    def tick(self, n: int = 1) -> None:
        self.all.append(("tick", n))

    def log(self, step: int, numbers: Mapping[str, float | int | None]) -> None:
        self.all.append(("log", step, dict(numbers)))

    def end(self, complete: bool) -> None:
        self.all.append(("end", complete))


def stopped(step: int, run: Run) -> None:
    """Break off in the third step."""
    if step == 2:
        raise RuntimeError("stop")


def half(path: Path, **options: Any) -> None:
    """A run that broke off in its third step."""
    with pytest.raises(RuntimeError, match=r"^stop$"):
        play(path, within=stopped, **options)


def rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal."""
    return [json.loads(line) for line in path.read_text().splitlines()]
