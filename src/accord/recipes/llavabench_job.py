"""LLaVA-Bench as a command: `accord evaluate llava-bench`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from accord.evaluate import llavabench, seeingpage
from accord.recipes.job import Desk
from accord.recipes.judging import CALLS
from accord.recipes.seeing import SeeingJob, Seen, answered, lost, plainly, row, sealed
from accord.records import Invalid
from accord.rewards.judge.opinions import opinion
from accord.store.lock import held


class LLaVABenchJob(SeeingJob):
    """Let a judge score a model's answers beside a reference's."""

    questions: Path
    """question_id, image, text and category, a line each"""
    references: Path
    """the reference's answers: question_id and text"""
    context: Path
    """what pictures show, for the judge alone: image, captions and instances (category, bbox)"""
    judge: str
    """who scores: a language model (a folder, a server, or its card, judge.yaml)"""
    swap: bool = True
    """ask both orders, and take the mean; false: the reference first, as in the paper"""
    out: Path = Path("runs/llava-bench")
    """where answers, scores and numbers are kept; the same command again goes on from there"""


def run_llavabench(desk: Desk, job: LLaVABenchJob) -> Seen | None:
    """accord evaluate llava-bench"""
    with held(job.out):
        asked = llavabench.read(job.questions, job.references, job.context)
        said, which = answered(desk, job, [one.look for one in asked])
        if job.asked.dry:
            return None
        judge = opinion(job.judge, job.out / CALLS, desk.tell)
        verdicts = llavabench.scored(judge, asked, said, swap=job.swap)
        parts = llavabench.parts(asked, verdicts, seed=job.seed)
        name = f"{judge.which} {llavabench.VERSION}"
        page = seeingpage.of_llavabench(job.who(), name, parts, verdicts, lost(said))
        rows = [
            row(one.look, text, category=one.category, **_told(verdict))
            for one, text, verdict in zip(asked, said, verdicts, strict=True)
        ]
        numbers = {"parts": {p.name: asdict(p) for p in parts}, "lost": lost(said), "judge": name}
        return sealed(job, "llava-bench", page, numbers, rows, [which, name])


def _told(verdict: llavabench.Scored | Invalid) -> dict[str, Any]:
    if isinstance(verdict, Invalid):
        return {}
    return {"scores": plainly(verdict.pair), "paper": verdict.paper, "tilt": verdict.tilt}
