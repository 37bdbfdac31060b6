"""How families differ where the flat forward pass has to know: heads, limits, and what cannot run.

A family is `config.model_type`.  Those in `CHECKED` have a tiny random model in the tests, held
against transformers' own code; any other is probed when it is loaded (probe.py).
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from accord.errors import BadModel
from accord.text import pictures

# fmt: off
CHECKED = frozenset((
    "arcee", "cohere", "cohere2", "deepseek_v2", "deepseek_v3", "exaone4", "gemma", "gemma2",
    "gemma3_text", "gemma4_text", "glm", "glm4", "glm4_moe", "gpt2", "gpt_bigcode", "gpt_neox",
    "granite", "granitemoe", "llama", "ministral3", "mistral", "mixtral", "nemotron", "olmo",
    "olmo2", "olmo3", "olmoe", "opt", "phi", "phi3", "phimoe", "qwen2", "qwen2_moe", "qwen3",
    "qwen3_moe", "smollm3", "stablelm", "starcoder2",
))
# fmt: on
"""model types the tests hold against transformers; docs/models.md lists them"""
SEES = frozenset(pictures.KINDS)
"""those that see, also held against transformers"""
_ENCODERS = frozenset(["bert", "camembert", "electra", "roberta", "xlm_roberta", "modernbert"])
_RECURRENT = frozenset(["rwkv", "xlstm"])
_SINKS = frozenset(["gpt_oss", "mimo_v2_flash"])
_ALIBI = frozenset(["bloom", "mpt"])
_OWN_ATTENTION = frozenset(["falcon", "gptj", "gpt_neo", "codegen"])
OWN_ATTENTION = "has an attention of its own, outside transformers' attention interface"
_DROPS_KEYWORDS = frozenset(["stablelm", "nemotron"])
"""families whose layers do not hand keywords to their attention"""
_ATTENDS = frozenset(["full_attention", "sliding_attention", "sparse", "dense", "moe", "mlp"])
"""kinds of layers that hold no state but keys and values"""


def unfit(config: Any) -> str | None:
    """Why a model of this config cannot run here, as the rest of a sentence; None if it may."""
    kind, text = config.model_type, config.get_text_config()
    layers = {*(getattr(text, "layer_types", None) or ())} - _ATTENDS
    senses = [name for name in config.sub_configs if name.startswith(("vision", "audio"))]
    reasons = {
        "is an encoder-decoder; a decoder is needed": getattr(config, "is_encoder_decoder", False),
        "is an encoder, which looks at what follows; a decoder is needed": kind in _ENCODERS,
        f"has layers of {', '.join(sorted(layers)) or 'recurrence'}; only full and sliding-window "
        "attention can run here": layers or kind in _RECURRENT,
        "has attention sinks, which are not supported": kind in _SINKS,
        "knows places by ALiBi, which is not supported": kind in _ALIBI
        or getattr(config, "alibi", False),
        OWN_ATTENTION: kind in _OWN_ATTENTION,
        f"reads more than text ({', '.join(senses)}); give a language model alone": senses
        and kind not in SEES,
    }
    return next((why for why, true in reasons.items() if true), None)


def decoder(model: PreTrainedModel) -> nn.Module:
    """All of the model but its head."""
    body = model.get_decoder()
    if body is None or body is model:
        raise BadModel(f"{type(model).__name__} has no separate decoder to run")
    return body  # type: ignore[no-any-return]


def head(model: PreTrainedModel) -> nn.Module:
    """The language-model head."""
    found = model.get_output_embeddings()
    if found is None:
        raise BadModel(f"{type(model).__name__} has no language-model head")
    return found  # type: ignore[no-any-return]


def width(model: PreTrainedModel) -> int:
    """The size of what the decoder hands to its head (OPT-350m: not that of its layers)."""
    return model.get_input_embeddings().embedding_dim  # type: ignore[no-any-return]


def logits(model: PreTrainedModel, hidden_NH: Tensor) -> Tensor:
    """logits_NV in fp32 (or better), with the scalings some families put behind the head."""
    return scaled(model, head(model)(hidden_NH))


def scaled(model: PreTrainedModel, logits_NV: Tensor) -> Tensor:
    """What the head says, in fp32 (or better), with the scalings behind it; never a placeholder of
    pictures.
    """
    logits_NV = logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32))
    config = model.config
    if model.config.model_type in SEES:
        logits_NV = logits_NV.clone()
        for i in placeholders(config):  # by number: no index has to reach a GPU at every token
            logits_NV[..., i] = -torch.inf
    if (scale := getattr(config, "logit_scale", None)) is not None:  # Cohere
        logits_NV = logits_NV * scale
    if (scale := getattr(config, "logits_scaling", None)) is not None:  # Granite
        logits_NV = logits_NV / scale
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:  # Gemma 2
        logits_NV = cap * torch.tanh(logits_NV / cap)
    return logits_NV


def placeholders(config: Any) -> list[int]:
    """Ids that stand for pictures and films in a template's text: nobody says them."""
    names = ("image_token_id", "image_token_index", "video_token_id")
    found = {getattr(config, name, None) for name in names}
    rows = config.get_text_config().vocab_size
    return sorted(i for i in found if isinstance(i, int) and 0 <= i < rows)


def context(model: PreTrainedModel) -> int:
    """The most tokens a sequence may have."""
    config = model.config.get_text_config()
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if isinstance(size := getattr(config, key, None), int):
            return min(size, _short_rope(config) or size)
    warnings.warn(f"{config.model_type} states no context length; 2048 is assumed", stacklevel=2)
    return 2048


def _short_rope(config: Any) -> int | None:
    """Where LongRoPE would change its frequencies for all places at once, with the longest sequence
    of the batch: a token's key would then depend on its company, so no sequence may reach beyond.
    """
    ropes = getattr(config, "rope_parameters", None) or {}
    ropes = ropes if "rope_type" not in ropes else {"all": ropes}
    ends = [
        rope.get("original_max_position_embeddings", config.max_position_embeddings)
        for rope in ropes.values()
        if isinstance(rope, dict) and rope.get("rope_type") == "longrope"
    ]
    return min(ends, default=None)


def still(config: Any) -> None:
    """No dropout and no dropped layers, for good: policy and reference must agree bit for bit
    before the first update.
    """
    for part in (config, config.get_text_config()):
        for key, value in vars(part).items():
            random = any(word in key for word in ("dropout", "pdrop", "layerdrop"))
            if random and isinstance(value, float):
                setattr(part, key, 0.0)


def carry(model: PreTrainedModel) -> None:
    """Take the layout across to attention in families whose layers drop keywords on the way.

    It rides on the tensor of positions, which every layer hands on, also when it is run again in
    the backward pass.
    """
    if model.config.model_type not in _DROPS_KEYWORDS:
        return
    decoder(model).register_forward_pre_hook(_load_up, with_kwargs=True)
    for part in model.modules():
        if hasattr(part, "layer_idx"):
            part.register_forward_pre_hook(_hand_over, with_kwargs=True)
            part.register_forward_hook(_take_back, always_call=True)


def _load_up(body: nn.Module, given: Any, named: dict[str, Any]) -> None:
    if "layout" in named:
        named["position_ids"].read_by = named["layout"]


def _hand_over(attention: nn.Module, given: Any, named: dict[str, Any]) -> None:
    attention.layout = getattr(named["position_ids"], "read_by", None)  # type: ignore[assignment]


def _take_back(attention: nn.Module, given: Any, made: Any) -> None:
    attention.layout = None  # type: ignore[assignment]  # or it would keep a cache alive
