"""Presets that ship with the package: for each command a folder of YAML files, found by name.

What a person should know of one stands in its comments.  The first line says what it is; one that
begins with `# run:`, and those indented below it, what was run with it, on what, and what came out.
"""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from accord.config.schema import nearest
from accord.errors import BadSettings

_RAN, _MORE = "# run:", "#   "


class Preset(NamedTuple):
    """One of them."""

    name: str
    path: Path
    about: str
    """its first line, a comment"""
    ran: str
    """what was run with it, on what, and what came out"""

    @classmethod
    def read(cls, path: Path) -> "Preset":
        """What its comments say."""
        lines = path.read_text(encoding="utf-8").splitlines()
        ran: list[str] = []
        for line in lines:
            if line.startswith(_RAN) or (ran and line.startswith(_MORE)):
                ran.append(line.removeprefix(_RAN).removeprefix("#").strip())
            elif ran:
                break
        return cls(path.stem, path, lines[0].lstrip("# "), " ".join(ran))

    @property
    def text(self) -> str:
        """All of it, as YAML."""
        return self.path.read_text(encoding="utf-8")


def presets(verb: str) -> list[Preset]:
    """Those of a command, by name."""
    folder = Path(str(files("accord") / "recipes" / "presets" / verb))
    return [Preset.read(path) for path in sorted(folder.glob("*.yaml"))]


def called(verbs: Iterable[str], name: str | None) -> list[tuple[str, Preset]]:
    """(command, preset): those of this name, or of the command of this name; None: all."""
    rows = [(verb, one) for verb in verbs for one in presets(verb)]
    if name is None:
        return rows
    if found := [(verb, one) for verb, one in rows if name in (verb, one.name)]:
        return found
    known = list(dict.fromkeys(word for verb, one in rows for word in (verb, one.name)))
    near = nearest(name, known)
    hint = f"did you mean {near!r}?" if near else "`accord presets` lists them"
    raise BadSettings(f"no preset, and no command with presets, is called {name!r}; {hint}")


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
