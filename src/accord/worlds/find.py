"""Worlds by name: Gymnasium's, and ours."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from accord.errors import BadSettings, MissingExtra

OURS = ("accord/Bandit", "accord/Grid")


def gym(what: str) -> Any:
    """gymnasium; MissingExtra where it is not installed."""
    try:
        return importlib.import_module("gymnasium")
    except ImportError:
        raise MissingExtra(f"{what} needs gymnasium: pip install 'accord[control]'") from None


def finder(name: str, horizon: int | None = None) -> Callable[[], Any]:
    """Makes that world, as often as it is called: states as a flat row of numbers.

    `horizon` makes all episodes that long (worlds/fixed.py).  BadSettings where there is no such
    world, or it needs what is not installed.
    """
    return partial(_make, gym(f"the world {name}"), name, horizon)


def _make(gymnasium: Any, name: str, horizon: int | None) -> Any:
    fixed = importlib.import_module("accord.worlds.fixed")
    if name in OURS:
        world = _ours(gymnasium, name)
    else:
        try:
            world = gymnasium.make(name, disable_env_checker=True)
        except gymnasium.error.DependencyNotInstalled as error:
            raise BadSettings(f"the world {name} needs what is not installed: {error}") from None
        except gymnasium.error.Error as error:
            raise BadSettings(
                f"there is no world {name!r} ({str(error).rstrip('.')}); give one of Gymnasium's, "
                f"such as CartPole-v1 or Pendulum-v1, or {' or '.join(OURS)}"
            ) from None
    return fixed.Flat(fixed.FixedHorizon(world, horizon) if horizon else world)


def _ours(gymnasium: Any, name: str) -> Any:
    tabular = importlib.import_module("accord.worlds.tabular")
    if name == "accord/Bandit":
        return tabular.TableWorld(tabular.bandit((0.1, 0.5, 0.9, 0.3)), noise=0.5)
    world = tabular.TableWorld(tabular.grid())
    return gymnasium.wrappers.TimeLimit(world, 100)
