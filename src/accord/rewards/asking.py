"""Who is asked for an opinion, by the words of a command: a folder, a hub id, or an address."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from accord.engine.calls import Budget, Calls, Dry
from accord.engine.client import Client, Endpoint
from accord.engine.llm import LLM
from accord.engine.local import Local
from accord.engine.roles import Policy
from accord.engine.served import Served, Speaks
from accord.models.load import Dtype

WEB = ("http://", "https://")


@dataclass(frozen=True)
class Asked:
    """How a model that is asked for an opinion is spoken to, and what that may cost."""

    dtype: Dtype = "fp32"
    """precision of matrix products, of a model in a folder"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled, for a model in a folder"""
    speaks: Speaks = "chat"
    """what a server is spoken to by: chat, with its own template; completions, for base models:
    the prompt as it is, and options scored whole"""
    http: Endpoint = field(default_factory=Endpoint)
    """how a server is spoken to"""
    budget: Budget = field(default_factory=Budget)
    """what asking may cost, in calls and tokens"""
    dry: bool = False
    """ask nobody: tell how many calls there would be, and what they would cost"""


def open_llm(
    word: str,
    file: Path | None,
    how: Asked = Asked(),
    tell: Callable[[str], None] = lambda _: None,
) -> Calls:
    """The model that a word names: a folder, a GGUF file, a hub id, or a server (http://host/v1, or
    http://host/v1#NAME where it serves several).  What it says is kept in `file`, and never asked
    again.
    """
    return Calls(_opened(word, how, tell), None if how.dry else file, how.budget, tell)


def _opened(word: str, how: Asked, tell: Callable[[str], None]) -> LLM:
    if how.dry:
        return Dry(word)
    if word.startswith(WEB):
        return Served(Client(word, how.http, tell), how.speaks)
    return Local(Policy.open(word, dtype=how.dtype, template=how.template))
