"""One round of critique and revision, of all prompts side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from accord.config import Settings
from accord.config.limits import Count
from accord.data.constitution import Constitution, Principle
from accord.data.principled import dice, to_criticise, to_revise, until
from accord.engine.draw import Sampling
from accord.engine.llm import LLM, Ask, Spoken
from accord.records import Invalid, Prompt


class Revise(Settings):
    """Critiques and revisions."""

    rounds: Count = 4
    """revisions of each answer, one after the other; all of them are learned from"""
    skip_critique: bool = False
    """revise at once, without a critique before: little is lost with large models"""
    longest: Count = 256
    """the most tokens of an answer, a critique or a revision"""
    how: Sampling = Sampling()
    """how answers, critiques and revisions are drawn"""
    unchanged: Literal["keep", "drop"] = "keep"
    """what becomes of a revision that says the same as what it revises: learned from, or not"""
    helpful: Count = 2
    """answers of the model to each prompt of helpful=FILE, learned from beside the revisions"""


@dataclass(frozen=True, slots=True)
class Revision:
    """What became of one answer in one round."""

    place: int
    """of its prompt"""
    round: int
    """1 is the first revision"""
    principle: str
    critique: str
    """empty where there was none"""
    text: str | Invalid
    changed: bool
    """it says something else than what it revises"""
    seed: int


def name(prompt: Prompt, place: int) -> str:
    """What dice are thrown by: the prompt's id, or its place."""
    return prompt.id or str(place)


def round_of(
    cfg: Revise,
    c: Constitution,
    llm: LLM,
    prompts: Sequence[Prompt],
    now: Sequence[str],
    n: int,
    seed: int,
) -> list[Revision]:
    """Round n: each answer of `now` criticised and revised by a principle of its own draw."""
    names = [name(p, i) for i, p in enumerate(prompts)]
    by = [c.revise[dice(seed, "principle", x, n) % len(c.revise)] for x in names]
    seeds = [dice(seed, "revise", x, n) for x in names]
    critiques: dict[int, Spoken | Invalid] = {}
    if not cfg.skip_critique:
        critiques = _critiques(cfg, c, llm, prompts, now, by, seeds)
    told = {i: until(c, one.text)[0] for i, one in critiques.items() if isinstance(one, Spoken)}
    notes = {i: text.strip() for i, text in told.items() if text.strip()}
    open_ = [i for i in range(len(now)) if cfg.skip_critique or i in notes]
    asks = [
        Ask(*to_revise(c, by[i], prompts[i].messages, now[i], notes.get(i)), seeds[i])
        for i in open_
    ]
    said = dict(zip(open_, llm.say(asks, longest=cfg.longest, how=cfg.how), strict=True))
    made = []
    for i, principle in enumerate(by):
        text = _failed(critiques, i) if i not in said else _revised(c, said[i], now[i])
        changed = isinstance(text, str) and text != now[i]
        note = notes.get(i, "")
        made.append(Revision(i, n, principle.id, note, text, changed, seeds[i]))
    return made


def _critiques(
    cfg: Revise,
    c: Constitution,
    llm: LLM,
    prompts: Sequence[Prompt],
    now: Sequence[str],
    by: Sequence[Principle],
    seeds: Sequence[int],
) -> dict[int, Spoken | Invalid]:
    put = [to_criticise(c, b, p.messages, y) for b, p, y in zip(by, prompts, now, strict=True)]
    asks = [Ask(*one, s) for one, s in zip(put, seeds, strict=True)]
    return dict(enumerate(llm.say(asks, longest=cfg.longest, how=cfg.how)))


def _failed(critiques: Mapping[int, Spoken | Invalid], i: int) -> Invalid:
    one = critiques[i]
    return Invalid(f"critique: {one.reason}" if isinstance(one, Invalid) else "critique: empty")


def _revised(c: Constitution, said: Spoken | Invalid, before: str) -> str | Invalid:
    """What may be learned from: not empty, come to its end, and begun as the answer before was.

    A base model's answer begins with the space that parts it from its prompt.
    """
    if isinstance(said, Invalid):
        return Invalid(f"revision: {said.reason}")
    text, further = until(c, said.text)
    if not text.strip():
        return Invalid("revision: empty")
    if not said.ended and not further:
        return Invalid("revision: cut at revise.longest=")
    return before[: len(before) - len(before.lstrip())] + text.strip()
