"""Judgements handed out as a file, in the form that another tool reads."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from accord.data import dossier
from accord.data.export import FORMS
from accord.data.export_study import STUDY_FORMS, rows_of
from accord.data.tally import Tally
from accord.data.writing import row
from accord.errors import AccordError, BadData
from accord.store.judgements import resolve, studies
from accord.store.judgements.opening import Store
from accord.store.judgements.resolve import Filters, Resolved
from accord.store.judgements.tables import Study, User
from accord.web.api import SAYS
from accord.web.render import page
from accord.web.security import Id, Manager, TheStore, bearer

router = APIRouter()
NAMES = {
    "accord": "Accord: what our recipes read",
    "trl_explicit": "TRL: chosen and rejected, prompt apart",
    "trl_implicit": "TRL: chosen and rejected, whole conversations",
    "trl_standard": "TRL: plain strings",
    "trl_unpaired": "TRL: single answers, good or not (KTO)",
    "trl_messages": "TRL: conversations to imitate",
    "trl_completion": "TRL: prompt and completion",
    "ultrafeedback_binarized": "UltraFeedback, binarized",
    "hh_transcripts": "Transcripts, as in Anthropic's HH",
    "study": "The whole study: every answer, every verdict, who and why",
    "helpsteer3": "HelpSteer3: every annotator's preference",
    "ultrafeedback": "UltraFeedback: ratings of each answer",
    "distilabel": "distilabel",
    "lmarena": "LMArena battles",
    "oasst": "OpenAssistant trees",
    "tldr": "OpenAI's comparisons (TL;DR)",
    "argilla": "Argilla",
    "label_studio": "Label Studio",
    "tulu_completions": "Tülu: prompt and completions",
}
"""form -> what it is; the page lists those that fit a study"""


class Wanted(BaseModel):
    """What to hand out, and which judgements count."""

    model_config = ConfigDict(extra="forbid")
    to: str = "accord"
    """the form"""
    labels: Literal["majority", "soft", "every"] = "majority"
    ties: Literal["drop", "half", "keep"] = "drop"
    agreement: Annotated[float, Field(ge=0, le=1)] = 0.0
    least: Annotated[int, Field(ge=1, le=50)] = 1
    flagged: Literal["drop", "keep"] = "drop"
    fast: Literal["drop", "keep"] = "keep"
    straight: Literal["drop", "keep"] = "keep"
    leaks: Literal["drop", "keep"] = "drop"
    ai: Literal["drop", "keep", "only"] = "drop"
    since: str = ""
    final_only: bool = False

    def filters(self) -> Filters:
        """As the store takes them; a form of votes holds each as it was given."""
        told = self.model_dump(exclude={"to"})
        if self.to in STUDY_FORMS:
            told |= {"labels": "every", "ties": "keep"}
        return Filters(**told)


@dataclass(frozen=True)
class Handed:
    """The rows, and what became of the rest."""

    text: str
    """JSON lines"""
    rows: int
    tally: Tally
    found: Resolved


def handed(store: Store, study: Study, wanted: Wanted, by: int | None) -> Handed:
    """A study's judgements in a form, noted in the store as handed out.  BadData where none fit."""
    if wanted.to not in NAMES:
        raise BadData(f"to={wanted.to} is no form; there are {', '.join(NAMES)}")
    filters, tally = wanted.filters(), Tally()
    found = resolve.records(store, study.id, filters)
    text = [
        json.dumps(one, ensure_ascii=False) for one in _rows(store, study, wanted, found, tally)
    ]
    if not text:
        why = "; ".join(f"{count} {said}" for said, count in found.told.items() if count)
        lost = "; ".join(f"{count} {said}" for said, count in tally.dropped.items())
        said = "; ".join(filter(None, (why, lost))) or "nothing fits that form yet"
        raise BadData(f"no judgement to hand out as {wanted.to}: {said}")
    resolve.handed_out(store, study.id, filters, found, f"site: {wanted.to}", by)
    return Handed("\n".join(text) + "\n", len(text), tally, found)


def _rows(
    store: Store, study: Study, wanted: Wanted, found: Resolved, tally: Tally
) -> Iterable[Mapping[str, Any]]:
    if wanted.to in STUDY_FORMS:
        cases = dossier.cases(store, study.id, found.judgement_ids)
        return rows_of(wanted.to, cases, tally)
    if wanted.to == "accord":
        kind = {"rate": "ratings", "rewrite": "demonstrations"}.get(study.kind, "comparisons")
        return (row(one) for one in getattr(found, kind))
    form = FORMS[wanted.to]
    return form.rows(getattr(found, form.kind), "drop", tally)


def fitting(study: Study) -> list[tuple[str, str]]:
    """(form, what it is) of those that a study of that kind can fill."""
    kinds = {"rewrite": ("demonstrations",), "rate": ("comparisons", "ratings")}
    mine = kinds.get(study.kind, ("comparisons", "ratings"))
    own = ("study",) if study.kind == "rewrite" else tuple(STUDY_FORMS)
    few = [(name, said) for name, said in NAMES.items() if name in ("accord", *own)]
    return (
        few[:1]
        + [(name, NAMES[name]) for name, form in FORMS.items() if form.kind in mine]
        + few[1:]
    )


def _attached(study: Study, wanted: Wanted, made: Handed) -> Response:
    head = {
        "content-disposition": f'attachment; filename="study-{study.id}-{wanted.to}.jsonl"',
        "x-accord-digest": made.found.digest,
        "x-accord-rows": str(made.rows),
    }
    return Response(made.text, media_type="application/x-ndjson", headers=head)


@router.get("/studies/{study_id}/export", include_in_schema=False)
def export_page(request: Request, store: TheStore, user: Manager, study_id: Id) -> Response:
    """Which form, and which judgements."""
    return _page(request, store, studies.study(store, study_id), Wanted(), "")


def _page(request: Request, store: Store, study: Study, wanted: Wanted, error: str) -> Response:
    return page(
        request,
        "studies/export.html",
        400 if error else 200,
        study=study,
        wanted=wanted,
        forms=fitting(study),
        error=error,
        exports=resolve.exports(store, study_id=study.id),
        where=request.app.state.cfg.where,
    )


@router.post("/studies/{study_id}/export", include_in_schema=False)
def export(
    request: Request,
    store: TheStore,
    user: Manager,
    study_id: Id,
    wanted: Annotated[Wanted, Form()],
) -> Response:
    """The file; where nothing fits, the page again with the reason."""
    study = studies.study(store, study_id)
    try:
        return _attached(study, wanted, handed(store, study, wanted, user.id))
    except AccordError as error:
        return _page(request, store, study, wanted, str(error))


@router.get(
    "/api/v1/studies/{study_id}/export", tags=["v1"], responses=SAYS, response_class=Response
)
def export_by_program(
    store: TheStore,
    user: Annotated[User, Depends(bearer("read", "manage"))],
    study_id: Id,
    wanted: Annotated[Wanted, Query()],
) -> Response:
    """A study's judgements as JSON lines."""
    study = studies.study(store, study_id)
    try:
        return _attached(study, wanted, handed(store, study, wanted, user.id))
    except BadData as error:
        raise HTTPException(400, str(error)) from None
