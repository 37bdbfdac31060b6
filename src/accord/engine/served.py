"""A model behind an OpenAI-compatible server as one who is asked.

With `chat` (/v1/chat/completions) the server's template writes the turns.  What an answer begins
with is sent as an assistant's turn to be continued (continue_final_message); a server that refuses
that is told in words how to begin.  Options are read off the likeliest first tokens after what they
have in common, so they are known only where they differ at once and stand among those.

With `completions` (/v1/completions) the prompt is sent as it is, for base models, and options are
scored whole, by echo, as Accord's own endpoint gives them.

Pictures are sent within the request (chat alone), in the place where they stand among the words.
Where an ask has a form (response_format), it is sent along, and a server that refuses it ends it.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from accord.data.pictures import data_url
from accord.engine.client import Body, Client, Reply
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken, Streams
from accord.errors import BadSettings
from accord.records import Conversation, Invalid
from accord.records.plain import messages

Speaks = Literal["chat", "completions"]
TOP = 20
"""likeliest tokens that are asked for: as many as the protocol allows"""
FORM = "response_format"
_GO_ON = {"add_generation_prompt": False, "continue_final_message": True}


class Served(Streams):
    """An LLM at an address."""

    def __init__(self, client: Client, speaks: Speaks = "chat"):
        self.client, self.speaks = client, speaks
        self._goes_on: bool | None = None
        """whether the server continues a turn that is begun; None: not tried yet"""
        self._formed = False
        """whether a form of answers was sent"""

    @property
    def which(self) -> str:
        """Address, name and protocol."""
        return f"{self.client.which} {self.speaks}"

    # --- to speak ---

    def saying(
        self, asks: Iterable[Ask], *, longest: int, how: Sampling
    ) -> Iterator[tuple[int, Spoken | Invalid]]:
        """(which ask, its answer) as they come."""
        if how.min_p:
            raise BadSettings("min_p is not in OpenAI's protocol: a server cannot be asked for it")
        first, rest = _first(asks)
        if first is None:
            return
        yield 0, self._one(first, longest, how)  # learns whether a turn can be continued
        calls = (self._said(ask, longest, how) for ask in rest)
        for place, reply in self.client.answered(calls):
            yield place + 1, self._spoken(reply)

    def _one(self, ask: Ask, longest: int, how: Sampling) -> Spoken | Invalid:
        path, body = self._said(ask, longest, how)
        return self._spoken(self._tried(path, body, ask, lambda: self._said(ask, longest, how)))

    def _tried(self, path: str, body: Body, ask: Ask, again: Any) -> Reply:
        """A first request; without a turn to be continued where the server refuses that."""
        reply = self.client.post(path, body)
        begun = "continue_final_message" in body
        if begun and isinstance(reply, Invalid) and self._goes_on is None:
            self._goes_on = False
            self.client.tell(
                f"{self.client.url} does not continue a turn that is begun: it is told how to begin"
            )
            return self.client.post(*again())
        if begun and not isinstance(reply, Invalid):
            self._goes_on = True
        return reply

    def _said(self, ask: Ask, longest: int, how: Sampling) -> tuple[str, Body]:
        self._formed |= bool(ask.form)
        body = {
            **self._asked(ask, ask.opened),
            "max_tokens": longest,
            "temperature": how.temperature,
            "top_p": how.top_p,
            "seed": ask.seed % 2**31,
            **({"top_k": how.top_k} if how.top_k else {}),
            **({FORM: json.loads(ask.form)} if ask.form else {}),
        }
        return self._path, body

    def _spoken(self, reply: Reply) -> Spoken | Invalid:
        if isinstance(reply, Invalid):
            return self._formless(reply)
        try:
            (one,) = reply["choices"]
            text = one["text"] if self.speaks == "completions" else one["message"]["content"]
            why, used = one.get("finish_reason"), reply.get("usage") or {}
            read, written = (int(used.get(f"{k}_tokens") or 0) for k in ("prompt", "completion"))
        except (LookupError, TypeError, ValueError, AttributeError):
            return Invalid(self.client.odd("gave a reply that is no answer", reply))
        if why == "content_filter":
            return Invalid(f"{self.client.url} filtered its answer (content_filter)")
        if text is not None and not isinstance(text, str):
            return Invalid(self.client.odd("gave an answer that is no text", reply))
        return Spoken(text or "", why != "length", read, written)

    def _formless(self, reply: Invalid) -> Invalid:
        """BadSettings where it is the form that the server refuses: every further ask would be."""
        if self._formed and FORM in reply.reason and " refused with " in reply.reason:
            raise BadSettings(
                f"{reply.reason}. It does not hold answers to this form: say {FORM}: none in the "
                "judge's card, and it is only asked in words"
            )
        return reply

    # --- to weigh ---

    def weighing(
        self, asks: Iterable[tuple[Ask, Sequence[str]]]
    ) -> Iterator[tuple[int, tuple[float, ...] | Invalid]]:
        """(which ask, log p of its options) as they come."""
        if self.speaks == "completions":
            yield from self._echoed(asks)
            return
        first, rest = _first(asks)
        if first is None:
            return
        ask, options = first
        reply = self._tried(*self._top(ask, options), ask, lambda: self._top(ask, options))
        yield 0, self._odds(reply, options)
        drawn: list[Sequence[str]] = []

        def calls() -> Iterator[tuple[str, Body]]:
            for ask, options in rest:
                drawn.append(options)
                yield self._top(ask, options)

        for place, told in self.client.answered(calls()):
            yield place + 1, self._odds(told, drawn[place])

    def _top(self, ask: Ask, options: Sequence[str]) -> tuple[str, Body]:
        body = {
            **self._asked(ask, ask.opened + _shared(options), options),
            "max_tokens": 1,
            "temperature": 1.0,
            "logprobs": True,
            "top_logprobs": TOP,
        }
        return self._path, body

    def _odds(self, reply: Reply, options: Sequence[str]) -> tuple[float, ...] | Invalid:
        """log p of the first token of each option, after what all begin with."""
        if isinstance(reply, Invalid):
            return reply
        try:
            top = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            likely = [(str(one["token"]), float(one["logprob"])) for one in top]
        except (LookupError, TypeError, ValueError):
            return Invalid(self.client.odd("gave no top_logprobs", reply))
        shared = len(_shared(options))
        found = []
        for option in options:
            others = [one[shared:].lstrip() for one in options if one != option]
            mine = _begins(likely, option[shared:].lstrip(), others)
            if not mine:
                return Invalid(
                    f"{self.client.url}: {option!r} is not among the {len(likely)} likeliest "
                    f"tokens ({', '.join(repr(token) for token, _ in likely[:4])}, …)"
                )
            found.append(mine[0] if len(mine) == 1 else math.log(sum(map(math.exp, mine))))
        return tuple(found)

    def _echoed(
        self, asks: Iterable[tuple[Ask, Sequence[str]]]
    ) -> Iterator[tuple[int, tuple[float, ...] | Invalid]]:
        """Each option is a request: a prompt that ends with it, of which nothing is continued."""
        whose: list[tuple[int, int, int]] = []  # place, option, characters before it
        sizes: list[int] = []

        def calls() -> Iterator[tuple[str, Body]]:
            for place, (ask, options) in enumerate(asks):
                sizes.append(len(options))
                body = self._asked(ask, ask.opened)
                for k, option in enumerate(options):
                    whose.append((place, k, len(body["prompt"])))
                    text = body["prompt"] + option
                    more = {"max_tokens": 0, "echo": True, "logprobs": 1, "temperature": 1.0}
                    yield self._path, {**body, "prompt": text, **more}

        heard: dict[int, dict[int, float | Invalid]] = {}
        for at, reply in self.client.answered(calls()):
            place, k, before = whose[at]
            few = heard.setdefault(place, {})
            few[k] = self._tail(reply, before)
            if len(few) == sizes[place]:
                given = [few[i] for i in range(len(few))]
                bad = next((one for one in given if isinstance(one, Invalid)), None)
                yield place, bad or tuple(one for one in given if not isinstance(one, Invalid))

    def _tail(self, reply: Reply, before: int) -> float | Invalid:
        """log p of the tokens that reach beyond the first `before` characters."""
        if isinstance(reply, Invalid):
            return reply
        try:
            told = reply["choices"][0]["logprobs"]
            ends = [*told["text_offset"][1:], math.inf]
            rows = zip(told["token_logprobs"], ends, strict=True)
            return math.fsum(float(logp) for logp, end in rows if end > before)
        except (LookupError, TypeError, ValueError):
            return Invalid(self.client.odd("gave no logprobs of what it was sent (echo)", reply))

    # --- both ---

    @property
    def _path(self) -> str:
        return "/chat/completions" if self.speaks == "chat" else "/completions"

    def _asked(self, ask: Ask, opened: str, options: Sequence[str] = ()) -> dict[str, Any]:
        if self.speaks == "completions":
            if len(ask.messages) != 1 or ask.messages[0].role != "user":
                raise BadSettings(
                    "speaks=completions sends one text, and this is a conversation: speaks=chat"
                )
            if ask.messages[0].images:
                raise BadSettings("speaks=completions sends no pictures: speaks=chat")
            return {"model": self.client.model, "prompt": ask.messages[0].text + opened}
        talk = _sent(ask.messages)
        if opened and self._goes_on is not False:
            begun = [*talk, {"role": "assistant", "content": opened}]
            return {"model": self.client.model, "messages": begun, **_GO_ON}
        if options:
            names = ", ".join(option[len(_shared(options)) :].strip(" ()") for option in options)
            talk = _told(talk, f"Answer with one of these and nothing else: {names}")
        elif opened.strip():
            talk = _told(talk, f'Begin your answer right after these words: "{opened.strip()}"')
        return {"model": self.client.model, "messages": talk}


def _sent(talk: Conversation) -> list[dict[str, Any]]:
    """Messages with the pictures themselves in place of their paths; facts are for judges alone."""
    told = messages(talk)
    for one in told:
        if not isinstance(one["content"], str):
            one["content"] = [_part(part) for part in one["content"] if part["type"] != "fact"]
    return told


def _part(part: dict[str, str]) -> dict[str, Any]:
    if part["type"] != "image":
        return part
    return {"type": "image_url", "image_url": {"url": data_url(part["path"])}}


def _first(asks: Iterable[Any]) -> tuple[Any, Iterator[Any]]:
    every = iter(asks)
    return next(every, None), every


def _shared(options: Sequence[str]) -> str:
    """The signs that all options begin with, such as " (" of " (A)" and " (B)"."""
    signs = {re.split(r"\w", option, maxsplit=1)[0] for option in options}
    return signs.pop().rstrip() if len(signs) == 1 else ""


def _begins(likely: list[tuple[str, float]], option: str, others: Sequence[str]) -> list[float]:
    """log p of the tokens that can only be the beginning of this option."""
    words = [(token.strip(" ()\n"), logp) for token, logp in likely]
    return [
        logp
        for word, logp in words
        if word and option.startswith(word) and not any(o.startswith(word) for o in others)
    ]


def _told(talk: list[dict[str, Any]], more: str) -> list[dict[str, Any]]:
    """The conversation with a sentence behind its last turn."""
    *before, last = talk
    if not isinstance(last["content"], str):
        return [*before, {**last, "content": [*last["content"], {"type": "text", "text": more}]}]
    return [*before, {**last, "content": f"{last['content']}\n\n{more}"}]
