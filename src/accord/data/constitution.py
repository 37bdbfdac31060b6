"""Constitutions: the principles that answers are criticised, revised and compared by.

    - Be kind to everybody.
    - Say nothing that is not true.
    - End well.

Three such lines are one.  With more to say it is `key: value`: `rules`, `revise`, `compare`,
`speakers`, `shots` (docs/methods/constitutional.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from accord.config import digest, nearest
from accord.config.marked import Marked, read_marked
from accord.errors import BadSettings

T = TypeVar("T")
CRITIQUE = "Say where the last answer of the {assistant} does not keep this rule: {rule}"
REVISION = "Write the last answer of the {assistant} again, so that it keeps this rule: {rule}"
QUESTION = "Which of the two answers keeps this rule better: {rule}"
"""what becomes of a rule that is one sentence"""


@dataclass(frozen=True, slots=True)
class Principle:
    """How an answer is criticised, and how it is revised."""

    id: str
    critique: str
    revision: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """How two answers are compared."""

    id: str
    text: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Shot:
    """An answer that was criticised and revised, to show how it is done."""

    principle: Principle
    prompt: str
    answer: str
    critique: str
    revision: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Two answers that were compared, to show how it is done."""

    question: Question
    prompt: str
    better: str
    worse: str
    why: str = ""
    """the thoughts that lead there; {better} and {worse} become the letters"""


@dataclass(frozen=True, slots=True)
class Constitution:
    """What is to be kept to."""

    name: str
    user: str
    """what a dialogue calls who asks"""
    assistant: str
    revise: tuple[Principle, ...]
    compare: tuple[Question, ...]
    shots: tuple[Shot, ...] = ()
    choices: tuple[Choice, ...] = ()

    @property
    def fingerprint(self) -> str:
        """sha256 of all it says; not of where it lies, or what it is called."""
        told = asdict(self)
        told.pop("name")
        return digest(_timeless(told))


def shipped() -> dict[str, Path]:
    """Those that come with the package, by name."""
    folder = Path(str(files("accord") / "constitutions"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_constitution(said: str | Path) -> Constitution:
    """A file, or the name of one that ships; BadSettings says what is wrong with it, and where."""
    path, known = Path(said), shipped()
    if not path.is_file():
        if str(said) not in known:
            near = nearest(str(said), list(known))
            hint = f"did you mean {near!r}?" if near else f"those that ship: {', '.join(known)}"
            raise BadSettings(
                f"no constitution is called {str(said)!r}, and there is no such file; {hint}"
            )
        path = known[str(said)]
    return _constitution(read_marked(path), path.stem)


KEYS = ("name", "speakers", "rules", "revise", "compare", "shots")


def _constitution(tree: Marked, name: str) -> Constitution:
    if isinstance(tree.value, list):
        tree = Marked({"rules": tree}, tree.where)
    if not isinstance(tree.value, dict) or not tree.value:
        raise BadSettings(
            f"{tree.where}: a constitution is a list of sentences, each on a line that begins with "
            f"'- ', or the keys {', '.join(KEYS)}"
        )
    told = _keys(tree, KEYS, "a constitution")
    speakers = (
        _keys(told["speakers"], ("user", "assistant"), "speakers") if _has(told, "speakers") else {}
    )
    user, assistant = (
        _text(speakers[key]) if key in speakers else word
        for key, word in (("user", "Human"), ("assistant", "Assistant"))
    )
    rules = _list(told["rules"]) if _has(told, "rules") else []
    revise, compare = (
        _list(told[key]) if _has(told, key) else rules for key in ("revise", "compare")
    )
    if not revise and not compare:
        raise BadSettings(f"{tree.where}: there is no rule: add one to 'rules', as - Be kind.")
    principles = _named(revise, lambda one, n: _principle(one, n, assistant))
    questions = _named(compare, _question)
    shots = _keys(told["shots"], ("revise", "compare"), "shots") if _has(told, "shots") else {}
    by_id, by_question = {p.id: p for p in principles}, {q.id: q for q in questions}
    return Constitution(
        _text(told["name"]) if _has(told, "name") else name,
        user,
        assistant,
        tuple(principles),
        tuple(questions),
        tuple(_shot(one, by_id) for one in _list(shots["revise"])) if "revise" in shots else (),
        tuple(_choice(one, by_question) for one in _list(shots["compare"]))
        if "compare" in shots
        else (),
    )


def _principle(one: Marked, n: int, assistant: str) -> Principle:
    if not isinstance(one.value, dict):
        named = {"assistant": assistant, "rule": _text(one)}
        return Principle(f"{n}", CRITIQUE.format(**named), REVISION.format(**named), one.where)
    told = _keys(one, ("id", "rule", "critique", "revision"), "a principle to revise by")
    name = _text(told["id"]) if _has(told, "id") else f"{n}"
    if _has(told, "rule"):
        if _has(told, "critique") or _has(told, "revision"):
            raise BadSettings(f"{one.where}: give 'rule', or 'critique' and 'revision', not both")
        named = {"assistant": assistant, "rule": _text(told["rule"])}
        return Principle(name, CRITIQUE.format(**named), REVISION.format(**named), one.where)
    _needs(one, told, ("critique", "revision"), "a principle to revise by")
    return Principle(name, _text(told["critique"]), _text(told["revision"]), one.where)


def _question(one: Marked, n: int) -> Question:
    if not isinstance(one.value, dict):
        return Question(f"{n}", QUESTION.format(rule=_text(one)), one.where)
    told = _keys(one, ("id", "rule", "question"), "a principle to compare by")
    name = _text(told["id"]) if _has(told, "id") else f"{n}"
    if _has(told, "rule") == _has(told, "question"):
        raise BadSettings(f"{one.where}: a principle to compare by has a 'rule' or a 'question'")
    if _has(told, "rule"):
        return Question(name, QUESTION.format(rule=_text(told["rule"])), one.where)
    return Question(name, _text(told["question"]), one.where)


def _shot(one: Marked, known: Mapping[str, Principle]) -> Shot:
    keys = ("principle", "prompt", "answer", "critique", "revision")
    told = _keys(one, keys, "an example of a revision")
    _needs(one, told, keys, "an example of a revision")
    named = _known(told["principle"], known, "'revise'")
    prompt, answer, critique, revision = (_text(told[key]) for key in keys[1:])
    return Shot(named, prompt, answer, critique, revision)


def _choice(one: Marked, known: Mapping[str, Question]) -> Choice:
    keys = ("principle", "prompt", "better", "worse")
    told = _keys(one, (*keys, "why"), "an example of a comparison")
    _needs(one, told, keys, "an example of a comparison")
    named = _known(told["principle"], known, "'compare'")
    why = _text(told["why"]) if _has(told, "why") else ""
    prompt, better, worse = (_text(told[key]) for key in keys[1:])
    return Choice(named, prompt, better, worse, why)


def _known(one: Marked, known: Mapping[str, T], of: str) -> T:
    name = _text(one)
    if name not in known:
        near = nearest(name, list(known))
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(known) or 'none'}"
        raise BadSettings(f"{one.where}: {of} has no principle with the id {name!r}; {hint}")
    return known[name]


def _named(rows: Sequence[Marked], make: Callable[[Marked, int], T]) -> list[T]:
    made = [make(one, n) for n, one in enumerate(rows, 1)]
    seen: set[str] = set()
    for one, row in zip(made, rows, strict=True):
        name = str(getattr(one, "id", ""))
        if name in seen:
            raise BadSettings(f"{row.where}: the id {name!r} is taken; ids are there to tell apart")
        seen.add(name)
    return made


def _has(told: Mapping[str, Marked], key: str) -> bool:
    return key in told and told[key].value is not None


def _keys(one: Marked, keys: Sequence[str], what: str) -> dict[str, Marked]:
    if not isinstance(one.value, dict):
        raise BadSettings(f"{one.where}: {what} has the keys {', '.join(keys)}")
    for key, value in one.value.items():
        if key not in keys:
            near = nearest(key, keys)
            hint = f"did you mean {near!r}?" if near else f"it has {', '.join(keys)}"
            hint += "; a sentence with a colon wants quotes" if " " in key else ""
            raise BadSettings(f"{value.where}: {what} has no key {key!r}; {hint}")
    return one.value


def _needs(one: Marked, told: Mapping[str, Marked], keys: Sequence[str], what: str) -> None:
    missing = [key for key in keys if not _has(told, key)]
    if missing:
        raise BadSettings(f"{one.where}: {what} needs {', '.join(map(repr, missing))}")


def _list(one: Marked) -> list[Marked]:
    if not isinstance(one.value, list):
        raise BadSettings(f"{one.where}: expected a list: one entry a line, each begins with '- '")
    return one.value


def _text(one: Marked) -> str:
    if not isinstance(one.value, str) or not one.value.strip():
        raise BadSettings(f"{one.where}: expected a text, in quotes where it holds a colon or a #")
    return one.value.strip()


def _timeless(told: object) -> object:
    """Without the places in a file."""
    if isinstance(told, dict):
        return {key: _timeless(value) for key, value in told.items() if key != "where"}
    if isinstance(told, tuple | list):
        return [_timeless(one) for one in told]
    return told
