"""A model behind an OpenAI-compatible endpoint (/v1/chat/completions), asked for answers.

What was answered is written down at once, and never asked again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.config import digest
from accord.engine.client import Client, Reply
from accord.engine.sampler import Watch
from accord.errors import NoAnswer, RunMismatch
from accord.evaluate.answers import Asking
from accord.records import Invalid, Prompt
from accord.records.plain import messages
from accord.store import files, journal, record


@dataclass(frozen=True)
class Heard:
    """One answer: which prompt's, which of n, its text, and why it ended."""

    place: int
    k: int
    text: str
    finish: str


def asked(
    client: Client,
    prompts: Sequence[Prompt],
    file: Path,
    asking: Asking,
    *,
    watch: Watch | None = None,
) -> list[list[Heard]]:
    """n answers of a server to each prompt, written to the file as they come.

    The same again asks for what is missing.  RunMismatch where the file holds answers of another
    model, to other prompts, or drawn otherwise.
    """
    about = {
        "model": client.which,
        "prompts": digest([messages(one.messages) for one in prompts]),
        **asking.told(),
    }
    heard = _there(file, about)
    if watch and heard:
        watch(len(heard))
    known: list[list[Heard]] = [[] for _ in prompts]
    for one in heard:
        known[one.place].append(one)
    with files.writing(str(file)), file.open("ab") as out:
        for few in _rounds(client, prompts, known, asking):
            out.write(b"".join(map(_line, few)))
            out.flush()
            if watch:
                watch(len(few))
    return [sorted(few, key=lambda one: one.k) for few in known]


def _rounds(
    client: Client, prompts: Sequence[Prompt], known: list[list[Heard]], asking: Asking
) -> Iterator[list[Heard]]:
    """What comes back, prompt by prompt; a server that gives fewer than n is asked again."""
    while waiting := [i for i, few in enumerate(known) if len(few) < asking.n]:
        missing = {
            i: [k for k in range(asking.n) if k not in {h.k for h in known[i]}] for i in waiting
        }
        calls = (
            ("/chat/completions", _body(client, prompts[i], asking, i, missing[i])) for i in waiting
        )
        for at, reply in client.answered(calls):
            place = waiting[at]
            said = _said(client, reply)
            if not said:
                raise NoAnswer(f"{client.url}: no choices for prompt {prompts[place].id or place}")
            few = [Heard(place, k, *told) for k, told in zip(missing[place], said, strict=False)]
            known[place] += few
            yield few


def _body(
    client: Client, prompt: Prompt, asking: Asking, place: int, missing: Sequence[int]
) -> dict[str, Any]:
    seed = (asking.seed + 1) * 1_000_003 + place * asking.n + missing[0]
    how = asking.how
    body: dict[str, Any] = {
        "model": client.model,
        "messages": messages(prompt.messages),
        "n": len(missing),
        "max_tokens": asking.longest,
        "temperature": how.temperature,
        "top_p": how.top_p,
        "seed": seed % 2**31,
    }
    return body | ({"top_k": how.top_k} if how.top_k else {})


def _said(client: Client, reply: Reply) -> list[tuple[str, str]]:
    """(text, why it ended) of each choice."""
    if isinstance(reply, Invalid):
        raise NoAnswer(reply.reason)
    try:
        return [
            (str(one["message"]["content"] or ""), str(one.get("finish_reason") or ""))
            for one in reply["choices"]
        ]
    except (LookupError, TypeError):
        raise NoAnswer(client.odd("gave a reply without choices", reply)) from None


def _there(file: Path, about: Mapping[str, Any]) -> list[Heard]:
    rows = list(journal.rows(file))
    if rows:
        changes = record.differences(rows[0], dict(about))
        if changes:
            raise RunMismatch(
                f"{file} holds answers made otherwise: {record.said(*changes[0])}. Give another "
                "folder (out=...), or the settings it was made with"
            )
    heard = [Heard(**row) for row in rows[1:]]
    with files.writing(str(file)):  # without a last line that a crash has cut
        file.parent.mkdir(parents=True, exist_ok=True)
        head = json.dumps(about).encode() + b"\n"
        files.write_whole(file, head + b"".join(map(_line, heard)))
    return heard


def _line(one: Heard) -> bytes:
    told = {"place": one.place, "k": one.k, "text": one.text, "finish": one.finish}
    return json.dumps(told).encode() + b"\n"
