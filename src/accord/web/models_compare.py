"""Two models side by side, their names hidden until the verdict; and who wins."""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from sqlalchemy import select

from accord.errors import BadData, BadSettings
from accord.store.judgements import ranking, resolve, studies, talk
from accord.store.judgements.forms import Act, NewItem
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Item, Judgement, Prompt, Response, Study
from accord.web.models_known import model, models, titles
from accord.web.render import page, rights
from accord.web.security import Judge, Manager, Reader, TheStore

router = APIRouter(include_in_schema=False)
Verdict = Literal["left", "right", "tie", "bad", "skip"]
RANKS = {"left": (0, 1), "right": (1, 0), "tie": (0, 0)}
MIDDLE = 1000.0
"""the mean of all points"""
_cache: dict[Any, ranking.Table] = {}
_cached = threading.Lock()


class Vote(BaseModel):
    """What one thinks of the two answers."""

    key: str = Field(min_length=1, max_length=64)
    verdict: Verdict
    reason: str = Field(default="", max_length=2000)
    ms_total: int | None = Field(default=None, ge=0)
    ms_visible: int | None = Field(default=None, ge=0)
    ms_first: int | None = Field(default=None, ge=0)

    def act(self) -> Act:
        """As the store takes it."""
        judged = self.verdict != "skip"
        return Act(
            lease_id=0,
            key=self.key,
            act="judge" if judged else "skip",
            ranks=RANKS.get(self.verdict),
            both_bad=self.verdict == "bad",
            reason=self.reason,
            ms_total=self.ms_total,
            ms_visible=self.ms_visible,
            ms_first=self.ms_first,
        )


@router.get("/compare")
def choose_models(
    request: Request, user: Judge, left: str = "", right: str = "", wrong: str = ""
) -> HTMLResponse:
    """Which two; or two by lot."""
    told: dict[str, Any] = {
        "models": models(request.app),
        "left": left,
        "right": right,
        "wrong": wrong,
    }
    return page(request, "models/compare.html", **told)


@router.post("/compare")
def begin(
    request: Request,
    user: Judge,
    store: TheStore,
    left: Annotated[str, Form()] = "",
    right: Annotated[str, Form()] = "",
) -> RedirectResponse:
    """A blind comparison; what is not chosen is drawn by lot."""
    names = [one.name for one in models(request.app)]
    chosen = [model(request.app, name).name for name in (left, right) if name]
    others = [name for name in names if name not in chosen]
    chosen += random.SystemRandom().sample(others, min(len(others), 2 - len(chosen)))
    if len({*chosen}) < 2:
        raise BadSettings("a comparison takes two different models; train or add another one")
    arena = talk.arena(store, user.id)
    made = talk.open_chat(store, user.id, chosen, study_id=arena.id, blind=True)
    return RedirectResponse(f"/chat/{made.id}", 303)


@router.post("/chat/{chat_id}/choose")
def choose(
    request: Request, user: Judge, store: TheStore, chat_id: int, vote: Vote
) -> dict[str, Any]:
    """The verdict; after it the names are known, and it stays."""
    found = talk.chat(store, chat_id, user.id)
    order = found.pending["order"] if found.pending else None
    receipt = talk.choose(store, chat_id, user.id, vote.act())
    known = titles(request.app)
    names = [known.get(one, one) for one in receipt.models]
    if not names and order and vote.verdict != "skip":
        names = [found.models[i] for i in order]
    again = f"/compare?{urlencode({'left': found.models[0], 'right': found.models[1]})}"
    told = {"judgement": receipt.judgement_id, "models": names, "again": again}
    if "manage" in rights(user.role):
        told["studies"] = [
            {"id": row.study.id, "name": row.study.name}
            for row in studies.studies(store)
            if row.study.kind in ("pairwise", "rank", "rate", "rewrite")
        ]
    return told


class Sent(BaseModel):
    """A pair, and where it goes."""

    judgement: int
    study: int


@router.post("/compare/send")
def send(user: Manager, store: TheStore, sent: Sent) -> dict[str, Any]:
    """Ask others about these two answers too: an item of another study."""
    item = _pair(store, sent.judgement, user.id)
    added = studies.add_items(store, sent.study, [item], user.id)
    name = studies.study(store, sent.study).name
    if added.refused:
        raise BadData(added.refused[0])
    said = f"Sent to {name}." if added.new else f"{name} asks about this pair already."
    return {"said": said}


def _pair(store: Store, judgement_id: int, user_id: int) -> NewItem:
    with store.read() as session:
        judged = session.get(Judgement, judgement_id)
        if judged is None or judged.user_id != user_id:
            raise HTTPException(404, "There is no such judgement of yours.")
        item = session.get_one(Item, judged.item_id)
        prompt = session.get_one(Prompt, item.prompt_id)
        answers = [session.get_one(Response, one) for one in item.responses]
    return NewItem(
        messages=prompt.messages,
        answers=tuple(one.text for one in answers),
        models=tuple(one.model for one in answers),
        source=f"judgement {judgement_id}",
    )


# --- who wins ---


@dataclass(frozen=True)
class Place:
    """A model on the leaderboard."""

    name: str
    points: float | None
    """Bradley-Terry on a scale of Elo: 400 points are odds of 10 to 1, their mean is 1000"""
    low: float | None
    high: float | None
    rate: float
    games: int
    elo: float


@router.get("/leaderboard")
def leaderboard(
    request: Request, user: Reader, store: TheStore, study: Annotated[int | None, Query()] = None
) -> HTMLResponse:
    """Strengths by all verdicts between models, or by those of one study."""
    with store.read() as session:
        kinds = ("pairwise", "rank", "chat")
        query = select(Study).where(Study.kind.in_(kinds)).order_by(Study.name)
        every = [(one.id, one.name) for one in session.scalars(query)]
    games = resolve.leaderboard_games(store, None if study is None else [study])
    known = titles(request.app)
    told: dict[str, Any] = {"studies": every, "study": study, "left_out": games.told}
    told |= {"places": [], "note": "", "games": len(games.games), "matrix": []}
    if games.games:
        table = _table(games)
        told["places"] = places = [_place(row, known) for row in table.rows]
        told["note"] = _named(table.note, known)
        told["matrix"] = _matrix(games.games, [row.name for row in table.rows])
        told["scale"] = _scale(places)
    return page(request, "models/leaderboard.html", **told)


def _table(games: resolve.Games) -> ranking.Table:
    key = tuple(games.games), tuple(games.units)
    with _cached:
        if key not in _cache:
            if len(_cache) > 8:
                _cache.clear()
            _cache[key] = ranking.table(games.games, units=games.units)
        return _cache[key]


def _place(row: ranking.Row, known: dict[str, str]) -> Place:
    low, high = row.points_interval or (None, None)
    name = _short(row.name, known)
    return Place(name, row.points, low, high, row.rate, row.games, row.elo)


def _scale(places: Sequence[Place]) -> tuple[float, float]:
    """The ends of the axis."""
    ends = [x for one in places for x in (one.points, one.low, one.high) if x is not None]
    return (min(ends, default=MIDDLE) - 20, max(ends, default=MIDDLE) + 20)


def _matrix(games: Sequence[tuple[str, str, str]], names: Sequence[str]) -> list[list[Any]]:
    """matrix[i][j]: (points of i against j, a tie being half; games); None where they never met."""
    told: dict[tuple[str, str], list[float]] = {}
    for x, y, winner in games:
        share = {"x": 1.0, "y": 0.0}.get(winner, 0.5)
        for a, b, won in ((x, y, share), (y, x, 1 - share)):
            cell = told.setdefault((a, b), [0.0, 0.0])
            cell[0] += won
            cell[1] += 1
    return [[told.get((a, b)) for b in names] for a in names]


def _named(text: str, known: dict[str, str]) -> str:
    for sign, name in known.items():
        text = text.replace(sign, name)
    return text


def _short(sign: str, known: dict[str, str]) -> str:
    return known.get(sign) or (sign[:12] if len(sign) == 64 else sign)
