"""A model of a family no test has seen is held against its own code before anything rests on it.

The danger is silence: layers that carry a state from token to token, masks that never reach the
attention interface and heads that scale their logits in a new way all run, and are wrong.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from accord.errors import BadModel
from accord.models.attention import NAME, Heads, Layout, Packed, Step
from accord.models.cache import SlotCache
from accord.models.forms import decoder, logits

LENGTHS = (11, 4, 17)
STEPS = 3
_GAPS = {torch.bfloat16: 0.05, torch.float16: 0.02}
"""the relative distance of logits that rounding explains; 0.001 in full precision"""


@dataclass(frozen=True)
class _Watched:
    """Notes the windows that attention was asked for."""

    layout: Layout
    windows: set[int | None] = field(default_factory=set)

    def attend(self, heads: Heads, layer: int) -> Tensor:
        self.windows.add(heads.window)
        return self.layout.attend(heads, layer)


@torch.no_grad()
def probe(model: PreTrainedModel) -> None:
    """Raises BadModel, with the rest of a sentence, if the model does not run flat as it should.

    Three random sequences are read side by side, and token by token from a cache; both must say
    what the model's own code says of each alone.  Windows longer than these are not reached: it
    is only seen whether any arrive.
    """
    rng, vocab = torch.Generator().manual_seed(0), model.get_input_embeddings().num_embeddings
    seqs = [torch.randint(vocab, (n,), generator=rng).to(model.device) for n in LENGTHS]
    try:
        flat, windows = _packed(model, seqs)
        stepped, own = _stepped(model, seqs), _own(model, seqs)
    except Exception as error:  # whatever a family's code may raise
        said = error if isinstance(error, BadModel) else f"{type(error).__name__} in its own code"
        raise BadModel(f"cannot run here: {said}") from error
    sliding = "sliding_attention" in (getattr(model.config, "layer_types", None) or ())
    if sliding and windows == {None}:
        raise BadModel("keeps its windows in a mask, which attention is not given here")
    for said_NV, how in ((flat, "side by side"), (stepped, "token by token")):
        gap = float((said_NV - own).norm() / own.norm())
        if not gap < _GAPS.get(model.dtype, 1e-3):
            raise BadModel(
                f"is a family that is not known here, and sequences run {how} get other logits "
                f"than by its own code (off by {gap:.1%})"
            )


def _run(model: PreTrainedModel, ids_N: Tensor, place_N: Tensor, layout: Layout) -> Tensor:
    out: Any = decoder(model)(
        input_ids=ids_N[None], position_ids=place_N[None], layout=layout, use_cache=False
    )
    return logits(model, out.last_hidden_state[0])


def _packed(model: PreTrainedModel, seqs: list[Tensor]) -> tuple[Tensor, set[int | None]]:
    """logits_NV of whole sequences side by side, and the windows met on the way."""
    watched = _Watched(Packed([len(ids) for ids in seqs]))
    place_N = torch.cat([torch.arange(len(ids), device=ids.device) for ids in seqs])
    return _run(model, torch.cat(seqs), place_N, watched), watched.windows


def _stepped(model: PreTrainedModel, seqs: list[Tensor]) -> Tensor:
    """The same, but the last tokens of each sequence come one at a time, over a cache."""
    cache, lengths = SlotCache(len(seqs), max(LENGTHS)), [n - STEPS for n in LENGTHS]
    begun = [ids[:n] for ids, n in zip(seqs, lengths, strict=True)]
    place_N = torch.cat([torch.arange(n, device=model.device) for n in lengths])
    first = _run(model, torch.cat(begun), place_N, Packed(lengths, cache))
    parts = [[part] for part in first.split(lengths)]
    for step in range(STEPS):
        place_B = torch.tensor(lengths, device=model.device) + step
        cache.seen = int(place_B.max()) + 1
        ids_B = torch.stack([ids[n + step] for ids, n in zip(seqs, lengths, strict=True)])
        said_BV = _run(model, ids_B, place_B, Step(cache, place_B))
        for part, row_1V in zip(parts, said_BV.split(1), strict=True):
            part.append(row_1V)
    return torch.cat([piece for part in parts for piece in part])


def _own(model: PreTrainedModel, seqs: list[Tensor]) -> Tensor:
    """logits_NV by the model's own code and attention, each sequence alone."""
    model.set_attn_implementation("eager")
    try:
        parts = [model(input_ids=ids[None], use_cache=False).logits[0] for ids in seqs]
    finally:
        model.set_attn_implementation(NAME)
    return torch.cat(parts).to(torch.promote_types(parts[0].dtype, torch.float32))
