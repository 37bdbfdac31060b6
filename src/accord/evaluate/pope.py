"""POPE (Li et al. 2023): is there such a thing in the picture?  Yes is the positive class.

Things that are not there are drawn by chance (random), by how common they are (popular), or by how
often they stand beside what is there (adversarial): one file each.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import abspath
from pathlib import Path
from typing import NamedTuple

from accord.data.benchmark import distinct, objects
from accord.errors import BadData
from accord.evaluate.seeing import Look, Reply
from accord.maths.intervals import Estimate, proportion, redrawn
from accord.records import Invalid

ALL = "all"
"""the name of all files together"""
Pair = tuple[bool, bool]
"""(what is right, what was said): True is yes"""


class Asked(NamedTuple):
    """One question."""

    look: Look
    split: str
    yes: bool
    """what is right"""


@dataclass(frozen=True)
class Split:
    """The numbers of one file, or of all."""

    name: str
    count: int
    accuracy: Estimate
    precision: Estimate | None
    """none where nothing was answered with yes"""
    recall: Estimate | None
    f1: Estimate | None
    yes: Estimate
    """how often it says yes; half would be right"""
    unclear: int
    """answers that say neither yes nor no, or both: the paper's rule takes most of them for yes"""
    strict: Estimate
    """accuracy where an unclear answer is wrong"""


def read(paths: Sequence[Path]) -> list[Asked]:
    """The questions of some files, each a split; BadData names file and line."""
    found: list[Asked] = []
    for path, split in zip(paths, names(paths), strict=True):
        for row in objects(path):
            label = row.text("label").lower()
            if label not in ("yes", "no"):
                raise row.bad(f'"label" is {label!r}, and yes or no is meant')
            name = row.text("question_id")
            name = name if len(paths) == 1 else f"{split}/{name}"
            look = Look(name, row.text("text"), row.text("image"), row.where)
            found.append(Asked(look, split, label == "yes"))
    distinct([(one.look.id, one.look.where) for one in found])
    return found


def names(paths: Sequence[Path]) -> list[str]:
    """What each file is called: its last word (random), or, where two would be called alike, its
    whole name (coco_pope_random), or that with as many folders as tell all apart; a link is called
    by its own name, not by that of what it leads to.

    BadData where a file is given twice.
    """
    distinct([(str(path.resolve()), str(path)) for path in paths])
    ways = [[path.stem.rsplit("_", 1)[-1] for path in paths]]
    whole = [Path(abspath(path)) for path in paths]
    deepest = max((len(path.parts) for path in whole), default=0)
    for depth in range(1, deepest + 1):
        parts = [path.with_suffix("").parts[-depth:] for path in whole]
        ways.append(["/".join(one).replace("//", "/") for one in parts])
    good = (way for way in ways if len({*way, ALL}) > len(paths))
    return next(good, [str(path) for path in paths])  # they differ in their ends alone


def by_rule(text: str) -> bool:
    """The paper's reading: no where the first sentence has the word No, no or not, else yes."""
    words = text.split(".")[0].replace(",", "").split(" ")
    return not {"No", "no", "not"} & {*words}


def plainly(text: str) -> bool | None:
    """What the first sentence says, in whatever case; None where it says neither, or both."""
    words = re.findall(r"[a-z']+", text.split(".")[0].lower().replace("\u2019", "'"))
    no = any(word in ("no", "not") or word.endswith("n't") for word in words)
    return None if no == ("yes" in words) else not no


def splits(
    asked: Sequence[Asked], said: Sequence[Reply], *, seed: int = 0
) -> tuple[list[Split], Mapping[str, int]]:
    """(all, then each split; why questions have no answer: they count nowhere)."""
    groups: dict[str, list[tuple[bool, str]]] = {ALL: []}
    lost = dict[str, int]()
    for one, text in zip(asked, said, strict=True):
        if isinstance(text, Invalid):
            lost[text.reason] = lost.get(text.reason, 0) + 1
            continue
        groups[ALL].append((one.yes, text))
        groups.setdefault(one.split, []).append((one.yes, text))
    if not groups[ALL]:
        raise BadData(f"no question has an answer: {next(iter(lost), 'none were asked')}")
    if len(groups) == 2:
        del groups[ALL]
    return [_split(name, rows, seed) for name, rows in groups.items()], lost


def _split(name: str, rows: Sequence[tuple[bool, str]], seed: int) -> Split:
    units: dict[Pair, int] = {}
    for right, text in rows:
        pair = (right, by_rule(text))
        units[pair] = units.get(pair, 0) + 1
    both, wrong = units.get((True, True), 0), units.get((False, True), 0)
    missed, total = units.get((True, False), 0), len(rows)
    heard = [(right, plainly(text)) for right, text in rows]
    f1 = _f1(units)
    return Split(
        name,
        total,
        proportion(both + units.get((False, False), 0), total),
        proportion(both, both + wrong) if both + wrong else None,
        proportion(both, both + missed) if both + missed else None,
        None if f1 is None else Estimate(f1, *(redrawn(units, _f1, seed=seed) or (0.0, 1.0))),
        proportion(both + wrong, total),
        sum(said is None for _, said in heard),
        proportion(sum(right is said for right, said in heard), total),
    )


def _f1(units: Mapping[Pair, int]) -> float | None:
    """2 TP / (2 TP + FP + FN)."""
    both = 2 * units.get((True, True), 0)
    every = both + units.get((False, True), 0) + units.get((True, False), 0)
    return both / every if every else None
