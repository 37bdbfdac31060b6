"""The API for programs: JSON at /api/v1, a bearer token, and scopes."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field
from sqlalchemy import select

from accord.store.judgements import acts, agreement, leases, progress, studies
from accord.store.judgements.forms import Act, Kind, NewItem, StudyConfig
from accord.store.judgements.tables import Item, Judgement, User
from accord.web.security import Id, Limit, TheStore, bearer

SAYS: dict[int | str, dict[str, Any]] = {
    400: {"description": "what was sent does not fit; `detail` says why, in one sentence"},
    401: {"description": "no token, or one that does not work"},
    403: {"description": "the token's scope, or its owner's role, does not allow this"},
    404: {"description": "there is no such study or lease"},
    409: {"description": "the lease is over: its item was given to somebody else, or is judged"},
    422: {"description": "a field is missing or not of its type"},
    429: {"description": "too many requests; wait a minute"},
}
router = APIRouter(prefix="/api/v1", tags=["v1"], responses=SAYS)
Reads = Annotated[User, Depends(bearer("read", "read"))]
Looks = Annotated[User, Depends(bearer("read", "manage"))]
"""at what others said"""
Judges = Annotated[User, Depends(bearer("judge", "judge"))]
Manages = Annotated[User, Depends(bearer("manage", "manage"))]
IMPORTS = Limit(120, 60.0)
MOST = 1000
"""rows of one answer, items of one request"""
Text = Annotated[str, Field(max_length=100_000)]


class Part(BaseModel):
    """A piece of a message: text, or a fact, which is known to be so and told to judges alone."""

    type: Literal["text", "fact"] = "text"
    text: Text


class Turn(BaseModel):
    """One message."""

    role: Literal["system", "user", "assistant"]
    content: Text | list[Part]


class ItemIn(BaseModel):
    """Answers to one prompt."""

    prompt: Text | Annotated[list[Turn], Field(min_length=1, max_length=1000)]
    """a text, or a conversation that waits for an answer"""
    answers: Annotated[list[Text], Field(max_length=10)] = []
    models: Annotated[list[str], Field(max_length=10)] = []
    """who wrote each answer; left out: unknown"""
    gold: dict[str, Any] | None = None
    """the verdict known to be right: {"ranks": [...]} or {"ratings": {...}}"""
    priority: float = 0.0
    propensity: Annotated[float, Field(gt=0, le=1)] | None = None
    source: str = ""

    def new(self) -> NewItem:
        """As the store takes it."""
        prompt = self.prompt
        turns = [Turn(role="user", content=prompt)] if isinstance(prompt, str) else prompt
        return NewItem(
            [turn.model_dump() for turn in turns],
            tuple(self.answers),
            models=tuple(self.models),
            gold=self.gold,
            priority=self.priority,
            propensity=self.propensity,
            source=self.source or "api",
        )


class StudyIn(BaseModel):
    """A new study."""

    name: Annotated[str, Field(min_length=1, max_length=120)]
    kind: Kind
    config: dict[str, Any] = {}
    """settings that differ from the usual ones, by name"""


class StudyOut(BaseModel):
    """A study and how far it is."""

    id: int
    name: str
    kind: str
    status: str
    created: datetime
    config: dict[str, Any]
    items: int
    done: int
    open: int


class AddedOut(BaseModel):
    """What became of new items."""

    new: int
    known: int
    refused: list[str]


class ReceiptOut(BaseModel):
    """What became of a verdict."""

    judgement_id: int
    repeated: bool
    models: list[str]


@router.get("/me")
def me(user: Reads) -> dict[str, str]:
    """Whose token this is."""
    return {"name": user.name, "role": user.role, "pseudonym": user.pseudonym}


@router.get("/studies")
def every_study(store: TheStore, user: Reads) -> list[StudyOut]:
    """The studies that the token's owner takes part in."""
    return [_row(row) for row in studies.studies(store, user)]


def _row(row: studies.StudyRow) -> StudyOut:
    one = row.study
    about = {name: getattr(one, name) for name in ("id", "name", "kind", "status", "created")}
    return StudyOut(**about, config=one.config, items=row.items, done=row.judged, open=row.open)


@router.post("/studies", status_code=201)
def new_study(store: TheStore, user: Manages, study: StudyIn) -> StudyOut:
    """A new, empty, open study."""
    given: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in study.config.items()
    }
    made = studies.create(store, study.name, study.kind, StudyConfig.of(given), by=user.id)
    return _one(store, user, made.id)


@router.get("/studies/{study_id}")
def one_study(store: TheStore, user: Reads, study_id: Id) -> StudyOut:
    """One study."""
    return _one(store, user, study_id)


def _one(store: TheStore, user: User, study_id: int) -> StudyOut:
    for row in studies.studies(store, user):
        if row.study.id == study_id:
            return _row(row)
    raise HTTPException(404, f"there is no study {study_id} for you")


@router.put("/studies/{study_id}/status")
def set_status(
    store: TheStore,
    user: Manages,
    study_id: Id,
    status: Annotated[Literal["open", "paused", "closed"], Query()],
) -> StudyOut:
    """Open, paused or closed."""
    studies.set_status(store, study_id, status, by=user.id)
    return _one(store, user, study_id)


@router.post("/studies/{study_id}/items")
def add_items(
    store: TheStore,
    user: Manages,
    study_id: Id,
    items: Annotated[list[ItemIn], Field(max_length=MOST)],
) -> AddedOut:
    """Items, at most 1,000 a request; one that is there already is not doubled."""
    IMPORTS.spend(user.id)
    added = studies.add_items(store, study_id, (one.new() for one in items), by=user.id)
    return AddedOut(**asdict(added))


@router.get("/studies/{study_id}/progress")
def how_far(store: TheStore, user: Looks, study_id: Id) -> dict[str, Any]:
    """Counts of items and judgements."""
    told = asdict(progress.study_progress(store, study_id, user.id))
    return told | {"per_day": [[day.isoformat(), count] for day, count in told["per_day"]]}


@router.get("/studies/{study_id}/agreement")
def agree(store: TheStore, user: Looks, study_id: Id) -> dict[str, Any]:
    """How far annotators agree, and whether the place of an answer mattered."""
    told = agreement.report(store, study_id)
    kept = ("alpha", "low", "high", "level", "undefined_why", "raw", "position_n", "n")
    return {name: getattr(told, name) for name in kept} | {
        "position": asdict(told.position) if told.position else None
    }


# --- judging ---


@router.post("/studies/{study_id}/next")
def next_task(store: TheStore, user: Judges, study_id: Id) -> dict[str, Any] | None:
    """An item to judge, kept for the token's owner for a while; null where none is left."""
    task = leases.next_task(store, study_id, user.id)
    if task is None:
        return None
    told = {name: getattr(task, name) for name in ("study_id", "item_id", "lease_id", "kind")}
    shown = [{"place": one.place, "text": one.text, "model": one.model} for one in task.answers]
    return (
        told
        | {"question": task.config.question, "messages": task.messages, "facts": task.facts}
        | {"answers": shown, "key": task.key}
    )


@router.post("/judgements")
def judge(store: TheStore, user: Judges, act: Act) -> ReceiptOut:
    """A verdict; whatever names an answer does so by its place as shown.  Sent twice: kept once."""
    receipt = acts.submit(store, user.id, act)
    return ReceiptOut(
        judgement_id=receipt.judgement_id, repeated=receipt.repeated, models=[*receipt.models]
    )


@router.post("/leases/{lease_id}/release")
def release(store: TheStore, user: Judges, lease_id: Id) -> dict[str, bool]:
    """Gives an item back unjudged."""
    leases.release(store, lease_id, user.id)
    return {"released": True}


@router.get("/studies/{study_id}/judgements")
def judgements(
    store: TheStore,
    user: Looks,
    study_id: Id,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> list[dict[str, Any]]:
    """Every act as it came, taken back or not, in order; go on with `after` = the last id."""
    studies.study(store, study_id)
    query = (
        select(Judgement, User, Item)
        .join(User, User.id == Judgement.user_id)
        .join(Item, Item.id == Judgement.item_id)
        .where(Item.study_id == study_id, Judgement.id > after)
        .order_by(Judgement.id)
        .limit(limit)
    )
    with store.read() as session:
        return [*_told(session.execute(query))]


def _told(rows: Any) -> Iterator[dict[str, Any]]:
    kept = (
        "id item_id act final shown ranks both_bad strength ratings rewrite reason tags marks soft "
        "created ms_total ms_visible ms_first supersedes"
    )
    for made, who, item in rows:
        yield {name: getattr(made, name) for name in kept.split(" ")} | {
            "annotator": who.pseudonym,
            "ai": who.kind == "ai",
            "counts": who.excluded is None,
            "gold": item.gold is not None,
            "facts": made.origin.get("facts"),
        }
