"""`accord data export`: a file of any shape in, a file of a shape that others read out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accord.config import Settings
from accord.config.limits import UpTo1
from accord.data import sources
from accord.data.columns import Columns
from accord.data.export import FORMS, Ties
from accord.data.shapes import Kind
from accord.data.tally import Tally
from accord.data.writing import row, writable, write_rows
from accord.errors import BadData, BadSettings, CannotWrite

TRL: Mapping[Kind, str] = {
    "comparisons": "trl_explicit",
    "ratings": "trl_unpaired",
    "demonstrations": "trl_messages",
    "prompts": "trl_prompts",
}


class Export(Settings):
    """What an export is told beside the two files."""

    data: Path
    """a file, folder or hub id, any shape of docs/data.md; may stand first without its key"""
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
        "ultrafeedback_binarized",
        "hh_transcripts",
    ] = "accord"
    """the shape; accord: our own, which holds all of a record; trl: TRL's for these records"""
    kind: Literal["auto", "prompts", "demonstrations", "comparisons", "ratings"] = "auto"
    """what to read the rows as, for to=accord and to=trl; auto: as their keys say"""
    ties: Ties = "drop"
    """ties, where the shape is of pairs: left out and counted, or written in both orders"""
    columns: Columns = Columns()
    """what the file calls our columns, where it is something else: columns.prompt=question"""
    split: str | None = None
    """which split of a dataset (a folder or a hub id); none: the only one, or train"""
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
    """counts records: one may become several rows, or none"""

    def lines(self) -> Iterator[str]:
        """What was read and written, and what was lost on each side."""
        read, kind = self.read, self.read.kind
        yield f"{self.cfg.data}: {len(read.records)} {kind} ({read.shape})"
        if read.tally.dropped or read.tally.noted:
            yield from read.tally.lines()
        yield f"{self.cfg.out}: {self.rows} rows ({self.form})"
        if self.written.dropped or self.written.noted:
            yield from self.written.lines(kind)


def run(cfg: Export) -> Exported:
    """Read, and write whole or not at all."""
    form = FORMS.get(cfg.to)
    if form is not None and cfg.kind not in ("auto", form.kind):
        raise BadSettings(f"kind={cfg.kind}, but to={cfg.to} is made of {form.kind}")
    writable(cfg.out)
    if cfg.out.exists() and not cfg.overwrite:
        raise CannotWrite(f"{cfg.out}: is there already; say overwrite=true to replace it")
    wanted = form.kind if form else None if cfg.kind == "auto" else cfg.kind
    read = sources.read(cfg.data, wanted, columns=cfg.columns.mapping(), split=cfg.split)
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
