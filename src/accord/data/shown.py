"""How a reward model is shown an answer: as it stands, or after a turn that asks how good it was.

Such a turn may hold facts that the policy is not told: the reward model need not know what is in a
picture, it reads it (factually augmented RLHF: Sun et al. 2023, arXiv 2309.14525, section 3.2).
The same function shows answers in training and in RL, so they cannot differ.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from random import Random
from typing import Any, NamedTuple

from accord.errors import BadData, BadModel
from accord.records import Conversation, Ids, Message, facts
from accord.text.tokenizer import Speller

Laid = tuple[Ids, tuple[Ids, ...]]
"""what all answers share, and what each goes on with; the score is read at the last id"""


class Case(NamedTuple):
    """Answers to one prompt."""

    talk: Conversation
    answers: Sequence[str]
    visit: str = ""
    """what the order of its facts is drawn from; empty: from its own words, the same every time"""


@dataclass(frozen=True)
class Answer:
    """Prompt and answer with their end."""

    def many(self, speller: Speller, rows: Iterable[Case]) -> list[Laid | BadData]:
        """As they are spelled everywhere."""
        return speller.many([(row.talk, row.answers) for row in rows])


@dataclass(frozen=True)
class Request:
    """Prompt, answer, a turn of the user that asks how good it was, and how a reply begins."""

    facts: bool = True
    """facts of the prompt are shown in the request, in an order drawn anew each time in training;
    without them it is the plain reward model that Fact-RLHF is compared with"""
    request: str = (
        "How good is your last answer? Judge four things.\n"
        "Truth: all that it says is so.{facts}\n"
        "Use: it does what it was asked for.\n"
        "Language: it is clear and reads well.\n"
        "Length: it says no more than it needs to."
    )
    """what is asked; {facts} is where they stand"""
    known: str = " What is known to be so:"
    """what stands before them"""
    fact: str = "\n- {fact}"
    """one of them"""
    opening: str = "By these four, the quality of my last answer is"
    """how the reply begins; the score is read at its last token"""

    def __post_init__(self) -> None:
        for name, mark in (("request", "{facts}"), ("fact", "{fact}")):
            if self.facts and mark not in getattr(self, name):
                raise ValueError(f"{name} has no place for {mark}")
        if not self.opening.strip():
            raise ValueError("opening is empty, and the score is read at its last token")

    def asks(self, talk: Conversation, visit: str = "") -> str:
        """The request; BadData where there are no facts to show."""
        if not self.facts:
            return self.request.replace("{facts}", "")
        if not (known := list(facts(talk))):
            raise BadData("its prompt has no facts (key facts), which this reward model is shown")
        told = "".join(self.fact.replace("{fact}", fact) for fact in _drawn(talk, known, visit))
        return self.request.replace("{facts}", self.known + told)

    def many(self, speller: Speller, rows: Iterable[Case]) -> list[Laid | BadData]:
        """The rows as ids; a row that cannot be written comes back as what is wrong with it."""
        whole: list[tuple[Conversation, str] | BadData] = []
        counts = []
        for row in rows:
            counts.append(len(row.answers))
            try:
                asked = self.asks(row.talk, row.visit)
                whole += [self._whole(speller, row.talk, text, asked) for text in row.answers]
            except BadData as error:
                whole += [error] * len(row.answers)
        good = [(talk, ()) for talk, _ in (one for one in whole if not isinstance(one, BadData))]
        spelled = iter(speller.many(good))
        each: list[Ids | BadData] = []
        for one in whole:
            if isinstance(one, BadData):
                each.append(one)
                continue
            ids = next(spelled)
            each.append(ids if isinstance(ids, BadData) else (*ids[0], *speller.begun(one[1])))
        told = iter(each)
        return [_laid([next(told) for _ in range(count)]) for count in counts]

    def _whole(
        self, speller: Speller, talk: Conversation, answer: str, asked: str
    ) -> tuple[Conversation, str]:
        """(what is read, what the reply begins with); in one text where there are no turns."""
        if not speller.chat:
            return talk, f"{answer}\n{asked}\n{self.opening}"
        said = Message.of("assistant", answer.strip()), Message.of("user", asked)
        return (*talk, *said), self.opening


def _drawn(talk: Conversation, known: Sequence[str], visit: str) -> list[str]:
    """The facts in the order of a visit: of `random`, only that of seeded draws is sure to stay."""
    draw = Random(visit or repr([[message.text for message in talk], known])).random
    keys = [draw() for _ in known]
    return [known[i] for i in sorted(range(len(known)), key=keys.__getitem__)]


Shown = Answer | Request
KINDS = {kind.__name__: kind for kind in (Answer, Request)}


def plain(shown: Shown) -> dict[str, Any]:
    """As JSON holds it."""
    return {"kind": type(shown).__name__, **asdict(shown)}


def read(told: dict[str, Any]) -> Shown:
    """From JSON; BadModel where it is none."""
    try:
        settings = dict(told)
        made: Shown = KINDS[settings.pop("kind")](**settings)
        return made
    except (KeyError, TypeError, ValueError) as error:
        raise BadModel(f"how it is shown answers cannot be read: {error}") from error


def _laid(whole: Sequence[Ids | BadData]) -> Laid | BadData:
    good: list[Ids] = []
    for one in whole:
        if isinstance(one, BadData):
            return one
        good.append(one)
    same = sum(1 for _ in takewhile(lambda ids: len({*ids}) == 1, zip(*good, strict=False)))
    same = min(same, min(map(len, good)) - 1)  # each keeps a token, at which it is scored
    return good[0][:same], tuple(ids[same:] for ids in good)
