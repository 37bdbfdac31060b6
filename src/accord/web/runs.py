"""Runs: the list, one of them live, several in one picture, what they said, when to warn."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field, field_validator

from accord.errors import BadSettings
from accord.web.render import page
from accord.web.runs_alerts import ROLES, WORDS, Rules, named, rules, set_rules
from accord.web.runs_find import Finder, Found
from accord.web.runs_live import Stream, state_of
from accord.web.runs_pictures import sparkline
from accord.web.runs_remote import router as remote
from accord.web.runs_samples import Page
from accord.web.runs_series import Shelf, Watched
from accord.web.security import Manager, Reader

router = APIRouter()
router.include_router(remote)
pages = APIRouter(include_in_schema=False)
TOGETHER = 8
"""runs in one picture; more, and no colour can be told from another"""
BEFORE = 4
"""of these, how many are chosen where nobody has chosen"""
WIDEST = 4000
TICK_S = 0.5


@dataclass(frozen=True)
class Watching:
    """What the site keeps of the runs it looks at."""

    finder: Finder
    shelf: Shelf


_making = threading.Lock()


def watching(app: Any) -> Watching:
    """That of this application, made when it is first asked for."""
    with _making:
        found: Watching | None = getattr(app.state, "watching", None)
        if found is None:
            found = app.state.watching = Watching(Finder(app.state.cfg.runs), Shelf())
    return found


def find(request: Request, name: str) -> Found:
    """The run of that name, or 404."""
    found = watching(request.app).finder.get(name)
    if found is None:
        raise HTTPException(404, f"There is no run {name!r} below the runs folder.")
    return found


@pages.get("/runs")
def all_runs(request: Request, user: Reader, q: str = "", status: str = "") -> HTMLResponse:
    """The list."""
    seen = watching(request.app)
    found = seen.finder.runs()
    shown = [
        run
        for run in found
        if (not status or run.status == status)
        and all(word in f"{run.name} {run.recipe}".casefold() for word in q.casefold().split())
    ]
    counts = {name: sum(run.status == name for run in found) for name in _STATES}
    folder = str(seen.finder.root)
    told: dict[str, Any] = {
        "runs": shown,
        "all": len(found),
        "counts": counts,
        "q": q,
        "only": status,
    }
    return page(request, "runs/list.html", sparkline=sparkline, folder=folder, **told)


@pages.get("/runs/compare")
def compare(
    request: Request, user: Reader, run: Annotated[list[str] | None, Query()] = None
) -> HTMLResponse:
    """Several runs in one picture, and what differs in their settings."""
    if run is None:
        run = []
    seen = watching(request.app)
    every = [one for one in seen.finder.runs() if one.step]
    chosen = [find(request, name) for name in dict.fromkeys(run)][:TOGETHER]
    if not chosen and every:
        chosen = [one for one in every if one.recipe == every[0].recipe][:BEFORE]
    columns = [seen.shelf.get(one.folder) for one in chosen]
    told: dict[str, Any] = {
        "runs": chosen,
        "every": every,
        "most": TOGETHER,
        "differ": _differ(chosen),
    }
    return page(request, "runs/compare.html", **told, **_charts(columns, chosen))


@pages.get("/runs/-/series")
def series(
    request: Request,
    user: Reader,
    run: Annotated[list[str], Query()],
    metric: Annotated[list[str] | None, Query()] = None,
    width: Annotated[int, Query(ge=16, le=WIDEST)] = 600,
    low: int | None = None,
    high: int | None = None,
) -> dict[str, Any]:
    """The columns of some runs as pictures of `width` points, and the mark to follow them from."""
    if metric is None:
        metric = []
    seen = watching(request.app)
    told, marks = [], []
    for name in run[:TOGETHER]:
        watched = seen.shelf.get(find(request, name).folder)
        marks.append(watched.mark)
        columns = {key: watched.columns[key] for key in metric if key in watched.columns}
        pictures = {key: column.picture(width, low, high) for key, column in columns.items()}
        told.append({"name": name, "last": watched.last, "metrics": pictures})
    return {"runs": told, "mark": "~".join(marks)}


@pages.get("/runs/-/events", response_class=EventSourceResponse)
async def events(
    request: Request,
    user: Reader,
    run: Annotated[list[str], Query()],
    after: str = "",
    last_event_id: Annotated[str, Header()] = "",
) -> AsyncIterator[ServerSentEvent]:
    """What happens in these runs from a mark on, until the site goes down."""
    seen = watching(request.app)
    chosen = [one for name in run[:TOGETHER] if (one := seen.finder.get(name))]
    mark = last_event_id or after
    stream = await run_in_threadpool(Stream, chosen, seen.finder, seen.shelf, mark)
    yield ServerSentEvent(comment="here", retry=2000)
    stop = request.app.state.stop
    async for event in follow(stream, lambda: rules(seen.finder.root), stop):
        yield event


@pages.get("/runs/{name:path}/events", response_class=EventSourceResponse)
async def own_events(
    request: Request,
    user: Reader,
    name: str,
    after: str = "",
    last_event_id: Annotated[str, Header()] = "",
) -> AsyncIterator[ServerSentEvent]:
    """The same, of one run."""
    async for event in events(request, user, [name], after, last_event_id):
        yield event


async def follow(
    stream: Stream, how: Callable[[], Rules], stop: threading.Event
) -> AsyncIterator[ServerSentEvent]:
    """The stream as events, until the flag is set."""
    while not stop.is_set():
        for one in await run_in_threadpool(lambda: list(stream.poll(how()))):
            yield ServerSentEvent(data=one.data, event=one.event, id=one.mark)
        for _ in range(5):
            if not stop.is_set():
                await asyncio.sleep(TICK_S / 5)


async def _fields(request: Request) -> dict[str, str]:
    return {key: value for key, value in (await request.form()).items() if isinstance(value, str)}


@pages.get("/runs/-/rules")
def show_rules(request: Request, user: Reader) -> HTMLResponse:
    """When runs are worth a warning."""
    made = rules(watching(request.app).finder.root)
    values = {row.name: getattr(made, row.name) for row in Rules.fields()}
    return _rules_page(request, values, {})


@pages.post("/runs/-/rules")
def keep_rules(
    request: Request, user: Manager, given: Annotated[dict[str, str], Depends(_fields)]
) -> HTMLResponse:
    """Change them, or say at the field what is wrong with it."""
    names = [row.name for row in Rules.fields()]
    values: dict[str, Any] = {n: given.get(n, "").strip() for n in names}
    try:
        made = Rules(**{n: _value(v) for n, v in values.items()})
    except BadSettings as error:
        field, _, said = str(error).partition(" = ")
        return _rules_page(request, values, {field: said}, 422)
    set_rules(watching(request.app).finder.root, made)
    kept = {row.name: getattr(made, row.name) for row in Rules.fields()}
    return _rules_page(request, kept, {}, note="Kept: every run is watched by these from now on.")


class Wanted(BaseModel):
    """Which samples."""

    step: int | None = None
    prompt: int | None = None
    words: str = Field(default="", alias="q", max_length=200)
    sort: Literal["order", "best", "worst"] = "order"
    page: int = Field(default=1, ge=1)
    bare: bool = False
    """without the page around them"""

    @field_validator("step", "prompt", mode="before")
    @classmethod
    def _chosen(cls, value: Any) -> Any:
        return None if value == "" else value  # of a form, where nothing was chosen


@pages.get("/runs/{name:path}/samples")
def samples(
    request: Request, user: Reader, name: str, wanted: Annotated[Wanted, Query()]
) -> HTMLResponse:
    """What a run said: at a step, to a prompt over the steps, or wherever some words occur."""
    run = find(request, name)
    index = watching(request.app).shelf.get(run.folder).samples.refresh()
    steps, step = index.turns(), wanted.step
    if step is None and wanted.prompt is None and not wanted.words and steps:
        step = steps[-1]
    if step is not None and steps:  # the nearest that has some
        step = min(steps, key=lambda one: abs(one - (step or 0)))
    at = None if wanted.prompt is not None else step
    ask = {"words": wanted.words, "sort": wanted.sort, "page": wanted.page}
    shown = index.page(step=at, prompt=wanted.prompt, **ask)  # type: ignore[arg-type]
    known = [(p, n, _first(index.page(prompt=p, per=1))) for p, n in index.returning()[:50]]
    told: dict[str, Any] = {"run": run, "shown": shown, "step": step, "steps": steps}
    told |= {"prompt": wanted.prompt, "words": wanted.words, "sort": wanted.sort}
    told |= {"known": known, "count": len(index), "base": f"/runs/{quote(run.name)}/samples"}
    template = "runs/samples_bare.html" if wanted.bare else "runs/samples.html"
    return page(request, template, **told)


@pages.get("/runs/{name:path}/settings")
def settings(request: Request, user: Reader, name: str) -> HTMLResponse:
    """What a run was begun with."""
    run = find(request, name)
    told: dict[str, Any] = {"settings": _flat(run.settings), "identity": _flat(run.identity)}
    return page(request, "runs/settings.html", run=run, **told)


@pages.get("/runs/{name:path}")
def one_run(request: Request, user: Reader, name: str) -> HTMLResponse:
    """A run as it goes."""
    run = find(request, name)
    seen = watching(request.app)
    watched = seen.shelf.get(run.folder)
    state = state_of(run, seen.shelf, rules(seen.finder.root))
    return page(request, "runs/one.html", run=run, state=state, **_charts([watched], [run]))


_STATES = ("running", "done", "stopped", "failed")


def _charts(watched: list[Watched], runs: list[Found]) -> dict[str, Any]:
    """What the charts begin with: names by group, which are shown first, what each was last."""
    names = sorted({name for one in watched for name in one.columns})
    first = []
    for role in ROLES:
        found = next((n for one in watched if (n := named(one.columns, role))), "")
        if found and found not in first:
            first.append(found)
    if len(first) < 4:
        likely = [n for n in names if n not in first and not n.startswith(("time/", "lr", "epoch"))]
        first += sorted(likely, key=lambda n: not n.startswith(("rewards/", "eval/")))
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition("/")[0] if "/" in name else "", []).append(name)
    titles = {n: WORDS[role] for role, members in ROLES.items() for n in members}
    table = [(name, [_brief(one, name) for one in watched]) for name in names]
    given = {"runs": [run.name for run in runs], "first": first[:8], "titles": titles}
    return {"groups": groups, "first": first[:8], "table": table, "given": given}


def _brief(watched: Watched, name: str) -> dict[str, float | int] | None:
    column = watched.columns.get(name)
    known = [(v, s) for v, s in zip(column.values, column.steps) if v == v] if column else []
    if not known:
        return None
    (least, _), (most, _) = min(known), max(known)
    return {"last": known[-1][0], "least": least, "most": most, "step": known[-1][1]}


def _differ(runs: list[Found]) -> list[tuple[str, list[Any]]]:
    """(setting, its value in each run) of those that are not all alike."""
    if len(runs) < 2:
        return []
    flat = [{"recipe": run.recipe, **_flat(run.settings)} for run in runs]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    rows = [(key, [one.get(key, "—") for one in flat]) for key in keys]
    return [(key, values) for key, values in rows if any(v != values[0] for v in values)]


def _flat(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = "none" if value is None else value
    return found


def _first(page: Page) -> str:
    return page.samples[0].prompt if page.samples else ""


def _value(text: str) -> Any:
    return None if text.lower() in ("", "none", "off") else text


def _rules_page(
    request: Request,
    values: Mapping[str, Any],
    wrong: Mapping[str, str],
    status: int = 200,
    note: str = "",
) -> HTMLResponse:
    rows = [(row.name, row.help, values.get(row.name)) for row in Rules.fields()]
    told: dict[str, Any] = {"rows": rows, "wrong": wrong, "note": note}
    return page(request, "runs/rules.html", status, **told)


router.include_router(pages)
