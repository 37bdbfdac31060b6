"""A language model and a vision tower joined into one that sees, as LLaVA is (Liu et al. 2023).

Between them lies a new linear projector, drawn at random: what is made here sees nothing yet, and
learns to by imitating what is said of pictures (`accord sft`).  It is a plain Hugging Face folder.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, LlavaConfig, LlavaForConditionalGeneration

from accord.errors import BadModel
from accord.models import forms, load
from accord.text import folder as folders
from accord.text import hub
from accord.text.images import FILES, TOWERS

PICTURE = "<image>"
TEMPLATE = (
    "{% for m in messages %}{{ 'A: ' if m['role'] == 'assistant' else 'Q: ' }}"
    "{% for c in m['content'] %}{{ '<image>' if c['type'] == 'image' else c['text'] }}{% endfor %}"
    "{{ eos_token if m['role'] == 'assistant' else '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'A:' }}{% endif %}"
)
"""for a language model that has no template: questions and answers"""


def join(
    language: str | Path, tower: str | Path, out: Path, *, layer: int = -1, seed: int = 0
) -> None:
    """Write the folder of a model that sees with `tower` and speaks as `language` does.

    `layer` of the tower's hidden states is shown (LLaVA 1.5: -2), without its class token.  The
    token for pictures is added to the tokenizer; a model without a chat template gets one.
    """
    speaks = load.load(language)
    sees = _tower(tower)
    tokenizer = folders.tokenizer(language)
    tokenizer.add_special_tokens({"additional_special_tokens": [PICTURE]})
    tokenizer.chat_template = tokenizer.chat_template or TEMPLATE
    for part in (speaks, sees):
        part.config._name_or_path = ""  # where it lay on this machine is nobody's affair
    config = LlavaConfig(
        vision_config=sees.config,
        text_config=speaks.config,
        image_token_id=tokenizer.convert_tokens_to_ids(PICTURE),
        vision_feature_layer=layer,
        vision_feature_select_strategy="default" if "clip" in sees.config.model_type else "full",
        projector_hidden_act="linear",
        tie_word_embeddings=speaks.config.tie_word_embeddings,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: Any = LlavaForConditionalGeneration(config)
        made.model.vision_tower.load_state_dict(sees.state_dict())
        made.model.language_model.load_state_dict(forms.decoder(speaks).state_dict())
        made.lm_head.load_state_dict(forms.head(speaks).state_dict())
        rows = max(len(tokenizer), speaks.get_input_embeddings().num_embeddings)
        made.resize_token_embeddings(rows, mean_resizing=False)
        _level(made, speaks.get_input_embeddings().weight)
    out.mkdir(parents=True, exist_ok=True)
    load.save(made.eval(), out)
    tokenizer.save_pretrained(str(out))
    _beside(hub.folder(tower), out, tokenizer)


def _level(made: Any, words: torch.Tensor) -> None:
    """Projected patches begin about as large as words are, else nothing is read beside them."""
    between = made.model.multi_modal_projector
    for part in (between.linear_1, between.linear_2):
        nn.init.normal_(part.weight, std=part.in_features**-0.5)
        nn.init.zeros_(part.bias)
    with torch.no_grad():
        between.linear_2.weight.mul_(words.std())


def _tower(source: str | Path) -> Any:
    folder = hub.folder(source)
    config = load.configured(source, folder)
    if config.model_type not in TOWERS:
        raise BadModel(
            f"{source}: {config.model_type} is no tower; of {', '.join(TOWERS)} give one"
        )
    if not (folder / FILES[0]).is_file():
        raise BadModel(f"{source}: no {FILES[0]}, which says how it sees; copy it into the folder")
    return AutoModel.from_pretrained(
        folder, config=config, dtype=torch.float32, use_safetensors=True
    )


def _beside(tower: Path, out: Path, tokenizer: Any) -> None:
    """The processor of pictures, and what transformers' own pipelines want to know."""
    shutil.copy(tower / FILES[0], out / FILES[0])
    front = 1
    told = {
        "processor_class": "LlavaProcessor",
        "image_token": PICTURE,
        "num_additional_image_tokens": front,
        "vision_feature_select_strategy": "default",
    }
    config = json.loads((out / "config.json").read_text())
    vision = config["vision_config"]
    if "clip" not in vision["model_type"]:
        told |= {"num_additional_image_tokens": 0, "vision_feature_select_strategy": "full"}
    told["patch_size"] = vision["patch_size"]
    (out / FILES[1]).write_text(json.dumps(told, indent=2) + "\n")
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    (out / "generation_config.json").write_text(json.dumps(ends, indent=2) + "\n")
