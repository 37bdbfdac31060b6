"""The sampler: ancestral sampling over a slot cache, without `generate()`.

The prompt is computed once and fanned out to its n answers; a finished slot is refilled from the
queue; when the queue is empty the cache shrinks to the answers still being written.  Every answer
has its own random key, so what else is in the batch, or finishes first, changes nothing but
rounding: in fp32 the last bits of a sum, and hardly ever a token; in bf16 a token now and then.
"""

from collections.abc import Callable, Sequence

import torch

from accord.engine.draw import Sampling, key
from accord.engine.seats import Request, Seats, Slot
from accord.errors import BadData, BadSettings
from accord.models.trunk import Trunk
from accord.records import Ids, Rollout

Watch = Callable[[int], None]
"""called with the number of answers that have just been finished"""


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
        slots = [Slot(request, how, longest) for request in requests]
        with self.trunk.autocast():  # outermost, so that cast weights are kept from step to step
            self._run(slots, watch)
        return [self._said(slot, version) for slot in slots]

    def _run(self, slots: list[Slot], watch: Watch | None) -> None:
        size = min(self.slots, len(slots))
        room = max(len(slot.request.prompt_ids) + slot.longest for slot in slots)
        seats = Seats(self.trunk, self.using, self.ends, size=size, room=room)
        seats.add(slots)
        while seats.active or seats.queue:
            seats.refill()
            for _ in seats.step():
                if watch:
                    watch(1)

    def _said(self, slot: Slot, version: int) -> Rollout:
        return Rollout(
            slot.request.id,
            slot.request.prompt_ids,
            tuple(slot.ids),
            tuple(slot.logp),
            version,
            "stop" if slot.ids[-1] in self.ends else "length",
        )


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
