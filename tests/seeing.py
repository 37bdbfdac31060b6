"""Tiny random models that see, as folders, and pictures for them."""

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow
from tokenizers import AddedToken
from transformers import (
    AutoModelForImageTextToText,
    LlavaConfig,
    Qwen2_5_VLConfig,
    Qwen2VLConfig,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import tongues
from accord.records import Image, Message, Text

PICTURE = "<image>"
PARTS = (
    "{% for m in messages %}{{ m['role'].upper() + ': ' }}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}{{ '<image>\n' }}"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% else %}{{ ' ' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT: ' }}{% endif %}"
)
"""as LLaVA's: parts in, the token where a picture stands"""
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
KINDS = ("llava", "qwen2_vl", "qwen2_5_vl")


def tokenizer() -> Any:
    """Byte-level BPE with a token for pictures."""
    made = tongues.byte_level()
    made.add_special_tokens([AddedToken(PICTURE, special=True, normalized=False)])
    return made


def _llava(vocab: int, place: int) -> tuple[Any, Any]:
    sight = {
        "model_type": "clip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    text = {"model_type": "llama", **SMALL, "vocab_size": vocab}
    config = LlavaConfig(vision_config=sight, text_config=text, image_token_id=place)
    size = {"height": 16, "width": 16}
    return config, CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=size)


def _qwen(kind: str, vocab: int, place: int) -> tuple[Any, Any]:
    sight: dict[str, Any] = {"depth": 2, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2}
    if kind == "qwen2_vl":
        sight |= {"embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2}
    else:
        sight |= {"hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 24}
        sight |= {"window_size": 16, "fullatt_block_indexes": [1]}
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    text = {**SMALL, "vocab_size": vocab, "rope_parameters": rope}
    form = Qwen2VLConfig if kind == "qwen2_vl" else Qwen2_5_VLConfig
    config = form(
        vision_config=sight,
        text_config=text,
        image_token_id=place,
        video_token_id=place,
        vision_start_token_id=place,
    )
    size = {"shortest_edge": 8 * 8, "longest_edge": 40 * 40}
    return config, Qwen2VLImageProcessorPil(patch_size=4, merge_size=2, size=size)


def folder(path: Path, kind: str = "llava", *, seed: int = 0, template: str | None = PARTS) -> Path:
    """A whole model folder that sees."""
    spelled = tokenizer()
    vocab, place = spelled.get_vocab_size(), spelled.token_to_id(PICTURE)
    config, processor = _llava(vocab, place) if kind == "llava" else _qwen(kind, vocab, place)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config, attn_implementation="eager")
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(path)
    processor.save_pretrained(path)
    told = json.loads((path / "preprocessor_config.json").read_text())
    (path / "preprocessor_config.json").write_text(json.dumps(told))
    tongues.folder(path, spelled, template)
    return path


def picture(path: Path, colour: str = "red", size: tuple[int, int] = (20, 12)) -> str:
    """A picture of one colour with a corner of another."""
    made = Pillow.new("RGB", size, colour)
    made.paste("white", (0, 0, size[0] // 2, size[1] // 3))
    made.save(path)
    return str(path)


def about(path: str, text: str = "What is this?") -> tuple[Message, ...]:
    """A question about a picture."""
    return (Message("user", (Image(path), Text(text))),)
