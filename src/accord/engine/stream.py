"""An open stream of answers: they join and leave between the steps of one model.

The same seats as a batch's, without an end: what an answer says is decided by its key alone.  Not
for several threads: one holds it and steps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from accord.engine.budget import for_samples
from accord.engine.roles import Policy
from accord.engine.seats import Seats, Slot, Told, tell
from accord.models.attention import Packed
from accord.models.decoder import known
from accord.models.trunk import flatten_ids
from accord.records import Ids

ROOM, USUAL = 4096, 1024
"""tokens of a prompt with its answer: the most where nothing is said, and what most keep below"""
_LOT = 256
"""tokens whose logits are held at once"""


class Stream:
    """Writes answers with one policy, whose weights do not change meanwhile."""

    def __init__(self, policy: Policy, slots: int | None = None, room: int | None = None):
        """At most `slots` answers at once, each of at most `room` tokens with its prompt.

        By default the model's whole context, though no more than 4096 tokens, and as many slots as
        the machine has room for.  Where the cache grows with what lies in it, that is reckoned with
        answers of 1024 tokens: many longer ones at once may run out of memory, and say so.
        """
        trunk, using = policy.model.trunk, policy.model.using
        self.policy, self.room = policy, min(policy.context, room or ROOM)
        places = self.room if isinstance(known(trunk, using), str) else min(self.room, USUAL)
        self.slots = for_samples(trunk, places, slots or policy.slots).size
        self.steps = 0
        """passes that wrote one more token of every answer under way"""
        self.clear()

    @contextmanager
    def open(self) -> Iterator[None]:
        """What the thread that steps holds meanwhile."""
        with torch.inference_mode(), self.policy.model.trunk.autocast():
            yield

    def clear(self) -> None:
        """Forget all answers: after an error nobody knows what the cache holds."""
        model = self.policy.model
        with self.open():
            self.seats = Seats(
                model.trunk,
                model.using,
                self.policy.speller.ends,
                size=self.slots,
                room=self.room,
                lasting=True,
            )

    @property
    def busy(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.seats.active or self.seats.queue)

    def add(self, slots: Sequence[Slot]) -> None:
        """Answers that wait for a seat, behind the others."""
        self.seats.add(slots)

    def leave(self, slot: Slot) -> None:
        """An answer that nobody wants any more."""
        self.seats.leave(slot)

    def step(self) -> list[Slot]:
        """One more token of every answer that has a seat; the finished ones, those left too."""
        self.seats.refill()
        if not self.seats.active:
            return []
        self.steps += 1
        finished = self.seats.step()
        if not self.busy:
            self.seats.rest()
        return finished

    def read(self, ids: Ids, best: int) -> list[Told]:
        """What the model thinks of every token of a text but the first, given those before."""
        model = self.policy.model
        flat = flatten_ids([ids], Packed([len(ids)]), model.trunk.device)
        hidden_NH = model.trunk(flat, model.using)
        told: list[Told] = []
        for start in range(0, len(ids) - 1, _LOT):  # logits of a whole context would be large
            some = ids[start + 1 : start + 1 + _LOT]
            logits_NV = model.trunk.logits(hidden_NH[start : start + len(some)])
            told += tell(logits_NV.log_softmax(-1), some, [best] * len(some))
        return told
