"""Random models of a few thousand weights, one per way in which families differ."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from accord.data.rows import Tokens, pad
from accord.engine.roles import Policy
from accord.models.attention import NAME
from accord.models.forms import still
from accord.models.heads import Speaker
from accord.models.trunk import Trunk
from families import FORMS, MORE
from toys import ToySpeller

VOCAB = 97
SMALL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"num_key_value_heads": 4}),
    "grouped": ("llama", {}),
    "one key head, tied": ("llama", {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    "window": ("mistral", {"sliding_window": 4}),
    "caps and windows": (
        "gemma2",
        {
            "head_dim": 8,
            "sliding_window": 4,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
            "query_pre_attn_scalar": 5,
        },
    ),
    "normed keys": ("qwen3", {"head_dim": 8}),
    "biases": ("qwen2", {}),
    "scaled logits": ("cohere", {"logit_scale": 0.25}),
    "divided logits": ("granite", {"logits_scaling": 3.0, "attention_multiplier": 0.4}),
    "learned places": (
        "gpt2",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_inner": 48},
    ),
}


def formed(family: str) -> tuple[str, dict[str, Any]]:
    """A family of the large table, as those of the small one are written."""
    form = FORMS[family]
    return form.kind, form.settings | MORE.get(family, {})


def tiny(
    family: str = "grouped", *, seed: int = 0, attn: str = NAME, **more: Any
) -> PreTrainedModel:
    """A frozen model of a family with weights drawn from a seed."""
    kind, own = FAMILIES[family] if family in FAMILIES else formed(family)
    settings = SMALL | own | more
    if kind.startswith("gpt_b") or kind == "gpt2":
        for key in [k for k in SMALL if k.startswith(("hidden", "num_"))]:
            del settings[key]
    config = AutoConfig.for_model(kind, **settings)
    still(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attn)
        for weight in model.parameters():
            if weight.dim() == 1:  # norms and biases are born as ones and zeros
                weight.data.add_(torch.randn(weight.shape) * 0.1)
    return model.eval().requires_grad_(False)


def tiny_policy(
    family: str = "grouped", *, ends: frozenset[int] = frozenset({1}), **more
) -> Policy:
    """The same as a handle."""
    speller = ToySpeller()
    speller.ends = ends
    return Policy(Speaker(Trunk(tiny(family, **more), "tiny")), speller)


def folder(path: Path, family: str = "grouped", **more: Any) -> Path:
    """The same as a folder of weights and config."""
    tiny(family, attn="eager", **more).save_pretrained(path)
    return path


def ragged(lengths=(9, 3, 14, 1, 6), *, seed: int = 0) -> list[tuple[int, ...]]:
    """Random sequences of these lengths."""
    rng = torch.Generator().manual_seed(seed)
    return [tuple(torch.randint(2, VOCAB, (n,), generator=rng).tolist()) for n in lengths]


def rows(prompts=(2, 5, 1, 3), answers=(4, 1, 7, 2), *, seed: int = 0) -> Tokens:
    """Random prompts and answers of these lengths."""
    return pad(ragged(prompts, seed=seed), ragged(answers, seed=seed + 1))


def plain_logits(model: PreTrainedModel, seqs: list[tuple[int, ...]]) -> list[Tensor]:
    """Logits of each sequence by transformers' own code, right-padded into one batch."""
    T = max(map(len, seqs))
    ids_BT = torch.zeros(len(seqs), T, dtype=torch.long)
    real_BT = torch.zeros(len(seqs), T, dtype=torch.long)
    for b, ids in enumerate(seqs):
        ids_BT[b, : len(ids)], real_BT[b, : len(ids)] = torch.tensor(ids), 1
    with torch.no_grad():
        logits_BTV = model(input_ids=ids_BT, attention_mask=real_BT, use_cache=False).logits
    return [logits_BTV[b, : len(ids)] for b, ids in enumerate(seqs)]
