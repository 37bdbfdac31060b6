"""Models: the list, one of them, and what is added to the list by hand."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from accord.errors import AccordError
from accord.store.judgements import talk
from accord.store.judgements.tables import User
from accord.web import models_chat, models_compare
from accord.web.models_known import forget, model, models, register, sealed
from accord.web.render import page
from accord.web.runs import watching
from accord.web.security import Manager, Owner, Reader, TheStore

router = APIRouter(include_in_schema=False)
router.include_router(models_chat.router)
router.include_router(models_compare.router)


@router.get("/models")
def all_models(request: Request, user: Reader, store: TheStore) -> HTMLResponse:
    """Who can be talked to, and one's own conversations."""
    return _list(request, user, {}, "")


@router.post("/models/add")
def add(
    request: Request,
    user: Owner,
    store: TheStore,
    name: Annotated[str, Form()] = "",
    where: Annotated[str, Form()] = "",
    called: Annotated[str, Form()] = "",
    key: Annotated[str, Form()] = "",
) -> HTMLResponse:
    """Put an endpoint, or a folder of this machine, on the list."""
    try:
        register(store, name, where, called, key)
    except AccordError as error:
        given = {"name": name, "where": where, "called": called}  # the key may be a real one
        return _list(request, user, given, str(error), 422)
    return RedirectResponse("/models", 303)  # type: ignore[return-value]


@router.post("/models/forget/{model_id}")
def remove(user: Manager, store: TheStore, model_id: int) -> RedirectResponse:
    """Take it from the list."""
    forget(store, model_id)
    return RedirectResponse("/models", 303)


@router.get("/models/{name:path}")
def one_model(request: Request, user: Reader, name: str) -> HTMLResponse:
    """A model: what it was made from, what was measured, and what one can do with it."""
    found = model(request.app, name)
    made = next((a for a in sealed(request.app).all() if a.id == found.artifact), None)
    run = watching(request.app).finder.get(found.run) if found.run else None
    files: list[tuple[str, int]] = []
    if made is not None:
        files = sorted((path, told["size"]) for path, told in made.files.items())
    told: dict[str, Any] = {"model": found, "made": made, "run": run, "files": files}
    return page(request, "models/one.html", **told)


def _list(
    request: Request, user: User, given: dict[str, str], wrong: str, status: int = 200
) -> HTMLResponse:
    every = models(request.app)
    finder = watching(request.app).finder
    recipes = {one.name: run.recipe for one in every if one.run and (run := finder.get(one.run))}
    told: dict[str, Any] = {"models": every, "recipes": recipes, "given": given, "wrong": wrong}
    mine = [one for one in talk.chats(request.app.state.store, user.id) if one.messages]
    told["chats"] = mine
    told["begun"] = {one.id: talk.split(one.messages[0]["content"])[0] for one in mine}
    told["starts"] = request.app.state.workers is not None
    return page(request, "models/list.html", status, **told)
