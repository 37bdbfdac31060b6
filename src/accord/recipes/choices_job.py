"""Multiple choice as a command: `accord evaluate choices`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from accord.config import Settings, digest, plain
from accord.config.limits import UpTo1
from accord.data.choices import Choice, read_choices
from accord.data.writing import write_rows
from accord.evaluate import choicespage, sheet
from accord.evaluate.choices import Answered, Chosen, Put, answered, chosen, paired
from accord.recipes.job import Desk
from accord.recipes.judging import CALLS
from accord.recipes.stage import Place
from accord.records import Invalid
from accord.rewards.asking import Asked, open_llm
from accord.store import artifact, files
from accord.store.artifact import Artifact
from accord.store.lock import held

NUMBERS, PAGE = "choices.json", "choices.html"


class ChoicesJob(Settings):
    """Put questions of multiple choice to a model, or to two."""

    choices: Path
    """questions: a file, folder or hub id in the form of HHH (prompt, corrects, incorrects),
    BIG-bench, MMLU, ARC, HellaSwag, PIQA or TruthfulQA; may stand first without its key"""
    model: str
    """who answers: a folder, a GGUF file, a hub id, or a server (http://host/v1#NAME)"""
    against: str | None = None
    """another: the difference, question by question"""
    out: Path = Path("runs/choices")
    """where log-probabilities and numbers are kept; the same command again goes on from there"""
    put: Put = Put()
    """how questions are put, and options scored"""
    normalise: Literal["none", "bytes"] = "none"
    """what the answer is chosen by: log p of the option, or log p per byte; both are told"""
    seed: int = 0
    """of the intervals"""
    split: str | None = None
    """which split of a dataset (a folder or a hub id); none: the only one, or train"""
    limit: UpTo1 = 0.05
    """share of rows that may be unusable before nobody is asked"""
    asked: Asked = field(default_factory=Asked)
    """how models are spoken to"""


@dataclass(frozen=True)
class Answers:
    """What came out, and where it lies."""

    sheet: sheet.Sheet
    artifact: Artifact

    def lines(self) -> list[str]:
        """For a terminal."""
        page = self.artifact.folder / PAGE
        return [*self.sheet.lines(), f"\nthe page: [bold]{page}[/]"]


def run_choices(desk: Desk, job: ChoicesJob) -> Answers | None:
    """accord evaluate choices"""
    with held(job.out):
        return _run(desk, job)


def _run(desk: Desk, job: ChoicesJob) -> Answers | None:
    place = Place(job.out, job.seed, tell=desk.tell, limit=job.limit)
    questions, tally = read_choices(job.choices, job.split)
    place.check(tally, str(job.choices))
    about: dict[str, Any] = {
        "kind": "choices",
        "settings": {k: v for k, v in plain(job).items() if k != "out"},
        "data": digest([[one.prompt, one.options, sorted(one.right)] for one in questions]),
    }
    report = job.out / "report"
    if not job.asked.dry:
        artifact.fits(report, **about)  # before anybody is asked for what could not be kept
    sides: list[tuple[str, str, list[Answered | Invalid]]] = []
    for word in (job.model, job.against):
        if word is None:
            continue
        keep = job.out / CALLS / f"choices-{digest(word)[:8]}.jsonl"
        llm = open_llm(word, keep, job.asked, desk.tell)
        rows = answered(llm, questions, job.put)
        desk.tell(f"{word}: {llm.spent.told(job.asked.budget)}, {llm.replayed:,} known from before")
        sides.append((_name(word), llm.which, rows))
    if job.asked.dry:
        return None
    normalised = job.normalise == "bytes"
    found = [chosen(rows, normalised=normalised, seed=job.seed) for *_, rows in sides]
    beside = None
    if len(sides) == 2:
        few = (rows for *_, rows in sides)
        beside = paired(*few, normalised=normalised, seed=job.seed)
    names = [name for name, *_ in sides]
    told = choicespage.told(names, job.choices.name, found, beside, normalised=normalised)

    def write(into: Path) -> None:
        numbers = {
            "models": dict(zip(("model", "against"), map(_numbers, found), strict=False)),
            "paired": beside and asdict(beside),
            "settings": plain(job),
        }
        (into / NUMBERS).write_bytes(files.dump(numbers))
        write_rows(into / "answers.jsonl", _rows(questions, [rows for *_, rows in sides]))
        sheet.write(told, into / PAGE)

    parents = [which for _, which, _ in sides]
    return Answers(told, artifact.finish(report, write, parents=parents, **about))


def _name(word: str) -> str:
    return "/".join(Path(word).parts[-2:]) if Path(word).exists() else word


def _numbers(found: Chosen) -> dict[str, Any]:
    told = {key: value for key, value in vars(found).items() if key not in ("rows", "groups")}
    return {**told, "groups": [asdict(group) for group in found.groups], "lost": dict(found.lost)}


def _rows(
    questions: Sequence[Choice], sides: Sequence[Sequence[Answered | Invalid]]
) -> list[dict[str, Any]]:
    """Every question with log p of its options."""
    told = []
    for place, one in enumerate(questions):
        row: dict[str, Any] = {"id": one.id, "kind": one.kind, "prompt": one.prompt}
        row |= {"options": list(one.options), "right": sorted(one.right)}
        for key, rows in zip(("model", "against"), sides, strict=False):
            said = rows[place]
            row[key] = said.reason if isinstance(said, Invalid) else list(said.logp)
        told.append(row)
    return told
