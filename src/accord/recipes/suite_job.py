"""A reward on a suite of comparisons, as a command: `accord evaluate rewards`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from accord.config import Settings, plain
from accord.config.limits import UpTo1
from accord.data import sources
from accord.data.choices import KINDS
from accord.data.columns import SplitFacts
from accord.data.comparisons import fingerprint
from accord.data.formats import source, stem
from accord.engine.sampler import Watch
from accord.errors import BadData, BadSettings
from accord.evaluate import sheet, suitepage
from accord.evaluate.answers import LETTERS
from accord.evaluate.suite import Case, Drift, drifted, judged, scored, spoil, withstood
from accord.recipes.job import Desk, told
from accord.recipes.judging import CALLS, Bench, Rewards
from accord.recipes.stage import Place
from accord.records import Comparison, Conversation, Demonstration, Prompt
from accord.rewards.base import Reward, which
from accord.rewards.foreign import Reading
from accord.rewards.guard import Guard
from accord.rewards.remote import Server
from accord.store import artifact, files
from accord.store.artifact import Artifact
from accord.store.lock import held

NUMBERS, PAGE = "rewards.json", "rewards.html"


class SuiteJob(Settings):
    """Hold a reward against comparisons whose verdicts are known."""

    data: Path
    """comparisons: a file, folder or hub id, any shape of docs/data.md, as RewardBench's (prompt,
    chosen, rejected, subset); may stand first without its key"""
    reward: tuple[str, ...]
    """what is tested: a reward model (folder), a server (http://…), file.py:function, a judge.yaml;
    several are added up, with weights: FOLDER,0.5*rules.py:polite"""
    against: tuple[str, ...] = ()
    """another reward, such as an older one: is this one more accurate, and how far are scores
    apart"""
    references: Path | None = None
    """answers (prompt and response) that drift from `against` is measured on; none: the best
    answers of data="""
    out: Path = Path("runs/rewards")
    """where numbers and page are kept"""
    by: str | None = None
    """the key of a row that names its subset; none: the first of category, subset, subject, …"""
    spoiled: int = Field(default=200, ge=0)
    """the most best answers that are spoiled (shuffled, repeated, cut, emptied, another prompt's);
    0: none"""
    seed: int = 0
    """of which answers are spoiled and how, and of the intervals"""
    dtype: Literal["fp32", "bf16", "int8", "int4"] = "fp32"
    """precision of matrix products, of a reward model in a folder"""
    files: SplitFacts = SplitFacts()
    """how data= is read; of references= the pictures and facts"""
    limit: UpTo1 = 0.05
    """share of rows that may be unusable before nothing is scored"""
    guard: Guard = Guard()
    """how functions are kept from harming the run"""
    classifier: Reading = Reading()
    """how a reward model made elsewhere is read"""
    http: Server = Server()
    """how a reward server is spoken to"""


@dataclass(frozen=True)
class Suited:
    """What came out, and where it lies."""

    sheet: sheet.Sheet
    artifact: Artifact

    def lines(self) -> list[str]:
        """For a terminal."""
        page = self.artifact.folder / PAGE
        return [*self.sheet.lines(), f"\nthe page: [bold]{page}[/]"]


def run_suite(desk: Desk, job: SuiteJob) -> Suited:
    """accord evaluate rewards"""
    if job.references is not None and not job.against:
        raise BadSettings("references= is for drift, which is between two rewards: say against=…")
    with held(job.out):
        return _run(desk, job)


def _run(desk: Desk, job: SuiteJob) -> Suited:
    place = Place(job.out, job.seed, tell=desk.tell, limit=job.limit)
    how = job.files.how()
    settings = {k: v for k, v in plain(job).items() if k != "out"}
    artifact.fits(job.out / "report", kind="rewards", settings=settings)
    found = sources.read(job.data, "comparisons", **how)
    rows: Sequence[Comparison] = told(place, job.data, found)
    known = _subsets(job)
    refs: Sequence[Demonstration] = ()
    if job.references is not None:
        answers = sources.read(job.references, "demonstrations", beside=how["beside"])
        refs = told(place, job.references, answers)
    prompts = [*(Prompt(one.prompt) for one in rows), *(Prompt(one.prompt) for one in refs)]
    reward = _opened(job, job.reward, prompts)
    other = _opened(job, job.against, prompts) if job.against else None
    score = partial(_scored, desk, rows, known)
    cases = score(reward, "answers")
    made = spoil(cases, most=job.spoiled, seed=job.seed) if job.spoiled else {}
    given = {
        name: [one for (one,) in scored(reward, [(case.row.prompt, [text]) for case, text in few])]
        for name, few in made.items()
    }
    drift = None
    if other is not None:
        others = score(other, "answers, by the other")
        drift = _drift(reward, other, refs, cases, others, job.seed)
    plainly = judged(cases, seed=job.seed)
    spoiled = withstood(made, given, plainly.deviation, seed=job.seed)
    suite = judged(cases, spoiled, drift, seed=job.seed)
    name = ",".join(map(_short, job.reward))
    against = ",".join(map(_short, job.against)) or None
    page = suitepage.told(name, job.data.name, suite, cases, against)

    def write(into: Path) -> None:
        (into / NUMBERS).write_bytes(files.dump({**asdict(suite), "settings": settings}))
        sheet.write(page, into / PAGE)

    sealed = artifact.finish(
        job.out / "report",
        write,
        kind="rewards",
        settings=settings,
        parents=[*which(reward), *which(other)],
        data=fingerprint([*rows, *refs]),
    )
    return Suited(page, sealed)


def _opened(job: SuiteJob, words: tuple[str, ...], prompts: Sequence[Prompt]) -> Reward:
    said = Rewards(reward=words, guard=job.guard, classifier=job.classifier, http=job.http)
    bench = Bench.of(said, LETTERS, prompts, dtype=job.dtype, keep=job.out / CALLS)
    return bench.reward


def _scored(
    desk: Desk, rows: Sequence[Comparison], known: Mapping[str, str], reward: Reward, what: str
) -> list[Case]:
    texts: list[tuple[Conversation, Sequence[str]]] = [(row.prompt, row.responses) for row in rows]
    watch: Watch
    with desk.count(what, sum(len(few) for _, few in texts), "answers") as watch:
        given = scored(reward, texts, watch)
    return [
        Case(row, _subset(known, row.id), tuple(few)) for row, few in zip(rows, given, strict=True)
    ]


def _drift(
    reward: Reward,
    other: Reward,
    refs: Sequence[Demonstration],
    cases: Sequence[Case],
    others: Sequence[Case],
    seed: int,
) -> Drift:
    if refs:
        texts = [(one.prompt, [one.response]) for one in refs]
        mine, theirs = ([one for (one,) in scored(by, texts)] for by in (reward, other))
    else:
        mine, theirs = ([case.scores[case.best] for case in few] for few in (cases, others))
    return drifted(mine, theirs, cases, others, seed=seed)


def _subsets(job: SuiteJob) -> dict[str, str]:
    """What a row is called, by its own id and by its place -> its subset."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for entry in source(job.data, job.files.split)():
        if not isinstance(entry.row, Mapping):
            continue
        seen |= set(entry.row)
        keys = KINDS if job.by is None else (job.by,)
        kind = next((str(entry.row[k]) for k in keys if entry.row.get(k) not in (None, "")), "")
        called = entry.stem or stem(Path(entry.file).name)
        found[f"{called}:{entry.number}"] = kind
        if (own := entry.row.get("id")) is not None:
            found.setdefault(str(own), kind)
    if job.by is not None and job.by not in seen:
        raise BadData(
            f"{job.data}: no row has a key {job.by!r}; keys are {', '.join(sorted(seen))}"
        )
    return found


def _subset(known: Mapping[str, str], name: str) -> str:
    """Of a row that made several comparisons, each is called by its name and a number."""
    while name and name not in known:
        cut = max(name.rfind("/"), name.rfind("#"))
        if cut < 0:
            return ""
        name = name[:cut]
    return known.get(name, "")


def _short(word: str) -> str:
    return "/".join(Path(word).parts[-2:])
