"""Records as rows that other trainers read: TRL, and sets like UltraFeedback or hh-rlhf.

    rows, tally = trl_explicit(comparisons, ties="drop")
    write_rows("train.parquet", rows)

FORMS has them all by name, one row at a time.

A ranking of K answers becomes its pairs, which share a `group`: a loss can then be averaged within
it, and a split made by it (Ouyang et al. 2022 train on all pairs of a prompt together).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from accord.data.pieces import TURN, Flaw
from accord.data.shapes import Kind
from accord.data.tally import Tally
from accord.data.writing import talk
from accord.records import Comparison, Conversation, Demonstration, Message, Prompt, Rating
from accord.records.plain import messages

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


# --- comparisons ---


def _pairs(one: Comparison, ties: Ties) -> Iterator[_Pair]:
    yield from (_Pair(one, *pair) for pair in one.pairs())
    if ties == "both":
        places = range(len(one.ranks))
        even = (_Pair(one, i, j) for i in places for j in places if i != j)
        yield from (pair for pair in even if pair.tie)


def _unsaid(one: Comparison, ties: Ties) -> Iterator[Flaw]:
    """What pairs do not hold of a comparison that they come from."""
    if one.strength is not None and (len(one.ranks) > 2 or one.tie):
        yield Flaw("strength", "it is of a ranking or a tie, and pairs have a margin each")
    if ties == "drop" and not one.tie and len(set(one.ranks)) < len(one.ranks):
        yield Flaw("tied answers of a ranking", "no pair is made of two that share a place")


def _paired(
    make: Callable[[_Pair], Row],
    trimmed: bool = False,
) -> "Rows":
    """A row for each pair; the tally counts comparisons."""

    def rows(comparisons: Iterable[Comparison], ties: Ties, tally: Tally) -> Iterator[Row]:
        for number, one in enumerate(comparisons):
            name = one.id or f"#{number}"
            made, flaws = [], []
            for pair in _pairs(one, ties):
                try:
                    made.append(make(pair))
                except Flaw as flaw:
                    flaws.append(flaw)
            if not made:
                why = flaws[0] if flaws else Flaw("tie", "its answers are tied")
                tally.drop(why.reason, f"{name}: {why.detail}")
                continue
            tally.keep()
            for part in (*flaws, *_unsaid(one, ties), *(_space(one) if trimmed else ())):
                tally.note(part.reason, f"{name}: {part.detail}")
            yield from made

    return rows


def _explicit(pair: _Pair) -> Row:
    chosen, rejected = pair.messages()
    prompt = messages(pair.of.prompt)
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **pair.said()}


def _implicit(pair: _Pair) -> Row:
    prompt, (chosen, rejected) = messages(pair.of.prompt), pair.messages()
    return {"chosen": prompt + chosen, "rejected": prompt + rejected, **pair.said()}


def _standard(pair: _Pair) -> Row:
    talk = pair.of.prompt
    if talk != (Message.of("user", talk[0].text),):
        raise Flaw("a conversation", "this form's prompt is one text of the user's")
    chosen, rejected = pair.of.responses[pair.better], pair.of.responses[pair.worse]
    return {"prompt": talk[0].text, "chosen": chosen, "rejected": rejected, **pair.said()}


def _binarized(pair: _Pair) -> Row:
    prompt, (chosen, rejected) = messages(pair.of.prompt), pair.messages()
    said = pair.said()
    score = 0.0 if pair.tie else float(said.pop("margin", 1.0))
    if score <= 0 and not pair.tie:
        raise Flaw("strength not above 0", f"strength {score:g}: its scores would deny the order")
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


WHO = {"user": "Human", "assistant": "Assistant"}


def _transcribed(pair: _Pair) -> Row:
    """Of hh-rlhf: text alone, so what a text cannot hold is a flaw."""
    if pair.tie:
        raise Flaw("tie", "a transcript has no place to say that its answers are tied")
    texts = (pair.of.responses[pair.better], pair.of.responses[pair.worse])
    before = _transcript(pair.of.prompt)
    chosen, rejected = (before + _transcript((Message.of("assistant", text),)) for text in texts)
    return {"chosen": chosen, "rejected": rejected, **pair.said()}


def _transcript(talk: Conversation) -> str:
    told = []
    for place, one in enumerate(talk):
        if one.role not in WHO or (len(talk) > 1 and one.role != ("user", "assistant")[place % 2]):
            raise Flaw("not a dialogue", f"message {place + 1} is the {one.role}'s, out of turn")
        if one.images:
            raise Flaw("pictures", f"message {place + 1} holds a picture, and a transcript is text")
        if TURN.search(one.text):
            raise Flaw("text like a turn", f"message {place + 1} holds a line that begins a turn")
        told.append(f"\n\n{WHO[one.role]}: {one.text.strip()}")
    return "".join(told)


def _space(one: Comparison) -> Iterator[Flaw]:
    texts = (*(message.text for message in one.prompt), *one.responses)
    if any(text != text.strip() for text in texts):
        yield Flaw("space around turns", "a transcript does not keep it")


# --- the others ---


def _rated(ratings: Iterable[Rating], ties: Ties, tally: Tally) -> Iterator[Row]:
    for one in ratings:
        tally.keep()
        yield {
            "prompt": messages(one.prompt),
            "completion": messages((Message.of("assistant", one.response),)),
            "label": one.good,
            **_named(one.id),
            **({"judge": one.judge} if one.judge != "human" else {}),
            **({"why": one.why} if one.why else {}),
        }


def _asked(prompts: Iterable[Prompt], ties: Ties, tally: Tally) -> Iterator[Row]:
    for one in prompts:
        tally.keep()
        yield {"prompt": messages(one.messages), **_named(one.id)}


def _dialogues(demonstrations: Iterable[Demonstration], ties: Ties, tally: Tally) -> Iterator[Row]:
    for one in demonstrations:
        tally.keep()
        yield {
            "messages": messages((*one.prompt, Message.of("assistant", one.response))),
            **_named(one.id),
            **({"author": one.author} if one.author != "human" else {}),
        }


def _completed(demonstrations: Iterable[Demonstration], ties: Ties, tally: Tally) -> Iterator[Row]:
    for one in demonstrations:
        tally.keep()
        yield {
            "prompt": messages(one.prompt),
            "completion": messages((Message.of("assistant", one.response),)),
            **_named(one.id),
            **({"author": one.author} if one.author != "human" else {}),
        }


def _named(name: str) -> Row:
    return {"id": name} if name else {}


# --- by name ---

Rows = Callable[[Iterable[Any], Ties, Tally], Iterator[Row]]
"""records, what to do with ties, and the tally that is told about each record, as rows come"""


@dataclass(frozen=True)
class Form:
    """How rows look for somebody else."""

    kind: Kind
    """the records it is made of"""
    rows: Rows


FORMS: Mapping[str, Form] = {
    "trl_explicit": Form("comparisons", _paired(_explicit)),
    "trl_implicit": Form("comparisons", _paired(_implicit)),
    "trl_standard": Form("comparisons", _paired(_standard)),
    "ultrafeedback_binarized": Form("comparisons", _paired(_binarized)),
    "hh_transcripts": Form("comparisons", _paired(_transcribed, trimmed=True)),
    "trl_unpaired": Form("ratings", _rated),
    "trl_prompts": Form("prompts", _asked),
    "trl_messages": Form("demonstrations", _dialogues),
    "trl_completion": Form("demonstrations", _completed),
}


def _all(name: str, records: Iterable[Any], ties: Ties = "drop") -> tuple[list[Row], Tally]:
    tally = Tally()
    return list(FORMS[name].rows(records, ties, tally)), tally


def trl_explicit(comparisons: Iterable[Comparison], ties: Ties = "drop") -> tuple[list[Row], Tally]:
    """Preferences with the prompt apart, as conversations; the tally counts comparisons."""
    return _all("trl_explicit", comparisons, ties)


def trl_implicit(comparisons: Iterable[Comparison], ties: Ties = "drop") -> tuple[list[Row], Tally]:
    """Preferences as two whole conversations; the tally counts comparisons."""
    return _all("trl_implicit", comparisons, ties)


def ultrafeedback_binarized(
    comparisons: Iterable[Comparison], ties: Ties = "drop"
) -> tuple[list[Row], Tally]:
    """Preferences with a hash of the prompt and scores, whose difference is the strength or 1."""
    return _all("ultrafeedback_binarized", comparisons, ties)


def hh_transcripts(comparisons: Iterable[Comparison]) -> tuple[list[Row], Tally]:
    """Preferences as two transcripts; what they cannot hold is dropped and counted."""
    return _all("hh_transcripts", comparisons)


def trl_unpaired(ratings: Iterable[Rating]) -> list[Row]:
    """Single answers, good or not."""
    return _all("trl_unpaired", ratings)[0]


def trl_prompts(prompts: Iterable[Prompt]) -> list[Row]:
    """Prompts alone."""
    return _all("trl_prompts", prompts)[0]


def trl_messages(demonstrations: Iterable[Demonstration]) -> list[Row]:
    """Whole conversations."""
    return _all("trl_messages", demonstrations)[0]
