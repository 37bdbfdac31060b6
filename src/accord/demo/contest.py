"""The command `compare` on the storyteller: its openings, its rule; any other model as told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accord.config import plain
from accord.demo import rule
from accord.demo.find import find
from accord.demo.openings import openings
from accord.recipes.compare import Compare, sized
from accord.recipes.compare_job import Compared, CompareJob, run_compare
from accord.recipes.job import Desk

OPENINGS = 280
"""of which those held out are never learned from"""
STORYTELLER = "storyteller"


def defaults(job: CompareJob, cfg: Compare) -> Mapping[str, Any]:
    """The methods' settings for this budget, length and model, where nothing else is said."""
    young = job.model == STORYTELLER
    made = sized(cfg.budget, longest=cfg.longest, temperature=cfg.temperature, young=young)
    if cfg.learn_from == "rule":
        made["ppo"] = made["ppo"].model_copy(update={"critic": "zero"})
    same = sized()
    return {key: own for key, own in made.items() if plain(own) != plain(same[key])}


def run(desk: Desk, job: CompareJob, cfg: Compare) -> Compared:
    """accord compare"""
    if job.model != STORYTELLER:
        return run_compare(desk, job, cfg)
    known: dict[str, Any] = {"model": str(find(STORYTELLER))}
    if job.rule is None and job.comparisons is None:
        known["rule"] = f"{Path(rule.__file__)}:rule"
    prompts = openings(OPENINGS, job.seed) if job.prompts is None else None
    return run_compare(desk, job.model_copy(update=known), cfg, prompts)
