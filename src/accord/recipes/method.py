"""Where a method stands in the taxonomy of reinforcement learning, declared by its own module."""

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Literal, get_args

Family = Literal[
    "imitation",
    "reward learning",
    "policy optimisation",
    "preference classification",
    "unpaired preferences",
    "filtered imitation",
]
Need = Literal["reward", "reference", "pairs", "sampling", "value"]
"""a reward it is given: a model, a rule, the world's own; the policy it began with, as it trains;
what was compared with something else; acting while it trains; a value function"""
Regime = Literal["offline", "on-policy", "growing batch"]


POLICY: tuple[Family, Regime] = ("policy optimisation", "on-policy")


@dataclass(frozen=True)
class Method:
    """One line of `accord methods`.  All of them are model-free: none learns how its world moves.

    A module of recipes/ that has `train` declares `METHODS`, a tuple of these.
    """

    name: str
    command: str
    """the words after `accord` that pick it"""
    family: Family
    regime: Regime
    """what it learns from: a fixed set; what the policy does now; a set it adds to now and then"""
    needs: tuple[Need, ...]
    source: str
    """the paper"""


def known() -> list[Method]:
    """Those of all recipes; families together."""
    package = importlib.import_module("accord.recipes")
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(f"accord.recipes.{name}") for name in names]
    found = [one for module in modules for one in getattr(module, "METHODS", ())]
    families = get_args(Family)
    return sorted(found, key=lambda one: families.index(one.family))


def table() -> list[str]:
    """Lines of a table for people: a mark under all that a method needs."""
    head = ("method", "family", "learns from", *get_args(Need), "accord …", "source")
    marks = [["yes" if x in one.needs else "-" for x in get_args(Need)] for one in known()]
    rows = [
        (one.name, one.family, one.regime, *mark, one.command, one.source)
        for one, mark in zip(known(), marks)
    ]
    width = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, width)) for row in (head, *rows)]
    return [line.rstrip() for line in lines]
