"""Setting a study up: its form with a preview, its items, its members, its status."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from starlette.responses import RedirectResponse, Response

from accord.config import plain
from accord.errors import AccordError
from accord.store.judgements import studies
from accord.store.judgements.forms import Kind, StudyConfig
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Study, User
from accord.web import importing, study_form
from accord.web.render import page
from accord.web.security import Manager, Reader, TheStore

router = APIRouter(include_in_schema=False)
Which = Annotated[Kind, Form()]


def found(store: Store, study_id: int) -> Study:
    """The study, or 404."""
    try:
        return studies.study(store, study_id)
    except AccordError as error:
        raise HTTPException(404, str(error)) from None


def _form(
    request: Request,
    values: dict[str, Any],
    kind: str,
    name: str,
    errors: dict[str, str],
    study: Study | None = None,
) -> Response:
    return page(
        request,
        "studies/form.html",
        400 if errors else 200,
        groups=study_form.groups(values, errors),
        kind=kind,
        name=name,
        errors=errors,
        study=study,
    )


@router.get("/studies/new")
def new(request: Request, user: Manager, kind: Kind = "pairwise") -> Response:
    """The form of a study that is not there yet."""
    return _form(request, study_form.defaults(), kind, "", {})


async def _given(request: Request) -> dict[str, list[str]]:
    form = await request.form()
    return {key: [str(one) for one in form.getlist(key)] for key in form}


@router.post("/studies/new")
async def create_form(request: Request, store: TheStore, user: Manager) -> Response:
    """Opens the study, or shows what is wrong beside each field."""
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(_save, request, store, user, await _given(request), None)


@router.get("/studies/{study_id}/edit")
def edit(request: Request, store: TheStore, user: Manager, study_id: int) -> Response:
    """The same form, filled."""
    study = found(store, study_id)
    values = study_form.defaults(StudyConfig(**_tuples(study.config)))
    return _form(request, values, study.kind, study.name, {}, study)


@router.post("/studies/{study_id}/edit")
async def edit_form(request: Request, store: TheStore, user: Manager, study_id: int) -> Response:
    """Keeps it; what was judged before stays."""
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(_save, request, store, user, await _given(request), study_id)


def _save(
    request: Request,
    store: Store,
    user: User,
    form: dict[str, list[str]],
    study_id: int | None,
) -> Response:
    study = None if study_id is None else found(store, study_id)
    kind = study.kind if study else form.get("kind", [""])[0]
    name = study.name if study else form.get("name", [""])[0].strip()
    if kind not in study_form.KINDS:
        raise HTTPException(400, f"{kind or 'none'} is no kind of study")
    config, values = study_form.read(form, kind)
    errors = study_form.problems(values, kind)
    if not name:
        errors["name"] = "Give it a name."
    if errors or config is None:
        return _form(request, values, kind, name, errors, study)
    try:
        if study is None:
            study = studies.create(store, name, kind, config, by=user.id)
        else:
            studies.revise(store, study.id, config, by=user.id)
    except AccordError as error:
        return _form(request, values, kind, name, {"name": str(error)}, study)
    return RedirectResponse(f"/studies/{study.id}?said={'saved' if study_id else 'made'}", 303)


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in config.items()}


@router.post("/studies/preview")
async def preview(request: Request, store: TheStore, user: Manager) -> Response:
    """How the judging page will look, as the form stands now: a piece of a page."""
    form = await _given(request)
    kind = form.get("kind", ["pairwise"])[0]
    if kind not in study_form.KINDS:
        raise HTTPException(400, f"{kind} is no kind of study")
    config, values = study_form.read(form, kind)
    wrong = study_form.problems(values, kind) if config is None else {}
    # while something is wrong, what is right shows already
    shown = config or StudyConfig(**{k: v for k, v in values.items() if k not in wrong})
    task = studies.preview(shown, kind)
    return page(request, "studies/preview.html", task=task, config=shown, wrong=wrong)


# --- one study ---


@router.get("/studies/{study_id}")
def overview(
    request: Request, store: TheStore, user: Reader, study_id: int, added: str = ""
) -> Response:
    """What it asks, how far it is, and its items' door."""
    study = found(store, study_id)
    row = next((one for one in studies.studies(store) if one.study.id == study_id), None)
    return page(
        request,
        "studies/overview.html",
        study=study,
        row=row,
        groups=study_form.groups(study_form.defaults(StudyConfig(**_tuples(study.config)))),
        told=None,
        error="",
    )


@router.post("/studies/{study_id}/status")
def set_status(
    store: TheStore, user: Manager, study_id: int, status: Annotated[str, Form()]
) -> Response:
    """Open, paused or closed."""
    found(store, study_id)
    studies.set_status(store, study_id, status, by=user.id)
    return RedirectResponse(f"/studies/{study_id}?said=saved", 303)


@router.post("/studies/{study_id}/items")
def upload(
    request: Request,
    store: TheStore,
    user: Manager,
    study_id: int,
    file: Annotated[UploadFile, File()],
    gold: Annotated[str, Form()] = "",
) -> Response:
    """Adds the items of a file; tells of every row that was not used."""
    study, told, error = found(store, study_id), None, ""
    try:
        new, tally = importing.items(
            file.file, file.filename or "upload", study.kind, gold == "yes"
        )
        added = studies.add_items(store, study_id, new, by=user.id)
        told = {"added": added, "tally": tally, "name": file.filename}
    except AccordError as mistake:
        error = str(mistake)
    row = next((one for one in studies.studies(store) if one.study.id == study_id), None)
    groups = study_form.groups(study_form.defaults(StudyConfig(**_tuples(study.config))))
    given = {"study": study, "row": row, "groups": groups, "told": told, "error": error}
    return page(request, "studies/overview.html", 400 if error else 200, **given)


__all__ = ["found", "json", "plain", "router"]
