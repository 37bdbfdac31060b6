"""The commands.  Each reads a preset and `key=value` words, and leaves the work to a recipe."""

import importlib
import importlib.metadata
import io
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperCommand, TyperGroup

from accord.config import Settings, as_preset, called, describe, find, presets, read_each
from accord.errors import AccordError, BadSettings

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
INTERRUPTED = 130


def _show_made(made: Any, on: str, only: tuple[str, ...] = ("",)) -> None:
    out.print(f"{on}:") if made.numbers else None
    for key, value in made.numbers.items():
        if key.startswith(only):
            out.print(f"  {key} {value:.4g}")
    out.print(f"{made.artifact.kind} {made.artifact.short}: [bold]{made.artifact.folder}[/]")


def _show_report(way: Any) -> None:
    numbers = way.report.numbers
    out.print(
        f"win rate {numbers['winrate']:.0%} (95% interval {numbers['winrate_low']:.0%} to "
        f"{numbers['winrate_high']:.0%}) against the model it began with"
    )
    out.print(f"the report: [bold]{way.report.folder / 'report.html'}[/]", soft_wrap=True)


def _show_answers(answers: Sequence[tuple[str, list[str]]]) -> None:
    for prompt, texts in answers:
        for text in texts:
            out.print(f"[bold]{escape(prompt)}[/]{escape(text)}\n", soft_wrap=True)


def _show_check(done: Any) -> None:
    for line in _load("accord.evaluate.checkpage:lines")(done):
        out.print(line, soft_wrap=not out.is_terminal)


def _end_check(cfg: Any, done: Any) -> None:
    if cfg.html:
        out.print(f"\nthe page: [bold]{escape(str(cfg.html))}[/]", soft_wrap=True)
    done.within(cfg.limit)


def _show_export(done: Any) -> None:
    for line in done.lines():
        out.print(escape(line), soft_wrap=True)


def _show_plan(planned: Any) -> None:
    found = planned.estimate
    table = Table("GB", *found.phases, box=None, header_style="dim")
    for part in next(iter(found.phases.values())):
        table.add_row(part, *(f"{told[part] / 1e9:.3f}" for told in found.phases.values()))
    marks = {phase: " < peak" if phase == found.peak else "" for phase in found.phases}
    table.add_row("together", *(f"{found.total(p) / 1e9:.3f}{mark}" for p, mark in marks.items()))
    out.print(table)
    for line in _load("accord.recipes.plan:lines")(planned):
        out.print(line)


@dataclass(frozen=True)
class Verb:
    """A command: its settings, and the function that carries it out, loaded when it is called."""

    settings: tuple[str, ...]
    """classes, as module:name"""
    work: str
    """module:function(desk, *settings)"""
    shows: Callable[[Any], None]
    """tells what came out"""
    help: str
    examples: tuple[str, ...] = ()
    defaults: str = ""
    """module:function(*settings) -> mapping: what a first reading of them calls for"""
    leading: tuple[tuple[str, str], ...] = ()
    """(key, what stands for it in the usage) of the words that may come first without their key"""
    ends: Callable[[Settings, Any], None] = lambda cfg, done: None
    """what is left to do when all is shown"""

    def read(self, preset: Path | None, words: Sequence[str]) -> list[Settings]:
        """Preset and words as settings; words win."""
        given = read_each(self.classes(), preset, words)
        if not self.defaults:
            return given
        return read_each(self.classes(), preset, words, _load(self.defaults)(*given))

    def classes(self) -> list[type[Settings]]:
        """What the words are read into."""
        return [_load(name) for name in self.settings]


_TELLING = ("objective/", "completions/", "eval/")
"""numbers of a step that say what became of the policy; the others say how the step went"""
_JOBS, _RECIPES = "accord.recipes.jobs", "accord.recipes"
VERBS = {
    "demo": Verb(
        ("accord.demo.show:Demo",),
        "accord.demo.show:run",
        _show_report,
        "Bring a small model into accord with a preference, and show it, in a few minutes.",
        (
            "accord demo",
            "accord demo out=runs/cheap ppo.kl.beta=0.01",
            "accord demo model=smollm2",
        ),
        "accord.demo.show:defaults",
    ),
    "sft": Verb(
        (f"{_JOBS}:SFTJob", f"{_RECIPES}.sft:SFT"),
        f"{_JOBS}:run_sft",
        partial(_show_made, on="on demonstrations held out"),
        "Imitate demonstrations.",
        ("accord sft model=path/to/model data=answers.jsonl epochs=2",),
    ),
    "reward": Verb(
        (f"{_JOBS}:RewardJob", f"{_RECIPES}.reward:RewardModel"),
        f"{_JOBS}:run_reward",
        partial(_show_made, on="on comparisons held out"),
        "Learn a reward model from comparisons.",
        ("accord reward model=path/to/model data=judged.jsonl loss.margin=true",),
    ),
    "dpo": Verb(
        (f"{_RECIPES}.dpo_job:PreferenceJob", f"{_RECIPES}.dpo:Preference"),
        f"{_RECIPES}.dpo_job:run_dpo",
        partial(_show_made, on="on comparisons held out, log π/ρ in nats"),
        "Learn a policy from comparisons at once: DPO and its family.",
        (
            "accord dpo model=path/to/model data=judged.jsonl loss.beta=0.1",
            "accord dpo model=path/to/model data=rated.jsonl kind=ratings loss=KTO",
        ),
    ),
    "ppo": Verb(
        (f"{_JOBS}:PPOJob", f"{_RECIPES}.ppo:PPO"),
        f"{_JOBS}:run_ppo",
        partial(_show_made, on="in the last step (metrics.jsonl has more)", only=_TELLING),
        "Train a policy against a reward model, or against a rule of yours.",
        (
            "accord ppo model=path/to/model prompts=ask.jsonl reward=runs/reward/reward",
            "accord ppo model=path/to/model prompts=ask.jsonl rule=rules.py:short critic=zero",
        ),
    ),
    "pipeline": Verb(
        (f"{_JOBS}:PipelineJob", f"{_RECIPES}.pipeline:Pipeline"),
        f"{_JOBS}:run_pipeline",
        _show_report,
        "All of it: imitate, learn the reward, train the policy, report.",
        ("accord pipeline model=path/to/model prompts=ask.jsonl comparisons=judged.jsonl",),
    ),
    "plan": Verb(
        (f"{_RECIPES}.plan:Plan",),
        f"{_RECIPES}.plan:run_plan",
        _show_plan,
        "Tell what memory a job will take, before it begins.",
        ("accord plan model=path/to/model work=ppo lora=Lora dtype=bf16 memory=24GB",),
    ),
    "sample": Verb(
        (f"{_JOBS}:SampleJob",),
        f"{_JOBS}:run_sample",
        _show_answers,
        "Let a model answer.",
        ("accord sample model=runs/demo/ppo/policy prompt='One day, Mia saw a' n=3",),
    ),
}
DATA = {
    "check": Verb(
        ("accord.evaluate.checking:Check",),
        "accord.evaluate.checking:run",
        _show_check,
        "Say what is wrong with a file of data, before anything is trained on it.",
        (
            "accord data check judged.jsonl",
            "accord data check judged.jsonl model=path/to/model against=test.jsonl html=check.html",
        ),
        leading=(("data", "FILE"),),
        ends=_end_check,
    ),
    "export": Verb(
        ("accord.data.exporting:Export",),
        "accord.data.exporting:run",
        _show_export,
        "Write data in another format, or in the shape of another trainer.",
        (
            "accord data export votes.csv votes.parquet columns.prompt=question",
            "accord data export judged.jsonl for-trl.jsonl to=trl",
        ),
        leading=(("data", "FROM"), ("out", "TO")),
    ),
}


class Teaching(TyperCommand):
    """A command whose --help lists its settings, read from the recipe itself."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Usage, what it does, examples, options, settings."""
        verb = (VERBS | DATA)[self.name or ""]
        called = " ".join(("data", self.name or "", *(shown for _, shown in verb.leading)))
        called = called if verb.leading else self.name or ""
        print(f"Usage: accord {called} [key=value ...] [--preset FILE] [--show]\n")
        print(verb.help + "\n")
        for example in verb.examples:
            print(f"    {example}")
        print("\nOptions:")
        print("  --preset FILE  settings as YAML, or the name of one that ships; words win over it")
        print("  --show         print the resolved settings, as a preset, and stop")
        for kind in verb.classes():
            print(f"\n{(kind.__doc__ or '').splitlines()[0]}\n")
            print(describe(kind))
        for row in presets(self.name or ""):
            print(f"  --preset {row.name:12} {row.about}")
        print("\nA field without a default must be given; text with spaces wants quotes.")


class Listing(TyperGroup):
    """Commands in the order in which they are used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """As they were registered."""
        return list(self.commands)


app = typer.Typer(
    cls=Listing,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Brings a language model into accord with what people prefer.",
)


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print it.")] = False) -> None:
    if version:
        print(f"accord {importlib.metadata.version('accord')}")
        raise typer.Exit


def _register(name: str, verb: Verb) -> None:
    loose = {"ignore_unknown_options": True}

    @app.command(name, cls=Teaching, help=verb.help, context_settings=loose)
    def command(
        words: Annotated[list[str] | None, typer.Argument(metavar="key=value ...")] = None,
        preset: Annotated[Path | None, typer.Option(help="YAML, or a preset's name.")] = None,
        show: Annotated[bool, typer.Option("--show", help="Print them and stop.")] = False,
    ) -> None:
        with _clearly():
            given = verb.read(find(name, preset), [_word(word) for word in words or ()])
            if show:
                print(as_preset(*given), end="")
            else:
                verb.shows(_load(verb.work)(_desk(), *given))


for _name, _verb in VERBS.items():
    _register(_name, _verb)


data = typer.Typer(cls=Listing, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(
    data, name="data", help="Look at data before a model learns from it; write it for others."
)


def _register_data(name: str, verb: Verb) -> None:
    loose = {"ignore_unknown_options": True}

    @data.command(name, cls=Teaching, help=verb.help, context_settings=loose)
    def command(
        words: Annotated[list[str] | None, typer.Argument(metavar="FILE key=value ...")] = None,
        preset: Annotated[Path | None, typer.Option(help="Settings as YAML.")] = None,
        show: Annotated[bool, typer.Option("--show", help="Print them and stop.")] = False,
    ) -> None:
        with _clearly():
            given = [_word(word) for word in words or ()]
            for place, (key, _) in enumerate(verb.leading[: len(given)]):
                if "=" in given[place]:
                    break
                given[place] = f"{key}={given[place]}"
            (cfg,) = verb.read(preset, given)
            if show:
                print(as_preset(cfg), end="")
                return
            done = _load(verb.work)(cfg)
            verb.shows(done)
            verb.ends(cfg, done)


for _name, _verb in DATA.items():
    _register_data(_name, _verb)


@app.command("presets", help="The presets that ship, by command; with a name, what is in them.")
def _presets(
    name: Annotated[str | None, typer.Argument(help="A preset's name, or a command's.")] = None,
) -> None:
    with _clearly():
        found = called(VERBS, name)
    if name is not None:
        for verb, row in found:
            print(f"# accord {verb} --preset {row.name}\n{row.text}")
        return
    table = Table("command", "preset", "what it is", box=None, header_style="dim")
    for verb, row in found:
        table.add_row(verb, row.name, row.about)
    out.print(table)
    out.print("\n[dim]accord presets NAME[/] prints one, and what was run with it")


@app.command("runs", help="What was run and made below a folder, and what from.")
def _runs(folder: Annotated[Path, typer.Argument()] = Path("runs")) -> None:
    from accord.store.artifact import Artifact, lineage
    from accord.store.record import runs

    with _clearly():
        if not folder.is_dir():
            raise BadSettings(f"{folder}: no such folder")
        table = Table("run", "recipe", "steps", "begun", "now", box=None, header_style="dim")
        for run in runs(folder):
            now = f"at work: {run.writer}" if run.writer else "done" if run.complete else "stopped"
            begun = run.created.replace("T", " ").removesuffix("+00:00")
            table.add_row(str(run.folder), run.recipe, f"{run.done}/{run.total}", begun, now)
        out.print(table if table.row_count else f"no runs in {folder}")
        made = Artifact.find(folder)
        parents = {parent for one in made for parent in one.parents}
        for one in made:
            if one.id not in parents:  # the last of its line; the rest hangs below it
                out.print()
                out.print(escape(str(lineage(one, folder))), soft_wrap=True)


@contextmanager
def _clearly() -> Iterator[None]:
    """Errors become one sentence and an exit code."""
    try:
        yield
    except AccordError as error:
        err.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        err.print("stopped: what was committed is safe; the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None


def main() -> None:
    """The entry point."""
    warnings.showwarning = _warn  # type: ignore[assignment]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII terminal shows ?, and no traceback
    app()


def _word(word: str) -> str:
    if word.startswith("-"):
        key = word.lstrip("-").replace("-", "_")
        raise BadSettings(f"{word} is no option; settings are words: {key.partition('=')[0]}=…")
    return word


def _load(name: str) -> Any:
    module, _, thing = name.partition(":")
    return getattr(importlib.import_module(module), thing)


def _desk() -> Any:
    _load("accord.models.load:hush")()
    view = _load("accord.store.terminal:Terminal")(err)
    return _load("accord.recipes.job:Desk")((view,), _tell)


def _tell(said: str) -> None:
    err.print(escape(said), soft_wrap=True)


def _warn(message: Warning | str, *_: Any) -> None:
    err.print(f"[yellow]warning:[/] {escape(str(message))}", soft_wrap=True)
