"""What benchmarks of models that see found, for people."""

from collections.abc import Iterator, Mapping, Sequence

from accord.evaluate import llavabench, mmbench, mmhal, pope
from accord.evaluate.checkpage import spread
from accord.evaluate.sheet import Finding, Section, Sheet
from accord.evaluate.words import count, digits, percent, signed
from accord.maths.intervals import Estimate
from accord.records import Invalid

NONE = "–"
SURE = "Intervals are 95%, over questions."


def of_pope(name: str, parts: Sequence[pope.Split], lost: Mapping[str, int]) -> Sheet:
    """Yes and no."""
    every = parts[0]
    findings = [Finding("note", "Accuracy", spread(every.accuracy)), *_lost(lost)]
    if every.unclear:
        number = f"{every.unclear} of {every.count}; where they are wrong, accuracy is "
        findings.append(
            Finding(
                "warning",
                "Answers that say neither yes nor no, or both",
                number + spread(every.strict),
                "The paper's rule takes what has no “no” for yes.",
            )
        )
    columns = ["split", "questions", "accuracy", "precision", "recall", "F1", "says yes", "unclear"]
    rows = [
        [
            p.name,
            str(p.count),
            spread(p.accuracy),
            _spread(p.precision),
            _spread(p.recall),
            _spread(p.f1),
            spread(p.yes),
            str(p.unclear),
        ]
        for p in parts
    ]
    note = "By the paper's rule; yes is the positive class, and right in half of its questions."
    return _sheet("POPE", name, every.count, findings, [Section("By split", note, columns, rows)])


def of_mmhal(name: str, judge: str, parts: Sequence[mmhal.Part], lost: Mapping[str, int]) -> Sheet:
    """Ratings."""
    every = parts[0]
    findings = [
        Finding("note", "Mean rating, 0 to 6", _numbers(every.score)),
        Finding("note", "Hallucinations", _spread(every.rate)),
        *_unread(every.unread, every.count),
        Finding(
            "note",
            "The paper's way",
            f"mean {digits(every.paper_score)}, hallucinations {percent(every.paper_rate)}",
            "A verdict that cannot be read counts there as 0, and as a hallucination.",
        ),
        _judge(judge),
        *_lost(lost),
    ]
    columns = ["questions", "rated", "mean rating", "hallucinations", "not read", "paper's mean"]
    rows = [
        [
            p.name,
            str(p.count),
            _numbers(p.score),
            _spread(p.rate),
            str(p.unread),
            digits(p.paper_score),
        ]
        for p in parts
    ]
    note = "A rating below 3 is a hallucination."
    section = Section("By type and topic", note, columns, rows)
    return _sheet("MMHal-Bench", name, every.count, findings, [section])


def of_llavabench(
    name: str,
    judge: str,
    parts: Sequence[llavabench.Part],
    verdicts: Sequence[llavabench.Scored | Invalid],
    lost: Mapping[str, int],
) -> Sheet:
    """Scores beside a reference's."""
    every = parts[0]
    tilts = [v.tilt for v in verdicts if not isinstance(v, Invalid) and v.tilt is not None]
    findings = [
        Finding("note", "Relative score", _numbers(every.relative)),
        *_unread(every.unread, every.count),
        Finding(
            "note",
            "The paper's way",
            "none" if every.paper is None else digits(every.paper),
            "One order, the reference first; -1 for both where the verdict cannot be read.",
        ),
        _judge(judge),
        *_lost(lost),
    ]
    if tilts:
        number = f"{signed(sum(tilts) / len(tilts))} points for the answer shown first"
        findings.append(Finding("note", "What place did", number))
    columns = ["category", "pairs", "relative", "model", "reference", "not read", "paper's way"]
    rows = [
        [p.name, str(p.count), _numbers(p.relative)]
        + [NONE if x is None else digits(x) for x in (p.model, p.reference)]
        + [str(p.unread), NONE if p.paper is None else digits(p.paper)]
        for p in parts
    ]
    note = "100 × mean score of the model / mean score of the reference."
    section = Section("By category", note, columns, rows)
    return _sheet("LLaVA-Bench", name, every.count, findings, [section])


def of_mmbench(name: str, parts: Sequence[mmbench.Part], lost: Mapping[str, int]) -> Sheet:
    """Multiple choice, all rotations."""
    every = parts[0]
    findings = [Finding("note", "Right in all rotations", spread(every.circular)), *_lost(lost)]
    if every.unread:
        number = f"{every.unread} of {every.count}"
        findings.append(
            Finding(
                "warning", "Questions with an answer that names no option", number, "Not right."
            )
        )
    columns = ["category", "questions", "right in all rotations", "right once", "names no option"]
    rows = [
        [p.name, str(p.count), spread(p.circular), spread(p.once), str(p.unread)] for p in parts
    ]
    section = Section("By category", "Right once: as the file puts it.", columns, rows)
    return _sheet("MMBench", name, every.count, findings, [section])


def _sheet(
    kind: str, name: str, n: int, findings: Sequence[Finding], sections: Sequence[Section]
) -> Sheet:
    return Sheet(kind, f"{name} on {kind}", f"{count(n, 'answer')}. {SURE}", findings, sections)


def _judge(judge: str) -> Finding:
    return Finding("note", "The judge", judge, "Scores move with the judge: compare under one.")


def _unread(unread: int, rated: int) -> Iterator[Finding]:
    if unread:
        number = f"{unread} of {unread + rated}"
        yield Finding("warning", "Verdicts that could not be read", number, "They count nowhere.")


def _lost(lost: Mapping[str, int]) -> Iterator[Finding]:
    for reason, n in lost.items():
        yield Finding(
            "warning", "Questions without an answer", f"{n}: {reason}", "Counted nowhere."
        )


def _spread(one: Estimate | None) -> str:
    return NONE if one is None else spread(one)


def _numbers(one: Estimate | None) -> str:
    if one is None:
        return NONE
    return f"{digits(one.value)} ({digits(one.low)} to {digits(one.high)})"
