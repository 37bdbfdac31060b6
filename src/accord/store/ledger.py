"""What became of every sample: issued, scored, then trained or dropped, once per epoch.

No sample is lost or learned from twice without somebody noticing: what does not add up is an error
at the step where it happens, and `check` proves the whole.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from accord.errors import BadData

Event = Literal["issued", "scored", "trained", "dropped"]
_AFTER: dict[Event, tuple[Event | None, ...]] = {
    "issued": (None,),
    "scored": ("issued",),
    "trained": ("issued", "scored"),
    "dropped": ("issued", "scored"),
}


class Sample(Protocol):
    """Anything with a name of its own: a rollout, a demonstration, a comparison."""

    @property
    def id(self) -> str: ...


class Fate(NamedTuple):
    """The last thing that happened to a sample, and at which step."""

    event: Event
    step: int
    reason: str = ""


class Ledger:
    """A run keeps one, as `ledger.jsonl`; its lines are cut back with the run's."""

    def __init__(self) -> None:
        self._fates: dict[tuple[int, str], Fate] = {}
        self._new: list[dict[str, Any]] = []

    def issued(self, step: int, samples: Iterable[Sample | str], *, epoch: int = 0) -> None:
        """These are asked for, once per epoch."""
        self._enter(step, "issued", _ids(samples), epoch)

    def scored(self, step: int, samples: Iterable[Sample | str], *, epoch: int = 0) -> None:
        """These were judged."""
        self._enter(step, "scored", _ids(samples), epoch)

    def trained(self, step: int, samples: Iterable[Sample | str], *, epoch: int = 0) -> None:
        """These were learned from; at most once per epoch."""
        self._enter(step, "trained", _ids(samples), epoch)

    def dropped(self, step: int, reasons: Mapping[str, str], *, epoch: int = 0) -> None:
        """These were not learned from, and why: id -> reason."""
        for reason in dict.fromkeys(reasons.values()):
            ids = [name for name, why in reasons.items() if why == reason]
            self._enter(step, "dropped", ids, epoch, reason)

    def note(
        self,
        step: int,
        samples: Iterable[Sample | str],
        dropped: Mapping[str, str] = {},
        *,
        epoch: int = 0,
    ) -> None:
        """The whole life of samples that one step issues and learns from, but for the dropped."""
        ids = _ids(samples)
        self.issued(step, ids, epoch=epoch)
        self.dropped(step, dropped, epoch=epoch)
        self.trained(step, [name for name in ids if name not in dropped], epoch=epoch)

    def fate(self, name: str, *, epoch: int = 0) -> Fate | None:
        """What happened last to a sample; None if it was never issued."""
        return self._fates.get((epoch, name))

    def counts(self) -> Counter[str]:
        """How many samples met which fate; the dropped by reason ("dropped: no verdict")."""
        return Counter(
            f"dropped: {fate.reason}" if fate.event == "dropped" else fate.event
            for fate in self._fates.values()
        )

    def check(self, samples: Iterable[Sample | str], *, epochs: Iterable[int] = (0,)) -> None:
        """BadData unless each of these, and no other, was trained or dropped in every epoch."""
        wanted = set(_ids(samples))
        for epoch in epochs:
            ended = {
                name: fate
                for (at, name), fate in self._fates.items()
                if at == epoch and fate.event in ("trained", "dropped")
            }
            for name in sorted(wanted ^ set(ended)):
                fate = self._fates.get((epoch, name))
                said = f"last {fate.event} at step {fate.step}" if fate else "never issued"
                if name not in wanted:
                    said += ", and does not belong here"
                raise BadData(f"sample {name!r} of epoch {epoch} was {said}")

    def take(self) -> list[dict[str, Any]]:
        """The lines since the last call, for the journal."""
        new, self._new = self._new, []
        return new

    def replay(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Become what these lines say, from nothing."""
        self._fates.clear()
        for line in lines:
            self._enter(
                line["step"], line["event"], line["ids"], line["epoch"], line.get("reason", "")
            )
        self._new.clear()

    def _enter(self, step: int, event: Event, ids: list[str], epoch: int, reason: str = "") -> None:
        for name in ids:
            before = self._fates.get((epoch, name))
            if (before.event if before else None) not in _AFTER[event]:
                was = f"{before.event} at step {before.step}" if before else "never issued"
                raise BadData(
                    f"step {step}: sample {name!r} of epoch {epoch} cannot be {event}: "
                    f"it was {was}; every sample needs an id of its own, and is learned from once "
                    "per epoch"
                )
            self._fates[epoch, name] = Fate(event, step, reason)
        if ids:
            line = {"step": step, "event": event, "epoch": epoch, "ids": ids}
            self._new.append(line | ({"reason": reason} if reason else {}))


def _ids(samples: Iterable[Sample | str]) -> list[str]:
    return [sample if isinstance(sample, str) else sample.id for sample in samples]
