"""What a study asks, what is shown, and what comes back: plain values, no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from accord.config import Settings
from accord.errors import AccordError, BadSettings
from accord.records import Comparison, Conversation, Message, plain

Kind = Literal["pairwise", "rank", "rate", "rewrite", "chat"]
KINDS: tuple[Kind, ...] = ("pairwise", "rank", "rate", "rewrite", "chat")
Verdict = Literal["tie", "both_bad", "strength"]


class BadAct(AccordError):
    """What came back does not fit the study; nothing of it was stored."""


class Gone(AccordError):
    """The lease is over: its place was given on, or the item has been judged."""


class NotThere(AccordError):
    """No study, item, lease, person or chat of that name or number."""


class Talk(Settings):
    """How the two answers of a chat study are drawn."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    """1: as the model is, so that a choice compares samples of it; 0: its likeliest words"""
    longest: int = Field(default=256, ge=1, le=8192)
    """the most tokens an answer may have"""
    models: tuple[str, ...] = ()
    """whose answers are compared; one name: two draws of the same; none: any two"""
    pictures: bool = False
    """people may show a picture with what they say: for models that see, which models= names"""


class Quiz(Settings):
    """Known items that a new annotator judges first."""

    items: int = Field(default=0, ge=0, le=50)
    """how many, each told at once whether it was right; 0: no quiz"""
    passes: float = Field(default=0.8, gt=0, le=1)
    """share of them that must be right; who fails may try once more, with other items"""


class View(Settings):
    """What stands before who judges, and how."""

    facts: bool = True
    """what is known of a prompt stands beside it, for who judges alone; false: it stays hidden, to
    compare judging with and without"""
    formats: Literal["rendered", "plain"] = "rendered"
    """Markdown as it is meant, or as it was written"""
    read_all: bool = False
    """both answers must have been scrolled to their ends before a verdict"""


class StudyConfig(Settings):
    """What a study asks, and how."""

    question: str = "Choose the most helpful and honest response"
    """what stands above the answers"""
    guidelines: str = ""
    """Markdown, shown in a panel beside them"""
    verdicts: tuple[Verdict, ...] = ("tie",)
    """beside A and B: a tie, both bad, a strength of 1 to 3"""
    axes: tuple[str, ...] = ("helpful", "honest", "harmless")
    """of a rating; each answer gets a number on each"""
    scale: int = Field(default=7, ge=2, le=10)
    """the highest rating; the lowest is 1"""
    reason: Literal["none", "optional", "required"] = "optional"
    """whether the annotator says why"""
    overlap: int = Field(default=1, ge=1, le=50)
    """how many annotators judge each item"""
    lease_minutes: float = Field(default=15.0, gt=0, le=24 * 60)
    """how long an item waits for whom it was shown to, after the last sign of life"""
    gold_rate: float = Field(default=0.1, ge=0, le=0.5)
    """share of known items among those shown, where the study has such"""
    shortest_s: float = Field(default=2.0, ge=0)
    """a verdict that took less is marked as fast"""
    blind: bool = True
    """model names stay hidden until the verdict is sent"""
    reveal: bool = False
    """a receipt names the models; the verdict cannot be taken back then"""
    shuffle: bool = True
    """each annotator sees the answers in an order of their own; it is stored either way"""
    view: View = View()
    """what stands before who judges, and how"""
    leaks: tuple[str, ...] = ()
    """words that betray a model's identity; a verdict on an answer with one is marked"""
    everyone: bool = True
    """every annotator may take part; false: members only"""
    quiz: Quiz = Quiz()
    """known items that a new annotator judges first"""
    talk: Talk = Talk()
    """for a chat: whose answers are compared, and how they are drawn"""
    agree_below: float = Field(default=0.6, ge=0, le=1)
    """items on which fewer than this share agree go to the adjudicators"""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "StudyConfig":
        """From its plain form, as stores and files keep it."""
        given = dict(told)
        given |= _older_view(given)
        for name, kind in (("talk", Talk), ("quiz", Quiz), ("view", View)):
            if isinstance(own := given.get(name), Mapping):
                given[name] = kind(**{key: own[key] for key in own if key != "kind"})
        if "models" in given:  # where older stores have them
            talk = given.get("talk", Talk())
            given["talk"] = talk.model_copy(update={"models": tuple(given.pop("models"))})
        return cls(**given)

    def fit(self, kind: Kind) -> None:
        """BadSettings where a study of that kind cannot be held so."""
        if kind == "rate" and not self.axes:
            raise BadSettings("a study of ratings needs at least one axis")
        if kind == "chat" and len(self.talk.models) > 2:
            raise BadSettings(
                "a chat study names at most two models: talk.models=name, or talk.models=a,b"
            )
        if kind == "chat" and self.talk.pictures and not self.talk.models:
            raise BadSettings(
                "talk.pictures is for models that see, so they are named: talk.models=name"
            )
        if kind == "chat" and len({*self.talk.models}) == 1 and self.talk.temperature == 0:
            raise BadSettings(
                f"{self.talk.models[0]} at temperature 0 says the same twice: name two models, or "
                "give a temperature above 0"
            )
        if len(set(self.axes)) < len(self.axes):
            raise BadSettings(f"the axes {', '.join(self.axes)} are not all different")


@dataclass(frozen=True)
class Shown:
    """One answer as it is shown: no model name while the study is blind."""

    place: int
    """0 is the left one, or the first"""
    text: str
    model: str = ""


@dataclass(frozen=True)
class Task:
    """An item under a lease, for one annotator: what a page needs."""

    study_id: int
    item_id: int
    lease_id: int
    kind: Kind
    config: StudyConfig
    messages: list[Any]
    """without the facts in them, where the study hides these"""
    answers: tuple[Shown, ...]
    """in the order shown"""
    key: str
    """idempotency key of this rendering: goes back with the verdict"""
    draft: dict[str, Any] | None = None
    adjudicates: bool = False
    others: tuple[dict[str, Any], ...] = ()
    """for adjudicators only: what the others said"""
    facts: bool | None = None
    """whether what is known of the prompt is shown; None: nothing is"""


@dataclass(frozen=True)
class Act:
    """What comes back from a page.  Everything that names an answer does so by its place SHOWN."""

    lease_id: int
    key: str
    act: Literal["judge", "skip", "flag"] = "judge"
    ranks: tuple[int, ...] | None = None
    """place of the answer shown at 0, 1, ...; 0 the best; equal: tied"""
    both_bad: bool = False
    strength: int | None = None
    ratings: dict[str, tuple[int, ...]] | None = None
    rewrite: str | None = None
    reason: str = ""
    tags: tuple[str, ...] = ()
    ms_total: int | None = None
    ms_visible: int | None = None
    ms_first: int | None = None
    facts: bool | None = None
    """whether the page showed what is known of the prompt; None: as the study says by now"""


@dataclass(frozen=True)
class Receipt:
    """What became of an act."""

    judgement_id: int
    repeated: bool
    """the key had been seen: this is the first one's receipt"""
    models: tuple[str, ...] = ()
    """of the answers as shown: revealed once the verdict is locked, where the study says so"""
    right: bool | None = None
    """of an answer in the quiz: whether it is the known one"""
    why: str = ""
    """of such an answer: what the known one is, and why"""


@dataclass(frozen=True)
class NewItem:
    """Answers to one prompt, to be asked about."""

    messages: list[Any]
    answers: tuple[str, ...]
    models: tuple[str, ...] = ()
    """who wrote each; empty: unknown"""
    gold: dict[str, Any] | None = None
    priority: float = 0.0
    """higher is asked first"""
    propensity: float | None = None
    rewards: tuple[float | None, ...] = ()
    source: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)


def _older_view(given: dict[str, Any]) -> dict[str, Any]:
    """Settings that older stores and programs have beside the others, taken out of there.  A study
    whose settings are all of that time was judged without facts, and stays so.
    """
    flat = {name: given.pop(name) for name in ("formats", "read_all") if name in given}
    if not flat:
        return {}
    view = given.get("view", {"facts": False} if len(flat) == 2 else {})
    return {"view": view if isinstance(view, View) else {**flat, **view}}


def knows(messages: Sequence[Any]) -> bool:
    """Whether something is known of a prompt, as it is stored."""
    return any(_fact(part) for one in messages for part in _parts(one))


def untold(messages: Sequence[Any]) -> list[Any]:
    """The same prompt without what is known of it."""
    return [
        {**one, "content": [part for part in _parts(one) if not _fact(part)]}
        if any(map(_fact, _parts(one)))
        else one
        for one in messages
    ]


def _parts(message: Mapping[str, Any]) -> Sequence[Any]:
    content = message.get("content", "")
    return () if isinstance(content, str) else content


def _fact(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "fact"


def conversation(messages: Sequence[Any]) -> Conversation:
    """Messages as they are stored, as records."""
    return tuple(
        Message.of(one["role"], one["content"])
        if isinstance(one["content"], str)
        else Message(one["role"], tuple(plain.part(part) for part in one["content"]))
        for one in messages
    )


def known_of(one: Comparison) -> dict[str, Any]:
    """A comparison as the known answer (gold) of its item; why, where it says so."""
    return {"ranks": [*one.ranks], **({"why": one.why} if one.why else {})}
