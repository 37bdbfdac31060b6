"""What a reward stage normalises on, and what it says of data that lacks what was asked for."""

from dataclasses import replace

import pytest

from accord.data.comparisons import Spelled, spell_ratings, split
from accord.data.rows import pad
from accord.engine.roles import Policy
from accord.maths.preference import BradleyTerry
from accord.maths.unpaired import KTO
from accord.recipes import preferred, stages
from accord.recipes.dpo import Preference
from accord.recipes.dpo_job import preference_stage
from accord.recipes.stage import Place
from accord.recipes.stages import reward_stage
from accord.records import Rating
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


@pytest.mark.parametrize("name", ["sft", "reward", "dpo"])
def test_looks_that_nobody_takes_are_told(start, tmp_path, name):
    """Of nothing that is held out nothing is measured, however often."""
    given, told = records(), list[str]()
    stage, cfg, rows = {
        "sft": (stages.sft_stage, TINY.sft, given.demonstrations),
        "reward": (reward_stage, TINY.reward, given.comparisons),
        "dpo": (preference_stage, Preference(epochs=0.1), given.comparisons),
    }[name]
    usual = type(cfg).model_fields["measure_every"].default
    for n, (every, held_out) in enumerate(((7, 0.0), (7, 0.3), (usual, 0.0))):
        own = cfg.model_copy(update={"measure_every": every, "held_out": held_out})
        stage(Place(tmp_path / str(n), tell=told.append), own, start, rows)
        said = [line for line in told if "measure_every=7 changes nothing" in line]
        assert len(said) == 1


def test_ratings_held_out_are_measured(start, tmp_path):
    """Good against bad ones, pair by pair, by a slow definition."""
    rated = [
        Rating(c.prompt, c.responses[k], k == 0, "") for c in records().comparisons for k in (0, 1)
    ]
    cfg = Preference(loss=KTO(), epochs=0.2, held_out=0.3, lr=1e-2)
    made = preference_stage(Place(tmp_path), cfg, start, rated)
    rows, _ = spell_ratings(rated, start.speller, start.context)
    _, held_out = split(rows, 0.3, seed=0)
    each = [
        (row.ranks[0], float((made.handle.logp(x) - start.logp(x)).sum()))
        for row in held_out
        for x in [pad([row.prompt_ids], [row.response_ids[0]])]
    ]
    good, bad = ([a for rank, a in each if rank == side] for side in (0, 1))
    right = [(g > b) + (g == b) / 2 for g in good for b in bad]
    want = {"chosen": sum(good) / len(good), "rejected": sum(bad) / len(bad)}
    want |= {"accuracies": sum(right) / len(right), "margins": want["chosen"] - want["rejected"]}
    assert made.numbers == pytest.approx(want, abs=1e-4)
    only = [row for row in held_out if row.ranks[0] == 0]
    alone = preferred.measure(made.handle, only, preferred.refer(start, only))
    assert set(alone) == {"chosen"}
    assert preferred.displaced({"chosen": -3.0}) == ""


def test_references_are_drawn_by_the_seed_and_each_prompt_once():
    rows = [Spelled((n,), ((9,),), (0,), None, None, "x") for n in range(300) for _ in range(3)]
    drawn = stages._drawn(rows, 0)
    assert len(drawn) == len(set(drawn)) == stages.REFERENCES
    assert drawn == stages._drawn(rows, 0) != stages._drawn(rows, 1)
    assert max(drawn) > (stages.REFERENCES,), "not the first of the file"
    assert sorted(stages._drawn(rows[:30], 0)) == [(n,) for n in range(10)]
