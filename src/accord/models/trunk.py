"""One transformer, the adapters that live on it, and the flat forward pass every role shares."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from accord.errors import BadModel
from accord.models import quantised
from accord.models.attention import Layout, Packed
from accord.models.lora import Adapters


@dataclass(frozen=True)
class Flat:
    """B ragged sequences as one row of N tokens: ids, positions, and the layout of attention."""

    ids_N: Tensor
    place_N: Tensor
    layout: Layout


def flatten(ids_BT: Tensor, length_B: Tensor) -> Flat:
    """Unpad: only real tokens are computed."""
    at_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
    real_BT = at_T[None, :] < length_B[:, None]
    place_N = at_T.expand_as(ids_BT)[real_BT]
    return Flat(ids_BT[real_BT], place_N, Packed(length_B.tolist()))


def flatten_ids(rows: Sequence[Sequence[int]], layout: Layout, device: torch.device) -> Flat:
    """The same from lists."""
    ids_N = torch.tensor([i for row in rows for i in row], device=device)
    place_N = torch.tensor([t for row in rows for t in range(len(row))], device=device)
    return Flat(ids_N, place_N, layout)


def at_least_fp32(dtype: torch.dtype) -> torch.dtype:
    """What losses and log-probabilities are computed in."""
    return torch.promote_types(dtype, torch.float32)


class Trunk(nn.Module):
    """A causal language model without its head's opinion: flat tokens in, hidden states out.

    Several roles may share one trunk, each through an adapter of its own; `using` names it and
    None is the bare base.
    """

    def __init__(
        self, model: PreTrainedModel, source: str = "", compute: torch.dtype | None = None
    ):
        super().__init__()
        self.model = model
        self.compute = compute
        """the precision of matrix products where it differs from that of the weights"""
        self.source = source
        """the folder or hub id the base was loaded from: what an adapter names as its base"""
        self.adapters = Adapters(model)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def width(self) -> int:
        return self.model.get_input_embeddings().embedding_dim  # type: ignore[no-any-return]

    @property
    def head(self) -> nn.Module:
        """The language-model head."""
        head = self.model.get_output_embeddings()
        if head is None:
            raise BadModel(f"{type(self.model).__name__} has no language-model head")
        return head

    def forward(self, flat: Flat, using: str | None = None) -> Tensor:
        """hidden_NH of every token, after the final norm."""
        self.adapters.use(using)
        with self.autocast():
            out = self._body()(
                **self._start(flat.ids_N[None]),
                position_ids=flat.place_N[None],
                layout=flat.layout,
                use_cache=False,
            )
        hidden_NH: Tensor = out.last_hidden_state[0]
        return hidden_NH

    def _start(self, ids_1N: Tensor) -> dict[str, Tensor]:
        """Ids, or under autocast their embeddings, rounded: all layers then run as in bf16, and a
        copy to be trained says, before its first update, exactly what the original says.
        """
        if self.compute is None:
            return {"input_ids": ids_1N}
        return {"inputs_embeds": self.model.get_input_embeddings()(ids_1N).to(self.compute)}

    def autocast(self) -> Any:
        """bf16 products over fp32 master weights, where a model loaded in bf16 is trained whole."""
        return torch.autocast(self.device.type, self.compute, enabled=self.compute is not None)

    def copy(self) -> "Trunk":
        """A copy to be trained whole: fp32 master weights, the old precision for the products.

        The adapters that live here stay here: the copy is of the bare base.
        """
        quantised.whole(self.model, "trained")
        twin = copy.deepcopy(self)
        twin.adapters.drop()
        if twin.model.dtype.itemsize < 4:
            twin.compute = twin.model.dtype
            twin.model.float()
        return twin

    def checkpoint(self) -> None:
        """Recompute activations in the backward pass instead of keeping them.

        Training mode only switches that on; dropout was set to zero at loading.
        """
        model, kind = self.model, {"use_reentrant": False}
        if hasattr(model, "activation_checkpointing_enable"):  # its name in later releases
            model.activation_checkpointing_enable(activation_checkpointing_kwargs=kind)
        else:
            model.gradient_checkpointing_enable(kind)
        self.model.train()

    def _body(self) -> nn.Module:
        body = self.model.get_decoder()
        if body is None or body is self.model:
            raise BadModel(f"{type(self.model).__name__} has no separate decoder to run")
        return body

    def logits(self, hidden_NH: Tensor) -> Tensor:
        """logits_NV in fp32 (or better), with the scalings some families put behind the head."""
        with self.autocast():
            logits_NV: Tensor = self.head(hidden_NH)
        logits_NV = logits_NV.to(at_least_fp32(logits_NV.dtype))
        config = self.model.config
        if (scale := getattr(config, "logit_scale", None)) is not None:  # Cohere
            logits_NV = logits_NV * scale
        if (scale := getattr(config, "logits_scaling", None)) is not None:  # Granite
            logits_NV = logits_NV / scale
        if (cap := getattr(config, "final_logit_softcapping", None)) is not None:  # Gemma 2
            logits_NV = cap * torch.tanh(logits_NV / cap)
        return logits_NV
