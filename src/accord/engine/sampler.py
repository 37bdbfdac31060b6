"""The sampler: ancestral sampling over a slot cache, without `generate()`.

The prompt is computed once and fanned out to its n answers; a finished slot is refilled from the
queue; when the queue is empty the cache shrinks to the answers still being written.  Every answer
has its own random key, so what else is in the batch, or finishes first, changes nothing but
rounding: in fp32 the last bits of a sum, and hardly ever a token; in bf16 a token now and then.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from accord.engine.budget import for_prompts
from accord.engine.draw import Sampling, draw, key, uniform
from accord.errors import BadData, BadSettings, NotFinite
from accord.models.cache import SlotCache
from accord.models.decoder import decoder
from accord.models.trunk import Trunk
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
    """The slots of one run: who sits where, what comes next for each.  Seats are always dense."""

    def __init__(self, sampler: Sampler, requests: Sequence[Request], how: Sampling, longest: int):
        self.ends, self.how, self.longest = sampler.ends, how, longest
        self.device = sampler.trunk.device
        self.queue = deque(_Slot(request, order) for order, request in enumerate(requests))
        self.waiting = Counter(request.prompt_ids for request in requests)
        self.prefixes: dict[Ids, _Prefix] = {}
        room = max(len(request.prompt_ids) for request in requests) + longest
        self.size = min(sampler.slots, len(requests))
        self.most = for_prompts(self.device, self.size, room)
        """tokens of prompts that may lie beside the cache"""
        self.decoder = decoder(sampler.trunk, sampler.using, room)
        self.cache = self.decoder.cache(self.size, room)
        self.seats: list[_Slot] = []
        self.key_B = torch.zeros(self.size, dtype=torch.long, device=self.device)
        self.place_B = torch.zeros_like(self.key_B)
        """where the next token goes, counted from the start of the prompt"""
        self.said_B, self.ids_B = torch.zeros_like(self.key_B), torch.zeros_like(self.key_B)
        self.logits_BV = torch.zeros(0)

    @property
    def active(self) -> int:
        return len(self.seats)

    def refill(self) -> None:
        """Seat waiting answers, a handful at a time: a prefill for each alone would be slow."""
        free = self.size - self.active
        if self.queue and free >= max(1, self.size // 8):
            self._seat([self.queue.popleft() for _ in range(min(free, len(self.queue)))])

    def _seat(self, slots: list[_Slot]) -> None:
        start = self.active
        longest = max(len(slot.request.prompt_ids) for slot in slots)
        self.cache.seen = max(self.cache.seen, longest)  # so that it grows once
        new = [self._take(lot) for lot in self._lots(slots)]
        self.logits_BV = torch.cat([self.logits_BV[:start], *new] if start else new)

    def _lots(self, slots: list[_Slot]) -> Iterator[list[_Slot]]:
        """In order, with no more new prompts than may be read at once; those read before go first,
        so that they can be let go.
        """
        lot: list[_Slot] = []
        new: dict[Ids, int] = {}
        for slot in slots:
            prompt = slot.request.prompt_ids
            fresh = prompt not in self.prefixes and prompt not in new
            size = (len(new) + 1) * max([len(prompt), *new.values()])
            if lot and fresh and (not new or size > self.most):
                yield lot
                lot, new = [], {}
            lot.append(slot)
            if fresh:
                new[prompt] = len(prompt)
        yield lot

    def _take(self, slots: list[_Slot]) -> Tensor:
        """Seat these; logits_BV of what comes first in each."""
        prompts, start = [slot.request.prompt_ids for slot in slots], self.active
        self._prefill([p for p in dict.fromkeys(prompts) if p not in self.prefixes])
        for cache in {id(self.prefixes[p].cache): self.prefixes[p].cache for p in prompts}.values():
            here = [
                (i, self.prefixes[p].row)
                for i, p in enumerate(prompts, start)
                if self.prefixes[p].cache is cache
            ]
            at, rows = torch.tensor(here, device=self.device).T
            self.cache.copy(cache, rows, at)
        new_BV = torch.stack([self.prefixes[p].logits_V for p in prompts])
        self.seats += slots
        now = slice(start, self.active)
        self.key_B[now] = torch.tensor([slot.request.key for slot in slots])
        self.place_B[now] = torch.tensor([len(p) for p in prompts])
        self.said_B[now] = 0
        self._let_go(prompts)
        return new_BV

    def _let_go(self, seated: list[Ids]) -> None:
        """Of prompts that nobody waits for; and of the first read where too much is held."""
        for prompt in seated:
            self.waiting[prompt] -= 1
            if not self.waiting[prompt]:
                del self.prefixes[prompt]
        while len(held := {id(p.cache): p.cache for p in self.prefixes.values()}) > 1:
            if sum(cache.slots * cache.places for cache in held.values()) <= self.most:
                break
            del self.prefixes[next(iter(self.prefixes))]  # read again when its turn comes

    def _prefill(self, prompts: list[Ids]) -> None:
        if not prompts:
            return
        cache, logits_PV = self.decoder.read(prompts)
        for row, prompt in enumerate(prompts):
            self.prefixes[prompt] = _Prefix(cache, row, logits_PV[row])

    def step(self) -> list[_Slot]:
        """Draw one token in every seat, and look ahead in those that go on; the finished ones."""
        now = slice(self.active)
        u_B = uniform(self.key_B[now], self.said_B[now])
        self.ids_B[now], logp_B = draw(self.logits_BV[now], u_B, self.how)
        finished = self._note(self.ids_B[now].tolist(), logp_B.tolist())
        self.said_B[now] += 1
        if finished:
            self._close_up({slot.order for slot in finished})
        if self.active:
            rows = self._rows()
            self.cache.seen = int(self.place_B[: self.active].max()) + 1
            # a row beyond the seats computes along on what is left in it; nobody looks
            place_B = self.place_B[:rows].clamp(max=self.cache.seen - 1)
            self.logits_BV = self.decoder.step(self.ids_B[:rows], place_B, self.cache)
            self.place_B[: self.active] += 1
        return finished

    def _rows(self) -> int:
        """In lots of four: products are prepared once per size."""
        return self.active if self.active < 4 else min(self.cache.slots, -(-self.active // 4) * 4)

    def _close_up(self, gone: set[int]) -> None:
        """The last answers move into the places of finished ones, so that those cost nothing."""
        live = [i for i, slot in enumerate(self.seats) if slot.order not in gone]
        count = len(live)
        holes = sorted(set(range(count)).difference(live))
        order = list(range(self.cache.slots))
        for hole, last in zip(holes, [i for i in live if i >= count], strict=True):
            order[hole] = last
        self.seats = [self.seats[i] for i in order[:count]]
        if not count:
            return
        index = torch.tensor(order[: self._rows()], device=self.device)
        if not self.queue and len(index) < self.cache.slots:
            self.cache.keep(index)
        elif holes:
            at = torch.tensor(holes, device=self.device)
            self.cache.move(index[at], at)
        for state_B in (self.key_B, self.place_B, self.said_B, self.ids_B):
            state_B[: len(index)] = state_B[index]

    def _note(self, ids: list[int], logp: list[float]) -> list[_Slot]:
        finished = []
        for i, slot in enumerate(self.seats):
            if logp[i] != logp[i] or logp[i] == -float("inf"):
                raise NotFinite(
                    f"sample {slot.request.id!r}: the model's logits are not finite at answer "
                    f"token {len(slot.ids)}; the weights have diverged or are damaged"
                )
            slot.ids.append(ids[i])
            slot.logp.append(logp[i])
            if ids[i] in self.ends or len(slot.ids) == self.longest:
                finished.append(slot)
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
