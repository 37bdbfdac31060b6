"""Settings: a YAML preset, then `key=value` words, validated into frozen objects.

    accord ppo --preset ppo.yaml steps=400 loss=BestOfK kl.beta=0.05

A recipe's settings are a `Settings` class: the schema, the defaults and the help in one place. A
field may hold an option object, a frozen dataclass that is itself the formula; it is chosen by its
class name, and its own fields follow a dot; those of a `Flat` one stand without its name.  Text
stays text until the field says what it is, so a preset and a word read alike. A word that fits
nothing is an error.
"""

from accord.config.help import Field, describe
from accord.config.presets import Preset, called, find, presets
from accord.config.reading import read, read_each
from accord.config.schema import Flat, nearest
from accord.config.settings import MAX_FIELDS, Settings, as_preset, digest, plain

__all__ = [
    "MAX_FIELDS",
    "Field",
    "Flat",
    "Preset",
    "Settings",
    "as_preset",
    "called",
    "describe",
    "digest",
    "find",
    "nearest",
    "plain",
    "presets",
    "read",
    "read_each",
]
