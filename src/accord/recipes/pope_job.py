"""POPE as a command: `accord evaluate pope`."""

from dataclasses import asdict
from pathlib import Path

from accord.evaluate import pope, seeingpage
from accord.recipes.job import Desk
from accord.recipes.seeing import SeeingJob, Seen, answered, lost, row, sealed
from accord.store.lock import held


class POPEJob(SeeingJob):
    """Ask a model whether things are in pictures."""

    data: tuple[Path, ...]
    """files of question_id, image, text and label, each a split: coco_pope_random.json,…; may stand
    first without its key"""
    out: Path = Path("runs/pope")
    """where answers and numbers are kept; the same command again goes on from there"""


def run_pope(desk: Desk, job: POPEJob) -> Seen | None:
    """accord evaluate pope"""
    with held(job.out):
        asked = pope.read(job.data)
        said, which = answered(desk, job, [one.look for one in asked])
        if job.asked.dry:
            return None
        parts, missing = pope.splits(asked, said, seed=job.seed)
        page = seeingpage.of_pope(job.who(), parts, missing)
        rows = [
            row(one.look, text, split=one.split, label="yes" if one.yes else "no")
            for one, text in zip(asked, said, strict=True)
        ]
        numbers = {"splits": {part.name: asdict(part) for part in parts}, "lost": lost(said)}
        return sealed(job, "pope", page, numbers, rows, [which])
