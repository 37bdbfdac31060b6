"""Precision and memory: bf16 with fp32 masters, and recomputed activations."""

import pytest
import torch
from torch import Tensor

from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.maths.losses import nll
from accord.maths.weights import weigh
from accord.models.heads import Speaker
from accord.models.load import load
from accord.models.lora import Lora
from accord.models.trunk import Trunk, at_least_fp32
from tiny import FAMILIES, folder, rows, tiny_policy
from toys import ToySpeller


def imitate(model, tokens):
    return nll(model(tokens).logp_BT)


def slopes(handle, value: Tensor) -> list[Tensor]:
    weights = [weight for _, weight in handle.model.learned()]
    return list(torch.autograd.grad(value, weights))


@pytest.mark.parametrize("lora", [None, Lora(r=3)])
@pytest.mark.parametrize("family", FAMILIES)
def test_recomputing_changes_no_gradient(family, lora):
    price_BT = torch.linspace(-1, 1, rows().mask_BT.numel()).view_as(rows().mask_BT)
    found = []
    for recompute in (False, True):
        policy = tiny_policy(family).trainable(
            lr=1e-3, lora=lora, optimizer=Optimizer(recompute=recompute)
        )
        for name, weight in policy.model.learned():
            if "lora_B" in name:
                weight.data.fill_(0.1)
        found.append(slopes(policy, (policy.model(rows()).logp_BT * price_BT).sum()))
    assert sum(float(g.abs().sum()) for g in found[0]) > 0
    for plain, again in zip(*found, strict=True):
        assert torch.equal(plain, again)


def test_recomputing_does_recompute():
    """Each layer runs once without, and once more in the backward pass with it."""
    for recompute, runs in ((False, 1), (True, 2)):
        policy = tiny_policy().trainable(lr=1e-3, optimizer=Optimizer(recompute=recompute))
        count = []
        layer = policy.model.trunk.model.model.layers[0].mlp
        layer.register_forward_pre_hook(lambda *_, count=count: count.append(1))
        policy.model(rows()).logp_BT.sum().backward()
        assert len(count) == runs


def test_a_recomputing_policy_samples_as_before():
    start = tiny_policy()
    again = start.trainable(lr=1e-3, optimizer=Optimizer(recompute=True))
    asked = {"prompts": [(3, 4), (5,)], "longest": 5, "seed": 1}
    assert again.sample(**asked) == start.sample(**asked)


def half(tmp_path, family: str = "grouped") -> Policy:
    model = load(folder(tmp_path, family), dtype="bf16")
    return Policy(Speaker(Trunk(model, "half")), ToySpeller())


@pytest.mark.parametrize("family", ["grouped", "one key head, tied", "biases"])
def test_a_bf16_copy_says_exactly_what_its_reference_says(tmp_path, family):
    start = half(tmp_path, family)
    policy = start.trainable(lr=1e-3)
    assert {w.dtype for _, w in policy.model.learned()} == {torch.float32}
    assert torch.equal(policy.logp(rows()), start.logp(rows()))
    assert policy.logp(rows()).dtype == torch.float32
    asked = {"prompts": [(3, 4), (5,)], "longest": 5, "seed": 1}
    assert policy.sample(**asked) == start.sample(**asked)


def test_bf16_computes_near_fp32(tmp_path):
    """The oracle: the same weights, rounded to bf16, computed in fp32."""
    start = half(tmp_path)
    exact = half(tmp_path)
    exact.model.trunk.model.float()
    gap = (start.logp(rows()) - exact.logp(rows())).abs().max()
    assert 0 < gap < 0.2


def test_masters_keep_steps_that_bf16_would_lose(tmp_path):
    """1e-5 is far below bf16's grain at the size of these weights: summed, it must still arrive."""
    policy = half(tmp_path).trainable(lr=1e-5)
    policy.kept = True
    before = {name: w.detach().clone() for name, w in policy.model.learned()}
    weight = weigh(rows().mask_BT)
    for _ in range(20):
        policy.update(rows(), weight, imitate)
    moved = {n: (w.detach() - before[n]).abs() for n, w in policy.model.learned()}
    down = moved["model.layers.0.mlp.down_proj.weight"]
    assert float(down.median()) > 5e-5
    first = float((down > 0).float().mean())
    assert first > 0.99


def test_bf16_gradients_follow_fp32(tmp_path):
    start = half(tmp_path)
    policy = start.trainable(lr=1e-3)
    exact = half(tmp_path)
    exact.model.trunk.model.float()
    exact = exact.trainable(lr=1e-3)
    for ours, wanted in zip(
        slopes(policy, policy.model(rows()).logp_BT.sum()),
        slopes(exact, exact.model(rows()).logp_BT.sum()),
        strict=True,
    ):
        assert ours.dtype == torch.float32
        assert torch.cosine_similarity(ours.flatten(), wanted.flatten(), 0) > 0.98


def test_an_adapter_on_bf16_is_fp32_and_exact_at_birth(tmp_path):
    start = half(tmp_path)
    before = start.logp(rows())
    adapter = start.trainable(lr=1e-3, lora=Lora(r=3))
    assert {w.dtype for _, w in adapter.model.learned()} == {torch.float32}
    assert torch.equal(adapter.logp(rows()), before)


def test_a_judge_on_bf16_scores_in_fp32(tmp_path):
    critic = Critic.on(half(tmp_path))
    assert critic.model.head.weight.dtype == torch.float32
    assert critic.score(rows()).dtype == torch.float32
    twin = critic.trainable(lr=1e-3)
    torch.testing.assert_close(twin.score(rows()), critic.score(rows()), atol=0.02, rtol=0.02)
    assert torch.equal(twin.value(rows()), twin.value(rows()))


def test_at_least_fp32():
    assert at_least_fp32(torch.bfloat16) == at_least_fp32(torch.float32) == torch.float32
    assert at_least_fp32(torch.float64) == torch.float64


# --- masters ---


def test_weights_are_masters_again_after_a_pass(tmp_path):
    """Also after one that fails, and inside `autocast`, where they stay rounded."""
    policy = half(tmp_path).trainable(lr=1e-3)
    trunk = policy.model.trunk
    masters = dict(trunk.model.named_parameters())

    def intact() -> bool:
        now = dict(trunk.model.named_parameters())
        return all(now[k] is w and w.dtype == torch.float32 for k, w in masters.items())

    policy.logp(rows())
    assert intact()
    mlp = trunk.model.model.layers[1].mlp
    hook = mlp.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        policy.logp(rows())
    assert intact()
    hook.remove()
    with torch.inference_mode(), trunk.autocast():
        assert {w.dtype for w in mlp._parameters.values() if w is not None} <= {torch.bfloat16}
        kept = mlp.up_proj._parameters["weight"]
        policy.model(rows())
        assert mlp.up_proj._parameters["weight"] is kept, "it is not cast anew at every pass"
        with trunk.autocast():
            policy.model(rows())
        assert mlp.up_proj._parameters["weight"] is kept
    assert intact()


@pytest.mark.parametrize("family", ["grouped", "normed keys", "StableLM", "Nemotron", "Mixtral"])
def test_recomputing_in_bf16_changes_no_gradient(tmp_path, family):
    found = []
    for recompute in (False, True):
        policy = half(tmp_path, family).trainable(lr=1e-3, optimizer=Optimizer(recompute=recompute))
        found.append(slopes(policy, policy.model(rows()).logp_BT.sum()))
    assert sum(float(g.abs().sum()) for g in found[0]) > 0
    for plain, again in zip(*found, strict=True):
        assert plain.dtype == torch.float32
        assert torch.equal(plain, again)


def test_a_copy_of_a_bf16_copy_is_one_too(tmp_path):
    start = half(tmp_path, "normed keys")
    again = start.trainable(lr=1e-3).trainable(lr=1e-3)
    assert torch.equal(again.logp(rows()), start.logp(rows()))
    assert {w.dtype for _, w in again.model.learned()} == {torch.float32}
