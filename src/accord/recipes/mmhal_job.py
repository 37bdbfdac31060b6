"""MMHal-Bench as a command: `accord evaluate mmhal`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from accord.evaluate import mmhal, seeingpage
from accord.recipes.job import Desk
from accord.recipes.judging import CALLS
from accord.recipes.seeing import SeeingJob, Seen, answered, lost, plainly, row, sealed
from accord.records import Invalid
from accord.rewards.judge.opinions import opinion
from accord.store.lock import held


class MMHalJob(SeeingJob):
    """Let a judge rate what a model says of pictures."""

    data: Path
    """the benchmark's records, as in its answer template; may stand first without its key"""
    judge: str
    """who rates: a language model (a folder, a server, or its card, judge.yaml)"""
    out: Path = Path("runs/mmhal")
    """where answers, ratings and numbers are kept; the same command again goes on from there"""


def run_mmhal(desk: Desk, job: MMHalJob) -> Seen | None:
    """accord evaluate mmhal"""
    with held(job.out):
        records = mmhal.read(job.data, job.images)
        said, which = answered(desk, job, [one.look for one in records])
        if job.asked.dry:
            return None
        judge = opinion(job.judge, job.out / CALLS, desk.tell)
        verdicts = mmhal.rated(judge, records, said)
        parts = mmhal.parts(records, verdicts, seed=job.seed)
        name = f"{judge.which} {mmhal.VERSION}"
        page = seeingpage.of_mmhal(job.who(), name, parts, lost(said))
        rows = [
            row(one.look, text, type=one.kind, topic=one.topic, **_told(verdict))
            for one, text, verdict in zip(records, said, verdicts, strict=True)
        ]
        numbers = {"parts": {p.name: asdict(p) for p in parts}, "lost": lost(said), "judge": name}
        return sealed(job, "mmhal", page, numbers, rows, [which, name])


def _told(verdict: mmhal.Rated | Invalid) -> dict[str, Any]:
    if isinstance(verdict, Invalid):
        return {}
    return {"rating": plainly(verdict.score), "paper": verdict.paper}
