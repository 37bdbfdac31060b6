"""What a settings class, or an option class, says about its own fields."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

_ATOMS = (bool, int, float, str, Path, type(None))


def nearest(word: str, words: Sequence[str]) -> str | None:
    """The one of `words` that `word` was probably meant to be, upper and lower case alike."""
    by_lower = {w.lower(): w for w in words}
    near = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.55)
    return by_lower[near[0]] if near else None


def hints(kind: type) -> dict[str, Any]:
    """Field names and annotations, constraints included, of a Settings or an option class."""
    if issubclass(kind, BaseModel):
        return {
            name: Annotated[(field.annotation, *field.metadata)]
            if field.metadata
            else field.annotation
            for name, field in kind.model_fields.items()
        }
    own = typing.get_type_hints(kind, include_extras=True)
    return {field.name: own[field.name] for field in _dataclass_fields(kind) if field.init}


class Flat:
    """Option classes below this one are written without their field's name: split=test, and not
    files.split=test.  So what many commands share is one field of each.
    """


def flat(kind: type) -> dict[str, type]:
    """Fields whose parts are written without their name, and the class of each."""
    if not issubclass(kind, BaseModel):
        return {}
    return {
        name: hint
        for name, hint in hints(kind).items()
        if isinstance(hint, type) and issubclass(hint, Flat)
    }


def written(kind: type) -> dict[str, tuple[str, ...]]:
    """The keys of a class as they are written, and the path of fields that each stands for."""
    found: dict[str, tuple[str, ...]] = {}
    for name in hints(kind):
        own = flat(kind).get(name)
        found |= {key: (name, key) for key in hints(own)} if own else {name: (name,)}
    return found


def _dataclass_fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


def default(kind: type, name: str) -> Any:
    """The default of a field; PydanticUndefined when it must be given."""
    if issubclass(kind, BaseModel):
        return kind.model_fields[name].get_default(call_default_factory=True)
    field = next(f for f in _dataclass_fields(kind) if f.name == name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return PydanticUndefined if field.default is dataclasses.MISSING else field.default


def required(kind: type) -> list[str]:
    """The fields that have no default."""
    return [name for name in hints(kind) if default(kind, name) is PydanticUndefined]


def members(hint: Any) -> tuple[Any, ...]:
    """The alternatives of an annotation, constraints taken off."""
    if get_origin(hint) is Annotated:
        return members(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(m for part in get_args(hint) for m in members(part))
    return (hint,)


def kinds(hint: Any) -> list[type]:
    """The option classes an annotation allows."""
    return [
        m
        for m in members(hint)
        if isinstance(m, type)
        and get_origin(m) is None
        and (dataclasses.is_dataclass(m) or issubclass(m, BaseModel))
    ]


def narrow(hint: Any, leaves: list[Any]) -> Any:
    """The annotation without None and without option classes, its constraints kept."""
    if get_origin(hint) is Annotated:
        return Annotated[(narrow(get_args(hint)[0], leaves), *hint.__metadata__)]
    if get_origin(hint) in (Union, types.UnionType):
        kept = [p for p in get_args(hint) if any(m in leaves for m in members(p))]
        return Union[tuple(narrow(p, leaves) for p in kept)]  # noqa: UP007 - made at run time
    return hint


def check(name: str, hint: Any) -> None:
    """TypeError unless values of this annotation can never change."""
    for member in members(hint):
        origin = get_origin(member)
        if origin is tuple:
            for inner in get_args(member):
                if inner is not Ellipsis:
                    check(name, inner)
        elif member in kinds(hint):
            frozen = issubclass(member, BaseModel) or member.__dataclass_params__.frozen
            if not frozen or "kind" in hints(member):
                raise TypeError(f"{name}: {member.__name__} must be frozen, without a field 'kind'")
            for inner_name, inner in hints(member).items():
                check(f"{name}.{inner_name}", inner)
        elif origin is not Literal and member not in _ATOMS:
            raise TypeError(f"{name}: {member} could change after reading; use a tuple or a class")


def choices(hint: Any) -> list[str]:
    """The names an annotation knows: option classes and literals."""
    literals = [str(c) for m in members(hint) if get_origin(m) is Literal for c in get_args(m)]
    return [kind.__name__ for kind in kinds(hint)] + literals


def words(hint: Any) -> str:
    """An annotation in plain words."""
    names = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    names |= {Path: "path", type(None): "none"}
    said: list[str] = []
    for member in members(hint):
        inner = get_args(member)
        if get_origin(member) is Literal:
            said += map(str, inner)
        elif get_origin(member) is tuple:
            said.append(",".join("..." if i is Ellipsis else words(i) for i in inner))
        else:
            said.append(names.get(member) or member.__name__)
    return " | ".join(said)


def unknown(kind: type, name: str, known: Mapping[str, Any]) -> str:
    """What is said of a key that does not exist."""
    near = nearest(name, list(known))
    hint = f"did you mean {near!r}?" if near else f"it has {', '.join(known) or 'none'}"
    return f"{kind.__name__} has no setting {name!r}; {hint}"


def constraint(error: ValidationError) -> str:
    """What a broken constraint asks for ("greater than 0"); empty when the type itself is wrong."""
    first = error.errors()[0]
    asks = first["type"].startswith(("greater", "less", "multiple", "too_", "string_", "finite"))
    return first["msg"].replace("Input should", "it should") if asks else ""
