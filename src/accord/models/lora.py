"""Low-rank adapters on one shared trunk, through peft.

W' = W + (alpha / r) B A,  B = 0 at birth, so a new adapter changes nothing: Hu et al. 2021, eq. 3.
Policy, reference, value and reward can each be an adapter, and the reference costs nothing.
"""

import copy
import json
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from accord.errors import BadModel, BadSettings, first_line
from accord.models.load import tensors, told
from accord.models.vision import tower

if TYPE_CHECKING:  # peft takes a second and 50 MB to import: only who has an adapter pays for it
    from peft import LoraConfig
    from peft.tuners.tuners_utils import BaseTunerLayer

W = TypeVar("W", bound=Tensor)
_PREFIX = "base_model.model."
"""what peft puts before every weight's name in an adapter file"""
_CONFIG = "adapter_config.json"
_SEEING = r".*(vision_tower|multi_modal_projector|visual)\..*"
"""parts of a model that sees which no adapter is laid on"""
_KINDS = {
    "use_dora": "DoRA (use_dora)",
    "use_qalora": "QALoRA (use_qalora)",
    "alora_invocation_tokens": "activated LoRA (alora_invocation_tokens)",
    "layer_replication": "LoRA on replicated layers (layer_replication)",
    "modules_to_save": "LoRA with whole modules beside it (modules_to_save)",
    "trainable_token_indices": "LoRA with trained token rows beside it (trainable_token_indices)",
}
"""settings of peft that make an adapter more than W + (alpha / r) B A"""


@dataclass(frozen=True)
class Lora:
    """The shape of an adapter."""

    r: int = 16
    """rank"""
    alpha: float = 32.0
    """the update is scaled by alpha / r"""
    targets: str = "all-linear"
    """module names, comma-separated, or all-linear: every linear layer but the head (in models with
    experts, those of attention alone)"""

    def __post_init__(self) -> None:
        if self.r < 1:
            raise ValueError("r must be at least 1")
        if self.alpha <= 0:
            raise ValueError("alpha must be above 0: the update is scaled by alpha / r")
        if not all(name.strip() for name in self.targets.split(",")):
            raise ValueError("targets must be module names, comma-separated, or all-linear")

    def config(self, base: str) -> "LoraConfig":
        """As peft wants it.  No dropout: a policy must agree with itself."""
        from peft import LoraConfig

        names = self.targets if self.targets == "all-linear" else self._names()
        return LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            target_modules=names,
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
            base_model_name_or_path=base,
        )

    def _names(self) -> list[str]:
        return [name.strip() for name in self.targets.split(",")]


class Adapters:
    """The adapters on one model, by name.  Which is active is said anew at every forward pass."""

    def __init__(self, model: nn.Module):
        self._model = model
        self._active: str | None = None
        self.configs: dict[str, LoraConfig] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.configs

    def add(
        self, name: str, config: "LoraConfig", *, like: str | None = None, seed: int = 0
    ) -> None:
        """A new adapter: at zero, or a copy of another."""
        from peft import inject_adapter_in_model

        if tower(self._model):
            config.exclude_modules = _SEEING
        elif config.target_modules == "all-linear" and any(w.dim() > 2 for w in self._weights()):
            config.target_modules = _of_attention(self._model)
        _check(self._model, config)
        learning = [weight for weight in self._weights() if weight.requires_grad]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # A is drawn at random: the same adapter in every process
            with warnings.catch_warnings():
                # several adapters on one model are what we want
                warnings.filterwarnings("ignore", "Already found a `peft_config`")
                # GPT-2's layers lie the other way round; peft sees it and says so
                warnings.filterwarnings("ignore", "fan_in_fan_out is set to")
                inject_adapter_in_model(config, self._model, adapter_name=name)
        self.configs[name] = config
        for weight in learning:  # peft freezes all but the new adapter
            weight.requires_grad_(True)
        for weight in self.weights(name).values():
            weight.data = weight.data.to(torch.promote_types(weight.dtype, torch.float32))
        if like is not None:
            source = self.weights(like)
            for key, weight in self.weights(name).items():
                weight.data.copy_(source[key])
        self._active = name
        self.use(None)

    def use(self, name: str | None) -> None:
        """Make one adapter active, or with None the bare base."""
        if name == self._active or not self.configs:
            return
        for layer in self._layers():
            layer.enable_adapters(name is not None)
            if name is not None:
                layer.set_adapter([name])
        self._active = name

    def weights(self, name: str) -> dict[str, nn.Parameter]:
        """The adapter's own parameters, named without the adapter."""
        mark = f".{name}."
        return {
            key.replace(mark, "."): weight
            for key, weight in self._model.named_parameters()
            if mark in key and "lora_" in key
        }

    def save(self, name: str, folder: Path, base: str) -> None:
        """A PEFT adapter folder that `PeftModel.from_pretrained` loads unchanged, upon `base`: a
        folder or hub id.  BadModel where that is none: it would be opened upon another model.
        """
        from peft import get_peft_model_state_dict

        if not base or (Path(base).is_absolute() and not Path(base).is_dir()):
            was, way = (
                ("was trained", "export it") if not base else (f"lay at {base}", "put it back")
            )
            raise BadModel(
                f"{folder}: this adapter's base {was} and lies in no folder, so nobody could open "
                f"it: {way}, or say where it lies: base.lies(folder)"
            )

        state = get_peft_model_state_dict(
            self._model, adapter_name=name, save_embedding_layers=False
        )
        named = {f"{_PREFIX}{k}": v.detach().cpu().contiguous() for k, v in state.items()}
        save_file(named, folder / "adapter_model.safetensors")
        config = copy.copy(self.configs[name])
        config.base_model_name_or_path = base
        for key, value in vars(config).items():
            if isinstance(value, set):  # whose order would be another in every process
                setattr(config, key, sorted(value))
        config.save_pretrained(str(folder))

    def load(self, name: str, folder: Path) -> None:
        """Read an adapter folder as a new adapter; BadModel where it cannot be."""
        from peft import LoraConfig

        _described(folder)
        weights = tensors(folder / "adapter_model.safetensors")
        try:
            config = LoraConfig.from_pretrained(str(folder))
            config.lora_dropout = 0.0  # a policy must agree with itself
            self.add(name, config)
        except Exception as error:  # whatever peft makes of odd values in a config
            raise BadModel(f"{folder}: its adapter cannot be used: {told(error)}") from error
        self.assign(name, weights)

    def assign(self, name: str, saved: dict[str, Tensor]) -> None:
        """Overwrite an adapter's weights; every one must be there, and no other."""
        weights = self.weights(name)
        given = {k.removeprefix(_PREFIX): v for k, v in saved.items()}
        odd = sorted(
            key
            for key in weights.keys() | given.keys()
            if key not in weights or key not in given or weights[key].shape != given[key].shape
        )
        if odd:
            raise BadModel(
                f"the adapter does not fit this model: {len(odd)} weights, such as {odd[0]}"
            )
        for key, weight in weights.items():
            weight.data.copy_(given[key])

    def bare(self) -> dict[str, Tensor]:
        """The state of the model as if it bore no adapters, under its own names."""
        return dict(_bare(self._model.state_dict().items()))

    def base_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        """(name, parameter) of the model as if it bore no adapters."""
        return _bare(self._model.named_parameters())

    def drop(self) -> None:
        """Take all adapters off the model."""
        for name, layer in list(self._model.named_modules()):
            if wrapped(layer):
                parent, _, child = name.rpartition(".")
                setattr(self._model.get_submodule(parent), child, layer.get_base_layer())
        if self.configs:
            del self._model.peft_config
        self.configs, self._active = {}, None

    def _weights(self) -> Iterator[nn.Parameter]:
        return self._model.parameters()

    def _layers(self) -> Any:
        return (m for m in self._model.modules() if wrapped(m))


def wrapped(layer: nn.Module) -> "TypeGuard[BaseTunerLayer]":
    """Whether it bears adapters; where nobody needed peft yet, none does."""
    tuners = sys.modules.get("peft.tuners.tuners_utils")
    return tuners is not None and isinstance(layer, tuners.BaseTunerLayer)


def _bare(named: Iterable[tuple[str, W]]) -> Iterator[tuple[str, W]]:
    return ((k.replace(".base_layer.", "."), v) for k, v in named if ".lora_" not in k)


def _of_attention(model: nn.Module) -> set[str]:
    """Names of the linear layers inside attention.

    Experts lie in one tensor each, [experts, out, in]: no layer, but a parameter, of which peft
    would lay out every expert's full update at every pass; and a router that learns may flip.
    """
    return {
        part
        for _, module in model.named_modules()
        if "Attention" in type(module).__name__
        for part, layer in module.named_children()
        if isinstance(layer, nn.Linear) or wrapped(layer)
    }


def _check(model: nn.Module, config: "LoraConfig") -> None:
    """BadSettings where it names no layer, or a rank beyond every side of what it adapts."""
    linear = {
        name.removesuffix(".base_layer"): layer
        for name, layer in model.named_modules()
        if ".lora_" not in name
        and hasattr(layer, "weight")
        and ("Linear" in type(layer).__name__ or hasattr(layer, "nf"))
    }
    asked = config.target_modules
    if isinstance(asked, str):  # all but the head, and but what sees
        head = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
        never = str(config.exclude_modules or "")
        linear = {
            name: layer
            for name, layer in linear.items()
            if layer is not head and not re.fullmatch(never, name)
        }
    else:
        known = {name.rpartition(".")[2] for name in linear}
        for want in sorted(asked or ()):
            if not any(name == want or name.endswith(f".{want}") for name in linear):
                raise BadSettings(
                    f"lora.targets={want}: this model has no such layer; say all-linear, or some "
                    f"of {', '.join(sorted(known))}"
                )
        linear = {k: v for k, v in linear.items() if any(f".{k}".endswith(f".{w}") for w in asked)}
    widest = max((max(_sides(layer)) for layer in linear.values()), default=config.r)
    if config.r > widest:
        raise BadSettings(f"lora.r={config.r}: no layer that it adapts has a side over {widest}")


def _sides(layer: Any) -> tuple[int, ...]:
    """(in, out); a quantised weight is packed, and does not tell by its shape."""
    if hasattr(layer, "in_features"):
        return layer.in_features, layer.out_features
    return tuple(layer.weight.shape)


def base_of(folder: Path) -> str | None:
    """The base model an adapter folder names; None if it is no adapter folder."""
    if not (folder / _CONFIG).is_file():
        return None
    base = _described(folder).get("base_model_name_or_path")
    if not base:
        raise BadModel(f"{folder}: {_CONFIG} names no base_model_name_or_path; add it")
    return str(base)


def _described(folder: Path) -> dict[str, Any]:
    """The config of an adapter; BadModel where it cannot be read, or is of another kind."""
    try:
        said = json.loads((folder / _CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise BadModel(f"{folder}: {_CONFIG} cannot be read: {first_line(error)}") from error
    if not isinstance(said, dict):
        raise BadModel(f"{folder}: {_CONFIG} holds no settings; save the adapter again")
    kind = said.get("peft_type", "LORA")
    odd = kind if kind != "LORA" else next((why for k, why in _KINDS.items() if said.get(k)), None)
    if odd is not None:
        raise BadModel(
            f"{folder}: its adapter is {odd}, and only plain LoRA can be used here; merge it into "
            "its base (merge_and_unload of peft), or train a plain one"
        )
    return said
