"""A number that can only do harm is refused, in one line that names its key."""

import pytest

from accord.config import read
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.errors import BadSettings
from accord.maths.control import AdaptiveKL, FixedKL
from accord.maths.preference import BradleyTerry
from accord.models.heads import Speaker
from accord.models.lora import Lora
from accord.models.trunk import Trunk
from accord.recipes.ppo import PPO
from accord.recipes.reward import RewardModel
from accord.recipes.sft import SFT
from tiny import tiny
from toys import ToySpeller


@pytest.mark.parametrize(
    ("cls", "words", "says"),
    [
        (SFT, ("optimizer.max_norm=-1",), "max_norm must be above 0; none: gradients are never"),
        (SFT, ("optimizer.max_norm=0",), "max_norm must be above 0"),
        (SFT, ("optimizer.micro_tokens=0",), "micro_tokens must be at least 1"),
        (SFT, ("optimizer.micro_tokens=-3",), "micro_tokens must be at least 1"),
        (SFT, ("optimizer.betas=1.5,.9",), "betas must be from 0 to below 1"),
        (SFT, ("optimizer.eps=-1",), "eps and weight_decay"),
        (SFT, ("optimizer.weight_decay=-1",), "eps and weight_decay"),
        (SFT, ("schedule.floor=2",), "floor must be from 0 to 1"),
        (SFT, ("lr=-1",), "lr = '-1'"),
        (SFT, ("lr=0",), "it should be greater than 0"),
        (RewardModel, ("lr=0",), "lr = '0'"),
        (PPO, ("lr=0",), "lr = '0'"),
        (PPO, ("lr_critic=-1",), "lr_critic = '-1'"),
        (PPO, ("kl.beta=-1",), "beta must not be negative"),
        (PPO, ("kl=AdaptiveKL", "kl.beta=-1"), "beta must be above 0"),
        (PPO, ("minibatches=8", "batch=4"), "minibatches=8 of batch=4"),
        (RewardModel, ("loss.centre=-1",), "centre must not be negative"),
        (SFT, ("lora.r=0",), "r must be at least 1"),
        (SFT, ("lora.alpha=0",), "alpha must be above 0"),
        (SFT, ("lora=Lora", "lora.targets="), "targets must be module names"),
    ],
)
def test_a_harmful_number_is_refused(cls, words, says):
    with pytest.raises(BadSettings) as caught:
        read(cls, None, words)
    said = str(caught.value)
    assert says in said
    assert "\n" not in said


def test_from_python_too_and_what_is_allowed_stays():
    for make in (
        lambda: Optimizer(max_norm=-1.0),
        lambda: Optimizer(betas=(0.9, 1.0)),
        lambda: FixedKL(-1.0),
        lambda: AdaptiveKL(0.0),
        lambda: BradleyTerry(centre=-1.0),
        lambda: Lora(r=0),
    ):
        with pytest.raises(ValueError, match="must"):
            make()
    assert read(SFT, None, ["optimizer.max_norm=none"]).optimizer.max_norm is None
    assert read(PPO, None, ["kl.beta=0", "minibatches=64"]).kl == FixedKL(0.0)
    assert Optimizer(betas=(0.0, 0.0), micro_tokens=1).micro_tokens == 1


@pytest.mark.parametrize("family", ["grouped", "learned places"])
def test_an_adapter_must_fit_the_model(family):
    policy = Policy(Speaker(Trunk(tiny(family), "tiny")), ToySpeller())
    with pytest.raises(BadSettings, match="targets=nothing: this model has no such layer; say all"):
        policy.trainable(lr=1e-3, lora=Lora(r=2, targets="nothing"))
    with pytest.raises(BadSettings, match="r=5000: no layer that it adapts has a side over"):
        policy.trainable(lr=1e-3, lora=Lora(r=5000))
    one = policy.trainable(lr=1e-3, lora=Lora(r=4))
    with pytest.raises(BadSettings, match="no such layer"):
        policy.trainable(lr=1e-3, lora=Lora(r=4, targets="nothing"))
    assert one.model.using in policy.model.trunk.adapters
