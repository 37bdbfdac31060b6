"""The settings of the demo's RLAIF: who gives the feedback, and how it becomes a policy."""

from dataclasses import field

from pydantic import Field

from accord.config import Settings
from accord.config.limits import Count, Share, UpTo1
from accord.engine.draw import Sampling
from accord.engine.steps import Optimizer
from accord.recipes.revising import Revise
from accord.recipes.sft import SFT
from accord.recipes.weighing import Feedback
from accord.rewards.asking import Asked

HOW = Sampling(0.7)


class RLAIF(Settings):
    """Constitutional AI on stories."""

    llm: str = "simulated"
    """who criticises, revises and compares: simulated, a program that follows the principles most
    of the time; smollm2, or any folder, hub id or server"""
    asked: Asked = field(default_factory=Asked)
    """how that model is spoken to, and what that may cost"""
    noise: float = Field(default=1.0, ge=0)
    """of the simulated one: how far its odds err, logits"""
    place: float = 1.0
    """of the simulated one: how much it prefers what is shown first, logits"""
    slips: UpTo1 = 0.1
    """of the simulated one: share of revisions in which it changes nothing"""
    revise: Revise = Revise(rounds=3, longest=120, how=HOW)
    """critiques and revisions"""
    sft: SFT = SFT(
        epochs=1,
        batch=32,
        lr=3e-4,
        longest=300,
        optimizer=Optimizer(micro_tokens=2048),
    )
    """imitation of the revisions"""
    compare: Feedback = Feedback(longest=120, how=HOW)
    """two answers of that model, compared under principles"""
    helpful: Share = 0.6
    """share of the panel's comparisons (an animal, an end in time) among all labels"""
    seeds: Count = 2
    """preference models of each kind of label, to compare soft and hard, both orders and one"""
