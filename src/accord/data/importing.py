"""`accord data import`: judgements that were given elsewhere become a study's, each with its judge.

What a file says of answers counts from then on like what is clicked: it is filtered, measured and
exported with the rest.  The same file again adds nothing.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accord.config import Settings
from accord.config.limits import UpTo1
from accord.data import archive, dossier, sources
from accord.data.columns import SplitFacts
from accord.data.pictured import UNSEEN
from accord.data.pieces import ranked_by
from accord.data.studies import opened
from accord.data.tally import Tally
from accord.errors import BadData, BadSettings
from accord.records import Comparison, Demonstration, Rating
from accord.records.plain import messages
from accord.store.judgements import people, studies
from accord.store.judgements.audit import note
from accord.store.judgements.counting import recount
from accord.store.judgements.forms import Kind, NewItem, StudyConfig
from accord.store.judgements.opening import Store, now
from accord.store.judgements.pictures import brought, home
from accord.store.judgements.tables import Item, Judgement, Study

STRENGTHS = (1, 2, 3)
BATCH = 500
"""judgements a transaction"""


class Import(Settings):
    """What an import is told."""

    data: Path
    """judged data: a file, folder or hub id, any shape of docs/data.md; may stand first without its
    key"""
    study: str
    """STORE#STUDY, made where it is not there; may stand second"""
    kind: Literal["auto", "comparisons", "ratings", "demonstrations"] = "auto"
    """what to read the rows as; auto: as their keys say"""
    files: SplitFacts = SplitFacts()
    """how data= is read"""
    limit: UpTo1 = 0.05
    """share of rows that may be unusable before nothing is imported"""


@dataclass(frozen=True)
class Said:
    """One judgement of a file, and the item it is of."""

    item: NewItem
    judge: str
    told: dict[str, Any]
    """columns of the judgement"""
    name: str
    ai: bool = False
    excluded: bool = False
    """its judge's judgements do not count"""

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells items apart."""
        return _key(self.item.messages, self.item.answers)


@dataclass(frozen=True)
class Imported:
    """What became of a file."""

    cfg: Import
    found: str
    """what the file held, and what of the settings it has no use for"""
    lost: Tally
    """its rows"""
    study: Study
    items: int
    """new ones"""
    judgements: int
    """new ones"""
    judges: int
    tally: Tally

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{self.cfg.data}: {self.found}"
        if self.lost.dropped:
            yield from self.lost.lines()
        yield (
            f"{self.cfg.study}: {self.judgements} judgements by {self.judges} judges, "
            f"{self.items} new items ({self.study.kind})"
        )
        if self.tally.dropped or self.tally.noted:
            yield from self.tally.lines("judgements")


def run(cfg: Import) -> Imported:
    """Read, then items, then what was said of them."""
    if archive.is_archive(cfg.data):
        return _whole(cfg)
    kind = None if cfg.kind == "auto" else cfg.kind
    read = sources.read(cfg.data, kind, **cfg.files.how())
    read.tally.check(cfg.limit)
    if read.kind == "prompts":
        raise BadData(
            f"{cfg.data}: its rows are prompts, and nothing is said of any answer; "
            f"accord label data={cfg.data} asks people"
        )
    store, name = opened(cfg.study, make=True)
    try:
        study = _study(store, name, read.records)
        tally = Tally()
        said = list(_said(read.records, study, tally, home(store)))
        items = [*{one.key: one.item for one in said}.values()]
        found = f"{len(read.records)} {read.kind} ({read.shape})"
        found += f"\n{cfg.data}: {UNSEEN}" if read.unseen else ""
        return _put(cfg, store, study, items, said, found, read.tally, tally)
    finally:
        store.close()


def _whole(cfg: Import) -> Imported:
    """A whole study, as its own form keeps it."""
    if cfg.kind != "auto" or cfg.files != SplitFacts():
        raise BadSettings(
            f"{cfg.data} is a whole study, in the form that to=study writes, and has its pictures "
            "and facts with it: leave kind, columns, split, images and facts out"
        )
    lost = Tally()
    kind, config, items, kept = archive.opened(cfg.data, lost)
    lost.check(cfg.limit)
    said = [Said(o.item, o.judge, o.told, o.name, o.ai, o.excluded) for o in kept]
    store, name = opened(cfg.study, make=True)
    try:
        study = _named(store, name, kind) or studies.create(store, name, kind, config)
        found = f"{len(items)} items and {len(said)} judgements (a whole study)"
        return _put(cfg, store, study, items, said, found, lost, Tally())
    finally:
        store.close()


def _put(
    cfg: Import, store: Store, study: Study, items: Sequence[NewItem], said: Sequence[Said],
    found: str, lost: Tally, tally: Tally,
) -> Imported:  # fmt: skip
    """Items, then what was said of them."""
    added = studies.add_items(store, study.id, items)
    for why in added.refused:
        tally.note("item refused", why)
    count, judges = _judged(store, study, said, str(cfg.data), tally)
    return Imported(cfg, found, lost, study, added.new, count, judges, tally)


def _named(store: Store, name: str, kind: Kind) -> Study | None:
    """The study of that name; BadSettings where it is of another kind."""
    there = [row.study for row in studies.studies(store) if row.study.name == name]
    if there and there[0].kind != kind:
        raise BadSettings(
            f"study {name!r} is of kind {there[0].kind}, and these are judgements of kind {kind}: "
            "import them into another study"
        )
    return there[0] if there else None


def _study(store: Store, name: str, records: Sequence[Any]) -> Study:
    """The study of that name, or a new one that these records fit."""
    first = records[0]
    kind: Kind = "rewrite" if isinstance(first, Demonstration) else "rate"
    if isinstance(first, Comparison):
        kind = "rank" if any(len(one.responses) > 2 for one in records) else "pairwise"
    if (there := _named(store, name, kind)) is not None:
        return there
    cfg = StudyConfig(verdicts=("tie", "both_bad", "strength"))
    if kind == "rate":
        cfg = StudyConfig(axes=("good",), scale=2)
    return studies.create(store, name, kind, cfg)


def _said(records: Sequence[Any], study: Study, tally: Tally, at: Path) -> Iterator[Said]:
    """Each record as a judgement; answers to one prompt stand in the order first seen."""
    config = StudyConfig.of(study.config)
    orders: dict[Any, tuple[str, ...]] = {}
    for n, one in enumerate(records):
        name = one.id or f"#{n}"
        talk = brought(messages(one.prompt), at)
        if isinstance(one, Comparison):
            order = orders.setdefault((one.prompt, frozenset(one.responses)), one.responses)
            item = NewItem(talk, order, source=name)
            yield Said(item, one.judge, _verdict(one, order, name, tally), name)
        elif isinstance(one, Rating):
            marks = {axis: [config.scale if one.good else 1] for axis in config.axes}
            item = NewItem(talk, (one.response,), source=name)
            yield Said(item, one.judge, {"ratings": marks, "reason": one.why}, name)
        else:
            told = {"rewrite": one.response}
            yield Said(NewItem(talk, (), source=name), one.author, told, name)


def _verdict(one: Comparison, order: tuple[str, ...], name: str, tally: Tally) -> dict[str, Any]:
    """Its places in the item's own order."""
    if one.why == "both bad" and one.tie:
        return {"both_bad": True}
    of = dict(zip(one.responses, one.ranks, strict=True))
    places = ranked_by([-of[text] for text in order])
    told: dict[str, Any] = {"ranks": [*places], "reason": one.why}
    if one.strength in STRENGTHS and not one.tie and len(order) == 2:
        told["strength"] = int(one.strength or 0)
    elif one.strength is not None:
        tally.note("strength", f"{name}: {one.strength:g} is none of 1, 2, 3 for a pair")
    if one.p_first is not None:
        tally.note("soft label", f"{name}: a verdict has no probability; its order is kept")
    return told


def _key(talk: Sequence[Any], answers: Sequence[str]) -> tuple[Any, ...]:
    return (repr(talk), tuple(answers))


def _judged(
    store: Store, study: Study, said: Sequence[Said], source: str, tally: Tally
) -> tuple[int, int]:
    """(new judgements, judges)."""
    ids = {
        _key(case.messages, [one.text for one in case.answers]): case.id
        for case in dossier.cases(store, study.id)
    }
    judges = {one.judge: one for one in said}
    users = {judge: _judge(store, judge, one.ai, one.excluded) for judge, one in judges.items()}
    seen: set[tuple[int, int]] = set()
    new = 0
    for start in range(0, len(said), BATCH):
        with store.write() as session:
            for one in said[start : start + BATCH]:
                item, user = ids.get(one.key), users[one.judge]
                if item is None:
                    tally.drop("its item was refused", one.name)
                    continue
                if (item, user) in seen:
                    tally.drop("judged twice by one judge", f"{one.name}: {one.judge}")
                    continue
                seen.add((item, user))
                tally.keep()
                key = hashlib.blake2b(f"import/{item}/{user}".encode(), digest_size=32).hexdigest()
                if session.query(Judgement.id).filter(Judgement.key == key).first():
                    continue
                more: dict[str, Any] = {"item_id": item, "user_id": user, "key": key}
                more |= {"shown": list(range(len(one.item.answers))), "created": now()}
                origin = {"imported": source, "row": one.name, **one.told.get("origin", {})}
                session.add(Judgement(act="judge", **{**more, **one.told, "origin": origin}))
                new += 1
    with store.write() as session:
        recount(session, Item.study_id == study.id)
        note(session, None, "judgements imported", study=study.id, n=new, source=source)
    return new, len(users)


def _judge(store: Store, name: str, ai: bool, excluded: bool) -> int:
    """The closed account of a judge in a file: it counts, and nobody comes in by it."""
    called = f"imported: {name}"[:120]
    for one in people.users(store):
        if one.name == called:
            return one.id
    made = people.add(store, called, "annotator", kind="ai" if ai else "person")
    people.close_account(store, made.id)
    if excluded:
        people.exclude(store, made.id)
    return made.id
