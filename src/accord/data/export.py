"""Records as rows that other trainers read: TRL, and sets like UltraFeedback binarized.

    rows, tally = trl_explicit(comparisons, ties="drop")
    write_rows("train.parquet", rows)

A ranking of K answers becomes its pairs, which share a `group`: a loss can then be averaged within
it, and a split made by it (Ouyang et al. 2022 train on all pairs of a prompt together).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from accord.data.tally import Tally
from accord.data.writing import messages, talk
from accord.records import Comparison, Demonstration, Message, Prompt, Rating

Row = dict[str, Any]
Ties = Literal["drop", "both"]
"""ties are left out and counted, or written in both orders"""


@dataclass(frozen=True)
class _Pair:
    """Two answers of a comparison, the better one first (or either, in a tie)."""

    of: Comparison
    better: int
    worse: int

    @property
    def tie(self) -> bool:
        return self.of.ranks[self.better] == self.of.ranks[self.worse]

    def said(self) -> Row:
        """What the judge told beside the order, and where the pair comes from."""
        one = self.of
        name = one.id if len(one.ranks) == 2 else f"{one.id}/{self.better}>{self.worse}"
        if self.tie:
            name += f"/{self.better}"
        p = one.p_first
        if p is not None and self.better == 1:
            p = 1 - p
        told = {
            "id": name if one.id else None,
            "group": one.id if len(one.ranks) > 2 and one.id else None,
            "margin": one.strength if len(one.ranks) == 2 and not self.tie else None,
            "p_first": p,
            "judge": one.judge if one.judge != "human" else None,
            "why": one.why or None,
        }
        return {key: value for key, value in told.items() if value is not None}

    def messages(self) -> tuple[list[Row], list[Row]]:
        """Each answer as the assistant's message."""
        texts = (self.of.responses[self.better], self.of.responses[self.worse])
        first, second = ([*messages((Message.of("assistant", text),))] for text in texts)
        return first, second


def _pairs(comparisons: Iterable[Comparison], ties: Ties, tally: Tally) -> Iterator[_Pair]:
    for number, one in enumerate(comparisons):
        found = [_Pair(one, *pair) for pair in one.pairs()]
        if ties == "both":
            places = range(len(one.ranks))
            even = [(i, j) for i in places for j in places if i != j]
            found += [_Pair(one, *p) for p in even if _Pair(one, *p).tie]
        if found:
            tally.keep()
            yield from found
        else:
            tally.drop("tie", f"{one.id or f'#{number}'}: its answers are tied")


def _each(
    comparisons: Iterable[Comparison], ties: Ties, make: Callable[[_Pair], Row]
) -> tuple[list[Row], Tally]:
    tally = Tally()
    return [make(pair) for pair in _pairs(comparisons, ties, tally)], tally


def trl_explicit(comparisons: Iterable[Comparison], ties: Ties = "drop") -> tuple[list[Row], Tally]:
    """Preferences with the prompt apart, as conversations; the tally counts comparisons."""

    def make(pair: _Pair) -> Row:
        chosen, rejected = pair.messages()
        prompt = messages(pair.of.prompt)
        return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **pair.said()}

    return _each(comparisons, ties, make)


def trl_implicit(comparisons: Iterable[Comparison], ties: Ties = "drop") -> tuple[list[Row], Tally]:
    """Preferences as two whole conversations; the tally counts comparisons."""

    def make(pair: _Pair) -> Row:
        prompt, (chosen, rejected) = messages(pair.of.prompt), pair.messages()
        return {"chosen": prompt + chosen, "rejected": prompt + rejected, **pair.said()}

    return _each(comparisons, ties, make)


def ultrafeedback_binarized(
    comparisons: Iterable[Comparison], ties: Ties = "drop"
) -> tuple[list[Row], Tally]:
    """Preferences with a hash of the prompt and scores, whose difference is the strength or 1."""

    def make(pair: _Pair) -> Row:
        prompt, (chosen, rejected) = messages(pair.of.prompt), pair.messages()
        said = pair.said()
        score = 0.0 if pair.tie else float(said.pop("margin", 1.0))
        return {
            "prompt": talk(pair.of.prompt),
            "prompt_id": sha256(repr(prompt).encode()).hexdigest(),
            "chosen": prompt + chosen,
            "rejected": prompt + rejected,
            "messages": prompt + chosen,
            "score_chosen": score,
            "score_rejected": 0.0,
            **said,
        }

    return _each(comparisons, ties, make)


def trl_unpaired(ratings: Iterable[Rating]) -> list[Row]:
    """Single answers, good or not."""
    return [
        {
            "prompt": messages(one.prompt),
            "completion": messages((Message.of("assistant", one.response),)),
            "label": one.good,
            **_named(one.id),
        }
        for one in ratings
    ]


def trl_prompts(prompts: Iterable[Prompt]) -> list[Row]:
    """Prompts alone."""
    return [{"prompt": messages(one.messages), **_named(one.id)} for one in prompts]


def trl_messages(demonstrations: Iterable[Demonstration]) -> list[Row]:
    """Whole conversations."""
    return [
        {
            "messages": messages((*one.prompt, Message.of("assistant", one.response))),
            **_named(one.id),
        }
        for one in demonstrations
    ]


def _named(name: str) -> Row:
    return {"id": name} if name else {}
