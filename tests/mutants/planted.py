"""The bugs to plant in accord.maths: those the field has made, and those it will make."""

import tomllib
from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """In maths/<module>.py, `old` (which stands there exactly once) becomes `new`."""

    module: str
    bug: str
    old: str
    new: str


MUTANTS = [
    Mutant(file.stem, bug["is"], bug["old"], bug["new"])
    for file in sorted(Path(__file__).parent.glob("*.toml"))
    for bug in tomllib.loads(file.read_text())["bug"]
]
