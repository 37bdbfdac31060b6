"""MMBench as a command: `accord evaluate mmbench`."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

from accord.data.choices import LETTERS
from accord.evaluate import mmbench, seeingpage
from accord.evaluate.mmbench import Turn
from accord.evaluate.seeing import Reply, prompts
from accord.recipes.job import Desk
from accord.recipes.seeing import SeeingJob, Seen, answered, lost, opened, row, sealed, told
from accord.records import Invalid
from accord.store.lock import held

Chosen = int | None | Invalid


class MMBenchJob(SeeingJob):
    """Put multiple choice about pictures to a model, each question once for each option."""

    data: Path
    """MMBench's TSV: index, question, hint, A to D, answer, category, and image in base64; may
    stand first without its key"""
    by: Literal["odds", "text"] = "odds"
    """how an option is chosen: the likeliest letter, or what the model writes; of ready answers
    (index/0, index/1, … by rotation) always what is written"""
    out: Path = Path("runs/mmbench")
    """where pictures, answers and numbers are kept; the same command again goes on from there"""


def run_mmbench(desk: Desk, job: MMBenchJob) -> Seen | None:
    """accord evaluate mmbench"""
    with held(job.out):
        job.who()
        items = mmbench.read(job.data, job.out / "images")
        turns = [turn for item in items for turn in item.turns]
        said, chosen, which = _answers(desk, job, turns)
        if job.asked.dry:
            return None
        few = iter(chosen)
        parts, missing = mmbench.parts(items, [[next(few) for _ in one.turns] for one in items])
        page = seeingpage.of_mmbench(job.who(), parts, missing)
        rows = [
            row(turn.look, text, right=turn.right, chosen=None if isinstance(k, Invalid) else k)
            for turn, text, k in zip(turns, said, chosen, strict=True)
        ]
        numbers = {"parts": {part.name: asdict(part) for part in parts}, "lost": lost(said)}
        return sealed(job, "mmbench", page, numbers, rows, [which])


def _answers(
    desk: Desk, job: MMBenchJob, turns: list[Turn]
) -> tuple[list[Reply], list[Chosen], str]:
    """(what was said, which option that is, who said it)."""
    looks, images = [turn.look for turn in turns], job.out / "images"
    if job.by == "text" or job.answers is not None:
        said, which = answered(desk, job, looks, images)
        chosen = [mmbench.chosen(turn, text) for turn, text in zip(turns, said, strict=True)]
        return said, chosen, which
    llm = opened(desk, job)
    places = mmbench.weighed(llm, turns, prompts(looks, images))
    told(desk, job, llm)
    letters: list[Reply] = [k if isinstance(k, Invalid) else LETTERS[k] for k in places]
    return letters, [*places], llm.which
