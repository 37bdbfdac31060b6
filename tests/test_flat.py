"""Options whose parts are written without their name: what many commands share, as one field."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from accord.config import Flat, Settings, as_preset, describe, plain, read
from accord.errors import BadSettings


@dataclass(frozen=True)
class Pairs:
    """Every two answers."""

    margin: bool = False
    """ask for more distance"""
    centre: float = 0.0


@dataclass(frozen=True)
class Source(Flat):
    """Where rows come from."""

    split: str | None = None
    """which part"""
    pairs: Pairs = Pairs()
    """how they are paired"""


@dataclass(frozen=True)
class Larger(Source):
    folder: Path | None = None
    """where it lies"""


class Reads(Settings):
    """A method that reads."""

    source: Source = Source()
    """nobody writes this"""
    steps: int = 3
    """how many"""


class ReadsMore(Reads):
    """A method that reads more."""

    source: Larger = Larger()
    """nor this"""


def test_parts_of_a_flat_option_are_written_without_its_name(tmp_path):
    preset = tmp_path / "a.yaml"
    preset.write_text("split: train\npairs:\n  margin: true\n")
    made = read(ReadsMore, preset, ["split=test", "pairs.centre=2", "folder=a/b", "steps=4"])
    assert made == ReadsMore(source=Larger("test", Pairs(True, 2.0), Path("a/b")), steps=4)
    assert made == ReadsMore(split="test", pairs=Pairs(True, 2.0), folder=Path("a/b"), steps=4)
    assert list(plain(made)) == ["split", "pairs", "folder", "steps"]
    assert read(ReadsMore, defaults=plain(made)) == made
    assert as_preset(made).startswith("split: test\npairs:\n  kind: Pairs\n")
    names = [row.name for row in ReadsMore.fields()]
    assert {"split", "pairs.margin", "folder", "steps"} <= {*names}
    assert "source" not in " ".join(names)
    assert "which part" in describe(Reads)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["folder=a"], "Reads has no setting 'folder'; it has split, pairs, steps"),
        (["splt=a"], "did you mean 'split'"),
        (["source=Source"], "Reads has no setting 'source'"),
        (["source.split=a"], "Reads has no setting 'source'"),
        (["split=a", "split=b"], "'split' was already given"),
        (["pairs.margin=no way"], "pairs.margin = 'no way', expected true or false"),
        (["pairs.x=1"], "Pairs has no setting 'x'"),
    ],
)
def test_errors_name_the_key_that_was_written(words, said):
    with pytest.raises(BadSettings, match=said):
        read(Reads, words=words)
