"""What the labels of comparisons go with: the place of an answer, its length, and who judged."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from math import nan

from accord.data.check.finding import Finding, finding
from accord.data.check.sheet import Line, Sheet
from accord.maths.agreement import Values, alike, alpha
from accord.maths.intervals import Estimate, redrawn, wilson

TILT = 0.05
"""how far from a half a share must be to matter, beside being surely off it"""
LITTLE = 0.2
"""alpha below which judges hardly agree"""
FEW = 10
"""pairs a judge must share with others before being compared"""


@dataclass(frozen=True)
class Judge:
    """How often one judge says what others say of the same two answers."""

    name: str
    agrees: Estimate
    pairs: int
    """judged by others too"""


@dataclass(frozen=True)
class Agreement:
    """Of judges on pairs that several judged."""

    judges: int
    pairs: int
    same: float
    """share of equal judgements among all two judges of one pair"""
    alpha: Estimate | None
    """Krippendorff's, nominal: first, tie, second; None where it is undefined, and its interval NaN
    where the pairs are too few for one"""
    each: tuple[Judge, ...] = ()
    """least agreeing first"""


@dataclass(frozen=True)
class Labels:
    """The judgements in numbers."""

    balance: dict[str, int] = field(default_factory=dict)
    """of two answers: first, second, tie; and rows with more answers"""
    first: Estimate | None = None
    """P(the answer shown first wins); None where the file stores the better one first"""
    longer: Estimate | None = None
    """P(the longer answer wins)"""
    decided: tuple[int, int] = (0, 0)
    """rows that P(first wins) and P(longer wins) are counted in"""
    agreement: Agreement | None = None


def labels(sheet: Sheet, seed: int = 0) -> Labels:
    """Ties are counted in the balance alone; rows are taken as independent."""
    balance: Counter[str] = Counter()
    for line in sheet.lines:
        balance[_sort(line)] += 1
    first, longer = [], []
    for line in sheet.lines:
        pairs, sizes = list(line.record.pairs()), line.sizes[1]
        apart = [(i, j) for i, j in pairs if sizes[i] != sizes[j]]
        first.append([i < j for i, j in pairs])
        longer.append([sizes[i] > sizes[j] for i, j in apart])
    return Labels(
        {key: balance[key] for key in ("first", "second", "tie", "several") if balance[key]},
        None if sheet.sorted else _share(first),
        _share(longer),
        (sum(map(bool, first)), sum(map(bool, longer))),
        _agreement(sheet, seed),
    )


def _sort(line: Line) -> str:
    if len(line.answers) > 2:
        return "several"
    return _side(line.record.ranks, 0, 1)


def _side(ranks: Sequence[int], i: int, j: int) -> str:
    return "tie" if ranks[i] == ranks[j] else "first" if ranks[i] < ranks[j] else "second"


def _share(rows: Iterable[Sequence[bool]]) -> Estimate | None:
    """The mean of rows' own shares; a row of many answers counts once."""
    shares = [sum(row) / len(row) for row in rows if row]
    if not shares:
        return None
    rate = sum(shares) / len(shares)
    return Estimate(rate, *wilson(rate, len(shares)))


# --- several judges ---

Unit = tuple[object, str, str]


def judged(sheet: Sheet) -> dict[Unit, list[tuple[str, int, str]]]:
    """For a prompt and two of its answers in a fixed order: (judge, -1, 0 or 1, row)."""
    units: dict[Unit, list[tuple[str, int, str]]] = defaultdict(list)
    for line in sheet.lines:
        ranks, texts = line.record.ranks, line.answers
        for i, j in combinations(range(len(texts)), 2):
            if texts[i] == texts[j]:
                continue
            a, b = (i, j) if texts[i] < texts[j] else (j, i)
            side = (ranks[a] > ranks[b]) - (ranks[a] < ranks[b])
            units[line.prompt, texts[a], texts[b]].append((line.record.judge, side, line.id))
    return units


def _agreement(sheet: Sheet, seed: int) -> Agreement | None:
    """None where no pair has two judges.  A judge's first word on a pair is the one that counts."""
    units, pairs = Counter[Values](), Counter[str]()
    own: dict[str, float] = defaultdict(float)
    for said in judged(sheet).values():
        first = {judge: side for judge, side, _ in reversed(said)}
        if len(first) < 2:
            continue
        units[tuple(sorted(first.values()))] += 1
        for judge, side in first.items():
            pairs[judge] += 1
            others = list(first.values())
            own[judge] += (others.count(side) - 1) / (len(others) - 1)
    same = alike(units)
    if same is None:
        return None
    found, low_high = alpha(units), None
    if found is not None:
        low_high = redrawn(units, alpha, seed=seed, draws=500)
    each = [
        Judge(name, Estimate(own[name] / n, *wilson(own[name] / n, n)), n)
        for name, n in pairs.items()
        if n >= FEW
    ]
    return Agreement(
        len(pairs),
        units.total(),
        same,
        None if found is None else Estimate(found, *(low_high or (nan, nan))),
        tuple(sorted(each, key=lambda judge: (judge.agrees.value, judge.name))),
    )


# --- what is found ---


def biases(sheet: Sheet, told: Labels) -> list[Finding]:
    """Labels that go with place or length, or say little."""
    found = []
    rows, ties = sum(told.balance.values()), told.balance.get("tie", 0)
    if 2 * ties > rows:
        found += finding("mostly-ties", [], rows, "rows", count=ties)
    for share, sides, above, below in (
        (told.first, told.decided[0], "position-bias", "position-bias"),
        (told.longer, told.decided[1], "length-bias", "shortness-bias"),
    ):
        if share and not share.low <= 0.5 <= share.high and abs(share.value - 0.5) >= TILT:
            what = "the first wins" if above == below else "the longer wins"
            key = above if share.value > 0.5 else below
            wins = round(max(share.value, 1 - share.value) * sides)
            detail = f"{what} {share.value:.0%} ({share.low:.0%} to {share.high:.0%})"
            found += finding(key, [], sides, "judgements", count=wins, detail=detail)
    return found


def disagreements(sheet: Sheet, told: Labels) -> list[Finding]:
    """Pairs judged both ways, circles, and judges who stand apart."""
    units = judged(sheet)
    several = [(unit, said) for unit, said in units.items() if len(said) > 1]
    both = [
        (_rows(said), f"{unit[1]} / {unit[2]}")
        for unit, said in several
        if {-1, 1} <= {side for _, side, _ in said}
    ]
    many = f"of {len(several):,} that are judged more than once"
    shown = sheet.examples
    found = finding(
        "contradictions", both, len(units), "pairs of answers", detail=many, examples=shown
    )
    found += _circles(sheet, units)
    if (agreement := told.agreement) is None:
        return found
    if agreement.pairs >= FEW and agreement.alpha and agreement.alpha.value < LITTLE:
        detail = f"alpha {agreement.alpha.value:.2f}, {agreement.same:.0%} alike"
        found += finding(
            "low-agreement", [], agreement.pairs, "pairs", count=agreement.pairs, detail=detail
        )
    odd = [
        (one.name, f"agrees with others {one.agrees.value:.0%} on {one.pairs:,} pairs")
        for one in agreement.each
        if one.agrees.high < agreement.same
    ]
    usual = f"{agreement.same:.0%} is usual"
    return found + finding(
        "odd-judges", odd, agreement.judges, "judges", detail=usual, examples=shown
    )


def _circles(sheet: Sheet, units: dict[Unit, list[tuple[str, int, str]]]) -> list[Finding]:
    """Prompts whose majorities go round: a over b, b over c, c over a."""
    worse: dict[object, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    rows: dict[object, str] = {}
    for (prompt, a, b), said in units.items():
        lead = sum(side for _, side, _ in said)
        rows.setdefault(prompt, said[0][2])
        if lead:
            better, other = (a, b) if lead < 0 else (b, a)
            worse[prompt][better].add(other)
    hits = []
    for prompt, graph in worse.items():
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            hits.append((rows[prompt], " > ".join(text[:40] for text in error.args[1][::-1])))
    return finding("cycles", hits, len(rows), "prompts", examples=sheet.examples)


def _rows(said: Sequence[tuple[str, int, str]]) -> str:
    """The first row of each side."""
    sides = {side: id for _, side, id in reversed(said)}
    return f"{sides[-1]}, {sides[1]}"
