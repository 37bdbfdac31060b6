"""Judgements out of the store, as an artifact in the folder of the run that learns from them.

    data=accord.db#stories judged.labels=soft judged.agreement=0.7

What a run began with it goes on with: judgements that come in later change nothing in it, and it
needs the store no more.  The artifact lists the judgements it holds, and whose they are (by
pseudonym); the store's row of the export has the same digest.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from accord.config import digest, plain
from accord.data import dossier, sources
from accord.data.comparisons import fingerprint
from accord.data.pieces import conversation
from accord.data.shapes import Flaw, Kind, serve
from accord.data.sources import Read
from accord.data.studies import opened, parts
from accord.data.tally import Tally
from accord.errors import BadData, RunMismatch
from accord.records import Prompt
from accord.store import artifact, files
from accord.store.artifact import Artifact
from accord.store.judgements import agreement, pictures, resolve, studies
from accord.store.judgements.opening import Store
from accord.store.judgements.resolve import Filters, Resolved
from accord.store.judgements.tables import Study
from accord.store.record import environment

FOLDER = "judged"
"""below a run: judged/comparisons, judged/ratings, ..."""
IDS = "judgements.json"
CARD = "README.md"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Taken:
    """What a study gave."""

    study: Study
    records: list[Any]
    tally: Tally
    found: Resolved
    """what they were made of, with the digest of the records"""
    annotators: Mapping[str, list[int]]
    facts: Mapping[str, int]
    """shown, hidden -> judgements made with, and without, what is known of their prompts"""
    agreed: Any
    """agreement.Agreement of the whole study; None where records are no judgements"""

    @property
    def ids(self) -> list[int]:
        """Of the judgements, in order."""
        return self.found.judgement_ids

    @property
    def digest(self) -> str:
        """sha256 of the records: artifacts made of them carry it."""
        return self.found.digest

    @property
    def left_out(self) -> Mapping[str, int]:
        """Why -> how many judgements or items."""
        return self.found.told


def take(out: Path, where: str | Path, kind: Kind, filters: Filters, tell: Tell) -> Read[Any]:
    """The records of a study, sealed below `out` as `judged/<kind>`; or what was sealed there.

    RunMismatch where what lies there is of another study, or was chosen otherwise.
    """
    folder = out / FOLDER / kind
    _, name = parts(where)
    settings = {"study": name, "filters": plain(filters) if kind != "prompts" else {}}
    if (folder / artifact.FILE).exists():
        there = artifact.open_artifact(folder)
        if digest(there.settings) != digest(settings):
            raise RunMismatch(
                f"{folder} holds judgements of study {there.settings.get('study')!r} with the "
                f"filters {there.settings.get('filters')}: give another folder (out=...), or the "
                "same study and filters"
            )
        tell(f"{where}: the {kind} that this run began with ({there.created[:16]})")
    else:
        seal(folder, where, kind, filters, settings, tell)
    found = sources.read(folder / f"{kind}.jsonl", kind)
    return Read(found.records, found.tally, kind, f"study {name!r}")


def glanced(where: str | Path, kind: Kind) -> Read[Any]:
    """What a study gives now, kept nowhere: for what makes no artifact."""
    store, name = opened(where)
    try:
        taken = gather(store, name, kind, Filters())
    finally:
        store.close()
    return Read(taken.records, taken.tally, kind, f"study {name!r}")


def seal(
    folder: Path, where: str | Path, kind: Kind, filters: Filters, settings: Any, tell: Tell
) -> Artifact:
    """What a study gives now, as an artifact, and the store's note of it."""
    store, name = opened(where)
    try:
        taken = gather(store, name, kind, filters)
        if not taken.records:
            raise BadData(empty(where, kind, taken))
        if taken.left_out:
            tell(f"{where}: left out: {_listed(taken.left_out)}")

        def write(into: Path) -> None:
            sources.write(into / f"{kind}.jsonl", taken.records)
            files.write_whole(into / IDS, files.dump(_ids(taken)))
            files.write_whole(into / CARD, card(taken, kind, filters).encode())

        numbers = {kind: len(taken.records), "judgements": len(taken.ids)}
        numbers["annotators"] = len(taken.annotators)
        told = {"kind": kind, "settings": settings, "data": taken.digest}
        # noted first: a crash may leave a note without records, and no records without a note
        resolve.handed_out(store, taken.study.id, filters, taken.found, str(folder), None)
        made = artifact.finish(folder, write, numbers=numbers, **told)
    finally:
        store.close()
    return made


def sealed(out: Path, where: str | Path) -> tuple[Artifact, ...]:
    """The artifacts that `take` made of a study below a run's folder."""
    _, name = parts(where)
    found = [artifact.open_artifact(one.parent) for one in
             sorted((out / FOLDER).glob(f"*/{artifact.FILE}"))]  # fmt: skip
    return tuple(one for one in found if one.settings.get("study") == name)


def gather(store: Store, name: str, kind: Kind, filters: Filters) -> Taken:
    """The records of a study, and all that is to be said of them."""
    study = studies.study(store, name)
    if kind == "prompts":
        rows = dossier.prompts(store, study.id)
        often = Counter(source for _, source in rows)
        asked = [  # a source that several came from names none of them
            Prompt(
                pictures.found(conversation(told, "messages"), pictures.home(store)),
                source if source and often[source] == 1 else f"prompt-{n}",
            )
            for n, (told, source) in enumerate(rows)
        ]
        none = Resolved([], [], [], [], fingerprint(asked), {})
        return Taken(study, asked, _kept(asked), none, {}, {}, None)
    found = resolve.records(store, study.id, filters)
    native = list(getattr(found, kind))
    tally, records = Tally(), native
    if not native:
        records = _served([*found.comparisons, *found.ratings], kind, tally)
        found = replace(found, digest=digest([found.digest, kind]))
    by = dossier.annotators(store, found.judgement_ids)
    seen = dossier.facts_seen(store, found.judgement_ids)
    agreed = agreement.report(store, study.id)
    at = pictures.home(store)
    records = [replace(one, prompt=pictures.found(one.prompt, at)) for one in records]
    return Taken(study, records, tally, found, by, seen, agreed)


def _kept(records: Sequence[Any]) -> Tally:
    tally = Tally()
    tally.keep(len(records))
    return tally


def _served(records: Sequence[Any], kind: Kind, tally: Tally) -> list[Any]:
    """Judgements of another kind as this one, as far as they can serve."""
    made: list[Any] = []
    for one in records:
        try:
            made += serve(one, kind)
        except (Flaw, TypeError) as flaw:
            reason = flaw.reason if isinstance(flaw, Flaw) else "of another kind"
            tally.drop(reason, f"{one.id}: {flaw}")
        else:
            tally.keep()
    return made


def _listed(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {why}" for why, count in left_out.items() if count) or "nothing"


def empty(where: str | Path, kind: str, taken: Taken) -> str:
    """What is said of a study that gives nothing."""
    why = f" (left out: {_listed(taken.left_out)})" if any(taken.left_out.values()) else ""
    return f"{where}: no {kind} in study {taken.study.name!r} yet{why}"


def _ids(taken: Taken) -> dict[str, Any]:
    study = taken.study
    return {
        "study": {"id": study.id, "name": study.name, "kind": study.kind},
        "digest": taken.digest,
        "judgements": list(taken.ids),
        "annotators": dict(sorted(taken.annotators.items())),
        "left_out": dict(taken.left_out),
        "facts": dict(taken.facts),
    }


# --- the card ---


def card(taken: Taken, kind: str, filters: Filters, rows: int | None = None) -> str:
    """A README for people and for data set pages: counts, agreement, guidelines, code version."""
    study, asked = taken.study, taken.study.config
    rules = str(asked.get("guidelines", ""))
    who = [f"| {name} | {len(ids)} |" for name, ids in sorted(taken.annotators.items())]
    chosen = [f"| {key} | {value} |" for key, value in plain(filters).items()]
    count = len(taken.records) if rows is None else rows
    lines = [
        "---",
        "dataset_info:",
        f"  num_examples: {count}",
        f"  kind: {kind}",
        "---",
        f"# {study.name}",
        "",
        f"{count} {kind} of {len(taken.ids)} judgements by {len(taken.annotators)} annotators.",
        "",
        f"- question: {asked.get('question', '')}",
        f"- kind of study: {study.kind}",
        f"- agreement: {_agreed(taken.agreed)}",
        f"- left out: {_listed(taken.left_out)}",
        *_seen(taken.facts),
        f"- guidelines: sha256 {sha256(rules.encode()).hexdigest()}",
        f"- digest of the records: {taken.digest}",
        f"- made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by accord {_version()}",
        "",
    ]
    lines += ["| annotator (pseudonym) | judgements |", "|---|---|", *who, ""]
    lines += ["| filter | value |", "|---|---|", *chosen, ""]
    if rules:
        lines += ["## Guidelines", "", rules, ""]
    return "\n".join(lines)


def _seen(facts: Mapping[str, int]) -> list[str]:
    told = ", ".join(f"{how} at {count} judgements" for how, count in facts.items() if count)
    return [f"- what is known of the prompts (facts): {told}"] if told else []


def _agreed(told: Any) -> str:
    if told is None:
        return "not asked"
    if told.alpha is None:
        return f"undefined ({told.undefined_why})"
    level = f", {told.level}" if told.level else ""
    between = ""
    if told.low is not None and told.high is not None:
        between = f" (95% interval {told.low:.2f} to {told.high:.2f})"
    return f"Krippendorff's alpha {told.alpha:.2f}{between}{level}"


def _version() -> str:
    here = environment()
    return f"{here.get('accord', '?')} ({here.get('git') or 'no checkout'})"


def manifest(taken: Taken, kind: str, filters: Filters, **more: Any) -> str:
    """What a program should know of an exported file, as JSON."""
    told = {**_ids(taken), "kind": kind, "filters": plain(filters), **more}
    return json.dumps(told, indent=2, sort_keys=True) + "\n"


def kind_of(study: Study) -> Kind:
    """The records that a study's judgements are, of themselves."""
    kinds = {"rate": "ratings", "rewrite": "demonstrations"}
    return cast(Kind, kinds.get(study.kind, "comparisons"))
