"""What every command has in common: its words, its files, and who watches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from accord.config import Settings
from accord.config.limits import Count, UpTo1
from accord.data import judged, sources
from accord.data.columns import Files, Split, SplitFacts
from accord.data.pictured import UNSEEN
from accord.data.studies import is_study
from accord.engine.roles import Policy
from accord.engine.sampler import Watch
from accord.errors import BadSettings
from accord.recipes.stage import Place
from accord.store import artifact
from accord.store.artifact import Artifact
from accord.store.judgements.resolve import Filters
from accord.store.logs import Sink, sink


class Job(Settings):
    """What every command that trains is told beside its recipe."""

    model: str
    """the model to begin with: a folder (Hugging Face, or PEFT adapter) or a hub id"""
    out: Path = Path("runs/job")
    """where the run, and what it makes, is kept; the same command again goes on from there"""
    seed: int = 0
    """of data order, sampling, and what a new reward head starts from"""
    dtype: Literal["fp32", "bf16", "int8", "int4"] = "fp32"
    """precision of matrix products; whole models are trained on fp32 master weights; int8 and int4:
    frozen quantised weights under an adapter (lora=Lora)"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled; auto: the model's own chat template, or plain without one"""
    save_every: Count = 10
    """steps between two commits; what a crash can cost"""
    sinks: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """boards that get the numbers too, comma-separated"""
    limit: UpTo1 = 0.05
    """share of rows that may be unusable before the job refuses to begin"""
    files: Split = Split()
    """how files are read"""


class FactsJob(Job):
    """A job in which somebody judges, who may be told facts."""

    files: SplitFacts = SplitFacts()
    """how files are read"""


class Heard(Settings):
    """Which judgements count, where a command's data are a study's."""

    judged: Filters = Filters()
    """which judgements of a study count, and as what, where a file is named STORE#STUDY, as
    accord.db#stories"""

    def heard(self) -> None:
        """BadSettings where filters are given and no study is read."""
        said = [value for _, value in self if isinstance(value, str | Path)]
        if self.judged != Filters() and not any(map(is_study, said)):
            raise BadSettings(
                "judged.… chooses judgements of a study, and no file here is one: write it as "
                "STORE#STUDY, as data=accord.db#stories"
            )


class Reads(Protocol):
    """A command that reads files."""

    @property
    def files(self) -> Files: ...


@dataclass(frozen=True)
class Desk:
    """Who watches a job, and whom it tells what."""

    view: tuple[Sink, ...]
    tell: Callable[[str], None]

    def place(self, job: Job) -> Place:
        """Where this job's stages go."""
        if isinstance(job, Heard):
            job.heard()
        boards = tuple(sink(name, job.out) for name in job.sinks)
        return Place(job.out, job.seed, job.save_every, (*self.view, *boards), self.tell, job.limit)

    @contextmanager
    def count(self, name: str, total: int, unit: str) -> Iterator[Watch]:
        """A bar for work outside of runs; what it yields is told how many more are done."""
        with ExitStack() as stack:
            bars = [stack.enter_context(view.count(name, total, unit)) for view in self.view]

            def watch(n: int) -> None:
                for bar in bars:
                    bar(n)

            yield watch


def opened(job: Job, *, on_cpu: bool = False) -> Policy:
    """The model to begin with."""
    return Policy.open(job.model, dtype=job.dtype, template=job.template, on_cpu=on_cpu)


def read(place: Place, job: Reads, path: Path, kind: sources.Kind) -> Sequence[Any]:
    """The records of a file or a study; what they are is told, and what could not be used."""
    if is_study(path):
        unheard(place.tell, job.files, path)
        filters = job.judged if isinstance(job, Heard) else Filters()
        return told(place, path, judged.take(place.out, path, kind, filters, place.tell))
    found = sources.read(path, kind, **job.files.how())
    return told(place, path, found)


def unheard(tell: Callable[[str], None], files: Files, study: Path) -> None:
    """Say which keys a study is not read by."""
    if given := files.given():
        tell(
            f"{study} is read without {', '.join(given)}: they speak of files, and a study has its "
            "pictures and facts with it"
        )


def told(place: Place, path: Path, found: sources.Read[Any]) -> Sequence[Any]:
    """What was found, said aloud; BadData where too little of it can be used."""
    if found.records:  # else what follows is an error that says why
        place.tell(f"{path}: {len(found.records)} {found.kind} ({found.shape})")
    place.check(found.tally, str(path))
    if found.unseen and found.records:
        place.tell(f"{path}: {UNSEEN}")
    return found.records


def origins(path: Path, place: Place) -> tuple[Artifact, ...]:
    """The artifact that a file lies in, or that was made of a study: parents of what comes."""
    if is_study(path):
        return judged.sealed(place.out, path)
    made = artifact.origin(path)
    return (made,) if made else ()
