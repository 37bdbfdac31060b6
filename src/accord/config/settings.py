"""The base class of every recipe's settings, and its plain form."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from accord.config import help, schema
from accord.errors import BadSettings

MAX_FIELDS = 20


class Settings(BaseModel):
    """What a recipe can be told.  Frozen; a docstring under a field is its help."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
        protected_namespaces=(),
    )

    def __init__(self, **values: Any) -> None:
        for name, kind in schema.flat(type(self)).items():
            if parts := {key: values.pop(key) for key in schema.hints(kind) if key in values}:
                values[name] = kind(**parts)
        for name, value in values.items():
            if isinstance(value, Mapping):
                raise BadSettings(f"{type(self).__name__}({name}={value!r}): give an object")
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise BadSettings(_explain(type(self), error)) from None

    @classmethod
    def __pydantic_init_subclass__(cls, **more: Any) -> None:
        """Only what cannot change may be a setting; found at definition, not at use."""
        for name, hint in schema.hints(cls).items():
            schema.check(f"{cls.__name__}.{name}", hint)
        if len(cls.model_fields) > MAX_FIELDS:
            raise TypeError(
                f"{cls.__name__} has {len(cls.model_fields)} fields; {MAX_FIELDS} is the limit"
            )

    @classmethod
    def fields(cls) -> list[help.Field]:
        """Every field in order, and under each option field its choices and their own fields."""
        return list(help.fields(cls))


def plain(thing: Any) -> Any:
    """The same as JSON-able values; an option object becomes {"kind": its class, ...its fields}.

    For Settings this is a flat dict of fields, and `read(cls, defaults=plain(s)) == s`.
    """
    if isinstance(thing, Settings):
        return {path[-1]: _plain(_at(thing, path)) for path in schema.written(type(thing)).values()}
    return _plain(thing)


def as_preset(*settings: Settings) -> str:
    """YAML that `read_each` with the same classes reads back equal."""
    told: dict[str, Any] = {}
    for one in settings:
        told |= plain(one)
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)


def digest(thing: Any) -> str:
    """sha256 (hex) of canonical JSON: keys sorted, no spaces, NaN refused."""
    text = json.dumps(
        plain(thing), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _at(thing: Any, path: Sequence[str]) -> Any:
    return _at(getattr(thing, path[0]), path[1:]) if path else thing


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return {"kind": type(value).__name__} | plain(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {name: _plain(getattr(value, name)) for name in schema.hints(type(value))}
        return {"kind": type(value).__name__} | own
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadSettings(f"{value} is not a number that settings can hold")
        return value
    raise TypeError(f"{type(value).__name__} has no plain form: {value!r}")


def _explain(cls: type[Settings], error: ValidationError) -> str:
    """pydantic's first complaint as one sentence of ours."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][:1])
    if first["type"] == "extra_forbidden":
        return schema.unknown(cls, key, cls.model_fields)
    if first["type"] == "missing":
        said = cls.model_fields[key].description
        return f"{cls.__name__} needs {key!r}" + (f" ({said})" if said else "")
    if not key:
        return f"{cls.__name__}: {first['msg'].removeprefix('Value error, ')}"
    why = schema.constraint(error) or first["msg"].removeprefix("Value error, ")
    return f"{key} = {first['input']!r}, expected {schema.words(schema.hints(cls)[key])}; {why}"
