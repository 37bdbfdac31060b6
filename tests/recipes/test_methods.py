"""The taxonomy is what the recipes say of themselves."""

import importlib
import pkgutil
from typing import get_args

import accord.recipes
from accord.recipes.method import Family, Method, Need, Regime, known, table
from test_cli import NEEDED, call


def test_every_recipe_that_trains_declares_its_methods():
    trains = []
    for found in pkgutil.iter_modules(accord.recipes.__path__):
        module = importlib.import_module(f"accord.recipes.{found.name}")
        if getattr(getattr(module, "train", None), "__module__", "") == module.__name__:
            trains.append(found.name)
            assert module.METHODS, f"recipes/{found.name}.py says nothing of itself: METHODS"
            assert all(isinstance(one, Method) for one in module.METHODS)
    assert {"sft", "reward", "ppo", "dpo", "control"} <= set(trains)


def test_what_they_say_is_of_the_taxonomy_and_can_be_run():
    names = [one.name for one in known()]
    assert len(set(names)) == len(names)
    for one in known():
        assert one.family in get_args(Family)
        assert one.regime in get_args(Regime)
        assert set(one.needs) <= set(get_args(Need))
        assert one.source
        verb, *words = one.command.split()
        given = {word.partition("=")[0] for word in words}
        needed = [word for word in NEEDED[verb] if word.partition("=")[0] not in given]
        code, _, said = call(verb, "--show", *words, *needed)
        assert code == 0, (one.name, said)


def test_the_table_has_a_line_for_each():
    code, said, _ = call("methods")
    assert code == 0
    head, *lines = said.splitlines()
    assert lines == table()[1:]
    assert len(lines) == len(known())
    assert all(need in head for need in get_args(Need))
    (line,) = (line for line in lines if line.startswith("DPO"))
    column = head.index
    assert line[column("reference")] == line[column("pairs")] == "y"
    assert line[column("sampling")] == line[column("value")] == "-"
