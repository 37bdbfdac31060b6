"""The sampler: ancestral sampling over a slot cache, without `generate()`.

The prompt is computed once and fanned out to its n answers; a finished slot is refilled from the
queue; when the queue is empty the cache shrinks to the answers still being written.  Every answer
has its own random key, so what else is in the batch, or finishes first, changes nothing but the
last bits of a sum.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from accord.engine.draw import Sampling, draw, key, uniform
from accord.errors import BadData, BadSettings, NotFinite
from accord.models.attention import Packed, Step
from accord.models.cache import SlotCache
from accord.models.trunk import Flat, Trunk, flatten_ids
from accord.records import Ids, Rollout

Watch = Callable[[int], None]
"""called with the number of answers that have just been finished"""


@dataclass(frozen=True)
class Request:
    """One answer to be written."""

    id: str
    prompt_ids: Ids
    key: int


@dataclass
class _Slot:
    request: Request
    order: int
    ids: list[int] = field(default_factory=list)
    logp: list[float] = field(default_factory=list)


@dataclass
class _Prefix:
    """A prompt already computed: its row in a prefill cache, and what comes next."""

    cache: SlotCache
    row: int
    logits_V: Tensor


class Sampler:
    """Writes answers with one model.  Holds no weights of its own, so it is never stale."""

    def __init__(self, trunk: Trunk, using: str | None, ends: frozenset[int], *, slots: int = 64):
        self.trunk, self.using, self.ends, self.slots = trunk, using, ends, slots

    @torch.inference_mode()
    def run(
        self,
        requests: Sequence[Request],
        how: Sampling,
        *,
        longest: int,
        version: int = 0,
        watch: Watch | None = None,
    ) -> list[Rollout]:
        """One rollout per request, in the order asked; `longest` counts answer tokens.

        Raises NotFinite where the model's logits are, naming the sample.
        """
        if longest < 1:
            raise BadSettings(f"longest is {longest}; an answer has at least one token")
        if not requests:
            return []
        with self.trunk.autocast():  # outermost, so that cast weights are kept from step to step
            return self._run(_Batch(self, requests, how, longest), version, watch)

    def _run(self, batch: "_Batch", version: int, watch: Watch | None) -> list[Rollout]:
        done: list[Rollout | None] = [None] * len(batch.queue)
        while batch.active or batch.queue:
            batch.refill()
            for slot in batch.step():
                stop = slot.ids[-1] in self.ends
                done[slot.order] = Rollout(
                    slot.request.id,
                    slot.request.prompt_ids,
                    tuple(slot.ids),
                    tuple(slot.logp),
                    version,
                    "stop" if stop else "length",
                )
                if watch:
                    watch(1)
        return [rollout for rollout in done if rollout is not None]


class _Batch:
    """The slots of one run: who sits where, what comes next for each."""

    def __init__(self, sampler: Sampler, requests: Sequence[Request], how: Sampling, longest: int):
        self.trunk, self.using, self.ends = sampler.trunk, sampler.using, sampler.ends
        self.how, self.longest, self.device = how, longest, sampler.trunk.device
        self.queue = deque(_Slot(request, order) for order, request in enumerate(requests))
        self.waiting = Counter(request.prompt_ids for request in requests)
        self.prefixes: dict[Ids, _Prefix] = {}
        room = max(len(request.prompt_ids) for request in requests) + longest
        self.size = min(sampler.slots, len(requests))
        self.cache = SlotCache(self.size, room)
        self.seats: list[_Slot | None] = [None] * self.size
        self.key_B = torch.zeros(self.size, dtype=torch.long, device=self.device)
        self.place_B = torch.zeros_like(self.key_B)
        """where the next token goes, counted from the start of the prompt"""
        self.said_B = torch.zeros_like(self.key_B)
        self.logits_BV = torch.zeros(0)

    @property
    def active(self) -> int:
        return sum(seat is not None for seat in self.seats)

    def refill(self) -> None:
        """Seat waiting answers, a handful at a time: a prefill for each alone would be slow."""
        free = [i for i, seat in enumerate(self.seats) if seat is None]
        if not self.queue:
            self._shrink()
        elif len(free) >= max(1, self.size // 8):
            self._seat([(i, self.queue.popleft()) for i in free[: len(self.queue)]])

    def _seat(self, pairs: list[tuple[int, _Slot]]) -> None:
        prompts = [slot.request.prompt_ids for _, slot in pairs]
        self._prefill([p for p in dict.fromkeys(prompts) if p not in self.prefixes])
        for cache in {id(self.prefixes[p].cache): self.prefixes[p].cache for p in prompts}.values():
            here = [
                (i, self.prefixes[p].row)
                for (i, _), p in zip(pairs, prompts, strict=True)
                if self.prefixes[p].cache is cache
            ]
            at, rows = torch.tensor(here, device=self.device).T
            self.cache.copy(cache, rows, at)
        for i, slot in pairs:
            prefix = self.prefixes[slot.request.prompt_ids]
            if not len(self.logits_BV):
                self.logits_BV = prefix.logits_V.new_zeros(self.size, len(prefix.logits_V))
            self.seats[i], self.logits_BV[i] = slot, prefix.logits_V
            self.key_B[i], self.said_B[i] = slot.request.key, 0
            self.place_B[i] = len(slot.request.prompt_ids)
        for prompt in prompts:
            self.waiting[prompt] -= 1
            if not self.waiting[prompt]:
                del self.prefixes[prompt]

    def _prefill(self, prompts: list[Ids]) -> None:
        if not prompts:
            return
        cache = SlotCache(len(prompts), max(map(len, prompts)))
        layout = Packed([len(p) for p in prompts], cache)
        hidden_NH = self.trunk(flatten_ids(prompts, layout, self.device), self.using)
        ends = torch.tensor([len(p) for p in prompts]).cumsum(0) - 1
        logits_PV = self.trunk.logits(hidden_NH[ends.to(self.device)])
        for row, prompt in enumerate(prompts):
            self.prefixes[prompt] = _Prefix(cache, row, logits_PV[row])

    def _shrink(self) -> None:
        """Drop empty seats once a quarter of them is empty."""
        if self.active > 0.75 * self.size:
            return
        keep = [i for i, seat in enumerate(self.seats) if seat is not None]
        index = torch.tensor(keep, device=self.device)
        self.cache.keep(index)
        self.seats, self.size = [self.seats[i] for i in keep], len(keep)
        self.key_B, self.place_B, self.said_B, self.logits_BV = (
            x[index] for x in (self.key_B, self.place_B, self.said_B, self.logits_BV)
        )

    def step(self) -> list[_Slot]:
        """Draw one token in every seat, and look ahead in those that go on; the finished ones."""
        ids_B, logp_B = draw(self.logits_BV, uniform(self.key_B, self.said_B), self.how)
        finished = self._note(ids_B.tolist(), logp_B.tolist())
        self.said_B += 1
        if self.active:
            # an empty seat computes along on what is left in it; nobody looks
            place_B = self.place_B.clamp(max=self.cache.places - 1)
            self.cache.seen = int(place_B.max()) + 1
            flat = Flat(ids_B, place_B, Step(self.cache, place_B))
            self.logits_BV = self.trunk.logits(self.trunk(flat, self.using))
            self.place_B += 1
        return finished

    def _note(self, ids: list[int], logp: list[float]) -> list[_Slot]:
        finished = []
        for i, slot in enumerate(self.seats):
            if slot is None:
                continue
            if logp[i] != logp[i] or logp[i] == -float("inf"):
                raise NotFinite(
                    f"sample {slot.request.id!r}: the model's logits are not finite at answer "
                    f"token {len(slot.ids)}; the weights have diverged or are damaged"
                )
            slot.ids.append(ids[i])
            slot.logp.append(logp[i])
            if ids[i] in self.ends or len(slot.ids) == self.longest:
                finished.append(slot)
                self.seats[i] = None
        return finished


def requests(
    prompts: Sequence[Ids], names: Sequence[str], *, n: int, seed: int, limit: int
) -> list[Request]:
    """n requests per prompt, side by side, named `prompt/draw`.

    Raises BadData where a prompt leaves no room within `limit` tokens.
    """
    for name, prompt in zip(names, prompts, strict=True):
        if not 0 < len(prompt) <= limit:
            raise BadData(
                f"prompt {name!r} has {len(prompt)} tokens; between 1 and {limit} leave room for "
                "the answer in this model's context. Drop it, or ask for shorter answers"
            )
    pairs = [(f"{x}/{k}", p) for x, p in zip(names, prompts, strict=True) for k in range(n)]
    return [Request(name, prompt, key(seed, name)) for name, prompt in pairs]
