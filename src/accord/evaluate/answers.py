"""Two sets of answers to the same prompts: what models say, kept as they say it, or a file's."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from accord.config import digest
from accord.data.tally import Tally
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.engine.sampler import Watch
from accord.errors import BadData, RunMismatch
from accord.records import Conversation, Demonstration, Ids, Prompt, Rollout, Text
from accord.store import files, journal, record
from accord.text.tokenizer import Speller

LOT = 32
"""prompts whose answers are written down at once: what a crash can cost"""


class Letters:
    """A speller that needs no model: every character is an id, and 0 is the end.

    For answers of two files, which no tokenizer has to read; a reward that reads text spells them
    in its own way.  A prompt's pictures and facts are one negative id, so that the same question
    about another picture, or with other facts, is another prompt.
    """

    ends, end, head = frozenset({0}), 0, ()
    fingerprint = "letters"

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        """The characters."""
        return "".join(chr(i) for i in ids if i > 0)

    def text(self, said: Rollout | Sequence[int]) -> str:
        """The characters of an answer."""
        return self.decode(said.response_ids if isinstance(said, Rollout) else said)

    def render(self, conversation: Conversation) -> str:
        """One message as it stands; of several, each with who said it."""
        if len(conversation) == 1:
            return conversation[0].text
        return "\n\n".join(f"{message.role}: {message.text}" for message in conversation)

    def prompt_ids(self, conversation: Conversation) -> Ids:
        """At least one id."""
        ids = tuple(map(ord, self.render(conversation))) or (ord(" "),)
        return (*_aside(conversation), *ids)

    def many(
        self, rows: Sequence[tuple[Conversation, Sequence[str]]]
    ) -> list[tuple[Ids, tuple[Ids, ...]] | BadData]:
        """Prompts with their answers, each with its end."""
        return [
            (self.prompt_ids(talk), tuple((*map(ord, text.replace("\0", "")), 0) for text in texts))
            for talk, texts in rows
        ]


def _aside(conversation: Conversation) -> Ids:
    """One id of all that its letters leave out; none where there is nothing."""
    parts = [[x for x in one.content if not isinstance(x, Text)] for one in conversation]
    if not any(parts):
        return ()
    return (-1 - int(sha256(repr(parts).encode(errors="surrogatepass")).hexdigest()[:12], 16),)


LETTERS = cast(Speller, Letters())


@dataclass(frozen=True)
class Asking:
    """How answers are asked for."""

    longest: int
    """tokens"""
    n: int = 1
    """answers to each prompt"""
    how: Sampling = field(default_factory=Sampling)
    seed: int = -1
    """the same throws the same dice for every policy; -1 is no seed of training"""

    def told(self) -> dict[str, Any]:
        """As a file of answers says it."""
        how = {"temperature": self.how.temperature, "top_p": self.how.top_p}
        how |= {"top_k": self.how.top_k}
        how |= {"min_p": self.how.min_p} if self.how.min_p else {}
        return {"n": self.n, "longest": self.longest, "how": how, "seed": self.seed}


@dataclass(frozen=True)
class Side:
    """One set of answers: n to each prompt, prompt by prompt."""

    name: str
    speller: Speller
    said: Sequence[Rollout]
    n: int

    @property
    def texts(self) -> list[list[str]]:
        """The words, prompt by prompt."""
        flat = [self.speller.text(one) for one in self.said]
        return [flat[start : start + self.n] for start in range(0, len(flat), self.n)]


def spelled(
    prompts: Sequence[Prompt], speller: Speller, room: int | None, tally: Tally
) -> dict[int, Ids]:
    """Place -> ids of every prompt that can be read, and is no longer than the room for it."""
    found: dict[int, Ids] = {}
    rows = speller.many([(prompt.messages, ()) for prompt in prompts])
    for place, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        name = prompt.id or str(place)
        if isinstance(row, BadData):
            tally.drop("cannot be spelled", f"prompt {name!r}: {row}")
        elif room is not None and len(row[0]) > room:
            tally.drop(f"prompt over {room} tokens", f"prompt {name!r}: {len(row[0])} tokens")
        else:
            tally.keep()
            found[place] = row[0]
    return found


def given(
    name: str,
    prompts: Sequence[Prompt],
    said: Mapping[Conversation, Sequence[str]],
    speller: Speller,
    n: int,
) -> Side:
    """Answers that stand in a file; where it has fewer than n to a prompt, they are used again."""
    made = []
    for place, prompt in enumerate(prompts):
        texts = said[prompt.messages]
        (row,) = speller.many([(prompt.messages, texts)])
        if isinstance(row, BadData):
            raise BadData(f"{name}: an answer to prompt {prompt.id or place!r} is refused: {row}")
        for k in range(n):
            ids = row[1][k % len(texts)]
            made.append(Rollout(f"{place}/{k}", row[0], ids, (0.0,) * len(ids), 0, "stop"))
    return Side(name, speller, made, n)


def by_prompt(records: Sequence[Demonstration]) -> dict[Conversation, list[str]]:
    """The answers of a file, by what was asked."""
    found: dict[Conversation, list[str]] = {}
    for one in records:
        found.setdefault(one.prompt, []).append(one.response)
    return found


def sampled(
    name: str,
    policy: Policy,
    asked: Mapping[int, Ids],
    file: Path,
    asking: Asking,
    *,
    watch: Watch | None = None,
) -> Side:
    """What a policy says, written to the file as it goes: the same again goes on from there.

    RunMismatch where the file holds answers of another model, to other prompts, or drawn otherwise.
    """
    about = {
        "model": policy.fingerprint,
        "template": policy.speller.fingerprint,
        "prompts": digest(list(asked.items())),
        **asking.told(),
    }
    n = asking.n
    done = _there(file, about, n)
    if watch and done:
        watch(len(done))
    places = list(asked)
    with files.writing(str(file)), file.open("ab") as out:
        for start in range(len(done) // n, len(places), LOT):
            few = places[start : start + LOT]
            said = policy.sample(
                [asked[place] for place in few],
                n=n,
                longest=asking.longest,
                seed=asking.seed,
                how=asking.how,
                names=[str(place) for place in few],
                watch=watch,
            )
            out.write(b"".join(_line(_row(one)) for one in said))
            out.flush()
            done += said
    return Side(name, policy.speller, done, n)


def _there(file: Path, about: Mapping[str, Any], n: int) -> list[Rollout]:
    """The answers of all whole lots in the file, which is left with them alone."""
    found = list(journal.rows(file))
    if found:
        changes = record.differences(found[0], dict(about))
        if changes:
            raise RunMismatch(
                f"{file} holds answers made otherwise: {record.said(*changes[0])}. Give another "
                "folder (out=...), or the settings it was made with"
            )
    rows = found[1:]
    whole = rows[: len(rows) // n * n]
    with files.writing(str(file)):
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(file, b"".join(map(_line, [about, *whole])))
    return [_rollout(row) for row in whole]


def _row(one: Rollout) -> dict[str, Any]:
    return {
        "id": one.id,
        "prompt_ids": one.prompt_ids,
        "response_ids": one.response_ids,
        "logp": one.logp,
        "version": one.version,
        "finish": one.finish,
    }


def _rollout(row: Mapping[str, Any]) -> Rollout:
    known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Rollout(**known)


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"
