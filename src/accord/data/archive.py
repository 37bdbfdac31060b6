"""The `study` form read back: a whole study out of the file that `accord data export` wrote of it.

Beside its items come all judgements that stood, whoever gave them (under their pseudonyms), with
time, order shown, marks and soft labels.  What the study was, its kind and settings, stands in the
manifest beside the file; without one it is told from the judgements.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from accord.data.documents import json_lines
from accord.data.dossier import SAID
from accord.data.pieces import Flaw
from accord.data.tally import Tally
from accord.errors import BadData
from accord.store.judgements.forms import KINDS, Kind, NewItem, StudyConfig

MARKS = frozenset(("prompt", "responses", "verdicts", "propensity"))
"""keys of every row"""


@dataclass(frozen=True)
class Kept:
    """One judgement of an archive, and the item it is of."""

    item: NewItem
    judge: str
    ai: bool
    excluded: bool
    told: dict[str, Any]
    name: str


def is_archive(path: Path) -> bool:
    """Whether a file is one, by its first row."""
    if not path.is_file() or not path.name.endswith((".jsonl", ".jsonl.gz")):
        return False
    first = next((row for _, row in json_lines(path)), None)
    return isinstance(first, Mapping) and first.keys() >= MARKS


def opened(path: Path, tally: Tally) -> tuple[Kind, StudyConfig, list[NewItem], list[Kept]]:
    """What the study was, its items, and what was said of them; the tally counts items."""
    items, said = [], []
    for n, row in json_lines(path):
        where = f"{path}:{n}"
        try:
            if isinstance(row, Flaw):
                raise row
            if not isinstance(row, Mapping):
                raise Flaw("no object", "a row is an object with prompt, responses and verdicts")
            item = _item(row)
            few = [*_kept(item, row, where)]
        except Flaw as flaw:
            tally.drop(flaw.reason, f"{where}: {flaw.detail}")
            continue
        except (LookupError, TypeError, ValueError) as error:
            tally.drop("no item of a study", f"{where}: {type(error).__name__} {error}")
            continue
        tally.keep()
        items.append(item)
        said += few
    if not items:
        raise BadData(f"{path}: no item of a study can be read\n" + "\n".join(tally.lines("items")))
    kind, config = _study(path, said)
    return kind, config, items, said


def _item(row: Mapping[str, Any]) -> NewItem:
    answers = row["responses"]
    return NewItem(
        messages=list(row["prompt"]),
        answers=tuple(str(one["text"]) for one in answers),
        models=tuple(str(one.get("model") or "") for one in answers),
        gold=row.get("gold"),
        propensity=row.get("propensity"),
        rewards=tuple(one.get("reward") for one in answers),
        source=str(row.get("source") or ""),
        sampling=dict(answers[0].get("sampling") or {}) if answers else {},
    )


def _kept(item: NewItem, row: Mapping[str, Any], where: str) -> Iterator[Kept]:
    for n, one in enumerate(row["verdicts"]):
        told = {key: one[key] for key in SAID if one.get(key) is not None}
        told["created"] = datetime.fromisoformat(one["at"])
        if one.get("facts") is not None:
            told["origin"] = {"facts": bool(one["facts"])}
        name = f"{where}#{n}"
        yield Kept(item, str(one["by"]), bool(one["ai"]), bool(one["excluded"]), told, name)


def _study(path: Path, said: list[Kept]) -> tuple[Kind, StudyConfig]:
    """By the manifest, or as far as the judgements tell."""
    manifest = path.with_name(path.name.removesuffix(".gz").rpartition(".")[0] + ".manifest.json")
    if manifest.is_file():
        try:
            told = json.loads(manifest.read_text("utf-8")).get("study")
            if isinstance(told, Mapping) and told.get("kind") in KINDS:
                return cast(Kind, told["kind"]), StudyConfig.of(told["config"])
        except (ValueError, LookupError, TypeError) as error:
            raise BadData(f"{manifest}: it does not say what the study was ({error})") from error
    rated = [one.told["ratings"] for one in said if "ratings" in one.told]
    if rated:
        axes = tuple(dict.fromkeys(axis for one in rated for axis in one))
        most = max(mark for one in rated for marks in one.values() for mark in marks)
        return "rate", StudyConfig(axes=axes, scale=max(2, most))
    if any("rewrite" in one.told for one in said):
        return "rewrite", StudyConfig()
    many = any(len(one.item.answers) > 2 for one in said)
    return "rank" if many else "pairwise", StudyConfig(verdicts=("tie", "both_bad", "strength"))
