"""How well each preset of `accord control` does, over seeds, with what it took.

    python benchmarks/control.py [NAME ...] [--seeds 0 1 2] [KEY=VALUE ...]

NAME is a preset of the command, or `default`; without one, all of them.  Each policy is measured on
100 fresh episodes of the world as it is, the likeliest action in every state; `chance` is what the
same world gives to a policy that has learned nothing, drawing its actions.
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import fmean

import torch

from accord.config import presets, read_each
from accord.config.presets import find
from accord.recipes.control import Control
from accord.recipes.control_job import ControlJob, run_control
from accord.recipes.job import Desk
from accord.worlds.find import finder
from accord.worlds.seats import Seats


def chance(world: str, episodes: int = 100) -> float:
    """The mean return of an untrained policy."""
    seats = Seats(finder(world), 10, seed=77)
    actor = seats.acts.actor(seats.width, (64, 64), 0)
    draw = partial(actor.draw, rng=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pieces = [piece for _ in range(episodes // 10) for piece in seats.episodes(draw)]
    return fmean(float(piece.reward_T.sum()) for piece in pieces)


def run(name: str, seed: int, words: list[str]) -> None:
    """One line."""
    preset = None if name == "default" else find("control", Path(name))
    with tempfile.TemporaryDirectory() as home:
        given = [*words, f"seed={seed}", f"out={home}", "save_every=1000"]
        job, cfg = read_each((ControlJob, Control), preset, given)
        assert isinstance(job, ControlJob)
        assert isinstance(cfg, Control)
        began = time.process_time()
        made = run_control(Desk((), lambda said: None), job, cfg)
        took = time.process_time() - began
    actions = sum(row["actions"] for row in made.history)
    asked = made.history[-1].get("rewards/comparisons", 0)
    numbers = made.numbers
    print(
        f"{name:20} {job.world:12} seed {seed}  return {numbers['return/mean']:8.1f} "
        f"(worst {numbers['return/least']:8.1f})  {actions:7,} actions  {asked:4.0f} comparisons  "
        f"{took:6.1f} s of CPU",
        flush=True,
    )


def main() -> None:
    """All that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    torch.set_num_threads(1)
    words = [word for word in given.names if "=" in word]
    names = [word for word in given.names if "=" not in word]
    for world in ("CartPole-v1", "Pendulum-v1"):
        print(f"chance on {world}: {chance(world):.1f}", flush=True)
    for name in names or ["default", *(one.name for one in presets("control"))]:
        for seed in given.seeds:
            run(name, seed, words)


if __name__ == "__main__":
    main()
