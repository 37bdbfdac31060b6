"""`accord demo`: the method that was chosen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accord.demo import factual, rlaif, show
from accord.demo.factual import Factual
from accord.demo.feedback import RLAIF
from accord.demo.me import Panel
from accord.demo.scene import SCENES
from accord.demo.show import Demo
from accord.engine.steps import Optimizer
from accord.errors import BadSettings
from accord.maths.control import FixedKL
from accord.recipes.job import Desk
from accord.recipes.ppo import PPO


def defaults(cfg: Demo, more: RLAIF, facts: Factual) -> Mapping[str, Any]:
    """What a first reading calls for where nothing is said."""
    if cfg.method == "ppo":
        return show.defaults(cfg)
    if cfg.method == "fact-rlhf":
        return factual.defaults(cfg, facts)
    ppo = PPO(
        steps=25,
        batch=48,
        longest=120,
        temperature=0.7,
        kl=FixedKL(0.05),
        epochs=2,
        lr=2e-4,
        lr_critic=5e-4,
        optimizer=Optimizer(betas=(0.9, 0.95), eps=1e-5, micro_tokens=2048),
    )
    # two goals at once: more steps and larger ones than for one, or only the easier is learned
    reward = cfg.reward.model_copy(update={"batch": 16, "lr": 1e-3})
    told: dict[str, Any] = {
        "out": Path("runs/demo-rlaif"),
        "ppo": ppo,
        "reward": reward,
        "pairs": 2,
        "tests": 100,
    }
    if more.llm == "simulated":  # whose answers cost nothing: more of them, each by all principles
        compare = more.compare.model_copy(update={"principles": 4})
        told |= {"prompts": 300, "compare": compare}
    return told


def run(desk: Desk, cfg: Demo, more: RLAIF, facts: Factual) -> Any:
    """accord demo"""
    if cfg.method != "fact-rlhf" and facts != Factual():
        raise BadSettings(
            "described, mistakes, compared, errs, drawn, repeats and imitate are of "
            "method=fact-rlhf: say that too, or leave them out"
        )
    if cfg.method == "fact-rlhf":
        _alone(cfg, more)
        return factual.run(desk, cfg, facts)
    if cfg.method == "rlaif":
        if not isinstance(cfg.judge, Panel):
            raise BadSettings("judge=me: with method=rlaif a model judges by principles; say llm=…")
        if cfg.played is not SCENES["stories"]:
            raise BadSettings("method=rlaif plays stories: model=storyteller, or scene=stories")
        return rlaif.run(desk, cfg, more)
    if more != RLAIF():
        raise BadSettings(
            "llm, asked, noise, place, slips, revise, sft, compare, helpful and seeds are of "
            "method=rlaif: say that too, or leave them out"
        )
    return show.run(desk, cfg)


def _alone(cfg: Demo, more: RLAIF) -> None:
    """BadSettings for what Fact-RLHF's demo has no use for."""
    if not isinstance(cfg.judge, Panel):
        raise BadSettings("judge=me: with method=fact-rlhf the annotator counts what is false")
    if cfg.model != "storyteller" or cfg.scene != "auto" or more != RLAIF():
        raise BadSettings(
            "method=fact-rlhf shows scenes of shapes to the storyteller with eyes: model, scene "
            "and the settings of method=rlaif change nothing in it; leave them out"
        )
