"""How a conversation is written down before it is spelled: as it stands, or by a chat template.

A template gives two texts, what the model reads (the prompt) and what it is to say (the answer).
They are found by rendering twice, never by searching for markers, so a mask made from their
lengths is right for every template; one for which that cannot be done is refused.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

from jinja2 import TemplateError

from accord.errors import BadData, BadModel
from accord.records import Conversation, Fact, Image, Message, Text, ask

Said = dict[str, Any]
"""a message as chat templates want it: its role, and its content as text or as parts"""
Tell = Callable[[Conversation], list[Said]]
Render = Callable[[list[Said], bool], str]
"""(messages, whether the assistant is about to speak) -> text"""
Find = Callable[[str], tuple[int, int] | None]
"""text that follows an answer -> (id, place) of the first end token in it"""

PROBE = "Quince marmalade."
TURNS = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'Human: ' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ 'Assistant: ' + message['content'] + eos_token }}"
    "{% else %}{{ message['content'] }}{% endif %}"
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\nAssistant:' }}{% endif %}"
)
"""Turns for base models, with the words of Bai et al. 2022; a system text stands as it is."""


class Template(Protocol):
    """Texts of prompt and answer.  The methods raise BadData for what they cannot write."""

    @property
    def source(self) -> str:
        """What makes two templates the same."""

    @property
    def lead(self) -> str:
        """What comes between the prompt and the words of an answer."""

    @property
    def closing(self) -> str:
        """What comes between the words of an answer and its end."""

    def prompt(self, conversation: Conversation) -> str:
        """All that is read before the answer begins."""

    def answer(self, response: str, conversation: Conversation | None = None) -> str:
        """All that is said, without the end; given the conversation, checked against the whole."""

    def pieces(self, conversation: Conversation) -> list[tuple[str, bool]]:
        """The prompt in pieces, (text, whether a person wrote it), in order."""


@dataclass(frozen=True)
class Plain:
    """For base models: one user message, which the answer continues.  Nothing is added.

    An answer keeps its leading space: "Once upon" is continued by " a time".
    """

    source: str = "plain"
    lead: str = ""
    closing: str = ""
    picture: str | None = None
    """what stands for a picture; none: the model reads text alone"""

    def prompt(self, conversation: Conversation) -> str:
        """The one message, as it is."""
        if len(conversation) != 1 or conversation[0].role != "user":
            roles = ", ".join(message.role for message in conversation) or "nobody"
            raise BadData(
                f"a plain prompt is one user message, and here {roles} spoke; "
                "use template=turns (or a model with a chat template) for conversations"
            )
        return "".join(text for text, _ in self.pieces(conversation))

    def answer(self, response: str, conversation: Conversation | None = None) -> str:
        """The response, as it is."""
        return response

    def pieces(self, conversation: Conversation) -> list[tuple[str, bool]]:
        """The one message, its pictures apart."""
        pieces = parted(conversation[0], self.picture)
        return pieces if len(pieces) == 1 and pieces[0][1] else [("", True), *pieces]


class Chat:
    """A chat template, known by what it renders."""

    source: str
    lead: str
    closing: str
    end: int | None
    """the token that ends an answer, if it is one token"""

    def __init__(self, source: str, render: Render, find: Find, tell: "Tell | None" = None):
        self.source, self._render, self._tell = source, render, tell or spoken
        prompt = self._write(ask("Hello"), True)
        full = self._write(_answered(ask("Hello"), PROBE), False)
        if not full.startswith(prompt):
            raise BadModel(
                "the chat template cannot be masked: a conversation with its answer does not begin "
                "with the prompt alone; use another template (template=turns, template=plain)"
            )
        self.lead, found, self._after = full[len(prompt) :].partition(PROBE)
        if not found:
            raise BadModel(
                "the chat template cannot be masked: it loses or alters the assistant's answer; "
                "use another template (template=turns, template=plain)"
            )
        self.end, place = find(self._after) or (None, len(self._after.rstrip()))
        self.closing = self._after[:place]

    def prompt(self, conversation: Conversation) -> str:
        """Rendered up to where the assistant begins to speak."""
        return self._write(conversation, True)

    def answer(self, response: str, conversation: Conversation | None = None) -> str:
        """What the template makes of the response: some strip it, some put a space around it."""
        conversation = ask("Hello") if conversation is None else conversation
        prompt = self.prompt(conversation)
        full = self._write(_answered(conversation, response), False)
        tail = full.removeprefix(prompt)
        said = tail.removeprefix(self.lead).removesuffix(self._after)
        whole = prompt + self.lead + said + self._after == full
        if not whole or said.strip() != response.strip():
            raise BadData(f"the chat template alters this answer: {_short(response)}")
        return self.lead + said + self.closing

    def pieces(self, conversation: Conversation) -> list[tuple[str, bool]]:
        """The template's own text apart from what people wrote into it."""
        texts: list[str] = []
        split = re.split("\ue000(\\d+)\ue001", self._write(_marked(conversation, texts), True))
        prompt = self.prompt(conversation)
        for trim in (str, str.strip):
            said = [trim(text) for text in texts]
            pieces = [(said[int(p)], True) if i % 2 else (p, False) for i, p in enumerate(split)]
            if "".join(text for text, _ in pieces) == prompt:
                return pieces
        raise BadData(f"a message holds a control token: {_short(texts[-1])}")

    def _write(self, conversation: Conversation, speaks: bool) -> str:
        told = self._tell(conversation)
        try:
            return self._render(told, speaks)
        except (TemplateError, TypeError, ValueError) as error:
            raise BadData(f"the chat template refuses this conversation: {error}") from error


def on_day(source: str, day: date) -> str:
    """A chat template with every date it asks the clock for replaced by one day's."""
    clock = r"""strftime_now\(\s*(['"])([^'"]*)\1\s*\)"""
    source = re.sub(clock, lambda m: json.dumps(day.strftime(m[2])), source)
    if re.search(r"strftime_now\s*\(", source):
        raise BadModel(
            "the chat template reads the clock in a way that cannot be held still; "
            "use another template (template=turns, template=plain)"
        )
    return source


def spoken(conversation: Conversation) -> list[Said]:
    """Messages as chat templates of models that only read want them."""
    return [
        {"role": message.role, "content": "".join(text for text, _ in parted(message, None))}
        for message in conversation
    ]


def parted(message: Message, picture: str | None) -> list[tuple[str, bool]]:
    """A message in pieces, (text, whether a person wrote it), `picture` standing for each one;
    BadData for a picture where nothing does.
    """
    if not message.images:
        return [(message.text, True)]
    if picture is None:
        raise BadData("the conversation has a picture, and this model reads text alone")
    return [(p.text, True) if isinstance(p, Text) else (picture, False) for p in seen(message)]


def seen(message: Message) -> list[Text | Image]:
    """The parts that the model itself is shown: no facts."""
    return [part for part in message.content if not isinstance(part, Fact)]


def _marked(conversation: Conversation, texts: list[str]) -> Conversation:
    """The same with a mark in place of every text; the texts are added to the list."""
    marked = []
    for message in conversation:
        plain = seen(message) if message.images else [Text(message.text)]
        parts: list[Text | Image] = []
        for part in plain:
            if isinstance(part, Text):
                parts.append(Text(f"\ue000{len(texts)}\ue001"))
                texts.append(part.text)
            else:
                parts.append(part)
        marked.append(replace(message, content=tuple(parts)))
    return tuple(marked)


def _answered(conversation: Conversation, response: str) -> Conversation:
    return (*conversation, Message.of("assistant", response))


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
