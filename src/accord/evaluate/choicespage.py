"""What was found by multiple choice, for people."""

from collections.abc import Iterator, Sequence

from accord.evaluate.checkpage import spread
from accord.evaluate.choices import Answered, Chosen, Group, Paired
from accord.evaluate.sheet import Finding, Section, Sheet, certainty
from accord.evaluate.words import count, digits, percent
from accord.maths.intervals import Estimate

LOST, OFF, SHOWN = 0.05, 0.1, 4
"""shares that are worth a warning: of questions not asked, of calibration error; texts shown"""


def told(
    names: Sequence[str],
    data: str,
    found: Sequence[Chosen],
    paired: Paired | None,
    *,
    normalised: bool = False,
) -> Sheet:
    """The page of one model, or of two: names and findings in one order."""
    mine, name = found[0], names[0]
    total = len(mine.rows)
    by = "log p per byte" if normalised else "log p of the whole option"
    findings = [*_compared(paired, names), *_against_chance(mine, normalised), *_faults(mine)]
    sections = [_kinds(mine, names, found, normalised), _certainty(mine, name)]
    sections += [_placed(mine)] if mine.places else []
    sections += [_wrong(mine, normalised)]
    return Sheet(
        "multiple choice",
        f"{name} on {data}",
        f"{count(total, 'question')}, answered by {by}; intervals are 95%, over questions.",
        sorted(findings, key=lambda one: ("error", "warning", "note").index(one.severity)),
        [one for one in sections if one.rows or one.chart or one.texts],
    )


def _main(group: Group, normalised: bool) -> Estimate:
    return group.normalised if normalised else group.accuracy


def _against_chance(found: Chosen, normalised: bool) -> Iterator[Finding]:
    every = found.groups[0]
    value = _main(every, normalised)
    number = f"{spread(value)}; guessing gives {percent(every.chance)}"
    if value.low > every.chance:
        yield Finding("note", "Accuracy", number)
    elif value.high < every.chance:
        yield Finding(
            "error", "Worse than guessing", number, "Look at how questions are put, and at labels."
        )
    else:
        yield Finding("warning", "Accuracy, which may be no better than guessing", number)
    other = _main(every, not normalised)
    way = "by log p of the whole option" if normalised else "by log p per byte of the option"
    yield Finding("note", f"Accuracy {way}", spread(other))
    yield Finding("note", "Mean probability of the right option", spread(every.right))


def _compared(paired: Paired | None, names: Sequence[str]) -> Iterator[Finding]:
    if paired is None:
        return
    low, high = (f"{100 * x:+.1f}" for x in (paired.change.low, paired.change.high))
    number = (
        f"{100 * paired.change.value:+.1f} points ({low} to {high}) on "
        f"{count(paired.questions, 'question')}; {paired.only} that it alone answers rightly, "
        f"{paired.only_other} that only the other does; McNemar p {digits(paired.p)}"
    )
    sure = paired.change.low > 0 or paired.change.high < 0
    way = "Better" if paired.change.value > 0 else "Worse"
    title = f"{way} than {names[1]}" if sure else f"No clear difference from {names[1]}"
    yield Finding("error" if sure and paired.change.high < 0 else "note", title, number)


def _faults(found: Chosen) -> Iterator[Finding]:
    total, lost = len(found.rows), sum(found.lost.values())
    if lost:
        reason, n = next(iter(found.lost.items()))
        yield Finding(
            "warning" if lost > LOST * total else "note",
            "Questions that could not be asked",
            f"{lost} of {total}, most often ({n}): {reason}",
            "They count nowhere: neither as right nor as wrong.",
        )
    if found.ties:
        yield Finding(
            "note",
            "Options equally likely",
            f"{found.ties} of {total - lost}",
            "A right one among two that tie counts one half.",
        )
    yield Finding(
        "warning" if found.error > OFF else "note",
        "How far its certainty is off",
        f"calibration error {percent(found.error)}",
        "The mean distance between the likeliest option's probability and how often it is right.",
    )
    for k, (taken, right) in enumerate(found.places):
        if abs(taken - right) > OFF:
            more = "more" if taken > right else "less"
            yield Finding(
                "warning",
                f"It chooses ({chr(ord('A') + k)}) {more} often than it is right",
                f"{percent(taken)}; right in {percent(right)}",
                "Its place plays a part. Options scored by their own words have no places.",
            )


def _kinds(
    mine: Chosen, names: Sequence[str], found: Sequence[Chosen], normalised: bool
) -> Section:
    rows = []
    others = {one.name: one for one in found[1].groups} if len(found) > 1 else {}
    for group in mine.groups:
        row = [group.name, str(group.questions), spread(_main(group, normalised))]
        row += [spread(group.normalised if not normalised else group.accuracy)]
        row += [percent(group.right.value), percent(group.chance)]
        if others:
            other = others.get(group.name)
            row.append(spread(_main(other, normalised)) if other else "–")
        rows.append(row)
    ways = ["accuracy", "per byte"] if not normalised else ["per byte", "not per byte"]
    columns = ["kind", "questions", *ways, "p of the right", "guessing"]
    columns += [names[1]] if others else []
    return Section("By kind", "", columns, rows)


def _certainty(found: Chosen, name: str) -> Section:
    note = "By the probability of the likeliest option."
    return certainty(name, found.bins, "how sure it is", note)


def _placed(found: Chosen) -> Section:
    rows = [
        [f"({chr(ord('A') + k)})", percent(taken), percent(right)]
        for k, (taken, right) in enumerate(found.places)
    ]
    note = "How often each letter is chosen, and how often it is right."
    return Section("By place", note, ["place", "chosen", "right"], rows)


def _wrong(found: Chosen, normalised: bool) -> Section:
    wrong = [row for row in found.rows if isinstance(row, Answered) and not row.hit(normalised)]
    wrong.sort(key=lambda row: -max(row.odds))
    texts = []
    for row in wrong[:SHOWN]:
        best, right = min(row.best(normalised)), min(row.choice.right)
        texts.append(
            (
                f"{row.choice.id}: {percent(row.odds[best])} for what it chose, "
                f"{percent(row.odds[right])} for what is right",
                [
                    ("Asked.", row.choice.prompt),
                    ("Chosen.", row.choice.options[best]),
                    ("Right.", row.choice.options[right]),
                ],
            )
        )
    return Section("Where it is most surely wrong", "Read these before the numbers.", texts=texts)
