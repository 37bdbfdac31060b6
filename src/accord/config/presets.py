"""Presets that ship with the package: for each command a folder of YAML files, found by name."""

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from accord.config.schema import nearest
from accord.errors import BadSettings


class Preset(NamedTuple):
    """One of them."""

    name: str
    path: Path
    about: str
    """its first line, a comment"""


def presets(verb: str) -> list[Preset]:
    """Those of a command, by name."""
    folder = Path(str(files("accord") / "recipes" / "presets" / verb))
    return [
        Preset(path.stem, path, path.read_text(encoding="utf-8").splitlines()[0].lstrip("# "))
        for path in sorted(folder.glob("*.yaml"))
    ]


def find(verb: str, said: Path | None) -> Path | None:
    """The file that --preset means: a path, or the bare name of one that ships."""
    if said is None or said.is_file() or said.suffix or len(said.parts) > 1:
        return said
    known = {preset.name: preset.path for preset in presets(verb)}
    if said.name in known:
        return known[said.name]
    near = nearest(said.name, list(known))
    hint = f"did you mean {near!r}?" if near else f"it has {', '.join(known) or 'none'}"
    raise BadSettings(f"there is no file {said}, and {verb} has no preset of that name; {hint}")
