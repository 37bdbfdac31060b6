"""MMBench (Liu et al. 2023): multiple choice about pictures, by CircularEval: a question is put
once for each of its options, which move round by a place each time, and is right if all are.
"""

import base64
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.data.benchmark import Row, distinct
from accord.data.choices import LETTERS
from accord.data.pictures import kind_of
from accord.engine.llm import LLM, Ask
from accord.errors import BadData
from accord.evaluate.seeing import Look, Reply
from accord.maths.intervals import Estimate, proportion
from accord.records import Invalid, Prompt
from accord.store import files

SHIFT = 1_000_000
"""added to the index of a rotation that a file brings itself"""
LARGEST = 64 << 20
"""letters of a cell: a picture"""
SUFFIX = "Answer with the letter of the right option, and nothing else."
_WHY = r"(?:is|because|since|as)\b"
_ALONE = re.compile(r"\s*\(?([A-H])(?:[.:),]|\s*$)")
_FIRST = re.compile(rf"\s*\(?([B-H](?=\s)|A(?=\s+{_WHY}))")
"""of a letter that a word follows: A is one, or "a" """
_SAYS = re.compile(rf"(?i:answer|option|choice)(?: is)?:? \(?([B-H]\b|A\b(?! (?!{_WHY})[a-z]))")


@dataclass(frozen=True, slots=True)
class Turn:
    """One rotation of a question."""

    look: Look
    of: int
    """which question"""
    options: tuple[str, ...]
    right: int


@dataclass(frozen=True, slots=True)
class Item:
    """One question."""

    name: str
    category: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Part:
    """The numbers of all questions, or of a category."""

    name: str
    count: int
    circular: Estimate
    """right in all rotations"""
    once: Estimate
    """right as the file puts it"""
    unread: int
    """questions with an answer that names no option: they are not right"""


def read(path: Path, pictures: Path) -> list[Item]:
    """The questions of a TSV; its pictures, which it holds in base64, are written to a folder."""
    rows = _rows(path)
    distinct([(row.text("index"), row.where) for row in rows])
    known = {row.text("index"): row for row in rows}
    items: list[Item] = []
    for row in rows:
        name = row.text("index")
        if name.isdigit() and int(name) >= SHIFT and str(int(name) % SHIFT) in known:
            continue  # a rotation: they are made here
        file = _picture(row, known, pictures)
        items.append(_item(row, name, file, len(items)))
    return items


def _rows(path: Path) -> list[Row]:
    before = csv.field_size_limit(LARGEST)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t", strict=True)
            found = [Row(f"{path}:{reader.line_num}", row) for row in reader]
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadData(f"{path}: no table with tabs ({error})") from None
    finally:
        csv.field_size_limit(before)
    if not found:
        raise BadData(f"{path}: no questions")
    if missing := {"index", "question", "A", "B", "answer", "image"} - {*found[0].row}:
        raise BadData(f"{path}:1: no column {', '.join(sorted(missing))}; MMBench's TSV is meant")
    return found


def _picture(row: Row, known: dict[str, Row], folder: Path) -> str:
    """The picture's file; a cell may name the row that holds it."""
    held = row.text("image")
    if held in known:
        row, held = known[held], known[held].text("image")
    try:
        data = base64.b64decode(held, validate=True)
    except ValueError:
        raise row.bad('"image" is no base64') from None
    kind = kind_of(data)
    if kind is None:
        raise row.bad('"image" holds no PNG, JPEG, GIF or WebP')
    name = re.sub(r"\W", "_", row.text("index"))
    file = folder / f"{name}.{kind.split('/')[1]}"
    if not file.is_file() or file.read_bytes() != data:
        with files.writing(str(file)):
            folder.mkdir(parents=True, exist_ok=True)
            files.write_whole(file, data)
    return file.name


def _item(row: Row, name: str, file: str, of: int) -> Item:
    cells = [str(row.row.get(letter) or "").strip() for letter in LETTERS]
    options = [text for text in cells if text.lower() not in ("", "nan")]
    if options != cells[: len(options)]:
        raise row.bad("an option is empty before one that is not")
    answer = row.text("answer").strip()
    if len(answer) != 1 or answer not in LETTERS[: len(options)] or len(options) < 2:
        raise row.bad(f"its answer is {answer!r}, and it has {len(options)} options")
    right, n = LETTERS.index(answer), len(options)
    hint = str(row.row.get("hint") or "").strip()
    asked = [row.text("question")] if hint.lower() in ("", "nan") else [hint, row.text("question")]
    turns = []
    for k in range(n):
        moved = tuple(options[(j + k) % n] for j in range(n))
        lines = [f"{LETTERS[j]}. {text}" for j, text in enumerate(moved)]
        look = Look(f"{name}/{k}", "\n".join([*asked, *lines, SUFFIX]), file, row.where)
        turns.append(Turn(look, of, moved, (right - k) % n))
    return Item(name, str(row.row.get("category") or ""), tuple(turns))


def weighed(llm: LLM, turns: Sequence[Turn], prompts: Sequence[Prompt]) -> list[int | Invalid]:
    """The likeliest letter of each."""
    options = [[f" {LETTERS[j]}" for j in range(len(turn.options))] for turn in turns]
    given = llm.weigh([Ask(one.messages) for one in prompts], options)
    return [one if isinstance(one, Invalid) else one.index(max(one)) for one in given]


def chosen(turn: Turn, reply: Reply) -> int | Invalid | None:
    """The option that an answer names, by its letter or its own words; None where it names none."""
    if isinstance(reply, Invalid):
        return reply
    found = _ALONE.match(reply)
    if found is None:
        same = [k for k, text in enumerate(turn.options) if _bare(text) == _bare(reply)]
        if len(same) == 1:
            return same[0]
        found = _FIRST.match(reply) or _SAYS.search(reply)
    place = LETTERS.index(found[1]) if found else len(turn.options)
    return place if place < len(turn.options) else None


def _bare(text: str) -> str:
    """Without its article and its end."""
    return re.sub(r"^(?:an?|the) ", "", text.strip().rstrip(".").lower())


def parts(
    items: Sequence[Item], said: Sequence[Sequence[int | Invalid | None]]
) -> tuple[list[Part], dict[str, int]]:
    """(all, then each category; why questions could not be put: they count nowhere)."""
    groups: dict[str, list[tuple[bool, bool, bool]]] = {"all": []}
    lost: dict[str, int] = {}
    for item, given in zip(items, said, strict=True):
        bad = next((one for one in given if isinstance(one, Invalid)), None)
        if bad is not None:
            lost[bad.reason] = lost.get(bad.reason, 0) + 1
            continue
        hits = [one == turn.right for one, turn in zip(given, item.turns, strict=True)]
        row = (all(hits), hits[0], None in given)
        groups["all"].append(row)
        if item.category:
            groups.setdefault(item.category, []).append(row)
    if not groups["all"]:
        raise BadData(f"no question has an answer: {next(iter(lost), 'there are none')}")
    return [_part(name, rows) for name, rows in groups.items()], lost


def _part(name: str, rows: Sequence[tuple[bool, bool, bool]]) -> Part:
    circular, once, unread = (sum(column) for column in zip(*rows, strict=True))
    n = len(rows)
    return Part(name, n, proportion(circular, n), proportion(once, n), unread)
