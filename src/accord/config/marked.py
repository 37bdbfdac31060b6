"""YAML whose every value knows its line, for files that are more than settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from accord.errors import BadSettings


@dataclass(frozen=True, slots=True)
class Marked:
    """A text, a list, or named values, and where it stands."""

    value: Any
    """str, list[Marked], dict[str, Marked]; None for nothing"""
    where: str
    """file:line"""


def read_marked(path: Path) -> Marked:
    """All of a file; BadSettings says where it is not YAML."""
    try:
        tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise BadSettings(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSettings(f"{path} is not UTF-8 text: save it as such") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadSettings(
            f"{path}:{line}: not valid YAML: {error.problem}; a sentence with a colon or a # in it "
            "wants quotes"
        ) from None
    except yaml.YAMLError as error:
        raise BadSettings(f"{path}: not valid YAML: {error}") from None
    return _of(tree, path) if tree is not None else Marked(None, f"{path}:1")


def _of(node: yaml.Node, path: Path, depth: int = 0) -> Marked:
    mark = node.start_mark
    # what is empty is found where the next line begins
    where = f"{path}:{mark.line + (node.value != '' or mark.column > 0)}"
    if depth > 8:
        raise BadSettings(f"{where}: nested too deeply")
    if isinstance(node, yaml.ScalarNode):
        return Marked(None if node.tag.endswith(":null") else node.value, where)
    if isinstance(node, yaml.SequenceNode):
        return Marked([_of(one, path, depth + 1) for one in node.value], where)
    told: dict[str, Marked] = {}
    for key, value in node.value:
        at = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise BadSettings(f"{at}: expected `key: value`")
        if key.value in told:
            raise BadSettings(f"{at}: {key.value!r} is said twice; leave one")
        told[key.value] = _of(value, path, depth + 1)
    return Marked(told, where)
