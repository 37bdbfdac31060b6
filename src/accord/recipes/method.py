"""Where a method stands in the taxonomy of reinforcement learning, declared by its own module."""

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Literal

Family = Literal[
    "imitation",
    "reward learning",
    "policy optimisation",
    "preference classification",
    "unpaired preferences",
    "filtered imitation",
]
Regime = Literal["offline", "on-policy", "growing batch"]


@dataclass(frozen=True)
class Method:
    """One line of `accord methods`.  All of them are model-free: none learns how its world moves.

    A module of recipes/ that has `train` declares `METHODS`, a tuple of these.
    """

    name: str
    command: str
    """what runs it: a command, and the setting that picks it"""
    family: Family
    regime: Regime
    """where the data it learns from come from: a fixed set; the policy as it is; a set that the
    policy adds to now and then"""
    reward: bool
    """needs a reward: a model, a rule, or the world's"""
    reference: bool
    """needs the policy it began with while it trains"""
    pairs: bool
    """needs answers that were compared with each other"""
    sampling: bool
    """the policy acts while it trains"""
    value: bool
    """needs a value function"""
    source: str
    """the paper"""


def known() -> list[Method]:
    """Those of all recipes, in the order of the modules' names."""
    package = importlib.import_module("accord.recipes")
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(f"accord.recipes.{name}") for name in names]
    return [one for module in modules for one in getattr(module, "METHODS", ())]
