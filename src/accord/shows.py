"""What each command shows of what it made."""

import importlib
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

out = Console(highlight=False)


def load(name: str) -> Any:
    """What module:thing names, imported now."""
    module, _, thing = name.partition(":")
    return getattr(importlib.import_module(module), thing)


def show_made(made: Any, on: str, only: tuple[str, ...] = ("",)) -> None:
    """What a stage made, and its numbers."""
    out.print(f"{on}:") if made.numbers else None
    for key, value in made.numbers.items():
        if key.startswith(only):
            out.print(f"  {key} {value:.4g}")
    out.print(f"{made.artifact.kind} {made.artifact.short}: [bold]{made.artifact.folder}[/]")


def show_eyes(folder: Any) -> None:
    """A model that sees, and nothing yet."""
    out.print(f"it sees nothing yet: teach it by [bold]accord sft model={escape(str(folder))}[/] …")


def show_report(way: Any) -> None:
    """Of a pipeline: the win rate, and the report."""
    numbers = way.report.numbers
    out.print(
        f"win rate {numbers['winrate']:.0%} (95% interval {numbers['winrate_low']:.0%} to "
        f"{numbers['winrate_high']:.0%}) against the model it began with"
    )
    out.print(f"the report: [bold]{way.report.folder / 'report.html'}[/]", soft_wrap=True)


def show_demo(done: Any) -> None:
    """The report of a demo; of RLAIF and Fact-RLHF, each stage too."""
    if not hasattr(done, "lines"):
        show_report(done)
        return
    for line in done.lines():
        out.print(escape(line), soft_wrap=True)
    out.print(f"the page: [bold]{escape(str(done.path))}[/]", soft_wrap=True)


def show_walked(done: Any) -> None:
    """Of constitutional AI: its report, or what a dry run says."""
    out.print(done, soft_wrap=True) if isinstance(done, str) else show_report(done)


def show_evaluated(done: Any) -> None:
    """Two models held against each other."""
    for line in load("accord.evaluate.evaluationpage:lines")(done.told):
        out.print(line, soft_wrap=not out.is_terminal)
    page = done.artifact.folder / "evaluation.html"
    out.print(f"\nthe page: [bold]{escape(str(page))}[/]", soft_wrap=True)


def show_compared(done: Any) -> None:
    """Several methods held against each other."""
    for line in load("accord.evaluate.contestpage:lines")(done.told):
        out.print(line, soft_wrap=True)
    out.print(f"\nthe page: [bold]{escape(str(done.page))}[/]", soft_wrap=True)


def show_answers(answers: Sequence[tuple[str, list[str]]]) -> None:
    """Each prompt with each of its answers."""
    for prompt, texts in answers:
        for text in texts:
            out.print(f"[bold]{escape(prompt)}[/]{escape(text)}\n", soft_wrap=True)


def show_best(done: Any) -> None:
    """The best answers, with their rewards."""
    for prompt, text, score in done.rows:
        told = f"[bold]{escape(prompt)}[/]{escape(text)} [dim]{score:.4g}[/]\n"
        out.print(told, soft_wrap=True)
    for line in done.lines():
        out.print(line, soft_wrap=True)


def show_sheet(done: Any) -> None:
    """What a measurement found; of a dry run, which told as it went, nothing."""
    for line in done.lines() if done is not None else ():
        out.print(line, soft_wrap=True)


def show_check(done: Any) -> None:
    """What was found in a file of data."""
    for line in load("accord.evaluate.checkpage:lines")(done):
        out.print(line, soft_wrap=not out.is_terminal)


def end_check(cfg: Any, done: Any) -> None:
    """The page of a check, and whether too much is wrong."""
    if cfg.html:
        out.print(f"\nthe page: [bold]{escape(str(cfg.html))}[/]", soft_wrap=True)
    done.within(cfg.limit)


def show_export(done: Any) -> None:
    """What was written, and where."""
    for line in done.lines():
        out.print(escape(line), soft_wrap=True)


def serve(cfg: Any) -> None:
    """The site, with what starts models for it; it tells its address, and opens it."""
    site = "accord.web.serving"

    def ready(link: str) -> None:
        out.print(f"the site: [bold]{escape(link)}[/]", soft_wrap=True)
        shown = cfg.open and load(f"{site}:show")(link)
        out.print("open that link: it logs you in, once" if not shown else "(in your browser now)")
        out.print("Ctrl+C ends it; every judgement is kept the moment it is sent")

    load(f"{site}:run")(cfg, load("accord.serve.workers:Workers"), ready)
    out.print("the site is down")


def show_labelled(done: Any) -> None:
    """A study that is ready; its site, where one is wanted."""
    command = f"accord serve where={done.store}"
    out.print(f"study {escape(done.name)}: {done.items} items", soft_wrap=True)
    if not done.serve:
        out.print(f"open it with: [bold]{escape(command)}[/]", soft_wrap=True)
        return
    cfg = load("accord.web.serving:Serve")(where=done.store, **done.how)
    out.print(f"judge at [bold]/studies/{done.study_id}/judge[/] of the site:", soft_wrap=True)
    serve(cfg)


def show_plan(planned: Any) -> None:
    """The memory of every phase."""
    found = planned.estimate
    table = Table("GB", *found.phases, box=None, header_style="dim")
    for part in next(iter(found.phases.values())):
        table.add_row(part, *(f"{told[part] / 1e9:.3f}" for told in found.phases.values()))
    marks = {phase: " < peak" if phase == found.peak else "" for phase in found.phases}
    table.add_row("together", *(f"{found.total(p) / 1e9:.3f}{mark}" for p, mark in marks.items()))
    out.print(table)
    for line in load("accord.recipes.plan:lines")(planned):
        out.print(line)


def end_constitution(cfg: Any, done: Any) -> None:
    """Whether a constitution has what it needs."""
    if cfg.html:
        out.print(f"\nthe page: [bold]{escape(str(cfg.html))}[/]", soft_wrap=True)
