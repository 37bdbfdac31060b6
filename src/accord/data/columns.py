"""What the columns of somebody else's file are called."""

from collections.abc import Mapping
from dataclasses import dataclass, fields


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
