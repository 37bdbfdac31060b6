"""Model folders in and out."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedModel,
)
from transformers.utils import logging

from accord.errors import AccordError, BadModel, first_line
from accord.models import forms, quantised
from accord.models.attention import NAME
from accord.models.probe import probe
from accord.text import hub

Dtype = Literal["fp32", "bf16", "int8", "int4"]
SEE = "docs/models.md lists what can run"
LONGEST = 240
"""characters of what a library says that are told on"""
_EXTRA = re.compile(
    r"(^|\.)((score|classifier|v_head|value_head|reward_head|summary|mtp\w*)\.|inv_freq$|mtp_)"
    r"|rotary_emb\.|\.(attn|attention)\.(masked_)?bias$|(^|\.)position_ids$"
)
"""what a file may hold beside a causal language model: other heads, and buffers of old releases"""
_WHOLE = re.compile(r"^(I|U)\d+$|^BOOL$")
"""safetensors' names of integers"""
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
    _speaks(source, config)
    if why := forms.unfit(config):
        raise BadModel(f"{source}: {config.model_type} {why}; {SEE}")
    _no_pickles(source, folder)
    readable(source, folder, config)
    forms.still(config)
    device = device or fastest()
    try:
        sees = config.model_type in forms.SEES
        model, notes = (
            AutoModelForImageTextToText if sees else AutoModelForCausalLM
        ).from_pretrained(
            folder,
            config=config,
            dtype=DTYPES[dtype],
            attn_implementation=attention(config),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            **quantised.options(dtype, device),
        )
    except AccordError:
        raise
    except Exception as error:  # whatever a family's code makes of odd numbers in a config
        if error.args == (NAME,):  # a family that picks its attention from a table of its own
            raise BadModel(f"{source}: {config.model_type} {forms.OWN_ATTENTION}; {SEE}") from error
        why = told(error)
        if isinstance(error, TypeError | ArithmeticError | AssertionError):
            why += "; look at the values in its config.json"
        raise BadModel(f"{source}: cannot be loaded as a causal language model: {why}") from error
    complete(source, notes, "causal language model")
    model.eval().requires_grad_(False)
    quantised.steady(model)
    finite(model.named_parameters(), source)
    if dtype not in quantised.KINDS:  # those lie there already
        model.to(device)
    if config.model_type not in forms.CHECKED | forms.SEES:
        try:
            probe(model)
        except BadModel as error:
            raise BadModel(f"{source}: {config.model_type} {error}; {SEE}") from error
    return model


def _speaks(source: str | Path, config: Any) -> None:
    """BadModel for a classifier: where its embeddings are tied, it would open as if it spoke."""
    made = [str(kind) for kind in getattr(config, "architectures", None) or ()]
    if made and all(kind.endswith(("Classification", "RewardModel")) for kind in made):
        raise BadModel(
            f"{source}: its config says that it is a classifier ({made[0]}), which weighs texts "
            "and says none; give a causal language model, or use this one as a reward "
            "(reward=FOLDER)"
        )


def class_of(config: Any) -> Any:
    """The class of transformers that models of this config are of."""
    sees = config.model_type in forms.SEES
    return AutoModelForImageTextToText if sees else AutoModelForCausalLM


def attention(config: Any) -> str | dict[str, str]:
    """Ours, for all that reads; what sees attends by torch."""
    sees = config.model_type in forms.SEES
    return {"text_config": NAME, "vision_config": "sdpa"} if sees else NAME


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
        said = json.loads(file.read_text())
        if "auto_map" in said and said.get("model_type") not in CONFIG_MAPPING:
            raise BadModel(
                f"{source}: its code comes with the folder, and accord runs no code from model "
                "folders; use a model of a family that transformers itself knows"
            )
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except AccordError:
        raise
    except Exception as error:  # whatever a family's checks raise
        raise BadModel(f"{source}: its config cannot be read: {told(error)}") from error


def told(error: Exception) -> str:
    """The same in one line, where the first alone says too little, and of what kind it is."""
    if isinstance(error, (OSError, ValueError, RuntimeError, SafetensorError)):
        said = first_line(error)
    else:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return said if len(said) <= LONGEST else f"{said[:LONGEST]} ..."


def _no_pickles(source: str | Path, folder: Path) -> None:
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(
            file.name for ext in ("bin", "pt", "pth") for file in folder.glob(f"*.{ext}")
        )
        what = f"only {pickles[0]}, a pickle, which may run code" if pickles else "no weights"
        raise BadModel(f"{source}: the folder holds {what}; save the model as safetensors")


def readable(source: str | Path, folder: Path, config: Any) -> None:
    """BadModel where weights are no floats, by their label or by themselves."""
    if label := getattr(config, "quantization_config", None):
        how = label.get("quant_method") if isinstance(label, dict) else label.quant_method
        how = str(getattr(how, "value", how))
        if how != "bitsandbytes":
            raise BadModel(
                f"{source}: its config says that its weights are quantised by {how}, which accord "
                "does not read; give the model they were made from, or a GGUF file"
            )
        quantised.installed(f"{source}, quantised by bitsandbytes,")
        return
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as weights:
                for name in weights.keys():  # noqa: SIM118  # it is no dict
                    kind = weights.get_slice(name).get_dtype()
                    if _WHOLE.match(kind) and not _EXTRA.search(name):
                        raise BadModel(
                            f"{source}: weight {name!r} in {file.name} is of integers ({kind}), "
                            "and its config has no quantization_config that says how to read "
                            "them; give the model in bf16 or fp32"
                        )
        except (OSError, SafetensorError) as error:
            raise BadModel(
                f"{source}: cannot be loaded: {file.name}: {first_line(error)}"
            ) from error


def complete(source: str | Path, notes: dict[str, Any], what: str) -> None:
    """BadModel where weights are missing, of other shapes, or of parts the config does not know.

    `notes` are `from_pretrained`'s.
    """
    missing = sorted(notes.get("missing_keys") or ())
    if missing:
        many = f"{len(missing)} weight{'s are' if len(missing) > 1 else ' is'} missing"
        raise BadModel(
            f"{source}: {many} from the files, such as {missing[0]!r}; it is not a complete {what}"
        )
    if odd := sorted(notes.get("mismatched_keys") or ()):
        name, there, wanted = odd[0]
        raise BadModel(
            f"{source}: cannot be loaded: {len(odd)} weights have other shapes than its config "
            f"says, such as {name!r}: {[*there]} in the files, {[*wanted]} by the config"
        )
    extra = sorted(k for k in notes.get("unexpected_keys") or () if not _EXTRA.search(k))
    if extra:
        raise BadModel(
            f"{source}: the files hold {len(extra)} weights for which the model of its config has "
            f"no place, such as {extra[0]!r}; give it the config that these weights were saved with"
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
