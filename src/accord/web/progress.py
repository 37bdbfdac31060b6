"""How far a study is, whether its annotators agree, and how each of them judges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from accord.maths.intervals import Estimate
from accord.store.judgements import people, studies
from accord.store.judgements.agreement import Agreement, Kappa, report
from accord.store.judgements.opening import Store, now
from accord.store.judgements.progress import (
    AnnotatorRow,
    annotators,
    disputed,
    study_progress,
)
from accord.store.judgements.quiz import let_in, stuck, warning
from accord.store.judgements.tables import User
from accord.web.charts import Span, days, span
from accord.web.people import whom
from accord.web.render import page
from accord.web.security import Id, Manager, Reader, TheStore
from accord.web.studies import seen

router = APIRouter(include_in_schema=False)
SURE, MAYBE = 0.8, 0.667
"""Krippendorff's own bounds (2004): reliable, and fit for tentative conclusions"""
MOST = 20
"""annotators in the table of kappas"""


@dataclass(frozen=True)
class Alpha:
    """Krippendorff's alpha in words."""

    alpha: float | None
    level: str
    words: str
    range: str
    span: Span | None
    raw: float | None


@dataclass(frozen=True)
class Place:
    """Whether the answer shown first is favoured, in words."""

    share: float
    low: float
    high: float
    n: int
    span: Span
    words: str


@dataclass(frozen=True)
class Cell:
    """One kappa of the matrix."""

    text: str
    tone: str = ""
    title: str = ""


@dataclass(frozen=True)
class Kappas:
    """Who agrees with whom; symmetric."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Person:
    """A row of the table of annotators, in words."""

    id: int
    name: str
    ai: bool
    excluded: bool
    count: int
    time: str
    gold: str
    agreement: str
    left: Span | None
    left_text: str
    ties: str
    marks: tuple[tuple[str, int], ...]


@router.get("/studies/{study_id}/progress")
def progress_page(request: Request, store: TheStore, user: Reader, study_id: Id) -> Response:
    """All numbers of a study; of the annotators only managers see others than themselves."""
    seen(store, study_id, user)
    return page(request, "progress/page.html", **told(store, study_id, user))


@router.post("/studies/{study_id}/progress/exclude/{user_id}")
def exclude(store: TheStore, user: Manager, study_id: Id, user_id: Id) -> Response:
    """Leave an annotator's judgements out; their items are asked again."""
    whom(store, user_id, user)
    people.exclude(store, user_id, by=user.id)
    return RedirectResponse(f"/studies/{study_id}/progress", 303)


@router.post("/studies/{study_id}/progress/include/{user_id}")
def include(store: TheStore, user: Manager, study_id: Id, user_id: Id) -> Response:
    """Take them in again."""
    whom(store, user_id, user)
    people.include(store, user_id, by=user.id)
    return RedirectResponse(f"/studies/{study_id}/progress", 303)


@router.post("/studies/{study_id}/progress/let-in/{user_id}")
def spare(store: TheStore, user: Manager, study_id: Id, user_id: Id) -> Response:
    """Spare somebody the quiz, or what is left of it."""
    let_in(store, study_id, whom(store, user_id, user).id, by=user.id)
    return RedirectResponse(f"/studies/{study_id}/progress", 303)


def told(store: Store, study_id: int, user: User) -> dict[str, Any]:
    """What the page shows to somebody."""
    me = user.id
    study, manages = studies.study(store, study_id), people.may(user.role, "manage")
    far, said = study_progress(store, study_id, user.id), report(store, study_id)
    rows = [row for row in annotators(store, study_id) if manages or row.user.id == user.id]
    config = studies.config_of(study)
    return {
        "study": study,
        "config": config,
        "far": far,
        "bars": days(dict(far.per_day), now().date()),
        "disputed": disputed(store, study_id),
        "said": alpha_words(said),
        "place": place_words(said.position, said.position_n, config.shuffle),
        "kappas": kappas(said.kappas if manages else ()),
        "people": [person(row) for row in rows],
        "waiting": [
            (user, found) for user, found in stuck(store, study_id) if manages or user.id == me
        ],
        "quiz_warning": warning(store, study_id) if manages else "",
    }


def alpha_words(said: Agreement) -> Alpha:
    """What an alpha means, and how sure it is."""
    if said.alpha is None:
        return Alpha(None, said.level, said.undefined_why, "", None, said.raw)
    if said.alpha >= SURE:
        words = "People agree well enough to build on (0.8 and above)."
    elif said.alpha >= MAYBE:
        words = "People agree enough for tentative conclusions (0.67 to 0.8)."
    elif said.alpha > 0:
        words = (
            "People agree less than one would build on (0.67). For preferences that is usual; "
            "sharper guidelines, or more judges an item, help."
        )
    else:
        words = "People agree no more than by chance: the question may mean different things."
    if said.low is None or said.high is None:
        text = "its interval is undefined: there are too few items"
        return Alpha(said.alpha, said.level, words, text, None, said.raw)
    text = f"{said.low:.2f} to {said.high:.2f}, over {said.n} item{'s' if said.n > 1 else ''}"
    drawn = span(said.alpha, said.low, said.high, MAYBE)
    return Alpha(said.alpha, said.level, words, text, drawn, said.raw)


def place_words(position: Estimate | None, count: int, shuffled: bool = True) -> Place | None:
    """Whether the first place wins more often than the answers explain."""
    if position is None:
        return None
    share, low, high = position.value, position.low, position.high
    if not shuffled:
        words = "This study does not shuffle its answers: the first may win for what it says."
    elif low > 0.5:
        words = "The answer shown first is favoured."
    elif high < 0.5:
        words = "The answer shown last is favoured."
    else:
        words = "No sign that the place decides: half lies within the interval."
    return Place(share, low, high, count, span(share, low, high, 0.5), words)


def kappas(found: Sequence[Kappa]) -> Kappas:
    """The matrix, of those with the most in common."""
    weight: dict[str, int] = {}
    for one in found:
        for who in (one.first.name, one.second.name):
            weight[who] = weight.get(who, 0) + one.n
    names = sorted(sorted(weight, key=lambda who: -weight[who])[:MOST])
    cells: dict[tuple[str, str], Cell] = {}
    for one in found:
        cell = _cell(one)
        cells[one.first.name, one.second.name] = cells[one.second.name, one.first.name] = cell
    rows = tuple(
        (a, tuple(Cell("·", "k-self") if a == b else cells.get((a, b), Cell("")) for b in names))
        for a in names
    )
    return Kappas(tuple(names), rows)


def _cell(one: Kappa) -> Cell:
    title = f"{one.n} in common, {percent(one.alike)} the same"
    if one.kappa is None:
        return Cell("n/a", "", f"{title}; undefined: both said one thing all the time")
    bounds = ((0.6, "k-high"), (0.4, "k-good"), (0.2, "k-some"))
    tone = next((tone for least, tone in bounds if one.kappa >= least), "k-low")
    return Cell(f"{one.kappa:.2f}", tone, title)


def person(row: AnnotatorRow) -> Person:
    """An annotator in words."""
    left = row.left_share
    return Person(
        id=row.user.id,
        name=row.user.name,
        ai=row.user.kind == "ai",
        excluded=row.user.excluded is not None,
        count=row.count,
        time="—" if row.median_s is None else seconds(row.median_s),
        gold=f"{row.gold_right} of {row.gold_n}" if row.gold_n else "—",
        agreement=f"{percent(row.agreement)} of {row.agreement_n}"
        if row.agreement is not None
        else "—",
        left=span(left.value, left.low, left.high, 0.5) if left else None,
        left_text=f"{percent(left.value)} ({percent(left.low)} to {percent(left.high)})"
        if left
        else "",
        ties="—" if row.tie_share is None else percent(row.tie_share),
        marks=tuple(sorted(row.marks.items())),
    )


def seconds(value: float) -> str:
    """A time as people say it: 4.2 s, 75 s, 12 min."""
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"


def percent(share: float) -> str:
    """A share in whole percent."""
    return f"{100 * share:.0f} %"
