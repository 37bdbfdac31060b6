"""One tiny random model per family: its settings, and the ways in which it differs.

docs/models.md shows this table; a test holds the two together.
"""

from typing import Any, NamedTuple


class Form(NamedTuple):
    """What is laid over `tiny.SMALL`, and what it is there to show."""

    kind: str
    ways: str
    settings: dict[str, Any]


WINDOW: dict[str, Any] = {"sliding_window": 4}
TURNS: dict[str, Any] = {
    **WINDOW,
    "num_hidden_layers": 3,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
WIDE: dict[str, Any] = {"head_dim": 16}
EXPERTS: dict[str, Any] = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 24,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
LATENT: dict[str, Any] = {
    "q_lora_rank": 12,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "head_dim": 4,
    "num_key_value_heads": 4,
    "n_shared_experts": 1,
}
LEARNED: dict[str, Any] = {
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "n_inner": 48,
}
GRANITE: dict[str, Any] = {
    "logits_scaling": 3.0,
    "attention_multiplier": 0.4,
    "embedding_multiplier": 2.0,
    "residual_multiplier": 0.5,
}


def rope(kind: str, **more: Any) -> dict[str, Any]:
    """A RoPE that is stretched in one of the ways of the field."""
    told = {"rope_type": kind, "rope_theta": 1e4, "factor": 2.0}
    return {"rope_parameters": told | {"original_max_position_embeddings": 32} | more}


LONG = rope("longrope", short_factor=[1.0] * 4, long_factor=[2.0] * 4)
BENT = rope("llama3", low_freq_factor=1.0, high_freq_factor=4.0)

FORMS = {
    "Llama": Form("llama", "grouped heads, head size of its own, attention biases", {}),
    "Llama 3": Form("llama", "stretched RoPE (llama3), one key head, tied", {}),
    "Llama, YaRN": Form("llama", "stretched RoPE (yarn)", {}),
    "Qwen 2": Form("qwen2", "biases on queries, keys and values", {}),
    "Qwen 2, window": Form("qwen2", "windows in the upper layers only", {}),
    "Qwen 3": Form("qwen3", "normed queries and keys, head size of its own", WIDE),
    "Mistral": Form("mistral", "window in every layer", WIDE | WINDOW),
    "Ministral 3": Form("ministral3", "scores scaled by place", WIDE),
    "Phi 1, 2": Form("phi", "RoPE on a part, parallel layers, biases, biased head", {}),
    "Phi 3": Form("phi3", "one matrix for queries, keys and values; window", WINDOW),
    "Phi 3, long": Form("phi3", "LongRoPE, inside its original context", {}),
    "Gemma": Form("gemma", "scaled embedding, tied", WIDE),
    "Gemma 2": Form("gemma2", "capped scores and logits, windows by layer, tied", {}),
    "Gemma 3": Form("gemma3_text", "a RoPE for windows and one for full layers, tied", {}),
    "Gemma 4": Form("gemma4_text", "embeddings by layer, keys shared by layers", {}),
    "GPT-2": Form("gpt2", "learned places, transposed layers, tied", LEARNED),
    "GPT-BigCode": Form("gpt_bigcode", "learned places, one key head", LEARNED),
    "GPT-NeoX": Form("gpt_neox", "one matrix by heads, RoPE on a quarter, parallel layers", {}),
    "OPT": Form("opt", "learned places from 2 on, tied", {}),
    "OPT-350m": Form("opt", "embedding of another width, norm after the layer", {}),
    "StableLM": Form("stablelm", "RoPE on a part; layers drop keywords", {}),
    "StableLM 2": Form("stablelm", "parallel layers, norms by head, biases", {}),
    "Starcoder 2": Form("starcoder2", "biases everywhere, window", WINDOW),
    "OLMo": Form("olmo", "norms without weights, clipped values", {"clip_qkv": 0.5}),
    "OLMo 2": Form("olmo2", "norm after the layer, normed queries and keys", {}),
    "OLMo 3": Form("olmo3", "windows by layer", TURNS),
    "SmolLM 3": Form("smollm3", "layers without RoPE", {}),
    "Cohere": Form("cohere", "scaled logits, parallel layers, tied", {}),
    "Cohere 2": Form("cohere2", "scaled logits, no RoPE in full layers", {}),
    "Granite": Form("granite", "multipliers of embedding, residual, scores and logits", GRANITE),
    "GLM": Form("glm", "interleaved RoPE on a half", WIDE),
    "GLM 4": Form("glm4", "four norms a layer", WIDE),
    "Nemotron": Form("nemotron", "RoPE on a half; layers drop keywords", {}),
    "Arcee": Form("arcee", "squared ReLU", {}),
    "EXAONE 4": Form("exaone4", "norm after the layer, windows by layer", TURNS),
    "Mixtral": Form("mixtral", "experts, window", EXPERTS | WINDOW),
    "Qwen 2 MoE": Form("qwen2_moe", "experts, and one shared by all tokens", EXPERTS),
    "Qwen 3 MoE": Form("qwen3_moe", "experts, normed queries and keys", EXPERTS | WIDE),
    "OLMoE": Form("olmoe", "experts, normed queries and keys", EXPERTS),
    "Phi 3.5 MoE": Form("phimoe", "experts by sparse mixing, biased head", EXPERTS),
    "Granite MoE": Form("granitemoe", "experts, multipliers", EXPERTS | GRANITE),
    "GLM 4 MoE": Form("glm4_moe", "experts by corrected scores", EXPERTS | WIDE),
    "DeepSeek 2": Form("deepseek_v2", "latent keys and values of two sizes, experts", {}),
    "DeepSeek 3": Form("deepseek_v3", "the same, experts by corrected scores", EXPERTS | LATENT),
}
MORE: dict[str, dict[str, Any]] = {
    "Llama": WIDE | {"attention_bias": True},
    "Llama 3": BENT | {"num_key_value_heads": 1, "tie_word_embeddings": True},
    "Llama, YaRN": rope("yarn"),
    "Ministral 3": rope("yarn", original_max_position_embeddings=8, llama_4_scaling_beta=0.5),
    "Qwen 2, window": {
        "use_sliding_window": True,
        "max_window_layers": 1,
        "num_hidden_layers": 3,
        **WINDOW,
    },
    "Phi 3, long": {**LONG, "original_max_position_embeddings": 32},
    "Gemma": {"tie_word_embeddings": True},
    "Gemma 2": {
        **WIDE,
        **WINDOW,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
        "query_pre_attn_scalar": 5,
        "tie_word_embeddings": True,
    },
    "Gemma 3": {**TURNS, **WIDE, "query_pre_attn_scalar": 5, "tie_word_embeddings": True},
    "Gemma 4": {
        **WINDOW,
        **WIDE,
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "global_head_dim": 24,
        "num_global_key_value_heads": 1,
        "num_kv_shared_layers": 2,
        "vocab_size_per_layer_input": 97,
        "hidden_size_per_layer_input": 8,
        "final_logit_softcapping": 3.0,
        "tie_word_embeddings": True,
    },
    "GPT-2": {"tie_word_embeddings": True},
    "OPT": {"ffn_dim": 48, "word_embed_proj_dim": 32, "tie_word_embeddings": True},
    "OPT-350m": {"ffn_dim": 48, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    "StableLM 2": {"use_parallel_residual": True, "qk_layernorm": True, "use_qkv_bias": True},
    "SmolLM 3": {"no_rope_layers": [1, 0]},
    "Cohere": {"logit_scale": 0.25, "tie_word_embeddings": True},
    "Cohere 2": {**TURNS, "logit_scale": 0.25},
    "DeepSeek 2": EXPERTS | LATENT | {"topk_method": "greedy"},
}
"""the longer ones"""
