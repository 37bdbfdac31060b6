"""Model folders in and out."""

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from accord.errors import BadModel
from accord.models import quantised
from accord.models.attention import NAME

Dtype = Literal["fp32", "bf16", "int8", "int4"]
DTYPES = {"fp32": torch.float32} | dict.fromkeys(("bf16", *quantised.KINDS), torch.bfloat16)


def load(
    source: str | Path, *, dtype: Dtype = "fp32", device: str | None = None
) -> PreTrainedModel:
    """A causal language model from a folder or a hub id, frozen, without dropout.

    Raises BadModel for a folder that is missing, not a model, not a decoder, or holds NaN.
    """
    config = _config(source)
    _no_pickles(source)
    if getattr(config, "is_encoder_decoder", False):
        raise BadModel(f"{source}: {config.model_type} is an encoder-decoder; a decoder is needed")
    _no_dropout(config)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        model, notes = AutoModelForCausalLM.from_pretrained(
            source,
            config=config,
            dtype=DTYPES[dtype],
            attn_implementation=NAME,
            use_safetensors=True,
            output_loading_info=True,
            **quantised.options(dtype, device),
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        why = first_line(error)
        raise BadModel(f"{source}: cannot be loaded as a causal language model: {why}") from error
    _all_there(source, notes)
    model.eval().requires_grad_(False)
    quantised.steady(model)
    finite(model.named_parameters(), source)
    return model if dtype in quantised.KINDS else model.to(device)  # those lie there already


def hush() -> None:
    """No progress bars and no advice from transformers: a command has its own."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def _config(source: str | Path) -> Any:
    path = Path(source)
    looks_local = path.is_absolute() or str(source).startswith((".", "~")) or path.exists()
    looks_local |= str(source).count("/") > 1  # a hub id is owner/name
    if looks_local and not (path / "config.json").is_file():
        what = "there is no such folder" if not path.is_dir() else "the folder has no config.json"
        raise BadModel(f"{source}: {what}; give a Hugging Face model folder or a hub id")
    try:
        return AutoConfig.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise BadModel(f"{source}: its config cannot be read: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What the error of a library says, without the advice that follows."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _no_pickles(source: str | Path) -> None:
    folder = Path(source)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        pickles = sorted(
            file.name for ext in ("bin", "pt", "pth") for file in folder.glob(f"*.{ext}")
        )
        what = f"only {pickles[0]}, a pickle, which may run code" if pickles else "no weights"
        raise BadModel(f"{source}: the folder holds {what}; save the model as safetensors")


def _no_dropout(config: Any) -> None:
    """Dropout off for good: policy and reference must agree bit for bit before the first update."""
    for part in (config, config.get_text_config()):
        for key, value in vars(part).items():
            if ("dropout" in key or key.endswith("pdrop")) and isinstance(value, float):
                setattr(part, key, 0.0)


def _all_there(source: str | Path, notes: dict[str, Any]) -> None:
    missing = sorted(notes.get("missing_keys") or ())
    if missing:
        raise BadModel(
            f"{source}: {len(missing)} weights are missing from the files, such as {missing[0]!r}; "
            "it is not a complete causal language model"
        )


def tensors(file: Path) -> dict[str, Tensor]:
    """The weights in a safetensors file; BadModel where it is missing, damaged or holds NaN."""
    if not file.is_file():
        raise BadModel(f"{file.parent}: {file.name} is missing; copy or save the folder again")
    try:
        found = load_file(file)
    except (OSError, SafetensorError) as error:
        raise BadModel(f"{file}: cannot be read: {first_line(error)}") from error
    finite(found.items(), file)
    return found


def finite(weights: Iterable[tuple[str, Tensor]], source: str | Path) -> None:
    """Raises BadModel at the first weight that holds a NaN or an infinity."""
    for name, weight in weights:
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise BadModel(f"{source}: weight {name!r} holds NaN or infinity; the file is damaged")


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes and bytes of weights: which model this is, wherever it lies."""
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        digest.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode())
        flat = weight.detach().cpu().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def context(model: PreTrainedModel) -> int:
    """The most tokens a sequence may have."""
    config = model.config
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if isinstance(size := getattr(config, key, None), int):
            return size
    warnings.warn(f"{config.model_type} states no context length; 2048 is assumed", stacklevel=2)
    return 2048


def save(
    model: PreTrainedModel,
    folder: Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """A plain Hugging Face folder that `from_pretrained` loads unchanged.

    `weights` are those to write, where the model's own bear more than its class knows of.
    """
    quantised.whole(model, "saved")
    given = model.state_dict() if weights is None else weights
    made: dict[tuple[int, torch.Size], Tensor] = {}  # tied weights stay one, and are written once
    state = {
        k: made.setdefault((v.data_ptr(), v.shape), v.detach().to(dtype or v.dtype))
        for k, v in given.items()
    }
    model.save_pretrained(folder, state_dict=state, safe_serialization=True)
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = str(dtype or model.dtype).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
