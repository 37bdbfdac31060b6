"""A judge, judged: `accord judge` holds it against what people said, and looks for its habits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from accord.config import plain
from accord.config.limits import Count, UpTo1
from accord.data import sources
from accord.data.columns import SplitFacts
from accord.data.comparisons import fingerprint
from accord.errors import BadData
from accord.evaluate import hygienepage, sheet
from accord.evaluate.answers import LETTERS
from accord.evaluate.hygiene import Hygiene, cases, examined, some, twins
from accord.evaluate.sheet import Sheet
from accord.recipes.job import Desk, Heard, read, told
from accord.recipes.judging import CALLS
from accord.recipes.stage import Place
from accord.rewards.duel import both_ways
from accord.rewards.judge.card import judging, listened
from accord.rewards.judge.opinions import LLMJudge
from accord.store import artifact, files
from accord.store.artifact import Artifact
from accord.store.lock import held

NUMBERS, PAGE = "judge.json", "judge.html"


class JudgeJob(Heard):
    """Hold a judge against people."""

    judge: str
    """a language model (a folder, a hub id, a server), or its card, judge.yaml"""
    data: Path
    """comparisons that people made: a file, folder or hub id, any shape of docs/data.md; or
    STORE#STUDY"""
    out: Path = Path("runs/judge")
    """where numbers, page and what the judge said are kept; the same command again goes on"""
    pairs: Count = 200
    """the most pairs that it is asked, each both ways; by chance where there are more"""
    same: int = Field(default=20, ge=0)
    """answers that it is shown beside themselves"""
    own: Path | None = None
    """answers of the judge's own model (prompt and response): does it favour them?"""
    seed: int = 0
    """of which pairs are asked, and of the intervals"""
    files: SplitFacts = SplitFacts()
    """how data= is read; of own= the pictures and facts"""
    limit: UpTo1 = 0.05
    """share of rows that may be unusable before nothing is asked"""


@dataclass(frozen=True)
class Examined:
    """What came out, and where it lies."""

    found: Hygiene
    sheet: Sheet
    artifact: Artifact

    def lines(self) -> list[str]:
        """For a terminal."""
        page = self.artifact.folder / PAGE
        return [*self.sheet.lines(), f"\nthe page: [bold]{page}[/]"]


def run_judge(desk: Desk, job: JudgeJob) -> Examined | None:
    """accord judge"""
    job.heard()
    with held(job.out):
        return _examined(desk, job)


def _examined(desk: Desk, job: JudgeJob) -> Examined | None:
    place = Place(job.out, job.seed, tell=desk.tell, limit=job.limit)
    rows = read(place, job, job.data, "comparisons")
    every = cases(rows, LETTERS.render)
    few = some(every, job.pairs, job.seed)
    if not few:
        raise BadData(f"{job.data} holds no two different answers to one prompt")
    own = frozenset[tuple[str, str]]()
    if job.own is not None:
        answers = sources.read(job.own, "demonstrations", beside=job.files.beside())
        mine = told(place, job.own, answers)
        own = frozenset((LETTERS.render(one.prompt), one.response.strip()) for one in mine)
    card = judging(job.judge)
    calls = listened(card, job.out / CALLS, desk.tell)
    judge = LLMJudge(calls, card)
    if card.asked.dry:
        both_ways(judge, [case.duel for case in few])
        judge(twins(few, job.same))
        desk.tell(f"a dry run: {calls.spent.told(card.asked.budget)} at most")
        return None
    about: dict[str, Any] = {
        "kind": "judge",
        "settings": {k: v for k, v in plain(job).items() if k != "out"},
        "parents": [judge.which],
        "data": fingerprint(rows),
    }
    artifact.made(job.out / "report", **about)  # another report there: nobody is asked
    found = examined(judge, every, few, same=job.same, own=own, seed=job.seed)
    name = Path(job.judge).stem if Path(job.judge).exists() else job.judge
    spent = calls.spent.told(card.asked.budget)
    page = hygienepage.told(name, judge.which, job.data.name, found, spent)

    def write(into: Path) -> None:
        numbers = hygienepage.numbers(found)
        (into / NUMBERS).write_bytes(files.dump({**numbers, "settings": about["settings"]}))
        sheet.write(page, into / PAGE)

    return Examined(found, page, artifact.finish(job.out / "report", write, **about))
