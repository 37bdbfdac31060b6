"""The comparison of methods as a command: a start, prompts and comparisons in, one page out.

Below `out`: `comparisons/` (where a rule makes them), `reward/`, a folder for every method, the
answers of all of them, `compare.json` and `compare.html`.  What is there already is not made again.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from accord.config import plain
from accord.data import sources
from accord.data.comparisons import fingerprint, split, without
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings, NotFinite, TooLittleMemory
from accord.evaluate import contestpage
from accord.evaluate.answers import Asking, sampled
from accord.evaluate.contest import tell, why
from accord.evaluate.winrate import number
from accord.evaluate.words import count
from accord.recipes.common import Asked, spell_prompts
from accord.recipes.compare import OFFLINE, Compare, Name, priced
from accord.recipes.contestants import Ground, Trained, enter
from accord.recipes.field import Entry, Field, met
from accord.recipes.job import Desk, FactsJob, Heard, opened, origins, read
from accord.recipes.spent import metered
from accord.recipes.stage import Place, room_for
from accord.recipes.stages import reward_stage
from accord.records import Comparison, Prompt
from accord.rewards.base import Reward, Score, which
from accord.rewards.guard import Guard, Guarded
from accord.rewards.learned import Learned
from accord.rewards.reader import Reader
from accord.rewards.rules import meaning
from accord.store import artifact, files
from accord.store.artifact import Artifact
from accord.store.lock import held

MENDABLE = (BadData, NotFinite, TooLittleMemory)
"""what may befall one method and leave the others whole; anything else stops the command"""
PAIRS = "comparisons.jsonl"


class CompareJob(Heard, FactsJob):
    """Train several methods from one start on one budget, and say which to choose."""

    model: str = "storyteller"
    """the model to begin with: a folder (Hugging Face, or PEFT adapter) or a hub id; storyteller:
    the small model that ships with the package, with prompts and a rule of its own"""
    out: Path = Path("runs/compare")
    """where everything is kept; the same command again goes on from there"""
    prompts: Path | None = None
    """prompts: a file, folder or hub id; any shape of docs/data.md"""
    comparisons: Path | None = None
    """comparisons: likewise, or STORE#STUDY; none: pairs of the model's own answers, as the rule
    judges them"""
    rule: str | None = None
    """file.py:function(prompt, answer, ended) -> number: what is really wanted, and the judge at
    the end; none: the reward model is the judge"""
    guard: Guard = Guard()
    """how the rule is kept from harming the run"""


@dataclass(frozen=True)
class Compared:
    """What came out, and where it lies."""

    told: dict[str, Any]
    page: Path


@dataclass(frozen=True)
class Given:
    """What a comparison begins with."""

    start: Policy
    learn: list[Prompt]
    tests: list[Prompt]
    asked: list[Asked]
    """the tests, spelled"""
    compared: Sequence[Comparison]
    lost: int
    """pairs that the rule called equal, or of which an answer was empty"""
    unscored: int
    """pairs of which the rule scored one answer or none"""
    made: int
    """answers that were sampled for the comparisons; 0: they stand in a file"""
    origins: tuple[Artifact, ...]
    rule: Reward | None


def run_compare(
    desk: Desk, job: CompareJob, cfg: Compare, prompts: Sequence[Prompt] | None = None
) -> Compared:
    """accord compare; `prompts` stand for a file of them"""
    if prompts is None and job.prompts is None:
        raise BadSettings("every method answers prompts: say prompts=FILE")
    if job.comparisons is None and job.rule is None:
        raise BadSettings(
            "nothing says which answers are better: say comparisons=FILE, rule=file.py:function, "
            "or both"
        )
    if cfg.learn_from == "rule" and job.rule is None:
        raise BadSettings("learn_from=rule: there is no rule; say rule=file.py:function")
    if cfg.learn_from == "rule" and "PPO" in cfg.methods and cfg.ppo.critic != "zero":
        raise BadSettings("learn_from=rule leaves no reward model for a critic: ppo.critic=zero")
    with held(job.out):
        return _compared(desk, job, cfg, prompts)


def _compared(
    desk: Desk, job: CompareJob, cfg: Compare, prompts: Sequence[Prompt] | None
) -> Compared:
    place = desk.place(job)
    if idle := cfg.idle(job.rule is not None):
        place.tell(f"nobody who takes part hears {', '.join(idle)}: they change nothing")
    given = _given(desk, job, cfg, place, prompts)
    reward, critic, shared = _followed(place, cfg, given)
    judge, followed = given.rule or reward, cfg.learn_from == "rule" or given.rule is None
    assert judge is not None
    ground = Ground(
        given.start,
        given.learn,
        given.compared,
        reward,
        critic.handle if critic else None,
        given.rule,
        (critic.artifact,) if critic else (),
        given.origins,
    )
    trained, failed = _all(place, cfg, ground)
    told_by = "the rule" if given.rule else "the reward model"
    field = Field(
        given.start, given.asked, judge, None if followed else reward,
        Asking(cfg.longest, cfg.n, Sampling(cfg.temperature), place.seed), job.out / "answers",
        meaning(job.rule) if job.rule else "",
    )  # fmt: skip
    contest = met(desk, field, cfg, trained, failed, told_by, shared)
    told = {
        **tell(contest),
        "budget": _budget(cfg, given),
        "shared_seconds": shared,
        "reward_accuracy": critic.numbers.get("accuracy") if critic else None,
        "settings": {**plain(job), **plain(cfg)},
    }
    page = job.out / contestpage.FILE
    with files.writing(str(page)):
        files.write_whole(job.out / "compare.json", files.dump(told))
        files.write_whole(page, contestpage.render(told, contest).encode())
    return Compared(told, page)


def _given(
    desk: Desk, job: CompareJob, cfg: Compare, place: Place, prompts: Sequence[Prompt] | None
) -> Given:
    """Start, prompts parted, comparisons read or made."""
    if prompts is None:
        assert job.prompts is not None
        prompts = read(place, job, job.prompts, "prompts")
    once = list({one.messages: one for one in prompts}.values())
    parts = split(once, cfg.held_out, seed=place.seed)
    learn, tests = list(parts[0]), list(parts[1])
    if not learn or not tests:
        raise BadData(
            f"{count(len(once), 'prompt')}, each counted once: too few to learn from some and "
            "measure on others; give more"
        )
    start = opened(job)
    asked, tally = spell_prompts(tests, start.speller, room_for(cfg.longest, start))
    place.check(tally, "prompts held out")
    place.tell(f"{count(len(learn), 'prompt')} to learn from, {len(tests)} to measure on")
    rule = Guarded(job.rule, Reader(start.speller, once), job.guard) if job.rule else None
    found = Given(start, learn, tests, asked, (), 0, 0, 0, (), rule)
    if job.comparisons is None:
        assert rule is not None
        return _paired(desk, cfg, place, found, rule)
    compared = without(read(place, job, job.comparisons, "comparisons"), tests)
    most = cfg.answers // 2
    if len(compared) > most:
        place.tell(f"budget={cfg.budget} lets {most} of {len(compared)} comparisons be seen")
        places = random.Random(f"comparisons/{place.seed}").sample(range(len(compared)), most)
        compared = [compared[i] for i in sorted(places)]
    return replace(found, compared=list(compared), origins=origins(job.comparisons, place))


def _paired(desk: Desk, cfg: Compare, place: Place, given: Given, rule: Reward) -> Given:
    """Two answers of the start at a time, and which of them the rule likes more; equals are left
    out.  Both are kept, as an artifact.
    """
    start, pairs, folder = given.start, cfg.answers // 2, place.out / "comparisons"
    asked, tally = spell_prompts(given.learn, start.speller, room_for(cfg.longest, start))
    place.check(tally, "prompts")
    texts = {one.id or str(i): one.messages for i, one in enumerate(given.learn)}
    asking = Asking(cfg.longest, 2, Sampling(cfg.temperature), place.seed)
    about: dict[str, Any] = {
        "kind": "comparisons",
        "settings": {"pairs": pairs, **asking.told()},
        "parents": [artifact.origin(start.source or "") or start.fingerprint, *which(rule)],
        "data": fingerprint(given.learn),
        "template": start.speller.fingerprint,
    }
    there = artifact.made(folder, **about)
    if there is None:
        ids = {k: asked[k % len(asked)].ids for k in range(pairs)}
        with desk.count("pairs to compare", 2 * pairs, "answers") as watch:
            side = sampled(
                "start", start, ids, place.out / "answers" / "pairs.jsonl", asking, watch=watch
            )
        scores = rule(side.said)
        made = [
            _pair(k, texts[asked[k % len(asked)].id], side.texts[k], scores[2 * k : 2 * k + 2])
            for k in range(pairs)
        ]
        judged = [one for one in made if one is not None]
        silent = sum(
            any(number(s) is None for s in scores[2 * k : 2 * k + 2]) for k in range(pairs)
        )
        if not judged:
            _unjudged(pairs, silent, why(scores))
        equal = pairs - silent - len(judged)
        there = artifact.finish(
            folder, lambda into: sources.write(into / PAIRS, judged),
            numbers={"pairs": pairs, "equal": equal, "unscored": silent}, **about,
        )  # fmt: skip
    compared, tally = sources.read_comparisons(folder / PAIRS)
    tally.check(0.0)
    lost, silent = int(there.numbers["equal"]), int(there.numbers.get("unscored", 0))
    place.tell(
        f"{len(compared)} comparisons by the rule; {lost} pairs were equal to it, or empty"
        + (f"; of {silent} it could not score an answer" if silent else "")
    )
    return replace(
        given, compared=compared, lost=lost, unscored=silent, made=2 * pairs, origins=(there,)
    )


def _unjudged(pairs: int, silent: int, reason: str) -> NoReturn:
    if silent == pairs:
        raise BadData(f"the rule scored none of {pairs} pairs of answers: {reason}; mend the rule")
    apart = f" but {silent}, which it could not score ({reason})" if silent else ""
    raise BadData(
        f"the rule calls all {pairs} pairs of answers equal{apart}: there is nothing to learn "
        "from; a finer rule, a higher temperature= or a larger budget="
    )


def _pair(k: int, prompt: Any, texts: Sequence[str], scores: Sequence[Score]) -> Comparison | None:
    a, b = map(number, scores)
    one, two = (text.strip() for text in texts)
    if a is None or b is None or a == b or not one or not two or one == two:
        return None
    best = 0 if a > b else 1
    return Comparison.pair(
        prompt, texts[best], texts[1 - best], judge="rule", strength=abs(a - b), id=f"pair/{k}"
    )


def _followed(place: Place, cfg: Compare, given: Given) -> tuple[Reward | None, Any, float]:
    """What is followed; the reward model, and the seconds it took, where that is one.

    Without a rule the reward model is the judge too, so it is trained whoever takes part.
    """
    if cfg.learn_from == "rule":
        return given.rule, None, 0.0
    needed = {*cfg.methods} - {*OFFLINE}
    if given.rule is not None and not needed:
        return None, None, 0.0
    below = place.below("reward")
    make = partial(
        reward_stage, below, cfg.reward, given.start, given.compared, parents=given.origins
    )
    made, _ = metered(below.out, make)
    reader = Reader(given.start.speller, [*given.learn, *given.tests])
    return Learned(made.handle, given.start.speller, reader), made, made.seconds


def _all(place: Place, cfg: Compare, ground: Ground) -> tuple[dict[Name, Entry], dict[str, str]]:
    """Every method that trains, with its policies at other prices; and why some made nothing.

    One that fails for data, numbers or memory is reported, and the others go on: the same command
    tries it again.
    """
    found: dict[Name, Entry] = {}
    failed: dict[str, str] = {}

    def attempt(name: Name, label: str, folder: str, own: Any) -> Trained | None:
        place.tell(f"{label}:")
        try:
            return enter(name, place.below(folder), own, ground)
        except MENDABLE as error:
            failed[label] = str(error)
            place.tell(f"{label} made nothing, the others go on: {error}")
            return None

    for name in cfg.methods:
        settings, folder = cfg.of(name), name.lower()
        made = attempt(name, name, folder, settings) if settings is not None else None
        if made is None:
            continue
        others = [*made.earlier]
        for factor in cfg.swept(name):
            label = f"{name} at {factor:g} times its price of KL"
            more = attempt(name, label, f"{folder}-{factor:g}", priced(settings, factor))
            others += [(f"price × {factor:g}", more.policy)] if more else []
        found[name] = (made, others)
    return found, failed


def _budget(cfg: Compare, given: Given) -> dict[str, Any]:
    return {
        "word": cfg.budget,
        "answers": cfg.answers,
        "comparisons": len(given.compared),
        "equal": given.lost,
        "unscored": given.unscored,
        "sampled": given.made,
        "learn": len(given.learn),
        "followed": cfg.learn_from,
    }
