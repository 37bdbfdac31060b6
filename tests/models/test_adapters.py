"""Adapters: nothing at birth, each for itself, and folders that peft reads unchanged."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from accord.data.rows import Tokens, pad
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.errors import BadModel
from accord.models.heads import Speaker
from accord.models.lora import Lora, base_of
from accord.models.trunk import Trunk
from tiny import FAMILIES, plain_logits, ragged, rows, tiny
from tiny import tiny_policy as fresh

SHAPE = Lora(r=3, alpha=7.0)


def shaken(policy: Policy, seed: int = 0, lora: Lora | None = SHAPE) -> Policy:
    """A trainable adapter whose weights are far from zero."""
    handle = policy.trainable(lr=1e-3, lora=lora)
    rng = torch.Generator().manual_seed(seed)
    for _, weight in handle.model.learned():
        weight.data.copy_(torch.randn(weight.shape, generator=rng) * 0.3)
    return handle


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_adapter_changes_nothing_at_all(family):
    policy = fresh(family)
    before = policy.logp(rows())
    adapter = policy.trainable(lr=1e-3, lora=SHAPE)
    assert float((adapter.logp(rows()) - before).abs().max()) == 0
    assert float((policy.logp(rows()) - before).abs().max()) == 0
    assert "lora" not in type(adapter.model.trunk.head).__module__


def test_an_adapter_is_the_formula():
    """W' = W + (alpha / r) B A: Hu et al. 2021, eq. 3 - laid into the weights by hand."""
    policy = fresh()
    adapter = shaken(policy)
    merged = tiny()
    given = dict(adapter.model.learned())
    for name, module in merged.named_modules():
        if f"{name}.lora_A.weight" in given:
            update = given[f"{name}.lora_B.weight"] @ given[f"{name}.lora_A.weight"]
            module.weight.data += 7.0 / 3 * update.detach()
    with torch.no_grad():
        want = Speaker(Trunk(merged))(rows()).logp_BT
    assert (want - policy.logp(rows())).abs().max() > 0.1
    torch.testing.assert_close(adapter.logp(rows()), want, atol=1e-4, rtol=0)


def test_adapters_on_one_trunk_do_not_disturb_each_other():
    policy = fresh()
    base = policy.logp(rows())
    one = shaken(policy, 1)
    alone = one.logp(rows())
    two = shaken(policy, 2, Lora(r=5, targets="q_proj,v_proj"))
    critic = Critic.on(policy).trainable(lr=1e-3, lora=SHAPE)
    said, worth = two.logp(rows()), critic.score(rows())
    assert (alone - said).abs().max() > 0.1
    for _ in range(2):  # in every order
        assert torch.equal(critic.score(rows()), worth)
        assert torch.equal(one.logp(rows()), alone)
        assert torch.equal(policy.logp(rows()), base)
        assert torch.equal(two.logp(rows()), said)
        assert torch.equal(policy.logp(rows()), base)
        assert torch.equal(one.logp(rows()), alone)


def grads(handle: Policy) -> dict[str, Tensor | None]:
    return {name: weight.grad for name, weight in handle.model.learned()}


def test_only_the_active_adapter_has_a_gradient():
    policy = fresh()
    one, two = shaken(policy, 1), shaken(policy, 2)
    for handle in (two, one, two):  # leave, and come back
        one.model.zero_grad(set_to_none=True)
        handle.model(rows()).logp_BT.sum().backward()
        other = one if handle is two else two
        assert all(g is not None and g.abs().max() > 0 for g in grads(handle).values())
        assert all(g is None for g in grads(other).values())
    assert all(weight.grad is None for _, weight in policy.model.learned())


def test_the_same_adapter_is_born_in_every_process():
    one = fresh().trainable(lr=1e-3, lora=SHAPE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)  # another process has another past
        two = fresh().trainable(lr=1e-3, lora=SHAPE)
        after = torch.rand(3)
        torch.manual_seed(99)
        assert torch.equal(torch.rand(3), after), "the common stream of numbers is left alone"
    for (name, a), (other, b) in zip(one.model.learned(), two.model.learned(), strict=True):
        assert name == other
        assert torch.equal(a, b)
        assert a.dtype == torch.float32
        assert name.endswith("lora_A.weight") == bool(a.any())


def test_a_copy_of_an_adapter_begins_where_it_stood():
    one = shaken(fresh())
    two = one.trainable(lr=1e-3)
    assert torch.equal(one.logp(rows()), two.logp(rows()))
    before = one.logp(rows())
    for _, weight in two.model.learned():
        weight.data.add_(1)
    assert torch.equal(one.logp(rows()), before)
    assert torch.equal(one.trainable(lr=1e-3, lora=SHAPE).logp(rows()), before)
    with pytest.raises(BadModel, match="already is an adapter, of r="):
        one.trainable(lr=1e-3, lora=replace(SHAPE, r=SHAPE.r + 1))


def test_a_whole_copy_of_a_base_with_tenants_is_bare():
    policy = fresh()
    names = {name for name, _ in policy.model.learned()}
    before = policy.logp(rows())
    shaken(policy)
    whole = policy.trainable(lr=1e-3)
    assert {name for name, _ in whole.model.learned()} == names
    assert torch.equal(whole.logp(rows()), before)
    again = shaken(whole)  # and may have tenants of its own
    assert (again.logp(rows()) - before).abs().max() > 0.1
    assert torch.equal(whole.logp(rows()), before)


def test_a_tenant_does_not_freeze_what_learns():
    policy = fresh().trainable(lr=1e-3)
    names = [name for name, _ in policy.model.learned()]
    Critic.on(policy).trainable(lr=1e-3, lora=SHAPE)
    assert [name for name, _ in policy.model.learned()] == names
    assert all(weight.requires_grad for _, weight in policy.model.learned())
    policy.model(rows()).logp_BT.sum().backward()
    assert all(weight.grad is not None for _, weight in policy.model.learned())


@pytest.fixture
def stories(stories260k: Path) -> Policy:
    return Policy.open(stories260k)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft's own
@pytest.mark.parametrize("lora", [Lora(r=2), Lora(r=4, alpha=3.0, targets="q_proj,down_proj")])
def test_peft_reads_an_exported_adapter(stories, stories260k, tmp_path, lora):
    adapter = shaken(stories, lora=lora)
    adapter.export(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(stories260k, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(plain, str(tmp_path)).eval()
    seqs = ragged((9, 4))
    tokens = [torch.tensor([s]) for s in seqs]
    for ids, want in zip(tokens, plain_logits(theirs, seqs), strict=True):
        with torch.no_grad():
            hidden_NH = adapter.model._hidden(one_row(ids))
            got = adapter.model.trunk.logits(hidden_NH)
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def one_row(ids_1T: Tensor) -> Tokens:
    ids = ids_1T[0].tolist()
    return pad([ids[:1]], [ids[1:]])


def test_an_exported_adapter_opens_again(stories, tmp_path):
    adapter = shaken(stories)
    adapter.export(tmp_path)
    opened = Policy.open(tmp_path)
    assert torch.equal(opened.logp(rows()), adapter.logp(rows()))
    assert opened.fingerprint == adapter.fingerprint
    assert opened.model.trunk.source == stories.model.trunk.source == base_of(tmp_path)
    again = opened.trainable(lr=1e-3)
    again.export(tmp_path / "again")
    assert torch.equal(Policy.open(tmp_path / "again").logp(rows()), adapter.logp(rows()))


def test_dropout_of_a_foreign_adapter_is_off(stories, tmp_path):
    shaken(stories).export(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"lora_dropout": 0.5}))
    opened = Policy.open(tmp_path).trainable(lr=1e-3, optimizer=Optimizer(recompute=True))
    assert torch.equal(opened.logp(rows()), opened.logp(rows()))


def test_an_exported_adapter_is_the_same_in_every_process(stories, tmp_path):
    """Names of modules are a set, whose order is drawn anew in each."""
    shaken(stories).export(tmp_path)
    names = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert len(names) == 7
    assert names == sorted(names)


def spoil(path: Path, how: str) -> None:
    config, weights = path / "adapter_config.json", path / "adapter_model.safetensors"
    told = json.loads(config.read_text())
    match how:
        case "base":
            config.write_text(json.dumps(told | {"base_model_name_or_path": None}))
        case "absent":
            weights.unlink()
        case "torn":
            weights.write_bytes(weights.read_bytes()[:100])
        case "rank":
            config.write_text(json.dumps(told | {"r": 5}))
        case "targets":
            config.write_text(json.dumps(told | {"target_modules": ["q_proj"]}))
        case "half":
            config.write_text(config.read_text()[:40])
        case "list":
            config.write_text("[]")
        case "prefix":
            config.write_text(json.dumps(told | {"peft_type": "PREFIX_TUNING"}))
        case "dora":
            config.write_text(json.dumps(told | {"use_dora": True}))
        case "letters":
            config.write_text(json.dumps(told | {"r": "two"}))
        case "modules":
            config.write_text(json.dumps(told | {"target_modules": ["nowhere"]}))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("base", "names no base_model_name_or_path"),
        ("absent", r"adapter_model.safetensors is missing"),
        ("torn", "cannot be read"),
        ("rank", "does not fit this model"),
        ("targets", "does not fit this model"),
        ("modules", "cannot be used"),
        ("half", r"adapter_config\.json cannot be read"),
        ("list", r"adapter_config\.json holds no settings"),
        ("prefix", "its adapter is PREFIX_TUNING, and only plain LoRA"),
        ("dora", r"its adapter is DoRA \(use_dora\), and only plain LoRA"),
        ("letters", "cannot be used: TypeError"),
    ],
)
def test_broken_adapter_folders(stories, tmp_path, how, said):
    shaken(stories).export(tmp_path)
    spoil(tmp_path, how)
    with pytest.raises(BadModel, match=said) as caught:
        Policy.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_adapter_is_refused(stories, tmp_path):
    adapter = shaken(stories)
    next(w for _, w in adapter.model.learned()).data[0, 0] = float("nan")
    adapter.export(tmp_path)
    with pytest.raises(BadModel, match="holds NaN or infinity"):
        Policy.open(tmp_path)


def test_the_base_is_exported_without_its_tenants(stories, stories260k, tmp_path):
    shaken(stories)
    stories.export(tmp_path)
    assert not (tmp_path / "adapter_config.json").exists()
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    start = AutoModelForCausalLM.from_pretrained(stories260k, dtype=torch.float32)
    seqs = ragged((9, 4))
    for a, b in zip(plain_logits(plain, seqs), plain_logits(start, seqs), strict=True):
        assert torch.equal(a, b)
    shutil.rmtree(tmp_path)
