"""Adapters upon what the same process has tuned whole are the same when they are opened."""

from pathlib import Path

import pytest
import torch

from accord.data.rows import pad
from accord.engine.roles import Critic, Policy
from accord.models.lora import Lora
from accord.recipes.stage import Place
from accord.recipes.stages import ppo_stage, reward_stage, sft_stage
from accord.records import ask
from accord.rewards.learned import Learned
from recipe_fakes import TINY, WHO, newborn, records

LORA = Lora(r=2, alpha=8.0)


@pytest.fixture(params=["newborn", "stories"])
def start(request, tmp_path: Path) -> Policy:
    """Made here; and, where it is at hand, a model that really writes."""
    return Policy.open(
        newborn(tmp_path / "born")
        if request.param == "newborn"
        else request.getfixturevalue("stories260k")
    )


def test_an_adapter_on_what_was_trained_just_now(start, tmp_path):
    """Whole tuning, then an adapter upon it, in one process: what is opened later is the same."""
    place = Place(tmp_path)
    tuned = sft_stage(place.below("sft"), TINY.sft, start, records().demonstrations).handle
    cfg = TINY.reward.model_copy(update={"lora": LORA})
    judge = reward_stage(place.below("reward"), cfg, tuned, records().comparisons)
    cfg = TINY.ppo.model_copy(update={"lora": LORA})
    learned = Learned(judge.handle, tuned.speller)
    made = ppo_stage(place.below("ppo"), cfg, tuned, learned, judge.handle, records().prompts)
    said = [tuned.speller.demonstration(ask(WHO[0]), one) for one in (" ran home.", " sat.")]
    rows = pad([prompt for prompt, _ in said], [answer for _, answer in said])
    opened = Policy.open(tmp_path / "ppo/policy")
    torch.testing.assert_close(opened.logp(rows), made.handle.logp(rows))
    assert not torch.allclose(opened.logp(rows), tuned.logp(rows))
    score = Critic.open(tmp_path / "reward/reward").score(rows)
    torch.testing.assert_close(score, judge.handle.score(rows))
