"""What was found about a reward on a suite of comparisons, for people."""

from collections.abc import Iterator, Sequence

from accord.evaluate.checkpage import spread
from accord.evaluate.sheet import Finding, Section, Sheet, certainty
from accord.evaluate.suite import Case, Suite
from accord.evaluate.words import count, digits, percent, signed
from accord.maths.intervals import Estimate

LOST, OFF, SHOWN = 0.05, 0.1, 4
"""shares that are worth a warning: of pairs without a score, of error; texts shown"""


def told(
    name: str, data: str, found: Suite, cases: Sequence[Case], other: str | None = None
) -> Sheet:
    """The page."""
    every = found.subsets[0]
    findings = [
        *_accuracy(found),
        *_compared(found, other),
        *_length(found),
        *_tests(found),
        *_faults(found),
    ]
    return Sheet(
        "reward",
        f"{name} on {data}",
        f"{count(every.comparisons, 'comparison')}; scores {digits(found.mean)} ± "
        f"{digits(found.deviation)}; intervals are 95%, over comparisons.",
        sorted(findings, key=lambda one: ("error", "warning", "note").index(one.severity)),
        [one for one in _sections(found, cases, name) if one.rows or one.chart or one.texts],
        told=2,
    )


def _accuracy(found: Suite) -> Iterator[Finding]:
    value = found.subsets[0].accuracy
    mean = f"; mean over subsets {percent(found.macro)}" if len(found.subsets) > 1 else ""
    if value.low > 0.5:
        yield Finding("note", "Accuracy", spread(value) + mean, "Equal scores count half.")
    else:
        title = "Worse than a coin" if value.high < 0.5 else "It may be no better than a coin"
        yield Finding("error", title, spread(value) + mean, "Do not train on it as it is.")
    for one in found.subsets[1:]:
        if one.accuracy.high < 0.5:
            yield Finding("warning", f"Worse than a coin on {one.name}", spread(one.accuracy))
    off = found.error > OFF
    yield Finding(
        "warning" if off else "note",
        "How far the certainty of its gaps is off",
        f"calibration error {percent(found.error)}",
        "Of σ(gap), as a Bradley–Terry model means it; for a rule or a grade of another scale it "
        "says nothing.",
    )


def _compared(found: Suite, other: str | None) -> Iterator[Finding]:
    drift = found.drift
    if drift is None or other is None:
        return
    sure = drift.accuracy.low > 0 or drift.accuracy.high < 0
    way = "More accurate" if drift.accuracy.value > 0 else "Less accurate"
    title = f"{way} than {other}" if sure else f"As accurate as {other}, as far as can be told"
    yield Finding(
        "error" if sure and drift.accuracy.value < 0 else "note",
        title,
        f"{_points(drift.accuracy)}; {percent(drift.apart)} of the pairs are decided differently",
    )
    moved = drift.change.low > 0 or drift.change.high < 0
    yield Finding(
        "warning" if moved and abs(drift.change.value) > 0.5 else "note",
        "Scores of references moved" if moved else "Scores of references stayed",
        f"by {signed(drift.change.value)} ({signed(drift.change.low)} to "
        f"{signed(drift.change.high)}) deviations of {other}'s; spread × {digits(drift.spread)}; "
        f"rank correlation {digits(drift.rank)}; {count(drift.answers, 'answer')}",
        "A shift alone changes no gradient; it changes thresholds, and sums with other rewards.",
    )


def _length(found: Suite) -> Iterator[Finding]:
    if found.longer is None or found.shorter is None:
        return
    leans = found.longer.low > found.shorter.high or found.longer.high < found.shorter.low
    yield Finding(
        "warning" if leans else "note",
        "Length sways it" if leans else "Length does not sway it, as far as can be told",
        f"right in {percent(found.longer.value)} where the better answer is longer, in "
        f"{percent(found.shorter.value)} where it is shorter; correlation of score and length "
        f"{digits(found.length)}",
        "Whoever is trained on it learns the same." if leans else "",
    )


def _tests(found: Suite) -> Iterator[Finding]:
    for one in found.spoiled:
        if one.holds is not None and one.holds.high < 0.5:
            todo = "Training will find this. Compare such answers, or add a rule against them."
            title = f"It prefers answers spoiled: {one.name}"
            yield Finding("error", title, f"the real one wins {spread(one.holds)}", todo)
        elif one.holds is not None and one.holds.low <= 0.5:
            title = f"It may not tell an answer from {one.what}"
            yield Finding("warning", title, f"the real one wins {spread(one.holds)}")


def _faults(found: Suite) -> Iterator[Finding]:
    lost = sum(found.lost.values())
    every = found.subsets[0].comparisons
    if lost:
        reason, n = next(iter(found.lost.items()))
        yield Finding(
            "warning" if lost > LOST * (lost + every) else "note",
            "Comparisons with an answer that has no score",
            f"{lost}, most often ({n}): {reason}",
            "Pairs without a score count nowhere.",
        )
    if found.ties:
        yield Finding("note", "Pairs with equal scores", str(found.ties))


def _sections(found: Suite, cases: Sequence[Case], name: str) -> Iterator[Section]:
    rows = [
        [one.name, str(one.comparisons), spread(one.accuracy), digits(one.margin.value)]
        for one in found.subsets
    ]
    if len(rows) > 1:
        rows.append(["mean over subsets", "", percent(found.macro), ""])
    yield Section(
        "By subset",
        "Margin: the score of the better answer less that of the worse.",
        ["subset", "comparisons", "accuracy", "margin"],
        rows,
    )
    tests = [
        [
            one.name,
            str(one.answers),
            spread(one.holds) if one.holds else "–",
            "–" if one.margin is None else signed(one.margin),
            str(one.lost),
        ]
        for one in found.spoiled
    ]
    yield Section(
        "Answers spoiled",
        "The best answer beside what became of it. Margin: in deviations of the reward's scores.",
        ["spoiled how", "answers", "the real one wins", "margin", "no score"],
        tests,
        texts=[
            (
                f"{one.name}: {one.what}, and scored no lower",
                [("Real.", one.worst[0]), ("Spoiled.", one.worst[1] or "(nothing)")],
            )
            for one in found.spoiled
            if one.worst
        ],
    )
    yield certainty(name, found.bins, "σ(gap)", "Pairs, by how wide their gap is.")
    yield _wrong(cases)


def _wrong(cases: Sequence[Case]) -> Section:
    """The widest gaps the wrong way round, of comparisons of two."""
    two = [case for case in cases if len(case.row.responses) == 2 and case.pairs]
    few = sorted((case.pairs[0][0], place) for place, case in enumerate(two))
    texts = []
    for gap, place in few[:SHOWN]:
        if gap >= 0:
            break
        case = two[place]
        better = case.row.responses[case.best]
        worse = case.row.responses[1 - case.best]
        asked = "\n\n".join(f"{one.role}: {one.text}" for one in case.row.prompt)
        what = f"{case.row.id} {case.subset}: the worse answer scores {digits(-gap)} more"
        texts.append((what, [("Asked.", asked), ("Better.", better), ("Worse.", worse)]))
    return Section("Where it is most surely wrong", "Read these before the numbers.", texts=texts)


def _points(one: Estimate) -> str:
    low, high = (f"{100 * x:+.1f}" for x in (one.low, one.high))
    return f"{100 * one.value:+.1f} points ({low} to {high})"
