"""Setting a study up: its form with a preview, its items, its members, its status."""

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from accord.errors import AccordError
from accord.store.judgements import people, quiz, studies
from accord.store.judgements.forms import Kind
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Study, User
from accord.web import judging_view, study_form
from accord.web.render import address, page
from accord.web.security import Id, Manager, Reader, TheStore

router = APIRouter(include_in_schema=False)


def found(store: Store, study_id: int) -> Study:
    """The study, or 404."""
    try:
        return studies.study(store, study_id)
    except AccordError as error:
        raise HTTPException(404, str(error)) from None


def seen(store: Store, study_id: int, user: User) -> Study:
    """The study, if it is for this person; 404 otherwise, as if it were not there."""
    study = found(store, study_id)
    with store.read() as session:
        if not studies.takes_part(session, study, user):
            raise HTTPException(404, f"there is no study {study_id} for you")
    return study


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
    return await run_in_threadpool(_save, request, store, user, await _given(request), None)


@router.get("/studies/{study_id}/edit")
def edit(request: Request, store: TheStore, user: Manager, study_id: Id) -> Response:
    """The same form, filled."""
    study = found(store, study_id)
    values = study_form.defaults(studies.config_of(study))
    return _form(request, values, study.kind, study.name, {}, study)


@router.post("/studies/{study_id}/edit")
async def edit_form(request: Request, store: TheStore, user: Manager, study_id: Id) -> Response:
    """Keeps it; what was judged before stays."""
    return await run_in_threadpool(_save, request, store, user, await _given(request), study_id)


def _save(
    request: Request,
    store: Store,
    user: User,
    form: dict[str, list[str]],
    study_id: int | None,
) -> Response:
    study = None if study_id is None else found(store, study_id)
    kind = _kind(study.kind if study else form.get("kind", [""])[0])
    name = study.name if study else form.get("name", [""])[0].strip()
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


@router.post("/studies/preview")
async def preview_form(request: Request, store: TheStore, user: Manager) -> Response:
    """How the judging page will look, as the form stands now: a piece of a page."""
    return await run_in_threadpool(_preview, request, await _given(request))


def _preview(request: Request, form: dict[str, list[str]]) -> Response:
    kind = _kind(form.get("kind", ["pairwise"])[0])
    config, values = study_form.read(form, kind)
    wrong = study_form.problems(values, kind) if config is None else {}
    if config is None:  # while something is wrong, what is right shows already
        config = study_form.config_of({k: v for k, v in values.items() if k not in wrong})
    try:
        task = studies.preview(config, kind)
    except AccordError as error:
        raise HTTPException(400, str(error)) from None
    said: dict[str, Any] = {
        "turns": judging_view.turns(task.messages, ""),
        "known": judging_view.known(task.messages),
    }
    return page(request, "studies/preview.html", task=task, config=config, wrong=wrong, **said)


def _kind(said: str) -> Kind:
    for kind in study_form.KINDS:
        if kind == said:
            return kind
    raise HTTPException(400, f"{said or 'none'} is no kind of study")


# --- one study ---


@router.get("/studies/{study_id}")
def overview(request: Request, store: TheStore, user: Reader, study_id: Id) -> Response:
    """What it asks, how far it is, and its items' door."""
    return _overview(request, store, user, seen(store, study_id, user))


def _overview(
    request: Request, store: Store, user: User, study: Study, told: Any = None, error: str = ""
) -> Response:
    return page(
        request,
        "studies/overview.html",
        400 if error else 200,
        study=study,
        row=next((one for one in studies.studies(store, user) if one.study.id == study.id), None),
        groups=study_form.groups(study_form.defaults(studies.config_of(study)), kind=study.kind),
        told=told,
        error=error,
        quiz=quiz.warning(store, study.id) if people.may(user.role, "manage") else "",
    )


@router.post("/studies/{study_id}/status")
def set_status(
    store: TheStore, user: Manager, study_id: Id, status: Annotated[str, Form()]
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
    study_id: Id,
    file: Annotated[UploadFile, File()],
    gold: Annotated[str, Form()] = "",
) -> Response:
    """Adds the items of a file; tells of every row that was not used."""
    from accord.web import importing  # its readers take a while to load; the site starts without

    study, told, error = found(store, study_id), None, ""
    try:
        new, tally = importing.items(
            file.file, file.filename or "upload", study.kind, gold == "yes"
        )
        added = studies.add_items(store, study_id, new, by=user.id)
        told = {"added": added, "tally": tally, "name": file.filename}
    except AccordError as mistake:
        error = str(mistake)
    return _overview(request, store, user, study, told, error)


# --- members ---


@router.get("/studies/{study_id}/people")
def members_page(request: Request, store: TheStore, user: Manager, study_id: Id) -> Response:
    """Who takes part."""
    return _members(request, store, found(store, study_id))


def _members(request: Request, store: Store, study: Study, link: str = "") -> Response:
    everyone = [one for one in people.users(store) if one.closed is None and one.kind == "person"]
    return page(
        request,
        "studies/members.html",
        study=study,
        everyone=everyone,
        inside={one.id for one in studies.members(store, study.id)},
        open_to_all=studies.config_of(study).everyone,
        link=link,
    )


@router.post("/studies/{study_id}/people")
def set_members(
    store: TheStore,
    user: Manager,
    study_id: Id,
    everyone: Annotated[str, Form()] = "",
    member: Annotated[list[int], Form()] = [],  # noqa: B006 (FastAPI copies it)
) -> Response:
    """Keeps the list, and whether it matters."""
    study = found(store, study_id)
    known = {one.id for one in people.users(store)}
    config = studies.config_of(study)
    if config.everyone != (everyone == "yes"):
        changed = config.model_copy(update={"everyone": everyone == "yes"})
        studies.revise(store, study_id, changed, by=user.id)
    studies.set_members(store, study_id, known & {*member}, by=user.id)
    return RedirectResponse(f"/studies/{study_id}/people?said=members", 303)


@router.post("/studies/{study_id}/invite")
def invite(request: Request, store: TheStore, user: Manager, study_id: Id) -> Response:
    """A link for ten annotators and a week, shown once."""
    study = found(store, study_id)
    token = people.invite(store, "annotator", study_id=study_id, uses=10, days=7, by=user.id)
    return _members(request, store, study, address(request, f"/join/{token}"))
