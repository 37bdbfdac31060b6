"""The shapes in which a row of data may come, and the records they become.

A new shape is a function from a row to a record, and a line in one of the tables.
"""

from accord.config import nearest
from accord.data.pieces import Flaw, Row
from accord.data.shapes import judged, plain, seen, votes
from accord.data.shapes.base import SERVES, Graded, Kind, Made, Parts, Record, Shape, serve

SHAPES: tuple[Shape, ...] = (
    *votes.SHAPES,
    *judged.SHAPES,
    *seen.SHAPES,
    *plain.COMPARISONS,
    *plain.RATINGS,
    *plain.DEMONSTRATIONS,
    *plain.PROMPTS,
)
"""in order: the first whose keys a row has, and that serves the kind that is asked for"""
COMMON: dict[Kind, tuple[str, ...]] = {
    "comparisons": (
        "prompt + responses + ranks",
        "prompt + chosen + rejected",
        "chosen + rejected",
    ),
    "ratings": ("prompt + response + good", "prompt + completion + label"),
    "demonstrations": ("prompt + response", "prompt + completion", "messages"),
    "prompts": ("prompt", "messages"),
}
"""what is advised where a row fits nothing"""

__all__ = ["SERVES", "Flaw", "Graded", "Kind", "Made", "Parts", "Record", "Row", "Shape"]
__all__ += ["find", "serve", "wanted"]


def find(row: Row, kind: Kind | None) -> Shape | None:
    """The shape of a row, among those that serve a kind."""
    return next(
        (one for one in SHAPES if (kind is None or kind in SERVES[one.kind]) and one.holds(row)),
        None,
    )


def wanted(row: Row, kind: Kind | None) -> Flaw:
    """What is wrong with a row that has no shape."""
    forms = [form for name in COMMON for form in COMMON[name] if kind in (None, name)]
    known = sorted({key for form in forms for key in form.split(" + ")})
    near = [(key, nearest(key, known)) for key in row if isinstance(key, str) and key not in known]
    hint = "".join(f"; is {key!r} meant to be {good!r}?" for key, good in near if good)
    keys = ", ".join(map(repr, list(row)[:20])) or "none"
    return Flaw("missing key", f"keys are {keys}; needed are {', or '.join(forms)}{hint}")
