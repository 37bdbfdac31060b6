"""A model as its config describes it, without a byte of its weights.

Its tensors know shape, type and device but hold nothing, so that a pass over them costs no memory
and can be watched as the real one would be.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig

from accord.errors import BadModel
from accord.models import forms
from accord.models.attention import Layout
from accord.models.load import DTYPES, Dtype, attention, class_of, configured
from accord.models.trunk import Trunk
from accord.text import hub


@contextmanager
def pretending() -> Iterator[None]:
    """Tensors made in here hold nothing."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def sketch(config: Any, dtype: Dtype = "fp32") -> Trunk:
    """The frozen trunk of a config, on the meta device; `embody` lets it run."""
    config = AutoConfig.for_model(**config.to_dict())  # from_config writes into what it is given
    forms.still(config)
    with torch.device("meta"):
        model = class_of(config).from_config(
            config, attn_implementation=attention(config), dtype=DTYPES[dtype]
        )
    return Trunk(model.eval().requires_grad_(False))


def embody(parts: Iterable[nn.Module], device: str = "cpu") -> None:
    """Put what lies on the meta device on this one; while pretending, that takes nothing."""
    made: dict[int, Tensor] = {}  # tied weights stay one
    kept: list[Tensor] = []  # or an id would be given out again
    for module in [m for part in parts for m in part.modules()]:
        for own in (module._parameters, module._buffers):
            for name, old in own.items():
                if old is None or old.device.type != "meta":
                    continue
                if id(old) not in made:
                    new = torch.empty(old.shape, dtype=old.dtype, device=device)
                    learns = old.requires_grad
                    made[id(old)] = nn.Parameter(new, learns) if own is module._parameters else new
                    kept.append(old)
                own[name] = made[id(old)]  # type: ignore[assignment]


def config_of(source: str | Path) -> Any:
    """The config of a folder or a hub id; BadModel for one that cannot run here."""
    config = configured(source, hub.folder(source))
    if why := forms.unfit(config):
        raise BadModel(f"{source}: {config.model_type} {why}")
    return config


def hidden(trunk: Trunk, lengths: list[int], layout: Layout, using: str | None = None) -> Tensor:
    """hidden_NH of sequences of these lengths; what the ids are makes no difference."""
    trunk.adapters.use(using)
    ids_N = torch.zeros(sum(lengths), dtype=torch.long, device=trunk.device)
    out = forms.decoder(trunk.model)(
        input_ids=ids_N[None],
        position_ids=torch.zeros_like(ids_N)[None],
        layout=layout,
        use_cache=False,
    )
    found: Tensor = out.last_hidden_state[0]
    return found
