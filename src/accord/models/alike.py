"""Which models are built like Llama: the parts they have, and no part or number that is unknown.

The look is strict: a module with an attribute, a hook or a replaced method that Llama, Mistral,
Qwen 2 and Qwen 3 do not have may compute something else, and is left to its own code.
"""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from accord.models import masters
from accord.models.products import KINDS

# fmt: off
_ATTENTION = frozenset((
    "config", "layer_idx", "head_dim", "num_key_value_groups", "scaling", "attention_dropout",
    "is_causal", "sliding_window", "layer_type",
))
_MLP = frozenset(("config", "hidden_size", "intermediate_size"))
_LAYER = frozenset(("hidden_size", "attention_type", "layer_type", "gradient_checkpointing"))
_BODY = frozenset((
    "config", "padding_idx", "vocab_size", "gradient_checkpointing", "has_sliding_layers",
    "all_tied_weights_keys", "kernel_config", "loss_type", "name_or_path", "peft_config",
    "is_loaded_in_8bit", "is_loaded_in_4bit", "is_quantized", "hf_quantizer",
))
_ROPE = frozenset((
    "rope_type", "rope_theta", "factor", "original_max_position_embeddings", "attention_factor",
    "beta_fast", "beta_slow", "low_freq_factor", "high_freq_factor", "mscale", "mscale_all_dim",
    "truncate",
))
# fmt: on
_NORMS = {"variance_epsilon"}, {"eps", "normalized_shape", "elementwise_affine"}
_MODULE = frozenset(vars(nn.Module()))
_HOOKS = "_forward_hooks", "_forward_pre_hooks"
_OURS = masters._round, masters._restore
_CHECKPOINTING = "make_inputs_require_grads"
"""a hook of transformers' own on the embedding, where activations are recomputed"""
_LINEAR = "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"


def unlike(body: Any) -> str | None:
    """What sets a decoder apart from Llama's; None if nothing does."""
    return next(_odd(body), None)


def _odd(body: Any) -> Iterator[str]:
    layers = getattr(body, "layers", None)
    wanted = {"embed_tokens", "layers", "norm", "rotary_emb"}
    if not isinstance(layers, nn.ModuleList) or dict(body.named_children()).keys() != wanted:
        yield f"{type(body).__name__} has other parts"
        return
    yield from _strange(body, _BODY)
    if type(body.embed_tokens) is not nn.Embedding or body.embed_tokens.max_norm is not None:
        yield f"its embedding is a {type(body.embed_tokens).__name__}"
    rope = getattr(body.config, "rope_parameters", None) or {}
    for key in rope.keys() - _ROPE:
        yield f"its RoPE has {key}"
    yield from _norm(body.norm)
    if body.norm.weight.dtype not in KINDS:
        yield f"it computes in {body.norm.weight.dtype}"
    for layer in layers:
        yield from _layer(layer)
    for module in body.modules():
        yield from _hooked(module)


def _layer(layer: Any) -> Iterator[str]:
    wanted = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
    if dict(layer.named_children()).keys() != wanted:
        yield f"{type(layer).__name__} has other parts"
        return
    attention, mlp = dict(layer.self_attn.named_children()), dict(layer.mlp.named_children())
    norms = {"q_norm", "k_norm"} & attention.keys()
    if attention.keys() - norms != {*_LINEAR[:4]} or len(norms) == 1:
        yield f"{type(layer.self_attn).__name__} has other parts"
    elif mlp.keys() != {*_LINEAR[4:], "act_fn"}:
        yield f"{type(layer.mlp).__name__} has other parts"
    else:
        yield from _strange(layer, _LAYER)
        yield from _strange(layer.self_attn, _ATTENTION)
        yield from _strange(layer.mlp, _MLP)
        yield from _norm(layer.input_layernorm)
        yield from _norm(layer.post_attention_layernorm)
        for name in norms:
            yield from _norm(attention[name], layer.self_attn.head_dim)


def _told(module: nn.Module) -> set[str]:
    """Names of what a module keeps beside its parts and parameters."""
    names = vars(module).keys() - _MODULE - {"rounded_to", "masters"}
    return {name for name in names if not name.startswith("_")}


def _strange(module: nn.Module, known: frozenset[str]) -> Iterator[str]:
    for name in sorted(_told(module) - known):
        yield f"{type(module).__name__} has {name}"
    if own := dict(module.named_parameters(recurse=False)):
        yield f"{type(module).__name__} has {next(iter(own))}"


def _norm(module: nn.Module, width: int | None = None) -> Iterator[str]:
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    line = isinstance(weight, Tensor) and weight.dim() == 1 and width in (None, len(weight))
    if _told(module) not in _NORMS or not line or bias is not None:
        yield f"{type(module).__name__} is another norm"


def _hooked(module: nn.Module) -> Iterator[str]:
    hooks = [hook for name in _HOOKS for hook in vars(module)[name].values()]
    odd = [h for h in hooks if h not in _OURS and getattr(h, "__name__", "") != _CHECKPOINTING]
    if "forward" in vars(module) or odd:
        yield f"{type(module).__name__} has a hook or a replaced forward"


def epsilon(norm: Any) -> float:
    """What keeps a norm from dividing by zero."""
    eps = getattr(norm, "variance_epsilon", None)
    return float(norm.eps if eps is None else eps)
