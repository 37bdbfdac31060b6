"""The pages where people judge: an item at a time, by keys or by plain forms.

A script asks for parts of the page (`x-part`) and puts them in place; without one the same forms
are posted and answered with a redirect.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.responses import RedirectResponse, Response

from accord.errors import AccordError
from accord.store.judgements import acts, leases, people, quiz, studies, talk
from accord.store.judgements.forms import Act, BadAct, Gone, NotThere, Receipt, Task
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Chat, Study, User
from accord.web import judging_chat, judging_end, judging_pictures, pictures, security
from accord.web.judging_form import Posted, read_act, read_draft
from accord.web.judging_keys import FIXED, KEYS, remap
from accord.web.judging_view import scene
from accord.web.render import page
from accord.web.security import TheStore

router = APIRouter(include_in_schema=False)
router.include_router(judging_chat.router)
router.include_router(judging_pictures.router)
router.include_router(pictures.router)


class Desk:
    """A study, and one who judges in it or decides what is disputed."""

    def __init__(self, request: Request, store: Store, user: User, study_id: int):
        self.request, self.store, self.user = request, store, user
        self.adjudicates = "/adjudicate" in request.url.path
        if self.adjudicates and not people.may(user.role, "manage"):
            raise HTTPException(403, "only owners and managers decide disputed items")
        self.study: Study = studies.study(store, study_id)
        self.config = studies.config_of(self.study)
        where = "adjudicate" if self.adjudicates else "judge"
        self.address = f"/studies/{study_id}/{where}"

    @property
    def part(self) -> bool:
        """Whether a script asked, and puts the answer in place itself."""
        return "x-part" in self.request.headers

    def next(self) -> Task | None:
        """What is judged next, under a lease of this person; None: nothing is."""
        if self.study.status != "open" and not self.adjudicates:
            return None
        own = None
        if self.talks:
            own = judging_chat.waiting(self.study, self.chat())
        return own or leases.next_task(
            self.store, self.study.id, self.user.id, adjudicate=self.adjudicates
        )

    @property
    def talks(self) -> bool:
        """Whether this is where somebody talks to models."""
        return self.study.kind == "chat" and not self.adjudicates

    def chat(self) -> Chat | None:
        """The talk they are in."""
        return judging_chat.current(self.store, self.study.id, self.user.id)

    def practice(self) -> quiz.Quiz:
        """How far they are in the study's quiz."""
        return quiz.quiz(self.store, self.study.id, self.user.id)

    def submit(self, act: Act) -> Receipt:
        """Into the store; a choice in a talk has no lease yet."""
        if not (self.talks and act.lease_id == 0):
            return acts.submit(self.store, self.user.id, act)
        chat = self.chat()
        if chat is None:
            raise Gone("this conversation is not there any more")
        return talk.choose(self.store, chat.id, self.user.id, act)

    def show(
        self, task: Task | None, *, said: str = "", wrong: str = "", unsaid: str = ""
    ) -> Response:
        """The item, or the end; after an act with a sentence about it.  `unsaid`: in a talk, what
        was taken back and may be said otherwise.
        """
        context = self.context(task) | {"said": said, "wrong": wrong, "unsaid": unsaid}
        context["again"] = judging_chat.again(self.store, self.chat()) if unsaid else ""
        status = 422 if wrong and not self.part else 200
        if self.part:
            return page(self.request, "judge/fragment.html", status, **context)
        return page(self.request, "judge/page.html", status, **context)

    def context(self, task: Task | None) -> dict[str, Any]:
        """What the templates need."""
        prefs = self.user.prefs or {}
        progress = judging_end.progress(self.store, self.study, self.user, self.adjudicates)
        practice = self.practice()
        shared = {
            "quiz": practice,
            "study": self.study,
            "config": self.config,
            "address": self.address,
            "adjudicates": self.adjudicates,
            "progress": progress,
            "all_keys": KEYS,
            "fixed_keys": FIXED,
            "task": task,
        }
        if task is not None:
            own = not task.item_id  # of a talk that goes on: it is no item yet
            items = f"/studies/{self.study.id}/items/{task.item_id}/image"
            told = scene(task, prefs, f"{self.address}/picture" if own else items, own)
            return shared | told | {"auto": auto(task), "stage": "task"}
        shared |= judging_end.bare(prefs)
        if self.talks and self.study.status == "open":
            told = judging_chat.context(self.request.app, self.chat(), self.address)
            return shared | told | {"kind": "chat", "stage": "talk"}
        done = judging_end.end(self.study, progress, self.adjudicates, practice)
        return shared | {"done": done, "stage": "done"}

    def go_on(self, said: str, task: Task | None = None, unsaid: str = "") -> Response:
        """After an act: the next item in place, or a redirect to it."""
        if self.part:
            return self.show(task or self.next(), said=said, unsaid=unsaid)
        return RedirectResponse(f"{self.address}?{urlencode({'said': said})}", 303)


def auto(task: Task) -> bool:
    """Whether there is a single question, whose answer is sent as it is given."""
    config = task.config
    return task.kind in ("pairwise", "chat") and not (
        "strength" in config.verdicts or config.reason == "required"
    )


def desk(request: Request, store: TheStore, user: security.Judge, study_id: int) -> Desk:
    """Who judges what."""
    return Desk(request, store, user, study_id)


TheDesk = Annotated[Desk, Depends(desk)]


@router.get("/studies/{study_id}/judge")
@router.get("/studies/{study_id}/adjudicate")
def judge_page(desk: TheDesk, said: str = "") -> Response:
    """The next item."""
    return desk.show(desk.next(), said=said[:600])


@router.post("/studies/{study_id}/judge")
@router.post("/studies/{study_id}/adjudicate")
def judge_post(desk: TheDesk, fields: Posted) -> Response:
    """A verdict, a skip or a flag, and the next item.  Sent again it counts once."""
    try:
        act = read_act(fields, desk.study.kind, desk.config)  # type: ignore[arg-type]
        receipt = desk.submit(act)
    except AccordError as error:
        return _refused(desk, fields, str(error))
    said = _said(act.act, receipt)
    if receipt.right is not None and desk.practice().state == "passed":
        said += " You have passed: from now on it counts."
    return desk.go_on(said)


def _said(act: str, receipt: Receipt) -> str:
    if receipt.right is not None:
        return f"That was {'right' if receipt.right else 'not right'}. {receipt.why}"
    told = {"judge": "Saved.", "skip": "Skipped.", "flag": "Reported, and skipped."}[act]
    if act == "judge" and any(receipt.models):
        told += " It was " + " and ".join(dict.fromkeys(filter(None, receipt.models))) + "."
    return told


def _refused(desk: Desk, fields: Mapping[str, str], said: str) -> Response:
    """The same item with what was chosen and what is wrong; or, where its lease is gone, the next
    one."""
    try:
        lease = int(fields.get("lease", ""))
        task = leases.task(desk.store, lease, desk.user.id) if lease else desk.next()
    except (AccordError, ValueError):
        task = None
    if task is None:
        return desk.go_on(said)
    return desk.show(replace(task, draft=read_draft(fields)), wrong=said)


@router.post("/studies/{study_id}/judge/undo")
@router.post("/studies/{study_id}/adjudicate/undo")
def undo(desk: TheDesk) -> Response:
    """The last act is taken back, and its item is there again with what was chosen; in a talk, the
    last step.
    """
    try:
        if desk.talks and (step := judging_chat.taken_back(desk.request.app, desk.chat())):
            return desk.go_on(step[0], unsaid=step[1])
        task = acts.undo(desk.store, desk.user.id, desk.study.id)
    except BadAct as error:
        return desk.go_on(str(error))
    if task is None:
        return desk.go_on("There is nothing to take back.")
    return desk.go_on("Taken back.", task)


@router.post("/studies/{study_id}/judge/beat")
@router.post("/studies/{study_id}/adjudicate/beat")
def beat(desk: TheDesk, fields: Posted) -> Response:
    """A sign of life, with what was written so far; 409 where the lease is gone."""
    try:
        lease = int(fields.get("lease", ""))
    except ValueError:
        raise HTTPException(422, "a sign of life names its lease") from None
    try:
        expires = leases.beat(desk.store, lease, desk.user.id, read_draft(fields) or None)
    except (Gone, NotThere) as error:
        return JSONResponse({"detail": str(error)}, 409)
    return JSONResponse({"expires": expires.isoformat()})


@router.post("/judging/keys")
def keep_keys(request: Request, store: TheStore, user: security.Judge, fields: Posted) -> Response:
    """Keys of one's own, or none at all."""
    kept, wrong = ({}, "") if fields.get("reset") else remap(fields)
    if wrong:
        return JSONResponse({"detail": wrong}, 422)
    on = bool(fields.get("reset") or fields.get("shortcuts"))
    prefs = {**(user.prefs or {}), "keys": kept, "shortcuts": on}
    people.set_prefs(store, user.id, prefs)
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"keys": kept, "shortcuts": on})
    return RedirectResponse(security.local(fields.get("next")), 303)
