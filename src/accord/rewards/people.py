"""People as a reward: a run puts its answers before them, waits, and goes on with what they said.

    reward=accord.db#live                      a study in a store that `accord serve` shows

Answers to one prompt are one item, and the same item is never asked twice: a run that was killed
finds what was judged meanwhile.  What nobody judged in time is Invalid.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any, Literal

from accord.config import digest
from accord.config.limits import Above0
from accord.data import dossier
from accord.data.dossier import Case, Verdict
from accord.data.studies import opened, parts
from accord.errors import BadSettings
from accord.records import Invalid, Rollout
from accord.records.plain import messages
from accord.rewards.base import Score
from accord.rewards.reader import Reader
from accord.store.judgements import studies
from accord.store.judgements.forms import Kind, NewItem, StudyConfig
from accord.store.judgements.opening import Store
from accord.store.judgements.pictures import brought, home
from accord.store.judgements.resolve import Filters, Resolved, handed_out
from accord.store.judgements.tables import Item

SIGN = 60.0
"""seconds between two signs of life while nothing comes in"""


@dataclass(frozen=True)
class Asking:
    """How people are asked within a run."""

    asks: Literal["auto", "pairwise", "rank", "rate"] = "auto"
    """the kind of a study that is not there yet; auto: rate where a prompt has one answer,
    pairwise where it has two, rank where it has more"""
    hours: Above0 = 24.0
    """how long is waited for an answer's judgements before it goes without a score"""
    look: Above0 = 2.0
    """seconds between two looks into the store"""
    site: str = "http://127.0.0.1:8080"
    """where the site is, for the link that is printed"""


def say(said: str) -> None:
    """To whoever watches the run."""
    print(said, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Group:
    """The answers to one prompt, each text once."""

    talk: list[dict[str, Any]]
    texts: tuple[str, ...]

    @property
    def key(self) -> str:
        """What tells items apart."""
        return json.dumps([self.talk, self.texts], sort_keys=True)


@dataclass
class People:
    """Scores within 0..1: the share of the others that an answer stands above, ties half; or its
    mean rating on the scale.  Both bad: 0 for both.
    """

    where: str
    """STORE#STUDY"""
    reader: Reader
    how: Asking = Asking()
    tell: Callable[[str], None] = say
    clock: Callable[[], float] = time.monotonic
    rest: Callable[[float], None] = time.sleep
    _known: dict[str, int] = field(default_factory=dict, init=False)
    """item ids, by key"""
    _last: int = field(default=0, init=False)
    _store: Store | None = field(default=None, init=False)

    @property
    def which(self) -> str:
        """The study."""
        return f"people asked in study {parts(self.where)[1]!r}"

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout, when people have judged them or the time is up."""
        if self._store is None:
            self._store, _ = opened(self.where, make=True)
        said = self.reader(rollouts)
        by_prompt: dict[tuple[str, tuple[int, ...]], list[int]] = {}
        for place, one in enumerate(rollouts):
            name = one.id.rpartition("/")[0] if "/" in one.id else one.id
            by_prompt.setdefault((name, one.prompt_ids), []).append(place)
        groups = [
            Group(
                brought(messages(said[few[0]].talk), home(self._store)),
                tuple(dict.fromkeys(said[i].answer for i in few)),
            )
            for few in by_prompt.values()
        ]
        study = self._study(self._store, max(map(len, by_prompt.values())))
        found = self._asked(self._store, study, groups)
        scale = studies.config_of(study).scale
        scores: dict[int, Score] = {}
        for group, few in zip(groups, by_prompt.values(), strict=True):
            given = _scores(found.get(group.key), group, study.kind, scale, self.how.hours)
            scores |= {i: given[said[i].answer] for i in few}
        return [scores[i] for i in range(len(rollouts))]

    def _study(self, store: Store, most: int) -> Any:
        """The study, made where there is none; BadSettings where it cannot hold the answers."""
        _, name = parts(self.where)
        there = next((r.study for r in studies.studies(store) if r.study.name == name), None)
        kind: Kind = "rate" if most == 1 else "pairwise" if most == 2 else "rank"
        if there is not None:
            kind = there.kind
        elif self.how.asks != "auto":
            kind = self.how.asks
        holds = {"rate": most >= 1, "rank": most >= 2, "pairwise": most == 2}
        if not holds.get(kind, False):
            raise BadSettings(
                f"reward={self.where}: a study of kind {kind} cannot judge {most} answers to a "
                "prompt: rate is for one, pairwise for two, rank for more"
            )
        return there or studies.create(store, name, kind, StudyConfig())

    def _asked(self, store: Store, study: Any, groups: Sequence[Group]) -> dict[str, Case]:
        """Key -> the item with what was said of it, once all that can be known is known."""
        least = 1 if study.kind == "rate" else 2
        wanted = [one for one in groups if len(one.texts) >= least]
        fresh = [NewItem(one.talk, one.texts, source="a run") for one in wanted]
        added = studies.add_items(store, study.id, fresh)
        if added.refused:
            self.tell(f"{self.where}: {len(added.refused)} items refused: {added.refused[0]}")
        for case in dossier.cases(store, study.id, after=self._last):
            self._known[_key(case)] = case.id
            self._last = case.id
        ids = {self._known[one.key]: one.key for one in wanted if one.key in self._known}
        if ids:
            self._wait(store, study, list(ids))
        told = dossier.cases(store, study.id, items=list(ids)) if ids else ()
        found = {ids[case.id]: case for case in told}
        self._note(store, study, [v.id for case in found.values() for v in case.verdicts])
        return found

    def _wait(self, store: Store, study: Any, ids: Sequence[int]) -> None:
        """Until no item is open, or the time is up."""
        begun, said, before = self.clock(), -SIGN, -1
        link = f"{self.how.site.rstrip('/')}/studies/{study.id}/judge"
        while True:
            left, at = _open(store, ids), self.clock() - begun
            if left and at >= 3600 * self.how.hours:
                self.tell(f"people: {left} of {len(ids)} items were not judged in time; going on")
                return
            if at - said >= SIGN or (left != before and at - said >= 10):
                self.tell(f"people: {len(ids) - left} of {len(ids)} judged; judge at {link}")
                said, before = at, left
            if not left:
                return
            self.rest(self.how.look)

    def _note(self, store: Store, study: Any, ids: Sequence[int]) -> None:
        """The store's own line about what a run learned from."""
        found = Resolved([], [], [], sorted(ids), digest(sorted(ids)), {})
        handed_out(store, study.id, Filters(), found, "a run that asked", None)


def _open(store: Store, ids: Sequence[int]) -> int:
    with store.read() as session:
        return session.query(Item.id).filter(Item.id.in_(ids), Item.open.is_(True)).count()


def _key(case: Case) -> str:
    return Group(case.messages, tuple(one.text for one in case.answers)).key


def _scores(case: Case | None, one: Group, kind: str, scale: int, hours: float) -> dict[str, Score]:
    """Of each text; Invalid where nobody said anything."""
    if len(one.texts) == 1 and kind != "rate":
        return dict.fromkeys(one.texts, 0.5)  # all answers are the same: nothing to compare
    if case is None:
        return dict.fromkeys(one.texts, Invalid("the study did not take it"))
    people = [v for v in case.verdicts if not v.ai and not v.excluded]
    said = [v for v in people if v.final] or people
    if not said:
        why = f"nobody judged it within {hours:g} h, or it was thrown out"
        return dict.fromkeys(one.texts, Invalid(why))
    each = [_points(v, len(one.texts), scale) for v in said]
    return {text: mean(points[i] for points in each) for i, text in enumerate(one.texts)}


def _points(one: Verdict, count: int, scale: int) -> list[float]:
    """What one judge thinks of each answer, within 0..1."""
    if one.ratings:
        rows = one.ratings.values()
        return [mean((row[i] - 1) / (scale - 1) for row in rows) for i in range(count)]
    if one.both_bad or one.ranks is None:
        return [0.0] * count
    ranks = one.ranks
    return [
        sum(
            0.5 if other == mine else float(other > mine) for j, other in enumerate(ranks) if j != i
        )
        / (count - 1)
        for i, mine in enumerate(ranks)
    ]
