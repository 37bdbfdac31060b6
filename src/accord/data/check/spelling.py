"""A sheet in the model's own tokens: what fits, what ends, and how it looks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accord.data.check.finding import Finding, finding
from accord.data.check.sheet import Line, Sheet
from accord.data.tally import Tally
from accord.errors import BadData
from accord.records import Ids
from accord.text import folder
from accord.text.tokenizer import Speller

SIZES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of tokens of one sort, as text."""

    text: str
    trained: bool = False
    control: bool = False


def context(model: str | Path) -> int | None:
    """The most tokens a model reads, as its config.json says; None where it does not."""
    places = [model, *folder.bases(model)]
    told = [folder.read(place, "config.json") for place in places]
    told += [config["text_config"] for config in told if "text_config" in config]
    found = (config.get(key) for config in told for key in SIZES)
    return next((size for size in found if isinstance(size, int)), None)


def spelled(sheet: Sheet, speller: Speller, model: str | Path) -> Sheet:
    """The same sheet in tokens; rows that cannot be spelled are dropped and counted."""
    kept, tally = [], Tally()
    rows = speller.many((line.prompt, line.answers) for line in sheet.lines)
    for line, ids in zip(sheet.lines, rows, strict=True):
        if isinstance(ids, BadData):
            tally.drop("cannot be spelled", f"{line.id}: {ids}")
        else:
            kept.append(replace(line, ids=ids))
    both = sheet.tally + tally
    both.kept = len(kept)
    return replace(
        sheet,
        lines=kept,
        tally=both,
        unit="tokens",
        controls=tuple(speller.controls.values()),
        ends=frozenset(folder.facts(model, {}).ends),
        chat=speller.chat,
    )


def too_long(sheet: Sheet) -> list[Finding]:
    """Rows, and prompts, that do not fit."""
    if sheet.limit is None:
        return []
    cramped = [line for line in sheet.useless if sheet.cramped(line)]
    rest = [line for line in sheet.useless if not sheet.cramped(line)]
    most = f"the limit is {sheet.limit:,} {sheet.unit}"

    def hits(lines: Sequence[Line], prompt: bool) -> list[tuple[str, str]]:
        return [
            (line.id, f"{line.sizes[0] if prompt else line.size:,} {sheet.unit}: {line.asked}")
            for line in lines
        ]

    rows = len(sheet.lines)
    shown = sheet.examples
    return [
        *finding("no-room", hits(cramped, True), rows, "rows", detail=most, examples=shown),
        *finding("too-long", hits(rest, False), rows, "rows", detail=most, examples=shown),
    ]


def never_ends(sheet: Sheet) -> list[Finding]:
    """What is trained ends with an id that no config of the model calls an end."""
    last = [(line.id, ids[-1]) for line in sheet.lines if line.ids for ids in line.ids[1]]
    if not sheet.ends:
        return []
    hits = [(id, f"ends with id {end}") for id, end in last if end not in sheet.ends]
    told = "the configs name " + ", ".join(map(str, sorted(sheet.ends)))
    return finding(
        "end-not-trained", hits, len(last), "answers", detail=told, examples=sheet.examples
    )


def pieces(speller: Speller, prompt: Ids, answer: Ids = ()) -> list[Piece]:
    """Prompt and answer as runs of text: what is trained, and what are control tokens."""
    ids, found = (*prompt, *answer), []
    controls, start, before = speller.controls, 0, ""
    kinds = [(at >= len(prompt), i in controls) for at, i in enumerate(ids)]
    for stop in range(1, len(ids) + 1):
        if stop < len(ids) and kinds[stop] == kinds[start] and not kinds[start][1]:
            continue
        whole = speller.decode(ids[:stop], special=True)
        text = whole.removeprefix(before)
        if kinds[start][1]:
            text = controls[ids[start]]  # whatever space a decoder puts around it
        found.append(Piece(text, *kinds[start]))
        start, before = stop, whole
    return found
