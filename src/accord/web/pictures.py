"""Pictures of messages: files in the folder `files` beside the judgements, and no others.

Nothing is fetched from elsewhere, and a path that leads out of the folder shows nothing: rows that
somebody imported must not read this machine's files.
"""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from accord.data.pictures import kind_of
from accord.errors import BadData
from accord.store.judgements import studies
from accord.store.judgements.pictures import home
from accord.store.judgements.tables import Item, Prompt
from accord.web.security import TheStore, Viewer

router = APIRouter(include_in_schema=False)
LARGEST = 32 << 20
"""bytes"""


@router.get("/studies/{study_id}/items/{item_id}/image/{number}")
def picture(
    request: Request, store: TheStore, user: Viewer, study_id: int, item_id: int, number: int
) -> Response:
    """The picture with that number in an item's messages."""
    with store.read() as session:
        item = session.get(Item, item_id)
        study = studies.get(session, study_id)
        if (
            item is None
            or item.study_id != study_id
            or not studies.takes_part(session, study, user)
        ):
            raise HTTPException(404, "There is no such picture.")
        paths = _paths(session.get_one(Prompt, item.prompt_id).messages)
    if not 0 <= number < len(paths):
        raise HTTPException(404, "There is no such picture.")
    data, kind = read(home(store, request.app.state.cfg.runs), paths[number])
    return Response(data, media_type=kind, headers={"cache-control": "private, max-age=3600"})


def read(folder: Path, path: str) -> tuple[bytes, str]:
    """Bytes and type of a picture in the folder; 404 for whatever is none."""
    found = (folder / path).resolve()
    if not found.is_relative_to(folder) or not found.is_file():
        raise HTTPException(404, "There is no such picture in the folder of files.")
    if found.stat().st_size > LARGEST:
        raise HTTPException(404, "This picture is too large to show.")
    data = found.read_bytes()
    kind = kind_of(data)
    if kind:
        return data, kind
    raise HTTPException(404, "This file is no picture: PNG, JPEG, GIF and WebP are shown.")


def sendable(messages: Sequence[Any], folder: Path) -> list[Any]:
    """Messages with the pictures themselves in place of their paths, as servers take them.  BadData
    for one that is not in the folder any more.
    """
    return [
        one
        if isinstance(one["content"], str)
        else {**one, "content": [_sendable(part, folder) for part in one["content"]]}
        for one in messages
    ]


def _sendable(part: dict[str, Any], folder: Path) -> dict[str, Any]:
    if part.get("type") != "image":
        return part
    try:
        data, kind = read(folder, part["path"])
    except HTTPException as error:
        raise BadData(f"a picture of this conversation is gone: {error.detail}") from None
    url = f"data:{kind};base64,{b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _paths(messages: list[Any]) -> list[str]:
    parts = [
        part for one in messages if isinstance(one["content"], list) for part in one["content"]
    ]
    return [part["path"] for part in parts if part.get("type") == "image"]
