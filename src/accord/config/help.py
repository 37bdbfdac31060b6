"""Settings told to people: one line per field, from the docstrings under the fields."""

import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from accord.config import schema


class Field(NamedTuple):
    """One line of help."""

    name: str
    """dotted, as it is written in a word; `loss=BestOfK` for a choice of an option field"""
    type: str
    default: str
    help: str
    depth: int = 0


def fields(kind: type, *, made: Any = None, above: str = "", depth: int = 0) -> Iterator[Field]:
    """Every field in order; under an option field its choices, under these their own fields."""
    helps = _helps(kind)
    for name, hint in schema.hints(kind).items():
        default = schema.default(kind, name) if made is None else getattr(made, name)
        if name in schema.flat(kind):
            yield from fields(hint, made=default, above=above, depth=depth)
            continue
        key = above + name
        yield Field(key, schema.words(hint), _shown(default), helps.get(name, ""), depth)
        for option in schema.kinds(hint):
            first = " ".join((inspect.getdoc(option) or "").split("\n\n")[0].split())
            yield Field(f"{key}={option.__name__}", "", "", first, depth + 1)
            start = default if type(default) is option else None
            yield from fields(option, made=start, above=f"{key}.", depth=depth + 2)


def describe(kind: type) -> str:
    """One line per field, for --help: name, type, default, help; an option's choices below it."""
    rows = [
        (
            "  " * (row.depth + 1) + row.name,
            f"{row.type} = {row.default}" if row.default else row.type,
            row.help,
        )
        for row in fields(kind)
    ]
    left = max((len(name) for name, _, _ in rows), default=0)
    middle = min(max((len(told) for _, told, _ in rows), default=0), 40)
    return "\n".join(
        f"{name:{left}}  {told:{middle}}  {said}".rstrip() for name, told, said in rows
    )


@functools.cache
def _helps(kind: type) -> dict[str, str]:
    """The string written under each field in the source."""
    if issubclass(kind, BaseModel):
        return {n: " ".join((f.description or "").split()) for n, f in kind.model_fields.items()}
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, said in itertools.pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(said, ast.Expr)
                and isinstance(said.value, ast.Constant)
                and isinstance(said.value.value, str)
            ):
                found[field.target.id] = " ".join(said.value.value.split())
    return found


def _shown(value: Any) -> str:
    """A default as it would be written in a word."""
    if value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        return type(value).__name__
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return ",".join(map(_shown, value)) if isinstance(value, tuple) else str(value)
