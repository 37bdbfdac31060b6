"""Text to ids and back.  Ids are the currency; text is a view of them."""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from accord.errors import BadData, BadModel, CannotWrite
from accord.records import Conversation, Ids, Rollout
from accord.text import folder as folders
from accord.text.continuing import continuing
from accord.text.images import Sight, collapsed
from accord.text.telling import teller
from accord.text.template import TURNS, Chat, Plain, Said, Template, on_day

Kind = Literal["auto", "plain", "turns", "chat"]
DAY = date(2024, 7, 26)
"""The day a template is told it is.  A date that moved would change the ids of a resumed run."""
CARD = "speller.json"
Pieces = list[tuple[str, bool]]
"""a prompt's text in order, and whether a person wrote it: then it holds no control tokens"""


class Speller:
    """Spells conversations for one model, the same way wherever they are needed.

    A prompt and an answer are spelled apart and their ids joined; no merge crosses the seam, so
    what is trained is what is sampled, and a mask is a matter of lengths.
    """

    ends: frozenset[int]
    """ids that end an answer: of tokenizer, config, generation config and template together"""
    end: int
    """the one that this speller writes"""
    pad: int
    """a valid id to fill rows with; nobody looks at it"""
    vocab: int
    """one more than the largest id of the tokenizer"""
    sight: Sight | None
    """how its model sees; None: it reads text alone"""
    head: Ids
    """ids in front of every plain prompt: the beginning-of-sequence token, or nothing"""

    def __init__(
        self,
        tokenizer: Any,
        kind: Kind,
        facts: folders.Facts,
        day: date,
        sight: Sight | None = None,
    ):
        """`load` is the way in."""
        self._tokenizer, self._day, self.sight = tokenizer, day, sight
        self._core = json.loads(tokenizer.backend_tokenizer.to_str())
        self._core |= {"truncation": None, "padding": None}
        self._whole = Tokenizer.from_str(json.dumps(self._core))
        self._after = Tokenizer.from_str(json.dumps(continuing(self._core)))
        # what people write is text, also where it looks like a control token
        self._after.encode_special_tokens = True
        self._control = _any_of([t["content"] for t in self._core["added_tokens"] if t["special"]])
        self._names: dict[str, int] = self._whole.get_vocab()
        self._picture = None if sight is None else self.name(sight.place)
        self.vocab = 1 + max(self._names.values(), default=-1)
        self.head = self._opening(facts)
        self.ends, end = self._known_ends(facts)
        self._template = self._choose(kind)
        if isinstance(self._template, Chat):
            end = self._template.end if self._template.end is not None else end
        self._whole.encode_special_tokens = isinstance(self._template, Plain)
        self.end = self.pad = end
        self.ends |= {end}

    @classmethod
    def load(
        cls, source: str | Path, *, template: Kind = "auto", day: date | None = None
    ) -> "Speller":
        """The speller of a model folder (or hub id); BadModel if it cannot work.

        `auto` takes what the folder was last saved with, else the tokenizer's chat template if it
        has one, else plain.  `turns` writes "Human: …", "Assistant: …" for base models.

        Plain prompts begin with what the tokenizer's post-processor puts in front.  Where it puts
        nothing: with the BOS token if `add_bos_token` is true in tokenizer_config.json, or is not
        said and the model's config names the tokenizer's own BOS.  Chat templates bring their own.
        """
        card = folders.read(source, CARD)
        tokenizer = folders.tokenizer(source)
        kind: Kind = template if template != "auto" else card.get("template", "auto")
        if kind == "auto":
            kind = "chat" if tokenizer.chat_template else "plain"
        if kind == "chat" and not tokenizer.chat_template:
            raise BadModel(f"{source}: its tokenizer has no chat template; use template=turns")
        facts = folders.facts(source, card)
        day = day or date.fromisoformat(card.get("day", DAY.isoformat()))
        sight = Sight.load(source, tokenizer.get_vocab())  # names its folder itself
        try:
            return cls(tokenizer, kind, facts, day, sight)
        except (BadModel, BadData) as error:
            raise BadModel(f"{source}: {error}") from error

    def prompt_ids(self, conversation: Conversation) -> Ids:
        """What is read before the answer, with BOS as the model wants it.  At least one id."""
        return self._seen(self._read([self._pieces(conversation)])[0], self._look(conversation))

    def response_ids(self, text: str) -> Ids:
        """What is said, alone, as the template writes it; the last id is `end`."""
        return self._say([self._template.answer(text)])[0]

    def begun(self, text: str) -> Ids:
        """An answer that is not at its end yet: what follows its prompt, without an end."""
        return self._say([self._template.lead + _sound(text)])[0][:-1]

    def text_ids(self, text: str) -> Ids:
        """A text that answers nobody, with its end and without a template; BadData where empty."""
        if not text or not (ids := _bare(self._literal, _sound(text))):
            raise BadData("the text is empty")
        return (*self.head, *ids, self.end)

    def opening(self, text: str) -> Ids:
        """A text to be continued, without a template; BadData where nothing is there to begin."""
        ids = (*self.head, *_bare(self._literal, _sound(text)))
        if not ids:
            raise BadData("the prompt is empty, and this tokenizer has no BOS to begin with")
        return ids

    def demonstration(self, conversation: Conversation, response: str) -> tuple[Ids, Ids]:
        """Prompt and answer whose joined text is the template's own text of the whole, to its end.

        BadData where the template refuses the conversation or alters the answer.
        """
        row = self.many([(conversation, (response,))])[0]
        if isinstance(row, BadData):
            raise row
        return row[0], row[1][0]

    def many(
        self, rows: Iterable[tuple[Conversation, Sequence[str]]]
    ) -> list[tuple[Ids, tuple[Ids, ...]] | BadData]:
        """`demonstration` for many prompts with any number of answers each, encoded together.

        A row that cannot be written comes back as the BadData that says why.
        """
        written: list[tuple[Pieces, list[Ids], list[str]] | BadData] = []
        for talk, responses in rows:
            try:
                texts = [_sound(self._template.answer(text, talk)) for text in responses]
                written.append((self._pieces(talk), self._look(talk), texts))
            except BadData as error:
                written.append(error)
        good = [row for row in written if not isinstance(row, BadData)]
        prompts = iter(self._read([pieces for pieces, _, _ in good]))
        answers = iter(self._say([text for _, _, texts in good for text in texts]))
        spelled: list[tuple[Ids, tuple[Ids, ...]] | BadData] = []
        for row in written:
            if isinstance(row, BadData):
                spelled.append(row)
            else:
                prompt = self._seen(next(prompts), row[1])
                spelled.append((prompt, tuple(next(answers) for _ in row[2])))
        return spelled

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        """The text of ids that begin a sequence; `special` shows control tokens too."""
        ids = self._bare_of_pictures(ids)
        head = len(self.head) if tuple(ids[: len(self.head)]) == self.head else 0
        first = "".join(self.name(i) for i in ids[:head]) if special else ""
        return first + self._whole.decode(list(ids[head:]), skip_special_tokens=not special)

    def text(self, said: Rollout | Sequence[int]) -> str:
        """The words of an answer, its leading space included, without ends and control tokens."""
        ids = list(said.response_ids if isinstance(said, Rollout) else said)
        while ids and ids[-1] in self.ends:
            ids.pop()
        return self.raw(ids).removeprefix(self._lead).removesuffix(self._template.closing)

    def raw(self, ids: Sequence[int]) -> str:
        """The text of ids that follow others, without control tokens; of an answer with the frame
        that its template put around it.
        """
        return self._after.decode(list(ids), skip_special_tokens=True)

    @property
    def frame(self) -> tuple[str, str]:
        """What stands in `raw` before the words of an answer, and after them."""
        return self._lead, self._template.closing

    def name(self, i: int) -> str:
        """An id as the vocabulary writes it; empty for one that it does not know."""
        return (self._whole.id_to_token(i) if i >= 0 else self._picture) or ""

    @cached_property
    def decoders(self) -> frozenset[str]:
        """The steps that make text of names, by their types."""
        decoder = self._core["decoder"] or {}
        return frozenset(step["type"] for step in decoder.get("decoders") or [decoder] if step)

    def render(self, conversation: Conversation, response: str | None = None) -> str:
        """The text that is spelled, for people to read; an answer is shown with its end."""
        prompt = self._template.prompt(conversation)
        if response is None:
            return prompt
        return prompt + self._template.answer(response, conversation) + self.name(self.end)

    @cached_property
    def controls(self) -> dict[int, str]:
        """Its control tokens, and every end, by id."""
        special = [token["id"] for token in self._core["added_tokens"] if token["special"]]
        return {i: self.name(i) for i in sorted({*special, *self.ends, *self.head})}

    @property
    def chat(self) -> bool:
        """Whether a template writes turns around what is said."""
        return isinstance(self._template, Chat)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides ids: vocabulary, merges, template, BOS, end and day."""
        core = {k: v for k, v in self._core.items() if k not in ("post_processor", "version")}
        day = self._day.isoformat() if "strftime_now" in self._template.source else None
        told = [core, self._template.source, self.head, self.end, day]
        told += [self.sight.fingerprint] if self.sight else []
        return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def save(self, folder: str | Path) -> None:
        """The tokenizer as transformers reads it, and a card, so that `load` gives this speller."""
        card = {
            "template": "plain" if isinstance(self._template, Plain) else "chat",
            "ends": sorted(self.ends),
            "bos": bool(self.head),
            "day": self._day.isoformat(),
        }
        try:
            self._tokenizer.save_pretrained(str(folder))
            (Path(folder) / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
            if self.sight is not None:
                self.sight.save(Path(folder))
        except OSError as error:
            raise CannotWrite(f"{folder}: the tokenizer cannot be written ({error})") from error

    # --- how ---

    def _opening(self, facts: folders.Facts) -> Ids:
        bare = self._whole.encode("a", add_special_tokens=False).ids
        dressed = self._whole.encode("a").ids
        front = next((i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare), 0)
        if front:
            return tuple(dressed[:front])
        bos = self._tokenizer.bos_token_id
        wanted = facts.bos or (facts.bos is None and bos in facts.begins)
        return (bos,) if wanted and bos is not None else ()

    def _known_ends(self, facts: folders.Facts) -> tuple[frozenset[int], int]:
        """All ends, and the first of them: the tokenizer's own before the configs'."""
        own = self._tokenizer.eos_token_id
        known = [*([own] if own is not None else []), *facts.ends]
        if not known:
            raise BadModel("no end-of-sequence token; set eos_token in its tokenizer_config.json")
        if known[0] >= self.vocab:
            raise BadModel(f"end-of-sequence id {known[0]} is not one of its {self.vocab} ids")
        if own is None:
            self._tokenizer.eos_token = self._whole.id_to_token(known[0])
        return frozenset(known), known[0]

    def _choose(self, kind: Kind) -> Template:
        if kind == "plain":
            return Plain(picture=self._picture)
        if kind == "turns":
            self._tokenizer.chat_template = ("{{ bos_token }}" if self.head else "") + TURNS
        source = self._tokenizer.get_chat_template()
        still = on_day(source, self._day)

        def render(messages: list[Said], speaks: bool) -> str:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, chat_template=still, tokenize=False, add_generation_prompt=speaks
                )
            )

        return Chat(source, render, self._find, teller(render, self._picture))

    def _find(self, after: str) -> tuple[int, int] | None:
        """The first added or end token in a text: its id and place."""
        names = {self.name(i) for i in self.ends}
        names |= {token["content"] for token in self._core["added_tokens"]}
        first = _any_of([name for name in names if name.strip()]).search(after)
        return (self._names[first.group()], first.start()) if first else None

    def _pieces(self, conversation: Conversation) -> Pieces:
        """The prompt's text, apart from what people wrote where that looks like control tokens."""
        text = _sound(self._template.prompt(conversation))
        if not text and not self.head:
            raise BadData("the prompt is empty, and this tokenizer has no BOS to begin with")
        odd = any(self._control.search(message.text) for message in conversation)
        if odd or (not self.chat and any(message.images for message in conversation)):
            return self._template.pieces(conversation)
        return [(text, False)]

    def _look(self, conversation: Conversation) -> list[Ids]:
        """The ids of every picture, in order."""
        images = [image for message in conversation for image in message.images]
        return [self.sight.ids(image) for image in images] if self.sight is not None else []

    def _seen(self, ids: Ids, pictures: list[Ids]) -> Ids:
        """The ids of pictures in place of what stands for them."""
        if self.sight is None:
            return ids
        each = iter(pictures)
        if ids.count(self.sight.place) != len(pictures):
            raise BadData(f"a text holds {self._picture}, which is read as a picture: take it out")
        place = self.sight.place
        return tuple(j for i in ids for j in (next(each) if i == place else (i,)))

    def _bare_of_pictures(self, ids: Sequence[int]) -> Sequence[int]:
        return ids if self.sight is None else collapsed(ids, self.sight.place)

    def _read(self, prompts: Sequence[Pieces]) -> list[Ids]:
        whole = [pieces[0][0] for pieces in prompts if len(pieces) == 1]
        easy = iter(self._whole.encode_batch_fast(whole, add_special_tokens=False))
        head = () if self.chat else self.head
        return [
            (*head, *(next(easy).ids if len(pieces) == 1 else self._joined(pieces)))
            for pieces in prompts
        ]

    def _joined(self, pieces: Pieces) -> Ids:
        coders = [self._after if literal else self._joint for _, literal in pieces]
        if self.chat or pieces[0][1]:
            coders[0] = self._whole
        texts = zip(coders, pieces, strict=True)
        return tuple(i for coder, (text, _) in texts for i in _bare(coder, text))

    def _say(self, texts: Sequence[str]) -> list[Ids]:
        lead, front = self._template.lead, []
        if self._control.search(lead):  # the template's own control tokens
            front = _bare(self._joint, lead)
            texts = [text.removeprefix(lead) for text in texts]
        spelled = self._after.encode_batch_fast(list(texts), add_special_tokens=False)
        return [(*front, *one.ids, self.end) for one in spelled]

    @cached_property
    def _literal(self) -> Tokenizer:
        """For whole texts, in which nothing is a control token."""
        coder = Tokenizer.from_str(json.dumps(self._core))
        coder.encode_special_tokens = True
        return coder

    @cached_property
    def _joint(self) -> Tokenizer:
        """For what follows something else and may hold control tokens."""
        return Tokenizer.from_str(json.dumps(continuing(self._core)))

    @cached_property
    def _lead(self) -> str:
        return str(self._after.decode(_bare(self._joint, self._template.lead)))


def _bare(coder: Tokenizer, text: str) -> list[int]:
    return list(coder.encode(text, add_special_tokens=False).ids)


def _any_of(names: Sequence[str]) -> re.Pattern[str]:
    """Matches the longest of some words; without words, nothing."""
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _sound(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadData("the text holds half a character (a lone surrogate)") from error
    return text
