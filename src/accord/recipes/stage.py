"""What every stage has in common: records in, a sealed artifact out, resumable, not made twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import torch

from accord.config import Settings, plain
from accord.data.tally import Tally
from accord.engine.roles import Critic, Policy
from accord.errors import BadData, BadSettings
from accord.models import quantised
from accord.models.load import Dtype
from accord.store import artifact
from accord.store.artifact import Artifact
from accord.store.logs import Sink
from accord.store.record import metrics, seconds
from accord.store.run import Run

H = TypeVar("H", Policy, Critic)


def quiet(said: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class Place:
    """Where a stage writes, who watches it, and the seed that makes it repeatable."""

    out: Path
    seed: int = 0
    save_every: int = 10
    """steps between two commits"""
    sinks: tuple[Sink, ...] = ()
    tell: Callable[[str], None] = quiet
    """for what people should read: rows dropped, work that was done before"""
    limit: float = 0.05
    """share of rows that may be unusable before the stage refuses to begin"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", Path(self.out))

    def below(self, name: str) -> "Place":
        """A folder further down."""
        return replace(self, out=self.out / name)

    def check(self, tally: Tally, what: str) -> None:
        """Say what was dropped; BadData where it is too much."""
        try:
            tally.check(self.limit)
        except BadData as error:
            more = "\nMend the rows, or say limit=… to go on" if tally.kept else ""
            raise BadData(f"{what}: {error}{more}") from None
        if tally.dropped or tally.noted:
            self.tell(f"{what}: " + "\n".join(tally.lines()))

    def parted(
        self, train: Sequence[Any], held_out: Sequence[Any], cfg: Settings | None = None
    ) -> None:
        """Say how many rows are kept aside to measure on, and what of `cfg` is idle without any."""
        if held_out:
            self.tell(f"{len(train)} rows to learn from, {len(held_out)} held out")
            return
        said = getattr(cfg, "measure_every", None)
        if cfg is not None and said != type(cfg).model_fields["measure_every"].default:
            self.tell(f"no row is held out to measure on: measure_every={said} changes nothing")


@dataclass(frozen=True)
class Made(Generic[H]):
    """What a stage made, or found made from just the same."""

    handle: H
    artifact: Artifact
    history: list[dict[str, Any]]
    """the lines of metrics.jsonl"""
    seconds: float
    """spent in the steps, whenever that was"""

    @property
    def numbers(self) -> dict[str, float]:
        """What was measured on it when it was sealed."""
        return self.artifact.numbers


@dataclass(frozen=True)
class Work:
    """All that a stage's result is a function of."""

    kind: str
    place: Place
    cfg: Settings
    start: Policy
    data: str
    parents: tuple[Artifact | str, ...] = ()

    @property
    def dtype(self) -> Dtype:
        """The precision that the start was opened in."""
        trunk = self.start.model.trunk
        if found := quantised.kind(trunk.model):
            return cast(Dtype, found)
        return "bf16" if (trunk.compute or trunk.model.dtype) == torch.bfloat16 else "fp32"

    def told(self) -> dict[str, Any]:
        """As an artifact says it."""
        born = artifact.origin(self.start.source) if self.start.source else None
        return {
            "kind": self.kind,
            "settings": {**plain(self.cfg), "seed": self.place.seed, "dtype": self.dtype},
            "parents": [born or self.start.fingerprint, *self.parents],
            "data": self.data,
            "template": self.start.speller.fingerprint,
        }

    def identity(self, told: dict[str, Any]) -> dict[str, Any]:
        """As a run says it."""
        ids = [p if isinstance(p, str) else p.id for p in told["parents"]]
        keys = ("model", *(f"parent {n}" for n in range(1, len(ids))))
        named = dict(zip(keys, ids, strict=True))
        return (
            named
            | {k: told[k] for k in ("data", "template")}
            | {
                "seed": self.place.seed,
                "dtype": self.dtype,
            }
        )


def carry_out(
    work: Work, kind: type[H], make: Callable[[Run], tuple[H, dict[str, float]]]
) -> Made[H]:
    """What `make` makes in a run at `place`, sealed; or what was made there from just the same."""
    place, told = work.place, work.told()
    folder = place.out / work.kind
    there = artifact.made(folder, **told)
    if there is not None:
        place.tell(f"{folder} was made from just this before: nothing to do")
        return Made(
            kind.open(folder, dtype=work.dtype), there, metrics(place.out), seconds(place.out)
        )
    run = Run(
        place.out,
        save_every=place.save_every,
        identity=work.identity(told),
        sinks=place.sinks,
    )
    handle, numbers = make(run)
    there = artifact.finish(folder, handle.export, numbers=numbers, **told)
    handle.lies(folder)
    if handle.model.trunk.compute is not None:  # sealed, its fp32 weights are opened rounded
        handle = kind.open(folder, dtype=work.dtype)
    return Made(handle, there, run.history, seconds(place.out))


def room_for(answer: int, start: Policy) -> int:
    """The most tokens a prompt may have beside such an answer; BadSettings where none fits."""
    room = start.context - answer - 1  # one for the end that a judge reads
    if room < 1:
        raise BadSettings(
            f"longest={answer}: this model reads {start.context} tokens, prompt and answer together"
        )
    return room


def room_in(longest: int, start: Policy) -> int:
    """No row may be longer than the model's context."""
    return min(longest, start.context)
