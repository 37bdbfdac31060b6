"""The first page: what to do next."""

import functools
import json

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from accord.store.judgements import studies
from accord.store.judgements.forms import NewItem, StudyConfig
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import User
from accord.web.render import HERE, page
from accord.web.security import Manager, TheStore, Viewer

router = APIRouter(include_in_schema=False)
SAMPLE = "Sample: two ways on from an opening"
PAIRS = HERE / "sample" / "pairs.jsonl"


@router.get("/")
def home(request: Request, store: TheStore, user: Viewer) -> Response:
    """The studies; where there are none, three steps to the first."""
    rows = studies.studies(store, user)
    mine = sum(row.mine for row in rows)
    where = request.app.state.cfg.where
    return page(request, "home.html", rows=rows, mine=mine, where=where)


@functools.cache
def sample_items() -> tuple[NewItem, ...]:
    """Pairs that the storyteller wrote, shipped with the package."""
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    return tuple(
        NewItem(
            [{"role": "user", "content": row["prompt"]}],
            tuple(row["answers"]),
            models=("storyteller", "storyteller"),
            source=f"sample/{number}",
        )
        for number, row in enumerate(rows, 1)
    )


def add_sample(store: Store, user: User | None) -> int:
    """The study of sample pairs, made where it is not; its id."""
    for row in studies.studies(store):
        if row.study.name == SAMPLE:
            return int(row.study.id)
    config = StudyConfig(
        question="Which is the better way on?",
        guidelines="Choose the story that a child would rather hear to its end.\n\n"
        "- It makes **sense**, and follows from the opening.\n"
        "- Something *happens* in it.\n\nBoth are as good: call it a tie.",
    )
    by = user.id if user else None
    made = studies.create(store, SAMPLE, "pairwise", config, by=by)
    studies.add_items(store, made.id, sample_items(), by=by)
    return int(made.id)


@router.post("/sample")
def sample(store: TheStore, user: Manager) -> Response:
    """One click to the first judgement."""
    return RedirectResponse(f"/studies/{add_sample(store, user)}/judge", 303)
