"""What was said in the words of the protocol: whole answers, and streams of pieces."""

import codecs
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from accord.engine.seats import Told
from accord.serve.asked import ChatAsked, TextAsked
from accord.serve.engine import Engine, Line, Order, Piece
from accord.serve.wrong import Wrong
from accord.text.hearing import token_bytes
from accord.text.tokenizer import Speller

Tokens = Sequence[tuple[int, Told]]
Dict = dict[str, Any]


class Form(Protocol):
    """One of the two kinds of completions."""

    kind: str
    piece: str
    """names of an answer and of a piece of a stream"""

    def first(self, index: int) -> Dict | None:
        """The piece that opens an answer in a stream, where there is one."""

    def chosen(self, index: int, text: str, tokens: Tokens, finish: str) -> Dict:
        """A whole answer."""

    def some(self, index: int, piece: Piece) -> Dict:
        """A piece of one."""


class Chat:
    """A message of the assistant."""

    kind, piece = "chat.completion", "chat.completion.chunk"

    def __init__(self, asked: ChatAsked, speller: Speller):
        self.speller, self.tells = speller, asked.logprobs

    def first(self, index: int) -> Dict | None:
        """It says who speaks."""
        return self._choice(index, "", (), "delta", {"role": "assistant", "content": ""})

    def chosen(self, index: int, text: str, tokens: Tokens, finish: str) -> Dict:
        """A message."""
        said = {"role": "assistant", "content": text, "refusal": None}
        return self._choice(index, finish, tokens, "message", said)

    def some(self, index: int, piece: Piece) -> Dict:
        """A delta; empty where nothing is certain yet."""
        said = {"content": piece.text} if piece.text or piece.tokens else {}
        return self._choice(index, piece.finish, piece.tokens, "delta", said)

    def _choice(self, index: int, finish: str, tokens: Tokens, key: str, said: Dict) -> Dict:
        logprobs = {"content": [self._token(*one) for one in tokens], "refusal": None}
        told = logprobs if self.tells and (tokens or finish) else None
        return {"index": index, key: said, "logprobs": told, "finish_reason": finish or None}

    def _token(self, i: int, told: Told) -> Dict:
        best = [self._one(*one) for one in told.best]
        return {**self._one(i, told.logp), "top_logprobs": best}

    def _one(self, i: int, logp: float) -> Dict:
        raw = token_bytes(self.speller, i)
        return {"token": shown(raw), "logprob": floor(logp), "bytes": list(raw)}


class Text:
    """A continuation."""

    kind = piece = "text_completion"

    def __init__(self, asked: TextAsked, speller: Speller, prompts: Sequence[tuple[int, ...]]):
        self.speller, self.asked, self.prompts = speller, asked, prompts
        self.tells = asked.logprobs is not None
        self.places: dict[int, _Place] = {}
        if asked.echo:
            given = asked.prompts
            self.heads = [
                one if isinstance(one, str) else speller.decode(one, special=True) for one in given
            ]

    def first(self, index: int) -> Dict | None:
        """With echo, the prompt; its tokens come by themselves."""
        if not self.asked.echo:
            return None
        return self._choice(index, self._head(index), None, "")

    def chosen(self, index: int, text: str, tokens: Tokens, finish: str) -> Dict:
        """The prompt before it, with echo."""
        head = self._head(index) if self.asked.echo else ""
        return self._choice(index, head + text, self._told(index, tokens), finish)

    def some(self, index: int, piece: Piece) -> Dict:
        """The next text."""
        return self._choice(index, piece.text, self._told(index, piece.tokens), piece.finish)

    def _head(self, index: int) -> str:
        return self.heads[index // self._n]

    @property
    def _n(self) -> int:
        return self.asked.n if self.asked.max_tokens else 1

    def _choice(self, index: int, text: str, told: Dict | None, finish: str) -> Dict:
        return {"text": text, "index": index, "logprobs": told, "finish_reason": finish or None}

    def _told(self, index: int, tokens: Tokens) -> Dict | None:
        """The first token of a prompt was given, not thought of: it has no numbers."""
        if not self.tells:
            return None
        place = self.places.get(index)
        rows: list[tuple[int, Told | None]] = [*tokens]
        if place is None:
            place = self.places[index] = _Place()
            if self.asked.echo:
                prompt = self.prompts[index // self._n]
                place.begin(prompt, self._head(index), self.speller)
                rows.insert(0, (prompt[0], None))
        names = [token_bytes(self.speller, i) for i, _ in rows]
        best = [None if told is None else self._best(i, told) for i, told in rows]
        return {
            "tokens": [shown(name) for name in names],
            "token_logprobs": [None if told is None else floor(told.logp) for _, told in rows],
            "top_logprobs": best,
            "text_offset": [place.of(i, name, self.speller) for (i, _), name in zip(rows, names)],
        }

    def _best(self, i: int, told: Told) -> dict[str, float]:
        every = (*told.best, (i, told.logp))
        return {shown(token_bytes(self.speller, j)): floor(logp) for j, logp in every}


class _Place:
    """Where in the text each token begins; a control token takes no room."""

    def __init__(self) -> None:
        self.chars, self.decoder = 0, codecs.getincrementaldecoder("utf-8")("replace")

    def begin(self, prompt: Sequence[int], text: str, speller: Speller) -> None:
        """Some tokenizers write a space before a text, which is no part of it."""
        names = [token_bytes(speller, i) for i in prompt if i not in speller.controls]
        raw = b"".join(names).decode(errors="replace")
        self.chars = -1 if raw == f" {text}" else 0

    def of(self, i: int, name: bytes, speller: Speller) -> int:
        """Of the next token."""
        here = max(0, self.chars)
        if i not in speller.controls:
            self.chars += len(self.decoder.decode(name))
        return here


def shown(raw: bytes) -> str:
    """A token as text; bytes that are no whole characters are written out, as OpenAI does."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def floor(logp: float) -> float:
    """JSON has no -inf: OpenAI's number for what cannot be."""
    return max(logp, -9999.0)


class Letter:
    """All answers to one request, in its envelope."""

    def __init__(self, form: Form, engine: Engine, line: Line):
        self.form, self.line, self.order = form, line, line.order
        short = "chatcmpl" if form.kind.startswith("chat") else "cmpl"
        self.envelope = {
            "id": f"{short}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": engine.name,
            "system_fingerprint": engine.fingerprint,
            "seed": line.order.seed,
        }

    async def whole(self) -> Dict:
        """Once all answers are finished."""
        count = answers(self.order)
        texts, ends = [""] * count, [""] * count
        tokens: list[list[tuple[int, Told]]] = [[] for _ in range(count)]
        said = 0
        async for piece in self.pieces():
            texts[piece.index] += piece.text
            tokens[piece.index] += piece.tokens
            ends[piece.index] = piece.finish
            said += piece.count
        rows = zip(range(count), texts, tokens, ends, strict=True)
        choices = [self.form.chosen(*row) for row in rows]
        told = {"object": self.form.kind, "choices": choices, "usage": self._usage(said)}
        return self.envelope | told

    async def stream(self, usage: bool) -> AsyncIterator[bytes]:
        """As server-sent events; what breaks on the way is the last of them."""
        said = 0
        more: Dict = {"usage": None} if usage else {}
        try:
            for index in range(answers(self.order)):
                if (first := self.form.first(index)) is not None:
                    yield self._event([first], more)
            async for piece in self.pieces():
                said += piece.count
                if piece.text or piece.tokens or piece.finish:
                    yield self._event([self.form.some(piece.index, piece)], more)
            if usage:
                yield self._event([], {"usage": self._usage(said)})
            yield b"data: [DONE]\n\n"
        except Wrong as wrong:
            yield _event(wrong.told())
        finally:
            self.line.close()

    async def pieces(self) -> AsyncIterator[Piece]:
        """As they are said; the tokens of a prompt are told of with each of its answers."""
        n = 1 if self.order.longest == 0 else self.order.n
        async for piece in self.line.pieces():
            if not piece.prompt:
                yield piece
                continue
            for k in range(n):
                yield Piece(piece.index + k, "", piece.tokens, finish=piece.finish)

    def _event(self, choices: list[Dict], more: Dict) -> bytes:
        return _event(self.envelope | {"object": self.form.piece, "choices": choices} | more)

    def _usage(self, said: int) -> dict[str, int]:
        read = sum(map(len, self.order.prompts))
        return {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}


def answers(order: Order) -> int:
    """How many there will be."""
    return len(order.prompts) * (1 if order.longest == 0 else order.n)


def _event(told: Dict) -> bytes:
    return b"data: " + json.dumps(told, allow_nan=False, separators=(",", ":")).encode() + b"\n\n"
