"""A YAML preset and `key=value` words, read into settings."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from accord.config import schema
from accord.config.settings import Settings
from accord.errors import BadSettings

S = TypeVar("S", bound=Settings)
_NOTHING = ("none", "null", "~")
_STRICT = ConfigDict(allow_inf_nan=False)


class _Said(NamedTuple):
    """One value somebody gave, and where."""

    path: tuple[str, ...]
    value: Any
    """text, a list of texts, or None; from Python also values of the right type"""
    where: str
    hidden: int = 0
    """how many of the first parts of the path nobody writes"""

    def key(self, depth: int | None = None) -> str:
        """The path, or its first `depth` parts, as it is written."""
        return ".".join(self.path[self.hidden : depth])


@dataclasses.dataclass
class _Draft:
    """An object under way: its class and what has been said of its fields."""

    kind: type
    values: dict[str, Any]
    where: str = ""


def read(
    cls: type[S],
    preset: Path | None = None,
    words: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> S:
    """Settings from `defaults` (as `plain` writes them), then a preset, then words; later wins.

    Within one source order does not matter, and a key given twice is an error.  Raises BadSettings
    naming the place (file:line, or the word), the key, and the nearest key or the expected type.
    """
    return typing.cast(S, read_each((cls,), preset, words, defaults)[0])


def read_each(
    classes: Sequence[type[Settings]],
    preset: Path | None = None,
    words: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> list[Settings]:
    """The same for several settings at once: a value goes to the first class that has its key."""
    drafts = [_Draft(cls, {}) for cls in classes]
    for source in (
        _from_mapping(defaults or {}, "defaults"),
        _from_yaml(preset) if preset else [],
        [_from_word(word) for word in words],
    ):
        seen: dict[tuple[str, ...], _Said] = {}
        for said in sorted(source, key=lambda s: len(s.path)):
            if (first := seen.setdefault(said.path, said)) is not said:
                raise BadSettings(
                    f"{said.where}: {said.key()!r} was already given ({first.where}); say it once"
                )
            _agree(seen, said)
            _put(*_owned(drafts, said), 0)
    return [_finish(draft) for draft in drafts]


def _agree(seen: Mapping[tuple[str, ...], _Said], said: _Said) -> None:
    """BadSettings where the same source also says that there is no such option."""
    for at in range(1, len(said.path)):
        above = seen.get(said.path[:at])
        if above is not None and _nothing(above.value):
            raise BadSettings(
                f"{said.where}: {above.key()!r} was said to be none ({above.where}); "
                "leave one of them out"
            )


def _nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.lower() in _NOTHING)


def _owned(drafts: Sequence[_Draft], said: _Said) -> tuple[_Draft, _Said]:
    """The draft that a value belongs to, by its first key, and the value with its whole path."""
    every: dict[str, Any] = {}
    for draft in drafts:
        known = schema.written(draft.kind)
        if whole := known.get(said.path[0]):
            path = (*whole, *said.path[1:])
            return draft, said._replace(path=path, hidden=len(whole) - 1)
        every |= known
    raise BadSettings(f"{said.where}: {schema.unknown(drafts[-1].kind, said.path[0], every)}")


def _from_word(word: str) -> _Said:
    key, equals, text = word.partition("=")
    if not equals or not key.strip():
        raise BadSettings(f"{word!r} is not a setting; write it as key=value")
    return _said(key.strip(), text.strip(), f"{word!r}")


def _said(key: str, value: Any, where: str, above: tuple[str, ...] = ()) -> _Said:
    path = (*above, *key.split("."))
    if len(path) > 1 and path[-1] == "kind":  # {kind: X} below a key says the same as key: X
        path = path[:-1]
    return _Said(path, value, where)


def _from_mapping(tree: Mapping[str, Any], where: str, above: tuple[str, ...] = ()) -> list[_Said]:
    found: list[_Said] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found += _from_mapping(value, where, (*above, *str(key).split(".")))
        else:
            found.append(_said(str(key), value, where, above))
    return found


def _from_yaml(path: Path) -> list[_Said]:
    try:
        tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise BadSettings(f"cannot read the preset {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSettings(f"the preset {path} is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadSettings(f"{path}:{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise BadSettings(f"{path}: not valid YAML: {error}") from None
    if tree is None:
        return []
    if not isinstance(tree, yaml.MappingNode):
        raise BadSettings(f"{path}: a preset is a list of `key: value` lines")
    return list(_from_node(tree, path, ()))


def _from_node(tree: yaml.MappingNode, path: Path, above: tuple[str, ...]) -> Iterator[_Said]:
    for key, value in tree.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode) or len(above) > 8:
            raise BadSettings(f"{where}: expected `key: value`")
        if isinstance(value, yaml.MappingNode):
            yield from _from_node(value, path, (*above, *key.value.split(".")))
        else:
            yield _said(key.value, _scalars(value, where), where, above)


def _scalars(node: yaml.Node, where: str) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag.endswith(":null") else node.value
    if not all(isinstance(item, yaml.ScalarNode) for item in node.value):
        raise BadSettings(f"{where}: a list may hold plain values only")
    return [item.value for item in node.value]


def _put(draft: _Draft, said: _Said, at: int) -> None:
    """Write one value where its path leads, opening option objects on the way."""
    name, key, hints = said.path[at], said.key(at + 1), schema.hints(draft.kind)
    if name not in hints:
        raise BadSettings(f"{said.where}: {schema.unknown(draft.kind, name, hints)}")
    if at + 1 == len(said.path):
        draft.values[name] = _value(hints[name], said, key)
        return
    now = draft.values.get(name, schema.default(draft.kind, name))
    kinds = schema.kinds(hints[name])
    if not kinds:
        raise BadSettings(f"{said.where}: {key!r} is {schema.words(hints[name])}; it has no parts")
    if not isinstance(now, _Draft):
        if type(now) in kinds:
            now = _Draft(type(now), {f: getattr(now, f) for f in schema.hints(type(now))})
        elif len(kinds) == 1:
            now = _Draft(kinds[0], {})
        else:
            choices = " or ".join(f"{key}={kind.__name__}" for kind in kinds)
            raise BadSettings(f"{said.where}: choose the kind of {key!r} first: {choices}")
        draft.values[name] = now
    now.where = said.where
    _put(now, said, at + 1)


def _value(hint: Any, said: _Said, key: str) -> Any:
    """One given value as its field wants it: a Python value, or the draft of an option object."""
    kinds, members = schema.kinds(hint), schema.members(hint)
    if type(said.value) in kinds:
        return said.value
    text = said.value.lower() if isinstance(said.value, str) else None
    if type(None) in members and _nothing(said.value):
        return None
    for kind in kinds:
        if kind.__name__.lower() == text:
            return _Draft(kind, {}, said.where)
    for literal in members:
        for choice in get_args(literal) if get_origin(literal) is Literal else ():
            if str(choice).lower() == text:
                return choice
    return _leaf(hint, [m for m in members if m not in (*kinds, type(None))], said, key)


def _leaf(hint: Any, kinds: list[Any], said: _Said, key: str) -> Any:
    """A value that is no option object, checked by pydantic against the plain part of `hint`."""
    value, why = said.value, ""
    if isinstance(value, str) and any(get_origin(kind) is tuple for kind in kinds):
        value = [part.strip() for part in value.split(",")] if value else []
    try:
        if kinds and not (isinstance(value, bool) and bool not in kinds):
            checker = TypeAdapter(schema.narrow(hint, kinds), config=_STRICT)
            got = checker.validate_python(value)
            return got.expanduser() if isinstance(got, Path) else got
    except ValidationError as error:
        why = schema.constraint(error)
    near = schema.nearest(str(value), schema.choices(hint))
    tail = f"; did you mean {near!r}?" if near else f"; {why}" if why else ""
    shown = ",".join(map(str, value)) if isinstance(value, list) else value
    expected = schema.words(hint)
    raise BadSettings(f"{said.where}: {key} = {shown!r}, expected {expected}{tail}")


def _finish(draft: _Draft) -> Any:
    values = {n: _finish(v) if isinstance(v, _Draft) else v for n, v in draft.values.items()}
    if issubclass(draft.kind, Settings):
        return draft.kind(**values)
    missing = [name for name in schema.required(draft.kind) if name not in values]
    start = f"{draft.where}: {draft.kind.__name__}"
    if missing:
        raise BadSettings(f"{start} needs {', '.join(map(repr, missing))}")
    try:
        return draft.kind(**values)
    except ValueError as error:
        raise BadSettings(f"{start}: {error}") from None
