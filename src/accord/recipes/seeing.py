"""What benchmarks of models that see have in common: who answers, and what is kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accord.config import Settings, digest, plain
from accord.config.limits import Count
from accord.data.writing import write_rows
from accord.engine.calls import Calls
from accord.errors import BadSettings
from accord.evaluate import sheet
from accord.evaluate.seeing import Look, Reply, prompts, ready, replies
from accord.evaluate.sheet import Sheet
from accord.recipes.job import Desk
from accord.recipes.judging import CALLS
from accord.records import Invalid
from accord.rewards.asking import Asked, open_llm
from accord.store import artifact, files
from accord.store.artifact import Artifact


class SeeingJob(Settings):
    """Who answers questions about pictures."""

    model: str | None = None
    """who answers: a folder, a hub id, or a server (http://host/v1#NAME)"""
    answers: Path | None = None
    """in place of a model: its answers, {"question_id": …, "text": …} a line, or as the benchmark's
    own files have them"""
    images: Path = Path("images")
    """the folder of the pictures"""
    out: Path = Path("runs/seeing")
    """where answers and numbers are kept; the same command again goes on from there"""
    longest: Count = 512
    """the most tokens of an answer"""
    seed: int = 0
    """of the intervals"""
    asked: Asked = field(default_factory=Asked)
    """how the model is spoken to"""

    def who(self) -> str:
        """A name for who answers; BadSettings unless it is one of a model and a file."""
        if (self.model is None) == (self.answers is None):
            raise BadSettings("say who answers: model=MODEL, or answers=FILE of ready answers")
        return self.model or str(self.answers)


@dataclass(frozen=True)
class Seen:
    """What came out, and where it lies."""

    sheet: Sheet
    artifact: Artifact
    page: str

    def lines(self) -> list[str]:
        """For a terminal."""
        return [*self.sheet.lines(), f"\nthe page: [bold]{self.artifact.folder / self.page}[/]"]


def opened(desk: Desk, job: SeeingJob) -> Calls:
    """The model that answers; what it says is kept."""
    word = job.who()
    return open_llm(word, job.out / CALLS / f"seen-{digest(word)[:8]}.jsonl", job.asked, desk.tell)


def answered(
    desk: Desk, job: SeeingJob, looks: Sequence[Look], images: Path | None = None
) -> tuple[list[Reply], str]:
    """(an answer to each question, who gave them)."""
    if job.who() and job.answers is not None:
        given = ready(job.answers, looks)
        return given, digest([one if isinstance(one, str) else None for one in given])
    asked = prompts(looks, images or job.images)
    llm = opened(desk, job)
    said = replies(llm, asked, job.longest)
    told(desk, job, llm)
    return said, llm.which


def told(desk: Desk, job: SeeingJob, llm: Calls) -> None:
    """What asking cost."""
    spent = llm.spent.told(job.asked.budget)
    desk.tell(f"{job.who()}: {spent}, {llm.replayed:,} known from before")


def sealed(
    job: SeeingJob,
    kind: str,
    page: Sheet,
    numbers: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    parents: Sequence[str],
) -> Seen:
    """Numbers, answers and page as an artifact."""

    def write(into: Path) -> None:
        (into / f"{kind}.json").write_bytes(files.dump({**numbers, "settings": plain(job)}))
        write_rows(into / "answers.jsonl", rows)
        sheet.write(page, into / f"{kind}.html")

    settings = {key: value for key, value in plain(job).items() if key != "out"}
    made = artifact.finish(
        job.out / "report", write, kind=kind, settings=settings, parents=[*parents],
        data=digest([dict(row) for row in rows]),
    )  # fmt: skip
    return Seen(page, made, f"{kind}.html")


def row(look: Look, reply: Reply, **more: Any) -> dict[str, Any]:
    """One answer, in the form that `answers` reads; what failed says why."""
    said = {"why": reply.reason} if isinstance(reply, Invalid) else {"text": reply}
    return {"question_id": look.id, "image": look.image, "question": look.question, **said, **more}


def lost(said: Sequence[Reply]) -> dict[str, int]:
    """Why questions have no answer, and how many."""
    return dict(Counter(one.reason for one in said if isinstance(one, Invalid)))


def plainly(score: Any) -> Any:
    """A score as JSON: of what could not be scored, why."""
    return {"why": score.reason} if isinstance(score, Invalid) else score
