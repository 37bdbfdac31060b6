"""Pictures that people show models in a talk: looked at before they are kept, and sent as they are.

The limits fit a request to a model of this site: it carries the whole conversation each time.
"""

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from accord.data.pictures import kind_of
from accord.errors import BadData
from accord.store.judgements import studies, talk
from accord.store.judgements.forms import BadAct
from accord.store.judgements.opening import Store
from accord.store.judgements.pictures import home, keep
from accord.store.judgements.tables import Chat, Study
from accord.web.judging_form import MOST_FIELDS
from accord.web.models_known import Known
from accord.web.pictures import read
from accord.web.security import Judge, Limit, TheStore

router = APIRouter(include_in_schema=False)
BYTES = 5 << 20
"""of one picture"""
BYTES_IN_ALL = 10 << 20
"""of a conversation"""
PIXELS = 25_000_000
MOST = 4
"""pictures of a conversation"""
SHOWN = Limit(30, 600)
"""pictures that a person may bring in ten minutes"""
ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}
TAKEN = "PNG, JPEG, GIF and WebP are taken"
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Sent:
    """What somebody says in a talk: words, and a picture that is new or was taken back."""

    text: str
    data: bytes | None = None
    again: str = ""
    """the name of one that was taken back"""

    @property
    def pictured(self) -> bool:
        """Whether there is a picture with it."""
        return self.data is not None or bool(self.again)


async def sent(request: Request) -> Sent:
    """The fields of the form, and its file; of a file that is too large no more than shows that."""
    async with request.form(max_files=1, max_fields=MOST_FIELDS) as form:
        text, again, file = form.get("text"), form.get("again"), form.get("picture")
        there = isinstance(file, UploadFile) and file.filename
        data = await file.read(BYTES + 1) if there else None
    told = [one.strip() if isinstance(one, str) else "" for one in (text, again)]
    return Sent(told[0], data, told[1])


Saying = Annotated[Sent, Depends(sent)]


def admitted(app: Any, store: Store, study: Study, chat: Chat, said: Sent) -> tuple[str, ...]:
    """The names of the pictures of a message, which lie in the folder of the site from then on.
    BadAct, in one sentence, for what cannot be shown; nothing is kept then.
    """
    if not said.pictured:
        return ()
    if not studies.config_of(study).talk.pictures:
        raise BadAct("this study takes no pictures; its manager may allow them (talk.pictures)")
    if not said.text:
        raise BadAct("say something with the picture: what is to be seen in it?")
    folder = home(store, app.state.cfg.runs)
    if said.data is None:
        if said.again not in talk.unsaid(store, chat.id, chat.user_id):
            raise BadAct("the picture is not at hand any more: choose it again")
        data = read(folder, said.again)[0]
    else:
        data = said.data
    ending = _looked_at(data)
    before = [name for one in chat.messages for name in talk.split(one["content"])[1]]
    if len(before) >= MOST:
        raise BadAct(f"a conversation has at most {MOST} pictures: begin a new one")
    if len(data) + sum(len(read(folder, one)[0]) for one in before) > BYTES_IN_ALL:
        most = f"{BYTES_IN_ALL >> 20} MB of pictures"
        raise BadAct(f"a conversation has at most {most}: begin a new one, or make it smaller")
    if said.data is None:
        return (said.again,)
    if not SHOWN.allows(chat.user_id):
        raise BadAct("so many pictures in so short a time are not taken: wait ten minutes")
    return (keep(folder, data, ending),)


def _looked_at(data: bytes) -> str:
    """The ending of a picture's name; BadAct for what is none, or is too large to be looked at."""
    from accord.text.pictures import open_picture  # pillow takes a while to load

    if len(data) > BYTES:
        raise BadAct(f"the picture is larger than {BYTES >> 20} MB: make it smaller")
    kind = kind_of(data)
    if kind is None:
        raise BadAct(f"this file is no picture that can be shown here: {TAKEN}")
    try:
        with _one_at_a_time:  # whatever memory it takes to open one
            open_picture("the picture", data, PIXELS)
    except BadData as error:
        raise BadAct(str(error)) from None
    except ImportError:
        said = "this site cannot look at pictures; its manager can: pip install 'accord[vision]'"
        raise BadAct(said) from None
    return ENDINGS[kind]


def sees(known: Known) -> bool:
    """Whether a model may see: false for a folder whose config says that it reads text alone."""
    from accord.text.pictures import KINDS

    if known.kind != "folder":
        return True
    try:
        told = json.loads((Path(known.where) / "config.json").read_text("utf-8"))
        return told.get("model_type") in KINDS
    except (OSError, ValueError, AttributeError):
        return True  # an adapter, or what cannot be read: the model says so itself


@router.get("/studies/{study_id}/judge/picture/{name:path}")
def picture(request: Request, store: TheStore, user: Judge, study_id: int, name: str) -> Response:
    """A picture of one's own conversation, by its name; nobody else's, and no other file."""
    mine = [one for one in talk.chats(store, user.id, 200) if one.study_id == study_id]
    there = any(name in talk.split(m["content"])[1] for one in mine for m in one.messages)
    if not there and not any(name in talk.unsaid(store, one.id, user.id) for one in mine[:1]):
        raise HTTPException(404, "There is no such picture.")
    data, kind = read(home(store, request.app.state.cfg.runs), name)
    return Response(data, media_type=kind, headers={"cache-control": "private, max-age=3600"})
