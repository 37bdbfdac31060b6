"""Low-rank adapters on one shared trunk, through peft.

W' = W + (alpha / r) B A,  B = 0 at birth, so a new adapter changes nothing: Hu et al. 2021, eq. 3.
Policy, reference, value and reward can each be an adapter, and the reference costs nothing.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from accord.errors import BadModel

_PREFIX = "base_model.model."
"""what peft puts before every weight's name in an adapter file"""


@dataclass(frozen=True)
class Lora:
    """The shape of an adapter."""

    r: int = 16
    """rank"""
    alpha: float = 32.0
    """the update is scaled by alpha / r"""
    targets: str = "all-linear"
    """module names, comma-separated, or all-linear: every linear layer but the head"""

    def config(self, base: str) -> LoraConfig:
        """As peft wants it.  No dropout: a policy must agree with itself."""
        names = self.targets if self.targets == "all-linear" else self.targets.split(",")
        return LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            target_modules=names,
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
            base_model_name_or_path=base,
        )


class Adapters:
    """The adapters on one model, by name.  Which is active is said anew at every forward pass."""

    def __init__(self, model: nn.Module):
        self._model = model
        self._active: str | None = None
        self.configs: dict[str, LoraConfig] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.configs

    def add(self, name: str, config: LoraConfig, *, like: str | None = None, seed: int = 0) -> None:
        """A new adapter: at zero, or a copy of another."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # A is drawn at random: the same adapter in every process
            inject_adapter_in_model(config, self._model, adapter_name=name)
        self.configs[name] = config
        for weight in self.weights(name).values():
            weight.data = weight.data.float()
        if like is not None:
            source = self.weights(like)
            for key, weight in self.weights(name).items():
                weight.data.copy_(source[key])
        self._active = name
        self.use(None)

    def use(self, name: str | None) -> None:
        """Make one adapter active, or with None the bare base."""
        if (name == self._active and name is not None) or not self.configs:
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

    def save(self, name: str, folder: Path) -> None:
        """A PEFT adapter folder that `PeftModel.from_pretrained` loads unchanged."""
        state = get_peft_model_state_dict(self._model, adapter_name=name)
        tensors = {f"{_PREFIX}{k}": v.detach().contiguous() for k, v in state.items()}
        save_file(tensors, folder / "adapter_model.safetensors")
        self.configs[name].save_pretrained(str(folder))

    def load(self, name: str, folder: Path) -> None:
        """Read an adapter folder as a new adapter."""
        self.add(name, LoraConfig.from_pretrained(str(folder)))
        self.assign(name, load_file(folder / "adapter_model.safetensors"))

    def assign(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Overwrite an adapter's weights; every one must be there, and no other."""
        weights = self.weights(name)
        given = {k.removeprefix(_PREFIX): v for k, v in tensors.items()}
        if weights.keys() != given.keys():
            odd = sorted(weights.keys() ^ given.keys())
            raise BadModel(
                f"the adapter does not fit this model: {len(odd)} names, such as {odd[0]}"
            )
        for key, weight in weights.items():
            weight.data.copy_(given[key])

    def _layers(self) -> Any:
        return (m for m in self._model.modules() if isinstance(m, BaseTunerLayer))


def base_of(folder: Path) -> str | None:
    """The base model an adapter folder names; None if it is no adapter folder."""
    file = folder / "adapter_config.json"
    if not file.is_file():
        return None
    return str(json.loads(file.read_text())["base_model_name_or_path"])
