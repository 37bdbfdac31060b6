"""Reward models and classifiers made elsewhere: `AutoModelForSequenceClassification` folders."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from accord.errors import BadSettings
from accord.models.classifier import Classifier, Read
from accord.models.load import Dtype
from accord.records import Invalid, Rollout
from accord.rewards.base import Score
from accord.rewards.reader import Reader, Said
from accord.text import folder as folders
from accord.text.template import TURNS, spoken

Text = Literal["auto", "chat", "turns", "plain", "pair", "answer"]


@dataclass(frozen=True)
class Reading:
    """What a classifier made elsewhere is shown, and which of its numbers is the score."""

    text: Text = "auto"
    """chat: its own chat template; turns: Human/Assistant; plain: prompt and answer as one text;
    pair: as two segments; answer: the answer alone"""
    end: bool | None = None
    """put its end token behind plain and turns; none: for decoders, as TRL trains them"""
    label: str | None = None
    """name or number of the label that is wanted, where it has several"""
    score: Literal["log-odds", "probability", "logit"] = "log-odds"
    """of that label; a single label is scored by its logit"""


class Foreign:
    """Scores by a classifier, which reads text by its own tokenizer."""

    def __init__(self, classifier: Classifier, tokenizer: Any, reader: Reader, how: Reading):
        self.classifier, self.reader = classifier, reader
        self.label = _label(classifier, how)
        self.how = replace(how, text=_chosen(classifier, tokenizer, reader, how))
        end = how.end if how.end is not None else classifier.decoder
        self._writer = _Writer(tokenizer, end)
        said = str(tokenizer.model_max_length)  # huge where nobody set it
        self.context = min(classifier.context, int(said) if len(said) < 9 else 10**9)
        told = tokenizer.backend_tokenizer.to_str() + str(tokenizer.chat_template)
        self._spells = hashlib.sha256(told.encode()).hexdigest()[:12]

    @classmethod
    def open(
        cls,
        source: str | Path,
        reader: Reader,
        how: Reading = Reading(),
        *,
        dtype: Dtype = "fp32",
        device: str | None = None,
    ) -> "Foreign":
        """A folder or hub id; BadModel where it cannot work, BadSettings where it must be told
        which label is wanted.
        """
        classifier = Classifier.open(source, dtype=dtype, device=device)
        return cls(classifier, folders.tokenizer(source), reader, how)

    @property
    def which(self) -> str:
        """The fingerprint of its weights, and how it is read."""
        how = f"{self.how.text} label={self.label} {self.how.score} end={self._writer.end}"
        return f"classifier {self.classifier.fingerprint} {how} tokenizer {self._spells}"

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        write = getattr(self._writer, self.how.text)
        texts = [self._read(write, said) for said in self.reader(rollouts)]
        good = [text for text in texts if not isinstance(text, Invalid)]
        scores = iter(self._scores(self.classifier.logits(good)).tolist())
        return [text if isinstance(text, Invalid) else _number(next(scores)) for text in texts]

    def _read(self, write: Callable[[Said], Read], said: Said) -> Read | Invalid:
        if found := self._writer.control.search(said.answer):
            return Invalid(f"the answer spells the control token {found.group()!r}")
        if any(message.images for message in said.talk):
            return Invalid("its prompt shows a picture, and this reward model reads text alone")
        try:
            text = write(said)
        except Exception as error:  # noqa: BLE001  a chat template may raise anything
            return Invalid(f"the reward model's template refuses it: {error}")
        if len(text.ids) > self.context:
            return Invalid(f"{len(text.ids)} tokens, and the reward model reads {self.context}")
        return text if text.ids else Invalid("nothing is left of it in the reward model's tokens")

    def _scores(self, logits_NL: Tensor) -> Tensor:
        """score_N, fp32: log p/(1 - p) is the logit less the log-sum-exp of all others."""
        mine_N = logits_NL[:, self.label]
        if len(self.classifier.labels) == 1 or self.how.score == "logit":
            return mine_N
        if self.classifier.several:
            odds_N = mine_N
        else:
            others_NL = logits_NL.clone()
            others_NL[:, self.label] = -torch.inf
            odds_N = mine_N - others_NL.logsumexp(1)
        return odds_N if self.how.score == "log-odds" else odds_N.sigmoid()


@dataclass(frozen=True)
class _Writer:
    """The ways to write one answer down; each is named as in `Reading.text`."""

    tokenizer: Any
    end: bool

    @property
    def control(self) -> re.Pattern[str]:
        """What the tokenizer would take for control tokens, whoever wrote it."""
        names = sorted(filter(None, self.tokenizer.all_special_tokens), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, names)) or r"(?!)")

    def chat(self, said: Said) -> Read:
        """By the chat template, which brings all its control tokens itself."""
        text = self.tokenizer.apply_chat_template(_answered(said), tokenize=False)
        return self._read(text, add_special_tokens=False)

    def turns(self, said: Said) -> Read:
        """Human: …, Assistant: …, with the words of Bai et al. 2022."""
        text = self.tokenizer.apply_chat_template(
            _answered(said), chat_template=TURNS, tokenize=False, eos_token=""
        )
        return self._ended(text)

    def plain(self, said: Said) -> Read:
        """One text: the prompt as the policy read it, and the answer right behind it."""
        return self._ended(said.prompt + said.answer)

    def pair(self, said: Said) -> Read:
        """Two segments, the prompt and the answer."""
        asked = "\n\n".join(message.text for message in said.talk)
        return self._read(asked, said.answer.strip())

    def answer(self, said: Said) -> Read:
        """The answer alone."""
        return self._read(said.answer.strip())

    def _ended(self, text: str) -> Read:
        eos = self.tokenizer.eos_token_id if self.end else None
        read = self._read(text)
        return read if eos is None or read.ids[-1:] == (eos,) else Read((*read.ids, eos))

    def _read(self, *texts: str, **how: Any) -> Read:
        told = self.tokenizer(*texts, **how)
        return Read(tuple(told["input_ids"]), tuple(told.get("token_type_ids", ())))


def _chosen(classifier: Classifier, tokenizer: Any, reader: Reader, how: Reading) -> Text:
    """How it is read where nobody says."""
    if how.text == "chat" and not tokenizer.chat_template:
        raise BadSettings(
            f"classifier.text=chat: the tokenizer of {classifier.source} has no chat template; "
            "say turns, plain, pair or answer"
        )
    if how.text != "auto":
        return how.text
    if tokenizer.chat_template:
        return "chat"
    if not classifier.decoder and len(classifier.labels) == 1:
        return "pair"
    return "plain" if reader.plain else "turns"


def _label(classifier: Classifier, how: Reading) -> int:
    names = classifier.labels
    if how.label is None and len(names) == 1:
        return 0
    known = ", ".join(f"{i} {name}" for i, name in enumerate(names))
    if how.label is None:
        raise BadSettings(
            f"{classifier.source} has {len(names)} labels; say which one is wanted, "
            f"classifier.label=…: {known}"
        )
    for i, name in enumerate(names):
        if how.label in (str(i), name):
            return i
    raise BadSettings(f"classifier.label={how.label}: {classifier.source} has {known}")


def _number(score: float) -> Score:
    return score if abs(score) < float("inf") else Invalid(f"the score is {score}")


def _answered(said: Said) -> list[dict[str, Any]]:
    """The conversation with its answer, which has no space around it as a message of its own."""
    return [*spoken(said.talk), {"role": "assistant", "content": said.answer.strip()}]
