"""What is odd in the wording of prompts and answers."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from accord.data.check.finding import Finding, finding
from accord.data.check.sheet import Line, Sheet
from accord.data.check.texts import (
    CONTROL,
    HTML,
    INVISIBLE,
    MOJIBAKE,
    REFUSAL,
    around,
    excerpt,
    plain,
    tokens,
)

FEW_PROMPTS = 5
"""prompts that must share an answer before it is boilerplate"""
BEGINNING = 4
"""words of a beginning"""
OFTEN = 0.1
"""share of answers that begin alike before it is said"""
ODD = 0.2
"""share of answers below which a way to begin is the unusual one"""


def wording(sheet: Sheet) -> list[Finding]:
    """All of this page."""
    checks: list[Callable[[Sheet], list[Finding]]] = [
        same_answers,
        leading_space,
        ending_space,
        control_text,
        mojibake,
        invisible,
        html,
        wordless,
        repeated_answers,
        same_beginning,
        refusals,
    ]
    return [found for check in checks for found in check(sheet)]


def same_answers(sheet: Sheet) -> list[Finding]:
    """Pairs that differ in spacing or case alone."""
    pairs = [(line.id, line.answers[i], line.answers[j]) for line, i, j in sheet.pairs()]
    hits = [(id, better) for id, better, worse in pairs if plain(better) == plain(worse)]
    return finding("same-answers", hits, len(pairs), "pairs", examples=sheet.examples)


def leading_space(sheet: Sheet) -> list[Finding]:
    """Answers that begin unlike most, where a few of both sorts are there."""
    sorts: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for id, text in sheet.answers:
        sorts[text[:1].isspace()].append((id, text))
    odd = min(sorts.values(), key=len)
    if sheet.chat:
        odd = sorts[True]
    elif len(odd) > ODD * len(sheet.answers):
        shares = f"{len(sorts[True]):,} begin with white space, {len(sorts[False]):,} do not"
        return _on_answers(sheet, "leading-space", odd, shares)
    return _on_answers(sheet, "leading-space", odd)


def ending_space(sheet: Sheet) -> list[Finding]:
    """Answers with white space before their end."""
    return _on_answers(sheet, "ending-space", [a for a in sheet.answers if a[1][-1:].isspace()])


def control_text(sheet: Sheet) -> list[Finding]:
    """Control tokens of this model, or of common ones, that somebody wrote."""
    names = "|".join(re.escape(name) for name in sheet.controls if name.strip())
    pattern = re.compile(f"{names}|{CONTROL.pattern}") if names else CONTROL
    return _in_texts(sheet, "control-text", pattern)


def mojibake(sheet: Sheet) -> list[Finding]:
    """Replacement characters, and UTF-8 read as something else."""
    return _in_texts(sheet, "mojibake", MOJIBAKE)


def invisible(sheet: Sheet) -> list[Finding]:
    """Characters that nobody sees."""
    return _in_texts(sheet, "invisible", INVISIBLE)


def html(sheet: Sheet) -> list[Finding]:
    """Tags and entities."""
    return _in_texts(sheet, "html", HTML)


def wordless(sheet: Sheet) -> list[Finding]:
    """Answers of signs alone."""
    hits = [(id, text) for id, text in sheet.answers if not any(c.isalnum() for c in text)]
    return _on_answers(sheet, "wordless", hits)


def repeated_answers(sheet: Sheet) -> list[Finding]:
    """Answers of several words that many prompts share, the most frequent first."""
    prompts = defaultdict(set)
    first: dict[str, tuple[str, str]] = {}
    for line in sheet.lines:
        for text in line.answers:
            if " " in (said := plain(text)):
                prompts[said].add(line.key)
                first.setdefault(said, (line.id, text))
    often = sorted(
        ((len(keys), said) for said, keys in prompts.items() if len(keys) >= FEW_PROMPTS),
        reverse=True,
    )
    hits = [(first[said][0], f"{n:,} prompts: {first[said][1]}") for n, said in often]
    counted = sum(n for n, _ in often)
    return finding(
        "repeated-answers",
        hits,
        len(sheet.answers),
        "answers",
        examples=sheet.examples,
        count=counted,
    )


def same_beginning(sheet: Sheet) -> list[Finding]:
    """The words with which more than a tenth of the answers begin."""
    begun: Counter[str] = Counter()
    first: dict[str, str] = {}
    for id, text in sheet.answers:
        words = tokens(plain(text))[:BEGINNING]
        if len(words) == BEGINNING:
            start = " ".join(words)
            begun[start] += 1
            first.setdefault(start, id)
    most = max(FEW_PROMPTS, OFTEN * len(sheet.answers))
    often = [(start, n) for start, n in begun.most_common() if n > most]
    hits = [(first[start], f"{n:,} answers: {start} …") for start, n in often]
    return finding(
        "same-beginning",
        hits,
        len(sheet.answers),
        "answers",
        examples=sheet.examples,
        count=sum(n for _, n in often),
    )


def refusals(sheet: Sheet) -> list[Finding]:
    """Answers that begin as refusals do (English)."""
    return _on_answers(sheet, "refusals", [a for a in sheet.answers if REFUSAL.match(a[1])])


def _on_answers(
    sheet: Sheet, key: str, hits: list[tuple[str, str]], detail: str = ""
) -> list[Finding]:
    of = len(sheet.answers)
    return finding(key, hits, of, "answers", detail=detail, examples=sheet.examples)


def _in_texts(sheet: Sheet, key: str, pattern: re.Pattern[str]) -> list[Finding]:
    """Rows in which a pattern is found, each once, with the most frequent matches."""
    hits, often = [], Counter[str]()
    for line in sheet.lines:
        found = [(text, match) for text in _texts(line) if (match := pattern.search(text))]
        if found:
            hits.append((line.id, around(*found[0])))
            often.update(match.group() for _, match in found)
    told = ", ".join(f"{excerpt(what, 30)} ({n:,})" for what, n in often.most_common(3))
    return finding(key, hits, len(sheet.lines), "rows", detail=told, examples=sheet.examples)


def _texts(line: Line) -> Iterator[str]:
    yield from (message.text for message in line.prompt)
    yield from line.answers
