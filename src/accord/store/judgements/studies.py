"""Studies and their items: making, changing, filling, and which items are asked first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from accord.config import plain
from accord.errors import BadSettings
from accord.store.judgements import filling
from accord.store.judgements.audit import note
from accord.store.judgements.counting import practice, recount, standing
from accord.store.judgements.forms import (
    KINDS,
    Kind,
    NewItem,
    NotThere,
    Shown,
    StudyConfig,
    Task,
)
from accord.store.judgements.opening import Store, now
from accord.store.judgements.tables import Item, Judgement, Member, Study, User

BATCH = 200
"""items a transaction: others may write in between"""


@dataclass(frozen=True)
class StudyRow:
    """A study and how far it is; known items (gold) are not among the items."""

    study: Study
    items: int
    judged: int
    """items that nobody is asked about any more"""
    open: int
    mine: int
    """verdicts of the one who looks"""


@dataclass(frozen=True)
class Added:
    """What became of new items."""

    new: int
    known: int
    """they were in the study already"""
    refused: list[str]
    """why, a sentence each"""


def create(
    store: Store, name: str, kind: Kind, config: StudyConfig, by: int | None = None
) -> Study:
    """A new, empty, open study; BadSettings where its settings contradict its kind."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= 120:
        raise BadSettings("a study's name has 1 to 120 characters")
    if kind not in KINDS:
        raise BadSettings(f"{kind!r} is no kind of study; there are {', '.join(KINDS)}")
    config.fit(kind)
    with store.write() as session:
        if session.scalar(select(Study.id).where(Study.name == name)) is not None:
            raise BadSettings(f"there is a study {name!r} already; choose another name")
        made = Study(name=name, kind=kind, config=plain(config), created=now(), by=by)
        session.add(made)
        session.flush()
        note(session, by, "study made", study=made.id, name=name, kind=kind)
    return made


def config_of(study: Study) -> StudyConfig:
    """A study's settings."""
    return StudyConfig.of(study.config)


def revise(store: Store, study_id: int, config: StudyConfig, by: int | None = None) -> Study:
    """Other settings; items open or close with the overlap.

    BadSettings for a change that would mix numbers that mean different things.
    """
    with store.write() as session:
        study = get(session, study_id)
        was = config_of(study)
        config.fit(_kind(study))
        if study.kind == "rate" and was.scale != config.scale and _judged(session, study_id):
            raise BadSettings(
                f"there are ratings from 1 to {was.scale} in this study; make another study for "
                f"ratings from 1 to {config.scale}"
            )
        before, after = plain(was), plain(config)
        study.config = after
        session.flush()
        recount(session, Item.study_id == study_id)
        study = get(session, study_id)
        changed = {key: after[key] for key in after if after[key] != before.get(key)}
        note(session, by, "study changed", study=study_id, changed=changed)
    return study


def set_status(store: Store, study_id: int, status: str, by: int | None = None) -> None:
    """open, paused (no new items are given out) or closed."""
    if status not in ("open", "paused", "closed"):
        raise BadSettings(f"a study is open, paused or closed, not {status!r}")
    with store.write() as session:
        get(session, study_id).status = status
        note(session, by, "study " + status, study=study_id)


def set_members(store: Store, study_id: int, user_ids: Iterable[int], by: int | None) -> None:
    """Who takes part, where not everyone may (`everyone=false`); replaces the list."""
    with store.write() as session:
        get(session, study_id)
        wanted = {*user_ids}
        now_in = {*session.scalars(select(Member).where(Member.study_id == study_id))}
        for one in now_in:
            if one.user_id not in wanted:
                session.delete(one)
        for user_id in wanted - {one.user_id for one in now_in}:
            session.add(Member(study_id=study_id, user_id=user_id))
        note(session, by, "members changed", study=study_id, members=sorted(wanted))


def members(store: Store, study_id: int) -> list[User]:
    """Who is on the list, by name."""
    query = select(User).join(Member, Member.user_id == User.id)
    with store.read() as session:
        return [*session.scalars(query.where(Member.study_id == study_id).order_by(User.name))]


def takes_part(session: Session, study: Study, user: User) -> bool:
    """Whether a study is for someone: everyone's, or theirs by the list; managers see all."""
    if config_of(study).everyone or user.role in ("owner", "manager"):
        return True
    return session.get(Member, (study.id, user.id)) is not None


def study(store: Store, id_or_name: int | str) -> Study:
    """A study by number or name; NotThere where there is none."""
    with store.read() as session:
        return get(session, id_or_name)


def get(session: Session, id_or_name: int | str) -> Study:
    """The same within a transaction."""
    column = Study.id if isinstance(id_or_name, int) else Study.name
    found = session.scalars(select(Study).where(column == id_or_name)).first()
    if found is None:
        raise NotThere(f"there is no study {id_or_name!r}")
    return found


def studies(store: Store, user: User | None = None) -> list[StudyRow]:
    """All studies, or those someone takes part in; the latest first."""
    items = select(Item.study_id, func.count(), func.count().filter(Item.open.is_(True)))
    items = items.where(Item.gold.is_(None)).group_by(Item.study_id)
    mine = select(Item.study_id, func.count()).join(Judgement, Judgement.item_id == Item.id)
    mine = mine.where(Judgement.act == "judge", standing(), ~practice())
    mine = mine.where(Judgement.user_id == (user.id if user else None)).group_by(Item.study_id)
    with store.read() as session:
        rows = {study_id: (count, is_open) for study_id, count, is_open in session.execute(items)}
        own = dict([*session.execute(mine)]) if user else {}
        found = []
        for one in session.scalars(select(Study).order_by(Study.id.desc())):
            if user is None or takes_part(session, one, user):
                count, is_open = rows.get(one.id, (0, 0))
                found.append(StudyRow(one, count, count - is_open, is_open, own.get(one.id, 0)))
    return found


# --- items ---


def add_items(
    store: Store, study_id: int, items: Iterable[NewItem], by: int | None = None
) -> Added:
    """New items, a few hundred a transaction; what is in the study already is not doubled."""
    new = known = 0
    refused: list[str] = []
    kind = _kind(study(store, study_id))
    batch: list[tuple[int, NewItem]] = []

    def put() -> None:
        nonlocal new, known
        with store.write() as session:
            filling.alone(session)
            for number, item in batch:
                if said := filling.flaw(kind, item):
                    refused.append(f"item {number}: {said}")
                elif filling.put(session, study_id, item) is None:
                    known += 1
                else:
                    new += 1
        batch.clear()

    for number, item in enumerate(items, 1):
        batch.append((number, item))
        if len(batch) == BATCH:
            put()
    put()
    with store.write() as session:
        recount(session, Item.study_id == study_id)
        note(session, by, "items added", study=study_id, new=new, known=known, n=len(refused))
    return Added(new, known, refused)


def prioritise(
    store: Store,
    study_id: int,
    scores: Mapping[int, float],
    *,
    random_share: float = 0.2,
    budget: int | None = None,
    seed: int = 0,
) -> int:
    """Ask first about the items with the highest scores (uncertainty); how many will be asked.

    Of `budget` items (all, by default) a `random_share` is drawn by lot from those that do not
    lead by score, and stands spread among them; the others wait outside.  Each item that is asked
    gets its propensity: 1 for the leaders, which were certain to be, and the lot's chance for the
    rest; weighing a verdict with 1/propensity gives estimates for all items scored.
    """
    if not 0 <= random_share <= 1:
        raise BadSettings(f"random_share = {random_share}, expected a share within 0..1")
    budget = len(scores) if budget is None else min(budget, len(scores))
    lots = round(budget * random_share) if budget < len(scores) else 0
    ordered = sorted(scores, key=lambda one: (-scores[one], one))
    leaders, rest = ordered[: budget - lots], ordered[budget - lots :]
    drawn = Random(f"prioritise/{seed}").sample(rest, lots)
    queue = _spread(leaders, drawn)
    chance = lots / len(rest) if rest else 1.0
    certain = {*leaders}
    with store.write() as session:
        mine = select(Item.id).where(Item.study_id == study_id, Item.gold.is_(None))
        if odd := {*scores} - {*session.scalars(mine)}:
            raise NotThere(f"item {min(odd)} is none of this study's items")
        rows = [
            {"id": one, "turn": float(place - len(queue)), "asked": None}
            | {"propensity": 1.0 if one in certain else chance}
            for place, one in enumerate(queue)
        ]
        away = {*ordered} - {*queue}
        rows += [{"id": one, "turn": 0.0, "asked": 0, "propensity": None} for one in away]
        if rows:
            session.execute(update(Item), rows)
        recount(session, Item.study_id == study_id)
        note(session, None, "prioritised", study=study_id, asked=len(queue), lots=lots, seed=seed)
    return len(queue)


def _spread(leaders: list[int], drawn: list[int]) -> list[int]:
    """Both in their orders, the second evenly among the first."""
    places = [((place + 0.5) / len(leaders), one) for place, one in enumerate(leaders)]
    places += [((place + 0.5) / len(drawn), one) for place, one in enumerate(drawn)]
    return [one for _, one in sorted(places)]


def preview(config: StudyConfig, kind: Kind) -> Task:
    """What an annotator would see, of a made-up item; BadSettings as for a study."""
    config.fit(kind)
    texts = filling.EXAMPLE[: 1 if kind == "rewrite" else 3 if kind == "rank" else 2]
    names = ("model-a", "model-b", "model-c")
    shown = tuple(
        Shown(place, text, "" if config.blind else names[place]) for place, text in enumerate(texts)
    )
    parts = [{"type": "text", "text": filling.QUESTION}, {"type": "fact", "text": filling.KNOWN}]
    messages: list[Any] = [{"role": "user", "content": parts if config.view.facts else parts[:1]}]
    facts = config.view.facts
    return Task(0, 0, 0, kind, config, messages, shown, key="preview", facts=facts)


def _judged(session: Session, study_id: int) -> bool:
    found = select(Judgement.id).join(Item, Item.id == Judgement.item_id)
    return session.scalar(found.where(Item.study_id == study_id).limit(1)) is not None


def _kind(study: Study) -> Kind:
    return next(kind for kind in KINDS if kind == study.kind)
