"""Model folders in and out."""

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from accord.errors import BadModel
from accord.models.attention import NAME

Dtype = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def load(
    source: str | Path, *, dtype: Dtype = "fp32", device: str | None = None
) -> PreTrainedModel:
    """A causal language model from a folder or a hub id, frozen, without dropout.

    Raises BadModel for a folder that is missing, not a model, not a decoder, or holds NaN.
    """
    config = _config(source)
    if getattr(config, "is_encoder_decoder", False):
        raise BadModel(f"{source}: {config.model_type} is an encoder-decoder; a decoder is needed")
    _no_dropout(config)
    try:
        model, notes = AutoModelForCausalLM.from_pretrained(
            source,
            config=config,
            dtype=DTYPES[dtype],
            attn_implementation=NAME,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BadModel(f"{source}: cannot be loaded as a causal language model: {error}") from error
    _all_there(source, notes)
    model.eval().requires_grad_(False)
    finite(model, str(source))
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _config(source: str | Path) -> Any:
    path = Path(source)
    looks_local = path.is_absolute() or str(source).startswith((".", "~")) or path.exists()
    if looks_local and not (path / "config.json").is_file():
        what = "there is no such folder" if not path.is_dir() else "the folder has no config.json"
        raise BadModel(f"{source}: {what}; give a Hugging Face model folder or a hub id")
    try:
        return AutoConfig.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise BadModel(f"{source}: its config cannot be read: {error}") from error


def _no_dropout(config: Any) -> None:
    """Dropout off for good: policy and reference must agree bit for bit before the first update."""
    for key, value in vars(config).items():
        if ("dropout" in key or key.endswith("pdrop")) and isinstance(value, float):
            setattr(config, key, 0.0)


def _all_there(source: str | Path, notes: dict[str, Any]) -> None:
    missing = sorted(notes.get("missing_keys") or ())
    if missing:
        raise BadModel(
            f"{source}: {len(missing)} weights are missing from the files, such as {missing[0]!r}; "
            "it is not a complete causal language model"
        )


def finite(model: nn.Module, source: str) -> None:
    """Raises BadModel at the first weight that holds a NaN or an infinity."""
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise BadModel(f"{source}: weight {name!r} holds NaN or infinity; the file is damaged")


def fingerprint(model: nn.Module) -> str:
    """sha256 over names, shapes and bytes of all weights: which model this is, wherever it lies."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def context(model: PreTrainedModel) -> int:
    """The most tokens a sequence may have."""
    config = model.config
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if isinstance(size := getattr(config, key, None), int):
            return size
    warnings.warn(f"{config.model_type} states no context length; 2048 is assumed", stacklevel=2)
    return 2048


def save(model: PreTrainedModel, folder: Path, *, dtype: torch.dtype | None = None) -> None:
    """A plain Hugging Face folder that `from_pretrained` loads unchanged."""
    state = {
        k: v.detach().to(dtype) if dtype else v.detach() for k, v in model.state_dict().items()
    }
    model.save_pretrained(folder, state_dict=state, safe_serialization=True)
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = str(dtype or model.dtype).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
