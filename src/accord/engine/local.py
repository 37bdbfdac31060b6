"""A policy of this machine as one who is asked."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice, takewhile
from typing import TypeVar

from accord.data.rows import choices
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken, Streams
from accord.engine.roles import Policy
from accord.errors import BadData
from accord.records import Ids, Invalid

LOT = 64
"""asks between two that are told: what a crash can cost"""
T = TypeVar("T")
Weighed = tuple[int, tuple[float, ...] | Invalid]


class Local(Streams):
    """An LLM over a policy: it samples, and scores options whole, with the policy's own weights.

    What an answer is `opened` with, and the option behind it, are spelled as one text.  Where a
    token spans the seam, log p(option) is log p(both) - log p(opened), which is the same number
    where none does.
    """

    def __init__(self, policy: Policy, lot: int = LOT):
        self.policy, self.lot = policy, lot

    @property
    def which(self) -> str:
        """Its weights, precision, and how it spells."""
        policy = self.policy
        return f"policy {policy.fingerprint} spells {policy.speller.fingerprint[:12]}"

    def saying(
        self, asks: Iterable[Ask], *, longest: int, how: Sampling
    ) -> Iterator[tuple[int, Spoken | Invalid]]:
        """(which ask, its answer), lot by lot.  The same ask is answered the same, whatever else is
        asked beside it.
        """
        for few in _lots(asks, self.lot):
            read = self._read([ask for _, ask in few], longest)
            good: dict[str, tuple[Ids, list[int]]] = {}
            for (place, ask), ids in zip(few, read, strict=True):
                if isinstance(ids, Invalid):
                    yield place, ids
                else:
                    name = f"{ask.seed}/{sha256(repr(ids).encode()).hexdigest()[:16]}"
                    good.setdefault(name, (ids, []))[1].append(place)
            prompts, names = [ids for ids, _ in good.values()], [*good]
            said = self.policy.sample(prompts, longest=longest, seed=0, how=how, names=names)
            for rollout, (ids, places) in zip(said, good.values(), strict=True):
                text, ended = self.policy.speller.text(rollout), rollout.finish == "stop"
                spoken = Spoken(text, ended, len(ids), len(rollout.response_ids))
                yield from ((place, spoken) for place in places)

    def weighing(self, asks: Iterable[tuple[Ask, Sequence[str]]]) -> Iterator[Weighed]:
        """(which ask, log p of its options), lot by lot."""
        for few in _lots(asks, self.lot):
            read = self._read([ask for _, (ask, _) in few], 0, opened=False)
            rows: list[tuple[int, Ids, list[Ids], bool]] = []
            for (place, (ask, options)), ids in zip(few, read, strict=True):
                row = ids if isinstance(ids, Invalid) else self._row(ids, ask, options)
                if isinstance(row, Invalid):
                    yield place, row
                else:
                    rows.append((place, *row))
            yield from self._weighed(rows)

    def _row(
        self, prompt: Ids, ask: Ask, options: Sequence[str]
    ) -> tuple[Ids, list[Ids], bool] | Invalid:
        """(what is read, what each option goes on with, whether a last one is what the opening
        alone goes on with).
        """
        if not options or not all(options):
            raise BadData(f"options are texts to choose from, and here they are {options!r}")
        spell = self.policy.speller.begun
        whole, alone = [spell(ask.opened + option) for option in options], spell(ask.opened)
        every = [*whole, alone]
        same = sum(1 for _ in takewhile(lambda ids: len({*ids}) == 1, zip(*every, strict=False)))
        same = min(same, min(map(len, whole)) - 1)  # each option keeps a token to be scored
        if same < 0:
            return Invalid(f"one of the options {options!r} is nothing in the model's tokens")
        tails, rest = [ids[same:] for ids in whole], alone[same:]
        longest = len(prompt) + max(map(len, every))
        if longest > self.policy.context:
            return Invalid(f"{longest} tokens, and the model reads {self.policy.context}")
        return (*prompt, *alone[:same]), [*tails, rest] if rest else tails, bool(rest)

    def _weighed(self, rows: Sequence[tuple[int, Ids, list[Ids], bool]]) -> Iterator[Weighed]:
        if not rows:
            return
        laid = choices([ids for _, ids, _, _ in rows], [tails for _, _, tails, _ in rows])
        for (place, _, tails, spans), logp_K in zip(
            rows, self.policy.compare(laid).tolist(), strict=True
        ):
            mine = logp_K[: len(tails)]
            opened = mine.pop() if spans else 0.0
            yield place, tuple(logp - opened for logp in mine)

    def _read(
        self, asks: Sequence[Ask], longest: int, *, opened: bool = True
    ) -> list[Ids | Invalid]:
        """The ids before each answer; Invalid where they cannot be written, or leave no room."""
        speller = self.policy.speller
        found: list[Ids | Invalid] = []
        for ask, row in zip(asks, speller.many([(a.messages, ()) for a in asks]), strict=True):
            if isinstance(row, BadData):
                found.append(Invalid(str(row)))
                continue
            ids = (*row[0], *speller.begun(ask.opened)) if opened and ask.opened else row[0]
            room = self.policy.context - longest
            found.append(
                ids
                if len(ids) <= room
                else Invalid(
                    f"{len(ids)} tokens to read and {longest} to write, and the model has room for "
                    f"{self.policy.context}: ask about shorter texts, or one that reads more"
                )
            )
        return found


def _lots(things: Iterable[T], size: int) -> Iterator[list[tuple[int, T]]]:
    """`size` at a time, numbered through."""
    every = enumerate(things)
    while few := list(islice(every, size)):
        yield few
