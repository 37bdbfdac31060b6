"""Small GGUF files, written from transformers models as llama.cpp's converter writes them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

TEMPLATE = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
WORDS = [*SPECIAL, *(chr(i) for i in range(33, 127)), "Ġ", "Ċ", "he", "Ġhe", "12", "hel"]
MERGES = ["h e", "Ġ he", "1 2", "he l"]
SHAPE: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama, all heads, own head": {"num_key_value_heads": 4, "tie_word_embeddings": False},
    "llama, biased": {"attention_bias": True},
    "llama, stretched": {
        "head_dim": 16,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    "qwen2": {},
    "qwen3": {"head_dim": 32},
    "phi3": {"tie_word_embeddings": False},
}


def model(kind: str, seed: int = 0, **more: Any) -> PreTrainedModel:
    """A random model of one of KINDS, every weight far from where it is born."""
    arch = kind.split(",")[0]
    config = AutoConfig.for_model(arch, **(SHAPE | KINDS[kind] | more))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = AutoModelForCausalLM.from_config(config)
        for weight in made.parameters():
            if weight.dim() == 1:
                weight.data.add_(torch.randn(weight.shape) * 0.1)
    return made.eval()


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's order of the rows of q and k (LlamaModel.permute of its converter)."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def write(
    path: Path,
    source: PreTrainedModel,
    types: str = "F32",
    *,
    said: dict[str, Any] | None = None,
    leave_out: tuple[str, ...] = (),
) -> Path:
    """A GGUF file, its matrices stored as `types`; `said`: more metadata, None: leave out."""
    import gguf

    config = source.config
    arch = config.model_type
    writer = gguf.GGUFWriter(path, arch)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if arch == "qwen3":
        writer.add_key_length(config.head_dim)
    for name, value in (words() | (said or {})).items():
        if value is not None:
            _add(writer, name, value)
    if config.rope_parameters["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", factors(config))
    arch_key = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[arch]
    names = gguf.get_tensor_name_map(arch_key, config.num_hidden_layers)
    for key, weight in source.state_dict().items():
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        tied = key == "lm_head.weight" and config.tie_word_embeddings
        if tied or name in leave_out:
            continue
        value = weight.numpy()
        if arch == "llama" and ("q_proj" in key or "k_proj" in key):
            heads = "num_attention_heads" if "q_proj" in key else "num_key_value_heads"
            value = permuted(value, getattr(config, heads))
        kind = gguf.GGMLQuantizationType[types if value.ndim > 1 else "F32"]
        writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def words() -> dict[str, Any]:
    """The tokenizer's part of the metadata: bytes, three control tokens, four merges."""
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": WORDS,
        "tokenizer.ggml.token_type": [3] * len(SPECIAL) + [1] * (len(WORDS) - len(SPECIAL)),
        "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def factors(config: Any) -> np.ndarray:
    """What Llama 3.1's frequencies are divided by, as llama.cpp's converter computes it."""
    rope = config.rope_parameters
    size, old = config.head_dim, rope["original_max_position_embeddings"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    found = []
    for i in range(0, size, 2):
        length = 2 * np.pi * rope["rope_theta"] ** (i / size)
        if length < old / high:
            found.append(1.0)
        elif length > old / low:
            found.append(rope["factor"])
        else:
            smooth = (old / length - low) / (high - low)
            found.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(found, dtype=np.float32)


def _add(writer: Any, name: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(name, value)
    elif isinstance(value, int):
        writer.add_uint32(name, value)
    elif isinstance(value, float):
        writer.add_float32(name, value)
    elif isinstance(value, str):
        writer.add_string(name, value)
    else:
        writer.add_array(name, value)
