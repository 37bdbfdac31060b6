"""Files of prompts, answers and comparisons as items of a study: any shape `accord.data` reads."""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from accord.data import sources
from accord.data.tally import Tally
from accord.errors import BadData
from accord.records import Comparison, Conversation, Demonstration, Prompt, Rating
from accord.records.plain import messages
from accord.store.judgements.forms import Kind, NewItem, known_of

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".txt", ".arrow", ".gz")
CHUNK = 1 << 20
NEEDED: dict[Kind, int] = {"pairwise": 2, "rank": 2, "rate": 1, "rewrite": 1, "chat": 0}
"""answers that an item of a study has, at least"""


def items(file: BinaryIO, name: str, kind: Kind, gold: bool = False) -> tuple[list[NewItem], Tally]:
    """The items in an uploaded file, and what became of its rows.

    Answers to one prompt in rows one after the other come together.  `gold`: the file's own
    verdicts are known to be right, and check attention.  BadData where nothing can be used.
    """
    ending = "".join(Path(name).suffixes[-2:]).lower()
    if not ending.endswith(SUFFIXES):
        raise BadData(f"{name}: files of items are .jsonl, .json, .csv, .tsv or .parquet")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{ending}"
        with path.open("wb") as into:
            while chunk := file.read(CHUNK):
                into.write(chunk)
        try:
            found = sources.read(path, "prompts" if kind == "chat" else None)
            made = list(_made(found.records, kind, gold, name))
        except BadData as error:
            raise BadData(str(error).replace(str(path), name)) from None
    if not made:
        need = NEEDED[kind]
        said = f"{name}: {found.tally.kept} rows of {found.shape}, none with {need} answers or more"
        raise BadData(f"{said}; such a study asks about answers, so give a file that has them")
    return made, found.tally


def _made(records: Iterable[Any], kind: Kind, gold: bool, name: str) -> Iterator[NewItem]:
    if kind == "chat":
        for record in records:
            yield NewItem(messages(record.prompt if _has(record) else record.messages), ())
        return
    for prompt, group in groupby(records, key=_prompt):
        answers: dict[str, None] = {}
        known = None
        for record in group:
            if isinstance(record, Comparison) and len(record.responses) >= NEEDED[kind]:
                if kind in ("pairwise", "rank"):
                    verdict = known_of(record) if gold else None
                    source = f"{name}: {record.id.rpartition('/')[2]}"
                    yield NewItem(messages(prompt), record.responses, gold=verdict, source=source)
                    continue
                answers |= dict.fromkeys(record.responses)
            elif isinstance(record, Demonstration | Rating):
                answers[record.response] = None
        if len(answers) < max(NEEDED[kind], 1):
            continue
        if kind == "rewrite":
            for answer in answers:
                yield NewItem(messages(prompt), (answer,), source=name)
        else:
            count = 2 if kind == "pairwise" else len(answers)
            yield NewItem(messages(prompt), tuple(answers)[:count], gold=known, source=name)


def _has(record: Any) -> bool:
    return not isinstance(record, Prompt)


def _prompt(record: Any) -> Conversation:
    return record.prompt if _has(record) else record.messages  # type: ignore[no-any-return]
