"""A constitution looked at before anything is asked: every prompt it makes, and what looks wrong.

accord constitution check mine.yaml
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal

from accord.config import Settings
from accord.data.constitution import Constitution, read_constitution
from accord.data.principled import (
    OPTIONS,
    TEMPLATE,
    Put,
    concluded,
    to_choose,
    to_criticise,
    to_revise,
)
from accord.errors import BadData
from accord.evaluate.textspage import Page, Part, write
from accord.records import ask

ALIKE = 0.9
"""share of characters in common from which two principles say the same (difflib's ratio)"""
MARKS = re.compile(r"\{(?:better|worse|assistant|rule)\}|CritiqueRequest:|RevisionRequest:")
STANDS_FOR = ("(what is asked)", "(the answer)", "(the other answer)", "(the critique)")
THOUGHT = "(the thoughts)"


class ConstitutionCheck(Settings):
    """What a check of a constitution is told."""

    constitution: Path
    """a YAML file, or the name of one that ships; may stand first without its key"""
    prompt: str = STANDS_FOR[0]
    """what is asked, in the prompts that are shown"""
    answer: str = STANDS_FOR[1]
    """what was answered"""
    other: str = STANDS_FOR[2]
    """another answer, where two are compared"""
    model: str | None = None
    """a model folder or hub id: lengths become tokens, and its context the limit; no weights are
    read"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled for that model"""
    longest: int = 256
    """tokens that an answer to these prompts may have, beside them in the model's context"""
    seed: int = 0
    """of where the better answers of examples stand"""
    html: Path | None = None
    """where to write all of it as a page"""


@dataclass(frozen=True)
class Shown:
    """One prompt as it would be sent."""

    what: str
    principle: str
    put: Put
    tokens: int | None

    @property
    def text(self) -> str:
        """The question, and the words that the answer is opened with."""
        return "".join(message.text for message in self.put[0]) + self.put[1]


@dataclass(frozen=True)
class CheckedConstitution:
    """All prompts, and what looks wrong."""

    constitution: Constitution
    shown: tuple[Shown, ...]
    warnings: tuple[str, ...]

    def lines(self) -> list[str]:
        """For a terminal."""
        c = self.constitution
        told = [
            f"constitution {c.name!r}: {len(c.revise)} principles to revise by, {len(c.compare)} "
            f"to compare by; examples: {len(c.shots)} of revisions, {len(c.choices)} of "
            f"comparisons; template {TEMPLATE}, {c.fingerprint[:12]}"
        ]
        for one in self.shown:
            size = f"{len(one.text)} characters" if one.tokens is None else f"{one.tokens} tokens"
            told += ["", f"--- {one.what}, principle {one.principle} ({size})", one.text]
        told += ["", *(f"warning: {one}" for one in self.warnings)]
        return [*told, "nothing looks wrong"] if not self.warnings else told

    def page(self) -> Page:
        """For a browser."""
        parts: dict[str, list[tuple[str, str]]] = {}
        for one in self.shown:
            parts.setdefault(one.what, []).append((f"principle {one.principle}", one.text))
        return Page(
            "constitution check",
            f"Constitution {self.constitution.name}",
            self.lines()[0],
            [Part(what.capitalize(), texts) for what, texts in parts.items()],
            self.warnings,
        )


def run_check(cfg: ConstitutionCheck) -> CheckedConstitution:
    """Render every prompt, and look at it."""
    c = read_constitution(cfg.constitution)
    counts, limit = (None, None) if cfg.model is None else _counting(cfg.model, cfg.template)
    every = tuple(_shown(c, cfg, counts))
    warnings = [*_warned(c), *_too_long(every, limit, cfg.longest)]
    if counts is not None:
        warnings += _options(counts)
    done = CheckedConstitution(c, every, tuple(warnings))
    if cfg.html is not None:
        write(done.page(), cfg.html)
    return done


def _shown(c: Constitution, cfg: ConstitutionCheck, speller: Any) -> Iterator[Shown]:
    talk, pair = ask(cfg.prompt), (cfg.answer, cfg.other)

    def one(what: str, principle: str, put: Put) -> Shown:
        return Shown(what, principle, put, _tokens(speller, put))

    for by in c.revise:
        yield one("critique", by.id, to_criticise(c, by, talk, cfg.answer))
        yield one("revision", by.id, to_revise(c, by, talk, cfg.answer, STANDS_FOR[3]))
    for which in c.compare:
        yield one("comparison", which.id, to_choose(c, which, talk, pair, seed=cfg.seed))
        chain = to_choose(c, which, talk, pair, seed=cfg.seed, think=True)
        yield one("comparison after thoughts", which.id, concluded(chain, THOUGHT))


def _counting(model: str, template: Any) -> tuple[Any, int]:
    """A model's speller, and how many tokens it reads."""
    from types import SimpleNamespace

    from accord.models.forms import context
    from accord.models.sketch import config_of
    from accord.text.tokenizer import Speller

    config = config_of(model)
    most = context(SimpleNamespace(config=config.get_text_config()))  # type: ignore[arg-type]
    return Speller.load(model, template=template), most


def _tokens(speller: Any, put: Put) -> int | None:
    if speller is None:
        return None
    try:
        return len(speller.prompt_ids(put[0])) + _bare(speller, put[1])
    except BadData as error:
        raise BadData(f"this model's template cannot write such a prompt: {error}") from None


def _bare(speller: Any, text: str) -> int:
    """Tokens of a text that continues another."""
    return len(speller.opening(text)) - len(speller.head)


def _warned(c: Constitution) -> Iterator[str]:
    for what, rows in (
        ("revise", [(p.id, f"{p.critique} {p.revision}", p.where) for p in c.revise]),
        ("compare", [(q.id, q.text, q.where) for q in c.compare]),
    ):
        for n, (name, text, where) in enumerate(rows):
            if mark := MARKS.search(text):
                yield f"{where}: principle {name!r} holds {mark.group()!r}, which is sent as it is"
            for other, words, _ in rows[:n]:
                if SequenceMatcher(None, text.lower(), words.lower()).ratio() >= ALIKE:
                    yield f"{where}: principle {name!r} of {what} says nearly what {other!r} says"
        if not rows:
            yield f"there is no principle to {what} by: that stage cannot be run"
        if len(rows) == 1:
            yield f"one principle alone to {what} by: nothing is drawn, and labels are of one mind"
    if not c.shots:
        yield (
            "no example of a revision (shots.revise): a base model mixes up critique and revision; "
            "a chat model needs none"
        )
    if not c.choices:
        yield (
            "no example of a comparison (shots.compare): a base model may not know that a letter "
            "is asked for; a chat model needs none"
        )


def _too_long(every: tuple[Shown, ...], limit: int | None, longest: int) -> Iterator[str]:
    for one in every:
        if limit is not None and one.tokens is not None and one.tokens + longest > limit:
            yield (
                f"the {one.what} of principle {one.principle!r} has {one.tokens} tokens: with "
                f"longest={longest} that is more than the {limit} that this model reads; use fewer "
                "or shorter examples"
            )


def _options(speller: Any) -> Iterator[str]:
    sizes = [_bare(speller, option) for option in OPTIONS]
    if len(set(sizes)) > 1:
        yield (
            f"the options {OPTIONS[0]!r} and {OPTIONS[1]!r} have {sizes[0]} and {sizes[1]} tokens "
            "here: their log-probabilities are of unlike lengths, and lean to the shorter"
        )
