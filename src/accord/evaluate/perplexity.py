"""The alignment tax: what training for a preference cost in predicting plain text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.data.rows import pad
from accord.engine.roles import Policy
from accord.errors import BadData
from accord.maths.intervals import Estimate, bootstrap
from accord.records import Ids

LOT = 64
"""windows asked about at once"""


@dataclass(frozen=True, slots=True)
class Perplexity:
    """How surprised a model is by texts; tokenizers differ in their tokens, not in their bytes."""

    nats: tuple[float, ...]
    """-log p of each whole text"""
    tokens: tuple[int, ...]
    characters: tuple[int, ...]
    bytes: tuple[int, ...]
    """of its UTF-8"""

    @property
    def total(self) -> float:
        """-log p of all texts, nats."""
        return math.fsum(self.nats)

    @property
    def per_token(self) -> float:
        """exp of the mean nats per token: only models with one tokenizer can be compared by it."""
        return _exp(self.total / sum(self.tokens))

    @property
    def per_character(self) -> float:
        """exp of the mean nats per character."""
        return _exp(self.total / sum(self.characters))

    @property
    def bits_per_byte(self) -> float:
        """What it costs to write a byte down: comparable whatever the tokenizer."""
        return self.total / sum(self.bytes) / math.log(2)


@dataclass(frozen=True, slots=True)
class Tax:
    """Two models on the same texts."""

    before: Perplexity
    after: Perplexity
    change: Estimate
    """of bits per byte, with its 95 % interval, texts drawn again; above 0 something was lost"""


def perplexity(policy: Policy, texts: Sequence[str]) -> Perplexity:
    """Of whole texts, each from its first character on, none cut.

    A text begins after what its tokenizer puts in front, or after an end where it puts nothing.
    Longer ones are read in windows of the context that overlap by half, so that every token is
    scored once, and with half a context before it or all there is.  BadData where a text is empty.
    """
    windows: list[tuple[int, Ids, Ids]] = []
    counts = []
    for place, text in enumerate(texts):
        ids = policy.speller.text_ids(text)[:-1]  # its end is no part of the bytes
        head = len(policy.speller.head)
        ids = ids if head else (policy.speller.end, *ids)
        windows += [(place, before, scored) for before, scored in cut(ids, policy.context, head)]
        counts.append(len(ids) - max(1, head))
    nats = [0.0] * len(texts)
    for start in range(0, len(windows), LOT):
        few = windows[start : start + LOT]
        logp_BT = policy.logp(pad([w[1] for w in few], [w[2] for w in few]))
        for (place, _, _), logp in zip(few, logp_BT.double().sum(1).tolist(), strict=True):
            nats[place] -= logp
    return Perplexity(
        tuple(nats),
        tuple(counts),
        tuple(map(len, texts)),
        tuple(len(text.encode("utf-8", "replace")) for text in texts),
    )


def tax(before: Perplexity, after: Perplexity, *, seed: int = 0) -> Tax:
    """What changed; a text weighs as many bytes as it has, and is drawn again whole."""
    if before.bytes != after.bytes:
        raise BadData("two models can only be compared on the same texts")
    mean = sum(before.bytes) / len(before.bytes)
    gaps = [(a - b) / mean / math.log(2) for b, a in zip(before.nats, after.nats, strict=True)]
    change = Estimate(after.bits_per_byte - before.bits_per_byte, *bootstrap(gaps, seed=seed))
    return Tax(before, after, change)


def cut(ids: Ids, context: int, head: int = 1) -> list[tuple[Ids, Ids]]:
    """(read, scored) windows of at most `context` tokens: each token after the first `head`, or
    the first one, is scored once.
    """
    at = max(1, head)
    stride = max(1, context // 2)
    found = []
    while at < len(ids):
        start = 0 if at == max(1, head) else max(0, at - (context - stride))
        stop = min(len(ids), start + context)
        found.append((ids[start:at], ids[at:stop]))
        at = stop
    return found


def read_texts(path: str | Path, size: int = 2000) -> list[str]:
    """Plain text in pieces of about `size` characters, parted at empty lines: JSON lines with a
    `text` are read by `data.sources`.  BadData where there is none.
    """
    try:
        whole = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{path} cannot be read as text in UTF-8: {error}") from error
    pieces: list[str] = []
    for block in whole.split("\n\n"):
        if not block.strip():
            continue
        if pieces and len(pieces[-1]) + len(block) < size:
            pieces[-1] += "\n\n" + block
        else:
            pieces.append(block)
    if not pieces:
        raise BadData(f"{path} holds no text")
    return pieces


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf
