"""How the files of a command are read: their columns, a split, their pictures and facts."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from accord.config import Flat
from accord.data.beside import Beside


@dataclass(frozen=True)
class Columns:
    """Their name for each of our keys, where it is another."""

    prompt: str | None = None
    """the question, as text or messages"""
    messages: str | None = None
    """whole conversations"""
    response: str | None = None
    """the answer of a demonstration or a rating"""
    chosen: str | None = None
    """the better answer"""
    rejected: str | None = None
    """the other answer"""
    responses: str | None = None
    """a list of answers"""
    ranks: str | None = None
    """their places, 0 the best"""
    left: str | None = None
    """the first answer of an A/B vote"""
    right: str | None = None
    """the second answer of an A/B vote"""
    winner: str | None = None
    """left, right or tie"""
    good: str | None = None
    """whether a single answer is good"""
    strength: str | None = None
    """how much better"""
    judge: str | None = None
    """who judged"""
    why: str | None = None
    """the judge's reason"""
    id: str | None = None
    """the row's own name"""

    def mapping(self) -> Mapping[str, str]:
        """Our key -> their column, as `read` takes it."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return {ours: theirs for ours, theirs in told.items() if theirs is not None}


@dataclass(frozen=True)
class Files(Flat):
    """How the files of a command are read."""

    columns: Columns = Columns()
    """what the files call our columns, where it is something else: columns.prompt=question"""
    images: Path | None = None
    """the folder that pictures' relative paths count from; none: that of the file that names them,
    or the working folder"""

    def how(self) -> dict[str, Any]:
        """As `read` takes it; BadData where a folder or file is not there."""
        return {"columns": self.columns.mapping(), "beside": self.beside()}

    def beside(self) -> Beside:
        """What lies beside the rows, for files whose columns are their own."""
        return Beside.of(self.images)

    def given(self, *but: str) -> list[str]:
        """The keys that somebody said something under, for what does not go by them."""
        fresh = type(self)()
        keys = [one.name for one in fields(self) if one.name not in ("columns", *but)]
        said = [key for key in keys if getattr(self, key) != getattr(fresh, key)]
        return [*(f"columns.{key}" for key in self.columns.mapping()), *said]


@dataclass(frozen=True)
class Split(Files):
    """Files that may be datasets."""

    split: str | None = None
    """which split of a dataset (a folder or a hub id); none: the only one, or train"""

    def how(self) -> dict[str, Any]:
        """With the split."""
        return {**super().how(), "split": self.split}


@dataclass(frozen=True)
class Facts(Files):
    """Files whose prompts are judged."""

    facts: Path | None = None
    """what is known of each picture: JSON, {picture's file: [captions]}; a reward model with
    shown=Request, graders and people are shown it beside a row's own facts"""

    def beside(self) -> Beside:
        """With what is known of pictures."""
        return Beside.of(self.images, self.facts)


@dataclass(frozen=True)
class SplitFacts(Facts, Split):
    """Datasets whose prompts are judged."""
