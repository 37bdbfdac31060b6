"""What a reward stage normalises on, and what it says of data that lacks what was asked for."""

from dataclasses import replace

import pytest

from accord.data.comparisons import Spelled
from accord.engine.roles import Policy
from accord.maths.preference import BradleyTerry
from accord.recipes import stages
from accord.recipes.stage import Place
from accord.recipes.stages import reward_stage
from recipe_fakes import TINY, newborn, records


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Policy:
    return Policy.open(newborn(tmp_path_factory.mktemp("newborn")))


def test_a_margin_that_no_row_has_is_told_once(start, tmp_path):
    told: list[str] = []
    place, plain = Place(tmp_path, tell=told.append), TINY.reward
    margin = plain.model_copy(update={"loss": BradleyTerry(margin=True)})
    given = records().comparisons
    strong = [replace(c, strength=1.0) for c in given]
    for name, cfg, rows, times in (
        ("none", margin, given, 1),
        ("all", margin, strong, 0),
        ("unasked", plain, given, 0),
    ):
        told.clear()
        reward_stage(place.below(name), cfg, start, rows)
        assert sum("loss.margin=true changes nothing" in said for said in told) == times, name


def test_references_are_drawn_by_the_seed_and_each_prompt_once():
    rows = [Spelled((n,), ((9,),), (0,), None, None, "x") for n in range(300) for _ in range(3)]
    drawn = stages._drawn(rows, 0)
    assert len(drawn) == len(set(drawn)) == stages.REFERENCES
    assert drawn == stages._drawn(rows, 0) != stages._drawn(rows, 1)
    assert max(drawn) > (stages.REFERENCES,), "not the first of the file"
    assert sorted(stages._drawn(rows[:30], 0)) == [(n,) for n in range(10)]
