"""Snapshots of a run, or any models, played against each other: `accord evaluate elo`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from glob import glob
from pathlib import Path
from typing import Any, Literal

from accord.config import Settings, digest, plain
from accord.config.limits import Count, UpTo1
from accord.data import sources
from accord.data.columns import Facts
from accord.data.comparisons import fingerprint
from accord.data.tally import Tally
from accord.data.writing import write_rows
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings
from accord.evaluate import elopage, sheet
from accord.evaluate.answers import LETTERS, Asking, by_prompt, sampled, spelled
from accord.evaluate.elo import Meets, Standings, meetings, standings
from accord.evaluate.match import Many, by_judge, pointed
from accord.evaluate.suite import scored
from accord.recipes.job import Desk, told
from accord.recipes.judging import CALLS, Bench, Rewards, compares
from accord.recipes.stage import Place, room_for
from accord.records import Ids, Prompt
from accord.rewards.base import Reward, which
from accord.rewards.guard import Guard
from accord.store import artifact, files
from accord.store.artifact import Artifact
from accord.store.lock import held

NUMBERS, PAGE = "elo.json", "elo.html"


class EloJob(Settings):
    """Let several models answer the same prompts, and rate them two by two."""

    models: tuple[str, ...]
    """models or files of answers, comma-separated, from the earliest to the latest: folders, GGUF
    files, hub ids, or a pattern such as runs/rest/improve-*/policy"""
    prompts: Path | None = None
    """prompts: a file, folder or hub id; none: those that the files of answers answer"""
    rule: str | None = None
    """who judges: file.py:function(prompt, answer, ended) -> number"""
    reward: tuple[str, ...] = ()
    """or a reward: a folder, a server, file.py:function, a judge.yaml that grades"""
    judge: str | None = None
    """or who sees two answers, each pair both ways: a language model (a folder, a server, or its
    card, judge.yaml), or file.py:function(prompt, first, second)"""
    out: Path = Path("runs/elo")
    """where answers, verdicts and numbers are kept; the same command again goes on from there"""
    meets: Meets = "all"
    """who meets whom: all; or chain: each the one before it, and the first"""
    n: Count = 1
    """answers to each prompt"""
    longest: Count = 200
    """the most tokens an answer may have"""
    how: Sampling = Sampling()
    """temperature, top_p, top_k, min_p"""
    draws: Count = 200
    """of prompts, for the intervals"""
    seed: int = 0
    """of the answers, the same dice for all, of the order of the games, and of the intervals"""
    dtype: Literal["fp32", "bf16", "int8", "int4"] = "fp32"
    """precision of matrix products; int8 and int4: quantised weights"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled; auto: each model's own chat template, or plain without one"""
    files: Facts = Facts()
    """how files are read"""
    limit: UpTo1 = 0.05
    """share of prompts that may be unusable before the job refuses to begin"""
    guard: Guard = Guard()
    """how functions are kept from harming the run"""


@dataclass(frozen=True)
class Texts:
    """What one player said: n answers to each prompt."""

    which: str
    said: Sequence[Sequence[str]]
    ended: Sequence[Sequence[bool]]


@dataclass(frozen=True)
class Played:
    """What came out, and where it lies."""

    sheet: sheet.Sheet
    found: Standings
    artifact: Artifact

    def lines(self) -> list[str]:
        """For a terminal."""
        page = self.artifact.folder / PAGE
        return [*self.sheet.lines(), f"\nthe page: [bold]{page}[/]"]


def run_elo(desk: Desk, job: EloJob) -> Played:
    """accord evaluate elo"""
    if sum(map(bool, (job.rule, job.reward, job.judge))) != 1:
        raise BadSettings("one judges: say rule=file.py:function, reward=FOLDER, or judge=FOLDER")
    with held(job.out):
        return _run(desk, job)


def _run(desk: Desk, job: EloJob) -> Played:
    place = Place(job.out, job.seed, tell=desk.tell, limit=job.limit)
    words = players(job.models)
    settings = {k: v for k, v in plain(job).items() if k != "out"}
    artifact.fits(job.out / "report", kind="elo", settings=settings)
    if all(map(_is_file, words)):
        fresh = EloJob(models=())
        keys = ("longest", "how", "template")
        if idle := [key for key in keys if getattr(job, key) != getattr(fresh, key)]:
            place.tell(f"no model answers, all are files: {', '.join(idle)} change nothing")
    once = list({prompt.messages: prompt for prompt in _prompts(place, job, words)}.values())
    usable = [_usable(place, job, word, once) for word in words]
    both = [k for k in range(len(once)) if all(k in ids for ids in usable)]
    if not both:
        raise BadData("there is no prompt that all models can answer")
    kept = [once[k] for k in both]
    sides = [
        _texts(desk, job, word, kept, [ids[k] for k in both])
        for word, ids in zip(words, usable, strict=True)
    ]
    points, known = _judge(desk, job, kept, sides)
    names, steps = named(words)
    pairs = meetings(len(words), job.meets)
    made = standings(names, steps, pairs, points, draws=job.draws, seed=job.seed)
    by = job.judge or job.rule or ",".join(job.reward)
    over = "step" if steps != [float(k) for k in range(len(words))] else "model"
    page = elopage.told(made, by, len(kept), job.n, over=over)

    def write(into: Path) -> None:
        (into / NUMBERS).write_bytes(files.dump({**asdict(made), "settings": settings}))
        rows = [
            {"prompt": LETTERS.render(prompt.messages)}
            | {name: list(side.said[k]) for name, side in zip(names, sides, strict=True)}
            for k, prompt in enumerate(kept)
        ]
        write_rows(into / "answers.jsonl", rows)
        sheet.write(page, into / PAGE)

    sealed = artifact.finish(
        job.out / "report",
        write,
        kind="elo",
        settings=settings,
        parents=[*(side.which for side in sides), *known],
        data=fingerprint(kept),
    )
    return Played(page, made, sealed)


def players(words: Sequence[str]) -> list[str]:
    """Patterns become what they match, in the order of the numbers in their names."""
    found: list[str] = []
    for word in words:
        if not re.search(r"[*?\[]", word):
            found.append(word)
            continue
        some = sorted(glob(str(Path(word).expanduser())), key=_numbers)
        if not some:
            raise BadSettings(f"models={word}: nothing is called so")
        found += some
    if len(found) != len(set(found)):
        raise BadSettings(f"models names one twice: {', '.join(found)}")
    if len(found) < 2:
        raise BadSettings(f"models={','.join(words)}: name two or more")
    return found


def named(words: Sequence[str]) -> tuple[list[str], list[float]]:
    """The shortest ends of their paths that tell them apart; and where each stands on the way: the
    last number in its name where all have unlike ones, else its place.
    """
    parts = [Path(word).parts for word in words]
    for size in range(1, max(map(len, parts)) + 1):
        names = ["/".join(few[-size:]) for few in parts]
        if len(set(names)) == len(names):
            break
    numbers = [_numbers(name) for name in names]
    steps = [float(few[-1]) for few in numbers if few]
    if len(set(steps)) == len(words) and len({len(few) for few in numbers}) == 1:
        return names, steps
    return names, [float(k) for k in range(len(words))]


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", name)))


def _is_file(word: str) -> bool:
    path = Path(word).expanduser()
    return path.is_file() and path.suffix != ".gguf"


def _opened(job: EloJob, word: str) -> Policy:
    return Policy.open(word, dtype=job.dtype, template=job.template)


def _prompts(place: Place, job: EloJob, words: Sequence[str]) -> list[Prompt]:
    """What everybody is asked: as is said, or all that the files of answers answer."""
    how = job.files.how()
    if job.prompts is not None:
        return [*told(place, job.prompts, sources.read(job.prompts, "prompts", **how))]
    given = [Path(word) for word in words if _is_file(word)]
    if not given:
        raise BadSettings(
            "nobody says what the models are to answer: prompts=FILE (only where models= names "
            "files of answers are theirs taken)"
        )
    rows = [sources.read(path, "demonstrations", **how).records for path in given]
    return [Prompt(one.prompt, one.id) for few in rows for one in few]


def _usable(
    place: Place, job: EloJob, word: str, prompts: Sequence[Prompt]
) -> dict[int, Ids | list[str]]:
    """Of every prompt that this player can answer: its ids, or what a file says."""
    tally = Tally()
    found: dict[int, Any] = {}
    if _is_file(word):
        rows = sources.read(word, "demonstrations", **job.files.how())
        said = by_prompt(told(place, Path(word), rows))
        for k, prompt in enumerate(prompts):
            if prompt.messages in said:
                tally.keep()
                found[k] = said[prompt.messages]
            else:
                tally.drop("no answer in the file", f"prompt {prompt.id or k!r}: not in {word}")
    else:
        policy = _opened(job, word)  # one at a time: all together may be too large
        found |= spelled(prompts, policy.speller, room_for(job.longest, policy), tally)
    place.check(tally, f"prompts for {word}")
    return found


def _texts(
    desk: Desk, job: EloJob, word: str, prompts: Sequence[Prompt], given: Sequence[Any]
) -> Texts:
    if _is_file(word):
        said = [[texts[k % len(texts)] for k in range(job.n)] for texts in given]
        return Texts(digest(said), said, [[True] * job.n for _ in said])
    policy = _opened(job, word)
    asking = Asking(job.longest, job.n, job.how, job.seed)
    file = job.out / f"answers-{digest(word)[:8]}.jsonl"
    with desk.count(word, job.n * len(prompts), "answers") as watch:
        side = sampled(word, policy, dict(enumerate(given)), file, asking, watch=watch)
    ends = [one.finish == "stop" for one in side.said]
    ended = [ends[at : at + job.n] for at in range(0, len(ends), job.n)]
    made = artifact.origin(policy.source) if policy.source else None
    return Texts(made.id if made else policy.fingerprint, side.texts, ended)


def _judge(
    desk: Desk, job: EloJob, prompts: Sequence[Prompt], sides: Sequence[Texts]
) -> tuple[Callable[[int, int], Many], list[str]]:
    """What comes of a pair of players, and who says so."""
    if job.judge is not None:
        asked = [LETTERS.render(prompt.messages) for prompt in prompts]
        talks = [prompt.messages for prompt in prompts]
        judge = compares(job.judge, job.guard, job.out / CALLS, desk.tell)

        def seen(i: int, j: int) -> Many:
            said = sides[i].said, sides[j].said
            return by_judge(asked, *said, judge, talks=talks, seed=job.seed).points

        return seen, [judge.which]
    said = Rewards(reward=job.reward, rule=job.rule, guard=job.guard)
    bench = Bench.of(said, LETTERS, prompts, dtype=job.dtype, keep=job.out / CALLS)
    reward: Reward = bench.reward

    @cache
    def scores(k: int) -> Many:
        rows = [(p.messages, few) for p, few in zip(prompts, sides[k].said, strict=True)]
        return scored(reward, rows, ended=sides[k].ended)

    return lambda i, j: pointed(scores(i), scores(j)), list(which(reward))
