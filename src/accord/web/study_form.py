"""The form of a study: made from `StudyConfig`, so that no setting can be missing from it."""

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from accord.config import Settings, plain
from accord.errors import BadSettings
from accord.store.judgements.forms import Kind, StudyConfig

KINDS: dict[Kind, tuple[str, str]] = {
    "pairwise": ("Pairs", "Two answers: which is better?"),
    "rank": ("Ranking", "Several answers, put in order."),
    "rate": ("Ratings", "A number for each answer, on each axis."),
    "rewrite": ("Rewriting", "The answer as it should have been: a demonstration."),
    "chat": ("Live chat", "Talk to a model; choose one of two answers each turn."),
}
GROUPS: dict[str, tuple[str, ...]] = {
    "What is asked": ("question", "guidelines", "verdicts", "axes", "scale", "reason"),
    "Who is talked to": ("talk.models", "talk.temperature", "talk.longest", "talk.pictures"),
    "Who, and how often": ("overlap", "everyone", "agree_below"),
    "How it is shown": (
        "blind",
        "reveal",
        "shuffle",
        "view.facts",
        "view.formats",
        "view.read_all",
        "lease_minutes",
    ),
    "Watching quality": ("quiz.items", "quiz.passes", "gold_rate", "shortest_s", "leaks"),
}
LABELS = {
    "question": "Question",
    "guidelines": "Guidelines",
    "verdicts": "Verdicts beside A and B",
    "axes": "Axes",
    "scale": "Highest rating",
    "reason": "Reason",
    "talk.models": "Models",
    "talk.temperature": "Temperature",
    "talk.longest": "Longest answer, in tokens",
    "talk.pictures": "People may show pictures",
    "overlap": "Judgements of each item",
    "everyone": "Open to all annotators",
    "agree_below": "To the adjudicators below an agreement of",
    "blind": "Hide model names",
    "reveal": "Name the models after the verdict",
    "shuffle": "Shuffle the answers",
    "view.facts": "Show what is known of a prompt",
    "view.formats": "Answers are shown",
    "view.read_all": "Both answers must be read to the end",
    "lease_minutes": "Minutes an item is kept for one person",
    "quiz.items": "Known items in a quiz at the start",
    "quiz.passes": "Share of them that must be right",
    "gold_rate": "Share of known items",
    "shortest_s": "Fast below, in seconds",
    "leaks": "Words that betray a model",
}
ONLY: dict[str, tuple[Kind, ...]] = {
    "verdicts": ("pairwise", "chat"),
    "axes": ("rate",),
    "scale": ("rate",),
    "talk.models": ("chat",),
    "talk.temperature": ("chat",),
    "talk.longest": ("chat",),
    "talk.pictures": ("chat",),
    "quiz.items": ("pairwise", "rank", "rate"),
    "quiz.passes": ("pairwise", "rank", "rate"),
    "gold_rate": ("pairwise", "rank", "rate"),
}
"""fields that other kinds of study make nothing of"""


@dataclass(frozen=True)
class Field:
    """One setting of a study."""

    hint: Any
    """its type"""
    help: str


def _fields(kind: type[Settings], above: str = "") -> dict[str, Field]:
    """Name -> field; those of a setting that has its own, as "talk.longest"."""
    found: dict[str, Field] = {}
    for name, hint in typing.get_type_hints(kind).items():
        if isinstance(hint, type) and issubclass(hint, Settings):
            found |= _fields(hint, f"{above}{name}.")
        elif name in kind.model_fields:
            help = " ".join((kind.model_fields[name].description or "").split())
            found[above + name] = Field(hint, help[:1].upper() + help[1:])
    return found


FIELDS = _fields(StudyConfig)


@dataclass(frozen=True)
class Widget:
    """One field of the form."""

    name: str
    label: str
    help: str
    form: Literal["text", "area", "number", "check", "select", "checks", "list"]
    value: Any
    choices: tuple[str, ...] = ()
    step: str = "1"
    kinds: str = ""
    """of study that have it, with spaces between; empty: all"""
    error: str = ""


def groups(
    values: Mapping[str, Any], errors: Mapping[str, str] | None = None, kind: str = ""
) -> list[tuple[str, list[Widget]]]:
    """The widgets by heading, of one kind of study or of all; a field that no heading names comes
    under "More".
    """
    named = {name for names in GROUPS.values() for name in names}
    every = {**GROUPS, "More": tuple(name for name in FIELDS if name not in named)}
    found = []
    for heading, names in every.items():
        widgets = [_widget(name, values, (errors or {}).get(name, "")) for name in names]
        if own := [one for one in widgets if not (kind and one.kinds) or kind in one.kinds.split()]:
            found.append((heading, own))
    return found


def defaults(config: StudyConfig | None = None) -> dict[str, Any]:
    """Field -> value, as the form shows it."""
    found: dict[str, Any] = {}
    for name, value in plain(config or StudyConfig()).items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}": value[key] for key in value if key != "kind"}
        else:
            found[name] = value
    return found


def config_of(values: Mapping[str, Any]) -> StudyConfig:
    """The settings that the fields hold; BadSettings where they are none."""
    told: dict[str, Any] = {}
    for name, value in values.items():
        above, _, own = name.partition(".")
        if own:
            told.setdefault(above, {})[own] = value
        else:
            told[name] = value
    return StudyConfig.of(told)


def _widget(name: str, values: Mapping[str, Any], error: str) -> Widget:
    field = FIELDS[name]
    label = LABELS.get(name, name.replace("_", " ").capitalize())
    form, choices, step = _form(name, field.hint)
    kinds, value = " ".join(ONLY.get(name, ())), values.get(name)
    if form == "list":
        value = ", ".join(value or ())
    return Widget(name, label, field.help, form, value, choices, step, kinds, error)


def _form(name: str, hint: Any) -> tuple[Any, tuple[str, ...], str]:
    """(which widget, its choices, its step) for a type."""
    if hint is bool:
        return "check", (), ""
    if hint is int:
        return "number", (), "1"
    if hint is float:
        return "number", (), "any"
    if get_origin(hint) is Literal:
        return "select", tuple(get_args(hint)), ""
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if get_origin(inner) is Literal:
            return "checks", tuple(get_args(inner)), ""
        return "list", (), ""
    return ("area" if name == "guidelines" else "text"), (), ""


def read(form: Mapping[str, list[str]], kind: Kind) -> tuple[StudyConfig | None, dict[str, Any]]:
    """(settings, or None where something is wrong; the values as given).  `problems` says what."""
    values = {name: _value(name, form) for name in FIELDS}
    return (None if problems(values, kind) else config_of(values)), values


def problems(values: Mapping[str, Any], kind: Kind) -> dict[str, str]:
    """Field -> what is wrong with it, in words that stand beside it."""
    wrong = {}
    for name, value in values.items():
        try:
            config_of({name: value})
        except BadSettings as error:
            wrong[name] = _briefly(str(error))
    if not wrong:
        try:
            config_of(values).fit(kind)
        except BadSettings as error:
            wrong["talk.models" if kind == "chat" else "axes"] = str(error)
    return wrong


def _briefly(said: str) -> str:
    """What a field should be, without its name, which stands above it."""
    last = said.rpartition("; ")[2].removeprefix("it ").removeprefix("Input ")
    if "valid integer" in last or "valid number" in last or "integer, got" in last:
        return "Give a number." if "number" in last else "Give a whole number."
    return last[:1].upper() + last[1:] + "."


def _value(name: str, form: Mapping[str, list[str]]) -> Any:
    given = form.get(name, [])
    hint = FIELDS[name].hint
    which, _, _ = _form(name, hint)
    if which == "check":
        return bool(given)
    if which == "checks":
        return tuple(given)
    text = given[0] if given else ""
    if which == "list":
        return tuple(word.strip() for word in text.replace("\n", ",").split(",") if word.strip())
    if which == "number":
        try:
            return int(text) if hint is int else float(text)
        except ValueError:
            return text or None
    return text.replace("\r\n", "\n")
