"""Rows and prompts that come twice: equal, equal but for spacing and case, or nearly equal."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from accord.data.check.finding import Finding, finding
from accord.data.check.sheet import Line, PromptKey, Sheet
from accord.data.check.texts import excerpt, plain, tokens

ALIKE = 0.8
WIDTH = 3
"""words in a shingle"""


class Alike:
    """Texts of which near twins can be found: the Jaccard index of their three-word shingles.

    Exact, not sampled: two sets with an index of `least` or more share one of their rarest
    elements, |s| - ceil(least |s|) + 1 of them (prefix filtering: Chaudhuri et al. 2006, Bayardo et
    al. 2007), so only texts that do are compared.
    """

    def __init__(
        self, texts: Iterable[str], least: float = ALIKE, apart: Sequence[object] | None = None
    ):
        """All texts there will be, since their words say which shingles are rare.

        `apart`, one for each text: only texts that agree in it are compared.
        """
        self.least, self._apart = least, apart
        names: dict[tuple[str, ...], int] = {}
        cut = [[names.setdefault(s, len(names)) for s in _shingles(text)] for text in texts]
        often = Counter(s for few in cut for s in few)
        self._sets = [sorted(few, key=lambda s: (often[s], s)) for few in cut]
        self._whole = [frozenset(few) for few in cut]
        self._holders: dict[tuple[object, int], list[int]] = defaultdict(list)

    def add(self, text: int) -> None:
        """From now on this text, by its number, can be found."""
        for shingle in self._rare(text):
            self._holders[self._side(text), shingle].append(text)

    def find(self, text: int) -> tuple[int, float] | None:
        """The first text added that is alike, and how much."""
        own, seen = self._whole[text], set()
        for shingle in self._rare(text):
            for other in self._holders.get((self._side(text), shingle), ()):
                if other in seen:
                    continue
                seen.add(other)
                theirs = self._whole[other]
                small, large = sorted((len(own), len(theirs)))
                if small < self.least * large:
                    continue
                both = len(own & theirs)
                index = both / (small + large - both)
                if index >= self.least:
                    return other, index
        return None

    def _side(self, text: int) -> object:
        return self._apart[text] if self._apart is not None else None

    def _rare(self, text: int) -> list[int]:
        few = self._sets[text]
        return few[: len(few) - math.ceil(self.least * len(few) - 1e-9) + 1]


def _shingles(text: str) -> Iterator[tuple[str, ...]]:
    words = tokens(plain(text))
    runs = (tuple(words[i : i + WIDTH]) for i in range(max(1, len(words) - WIDTH + 1)))
    yield from dict.fromkeys(runs)


def repeated_rows(sheet: Sheet) -> list[Finding]:
    """Rows that say what an earlier row says; their ids are names and do not count."""
    first: dict[object, str] = {}
    hits = []
    for line in sheet.lines:
        named = first.setdefault(replace(line.record, id=""), line.id)
        if named != line.id:
            hits.append((line.id, f"as {named}: {excerpt(line.asked, 90)}"))
    return finding("repeated-rows", hits, len(sheet.lines), "rows", examples=sheet.examples)


def prompt_variants(sheet: Sheet) -> list[Finding]:
    """Prompts that are other texts, and the same once spacing and case are made alike."""
    spelt: dict[PromptKey, dict[object, str]] = defaultdict(dict)
    for line in sheet.lines:
        spelt[line.key].setdefault(line.prompt, line.id)
    hits = [
        (id, f"as {next(iter(few.values()))}: {excerpt(_said(prompt), 90)}")
        for few in spelt.values()
        for prompt, id in list(few.items())[1:]
    ]
    every = sum(map(len, spelt.values()))
    return finding("prompt-variants", hits, every, "prompts", examples=sheet.examples)


def near_prompts(sheet: Sheet, least: float = ALIKE) -> list[Finding]:
    """Prompts that would go if, of every group of nearly equal ones, the first stayed."""
    lines = list(sheet.first_of.values())
    pictures = [line.pictures for line in lines]
    index, hits = Alike((line.asked for line in lines), least, pictures), []
    for number, line in enumerate(lines):
        if twin := index.find(number):
            hits.append((line.id, _twins(lines[twin[0]], line, twin[1])))
        else:
            index.add(number)
    return finding("near-prompts", hits, len(lines), "prompts", examples=sheet.examples)


@dataclass(frozen=True)
class Leak:
    """Test prompts that a file to train on holds too."""

    prompts: int
    """on the test side, each once"""
    exact: list[tuple[str, str]]
    """(row on the test side, what it is equal to), spacing and case apart"""
    near: list[tuple[str, str]]


def leaks(train: Sequence[Line], test: Sequence[Line], least: float = ALIKE) -> Leak:
    """The test prompts that are also trained on, or have a near twin there."""
    mine = {line.key: line for line in reversed(train)}
    theirs = {line.key: line for line in reversed(test)}
    exact = [
        (line.id, f"as {mine[key].id}: {excerpt(line.asked, 90)}")
        for key, line in theirs.items()
        if key in mine
    ]
    old = list(mine.values())
    new = [line for key, line in theirs.items() if key not in mine]
    pictures = [line.pictures for line in (*old, *new)]
    index = Alike((line.asked for line in (*old, *new)), least, pictures)
    for number in range(len(old)):
        index.add(number)
    near = []
    for number, line in enumerate(new, len(old)):
        if twin := index.find(number):
            near.append((line.id, _twins(old[twin[0]], line, twin[1])))
    return Leak(len(theirs), exact[::-1], near[::-1])


def leaking(sheet: Sheet, leak: Leak) -> list[Finding]:
    """What a leak means."""
    unit, shown = "test prompts", sheet.examples
    return [
        *finding("leak-exact", leak.exact, leak.prompts, unit, examples=shown),
        *finding("leak-near", leak.near, leak.prompts, unit, examples=shown),
    ]


def _twins(first: Line, line: Line, index: float) -> str:
    return f"{index:.0%} as {first.id}: {excerpt(line.asked, 90)}"


def _said(prompt: object) -> str:
    return "\n".join(message.text for message in prompt)  # type: ignore[attr-defined]
