"""The commands.  Each reads a preset and `key=value` words, and leaves the work to a recipe."""

import importlib
import importlib.metadata
import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperCommand, TyperGroup

from accord.config import as_preset, called, describe, find, presets
from accord.errors import AccordError, BadSettings
from accord.shows import load, out
from accord.verbs import DATA, VERBS, Verb

err = Console(stderr=True, highlight=False)
INTERRUPTED = 130


class Teaching(TyperCommand):
    """A command whose --help lists its settings, read from the recipe itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keeps the first word: --help of a command below is about that one."""
        ctx.meta["first"] = args[0] if args else ""
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Usage, what it does, examples, options, settings."""
        verb = (VERBS | DATA)[self.name or ""]
        if (first := ctx.meta["first"]) in verb.below:
            self._below(first, verb.below[first])
            return
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
        for word, sub in verb.below.items():
            print("\n")
            self._below(word, sub)
        print("\nA field without a default must be given; text with spaces wants quotes.")

    def _below(self, word: str, verb: Verb) -> None:
        shown = " ".join((self.name or "", word, *(told for _, told in verb.leading)))
        print(f"Usage: accord {shown} [key=value ...]\n\n{verb.help}\n")
        for kind in verb.classes():
            print(describe(kind))


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
            first, *rest = words or [""]
            if first in verb.below:
                _read_one(verb.below[first], rest, preset, show, desk=verb.below[first].desk)
                return
            given = verb.read(find(name, preset), [_word(word) for word in words or ()])
            if show:
                print(as_preset(*given), end="")
            else:
                desk = (_desk(),) if verb.desk else ()
                verb.shows(load(verb.work)(*desk, *given))


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
            _read_one(verb, words or (), preset, show)


def _read_one(
    verb: Verb, words: Sequence[str], preset: Path | None, show: bool, desk: bool = False
) -> None:
    """A command of one settings class, whose first words may stand without their keys."""
    given = [_word(word) for word in words]
    for place, (key, _) in enumerate(verb.leading[: len(given)]):
        if "=" in given[place]:
            break
        given[place] = f"{key}={given[place]}"
    (cfg,) = verb.read(preset, given)
    if show:
        print(as_preset(cfg), end="")
        return
    done = load(verb.work)(*((_desk(),) if desk else ()), cfg)
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


@app.command("methods", help="Every method here, by what it learns from and what it needs.")
def _methods() -> None:
    with _clearly():
        for line in load("accord.recipes.method:table")():
            out.print(escape(line), soft_wrap=True)


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


def _desk() -> Any:
    load("accord.models.load:hush")()
    view = load("accord.store.terminal:Terminal")(err)
    return load("accord.recipes.job:Desk")((view,), _tell)


def _tell(said: str) -> None:
    err.print(escape(said), soft_wrap=True)


def _warn(message: Warning | str, *_: Any) -> None:
    err.print(f"[yellow]warning:[/] {escape(str(message))}", soft_wrap=True)
