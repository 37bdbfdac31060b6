"""Models built like Llama are decoded by an own pass, which says what their own code says."""

import warnings
from types import MethodType
from weakref import WeakKeyDictionary

import pytest
import torch
from torch import nn
from transformers.models.llama.modeling_llama import LlamaMLP

from accord.data.rows import pad
from accord.engine.draw import Sampling
from accord.engine.learner import Optimizer
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings
from accord.maths.losses import nll
from accord.maths.weights import weigh
from accord.models import products
from accord.models.decoder import SWITCH
from accord.models.heads import Speaker
from accord.models.load import load
from accord.models.lora import Lora
from accord.models.trunk import Trunk
from families import FORMS, WINDOW
from tiny import FAMILIES, folder, ragged, rows, tiny, tiny_policy
from toys import ToySpeller, toy_policy

OWN = {"Llama", "Llama 3", "Llama, YaRN", "Qwen 2", "Qwen 2, window", "Qwen 3", "Mistral"} | {
    "llama", "grouped", "one key head, tied", "window", "normed keys", "biases"
}  # fmt: skip
PROMPTS = ragged((3, 9, 1, 5, 12))
every = pytest.mark.parametrize("family", sorted(OWN))


def said(policy: Policy, **how) -> list:
    told = {"n": 3, "longest": 10, "seed": 4} | how
    return policy.sample(PROMPTS, **told)


def theirs(policy: Policy, monkeypatch, **how) -> list:
    with monkeypatch.context() as patch:
        patch.setenv(SWITCH, "module")
        assert policy.decoder == "module: ACCORD_DECODER=module"
        return said(policy, **how)


def alike(ours: list, wanted: list, within: float = 1e-4) -> None:
    assert [r.response_ids for r in ours] == [r.response_ids for r in wanted]
    for a, b in zip(ours, wanted, strict=True):
        assert a.logp == pytest.approx(b.logp, abs=within)


def as_taught(policy: Policy, rollouts: list, within: float = 1e-4) -> None:
    tokens = pad([r.prompt_ids for r in rollouts], [r.response_ids for r in rollouts])
    for r, logp_T, mask_T in zip(rollouts, policy.logp(tokens), tokens.mask_BT, strict=True):
        assert list(r.logp) == pytest.approx(logp_T[mask_T].tolist(), abs=within)


def test_these_families_are_decoded_by_the_own_pass():
    """No other warns: what is not alike is seen by its parts, before anything is computed."""
    found = {f for f in (*FORMS, *FAMILIES) if tiny_policy(f).decoder == "own"}
    assert found == OWN


@every
@pytest.mark.parametrize("slots", [4, 64])
@pytest.mark.parametrize("pack", [0, 1 << 28])
def test_it_says_what_the_modules_code_says(family, slots, pack, monkeypatch):
    monkeypatch.setattr("accord.models.decoder.PACK_BYTES", pack)
    policy = tiny_policy(family, ends=frozenset({1, 7, 21, 50, 66, 81}))
    policy.slots = slots
    alike(said(policy), theirs(policy, monkeypatch))
    as_taught(policy, said(policy))


@every
@pytest.mark.parametrize("pack", [0, 1 << 28])
def test_adapters(family, pack, monkeypatch):
    """Added to the base's matrix, or called as they are; another adapter, and none, as before."""
    monkeypatch.setattr("accord.models.decoder.PACK_BYTES", pack)
    base = tiny_policy(family)
    before = said(base)
    one, two = (base.trainable(lr=1e-3, lora=Lora(r=4), seed=s) for s in (1, 2))
    for policy, size in ((one, 0.02), (two, -0.03)):
        for name, weight in policy.model.learned():
            weight.data.fill_(size) if "lora_B" in name else None
    for policy in (one, two, base, one):
        assert policy.decoder == "own"
        alike(said(policy), theirs(policy, monkeypatch))
        as_taught(policy, said(policy))
    assert said(base) == before
    assert [r.response_ids for r in said(one)] != [r.response_ids for r in before]


def test_weights_of_now_are_used(monkeypatch):
    policy = tiny_policy().trainable(lr=0.05)
    policy.kept = True
    before = said(policy)
    policy.update(rows(), weigh(rows().mask_BT), lambda m, t: nll(m(t).logp_BT))
    after = said(policy)
    assert [r.response_ids for r in before] != [r.response_ids for r in after]
    alike(after, theirs(policy, monkeypatch))
    as_taught(policy, after)


@every
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("lora", [None, Lora(r=2)])
def test_bf16_is_as_near_as_rounding_allows(family, trained, lora, tmp_path):
    """Weights rounded once, of masters too; logits of the drawn tokens against those of fp32."""
    place = folder(tmp_path, family, initializer_range=0.1)
    policy = Policy(Speaker(Trunk(load(place, dtype="bf16"))), ToySpeller())
    if trained:
        policy = policy.trainable(lr=1e-3, lora=lora, optimizer=Optimizer(recompute=True))
    assert policy.decoder == "own"
    rollouts = said(policy)
    as_taught(policy, rollouts, within=0.05)
    dtypes = {w.dtype for _, w in policy.model.learned()} if trained else {torch.float32}
    assert dtypes == {torch.float32}


def test_windows_are_kept_beyond_their_rim(monkeypatch):
    policy = tiny_policy("window")
    wide = tiny_policy("window", sliding_window=50)
    ours = said(policy, longest=30)
    alike(ours, theirs(policy, monkeypatch, longest=30))
    assert [r.response_ids for r in ours] != [r.response_ids for r in said(wide, longest=30)]
    assert WINDOW["sliding_window"] == 4


def test_the_last_place_of_the_context(monkeypatch):
    policy = tiny_policy()
    long = [ragged((54,))[0], (3,)]
    ours = policy.sample(long, longest=10, seed=0, how=Sampling(temperature=0))
    with monkeypatch.context() as patch:
        patch.setenv(SWITCH, "module")
        assert ours == policy.sample(long, longest=10, seed=0, how=Sampling(temperature=0))


# --- what is left to the module ---


def halved(policy: Policy, *_) -> None:
    attention = policy.model.trunk.model.model.layers[1].self_attn
    own = type(attention).forward

    def forward(self, *args, **more):
        out, weights = own(self, *args, **more)
        return out / 2, weights

    attention.forward = MethodType(forward, attention)


def hooked(policy: Policy, *_) -> None:
    policy.model.trunk.model.model.layers[0].register_forward_hook(lambda m, x, y: y * 0.5)


def with_a_part(policy: Policy, *_) -> None:
    policy.model.trunk.model.model.layers[0].mlp.more = nn.Linear(2, 2)


def with_a_number(policy: Policy, *_) -> None:
    policy.model.trunk.model.model.layers[0].residual_multiplier = 0.5


@pytest.mark.parametrize("change", [halved, hooked, with_a_part, with_a_number])
def test_what_has_parts_unknown_is_left_to_its_own_code(change, monkeypatch):
    policy = tiny_policy()
    change(policy)
    assert policy.decoder.startswith("module: ")
    alike(said(policy), theirs(policy, monkeypatch))
    as_taught(policy, said(policy))


def test_what_looks_alike_and_computes_otherwise_warns_once(monkeypatch):
    """Its class was changed: no part tells, the numbers do."""
    forward = LlamaMLP.forward
    monkeypatch.setattr(LlamaMLP, "forward", lambda self, x: 0.9 * forward(self, x))
    policy = tiny_policy()
    with pytest.warns(UserWarning, match="llama: built like Llama, but .* by its own code, slower"):
        ours = said(policy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert said(policy) == ours
    alike(ours, theirs(policy, monkeypatch))
    as_taught(policy, ours)


def test_a_hook_that_comes_later_is_obeyed(monkeypatch):
    """The verdict on its parts is never an old one; that on its numbers is."""
    policy = tiny_policy()
    before = said(policy)
    hook = policy.model.trunk.model.model.layers[0].register_forward_hook(lambda m, x, y: y * 0.5)
    assert policy.decoder.startswith("module: LlamaDecoderLayer has a hook")
    hooked = said(policy)
    assert hooked != before
    as_taught(policy, hooked)
    hook.remove()
    assert policy.decoder == "own"
    assert said(policy) == before
    policy.model.trunk.model.model.layers[1].self_attn.scaling *= 0.5
    assert policy.decoder == "own"
    alike(said(policy), theirs(policy, monkeypatch))
    assert said(policy) != before


def test_a_hook_on_an_adapted_layer_is_obeyed():
    policy = tiny_policy().trainable(lr=1e-3, lora=Lora(r=2))
    layer = policy.model.trunk.model.model.layers[0].mlp.up_proj
    layer.register_forward_hook(lambda m, x, y: y * 0.5)
    assert policy.decoder.startswith("module: Linear has a hook")


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("lora", [None, Lora(r=2)])
def test_in_bf16_a_small_difference_is_seen(trained, lora, monkeypatch):
    """Two hundredths of an MLP are less than what rounding does to all layers."""
    trunk = Trunk(tiny("llama", num_hidden_layers=4, initializer_range=0.1).bfloat16(), "tiny")
    policy = Policy(Speaker(trunk), ToySpeller())
    if trained:
        policy = policy.trainable(lr=1e-3, lora=lora)
    weights = {k: v.clone() for k, v in policy.model.trunk.model.state_dict().items()}
    assert policy.decoder == "own"
    now = policy.model.trunk.model.state_dict()
    assert all(torch.equal(v, now[k]) and v.dtype == now[k].dtype for k, v in weights.items())
    assert len(policy.model.trunk.model.model.layers) == 4
    forward = LlamaMLP.forward
    monkeypatch.setattr(LlamaMLP, "forward", lambda self, x: 0.98 * forward(self, x))
    monkeypatch.setattr("accord.models.decoder._told", WeakKeyDictionary())
    with pytest.warns(UserWarning, match="built like Llama, but"):
        assert policy.decoder.startswith("module: llama")


def test_a_context_too_short_for_the_look(tmp_path):
    assert "too few to compare" in tiny_policy(max_position_embeddings=8).decoder


def test_scores_that_depend_on_far_places_are_seen(monkeypatch):
    """Ministral 3 computes like Llama in its first places; so that its name does not give it away,
    the look at its RoPE is skipped.
    """
    rope = {"original_max_position_embeddings": 16, "llama_4_scaling_beta": 0.5}
    told = {"rope_type": "default", "rope_theta": 1e4, **rope}
    policy = Policy(Speaker(Trunk(tiny("Ministral 3", rope_parameters=told), "tiny")), ToySpeller())
    monkeypatch.setattr("accord.models.alike._ROPE", frozenset(told) | {"factor", "mscale"})
    monkeypatch.setattr("accord.models.decoder.unlike", lambda body: None)
    with pytest.warns(UserWarning, match="built like Llama, but"):
        assert policy.decoder.startswith("module: ministral3")


def test_float64_is_left_to_the_module():
    assert "float64" in toy_policy(dtype=torch.float64).decoder


def test_the_switch(monkeypatch):
    monkeypatch.setenv(SWITCH, "yes")
    with pytest.raises(BadSettings, match="ACCORD_DECODER=yes: say own or module"):
        said(tiny_policy())
    for nothing in ("own", ""):
        monkeypatch.setenv(SWITCH, nothing)
        assert tiny_policy().decoder == "own"


def test_ids_beyond_the_vocabulary_are_refused():
    with pytest.raises(BadData, match="beyond this model's vocabulary"):
        tiny_policy().sample([(3, 200)], longest=2, seed=0)


# --- products ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("pack", [False, True])
@torch.no_grad()
def test_products_are_those_of_the_layers(dtype, bias, pack):
    torch.manual_seed(0)
    layers = [nn.Linear(24, out, bias=bias or out == 7).to(dtype) for out in (16, 7)]
    x = torch.randn(5, 24, dtype=dtype)
    found = products.product(layers, pack)(x)
    wanted = torch.cat([layer(x) for layer in layers], -1)
    torch.testing.assert_close(found, wanted, atol=0.02 if dtype.itemsize == 2 else 1e-5, rtol=0)
