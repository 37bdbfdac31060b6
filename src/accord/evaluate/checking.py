"""`accord data check`: a file in, what is wrong with it out."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from accord.config import Settings
from accord.config.limits import Count, UpTo1
from accord.data.check import reading
from accord.data.check.check import Checked, check
from accord.data.check.finding import Finding, finding
from accord.data.check.sheet import Line, Sheet
from accord.data.columns import SplitFacts
from accord.errors import BadSettings
from accord.evaluate import checkpage


class Check(Settings):
    """What a check is told beside the file."""

    data: Path
    """the file, of any format and shape that training reads; may stand first without its key"""
    model: str | None = None
    """a model folder or hub id: lengths become tokens, and its context the limit; no weights are
    read"""
    kind: Literal["auto", "prompts", "demonstrations", "comparisons"] = "auto"
    """what the rows are; auto: as their keys say"""
    against: Path | None = None
    """a file to measure on, its columns called the same: prompts that are in both are a leak"""
    files: SplitFacts = SplitFacts()
    """how data= and against= are read"""
    against_split: str | None = None
    """which split of `against`, which may be the same dataset"""
    longest: Count | None = None
    """the most tokens (without a model: words) a row may have, if less than the model's context"""
    html: Path | None = None
    """where to write the page"""
    examples: Count = 3
    """shown of each finding, and of the rows as a model reads them"""
    limit: UpTo1 = 0.05
    """share of rows that may be unusable before the exit code says so"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled; auto: the model's own chat template, or plain without one"""
    seed: int = 0
    """of the bootstrap interval of agreement"""


def run(cfg: Check) -> Checked:
    """Read, check, and write the page where one is wanted."""
    if cfg.against_split is not None and cfg.against is None:
        raise BadSettings("against_split= is the split of against=, and there is none")
    how = cfg.files.how()
    read = reading.read(cfg.data, None if cfg.kind == "auto" else cfg.kind, **how)
    lines = [Line.of(record) for record in read.records]
    sheet = Sheet(
        lines,
        read.kind,
        read.tally,
        read.sorted,
        cfg.examples,
        limit=cfg.longest,
        shape=read.shape,
        ignored=read.ignored,
    )
    test = None
    if cfg.against is not None:
        other = reading.read(cfg.against, None, **{**how, "split": cfg.against_split})
        test = [Line.of(record) for record in other.records]
    if cfg.model is None:
        done = check(str(cfg.data), sheet, test, seed=cfg.seed)
        shown: Any = [
            told
            for one in lines[: cfg.examples]
            for told in zip(one.called(), checkpage.unspelled(one), strict=True)
        ]
    else:
        done, shown = _in_tokens(cfg, cfg.model, sheet, test)
    done = replace(done, shown=tuple(shown))
    if cfg.html is not None:
        checkpage.write(done, cfg.html)
    return done


def _in_tokens(
    cfg: Check, model: str, sheet: Sheet, test: list[Line] | None
) -> tuple[Checked, list[Any]]:
    from accord.data.check.spelling import context, pieces, spelled
    from accord.text.tokenizer import Speller

    speller = Speller.load(model, template=cfg.template)
    known = context(model)
    limits = [size for size in (known, cfg.longest) if size]
    sheet = replace(spelled(sheet, speller, model), limit=min(limits, default=None))
    done = check(str(cfg.data), sheet, test, seed=cfg.seed)
    if known is None:
        more: list[Finding] = finding("context-unknown", [], 1, "models", count=1)
        done = replace(done, findings=(*done.findings, *more))
    shown: list[Any] = []
    fitting = [line for line in sheet.lines if sheet.fits(line)]
    for line in (fitting or sheet.lines)[: cfg.examples]:
        if line.ids is not None:
            prompt, answers = line.ids
            texts = [pieces(speller, prompt, ids) for ids in answers or ((),)]
            shown += zip(line.called(), texts, strict=True)
    return done, shown
