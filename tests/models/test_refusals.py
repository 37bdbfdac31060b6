"""What cannot run is refused in a sentence, and never runs wrongly in silence."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from accord.engine.roles import Policy
from accord.errors import BadData, BadModel
from accord.models.attention import Heads, Packed
from accord.models.forms import CHECKED, context, unfit
from accord.models.load import load
from accord.models.lora import Lora
from accord.models.probe import probe
from accord.models.trunk import Trunk, flatten_ids
from families import FORMS
from tiny import SMALL, folder, ragged, tiny, tiny_policy
from tongues import folder as text_folder

LINEAR = "has layers of linear_attention; only full and sliding-window attention can run here"
REFUSED = {
    "mamba": LINEAR,
    "mamba2": LINEAR,
    "falcon_mamba": LINEAR,
    "jamba": LINEAR,
    "bamba": LINEAR,
    "falcon_h1": "has layers of hybrid;",
    "zamba": "has layers of hybrid, linear_attention;",
    "zamba2": "has layers of hybrid, linear_attention;",
    "nemotron_h": LINEAR,
    "granitemoehybrid": LINEAR,
    "recurrent_gemma": LINEAR,
    "qwen3_next": LINEAR,
    "qwen3_5_text": LINEAR,
    "minimax": LINEAR,
    "kimi_linear": LINEAR,
    "llama4_text": "has layers of chunked_attention;",
    "deepseek_v32": "has layers of indexed_attention;",
    "rwkv": "has layers of recurrence;",
    "xlstm": "has layers of recurrence;",
    "t5": "is an encoder-decoder",
    "bart": "is an encoder-decoder",
    "bert": "is an encoder,",
    "roberta": "is an encoder,",
    "gpt_oss": "has attention sinks",
    "mimo_v2_flash": "has attention sinks",
    "bloom": "knows places by ALiBi",
    "mpt": "knows places by ALiBi",
    "falcon": "has an attention of its own",
    "gptj": "has an attention of its own",
    "gpt_neo": "has an attention of its own",
    "codegen": "has an attention of its own",
    "gemma3": r"reads more than text \(vision_config\)",
    "qwen3_vl": r"reads more than text \(vision_config\)",
    "qwen2_audio": r"reads more than text \(audio_config\)",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_family_that_cannot_run(kind, tmp_path):
    """Told from its config, before a weight is read."""
    AutoConfig.for_model(kind).save_pretrained(tmp_path)
    with pytest.raises(BadModel, match=f"{kind} {REFUSED[kind]}") as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(caught.value)


def test_what_is_checked_is_not_refused():
    assert not CHECKED & REFUSED.keys()
    for family in FORMS:
        assert unfit(tiny(family).config) is None
    assert "ALiBi" in str(unfit(AutoConfig.for_model("falcon", alibi=True)))


def test_the_page_lists_them(root):
    page = (root / "docs" / "models.md").read_text()
    part = page.partition("## Refused")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", part)) >= REFUSED.keys()


# --- families nobody has checked ---


def other(path: Path, kind: str, **own: Any) -> Path:
    """A tiny model of a family that is not in the table."""
    config = AutoConfig.for_model(kind, **SMALL | own)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        for weight in model.parameters():
            if weight.dim() == 1:  # born as zeros, some of them hide what is special
                weight.data.add_(torch.randn(weight.shape) * 0.3)
        model.save_pretrained(path)
    return path


@pytest.mark.parametrize(("kind", "own"), [("seed_oss", {"head_dim": 8}), ("biogpt", {})])
def test_an_unknown_family_that_runs_as_its_own_code_is_let_in(kind, own, tmp_path):
    assert kind not in CHECKED
    model = load(other(tmp_path, kind, **own))
    assert model.config._attn_implementation == "accord", "the probe leaves all as it was"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("diffllama", "sequences run token by token get other logits"),
        ("doge", "sequences run side by side get other logits"),
        ("jetmoe", "cannot run here: RuntimeError in its own code"),
    ],
)
def test_an_unknown_family_that_does_not_is_refused(kind, said, tmp_path):
    with pytest.raises(BadModel, match=f"{kind} .*{said}.*docs/models.md") as caught:
        load(other(tmp_path, kind))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", FORMS)
def test_the_probe_lets_every_checked_family_in(family):
    model = tiny(family)
    Trunk(model)
    probe(model)


def test_the_probe_sees_logits_that_are_scaled_elsewhere(monkeypatch):
    """A head that does more than is known here."""
    model = tiny("Granite")
    probe(model)
    own = type(model).forward

    def louder(self, *a, **k):
        out = own(self, *a, **k)
        out.logits = out.logits * 1.01
        return out

    monkeypatch.setattr(type(model), "forward", louder)
    with pytest.raises(BadModel, match=r"side by side get other logits .*off by 1\.0%"):
        probe(model)


def test_the_probe_sees_neighbours_that_leak(monkeypatch):
    def leaking(self: Packed, heads: Heads, layer: int) -> torch.Tensor:
        attend(self, heads, layer)
        return heads.mix(heads.q[None], heads.k[None], heads.v[None])[0]

    attend = Packed.attend
    monkeypatch.setattr(Packed, "attend", leaking)
    with pytest.raises(BadModel, match="side by side"):
        probe(tiny())


def test_the_probe_misses_no_window():
    model = tiny("OLMo 3")
    for layer in model.model.layers:
        layer.self_attn.sliding_window = None
    with pytest.raises(BadModel, match="keeps its windows in a mask"):
        probe(model)


def test_attention_that_adds_something_is_refused_by_what_it_adds():
    sinks = AutoConfig.for_model("gpt_oss", **SMALL | {"head_dim": 8, "num_local_experts": 2})
    model = AutoModelForCausalLM.from_config(sinks, attn_implementation="accord")
    with pytest.raises(BadModel, match=r"cannot run here: GptOssAttention.*uses s_aux"):
        probe(model)


# --- folders ---


def test_code_that_comes_with_a_folder_is_not_run(tmp_path):
    folder(tmp_path)
    told = json.loads((tmp_path / "config.json").read_text())
    foreign = {"model_type": "ours", "auto_map": {"AutoConfig": "ours.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(told | foreign))
    (tmp_path / "ours.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(BadModel, match="its code comes with the folder"):
        load(tmp_path)
    known = told | {"auto_map": foreign["auto_map"]}  # a family that transformers has as well
    (tmp_path / "config.json").write_text(json.dumps(known))
    load(tmp_path)


def test_a_shard_that_is_missing(tmp_path):
    tiny(attn="eager").save_pretrained(tmp_path, max_shard_size="8KB")
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    load(tmp_path)
    shards[1].unlink()
    with pytest.raises(BadModel, match=shards[1].name) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def speaking(path: Path, *, vocab: int) -> Path:
    """A whole model folder: weights and a tokenizer."""
    folder(path, vocab_size=vocab)
    return text_folder(path, config=json.loads((path / "config.json").read_text()))


def test_a_tokenizer_of_another_model(tmp_path):
    Policy.open(speaking(tmp_path / "fits", vocab=400))
    with pytest.raises(BadModel, match=r"its tokenizer has \d+ ids, its embedding 97"):
        Policy.open(speaking(tmp_path / "short", vocab=97))


def test_an_adapter_without_its_base(tmp_path):
    base = speaking(tmp_path / "base", vocab=400)
    Policy.open(base).trainable(lr=1e-3, lora=Lora(r=2)).export(tmp_path / "adapter")
    Policy.open(tmp_path / "adapter")
    base.rename(tmp_path / "moved")
    said = f"{tmp_path}/adapter: the base of this adapter, {base}: there is no such folder"
    with pytest.raises(BadModel, match=said):
        Policy.open(tmp_path / "adapter")


def test_weights_without_a_head(tmp_path):
    """A reward model or encoder saved under a causal model's config."""
    folder(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["score.weight"] = weights.pop("lm_head.weight")[:1].clone()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadModel, match=r"1 weight is missing.*lm_head\.weight"):
        load(tmp_path)


# --- limits ---


@pytest.mark.parametrize("family", ["GPT-2", "OPT", "Llama"])
def test_the_context_has_an_end(family):
    """Learned places have no more rows there."""
    trunk = Trunk(tiny(family))
    with torch.no_grad():
        trunk(flatten_ids(ragged((64, 3)), Packed([64, 3]), trunk.device))
        with pytest.raises(BadData, match="a sequence has 65 tokens; this model reads at most 64"):
            trunk(flatten_ids(ragged((3, 65)), Packed([3, 65]), trunk.device))
    policy = tiny_policy(family)
    policy.sample(ragged((60,)), longest=4, seed=0)
    with pytest.raises(BadData, match="has 61 tokens"):
        policy.sample(ragged((61,)), longest=4, seed=0)


def test_an_id_beyond_the_vocabulary():
    with pytest.raises(BadData, match="token id 97 is beyond this model's vocabulary of 97"):
        tiny_policy().sample([(3, 97)], longest=4, seed=0)


def test_rope_that_changes_with_the_longest_sequence_is_kept_from_changing(tmp_path):
    """LongRoPE: within its original context only.  Also where an older config says it."""
    assert context(tiny("Phi 3, long")) == 32
    told = json.loads((folder(tmp_path, "Phi 3, long") / "config.json").read_text())
    rope = told.pop("rope_parameters")
    old = {key: rope[key] for key in ("short_factor", "long_factor")} | {"type": "longrope"}
    (tmp_path / "config.json").write_text(json.dumps(told | {"rope_scaling": old}))
    assert context(load(tmp_path)) == 32
    stretched = {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}
    assert context(tiny(**stretched)) == 64, "beyond that it would change"
