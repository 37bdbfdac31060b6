"""One transformer, the adapters that live on it, and the flat forward pass every role shares."""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from accord.errors import BadData, BadModel
from accord.models import forms, linear, masters, quantised, vision
from accord.models.attention import Layout, Packed, Step
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
        """the folder or hub id where the base lies as it is now: what an adapter names as its base;
        empty where it lies nowhere, because it was trained"""
        self.context = forms.context(model)
        """the most tokens a sequence may have"""
        self.eyes: vision.Eyes | None = None
        """for pictures among ids; none: it reads text alone"""
        linear.quicken(model)
        self.adapters = Adapters(model)
        forms.carry(model)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def width(self) -> int:
        return forms.width(self.model)

    @property
    def head(self) -> nn.Module:
        """The language-model head."""
        return forms.head(self.model)

    def forward(self, flat: Flat, using: str | None = None) -> Tensor:
        """hidden_NH of every token, after the final norm.

        Raises BadData for a sequence longer than the context, or an id beyond the vocabulary.
        """
        self.check(flat)
        self.adapters.use(using)
        out = forms.decoder(self.model)(**self._given(flat), layout=flat.layout, use_cache=False)
        hidden_NH: Tensor = out.last_hidden_state[0]
        return hidden_NH

    def _given(self, flat: Flat) -> dict[str, Tensor]:
        """What the decoder reads: ids, or where there may be pictures, embeddings."""
        if self.eyes is None:
            return {"input_ids": flat.ids_N[None], "position_ids": flat.place_N[None]}
        place_N = flat.place_N[None]
        if self.eyes.sided and isinstance(flat.layout, Step):
            place_N = place_N - flat.layout.cache.backs(len(flat.place_N), flat.place_N)
        elif self.eyes.sided:
            place_3N, back_N = self.eyes.places(flat.ids_N, flat.place_N)
            place_N = place_3N[:, None]
            if isinstance(flat.layout, Packed) and flat.layout.cache is not None:
                ends_B = torch.tensor(flat.layout.lengths, device=back_N.device).cumsum(0) - 1
                flat.layout.cache.back_S = back_N[ends_B]
        return {"inputs_embeds": self.eyes.embed(flat.ids_N)[None], "position_ids": place_N}

    def see(self, pixels: vision.Pixels) -> None:
        """From now on pictures among ids are seen, as the model's processor shows them."""
        self.eyes = vision.Eyes(self.model, pixels)

    def check(self, flat: Flat) -> None:
        """BadData for a sequence longer than the context, or an id beyond the vocabulary."""
        longest = max(getattr(flat.layout, "lengths", ()), default=0)
        # on a GPU a look at ids or places would cost a wait at every step
        here = flat.ids_N.device.type == "cpu" and len(flat.ids_N) > 0
        if here:
            longest = max(longest, int(flat.place_N.max()) + 1)
        if longest > self.context:
            raise BadData(
                f"a sequence has {longest} tokens; this model reads at most {self.context}. "
                "Drop or shorten it"
            )
        rows = self.model.get_input_embeddings().num_embeddings
        if here and self.eyes is None and int(flat.ids_N.min()) < 0:
            raise BadData("a sequence holds a picture, and this model reads text alone")
        if here and int(flat.ids_N.max()) >= rows:
            raise BadData(
                f"token id {int(flat.ids_N.max())} is beyond this model's vocabulary of {rows}; "
                "it was made by another model's tokenizer"
            )

    def autocast(self) -> Any:
        """While nothing learns: the weights stay in the precision of the products, where that is
        not their own, instead of being rounded at every pass.
        """
        return masters.rounded(self.model) if self.compute is not None else nullcontext()

    def copy(self, device: torch.device | None = None) -> "Trunk":
        """A copy to be trained whole: fp32 master weights, the old precision for the products.
        On the same device, unless another is named.

        The adapters that live here stay here: the copy is of the bare base.
        """
        quantised.whole(self.model, "trained")
        # the tower never learns: all copies on one device look through the same one
        towers = vision.tower(self.model) if device in (None, self.device) else []
        twin = copy.deepcopy(self, {id(part): part for part in towers})
        twin.adapters.drop()
        twin.source = ""  # it will not be what lies there
        if device is not None:
            twin.model.to(device)  # type: ignore[arg-type]
        if twin.model.dtype.itemsize < 4:
            twin.compute = twin.model.dtype
            masters.give_masters(twin.model, but=vision.tower(twin.model))
        return twin

    def checkpoint(self) -> None:
        """Recompute activations in the backward pass instead of keeping them.

        Layers do so in training mode only.  What is inside them stays out of it: some routers of
        experts are noisy there.
        """
        model, kind = self.model, {"use_reentrant": False}
        if hasattr(model, "activation_checkpointing_enable"):  # its name in later releases
            model.activation_checkpointing_enable(activation_checkpointing_kwargs=kind)
        else:
            model.gradient_checkpointing_enable(kind)
        layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
        if not layers:
            raise BadModel(f"{type(model).__name__} cannot recompute; leave recompute off")
        for layer in layers:
            layer.training = True

    def logits(self, hidden_NH: Tensor) -> Tensor:
        """logits_NV in fp32 (or better), with the scalings some families put behind the head."""
        return forms.logits(self.model, hidden_NH)
