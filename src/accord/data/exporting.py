"""`accord data export`: a file of any shape in, a file of a shape that others read out.

Or a study: its judgements, with a card for people and a manifest for programs beside the file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accord.config import Settings
from accord.config.limits import UpTo1
from accord.data import dossier, judged, sources
from accord.data.columns import SplitFacts
from accord.data.export import FORMS, Ties
from accord.data.export_study import STUDY_FORMS, rows_of
from accord.data.pictured import UNSEEN
from accord.data.shapes import Kind
from accord.data.studies import is_study, opened
from accord.data.tally import Tally
from accord.data.writing import row, writable, write_rows
from accord.errors import BadData, BadSettings, CannotWrite
from accord.store import files
from accord.store.judgements import resolve, studies
from accord.store.judgements.resolve import Filters

TRL: Mapping[Kind, str] = {
    "comparisons": "trl_explicit",
    "ratings": "trl_unpaired",
    "demonstrations": "trl_messages",
    "prompts": "trl_prompts",
}


class Export(Settings):
    """What an export is told beside the two files."""

    data: Path
    """a file, folder or hub id, any shape of docs/data.md, or a study: STORE#STUDY, as
    accord.db#stories; may stand first without its key"""
    out: Path
    """the file to write: .jsonl, .json, .csv, .tsv or .parquet (and .gz); may stand second"""
    to: Literal[
        "accord",
        "trl",
        "trl_explicit",
        "trl_implicit",
        "trl_unpaired",
        "trl_messages",
        "trl_prompts",
        "trl_standard",
        "trl_completion",
        "ultrafeedback_binarized",
        "hh_transcripts",
        "study",
        "helpsteer3",
        "ultrafeedback",
        "distilabel",
        "lmarena",
        "oasst",
        "tldr",
        "argilla",
        "label_studio",
        "tulu_completions",
    ] = "accord"
    """the shape; accord: our own, which holds all of a record; trl: TRL's for these records; from
    study on: of a study alone, with who wrote each answer and who said what"""
    kind: Literal["auto", "prompts", "demonstrations", "comparisons", "ratings"] = "auto"
    """what to read the rows as, for to=accord and to=trl; auto: as their keys say"""
    ties: Ties = "drop"
    """ties, where the shape is of pairs: left out and counted, or written in both orders"""
    judged: Filters = Filters()
    """which judgements of a study count, and as what"""
    files: SplitFacts = SplitFacts()
    """how data= is read"""
    limit: UpTo1 = 0.05
    """share of rows that may be lost (ties apart) before nothing is written"""
    overwrite: bool = False
    """whether a file that is there already may be replaced"""


@dataclass(frozen=True)
class Exported:
    """What became of the rows."""

    cfg: Export
    read: sources.Read[Any]
    form: str
    rows: int
    """in the new file"""
    written: Tally
    """counts records (of a study's own forms: items): one may become several rows, or none"""
    items: str = ""
    """what was read, where it is no records"""
    beside: tuple[Path, ...] = ()
    """card and manifest of a study"""

    def lines(self) -> Iterator[str]:
        """What was read and written, and what was lost on each side."""
        read, kind = self.read, self.read.kind
        found = self.items or f"{len(read.records)} {kind}"
        yield f"{self.cfg.data}: {found} ({read.shape})"
        if read.tally.dropped or read.tally.noted:
            yield from read.tally.lines()
        if read.unseen:
            yield f"{self.cfg.data}: {UNSEEN}"
        yield f"{self.cfg.out}: {self.rows} rows ({self.form})"
        if self.written.dropped or self.written.noted:
            yield from self.written.lines("items" if self.items else kind)
        if self.beside:
            yield f"beside it: {', '.join(path.name for path in self.beside)}"


def run(cfg: Export) -> Exported:
    """Read, and write whole or not at all."""
    if is_study(cfg.data):
        return _of_study(cfg)
    if cfg.to in STUDY_FORMS:
        raise BadSettings(f"to={cfg.to} is of a study: data must be STORE#STUDY, accord.db#stories")
    if cfg.judged != Filters():
        raise BadSettings("judged.… chooses judgements of a study: data must be STORE#STUDY")
    form = FORMS.get(cfg.to)
    if form is not None and cfg.kind not in ("auto", form.kind):
        raise BadSettings(f"kind={cfg.kind}, but to={cfg.to} is made of {form.kind}")
    writable(cfg.out)
    if cfg.out.exists() and not cfg.overwrite:
        raise CannotWrite(f"{cfg.out}: is there already; say overwrite=true to replace it")
    wanted = form.kind if form else None if cfg.kind == "auto" else cfg.kind
    read = sources.read(cfg.data, wanted, **cfg.files.how())
    _within(cfg, read.tally, f"{cfg.data}")
    name = TRL[read.kind] if cfg.to == "trl" else cfg.to
    written, count = Tally(), 0

    def rows() -> Iterator[Mapping[str, Any]]:
        nonlocal count
        for one in _spelled(name, read, cfg.ties, written):
            count += 1
            yield one
        _within(cfg, written, f"{cfg.data} as {name}", read.kind)  # before the file is named

    write_rows(cfg.out, rows())
    return Exported(cfg, read, name, count, written)


def _of_study(cfg: Export) -> Exported:
    """A study's judgements as a file, and what is to be known of them beside it."""
    if given := cfg.files.given():
        raise BadSettings(
            f"{', '.join(given)}: said of files; a study has neither columns nor splits, and its "
            "pictures and facts with it: leave it out"
        )
    writable(cfg.out)
    beside = _beside(cfg.out)
    for path in (cfg.out, *beside):
        if path.exists() and not cfg.overwrite:
            raise CannotWrite(f"{path}: is there already; say overwrite=true to replace it")
    store, name = opened(cfg.data)
    try:
        study = studies.study(store, name)
        own, form = cfg.to in STUDY_FORMS, FORMS.get(cfg.to)
        kind = form.kind if form else judged.kind_of(study)
        if cfg.kind != "auto":
            if own or (form is not None and cfg.kind != kind):
                raise BadSettings(f"kind={cfg.kind} does not go with to={cfg.to}: leave it out")
            kind = cfg.kind
        filters = _votes(cfg) if own else cfg.judged
        taken = judged.gather(store, name, kind, filters)
        if not taken.records:
            raise BadData(judged.empty(cfg.data, kind, taken))
        said = f"study {name!r}"
        read = sources.Read(taken.records, taken.tally, kind, said)
        named = TRL[kind] if cfg.to == "trl" else cfg.to
        written, made = Tally(), 0
        cases = dossier.cases(store, study.id, taken.ids) if own else iter(())

        def rows() -> Iterator[Mapping[str, Any]]:
            nonlocal made
            told = (
                rows_of(named, cases, written) if own else _spelled(named, read, cfg.ties, written)
            )
            for one in told:
                made += 1
                yield one
            _within(cfg, written, f"{cfg.data} as {named}", "items" if own else kind)

        write_rows(cfg.out, rows())
        more: dict[str, Any] = {"file": cfg.out.name, "form": named, "rows": made}
        if own:
            more["study"] = {"name": name, "kind": study.kind, "config": study.config}
        with files.writing(str(beside[0])):
            told = judged.card(taken, named if own else kind, filters, made)
            files.write_whole(beside[0], told.encode())
            plainly = judged.manifest(taken, kind, filters, **more)
            files.write_whole(beside[1], plainly.encode())
        resolve.handed_out(store, study.id, filters, taken.found, str(cfg.out), None)
    finally:
        store.close()
    items = f"{written.total} items" if own else ""
    return Exported(cfg, read, named, made, written, items, beside)


def _votes(cfg: Export) -> Filters:
    """The filters of a form that holds votes, and no labels made of them."""
    for name, usual in (("labels", "majority"), ("ties", "drop")):
        if getattr(cfg.judged, name) != usual:
            raise BadSettings(
                f"to={cfg.to} holds every vote as it was given: leave judged.{name} out"
            )
    return cfg.judged.model_copy(update={"labels": "every", "ties": "keep"})


def _beside(out: Path) -> tuple[Path, Path]:
    """Where the card and the manifest of a file go."""
    stem = out.name.removesuffix(".gz").rpartition(".")[0]
    return out.with_name(f"{stem}.card.md"), out.with_name(f"{stem}.manifest.json")


def _spelled(
    name: str, read: sources.Read[Any], ties: Ties, tally: Tally
) -> Iterator[Mapping[str, Any]]:
    if name != "accord":
        yield from FORMS[name].rows(read.records, ties, tally)
        return
    for one in read.records:
        tally.keep()
        yield row(one)


def _within(cfg: Export, tally: Tally, what: str, unit: str = "rows") -> None:
    """BadData where nothing is left, or more is lost than may be; ties are left out by choice."""
    lost = tally.dropped.total() - tally.dropped["tie"]
    if not tally.total:
        raise BadData(f"{what}: there are no rows at all")
    if not tally.kept or lost > cfg.limit * tally.total:
        table = "\n".join(tally.lines(unit))
        raise BadData(
            f"{what}: nothing is written, too much would be lost (the limit is {cfg.limit:.0%}): "
            f"{table}\nMend the rows, or say limit=… to go on"
        )
