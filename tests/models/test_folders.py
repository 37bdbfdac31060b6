"""Model folders in and out; what is wrong with one is said in one sentence."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BertConfig, T5Config

from accord.demo.show import SHIPPED
from accord.engine.roles import Critic, Policy
from accord.errors import BadModel
from accord.models.attention import Packed
from accord.models.forms import context
from accord.models.load import fingerprint, load, save, tensors
from accord.models.lora import Lora
from tiny import FAMILIES, folder, plain_logits, ragged, rows, tiny


@pytest.mark.parametrize("family", FAMILIES)
def test_loaded_is_what_was_saved(family, tmp_path):
    model = load(folder(tmp_path, family))
    theirs = tiny(family)
    assert fingerprint(model.state_dict()) == fingerprint(theirs.state_dict())
    assert not any(weight.requires_grad for weight in model.parameters())
    assert not model.training


def test_dropout_is_off_for_good(tmp_path):
    folder(tmp_path, attention_dropout=0.5)
    model = load(tmp_path).train()
    assert model.config.attention_dropout == 0.0
    drops = {"resid_pdrop": 0.1, "embd_pdrop": 0.1}
    folder(tmp_path / "b", "learned places")
    edit(tmp_path / "b", **drops)
    gpt2 = load(tmp_path / "b").train()
    assert not [m for m in gpt2.modules() if isinstance(m, torch.nn.Dropout) and m.p > 0]


def test_dtype(tmp_path):
    folder(tmp_path)
    assert load(tmp_path).dtype == torch.float32
    assert load(tmp_path, dtype="bf16").dtype == torch.bfloat16


def edit(path: Path, **changes: object) -> None:
    told = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(told | changes))


def reweigh(path: Path, change) -> None:
    weights = load_file(path / "model.safetensors")
    change(weights)
    save_file(weights, path / "model.safetensors", {"format": "pt"})


def pickled(path: Path) -> None:
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def torn(path: Path) -> None:
    whole = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def poisoned(weights) -> None:
    weights["model.layers.1.mlp.up_proj.weight"][3, 2] = float("nan")


def infinite(weights) -> None:
    weights["model.norm.weight"][0] = float("inf")


def whole_numbers(weights) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    weights[name] = (weights[name] * 100).to(torch.int8)


def labelled(path: Path, how: str, **more: object) -> None:
    edit(path, quantization_config={"quant_method": how, **more})


def other_kind(path: Path, config) -> None:
    config.save_pretrained(path)


BROKEN = {
    "no config": (lambda p: (p / "config.json").unlink(), "the folder has no config.json"),
    "half a config": (lambda p: (p / "config.json").write_text("{"), "config cannot be read"),
    "unknown kind": (lambda p: edit(p, model_type="martian"), "config cannot be read.*martian"),
    "encoder-decoder": (lambda p: other_kind(p, T5Config()), "t5 is an encoder-decoder"),
    "not causal": (
        lambda p: other_kind(p, BertConfig(is_decoder=False, num_hidden_layers=1)),
        "bert is an encoder",
    ),
    "NaN": (lambda p: reweigh(p, poisoned), r"layers\.1\.mlp\.up_proj.* holds NaN or infinity"),
    "infinity": (lambda p: reweigh(p, infinite), r"model\.norm.* holds NaN or infinity"),
    "pickle": (pickled, "only pytorch_model.bin, a pickle, which may run code"),
    "no weights": (lambda p: (p / "model.safetensors").unlink(), "the folder holds no weights"),
    "a weight short": (
        lambda p: reweigh(p, lambda w: w.pop("model.layers.0.mlp.up_proj.weight")),
        r"1 weight is missing.*layers\.0\.mlp\.up_proj",
    ),
    "a layer short": (lambda p: edit(p, num_hidden_layers=3), "weights are missing"),
    "a layer too many": (
        lambda p: edit(p, num_hidden_layers=1),
        r"hold \d weights for which .* has no place, such as 'model\.layers\.1\.input_layernorm",
    ),
    "another width": (
        lambda p: edit(p, intermediate_size=50),
        r"loaded: 6 weights .*mlp\.down_proj\.weight': \[32, 48\] in the files, \[32, 50\] by",
    ),
    "another vocabulary": (
        lambda p: edit(p, vocab_size=100),
        r"'lm_head\.weight': \[97, 32\] in the files, \[100, 32\] by the config",
    ),
    "integers": (lambda p: reweigh(p, whole_numbers), r"up_proj\.weight' in .* integers \(I8\)"),
    **{
        how: (lambda p, how=how: labelled(p, how, bits=4, group_size=128), f"quantised by {how}")
        for how in ("gptq", "awq", "compressed-tensors", "fp8", "mxfp4")
    },
    "no method": (
        lambda p: edit(p, quantization_config={"bits": 4}),
        "config says that its weights are quantised by None",
    ),
    "a width below nought": (lambda p: edit(p, hidden_size=-5), "cannot be"),
    "a width in letters": (
        lambda p: edit(p, hidden_size="64"),
        "config cannot be read.*hidden_size",
    ),
    "heads that do not divide": (lambda p: edit(p, num_attention_heads=7), "config cannot be read"),
    "a factor in letters": (
        lambda p: edit(
            p, rope_parameters={"rope_type": "linear", "factor": "x", "rope_theta": 1e4}
        ),
        "cannot be loaded .*'Tensor' and 'str'; look at the values in its config.json",
    ),
    "torn": (torn, "cannot be loaded"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_folder_is_one_sentence(how, tmp_path):
    spoil, said = BROKEN[how]
    folder(tmp_path)
    spoil(tmp_path)
    with pytest.raises(BadModel, match=said) as caught:
        load(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}: "), "the sentence says where"
    assert "\n" not in text
    assert len(text) < 400


def test_what_a_file_may_hold_beside(tmp_path):
    """Heads of a reward model, and buffers that older releases saved."""
    for family in ("grouped", "one key head, tied", "learned places"):
        place = folder(tmp_path / family, family)
        whole = load(place)
        more = {
            "score.weight": torch.ones(1, 32),
            "v_head.summary.weight": torch.ones(1, 32),
            "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
            "transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4, dtype=torch.uint8),
        }
        reweigh(place, lambda weights, more=more: weights.update(more))
        assert fingerprint(load(place).state_dict()) == fingerprint(whole.state_dict())


def test_a_missing_folder(tmp_path):
    for source in (tmp_path / "nowhere", str(tmp_path / "nowhere"), "./nowhere"):
        with pytest.raises(BadModel, match="there is no such folder"):
            load(source)
    with pytest.raises(BadModel, match="not in the cache of downloaded models") as caught:
        load("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_fingerprint_is_of_content():
    state = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(())}
    first = fingerprint(state)
    assert fingerprint({k: v.clone() for k, v in reversed(state.items())}) == first
    assert fingerprint({**state, "a": state["a"].t().contiguous().t()}) == first
    others = [
        {**state, "b": torch.full((), 1 + 2**-20)},
        {**state, "a": state["a"].view(3, 2)},
        {**state, "a": state["a"].view(torch.int32)},
        {"c": state["a"], "b": state["b"]},
        {"a": state["a"]},
        {**state, "a": state["a"].bfloat16()},
    ]
    assert len({first, *map(fingerprint, others)}) == 7


def test_context(tmp_path):
    assert context(tiny()) == 64
    assert context(tiny("learned places")) == 64
    odd = SimpleNamespace(model_type="odd")
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: odd))
    with pytest.warns(UserWarning, match="2048 is assumed"):
        assert context(model) == 2048


def test_tensors(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "good.safetensors")
    assert tensors(tmp_path / "good.safetensors")["w"].tolist() == [1, 1]
    save_file({"w": torch.tensor([1.0, float("nan")])}, tmp_path / "bad.safetensors")
    with pytest.raises(BadModel, match=r"bad\.safetensors: weight 'w' holds NaN"):
        tensors(tmp_path / "bad.safetensors")
    with pytest.raises(BadModel, match=r"none\.safetensors is missing"):
        tensors(tmp_path / "none.safetensors")


# --- out, and in again ---


def test_a_full_export_is_a_plain_folder(stories260k, tmp_path):
    policy = Policy.open(stories260k).trainable(lr=1e-3)
    rng = torch.Generator().manual_seed(0)
    for _, weight in policy.model.learned():
        weight.data.add_(torch.randn(weight.shape, generator=rng) * 0.02)
    policy.export(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert plain.dtype == torch.float32, "the config says in what precision the weights are"
    assert plain.config.tie_word_embeddings
    seqs = ragged((9, 4))
    for ids, want in zip(seqs, plain_logits(plain, seqs), strict=True):
        tokens = torch.tensor([ids])
        with torch.no_grad():
            got = policy.model.trunk.model(
                tokens, layout=Packed([len(ids)]), use_cache=False
            ).logits[0]
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
    opened = Policy.open(tmp_path)
    assert torch.equal(opened.logp(rows()), policy.logp(rows()))
    assert opened.fingerprint == policy.fingerprint != Policy.open(stories260k).fingerprint
    assert opened.speller.fingerprint == policy.speller.fingerprint


@pytest.mark.parametrize("family", ["grouped", "one key head, tied"])
def test_an_untied_head_stays_untied(family, tmp_path):
    save(tiny(family), tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert ("lm_head.weight" in names) == (family == "grouped")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    start = tiny(family, attn="eager")
    for a, b in zip(plain_logits(plain, ragged()), plain_logits(start, ragged()), strict=True):
        assert torch.equal(a, b)


def judged(stories260k: Path, lora) -> Critic:
    critic = Critic.on(Policy.open(stories260k), seed=5).trainable(lr=1e-3, lora=lora)
    rng = torch.Generator().manual_seed(0)
    for _, weight in critic.model.learned():
        weight.data.add_(torch.randn(weight.shape, generator=rng) * 0.05)
    critic.normalise(1.7, -0.3)
    return critic


@pytest.mark.parametrize("adapter", [False, True])
def test_a_critic_survives_its_folder(stories260k, tmp_path, adapter):
    critic = judged(stories260k, Lora(r=2) if adapter else None)
    critic.export(tmp_path)
    opened = Critic.open(tmp_path)
    assert torch.equal(opened.score(rows()), critic.score(rows()))
    assert torch.equal(opened.value(rows()), critic.value(rows()))
    assert opened.fingerprint == critic.fingerprint
    assert float(opened.model.gain) == pytest.approx(1.7)
    assert opened.score(rows()).std() > 0
    assert (tmp_path / "adapter_config.json").exists() == adapter


def test_a_critics_folder_that_lacks_something(stories260k, tmp_path):
    critic = judged(stories260k, None)
    critic.export(tmp_path)
    card = json.loads((tmp_path / "critic.json").read_text())
    (tmp_path / "critic.json").write_text(json.dumps(card | {"template": "other"}))
    with pytest.raises(BadModel, match="not the one it was trained with"):
        Critic.open(tmp_path)
    for text in ("{}", "{", "[]", json.dumps(card | {"gain": None})):
        (tmp_path / "critic.json").write_text(text)
        with pytest.raises(
            BadModel, match=r"critic\.json is damaged .*; export the reward"
        ) as caught:
            Critic.open(tmp_path)
        assert "\n" not in str(caught.value)
    (tmp_path / "critic.json").write_text(json.dumps(card))
    for head in ({}, {"weight": torch.ones(1, 1), "bias": torch.ones(1)}):
        save_file(head, tmp_path / "score_head.safetensors")
        with pytest.raises(BadModel, match=r"score_head\.safetensors holds .* \[1, 64\]"):
            Critic.open(tmp_path)
    (tmp_path / "score_head.safetensors").unlink()
    with pytest.raises(BadModel, match=re.escape("score_head.safetensors is missing")):
        Critic.open(tmp_path)
    with pytest.raises(BadModel, match="not a reward model of accord's"):
        Critic.open(stories260k)
    shutil.rmtree(tmp_path)


def test_a_reward_model_is_no_language_model(stories260k, tmp_path):
    judged(stories260k, None).export(tmp_path)
    with pytest.raises(BadModel, match=r"this is a reward model .*give it as the reward") as caught:
        Policy.open(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    Critic.open(tmp_path)


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_tied_weights_are_written_once(tmp_path, dtype):
    policy = Policy.open(SHIPPED)
    save(policy.model.trunk.model, tmp_path, dtype=dtype)
    written = load_file(tmp_path / "model.safetensors")
    own = sum(w.numel() for w in policy.model.trunk.model.parameters())
    assert sum(w.numel() for w in written.values()) == own
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.lm_head.weight is again.model.embed_tokens.weight
