"""What a job will take, before it begins: a rehearsal with tensors that hold nothing.

The model is built from its config alone, and the passes of the job are run over it while every
storage made is counted, as on the real machine: no table of families, no formula to keep in step.
"""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from accord.engine.budget import for_prompts, for_samples, for_scores, for_updates
from accord.models import forms, fused, masters, quantised
from accord.models.alike import unlike
from accord.models.attention import Packed, Step
from accord.models.cache import SlotCache
from accord.models.decoder import laid_again
from accord.models.heads import Judge, Part, Speaker
from accord.models.load import Dtype
from accord.models.lora import Lora
from accord.models.sketch import embody, hidden, pretending, sketch
from accord.models.trunk import Trunk

PARTS = ("weights", "gradients", "optimizer", "activations", "cache", "logits and scratch")


class Live(TorchDispatchMode):
    """Counts the bytes of storages made inside it that are still alive, and the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and notes what it made."""
        given = {x.untyped_storage()._cdata for x in _tensors((args, kwargs)) if not x.is_mkldnn}
        made = func(*args, **(kwargs or {}))
        for tensor in _tensors(made):
            if tensor.is_mkldnn:  # oneDNN keeps its own order in a storage that nobody sees
                self._note(tensor, id(tensor))
                continue
            storage = tensor.untyped_storage()
            if storage._cdata not in given and storage._cdata not in self._sizes:
                self._note(storage, storage._cdata)
        return made

    def _note(self, held: torch.UntypedStorage | Tensor, key: int) -> None:
        size = held.nbytes if isinstance(held, Tensor) else held.nbytes()
        self._sizes[key] = size
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(held, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


@dataclass(frozen=True)
class Work:
    """A job, as far as memory goes: one step of it."""

    kind: Literal["sft", "reward", "ppo"]
    dtype: Dtype = "fp32"
    lora: Lora | None = None
    prompt: int = 128
    """tokens"""
    answer: int = 128
    """tokens"""
    batch: int = 32
    """rows per step; a row of reward holds two answers"""
    micro_tokens: int | None = None
    recompute: bool = False
    slots: int | None = None
    judge: bool = True
    """ppo against a reward model, rather than a rule"""
    bits: int = 32
    """of each of the optimizer's means"""
    offload: bool = False
    """the optimizer's means, and masters, lie in another memory than this"""
    on_cpu: tuple[str, ...] = ()
    """and so do these frozen models of ppo: reference, reward"""

    @property
    def row(self) -> list[int]:
        """Real tokens of the sequences of one row; a reward's two answers share their prompt."""
        return [self.prompt + self.answer * (2 if self.kind == "reward" else 1)]


@dataclass
class Estimate:
    """Bytes by phase and part."""

    phases: dict[str, dict[str, int]] = field(default_factory=dict)

    def total(self, phase: str) -> int:
        """The most a phase holds."""
        return sum(self.phases[phase].values())

    @property
    def peak(self) -> str:
        """The phase that holds most."""
        return max(self.phases, key=self.total)


def estimate(config: Any, work: Work) -> Estimate:
    """What one step of the work takes on a CPU, phase by phase; reads no weights."""
    job = _Rehearsal(config, work)
    with pretending():
        embody(job.held)
        job.lower()
        return job.run()


def passes(config: Any, work: Work, rows: Sequence[int]) -> list[int]:
    """The most bytes that a pass forward and back over so many rows makes, with its gradients."""
    job = _Rehearsal(config, work)
    with pretending():
        embody(job.held)
        job.lower()
        return job.passes(rows)


class _Rehearsal:
    """The models of a job without their numbers, and one step over them."""

    def __init__(self, config: Any, work: Work):
        self.work = work
        start = sketch(config, work.dtype)
        speaks = work.kind != "reward"
        self.held: list[torch.nn.Module] = [start]
        self.aside: list[torch.nn.Module] = []
        self.learners = [self._learner(start, Speaker if speaks else Judge)]
        if work.kind == "ppo":
            judged = sketch(config, work.dtype) if work.judge else start
            self.held.append(judged)
            frozen = {"reference": start, "reward": judged} if work.lora is None else {}
            self.aside = [frozen[name] for name in work.on_cpu if name in frozen]
            self.learners.append(self._learner(judged, Judge))
        self.held += self.learners
        self.moments = 0
        if not work.offload:
            self.moments = sum(moments(part, work.bits) for part in self.learners)

    @property
    def weights(self) -> int:
        """Bytes of all that lies here."""
        away = {id(w) for part in self.aside for w in part.parameters()}
        here = {id(w): w.nbytes for part in self.held for w in part.parameters()}
        return sum(size for name, size in here.items() if name not in away)

    def lower(self) -> None:
        """Masters lie where the offloaded optimizer does."""
        for part in self.learners if self.work.offload else ():
            low = masters.lows(part)
            for _, weight in part.learned():
                if id(weight) in low:
                    masters.lower(weight, low[id(weight)])

    def _learner(self, start: Trunk, kind: type[Speaker] | type[Judge]) -> Part:
        if self.work.lora is None:
            trunk, using = start.copy(), None
            trunk.requires_grad_(False)
        else:
            trunk, using = start, kind.__name__
            trunk.adapters.add(using, self.work.lora.config(""))
        part = kind(trunk, using)
        for _, weight in part.learned():
            weight.requires_grad_(True)
        if self.work.recompute:
            trunk.checkpoint()
        return part

    def run(self) -> Estimate:
        """All phases."""
        found = Estimate()
        if self.work.kind == "ppo":
            found.phases["sample"] = self._sample()
            found.phases["judge"] = self._judge()
        found.phases["update"] = max(
            (self._update(part) for part in self.learners), key=lambda parts: sum(parts.values())
        )
        return found

    def _told(self, **more: int) -> dict[str, int]:
        standing = {"weights": self.weights, "optimizer": self.moments}
        return {part: (standing | more).get(part, 0) for part in PARTS}

    def _update(self, part: Part) -> dict[str, int]:
        """Forward and backward; a second micro-batch meets the first one's gradients."""
        rows = self._rows(for_updates(part.trunk.device, self.work.micro_tokens).size)
        gradients, kept, peak = learned(part), 0, 0
        with Live() as live:
            for _ in range(2 if rows < self.work.batch else 1):
                before = live.now
                hidden_NH = self._read(part, rows)
                kept = live.now - before
                self._said(part, hidden_NH, rows).backward()
                del hidden_NH
            peak = live.peak
        for _, weight in part.learned():
            masters.leaf(weight).grad = None
        kept = min(kept, peak - gradients if peak > gradients else peak)
        rest = {"gradients": gradients, "activations": kept}
        return self._told(**rest, **{"logits and scratch": max(0, peak - gradients - kept)})

    def passes(self, rows: Sequence[int]) -> list[int]:
        """Each on top of the gradients of a pass before it."""
        part, peaks = self.learners[0], []
        with Live() as live:
            for count in (min(rows), *rows):
                live.peak = live.now
                self._said(part, self._read(part, count), count).backward()
                peaks.append(live.peak)
        return peaks[1:]

    def _rows(self, tokens: int) -> int:
        return max(1, min(self.work.batch, tokens // sum(self.work.row)))

    def _read(self, part: Part, rows: int) -> Tensor:
        lengths = self.work.row * rows
        return hidden(part.trunk, lengths, Packed(lengths), part.using)

    def _said(self, part: Part, hidden_NH: Tensor, rows: int) -> Tensor:
        """A sum over what the role says of its scored tokens."""
        scored = self.work.answer * rows
        picked = hidden_NH[torch.zeros(scored, dtype=torch.long, device=hidden_NH.device)]
        if isinstance(part, Judge):
            return part._worth(picked).sum()
        ids = torch.zeros(scored, dtype=torch.long, device=hidden_NH.device)
        vocab = part.trunk.model.config.get_text_config().vocab_size
        return fused.logp(part.trunk.logits, picked, ids, vocab).sum()

    @torch.no_grad()
    def _judge(self) -> dict[str, int]:
        """The reference's and the critic's looks at the answers."""
        part = Speaker(self.learners[0].trunk, self.learners[0].using)
        rows = self._rows(for_scores(part.trunk.device).size)
        with Live() as live:
            self._said(part, self._read(part, rows), rows)
        return self._told(**{"logits and scratch": live.peak})

    @torch.no_grad()
    def _sample(self) -> dict[str, int]:
        part, work = self.learners[0], self.work
        places = work.prompt + work.answer
        slots = min(work.batch, for_samples(part.trunk, places, work.slots).size)
        with Live() as live, part.trunk.autocast():
            refilled = slots < work.batch
            size = write(part.trunk, part.using, slots, work.prompt, places, refilled)
            again = laid_again(part.trunk)
        return self._told(cache=size, **{"logits and scratch": live.peak - size + again})


def write(
    trunk: Trunk, using: str | None, slots: int, prompt: int, places: int, refilled: bool
) -> int:
    """The sampler's last prefill and one step with every slot taken; bytes of the cache.

    The own decoder's cache grows: at the first prefill it has no more places than the prompts.
    """
    few = max(1, min(slots, for_prompts(trunk.device, slots, places) // prompt))
    lengths = [prompt] * few
    row = torch.zeros(few, dtype=torch.long, device=trunk.device)
    grows = unlike(forms.decoder(trunk.model)) is None
    cache = SlotCache(slots, prompt if grows and not refilled else places)
    for _ in range(2):  # the second while the cache is there
        first = SlotCache(few, prompt)
        hidden_NH = hidden(trunk, lengths, Packed(lengths, first), using)
        trunk.logits(hidden_NH[row])
        cache.copy(first, row, row)
        del hidden_NH
    if cache.places < places:
        cache = SlotCache(slots, places)
        cache.copy(first, row, row)
    del first
    at = torch.zeros(slots, dtype=torch.long, device=trunk.device)
    vocab = trunk.model.config.get_text_config().vocab_size
    logits_BV = torch.zeros(slots, vocab, device=trunk.device)
    cache.seen = places
    logits_BV.softmax(-1).cumsum(-1)
    trunk.logits(hidden(trunk, [1] * slots, Step(cache, at), using))
    return sum(x.nbytes for pair in cache._kv.values() for x in pair)


def learned(part: Part) -> int:
    """Bytes of its gradients: those of what it trains, masters taken for rounded weights."""
    return sum(masters.leaf(w).nbytes for _, w in part.learned())


def moments(part: Part, bits: int) -> int:
    """Two means of every weight: floats, or a byte each with a scale for 256 of them."""
    sizes = [w.numel() for _, w in part.learned()]
    small = [n for n in sizes if bits == 32 or n < quantised.SMALL]
    large = sum(sizes) - sum(small)
    return 8 * sum(small) + 2 * large + 2 * 4 * large // 256


def watched(work: Callable[[], Any]) -> int:
    """The most bytes a piece of real work held beyond what was there before it."""
    with Live() as live:
        work()
    return live.peak
