"""What a job will take, before it begins: a rehearsal with tensors that hold nothing.

The model is built from its config alone, and the passes of the job are run over it while every
storage made is counted, as on the real machine: no table of families, no formula to keep in step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from accord.engine.budget import for_prompts, for_samples, for_scores, for_updates
from accord.engine.live import Live
from accord.models import forms, fused, masters, quantised, vision
from accord.models.alike import unlike
from accord.models.attention import Layout, Packed, Step
from accord.models.cache import SlotCache
from accord.models.decoder import laid_again
from accord.models.fork import Fork
from accord.models.heads import Judge, Part, Speaker
from accord.models.load import Dtype
from accord.models.lora import Lora
from accord.models.sketch import embody, hidden, pretending, sketch
from accord.models.trunk import Trunk

PARTS = ("weights", "gradients", "optimizer", "activations", "cache", "logits and scratch")
Kind = Literal["sft", "reward", "dpo", "online", "ppo", "grpo", "rest", "best"]
SAMPLE = ("online", "ppo", "grpo", "rest", "best")
"""kinds of work that write answers, which a reward scores"""
PAIRS = ("reward", "dpo", "online")
"""those that learn from two answers to a prompt, side by side"""


@dataclass(frozen=True)
class Work:
    """A job, as far as memory goes: one step of it."""

    kind: Kind
    dtype: Dtype = "fp32"
    lora: Lora | None = None
    prompt: int = 128
    """tokens"""
    answer: int = 128
    """tokens"""
    batch: int = 32
    """rows per step: prompts, of which each has `n` answers (online, grpo, best), or two to compare
    (reward, dpo); else answers"""
    n: int = 1
    """answers to each prompt, where they are written"""
    lot: int | None = None
    """answers that are written and scored together, where that is not what a step learns from"""
    micro_tokens: int | None = None
    recompute: bool = False
    slots: int | None = None
    judge: bool = True
    """answers are scored by a reward model, rather than a rule"""
    refresh: bool = False
    """online: the reference is a copy that goes after the policy"""
    bits: int = 32
    """of each of the optimizer's means"""
    offload: bool = False
    """the optimizer's means, and masters, lie in another memory than this"""
    on_cpu: tuple[str, ...] = ()
    """and so do these frozen models of ppo and grpo: reference, reward"""

    @property
    def row(self) -> list[int]:
        """Real tokens of the sequences of one row; two answers that are compared share their
        prompt.
        """
        return [self.prompt + self.answer * (2 if self.kind in PAIRS else 1)]

    @property
    def written(self) -> int:
        """Answers that are written, and scored, at a time."""
        return self.lot or self.batch * self.n


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


Lot = Sequence[tuple[int, Sequence[int]]]
"""rows that are read at once: tokens of what is read once, and of each answer to it"""


class _Rehearsal:
    """The models of a job without their numbers, and one step over them."""

    def __init__(self, config: Any, work: Work):
        self.work = work
        start = sketch(config, work.dtype)
        speaks = work.kind != "reward"
        self.held: list[torch.nn.Module] = [start]
        self.start = Speaker(start)
        self.learners: list[Part] = []
        if work.kind != "best":
            self.learners = [self._learner(start, Speaker if speaks else Judge)]
        judged = sketch(config, work.dtype) if work.judge and work.kind in SAMPLE else start
        frozen = {"reference": start, "reward": judged}
        alone = work.lora is None or work.kind == "grpo"
        self.aside = [frozen[name] for name in work.on_cpu] if alone else []
        self.reward = Judge(judged) if judged is not start else None
        if work.kind == "ppo":
            self.learners.append(self._learner(judged, Judge))
        past = self._past(start) if work.kind in ("online", "rest") else []
        self.held += [*([self.reward] if self.reward else []), *self.learners, *past]
        self.moments = 0
        if not work.offload:
            busy = self.learners + (past[:1] if work.kind == "rest" else [])
            self.moments = sum(moments(part, work.bits) for part in busy)

    def _past(self, start: Trunk) -> list[Part]:
        """What else is held of a policy's weights: a reference that goes after it; in ReST the
        policy of the Improve before, whose optimizer is still there, and the best weights so far.
        """
        count = 2 if self.work.kind == "rest" else int(self.work.refresh)
        return [self._learner(start, Speaker) for _ in range(count)]

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
        found, kind = Estimate(), self.work.kind
        if seen := self._see():
            found.phases["see"] = seen
        if kind in SAMPLE:
            found.phases["sample"] = self._sample()
        if (kind in SAMPLE and kind != "best") or kind == "dpo" or self.reward:
            found.phases["judge"] = self._judge()
        if self.learners:
            found.phases["update"] = max(
                (self._update(part) for part in self.learners), key=lambda told: sum(told.values())
            )
        return found

    @torch.no_grad()
    def _see(self) -> dict[str, int]:
        """The tower's look at pictures, where there is one and it can be rehearsed."""
        model = self.start.trunk.model
        if not vision.tower(model):
            return {}
        family = vision.family(model)
        with Live() as live:
            if (given := family.blank()) is None:
                return {}
            family.see(given)
        return self._told(**{"logits and scratch": live.peak})

    def _told(self, **more: int) -> dict[str, int]:
        standing = {"weights": self.weights, "optimizer": self.moments}
        return {part: (standing | more).get(part, 0) for part in PARTS}

    def _update(self, part: Part) -> dict[str, int]:
        """Forward and backward; a second micro-batch meets the first one's gradients."""
        lot, more = self._lot(for_updates(part.trunk.device, self.work.micro_tokens).size)
        gradients, kept, peak = learned(part), 0, 0
        with Live() as live:
            for _ in range(2 if more else 1):
                before = live.now
                hidden_NH = self._read(part, lot)
                kept = live.now - before
                self._said(part, hidden_NH, lot).backward()
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
                lot = self._rows(count)
                self._said(part, self._read(part, lot), lot).backward()
                peaks.append(live.peak)
        return peaks[1:]

    def _rows(self, count: int) -> Lot:
        """So many rows of an update."""
        work = self.work
        if work.kind in ("dpo", "online"):
            return [(work.prompt, [work.answer] * 2)] * count
        return [(0, work.row)] * count

    def _lot(self, tokens: int) -> tuple[Lot, bool]:
        """The largest micro-batch of a step, and whether there are others."""
        work = self.work
        if work.kind != "grpo":
            count = max(1, min(work.batch, tokens // sum(work.row)))
            return self._rows(count), count < work.batch
        lots = self._groups(tokens, work.batch)
        return max(lots, key=_tokens), len(lots) > 1

    def _groups(self, tokens: int, prompts: int) -> Sequence[Lot]:
        """Answers to so many prompts, in order, cut into micro-batches; a group may be cut."""
        work, lots, spent = self.work, list[list[tuple[int, list[int]]]](), 0
        for answer in range(prompts * work.n):
            first = answer % work.n == 0
            cost = work.answer + first * work.prompt
            if not lots or spent + cost > tokens:
                lots.append([])
                spent = 0
            if first or not lots[-1]:
                lots[-1].append((work.prompt, []))
            lots[-1][-1][1].append(work.answer)
            spent += cost
        return lots

    def _read(self, part: Part, lot: Lot) -> Tensor:
        lengths = [stem + sum(few) for stem, few in lot]
        stems, few = [stem for stem, _ in lot], [few for _, few in lot]
        layout: Layout = Fork(stems, few) if any(stems) else Packed(lengths)
        return hidden(part.trunk, lengths, layout, part.using)

    def _said(self, part: Part, hidden_NH: Tensor, lot: Lot) -> Tensor:
        """A sum over what the role says of its scored tokens."""
        scored = self.work.answer * sum(len(few) for _, few in lot)
        picked = hidden_NH[torch.zeros(scored, dtype=torch.long, device=hidden_NH.device)]
        if isinstance(part, Judge):
            return part._worth(picked).sum()
        ids = torch.zeros(scored, dtype=torch.long, device=hidden_NH.device)
        vocab = part.trunk.model.config.get_text_config().vocab_size
        return fused.logp(part.trunk.logits, picked, ids, vocab).sum()

    @torch.no_grad()
    def _judge(self) -> dict[str, int]:
        """The looks at answers: the reference's, the reward model's, a critic's."""
        work, looks = self.work, list[int]()
        tokens = for_scores(self.start.trunk.device).size
        if work.kind != "best":
            part = Speaker(self.learners[0].trunk, self.learners[0].using)
            looks.append(self._look(part, self._compared(tokens)))
        if self.reward:
            each = work.prompt + work.answer
            count = max(1, min(work.written, tokens // each))
            looks.append(self._look(self.reward, [(0, [each])] * count))
        return self._told(**{"logits and scratch": max(looks)})

    def _compared(self, tokens: int) -> Lot:
        """What a reference is asked about at once."""
        work = self.work
        if work.kind in ("grpo", "online"):
            return max(self._groups(tokens, work.batch), key=_tokens)
        if work.kind in ("dpo", "rest"):  # all there are, whatever a step learns from
            return self._rows(max(1, tokens // sum(work.row)))
        return self._lot(tokens)[0]

    def _look(self, part: Part, lot: Lot) -> int:
        with Live() as live:
            self._said(part, self._read(part, lot), lot)
        return live.peak

    @torch.no_grad()
    def _sample(self) -> dict[str, int]:
        part, work = (self.learners or [self.start])[0], self.work
        places = work.prompt + work.answer
        slots = min(work.written, for_samples(part.trunk, places, work.slots).size)
        with Live() as live, part.trunk.autocast():
            refilled = slots < work.written
            size = write(part.trunk, part.using, slots, work.prompt, places, refilled)
            again = laid_again(part.trunk)
        return self._told(cache=size, **{"logits and scratch": live.peak - size + again})


def _tokens(lot: Lot) -> int:
    return sum(stem + sum(few) for stem, few in lot)


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
