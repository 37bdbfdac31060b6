"""ReST as a stage and as a command: prompts, demonstrations and a reward in, a policy out.

Below `out`: `imitate/`, `grow-g/` with its answers in `scored/`, `improve-g-i/` with its `policy/`.
Each is an artifact that names its parents, and is not made twice.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from accord.data.comparisons import (
    digest,
    fingerprint,
    prompt_of,
    spell_demonstrations,
    split,
    without,
)
from accord.engine.roles import Policy
from accord.errors import BadSettings
from accord.recipes import rest
from accord.recipes.common import Asked, spell_prompts
from accord.recipes.growing import Given, Grow
from accord.recipes.harvest import Harvest
from accord.recipes.improving import Improve
from accord.recipes.job import Desk, FactsJob, Heard, opened, origins, read
from accord.recipes.judging import CALLS, Bench, Rewards
from accord.recipes.stage import Made, Place, Work, carry_out, room_for, room_in
from accord.recipes.stages import sft_stage
from accord.records import Demonstration, Prompt
from accord.rewards.base import Reward, which
from accord.store import artifact
from accord.store.artifact import Artifact
from accord.store.run import Run


class ReSTJob(Heard, Rewards, FactsJob):
    """Learn from the best of a policy's own answers."""

    out: Path = Path("runs/rest")
    """where each Grow and Improve is kept; the same command again goes on from there"""
    data: Path | None = None
    """demonstrations, the original data: a file, folder or hub id; any shape of docs/data.md"""
    prompts: Path | None = None
    """prompts to answer beside those of the demonstrations, or instead of them"""


class Sealed(rest.Walk):
    """Every Grow and every Improve as an artifact in a folder of its own."""

    def __init__(self, place: Place, cfg: rest.ReST, data: str, judges: Sequence[Artifact | str]):
        self.place, self.cfg, self.data, self.judges = place, cfg, data, tuple(judges)
        self.scored: Artifact | None = None
        self.made: Made[Policy] | None = None

    def grown(self, g: int, cfg: Grow, policy: Policy, make: Callable[[Run], Harvest]) -> Harvest:
        """The answers in `grow-g/scored`."""
        place = self.place.below(f"grow-{g}")
        work = Work("scored", place, cfg, policy, self.data, self.judges)
        told, folder = work.told(), place.out / "scored"
        there = artifact.made(folder, **told)
        if there is None:
            run = Run(
                place.out,
                save_every=place.save_every,
                identity=work.identity(told),
                sinks=place.sinks,
            )
            found = make(run)
            there = artifact.finish(
                folder,
                lambda into: found.write(into, policy.speller),
                numbers=found.numbers,
                **told,
            )
        else:
            place.tell(f"{folder} was made from just this before: nothing to do")
        self.scored = there
        told = there.numbers
        self.tell(
            f"Grow {g}: {told['answers']:.0f} answers to {told['prompts']:.0f} prompts, "
            f"{told['answers/distinct']:.0%} of them distinct; mean reward {told['reward']:.3f} "
            f"on the scale, {told['raw/mean']:.4g} off it"
        )
        return Harvest.read(folder)

    def improved(
        self, g: int, i: int, cfg: Improve, policy: Policy, make: Callable[[Run], Any]
    ) -> Policy:
        """The policy in `improve-g-i/policy`."""
        assert self.scored is not None
        place = self.place.below(f"improve-{g}-{i}")
        work = Work("policy", place, cfg, policy, self.data, (self.scored, *self.judges))
        self.made = carry_out(work, Policy, make)
        told, before = self.made.numbers, ""
        if "eval/reward" in told:
            before = (
                f"; reward on prompts kept aside {told['before/reward']:.3f} → "
                f"{told['eval/reward']:.3f} after {told['updates']:.0f} steps"
            )
        self.tell(
            f"Improve {i} of Grow {g}: {told['kept']:.0f} answers pass, "
            f"{told['prompts/without']:.0f} prompts are left without one{before}"
        )
        return self.made.handle

    def tell(self, said: str) -> None:
        """To whoever watches."""
        self.place.tell(said)


def rest_stage(
    place: Place,
    cfg: rest.ReST,
    start: Policy,
    judge: Reward,
    demonstrations: Sequence[Demonstration],
    prompts: Sequence[Prompt] = (),
    *,
    parents: Sequence[Artifact | str] = (),
    gold: Reward | None = None,
) -> Made[Policy]:
    """The policy of the last Improve; `parents` say where the judge and the data come from."""
    if cfg.imitate and not demonstrations:
        raise BadSettings("imitate=SFT has nothing to imitate: give data=FILE, or imitate=none")
    every = [*(Prompt(one.prompt, one.id) for one in demonstrations), *prompts]
    learn, aside = split(once(every), cfg.held_out, seed=place.seed)
    demonstrations = without(demonstrations, aside) if aside else demonstrations
    place.parted(learn, aside)
    if not aside and (idle := _idle(cfg.improve)):
        place.tell(f"no prompt is kept aside, so nothing is measured: {idle} change nothing")
    if cfg.improve.keep.steps == 1 and cfg.improve.slower != Improve().slower:
        place.tell("each Grow has one Improve: improve.slower changes nothing")
    room = room_for(cfg.grow.longest, start)
    asked, tests = (
        spelled(place, few, start, room, what)
        for few, what in ((learn, "prompts"), (aside, "prompts kept aside"))
    )
    originals, tally = spell_demonstrations(
        demonstrations, start.speller, room_in(start.context, start)
    )
    place.check(tally, "demonstrations") if demonstrations else None
    if not demonstrations or not cfg.grow.original:
        place.tell("no original data in the mixture: only its own answers hold the policy")
    known = (*parents, *which(judge, gold))
    first = start
    if cfg.imitate:
        first = sft_stage(place.below("imitate"), cfg.imitate, start, demonstrations).handle
    data = digest([fingerprint(chain(demonstrations, learn)), fingerprint(aside)])
    walk = Sealed(place, cfg, data, known)
    given = Given(asked, originals, tests)
    rest.train(cfg, walk, first, judge, given, gold=gold, seed=place.seed)
    assert walk.made is not None
    return walk.made


def _idle(improve: Improve) -> str:
    """The settings of looks that were given other than by default."""
    keys, fresh = ("measure_every", "measure_n", "patience"), Improve()
    odd = (key for key in keys if getattr(improve, key) != getattr(fresh, key))
    return ", ".join(f"improve.{key}" for key in odd)


def once(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Each prompt once, however often it comes."""
    return list({digest(prompt_of(one)): one for one in reversed(prompts)}.values())[::-1]


def spelled(
    place: Place, few: Sequence[Prompt], start: Policy, room: int, what: str
) -> list[Asked]:
    """As ids; what cannot be asked is told."""
    asked, tally = spell_prompts(few, start.speller, room)
    place.check(tally, what) if few else None
    return asked


def run_rest(desk: Desk, job: ReSTJob, cfg: rest.ReST) -> Made[Policy]:
    """accord rest"""
    job.some("ReST")
    if not job.data and not job.prompts:
        raise BadSettings("ReST answers prompts: give data=FILE (demonstrations), or prompts=FILE")
    place = desk.place(job)
    demonstrations = read(place, job, job.data, "demonstrations") if job.data else ()
    prompts = read(place, job, job.prompts, "prompts") if job.prompts else ()
    compared = read(place, job, job.check, "comparisons") if job.check else ()
    start = opened(job)
    asked = [*(Prompt(one.prompt) for one in demonstrations), *prompts]
    bench = Bench.of(job, start.speller, asked, compared, dtype=job.dtype, keep=job.out / CALLS)
    bench.check(desk.tell)
    files = [path for path in (job.data, job.prompts) if path]
    parents = [*bench.parents, *(one for path in files for one in origins(path, place))]
    return rest_stage(
        place, cfg, start, bench.reward, demonstrations, prompts, parents=parents, gold=bench.gold
    )
