"""GGUF files, llama.cpp's format, as plain Hugging Face folders: converted once, then kept.

Weights are dequantised to what the file says exactly: fp32, or the 16-bit type they are stored in.
The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import fcntl
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from accord.errors import BadData, BadModel, CannotWrite, MissingExtra
from accord.models.gguf_words import Words
from accord.store import artifact, files

CONVERTER = 1
"""raised whenever the same file would be converted to something else"""
SHARD = 4 * 2**30
"""bytes of weights in one file"""
_UNREADABLE = (OSError, ValueError, KeyError, IndexError, OverflowError, TypeError)
"""what the reader of a damaged file fails with"""


@dataclass(frozen=True)
class Family:
    """How one architecture lies in a GGUF file."""

    kind: str
    """its model_type in transformers"""
    paired: bool = False
    """rows of q and k that rotate together lie side by side, not half a head apart"""
    biased: bool = False
    """transformers asks for its attention biases by a setting, attention_bias"""


FAMILIES = {
    "llama": Family("llama", paired=True, biased=True),
    "qwen2": Family("qwen2"),
    "qwen3": Family("qwen3", biased=True),
    "phi3": Family("phi3"),
}
_NUMBERS = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.sliding_window": "sliding_window",
}
_READ = {
    *_NUMBERS,
    "vocab_size",
    "attention.key_length",
    "attention.value_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
}
_KEPT = {"F16": torch.float16, "BF16": torch.bfloat16}
"""types that are stored as they are; all others become fp32"""


def as_folder(source: str | Path) -> str | Path:
    """A Hugging Face folder for a GGUF file, or for a folder that holds one; else the source.

    The first call converts, which takes a pass over the file and room for its weights in the cache
    ($ACCORD_CACHE, or accord in $XDG_CACHE_HOME or ~/.cache); later ones find it by its content.
    """
    file = find(source)
    if file is None:
        return source
    try:
        told: dict[str, Any] = {
            "kind": "model",
            "settings": {"converter": CONVERTER},
            "data": files.sha256(file),
        }
        folder = cache() / "gguf" / f"{told['data'][:24]}-{CONVERTER}"
        with _alone(folder):
            _keep_sound(folder)
            artifact.finish(folder, lambda into: File(file).write(into), **told)
    except CannotWrite as error:
        advice = str(error).rpartition("; ")[0]
        raise CannotWrite(f"{advice}; make room, or say where with ACCORD_CACHE=FOLDER") from error
    except OSError as error:
        raise BadModel(f"{file}: cannot be read: {error.strerror}") from error
    return folder


def find(source: str | Path) -> Path | None:
    """The GGUF file that is meant, if one is: BadModel where it is absent, or one of several."""
    path = Path(source)
    if path.suffix == ".gguf" and not path.is_dir():
        if not path.is_file():
            raise BadModel(f"{path}: there is no such file")
        return path
    if not path.is_dir() or any((path / f"{n}config.json").exists() for n in ("", "adapter_")):
        return None
    found = sorted(path.glob("*.gguf"))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise BadModel(f"{path}: the folder holds {len(found)} GGUF files ({names}); name one")
    return found[0] if found else None


def cache() -> Path:
    """Where converted models are kept."""
    if own := os.environ.get("ACCORD_CACHE"):
        return Path(own).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "accord"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process converts; a second waits, and finds it done."""
    with files.writing(f"the cache {folder.parent}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _keep_sound(folder: Path) -> None:
    """A cached folder that is no longer what was written is made again."""
    try:
        if folder.exists():
            artifact.open_artifact(folder)
    except BadData as error:
        warnings.warn(f"{error}; it is a cache, and is made again", stacklevel=2)
        shutil.rmtree(folder)


class File:
    """A GGUF file, opened."""

    def __init__(self, path: Path):
        self.path = path
        gguf = _library()
        if re.search(r"-\d{5}-of-\d{5}$", path.stem):
            raise BadModel(f"{path}: one part of a split file; merge it first: llama-gguf-split")
        try:
            reader = gguf.GGUFReader(path)
            self.said = {key: field.contents() for key, field in reader.fields.items()}
        except _UNREADABLE as error:
            raise self._damaged(error) from error
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.kind = str(self.said.get("general.architecture", "none"))
        if self.kind not in FAMILIES:
            raise BadModel(
                f"{path}: the architecture {self.kind!r} is not one that is read from GGUF "
                f"({', '.join(FAMILIES)}); give the original Hugging Face folder, or convert the "
                "file with transformers: from_pretrained(folder, gguf_file=name, dequantize)"
            )
        self.family = FAMILIES[self.kind]

    def write(self, folder: Path) -> None:
        """Config, weights and tokenizer, as transformers reads them."""
        self._unknown()
        model = self._empty()
        places = self._places(model)
        self._write_weights(folder, places)
        model.config.architectures = [type(model).__name__]
        model.config.dtype = self._dtype()
        model.config.save_pretrained(folder)
        words = Words(self.path, self.said, model.config.max_position_embeddings)
        words.save(folder)
        GenerationConfig(**words.ends()).save_pretrained(folder)

    def weight(self, name: str) -> Tensor:
        """One weight, dequantised, in transformers' order of rows."""
        told = self.tensors[name]
        try:
            value = _library().quants.dequantize(told.data, told.tensor_type)
        except NotImplementedError as error:
            raise BadModel(
                f"{self.path}: {name} is stored as {told.tensor_type.name}, which cannot be read"
            ) from error
        made = torch.from_numpy(value.copy()).to(_KEPT.get(told.tensor_type.name, torch.float32))
        if self.family.paired and (part := re.search(r"\.attn_([qk])\.", name)):
            heads = self._heads if part[1] == "q" else self._key_heads
            pairs = made.view(heads, -1, 2, *made.shape[1:])
            made = pairs.transpose(1, 2).reshape(made.shape)
        return made.contiguous()

    # --- the config ---

    def _number(self, key: str, default: Any = None) -> Any:
        value = self.said.get(f"{self.kind}.{key}", default)
        if value is None:
            raise BadModel(f"{self.path}: its metadata lack {self.kind}.{key}")
        if isinstance(value, list):
            raise BadModel(
                f"{self.path}: {self.kind}.{key} differs from layer to layer; such models are "
                "not read from GGUF: give the original Hugging Face folder"
            )
        return value

    @cached_property
    def _heads(self) -> int:
        return int(self._number("attention.head_count"))

    @cached_property
    def _key_heads(self) -> int:
        return int(self._number("attention.head_count_kv", self._heads))

    def _config(self) -> Any:
        """The transformers config that the metadata describe."""
        heads, width = self._heads, self._number("embedding_length")
        told = {new: self._number(old, 0) for old, new in _NUMBERS.items() if "window" not in old}
        told |= {"num_key_value_heads": self._key_heads}
        if self.kind == "phi3":
            window = self.said.get("phi3.attention.sliding_window")
            told |= {"sliding_window": int(window) if window else None}
        elif self.kind != "qwen2":
            told["head_dim"] = self._number("attention.key_length", width // heads)
        if self.family.biased:
            told["attention_bias"] = "blk.0.attn_q.bias" in self.tensors
        vocab = next(reversed(self._tensor("token_embd.weight").shape.tolist()))
        ids = Words(self.path, self.said).ids
        return AutoConfig.for_model(
            self.family.kind,
            vocab_size=int(vocab),
            tie_word_embeddings="output.weight" not in self.tensors,
            rope_parameters=self._rope(told),
            **told,
            **{key: ids.get(key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
        )

    def _rope(self, told: dict[str, Any]) -> dict[str, Any]:
        """Rotary settings.  Llama 3.1 stores the factors that its settings give: found again."""
        theta = float(self._number("rope.freq_base", 10000.0))
        kind = self.said.get(f"{self.kind}.rope.scaling.type", "none")
        plain = {"rope_type": "default", "rope_theta": theta}
        if kind == "linear":
            return plain | {"rope_type": "linear", "factor": self._number("rope.scaling.factor")}
        size = told.get("head_dim", told["hidden_size"] // told["num_attention_heads"])
        turned = self._number("rope.dimension_count", size)
        long = [name for name in self.tensors if name.startswith("rope_factors_")]
        if kind != "none" or turned != size or long:
            what = kind if kind != "none" else f"{turned} of {size} dimensions rotated"
            raise BadModel(
                f"{self.path}: its rotary embeddings ({long[0] if long else what}) are not read "
                "from GGUF; give the original Hugging Face folder"
            )
        if "rope_freqs.weight" not in self.tensors:
            return plain
        given = self.weight("rope_freqs.weight")
        made = plain | {
            "rope_type": "llama3",
            "factor": float(given.max()),
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
        config = AutoConfig.for_model(self.family.kind, **told, rope_parameters=made)
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
        whole = theta ** -(torch.arange(0, size, 2, dtype=torch.float32) / size)
        if not torch.allclose(whole / scaled, given, rtol=1e-4):
            raise BadModel(
                f"{self.path}: its rope_freqs are not those of Llama 3.1; give the original "
                "Hugging Face folder"
            )
        return made

    def _unknown(self) -> None:
        mine = {key for key in self.said if key.startswith(f"{self.kind}.")}
        if odd := sorted(mine - {f"{self.kind}.{key}" for key in _READ}):
            warnings.warn(f"{self.path}: {', '.join(odd)} not understood, left out", stacklevel=2)

    # --- the weights ---

    def _tensor(self, name: str) -> Any:
        if name not in self.tensors:
            raise BadModel(f"{self.path}: the tensor {name} is missing; the file is not complete")
        return self.tensors[name]

    def _empty(self) -> PreTrainedModel:
        config = self._config()
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)  # type: ignore[no-any-return]

    def _places(self, model: PreTrainedModel) -> dict[str, str]:
        """transformers' name of every weight -> its name here; every tensor has its place."""
        gguf = _library()
        arch = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[self.kind]
        names = gguf.get_tensor_name_map(arch, model.config.num_hidden_layers)
        places = {}
        for key, weight in model.state_dict().items():
            if key == "lm_head.weight" and model.config.tie_word_embeddings:
                continue
            name = names.get_name(key, try_suffixes=(".weight", ".bias"))
            shape = tuple(self._tensor(name or key).shape.tolist())[::-1]
            if shape != tuple(weight.shape):
                raise BadModel(
                    f"{self.path}: {name} has shape {shape}, and its settings ask for "
                    f"{tuple(weight.shape)}"
                )
            places[key] = name
        left = sorted(self.tensors.keys() - {*places.values(), "rope_freqs.weight"})
        if left:
            raise BadModel(
                f"{self.path}: {len(left)} of its tensors, such as {left[0]}, have no place in "
                f"transformers' {self.family.kind}; give the original Hugging Face folder"
            )
        return places

    def _dtype(self) -> torch.dtype:
        """The narrowest type that holds every matrix exactly."""
        kinds = {t.tensor_type.name for t in self.tensors.values() if len(t.shape) > 1}
        only = kinds.pop() if len(kinds) == 1 else ""
        return _KEPT.get(only, torch.float32)

    def _write_weights(self, folder: Path, places: dict[str, str]) -> None:
        """One shard after the other: no more than one is in memory."""
        lots, size = [dict[str, str]()], 0
        for key, name in places.items():
            told = self.tensors[name]
            bytes_ = int(told.n_elements) * (2 if told.tensor_type.name in _KEPT else 4)
            if size and size + bytes_ > SHARD:
                lots.append({})
                size = 0
            lots[-1][key], size = name, size + bytes_
        index: dict[str, str] = {}
        total = 0
        for n, lot in enumerate(lots, 1):
            shard = f"model-{n:05}-of-{len(lots):05}" if len(lots) > 1 else "model"
            weights = {key: self.weight(name) for key, name in lot.items()}
            save_file(weights, folder / f"{shard}.safetensors", metadata={"format": "pt"})
            index |= dict.fromkeys(lot, f"{shard}.safetensors")
            total += sum(weight.nbytes for weight in weights.values())
        if len(lots) > 1:
            told = {"metadata": {"total_size": total}, "weight_map": index}
            (folder / "model.safetensors.index.json").write_text(json.dumps(told, indent=2) + "\n")

    def _damaged(self, error: Exception) -> BadModel:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        return BadModel(
            f"{self.path}: not a GGUF file, damaged, or cut short ({why}); copy or download it anew"
        )


def _library() -> Any:
    try:
        import gguf
        import gguf.quants
    except ImportError as error:
        raise MissingExtra(
            "reading GGUF files needs the library gguf: pip install -c constraints.txt -e '.[gguf]'"
        ) from error
    return gguf
