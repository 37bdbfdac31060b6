"""A graph without circles as a picture: what was made at the left, its sources at the right."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

WIDTH, HEIGHT, GAP_X, GAP_Y, EDGE = 208, 68, 44, 20, 4
LETTERS = 26
"""of a line in a box"""


@dataclass(frozen=True)
class Box:
    """Something with three lines of text."""

    id: str
    above: str
    title: str
    below: str = ""
    link: str = ""
    kind: str = ""
    x: int = 0
    y: int = 0

    @property
    def short(self) -> str:
        """The title, as much of it as fits; of a path, its end says more."""
        return self.title if len(self.title) <= LETTERS else "…" + self.title[1 - LETTERS :]


@dataclass(frozen=True)
class Picture:
    """Boxes with places, and the lines between them."""

    width: int
    height: int
    boxes: list[Box]
    lines: list[tuple[str, bool]]
    """the `d` of each path, and whether a longer way says the same"""


def layout(boxes: Sequence[Box], edges: Sequence[tuple[str, str]]) -> Picture:
    """Places for boxes; `edges` are (from, to).  Each stands one column left of its latest source,
    and within a column near the middle of its neighbours.
    """
    ids = {box.id for box in boxes}
    edges = [(a, b) for a, b in dict.fromkeys(edges) if a in ids and b in ids and a != b]
    column = _columns([box.id for box in boxes], edges)
    rows: dict[int, list[str]] = defaultdict(list)
    for box in boxes:
        rows[column[box.id]].append(box.id)
    _untangle(rows, edges)
    tallest = max((len(few) for few in rows.values()), default=1)
    places, last = {}, max(rows, default=0)
    for at, few in rows.items():
        top = (tallest - len(few)) * (HEIGHT + GAP_Y) // 2
        for i, one in enumerate(few):
            places[one] = (EDGE + (last - at) * (WIDTH + GAP_X), EDGE + top + i * (HEIGHT + GAP_Y))
    placed = [replace(box, x=places[box.id][0], y=places[box.id][1]) for box in boxes]
    width = 2 * EDGE + (last + 1) * (WIDTH + GAP_X) - GAP_X
    height = 2 * EDGE + tallest * (HEIGHT + GAP_Y) - GAP_Y
    longer = _longer(edges)
    lines = [(_line(*places[b], *places[a]), (a, b) in longer) for a, b in edges]
    return Picture(width, height, placed, lines)


def _longer(edges: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Edges from one to another that can also be reached by way of a third."""
    after: dict[str, set[str]] = defaultdict(set)
    for a, b in edges:
        after[a].add(b)

    def reach(one: str) -> set[str]:
        found: set[str] = set()
        todo = [one]
        while todo:
            new = after[todo.pop()] - found
            found |= new
            todo += new
        return found

    far = {one: reach(one) for one in list(after)}
    return {(a, b) for a, b in edges if any(b in far.get(c, ()) for c in after[a] if c != b)}


def _columns(ids: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    sources: dict[str, list[str]] = defaultdict(list)
    users: dict[str, list[str]] = defaultdict(list)
    for a, b in edges:
        sources[b].append(a)
        users[a].append(b)
    column: dict[str, int] = {}

    def of(one: str, above: tuple[str, ...] = ()) -> int:
        if one not in column:
            before = [of(a, (*above, one)) for a in sources[one] if a not in above]
            column[one] = 1 + max(before, default=-1)
        return column[one]

    for one in ids:
        of(one)
    for one in ids:  # what comes from nowhere stands right before its first use
        if not sources[one] and users[one]:
            column[one] = min(column[b] for b in users[one]) - 1
    return column


def _untangle(rows: dict[int, list[str]], edges: Sequence[tuple[str, str]]) -> None:
    near: dict[str, list[str]] = defaultdict(list)
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    for turn in range(6):
        place = {one: i - len(few) / 2 for few in rows.values() for i, one in enumerate(few)}
        for at in sorted(rows, reverse=turn % 2 == 0):
            rows[at].sort(
                key=lambda one: (
                    sum(place[b] for b in near[one]) / len(near[one]) if near[one] else place[one]
                )
            )
            for i, one in enumerate(rows[at]):
                place[one] = i - len(rows[at]) / 2


def _line(ax: int, ay: int, bx: int, by: int) -> str:
    x1, y1, x2, y2 = ax + WIDTH, ay + HEIGHT // 2, bx, by + HEIGHT // 2
    bend = max(24, (x2 - x1) // 2)
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
