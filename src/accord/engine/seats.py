"""The seats of a sampler: answers being written side by side over one slot cache.

A prompt is computed once and fanned out to its answers; answers come and go between steps, each
with its own random key, sampling, limit and listener.  A fixed batch (`sampler`) and an open stream
(`stream`) are driven by the same steps.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from accord.engine.budget import for_prompts
from accord.engine.draw import Sampling, draw, uniform
from accord.errors import NotFinite
from accord.models.cache import SlotCache
from accord.models.decoder import decoder
from accord.models.trunk import Trunk
from accord.records import Ids


@dataclass(frozen=True)
class Request:
    """One answer to be written."""

    id: str
    prompt_ids: Ids
    key: int


class Told(NamedTuple):
    """What the model itself thought of a token: temperature 1, nothing cut."""

    logp: float
    """nats"""
    best: tuple[tuple[int, float], ...]
    """(id, logp) of the likeliest tokens, falling"""


@dataclass(eq=False)
class Slot:
    """An answer being written, and how."""

    request: Request
    how: Sampling
    longest: int
    """the most tokens it may have"""
    best: int | None = None
    """so many likeliest tokens are told of every place; none: nothing is told"""
    hears: Callable[["Slot"], bool] | None = None
    """called with every token that was added; True ends the answer"""
    gone: bool = False
    """nobody wants it any more: it gets no further token, and its seat is free after the step"""
    ids: list[int] = field(default_factory=list)
    logp: list[float] = field(default_factory=list)
    """nats, in the distribution that the token was drawn from"""
    told: list[Told] = field(default_factory=list)


@dataclass
class _Prefix:
    """A prompt already computed: its row in a prefill cache, and what comes next."""

    cache: SlotCache
    row: int
    logits_V: Tensor


class Seats:
    """Who sits where, and what comes next for each.  Seats are always dense."""

    def __init__(
        self,
        trunk: Trunk,
        using: str | None,
        ends: frozenset[int],
        *,
        size: int,
        room: int,
        lasting: bool = False,
    ):
        """At most `size` answers at once, of at most `room` tokens with their prompts.

        Seats are refilled a handful at a time: a prefill for each alone would be slow.  Where they
        are `lasting`, at once, for somebody waits; and the cache grows with those who come.
        """
        self.ends, self.size, self.device = ends, size, trunk.device
        self.least = 1 if lasting else max(1, size // 8)
        self.queue: deque[Slot] = deque()
        self.waiting: Counter[Ids] = Counter()
        self.prefixes: dict[Ids, _Prefix] = {}
        self.most = for_prompts(self.device, size, room)
        """tokens of prompts that may lie beside the cache"""
        self.decoder, self.room = decoder(trunk, using, room), room
        self.seats: list[Slot] = []
        self.key_B = torch.zeros(size, dtype=torch.long, device=self.device)
        self.place_B = torch.zeros_like(self.key_B)
        """where the next token goes, counted from the start of the prompt"""
        self.said_B, self.ids_B = torch.zeros_like(self.key_B), torch.zeros_like(self.key_B)
        self.logits_BV = torch.zeros(0)
        self.cache = self.decoder.cache(0 if lasting else size, room)

    def rest(self) -> None:
        """While nobody sits here: let the cache go, which grows again with those who come."""
        self.cache = self.decoder.cache(0, self.room)

    def add(self, slots: Sequence[Slot]) -> None:
        """They wait for seats, behind those who wait already."""
        self.queue.extend(slots)
        self.waiting.update(slot.request.prompt_ids for slot in slots)

    def leave(self, slot: Slot) -> None:
        """Nobody wants it any more.  Who waits is forgotten, who sits gets up at the next step."""
        slot.gone = True
        if slot in self.queue:
            self.queue.remove(slot)
            self._let_go([slot.request.prompt_ids])

    @property
    def active(self) -> int:
        """How many are being written."""
        return len(self.seats)

    def refill(self) -> None:
        """Seat waiting answers."""
        free = self.size - self.active
        if self.queue and free >= self.least:
            self._seat([self.queue.popleft() for _ in range(min(free, len(self.queue)))])

    def _seat(self, slots: list[Slot]) -> None:
        start = self.active
        longest = max(len(slot.request.prompt_ids) for slot in slots)
        self.cache.seen = max(self.cache.seen, longest)  # so that it grows once
        self._make_room(start + len(slots))
        new = [self._take(lot) for lot in self._lots(slots)]
        self.logits_BV = torch.cat([self.logits_BV[:start], *new] if start else new)

    def _make_room(self, count: int) -> None:
        """Slots for so many, in lots of four, and at once for all who may come where many wait."""
        if count > self.cache.slots:
            self.cache.grow(min(self.size, -(-(count + len(self.queue)) // 4) * 4))

    def _lots(self, slots: list[Slot]) -> Iterator[list[Slot]]:
        """In order, with no more new prompts than may be read at once; those read before go first,
        so that they can be let go.
        """
        lot: list[Slot] = []
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

    def _take(self, slots: list[Slot]) -> Tensor:
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
                del self.waiting[prompt]
                self.prefixes.pop(prompt, None)
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

    def step(self) -> list[Slot]:
        """Draw one token in every seat, and look ahead in those that go on; the finished ones."""
        now = slice(self.active)
        u_B = uniform(self.key_B[now], self.said_B[now])
        curious = [slot for slot in self.seats if slot.best is not None]
        thought_CV = self._thoughts() if curious else self.logits_BV  # drawing overwrites them
        self.ids_B[now], logp_B = self._draw(u_B)
        ids = self.ids_B[now].tolist()
        if curious:
            said = [i for slot, i in zip(self.seats, ids, strict=True) if slot.best is not None]
            thoughts = tell(thought_CV, said, [slot.best or 0 for slot in curious])
            for slot, told in zip(curious, thoughts, strict=True):
                slot.told.append(told)
        finished = self._note(ids, logp_B.tolist())
        self.said_B[now] += 1
        if finished:
            self._close_up({id(slot) for slot in finished})
        if self.active:
            rows = self._rows()
            self.cache.seen = int(self.place_B[: self.active].max()) + 1
            # a row beyond the seats computes along on what is left in it; nobody looks
            place_B = self.place_B[:rows].clamp(max=self.cache.seen - 1)
            self.logits_BV = self.decoder.step(self.ids_B[:rows], place_B, self.cache)
            self.place_B[: self.active] += 1
        return finished

    def _thoughts(self) -> Tensor:
        """logp_CV of the model itself, in the seats of those who want to know."""
        here = [i for i, slot in enumerate(self.seats) if slot.best is not None]
        return self.logits_BV[torch.tensor(here, device=self.device)].log_softmax(-1)

    def _draw(self, u_B: Tensor) -> tuple[Tensor, Tensor]:
        """(ids_B, logp_B) of those who sit here; who samples alike, together."""
        hows = {slot.how for slot in self.seats}
        logits_BV = self.logits_BV[: self.active]
        if len(hows) == 1:
            return draw(logits_BV, u_B, hows.pop())
        ids_B, logp_B = torch.empty_like(self.ids_B[: self.active]), torch.empty_like(u_B).float()
        for how in hows:
            here = [i for i, slot in enumerate(self.seats) if slot.how == how]
            at = torch.tensor(here, device=self.device)
            ids_B[at], logp_B[at] = draw(logits_BV[at], u_B[at], how)
        return ids_B, logp_B

    def _rows(self) -> int:
        """In lots of four: products are prepared once per size."""
        return self.active if self.active < 4 else min(self.cache.slots, -(-self.active // 4) * 4)

    def _close_up(self, gone: set[int]) -> None:
        """The last answers move into the places of finished ones, so that those cost nothing."""
        live = [i for i, slot in enumerate(self.seats) if id(slot) not in gone]
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

    def _note(self, ids: list[int], logp: list[float]) -> list[Slot]:
        """Write them down; who is finished by an end, the limit, or the listener."""
        finished = []
        for i, slot in enumerate(self.seats):
            if slot.gone:
                finished.append(slot)
                continue
            if logp[i] != logp[i] or logp[i] == -float("inf"):
                raise NotFinite(
                    f"sample {slot.request.id!r}: the model's logits are not finite at answer "
                    f"token {len(slot.ids)}; the weights have diverged or are damaged"
                )
            slot.ids.append(ids[i])
            slot.logp.append(logp[i])
            full = ids[i] in self.ends or len(slot.ids) == slot.longest
            if (slot.hears is not None and slot.hears(slot)) or full:
                finished.append(slot)
        return finished


def tell(logp_CV: Tensor, ids: Sequence[int], best: Sequence[int]) -> list[Told]:
    """What was thought of each id, and of as many of the likeliest ones as are wanted beside it."""
    at_C1 = torch.tensor(ids, device=logp_CV.device)[:, None]
    said = logp_CV.gather(1, at_C1)[:, 0].tolist()
    first = logp_CV.topk(min(max(best), logp_CV.shape[1]), -1)
    rows = zip(said, best, first.indices.tolist(), first.values.tolist(), strict=True)
    return [
        Told(logp, tuple(zip(others[:k], theirs[:k], strict=True)))
        for logp, k, others, theirs in rows
    ]
