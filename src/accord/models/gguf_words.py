"""The tokenizer of a GGUF file, from its metadata."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from accord.errors import BadModel

_CONTROL, _USER = 3, 4
"""kinds of tokens (llama.h): never text; always whole"""
_IDS = {
    "bos_token_id": "bos_token_id",
    "eos_token_id": "eos_token_id",
    "eot_token_id": "eot_token_id",
    "unk_token_id": "unknown_token_id",
    "pad_token_id": "padding_token_id",
}
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


@dataclass(frozen=True)
class Cut:
    """How text is cut before merges apply: what `tokenizer.ggml.pre` stands for."""

    split: str = ""
    """a regex whose matches stand alone; empty: GPT-2's own"""
    digits: bool = False
    """every digit stands alone"""
    composed: bool = False
    """text is brought to Unicode's NFC first"""
    whole: bool = False
    """a word that is in the vocabulary is taken whole, whatever the merges say"""

    def __call__(self, bpe: Tokenizer) -> None:
        """Set a tokenizer up."""
        steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if self.digits else []
        if self.split:
            steps.append(pre_tokenizers.Split(Regex(self.split), behavior="isolated"))
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not self.split)
        bpe.pre_tokenizer = pre_tokenizers.Sequence([*steps, bytes_])
        bpe.decoder = decoders.ByteLevel()
        if self.composed:
            bpe.normalizer = normalizers.NFC()


CUTS = {
    "gpt-2": Cut(),
    "smollm": Cut(digits=True),
    "llama-bpe": Cut(_LLAMA3, whole=True),
    "qwen2": Cut(_QWEN2, composed=True),
}


class Words:
    """What a GGUF file says of text."""

    def __init__(self, path: Path, said: dict[str, Any], context: int | None = None):
        self.path, self._said, self._context = path, said, context

    def _get(self, key: str) -> Any:
        return self._said.get(f"tokenizer.ggml.{key}")

    @cached_property
    def ids(self) -> dict[str, int]:
        """The ids with a role: bos_token_id, eos_token_id, ..."""
        told = {name: self._get(key) for name, key in _IDS.items()}
        return {name: int(value) for name, value in told.items() if value is not None}

    def ends(self) -> dict[str, Any]:
        """What a generation config says: every id that ends an answer."""
        ends = [self.ids[name] for name in ("eos_token_id", "eot_token_id") if name in self.ids]
        told: dict[str, Any] = {
            key: self.ids[key] for key in ("bos_token_id", "pad_token_id") if key in self.ids
        }
        return told | {"eos_token_id": list(dict.fromkeys(ends))} if ends else told

    def save(self, folder: Path) -> None:
        """The tokenizer as transformers reads it, and whether plain text begins with BOS."""
        self.tokenizer().save_pretrained(folder)
        if (bos := self._get("add_bos_token")) is not None:  # not all classes keep the word
            file = folder / "tokenizer_config.json"
            told = json.loads(file.read_text(encoding="utf-8")) | {"add_bos_token": bool(bos)}
            file.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def tokenizer(self) -> Any:
        """A transformers tokenizer that spells as the model was taught."""
        kind = self._get("model")
        if kind == "gpt2":
            return self._dressed(self._byte_level())
        if kind == "llama":
            return self._sentencepiece()
        raise BadModel(
            f"{self.path}: its tokenizer, {kind!r}, is not one that is read from GGUF (gpt2, "
            "llama); give the original Hugging Face folder"
        )

    def _byte_level(self) -> Tokenizer:
        pre = self._get("pre")
        if pre not in CUTS:
            raise BadModel(
                f"{self.path}: it cuts text in the way {pre!r}, which is not known here "
                f"({', '.join(CUTS)}); give the original Hugging Face folder"
            )
        tokens, merges = self._get("tokens"), self._get("merges")
        if not tokens or merges is None:
            raise BadModel(f"{self.path}: its tokenizer has no tokens or no merges")
        pairs = [_pair(merge) for merge in merges]
        cut = CUTS[pre]
        bpe = Tokenizer(
            BPE({token: i for i, token in enumerate(tokens)}, pairs, ignore_merges=cut.whole)
        )
        cut(bpe)
        for kind, special in ((_CONTROL, True), (_USER, False)):
            whole = [t for t, own in zip(tokens, self._get("token_type") or ()) if own == kind]
            added = [AddedToken(t, normalized=False, special=special) for t in whole]
            bpe.add_special_tokens(added) if special else bpe.add_tokens(added)
        return bpe

    def _dressed(self, bpe: Tokenizer) -> PreTrainedTokenizerFast:
        tokens = self._get("tokens")
        roles = {name.removesuffix("_id"): tokens[i] for name, i in self.ids.items()}
        roles.pop("eot_token", None)
        return PreTrainedTokenizerFast(tokenizer_object=bpe, **roles, **self._extras())

    def _extras(self) -> dict[str, Any]:
        told = {
            "chat_template": self._said.get("tokenizer.chat_template"),
            "model_max_length": self._context,
            "clean_up_tokenization_spaces": False,
        }
        return {key: value for key, value in told.items() if value is not None}

    def _sentencepiece(self) -> Any:
        """By transformers, which derives the merges from the scores."""
        try:
            found = AutoTokenizer.from_pretrained(self.path.parent, gguf_file=self.path.name)
        except Exception as error:
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise BadModel(f"{self.path}: its tokenizer cannot be read ({why})") from error
        found.model_max_length = self._context or found.model_max_length
        return found


def _pair(merge: str) -> tuple[str, str]:
    left, right = re.split(" ", merge, maxsplit=1)
    return left, right
