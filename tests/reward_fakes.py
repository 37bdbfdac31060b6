"""Answers for rewards to judge."""

from typing import Any

from accord.records import Rollout
from toys import ToySpeller


def answer(name: str = "r", ids: tuple[int, ...] = (2, 3, 1), **more: Any) -> Rollout:
    """A toy policy's answer; it ended itself where its last id is 1."""
    finish = "stop" if ids and ids[-1] == 1 else "length"
    base: dict[str, Any] = {"prompt_ids": (0,), "logp": (0.0,) * len(ids), "version": 0}
    return Rollout(name, response_ids=ids, **base | {"finish": finish} | more)


class Digits(ToySpeller):
    """Ids are the characters of a text."""

    def decode(self, ids, *, special=False):
        return "".join(map(chr, ids))

    def prompt_ids(self, conversation):
        return tuple(map(ord, conversation[0].text))

    def text(self, rollout):
        return self.decode(rollout.response_ids)

    def render(self, conversation):
        return conversation[0].text


def said(prompt: str, answer: str) -> Rollout:
    """An answer in Digits."""
    ids = tuple(map(ord, answer))
    return Rollout("r", tuple(map(ord, prompt)), ids, (0.0,) * len(ids), 0, "stop")
