"""No setting is idle: another value of any field ends in another model, or another measurement."""

from pathlib import Path
from typing import Any

import pytest

from accord.data.shown import Request
from accord.engine.roles import Critic
from accord.engine.steps import Optimizer
from accord.engine.trailing import Refresh
from accord.maths.advantages import GAE, LeaveOneOut
from accord.maths.control import Constant, FixedKL, Linear
from accord.maths.losses import Clip
from accord.maths.pairwise import IPO
from accord.maths.preference import Davidson
from accord.maths.surrogate import RewardKL, Surrogate, Truncated
from accord.models.lora import Lora
from accord.recipes.dpo import Preference
from accord.recipes.dpo_job import preference_stage
from accord.recipes.grpo import GRPO
from accord.recipes.grpo_job import grpo_stage
from accord.recipes.mixing import Mixed, Ptx
from accord.recipes.online import Online
from accord.recipes.online_job import online_stage
from accord.recipes.ppo import PPO
from accord.recipes.reward import RewardModel
from accord.recipes.sft import SFT
from accord.recipes.stage import Place
from accord.recipes.stages import ppo_stage, reward_stage, sft_stage
from accord.records import Comparison, Demonstration, Prompt, ask
from accord.rewards.ending import Absolute
from accord.rewards.shape import Shape
from toys import toy_critic, toy_policy

SLOW = Optimizer(betas=(0.5, 0.6))
ASKED = ["a", "ab", "d", "cb", "bdc", "c", "ad", "dd"]
ANSWERS = ["a", "bb", "c", "ccd", "a", "db", "d", "ab"]
SHOWN = [Demonstration(ask(p), a, id=p) for p, a in zip(ASKED, ANSWERS)]
ORDERS = [(0, 1, 2), (2, 1, 0), (0, 0, 1), (1, 0, 2)] * 2
JUDGED = [Comparison(ask(p), ("ab", "c", "bdd"), r, id=p) for p, r in zip(ASKED, ORDERS)]
SFT_BASE = SFT(batch=2, held_out=0.3, lr=1e-2, schedule=Linear())
SFT_OTHER = {
    "epochs": 2.0,
    "batch": 3,
    "longest": 6,
    "loss_on": "all",
    "weigh_by": "sequence",
    "held_out": 0.5,
    "measure_every": 1,
    "lr": 2e-2,
    "schedule": Constant(),
    "optimizer": SLOW,
    "lora": Lora(r=2),
}
REWARD_BASE = RewardModel(batch=2, held_out=0.3, lr=1e-2, schedule=Linear())
REWARD_OTHER = {
    "loss": Davidson(),
    "epochs": 2.0,
    "batch": 3,
    "longest": 7,
    "held_out": 0.5,
    "normalise": "none",
    "measure_every": 1,
    "lr": 2e-2,
    "schedule": Constant(),
    "optimizer": SLOW,
    "lora": Lora(r=2),
    "shown": Request(facts=False, request="d", opening="b"),
}
PPO_BASE = PPO(
    steps=2,
    batch=8,
    longest=3,
    epochs=3,
    lr=1e-2,
    lr_critic=1e-2,
    clip=Clip(eps_value=0.1),
    minibatches=2,
)
PPO_OTHER = {
    "steps": 3,
    "batch": 6,
    "longest": 2,
    "temperature": 0.7,
    "kl": FixedKL(1.0),
    "missing_eos": Absolute(-3.0),
    "whiten": "both",
    "shape": Shape(per_token=0.5),
    "gae": GAE(lam=0.1),
    "clip": Clip(eps=0.02, eps_value=0.1),
    "epochs": 2,
    "minibatches": 1,
    "ptx": Ptx(coef=0.5, share=0.5),
    "average": 0.5,
    "critic": "zero",
    "lr": 2e-2,
    "lr_critic": 2e-2,
    "schedule": Constant(),
    "optimizer": SLOW,
    "lora": Lora(r=2),
}


GRPO_BASE = GRPO(
    steps=3, batch=3, group=2, longest=3, epochs=3, lr=1e-2, minibatches=2, loss=Surrogate(high=0.1)
)
GRPO_OTHER = {
    "steps": 4,
    "batch": 2,
    "group": 3,
    "longest": 2,
    "temperature": 0.7,
    "baseline": LeaveOneOut(),
    "missing_eos": Absolute(-3.0),
    "shape": Shape(per_token=0.5),
    "resample": 2,
    "lag": 1,
    "minibatches": 1,
    "weigh_by": "token",
    "loss": Surrogate("sequence", high=0.1),
    "kl": RewardKL(1.0),
    "stale": Truncated(),
    "epochs": 2,
    "lr": 2e-2,
    "schedule": Constant(),
    "optimizer": SLOW,
    "lora": Lora(r=2),
}
DPO_BASE = Preference(batch=2, held_out=0.3, lr=1e-2, schedule=Linear())
DPO_OTHER = {
    "loss": IPO(),
    "mix": "1*NLL",
    "epochs": 2.0,
    "batch": 3,
    "longest": 7,
    "held_out": 0.5,
    "measure_every": 1,
    "lr": 2e-2,
    "schedule": Constant(),
    "optimizer": SLOW,
    "lora": Lora(r=2),
}
ONLINE_BASE = Online(steps=3, batch=8, longest=3, n=3, lr=1e-2, minibatches=2)
ONLINE_OTHER = {
    "loss": IPO(),
    "mix": "1*NLL",
    "steps": 4,
    "batch": 6,
    "n": 2,
    "pairs": "ranking",
    "labels": "soft",
    "epochs": 2,
    "minibatches": 1,
    "longest": 2,
    "temperature": 0.7,
    "missing_eos": Absolute(-3.0),
    "refresh": Refresh(every=1),
    "lr": 2e-2,
    "schedule": Constant(),
    "optimizer": SLOW,
    "lora": Lora(r=2),
}


def sweet(rollouts) -> list[float]:
    return [float(r.response_ids.count(2) - r.response_ids.count(3)) for r in rollouts]


def outcome(out: Path, cfg: Any) -> tuple:
    """All that a stage ends in, but for the settings themselves."""
    place, start = Place(out, limit=0.9), toy_policy()
    if isinstance(cfg, SFT):
        made = sft_stage(place, cfg, start, SHOWN)
    elif isinstance(cfg, RewardModel):
        made = reward_stage(place, cfg, start, JUDGED)
    elif isinstance(cfg, GRPO):
        made = grpo_stage(place, cfg, start, sweet, [Prompt(ask(p), p) for p in ASKED])
    elif isinstance(cfg, Preference):
        made = preference_stage(place, cfg, start, JUDGED)
    elif isinstance(cfg, Online):
        made = online_stage(place, cfg, start, sweet, [Prompt(ask(p), p) for p in ASKED])
    else:
        prompts, critic = [Prompt(ask(p), p) for p in ASKED], toy_critic(1)
        judge = Critic.on(start).zeroed() if cfg.critic == "zero" else critic
        if cfg.ptx:
            prompts = Mixed(prompts, SHOWN)
        made = ppo_stage(place, cfg, start, sweet, judge, prompts)
    own = ("lr", "epoch", "episode")
    lines = [{k: v for k, v in row.items() if k not in own} for row in made.history]
    return made.handle.fingerprint, made.numbers, lines


BASES = {
    "sft": SFT_BASE,
    "reward": REWARD_BASE,
    "dpo": DPO_BASE,
    "online": ONLINE_BASE,
    "ppo": PPO_BASE,
    "grpo": GRPO_BASE,
}
OTHERS = {
    "sft": SFT_OTHER,
    "reward": REWARD_OTHER,
    "dpo": DPO_OTHER,
    "online": ONLINE_OTHER,
    "ppo": PPO_OTHER,
    "grpo": GRPO_OTHER,
}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory) -> dict[str, tuple]:
    return {name: outcome(tmp_path_factory.mktemp(name), cfg) for name, cfg in BASES.items()}


@pytest.mark.parametrize("name", BASES)
def test_every_field_is_tried(name):
    assert set(OTHERS[name]) == set(type(BASES[name]).model_fields)


@pytest.mark.parametrize("name", BASES)
def test_the_same_settings_end_in_the_same(name, wanted, tmp_path):
    assert outcome(tmp_path, BASES[name]) == wanted[name]


@pytest.mark.parametrize(("name", "field"), [(n, f) for n, o in OTHERS.items() for f in o])
def test_a_setting_changes_something(name, field, wanted, tmp_path):
    base = BASES[name]
    told = {f: getattr(base, f) for f in type(base).model_fields} | {field: OTHERS[name][field]}
    other = outcome(tmp_path, type(base)(**told))
    if field in ("measure_every", "normalise"):  # what is learned is the same: only read otherwise
        assert other[2] != wanted[name][2] or other[1] != wanted[name][1]
    else:
        assert other[0] != wanted[name][0], "the same weights"
    if field == "measure_every":
        assert other[0] == wanted[name][0]
