"""How a chat template wants to be told that there is a picture."""

from functools import partial

from jinja2 import TemplateError

from accord.errors import BadModel
from accord.records import Conversation, Image, Message, Text
from accord.text.template import Render, Said, Tell, parted, seen, spoken

PROBE = Message("user", (Image(""), Text("Quince?")))


def teller(render: Render, picture: str | None) -> Tell:
    """The way that a model's template understands; `picture` is the token that stands for one.

    Templates of models that see take a message's content as parts, as a rule; others want text, in
    which the token itself stands.  BadModel where neither shows the picture once, with the words.
    """
    if picture is None:
        return spoken
    for tell in (in_parts, partial(in_text, picture=picture)):
        try:
            said = render(tell((PROBE,)), True)
        except (TemplateError, TypeError, ValueError):
            continue
        if said.count(picture) == 1 and "Quince?" in said and "'type'" not in said:
            return tell
    raise BadModel(
        f"the chat template does not show a picture as {picture}, neither from parts nor from "
        "text; use another template (template=turns, template=plain)"
    )


def in_parts(conversation: Conversation) -> list[Said]:
    """Every message's content as a list of parts."""
    return [
        {"role": message.role, "content": [_part(part) for part in seen(message)]}
        for message in conversation
    ]


def in_text(conversation: Conversation, *, picture: str) -> list[Said]:
    """Every message's content as text, with the token where a picture stands."""
    return [
        {"role": message.role, "content": "".join(text for text, _ in parted(message, picture))}
        for message in conversation
    ]


def _part(part: Text | Image) -> dict[str, str]:
    return {"type": "image"} if isinstance(part, Image) else {"type": "text", "text": part.text}
