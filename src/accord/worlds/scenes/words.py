"""The words that scenes are spoken of with: those that are said, and more that are understood."""

from accord.worlds.scenes.things import GRID, Thing

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SIZE_WORDS = {
    **dict.fromkeys(("big", "large", "huge"), "big"),
    **dict.fromkeys(("small", "little", "tiny"), "small"),
}
OTHER_COLOURS = ("brown", "white", "gray", "grey", "gold", "silver", "cyan", "violet")
"""colours that no thing has"""
OTHER_SHAPES = ("rectangle", "oval", "ring", "hexagon", "pentagon", "arrow", "cube", "ball", "box")
"""shapes that no thing has; with a colour before it, every noun is understood as one"""
Place = tuple[int | None, int | None]
"""(row, column) of the grid; None is any"""
ROWS = {"top": 0, "bottom": 2}
COLUMNS = {"left": 0, "right": 2}
MIDDLES = ("middle", "center")
RELATIONS = ("to the left of", "to the right of", "above", "below")


def plural(noun: str) -> str:
    """Its plural, of the words used here."""
    return noun + ("es" if noun.endswith(("s", "x")) else "s")


def article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def number(count: int) -> str:
    """A count as a word."""
    return NUMBERS[count]


def place(words: str) -> Place:
    """Where "top", "left", "middle", "top left", "bottom middle", "middle left" … are."""
    parts = words.replace("-", " ").split()
    row = next((ROWS[part] for part in parts if part in ROWS), None)
    column = next((COLUMNS[part] for part in parts if part in COLUMNS), None)
    if any(part in MIDDLES for part in parts):
        return 1 if row is None else row, 1 if column is None else column
    return row, column


def cell_name(cell: int) -> str:
    """What a cell is called: "top left", "top", …, "left", "middle", …"""
    row, column = ("top", "", "bottom")[cell // GRID], ("left", "", "right")[cell % GRID]
    return f"{row} {column}".strip() or "middle"


def is_at(thing: Thing, where: Place) -> bool:
    """A thing at the top left is also at the top, and on the left."""
    row, column = where
    return row in (None, thing.row) and column in (None, thing.column)


def stands(one: Thing, relation: str, other: Thing) -> bool:
    """Whether a relation is true of two things; only rows count above and below, only columns to
    the left and to the right.
    """
    if one == other:
        return False
    if relation in ("above", "below"):
        first, second = one.row, other.row
    else:
        first, second = one.column, other.column
    return first < second if relation in ("above", "to the left of") else first > second
