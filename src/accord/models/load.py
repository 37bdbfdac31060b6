"""Model folders in and out."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from accord.errors import BadModel
from accord.models import forms, quantised
from accord.models.attention import NAME
from accord.models.probe import probe
from accord.text import hub

Dtype = Literal["fp32", "bf16", "int8", "int4"]
SEE = "docs/models.md lists what can run"
DTYPES = {"fp32": torch.float32} | dict.fromkeys(("bf16", *quantised.KINDS), torch.bfloat16)


def load(
    source: str | Path, *, dtype: Dtype = "fp32", device: str | None = None
) -> PreTrainedModel:
    """A causal language model from a folder or a hub id, frozen, without dropout.

    Raises BadModel for a folder that is missing, not a model, not a decoder, or holds NaN, and for
    a family that cannot run here.
    """
    folder = hub.folder(source)
    config = configured(source, folder)
    if why := forms.unfit(config):
        raise BadModel(f"{source}: {config.model_type} {why}; {SEE}")
    _no_pickles(source, folder)
    forms.still(config)
    device = device or fastest()
    try:
        model, notes = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=DTYPES[dtype],
            attn_implementation=NAME,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **quantised.options(dtype, device),
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if error.args == (NAME,):  # a family that picks its attention from a table of its own
            raise BadModel(f"{source}: {config.model_type} {forms.OWN_ATTENTION}; {SEE}") from error
        why = first_line(error)
        raise BadModel(f"{source}: cannot be loaded as a causal language model: {why}") from error
    _all_there(source, notes)
    model.eval().requires_grad_(False)
    quantised.steady(model)
    finite(model.named_parameters(), source)
    if dtype not in quantised.KINDS:  # those lie there already
        model.to(device)
    if config.model_type not in forms.CHECKED:
        try:
            probe(model)
        except BadModel as error:
            raise BadModel(f"{source}: {config.model_type} {error}; {SEE}") from error
    return model


def fastest() -> str:
    """Where models lie unless told otherwise: on the GPU that CUDA calls its first, if any."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def hush() -> None:
    """No progress bars and no advice from transformers: a command has its own."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def configured(source: str | Path, folder: Path) -> Any:
    """The config in a folder; BadModel where there is none, or it cannot be read."""
    file = folder / "config.json"
    if not file.is_file():
        what = "the folder has no config.json" if folder.is_dir() else "there is no such folder"
        raise BadModel(f"{source}: {what}; give a Hugging Face model folder or a hub id")
    try:
        told = json.loads(file.read_text())
        if "auto_map" in told and told.get("model_type") not in CONFIG_MAPPING:
            raise BadModel(
                f"{source}: its code comes with the folder, and accord runs no code from model "
                "folders; use a model of a family that transformers itself knows"
            )
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadModel(f"{source}: its config cannot be read: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What the error of a library says, without the advice that follows."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _no_pickles(source: str | Path, folder: Path) -> None:
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(
            file.name for ext in ("bin", "pt", "pth") for file in folder.glob(f"*.{ext}")
        )
        what = f"only {pickles[0]}, a pickle, which may run code" if pickles else "no weights"
        raise BadModel(f"{source}: the folder holds {what}; save the model as safetensors")


def _all_there(source: str | Path, notes: dict[str, Any]) -> None:
    missing = sorted(notes.get("missing_keys") or ())
    if missing:
        many = f"{len(missing)} weight{'s are' if len(missing) > 1 else ' is'} missing"
        raise BadModel(
            f"{source}: {many} from the files, such as {missing[0]!r}; "
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
