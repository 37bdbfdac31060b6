"""How far a study is (a first form)."""

from dataclasses import dataclass

from accord.store.judgements.opening import Store


@dataclass(frozen=True)
class Disputed:
    """An item for the adjudicators."""

    item_id: int
    why: str
    agree: float | None


def disputed(store: Store, study_id: int) -> list[Disputed]:
    """Items under the study's agree_below, and flagged ones, that nobody has settled."""
    return []
