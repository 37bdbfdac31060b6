"""MT-Bench as a command: two models talk through the same questions, and a judge compares them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from accord.config import Settings, digest, plain
from accord.config.limits import Count
from accord.data.writing import write_rows
from accord.evaluate.mtbench import Answer, Part, Question, answered, answers, judged, questions
from accord.evaluate.words import count, percent
from accord.recipes.job import Desk
from accord.recipes.judging import CALLS
from accord.records import Invalid
from accord.rewards.asking import Asked, open_llm
from accord.rewards.judge.opinions import pair_judge
from accord.store import artifact, files
from accord.store.artifact import Artifact
from accord.store.lock import held

NUMBERS, ANSWERS = "mt-bench.json", "answers.jsonl"


class MTBenchJob(Settings):
    """Two models, one set of questions, one judge."""

    model: str
    """a model (folder, GGUF file, hub id or server), or a file of its answers in MT-Bench's form"""
    against: str
    """the baseline: likewise"""
    questions: Path
    """JSON lines with question_id, category and turns, as MT-Bench's question.jsonl"""
    judge: str
    """who compares: a language model (a folder, a server, or its card, judge.yaml)"""
    references: Path | None = None
    """right answers, as MT-Bench's reference_answer files: the judge alone sees them"""
    out: Path = Path("runs/mt-bench")
    """where answers, verdicts and numbers are kept; the same command again goes on from there"""
    longest: Count = 1024
    """the most tokens of an answer"""
    temperature: float | None = Field(default=None, ge=0)
    """of the answers; none: the benchmark's own, by category: 0.7 to write, 0 to reckon"""
    seed: int = 0
    """of the answers, the same dice for both, and of the intervals"""
    asked: Asked = field(default_factory=Asked)
    """how the two models are spoken to"""


@dataclass(frozen=True)
class Benched:
    """What came out, and where it lies."""

    parts: Sequence[Part]
    lost: Mapping[str, int]
    artifact: Artifact

    def lines(self) -> list[str]:
        """For people."""
        told = [f"{'':<14}{'wins':>6}{'ties':>6}{'losses':>8}   win rate"]
        for part in self.parts:
            rate = part.judged.rate
            told.append(
                f"{part.name:<14}{rate.wins:>6}{rate.ties:>6}{rate.losses:>8}   "
                f"{percent(rate.rate)} ({percent(rate.low)} to {percent(rate.high)})"
            )
        every = self.parts[0].judged
        if every.first is not None and every.steady is not None:
            told.append(
                f"the answer shown first was preferred in {percent(every.first.value)}; "
                f"{percent(every.steady.value)} of the verdicts held when the two changed places"
            )
        for why, n in {**self.lost, **every.rate.reasons}.items():
            told.append(f"{count(n, 'turn')} could not be judged: {why}")
        return told


def run_mtbench(desk: Desk, job: MTBenchJob) -> Benched:
    """accord evaluate mt-bench"""
    with held(job.out):
        return _benched(desk, job)


def _benched(desk: Desk, job: MTBenchJob) -> Benched:
    asked = questions(job.questions, job.references)
    desk.tell(f"{job.questions}: {count(len(asked), 'question')}")
    report, settings = job.out / "report", {k: v for k, v in plain(job).items() if k != "out"}
    about: dict[str, Any] = {"kind": "mt-bench", "settings": settings}
    about["data"] = digest([asdict(one) for one in asked])
    artifact.fits(report, **about)
    judge = pair_judge(job.judge, job.out / CALLS, desk.tell)
    sides, known = [], []
    for word in (job.against, job.model):
        said, which = _side(desk, job, word, asked)
        sides.append(said)
        known.append(which)
    parts, lost = judged(judge, asked, sides[0], sides[1], seed=job.seed)

    def write(into: Path) -> None:
        told = {"parts": {part.name: _told(part) for part in parts}, "lost": dict(lost)}
        (into / NUMBERS).write_bytes(files.dump({**told, "settings": plain(job)}))
        rows = [
            {
                "question_id": one.id,
                "category": one.category,
                "turns": list(one.turns),
                "against": [_text(text) for text in old],
                "model": [_text(text) for text in new],
            }
            for one, old, new in zip(asked, *sides, strict=True)
        ]
        write_rows(into / ANSWERS, rows)

    sealed = artifact.finish(report, write, parents=[*known, judge.which], **about)
    return Benched(parts, lost, sealed)


def _side(
    desk: Desk, job: MTBenchJob, word: str, asked: Sequence[Question]
) -> tuple[list[Answer], str]:
    """What one side says to each question, and who it is."""
    if word.endswith(".jsonl"):
        given = answers(Path(word))
        missing: Answer = (Invalid(f"{word} does not answer it"),)
        return [given.get(one.id, missing) for one in asked], digest(given)
    keep = job.out / CALLS / f"answers-{digest(word)[:8]}.jsonl"
    llm = open_llm(word, keep, job.asked, desk.tell)
    turns = sum(len(one.turns) for one in asked)
    with desk.count(word, turns, "turns") as watch:
        said = answered(
            llm,
            asked,
            longest=job.longest,
            temperature=job.temperature,
            seed=job.seed,
            told=watch,
        )
    return said, llm.which


def _told(part: Part) -> dict[str, Any]:
    one = part.judged
    ends = {"low": one.rate.low, "high": one.rate.high}
    first, steady = (e and asdict(e) for e in (one.first, one.steady))
    return {**asdict(one.rate), **ends, "first": first, "steady": steady}


def _text(text: str | Invalid) -> str | None:
    return None if isinstance(text, Invalid) else text
