"""Quantised weights under adapters: near the full ones, never changed, never trained whole."""

import json
import sys
from functools import partial

import pytest
import torch
from peft.utils.integrations import dequantize_bnb_weight
from transformers import AutoModelForCausalLM

from accord.engine.roles import Critic, Policy
from accord.errors import BadModel, MissingExtra
from accord.maths.losses import nll
from accord.maths.weights import weigh
from accord.models import quantised
from accord.models.heads import Speaker
from accord.models.load import load
from accord.models.lora import Lora
from accord.models.trunk import Trunk
from tiny import folder, rows
from toys import ToySpeller

pytest.importorskip("bitsandbytes", reason="the extra quant is not installed")
BIG = {"hidden_size": 128, "intermediate_size": 256, "initializer_range": 0.1}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("model"), **BIG)


def policy(place, dtype) -> Policy:
    return Policy(Speaker(Trunk(load(place, dtype=dtype), str(place))), ToySpeller())


def imitate(model, tokens):
    return nll(model(tokens).logp_BT)


def test_what_it_says_is_near_the_full_model(place):
    """In nats per token: fewer bits, farther off; bf16 shows what rounding alone does."""
    full = policy(place, "fp32").logp(rows())
    said = {d: policy(place, d).logp(rows()) for d in ("bf16", "int8", "int4")}
    gap = {d: float((s - full).abs().sum() / rows().mask_BT.sum()) for d, s in said.items()}
    assert 0 < gap["bf16"] < gap["int8"] < 0.1 < gap["int4"] < 0.4, gap


@pytest.mark.parametrize("dtype", quantised.KINDS)
def test_the_gradient_is_that_of_the_weights_it_stands_for(place, dtype):
    """Of a plain model that bears the dequantised weights; also after answers were sampled."""
    start = policy(place, dtype)
    plain = Policy(Speaker(Trunk(load(place, dtype="bf16"), "plain")), ToySpeller())
    given = dict(start.model.trunk.model.named_modules())
    for name, layer in plain.model.trunk.model.named_modules():
        if type(given[name]).__module__.startswith("bitsandbytes."):
            state = getattr(given[name], "state", None)
            layer.weight.data.copy_(dequantize_bnb_weight(given[name].weight, state))
    start.sample([(3, 4), (5,)], longest=4, seed=0)
    slopes = []
    for one in (start, plain):
        learner = one.trainable(lr=1e-3, lora=Lora(r=4))
        for name, weight in learner.model.learned():
            weight.data.fill_(0.01) if "lora_B" in name else None
        learner.sample([(3, 4), (5,)], longest=4, seed=0)
        loss = learner.model(rows()).logp_BT.sum()
        slopes.append(torch.autograd.grad(loss, [w for _, w in learner.model.learned()]))
    for mine, want in zip(*slopes, strict=True):
        assert want.norm() > 0
        assert (mine - want).norm() < 0.05 * want.norm()


@pytest.mark.parametrize("dtype", quantised.KINDS)
def test_an_adapter_learns_and_the_base_stays(place, dtype):
    start = policy(place, dtype)
    before, said = start.fingerprint, start.logp(rows())
    learner = start.trainable(lr=2e-2, lora=Lora(r=4))
    learner.kept = True
    weight = weigh(rows().mask_BT)
    losses = [learner.update(rows(), weight, partial(imitate))["loss"] for _ in range(15)]
    assert losses[-1] < 0.6 * losses[0]
    assert start.fingerprint == before
    assert torch.equal(start.logp(rows()), said)
    assert learner.fingerprint != before


@pytest.mark.parametrize("dtype", quantised.KINDS)
def test_its_adapter_stands_on_the_plain_folder(place, dtype, tmp_path):
    """peft reads it upon the full model, and accord upon either."""
    learner = policy(place, dtype).trainable(lr=1e-3, lora=Lora(r=4))
    for name, weight in learner.model.learned():
        weight.data.fill_(0.02 if "lora_A" in name else 0.05)
    learner.export(tmp_path)
    card = json.loads((tmp_path / "adapter_config.json").read_text())
    assert card["base_model_name_or_path"] == str(place)
    model = AutoModelForCausalLM.from_pretrained(place)
    model.load_adapter(str(tmp_path))
    again = policy(place, dtype)
    again.model.trunk.adapters.load("start", tmp_path)
    again.model.using = "start"
    assert torch.equal(again.logp(rows()), learner.logp(rows()))


def test_a_critic_on_quantised_weights(place):
    start = policy(place, "int4")
    critic = Critic.on(start).trainable(lr=1e-3, lora=Lora(r=4))
    assert critic.score(rows()).dtype == torch.float32
    assert {w.dtype for _, w in critic.model.learned()} == {torch.float32}


@pytest.mark.parametrize("dtype", quantised.KINDS)
def test_the_whole_is_neither_trained_nor_saved(place, dtype, tmp_path):
    start = policy(place, dtype)
    with pytest.raises(BadModel, match=f"{dtype} cannot be trained as a whole.*lora=Lora"):
        start.trainable(lr=1e-3)
    with pytest.raises(BadModel, match=f"{dtype} cannot be saved as a whole"):
        start.export(tmp_path)


def test_how_much_it_takes(place):
    """A matrix of n weights: 2n bytes in bf16, n in int8, n / 2 in int4, and a scale for some."""
    sizes = {d: quantised.footprint(load(place, dtype=d)) for d in ("bf16", "int8", "int4")}
    layers = [w for k, w in load(place).named_parameters() if "proj" in k]
    matrices = sum(w.numel() for w in layers)
    scales = sum(4 * w.shape[0] for w in layers)  # int8: one fp32 for each row
    assert sizes["bf16"] - sizes["int8"] == matrices - scales
    assert 1.4 * matrices - 4000 < sizes["bf16"] - sizes["int4"] < 1.5 * matrices


def test_without_the_library(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtra, match=r"dtype=int8 needs .*\[quant\]"):
        load(place, dtype="int8")
