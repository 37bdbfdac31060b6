"""How answers are decoded: by an own forward pass for models built like Llama, else by theirs.

The own pass reads the very parameters of the module, so that it is never stale.  What makes it
fast on a CPU: matrices side by side in oneDNN's order, keys as columns, few small operations,
masks and rotations made once a step.  It is held against the module before it is believed.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from accord.errors import BadSettings
from accord.models import forms, quantised
from accord.models.alike import epsilon, unlike
from accord.models.attention import Heads, Layout, Packed, Step
from accord.models.cache import SlotCache, TurnedCache
from accord.models.products import PACK_BYTES, Product, product
from accord.models.trunk import Flat, Trunk, flatten_ids
from accord.records import Ids

_GAPS = {torch.float32: 1e-4, torch.bfloat16: 0.05}
"""the relative distance of hidden states that rounding explains; in bf16 that is much, so that the
first layers are also compared in fp32"""
_FIRST = 2
"""so many layers"""
_LENGTHS, _STEPS, _FAR = (9, 5), 3, 7


class Decoder(Protocol):
    """Reads prompts, then one token at a time."""

    def cache(self, slots: int, places: int) -> SlotCache:
        """Where keys and values of answers are kept."""
        ...

    def read(self, prompts: list[Ids]) -> tuple[SlotCache, Tensor]:
        """A cache with one prompt per slot, and logits_PV of what comes after each."""
        ...

    def step(self, ids_B: Tensor, place_B: Tensor, cache: SlotCache) -> Tensor:
        """logits_BV after one more token in each of the first B slots."""
        ...


class ByModule:
    """By the model's own code."""

    def __init__(self, trunk: Trunk, using: str | None):
        self.trunk, self.using = trunk, using

    def cache(self, slots: int, places: int) -> SlotCache:
        """Keys as rows."""
        return SlotCache(slots, places)

    def read(self, prompts: list[Ids]) -> tuple[SlotCache, Tensor]:
        """Side by side in one row."""
        cache, flat, ends = _laid(prompts, self.trunk.device)
        return cache, self.trunk.logits(self.trunk(flat, self.using)[ends])

    def step(self, ids_B: Tensor, place_B: Tensor, cache: SlotCache) -> Tensor:
        """One flat row of B tokens."""
        return self.trunk.logits(self.trunk(Flat(ids_B, place_B, Step(cache, place_B)), self.using))


def _laid(prompts: list[Ids], device: torch.device) -> tuple[SlotCache, Flat, Tensor]:
    lengths = [len(p) for p in prompts]
    cache = SlotCache(len(prompts), max(lengths))
    ends = torch.tensor(lengths).cumsum(0) - 1
    return cache, flatten_ids(prompts, Packed(lengths, cache), device), ends.to(device)


def _body(trunk: Trunk) -> Any:
    return forms.decoder(trunk.model)


class Own(NamedTuple):
    """What no parameter says about attention in one layer."""

    scale: float
    window: int | None


@dataclass(frozen=True)
class _Layer:
    before_H: Tensor
    qkv: Product
    normed_GD: Tensor | None
    """weights of the norms of query and key heads, one above the other"""
    out: Product
    between_H: Tensor
    gate: Product
    up: Product
    down: Product
    act: Any
    eps: tuple[float, float, float]


class ByOwn:
    """The pass of a model built like Llama.  Holds for as long as no weight changes."""

    def __init__(
        self, trunk: Trunk, using: str | None, told: list[Own], places: int, head: bool = True
    ):
        trunk.adapters.use(using)
        self.trunk, self.told = trunk, told
        self.body = body = _body(trunk)
        attention: Any = body.layers[0].self_attn
        self.size: int = attention.head_dim
        self.repeat: int = attention.num_key_value_groups
        pack = packed_bytes(trunk) <= PACK_BYTES
        self.layers = [_layer(layer, pack) for layer in body.layers]
        self.head = product([trunk.head], pack and head)
        self.dtype: torch.dtype = body.norm.weight.dtype
        self._rope(places)

    def _rope(self, places: int) -> None:
        """cos and sin of every place, [places, 1, D]; the sines with the sign of the turn."""
        like = self.body.norm.weight.detach()[None, None]
        at = torch.arange(places, device=like.device)
        cos, sin = self.body.rotary_emb(like, position_ids=at[None])
        sign = torch.ones_like(sin[0, 0])
        sign[: len(sign) // 2] = -1
        self.cos_T1D, self.sin_T1D = cos[0, :, None], (sin[0] * sign)[:, None]

    def cache(self, slots: int, places: int) -> SlotCache:
        """Keys as columns."""
        return TurnedCache(slots, places)

    def read(self, prompts: list[Ids]) -> tuple[SlotCache, Tensor]:
        """As by the module."""
        cache, flat, ends = _laid(prompts, self.trunk.device)
        self.trunk.check(flat)
        eyes = self.trunk.eyes
        read_NH = None if eyes is None else eyes.embed(flat.ids_N)
        look = _Reader(flat.layout)
        return cache, self.logits(self.run(flat.ids_N, flat.place_N, look, read_NH)[ends])

    def step(self, ids_B: Tensor, place_B: Tensor, cache: SlotCache) -> Tensor:
        """Attention over keys as columns."""
        return self.logits(self.run(ids_B, place_B, _Looker(cache, place_B)))

    def logits(self, hidden_NH: Tensor) -> Tensor:
        """As the trunk's, by the head laid out here."""
        return forms.scaled(self.trunk.model, self.head(hidden_NH))

    def run(
        self,
        ids_N: Tensor,
        place_N: Tensor,
        look: "_Reader | _Looker",
        read_NH: Tensor | None = None,
    ) -> Tensor:
        """hidden_NH of every token, after the final norm; `read_NH` instead of the ids' own
        embeddings, where there are pictures among them.
        """
        h_NH = F.embedding(ids_N, self.body.embed_tokens.weight) if read_NH is None else read_NH
        h_NH = h_NH.to(self.dtype)
        turn = self.cos_T1D[place_N], self.sin_T1D[place_N]
        for i, layer in enumerate(self.layers):
            qkv = layer.qkv(_norm(h_NH, layer.before_H, layer.eps[0]))
            qkv_NGD = qkv.unflatten(-1, (-1, self.size))
            keys = qkv_NGD.shape[1] // (self.repeat + 2)
            qk_NGD, v = qkv_NGD[:, :-keys], qkv_NGD[:, -keys:]
            if layer.normed_GD is not None:
                qk_NGD = _norm(qk_NGD, layer.normed_GD, layer.eps[2])
            qk_NGD = torch.addcmul(qk_NGD * turn[0], qk_NGD.roll(self.size // 2, -1), turn[1])
            mixed = look.mix(qk_NGD[:, :-keys], qk_NGD[:, -keys:], v, i, self.told[i])
            h_NH = h_NH + layer.out(mixed)
            x_NH = _norm(h_NH, layer.between_H, layer.eps[1])
            h_NH = h_NH + layer.down(layer.act(layer.gate(x_NH)).mul_(layer.up(x_NH)))
        return _norm(h_NH, self.body.norm.weight, epsilon(self.body.norm))


def _layer(layer: Any, pack: bool) -> _Layer:
    a, mlp = layer.self_attn, layer.mlp
    normed, eps = None, 0.0
    if hasattr(a, "q_norm"):
        heads = a.num_key_value_groups * (keys := a.k_proj.out_features // a.head_dim)
        parts = a.q_norm.weight.expand(heads, -1), a.k_norm.weight.expand(keys, -1)
        normed, eps = torch.cat(parts), epsilon(a.q_norm)
    first, second = layer.input_layernorm, layer.post_attention_layernorm
    return _Layer(
        first.weight,
        product([a.q_proj, a.k_proj, a.v_proj], pack),
        normed,
        product([a.o_proj], pack),
        second.weight,
        product([mlp.gate_proj], pack),
        product([mlp.up_proj], pack),
        product([mlp.down_proj], pack),
        mlp.act_fn,
        (epsilon(first), epsilon(second), eps),
    )


def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root mean square in fp32, then rounded, then weighed: as the module does."""
    return F.rms_norm(x, x.shape[-1:], None, eps) * weight


class _Reader:
    """Whole prompts."""

    def __init__(self, layout: Layout):
        self.layout = layout

    def mix(self, q: Tensor, k: Tensor, v: Tensor, layer: int, own: Own) -> Tensor:
        """[N, heads, D] each -> [N, heads · D]."""
        q, k, v = (x.transpose(0, 1) for x in (q, k, v))
        heads = Heads(q, k, v, own.scale, own.window)
        return self.layout.attend(heads, layer).transpose(0, 1).flatten(1)


class _Looker:
    """One token per slot.  Its masks serve all layers with the same window."""

    def __init__(self, cache: SlotCache, place_B: Tensor):
        self.cache, self.place_B = cache, place_B
        self.masks: dict[int | None, Tensor] = {}

    def mix(self, q: Tensor, k: Tensor, v: Tensor, layer: int, own: Own) -> Tensor:
        """As above."""
        keys, values = self.cache.put(layer, self.place_B, k, v)
        count, heads = k.shape[:2]
        q = q.reshape(count * heads, -1, q.shape[-1])
        if own.window not in self.masks:
            self.masks[own.window] = self._mask(keys, own.window)
        mask = self.masks[own.window]
        share = torch.baddbmm(mask, q, keys.flatten(0, 1), alpha=own.scale).softmax(-1)
        return torch.bmm(share, values.flatten(0, 1)).view(count, -1)

    def _mask(self, keys: Tensor, window: int | None) -> Tensor:
        """[B · key heads, 1, places]: nought, or minus infinity where nobody may look."""
        gap = self.place_B[:, None] - torch.arange(keys.shape[-1], device=keys.device)
        hidden = gap < 0 if window is None else (gap < 0) | (gap >= window)
        mask = keys.new_zeros(gap.shape).masked_fill_(hidden, float("-inf"))
        return mask.repeat_interleave(keys.shape[1], 0)[:, None]


SWITCH = "ACCORD_DECODER"
"""environment: `module` leaves every model to its own code; `own`, or nothing, does not"""
Asked = list[tuple[float, int | None]]
"""(scale, window) of every attention, as the modules say"""
_told: "WeakKeyDictionary[PreTrainedModel, dict[str | None, tuple[Asked, list[Own] | str]]]" = (
    WeakKeyDictionary()
)


def decoder(trunk: Trunk, using: str | None, places: int) -> Decoder:
    """What decodes answers of at most so many places, prompts included, until a weight changes."""
    told = known(trunk, using)
    return ByModule(trunk, using) if isinstance(told, str) else ByOwn(trunk, using, told, places)


def known(trunk: Trunk, using: str | None) -> list[Own] | str:
    """How each layer attends, where the own pass decodes; else why the model's code does.

    Its parts are looked at every time; what it computes, once per model and adapter, with a
    UserWarning where a model is built like Llama and does not compute like it.
    """
    if (wish := os.environ.get(SWITCH) or "own") not in ("own", "module"):
        raise BadSettings(f"{SWITCH}={wish}: say own or module, or nothing, which means own")
    if wish == "module":
        return f"{SWITCH}=module"
    if trunk.device.type != "cpu":
        return f"on {trunk.device.type}, not measured"
    if trunk.eyes is not None and trunk.eyes.sided:
        return "its places have two sides"
    body = _body(trunk)
    if (why := unlike(body)) is not None:
        return why
    found = _told.setdefault(trunk.model, {})
    parts = [layer.self_attn for layer in body.layers]
    asked = [(getattr(a, "scaling", 0.0), getattr(a, "sliding_window", None)) for a in parts]
    if using not in found or found[using][0] != asked:
        with trunk.autocast():
            found[using] = asked, _look(trunk, using)
    return found[using][1]


@dataclass
class _Spy:
    """Notes what each layer asks of attention."""

    layout: Layout
    seen: dict[int, Heads] = field(default_factory=dict)

    def attend(self, heads: Heads, layer: int) -> Tensor:
        self.seen[layer] = heads
        return self.layout.attend(heads, layer)


@torch.no_grad()
def _look(trunk: Trunk, using: str | None) -> list[Own] | str:
    if trunk.context < max(_LENGTHS) + _STEPS:
        return f"it reads {trunk.context} tokens, too few to compare"
    body = _body(trunk)
    rng, vocab = torch.Generator().manual_seed(0), body.embed_tokens.num_embeddings
    rows = [tuple(torch.randint(vocab, (n,), generator=rng).tolist()) for n in _LENGTHS]
    cache, flat, _ = _laid(rows, trunk.device)
    far_N = flat.place_N + max(0, min(trunk.context, 1 << 20) - max(_LENGTHS))
    spy = _Spy(Packed(_LENGTHS))
    theirs = [trunk(Flat(flat.ids_N, far_N, spy), using), trunk(flat, using)]
    if any(heads.softcap is not None for heads in spy.seen.values()):
        return "its attention caps its scores"
    told = [Own(spy.seen[i].scale, spy.seen[i].window) for i in sorted(spy.seen)]
    own = ByOwn(trunk, using, told, int(far_N.max()) + 1)
    ours = [own.run(flat.ids_N, far_N, _Reader(Packed(_LENGTHS)))]
    mine, _, _ = _laid(rows, trunk.device)
    ours.append(own.run(flat.ids_N, flat.place_N, _Reader(Packed(_LENGTHS, mine))))
    slots = torch.arange(len(rows), device=trunk.device)
    turned, plain = TurnedCache(len(rows), 16), SlotCache(len(rows), 16)
    turned.copy(mine, slots, slots)
    plain.copy(cache, slots, slots)
    place_B, ids_B = torch.tensor(_LENGTHS, device=trunk.device), flat.ids_N[: len(rows)]
    for _ in range(_STEPS):
        turned.seen = plain.seen = int(place_B.max()) + 1
        theirs.append(trunk(Flat(ids_B, place_B, Step(plain, place_B)), using))
        ours.append(own.run(ids_B, place_B, _Looker(turned, place_B)))
        place_B = place_B + 1
    gap, limit = _gap(torch.cat(ours), torch.cat(theirs)), _GAPS[own.dtype]
    if gap < limit and own.dtype != torch.float32 and quantised.kind(trunk.model) is None:
        gap, limit = _exact_gap(trunk, using, told, Flat(flat.ids_N, far_N, flat.layout))
    if gap < limit:
        return told
    kind = trunk.model.config.model_type
    why = f"{kind}: built like Llama, but its hidden states are {gap:.2g} off"
    warnings.warn(f"{why}; its answers are decoded by its own code, slower", stacklevel=2)
    return why


def _exact_gap(trunk: Trunk, using: str | None, told: list[Own], flat: Flat) -> tuple[float, float]:
    """(gap, limit) of the first layers and the last norm, in fp32."""
    body, layout = _body(trunk), Packed(_LENGTHS)
    with _widened(body):
        trunk.adapters.use(using)
        own = ByOwn(trunk, using, told, int(flat.place_N.max()) + 1, head=False)
        ours = own.run(flat.ids_N, flat.place_N, _Reader(layout))
        theirs = body(
            inputs_embeds=body.embed_tokens(flat.ids_N).to(own.dtype)[None],
            position_ids=flat.place_N[None],
            layout=layout,
            use_cache=False,
        )
    return _gap(ours, theirs.last_hidden_state[0]), _GAPS[own.dtype]


@contextmanager
def _widened(body: Any) -> Iterator[None]:
    """Only the first layers, and their weights in fp32, for as long as it lasts."""
    layers = body.layers
    few = layers[:_FIRST]
    parts = [m for top in (*few, body.norm) for m in top.modules()]
    were = [(m, {**m._parameters}) for m in parts]
    try:
        body.layers = few
        for m, own in were:
            m._parameters.update(
                {k: nn.Parameter(w.float(), False) for k, w in own.items() if w is not None}
            )
        yield
    finally:
        body.layers = layers
        for m, own in were:
            m._parameters.update(own)


def _gap(ours: Tensor, theirs: Tensor) -> float:
    """Relative, over the tokens whose states are finite by the model's own code."""
    fine = theirs.isfinite().all(-1)
    ours, theirs = ours[fine].double(), theirs[fine].double()
    return float((ours - theirs).norm() / theirs.norm()) if len(ours) else 0.0


def packed_bytes(trunk: Trunk) -> int:
    """What the matrices of a model take, the head's included."""
    parts = [*_body(trunk).layers.parameters(), *trunk.head.parameters()]
    return sum(p.nbytes for p in parts if p.dim() == 2)


def laid_again(trunk: Trunk) -> int:
    """Bytes of weights that decoding lays out a second time."""
    if trunk.device.type != "cpu" or unlike(_body(trunk)) is not None:
        return 0
    size = packed_bytes(trunk)
    return size if size <= PACK_BYTES else 0
