"""Reinforcement learning in a world as a command: a world's name in, a policy out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from accord.config import Settings, plain
from accord.config.limits import Count
from accord.engine.draw import key
from accord.engine.learner import Learner
from accord.engine.player import Player, fill
from accord.errors import BadSettings
from accord.recipes.control import Control, train
from accord.recipes.episodes import measure
from accord.recipes.job import Desk
from accord.recipes.segments import Oracle
from accord.store import artifact
from accord.store.artifact import Artifact
from accord.store.logs import sink
from accord.store.record import metrics
from accord.store.run import Run
from accord.worlds.find import finder
from accord.worlds.seats import Seats, Window

KIND = "player"


class ControlJob(Settings):
    """Learn to act in a world."""

    world: str = "CartPole-v1"
    """one of Gymnasium's worlds by its name, accord/Bandit, or accord/Grid"""
    horizon: Count | None = None
    """make all episodes this long while it trains: what is over stays as it is, worth nothing, so
    that no end tells what comparisons are to tell; none: as the world has it"""
    judge: Oracle = Oracle()
    """who compares segments, where prefer=Segments asks: one who adds up the true reward"""
    measure: Count = 100
    """episodes to measure the finished policy on, the likeliest action in every state"""
    out: Path = Path("runs/control")
    """where the run, and the policy it makes, is kept; the same command again goes on from there"""
    seed: int = 0
    """of the worlds, of the actions, and of what the nets start from"""
    save_every: Count = 10
    """steps between two commits; what a crash can cost"""
    sinks: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """boards that get the numbers too, comma-separated"""


@dataclass(frozen=True)
class Played:
    """What the command made, or found made from just the same."""

    policy: Player
    artifact: Artifact
    history: list[dict[str, Any]]
    """the lines of metrics.jsonl"""

    @property
    def numbers(self) -> dict[str, float]:
        """What was measured on it when it was sealed."""
        return self.artifact.numbers


def opened(folder: Path) -> Player:
    """The policy that lies in an artifact's folder."""
    told = artifact.open_artifact(folder).settings
    seats = Seats(finder(told["world"], told["horizon"]), 1)
    actor = seats.acts.actor(seats.width, told["hidden"], key(0, "actor"))
    seen = fill(actor, folder)
    return Player(Learner(actor, Control().optimizer, told["lr"]), seen)


def _limit(world: Any) -> int | None:
    """The most steps that an episode has, where the world says so."""
    steps = getattr(world.spec, "max_episode_steps", None)
    world.close()
    return steps


def run_control(desk: Desk, job: ControlJob, cfg: Control) -> Played:
    """accord control"""
    if cfg.prefer is None and job.judge != Oracle():
        raise BadSettings("judge=… compares segments: say prefer=Segments too, or leave it out")
    make = finder(job.world, job.horizon)
    if cfg.prefer is not None:
        window = cfg.obtain.length if isinstance(cfg.obtain, Window) else None
        cfg.prefer.fits(window, job.horizon or _limit(make()), cfg.steps)
    folder, what = job.out / KIND, plain(job)
    own = {name: what[name] for name in ("world", "horizon", "judge", "seed")}
    told: dict[str, Any] = {
        "kind": KIND,
        "settings": {**plain(cfg), **own, "measure": job.measure},
    }
    there = artifact.made(folder, **told)
    if there is not None:
        desk.tell(f"{folder} was made from just this before: nothing to do")
        return Played(opened(folder), there, metrics(job.out))
    sinks = (*desk.view, *(sink(name, job.out) for name in job.sinks))
    run = Run(job.out, save_every=job.save_every, identity=own, sinks=sinks)
    policy = train(cfg, run, make, ask=job.judge, seed=job.seed)
    numbers = measure(policy, finder(job.world), job.measure, seed=job.seed)
    there = artifact.finish(folder, policy.export, numbers=numbers, **told)
    return Played(policy, there, run.history)
