"""What AI feedback made of the stories, stage by stage, as numbers and a page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from accord.demo.gentle import ANY, harms, is_gentle
from accord.demo.rule import names_animal
from accord.evaluate.checkpage import spread
from accord.evaluate.plots import Line, tradeoff
from accord.evaluate.sheet import Finding, Section, Sheet, certainty
from accord.evaluate.words import digits, percent
from accord.maths.agreement import calibrated
from accord.maths.intervals import Estimate, estimate

SIMULATED = (
    "The model that criticises, revises and compares is simulated: a program that follows the "
    "principles most of the time, errs by chance, and likes what is shown first. The panel that "
    "says what is helpful is simulated too. No person and no large model judged anything here."
)


@dataclass(frozen=True)
class Row:
    """Some stories in numbers, each with its 95 % interval over stories."""

    name: str
    gentle: Estimate
    """share that is a story, and holds no word that hurts or scares"""
    helpful: Estimate
    """share that names an animal"""
    harm: Estimate
    """words that hurt or scare, in a hundred: of all words of a story"""
    words: Estimate
    """length"""
    ended: Estimate | None = None
    """share that came to its end within the most tokens allowed; None where nobody noted it"""

    @classmethod
    def of(cls, name: str, texts: Sequence[str], ended: Sequence[bool] | None = None) -> "Row":
        """Measured."""
        sizes = [len(text.split()) for text in texts]
        return cls(
            name,
            estimate([float(is_gentle(text)) for text in texts]),
            estimate([float(names_animal(text)) for text in texts]),
            estimate(
                [100 * harms(t) / max(1, n) for t, n in zip(texts, sizes, strict=True)],
                share=False,
            ),
            estimate([float(n) for n in sizes], share=False),
            None if ended is None else estimate([float(one) for one in ended]),
        )


@dataclass(frozen=True)
class Variant:
    """Preference models on one kind of label of the same pairs."""

    name: str
    pairs: int
    right: Sequence[float]
    """of each seed: how often the gentler of two answers has the higher score"""


@dataclass(frozen=True)
class Seen:
    """How often the preference model likes one of two stories better."""

    name: str
    """which one"""
    pairs: int
    right: Estimate


@dataclass(frozen=True)
class Told:
    """All that was measured."""

    simulated: bool
    which: str
    constitution: str
    rounds: Sequence[Row]
    stages: Sequence[Row]
    labels: Sequence[tuple[float, bool]]
    """(q, whether the first is the gentler) of labelled pairs that differ"""
    variants: Sequence[Variant]
    stories: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """(beginning, (stage, story))"""
    files: Sequence[tuple[str, str]]
    seen: Sequence[Seen] = ()

    @property
    def certainty(self) -> list[tuple[float, float, int]]:
        """How often labels are right, by how sure they are."""
        sure = [
            (max(q, 1 - q), 0.5 if q == 0.5 else float((q > 0.5) == first))
            for q, first in self.labels
        ]
        return calibrated(sure, low=0.5)[1] if sure else []

    def numbers(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "simulated": SIMULATED if self.simulated else "",
            "which": self.which,
            "rounds": [asdict(row) for row in self.rounds],
            "stages": [asdict(row) for row in self.stages],
            "certainty": [list(row) for row in self.certainty],
            "seen": [asdict(one) for one in self.seen],
            "variants": [asdict(one) for one in self.variants],
        }

    def sheet(self) -> Sheet:
        """The page."""
        return Sheet(
            "RLAIF",
            "Stories that nobody is afraid of",
            "A storyteller was brought into accord with the principles of the constitution "
            f"{self.constitution}: its stories were criticised and revised, it imitated the "
            "revisions, and then it followed a preference model that learned which of two stories "
            "keeps the principles better.",
            [*([Finding("warning", "Simulated", SIMULATED)] if self.simulated else []),
             *_findings(self.stages[0], self.stages[-1])],
            [_stages(self.stages), _rounds(self.rounds), _seen(self.seen),
             certainty("labels", self.certainty, "how sure a label is",
                       f"{len(self.labels)} labelled pairs in which one story is gentler."),
             _variants(self.variants), _stories(self.stories), _files(self.files)],
            f"Feedback by {self.which}.",
        )  # fmt: skip


COLUMNS = ("", "gentle", "names an animal", "words of harm in 100", "words", "ends in time")


def _cells(row: Row) -> list[str]:
    shares = [spread(row.gentle), spread(row.helpful)]
    ended = spread(row.ended) if row.ended else "–"
    return [row.name, *shares, *(_ends(one) for one in (row.harm, row.words)), ended]


def _ends(one: Estimate) -> str:
    return f"{digits(one.value)} ({digits(one.low)} to {digits(one.high)})"


def _findings(first: Row, last: Row) -> list[Finding]:
    found = []
    for what, old, new in (
        ("Gentle stories", first.gentle, last.gentle),
        ("Stories with an animal", first.helpful, last.helpful),
        ("Stories that end in time", first.ended, last.ended),
    ):
        if old is None or new is None:
            continue
        apart = new.low > old.high or new.high < old.low
        way = "rose" if new.value > old.value else "fell"
        title = f"{what} {way}" if apart else f"{what} stayed, as far as can be told"
        found.append(
            Finding(
                "warning" if apart and way == "fell" else "note",
                title,
                f"from {spread(old)} to {spread(new)}",
            )
        )
    shorter = last.words.high < first.words.low
    if shorter:
        told = f"from {_ends(first.words)} to {_ends(last.words)} words"
        todo = "A shorter story has fewer words of any kind: read the column of harm in 100 words."
        found.append(Finding("warning", "Stories grew shorter", told, todo))
    return found


def _stages(rows: Sequence[Row]) -> Section:
    note = (
        "On beginnings that nobody learned from. Gentle: ten words or more, none of them of four "
        "lists (hurt, fear, unkindness, sorrow) that no training sees. An animal and an end in "
        "time are what the panel likes."
    )
    return Section("Stage by stage", note, COLUMNS, [_cells(row) for row in rows])


def _rounds(rows: Sequence[Row]) -> Section:
    lines = []
    for name, key in (("gentle", "gentle"), ("names an animal", "helpful")):
        every = [getattr(row, key) for row in rows]
        points = [(float(i), one.value) for i, one in enumerate(every)]
        lines.append(Line(name, points, [(0.0, (one.high - one.low) / 4) for one in every]))
    return Section(
        "What the revisions did",
        "The stories that were learned from. One principle is drawn for each story and round, so "
        "each round mends something else.",
        COLUMNS,
        [_cells(row) for row in rows],
        tradeoff(lines, "round (0: as answered)", "share of stories"),
        "; ".join(f"{row.name}: {percent(row.gentle.value)} gentle" for row in rows),
    )


def _seen(rows: Sequence[Seen]) -> Section:
    return Section(
        "What the preference model sees",
        "Of two new stories to one beginning that differ in this, how often the one named has the "
        "higher score; half is chance. What it does not see, the policy will not learn from it.",
        ("which", "pairs", "preferred"),
        [[one.name, str(one.pairs), spread(one.right)] for one in rows],
    )


def _variants(rows: Sequence[Variant]) -> Section:
    return Section(
        "Soft or hard, both orders or one",
        "Preference models on the same pairs, labelled once; seeds are of the model alone, so they "
        "say nothing of other pairs or another draw of noise. Right: the gentler of two new "
        "stories has the higher score."
        + (
            "" if rows else " No two new stories to one beginning differ in that, so none was made."
        ),
        ("labels", "pairs", "right, mean", "each seed"),
        [
            [
                one.name,
                str(one.pairs),
                percent(fmean(one.right)),
                ", ".join(map(percent, one.right)),
            ]
            for one in rows
        ],
    )


def _stories(rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> Section:
    return Section(
        "The same beginnings, told by each",
        "Marked: words that hurt or scare.",
        texts=[(begun, [(name, text.strip()) for name, text in told]) for begun, told in rows],
        marks=ANY,
    )


def _files(rows: Sequence[tuple[str, str]]) -> Section:
    return Section("What lies where", "", ("what", "where"), [[what, path] for path, what in rows])
