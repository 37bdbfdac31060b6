"""Sequence classifiers made elsewhere (`AutoModelForSequenceClassification`): ids to logits."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from accord.errors import BadModel
from accord.models import forms
from accord.models import load as folders
from accord.records import Ids
from accord.text import hub

LOT = 16384
"""tokens in one pass, padding included"""
OFFSET = ("roberta", "camembert", "data2vec-text", "xlm-roberta", "xlm-roberta-xl", "longformer")
"""whose positions are counted from behind the pad id"""
PROBES = ((5, 6, 7), (8, 9, 10, 11, 12, 13, 14, 15))
CLOSE = 1e-3
"""how far padding may move an encoder's logit: rounding, no more"""


@dataclass(frozen=True, slots=True)
class Read:
    """One text as a classifier reads it: ids, and which of two segments each belongs to."""

    ids: Ids
    segments: Ids = ()


class Classifier:
    """A frozen sequence classifier; the last step to its logits is computed in fp32.

    A decoder's logits are read at the last real token, by length.  transformers looks for the last
    id that is not the pad id, which is another token where a text ends in it (pad = end) or where
    nobody names a pad id.  An encoder is asked as it is.
    """

    def __init__(self, model: PreTrainedModel, source: str | Path):
        self.model, self.source = model, str(source)
        head = getattr(model, "score", None)
        self.decoder = isinstance(head, nn.Linear)
        if self.decoder:
            model.score.float()
        else:
            model.float()
            self._unmoved()

    @classmethod
    def open(
        cls, source: str | Path, *, dtype: folders.Dtype = "fp32", device: str | None = None
    ) -> "Classifier":
        """A folder or hub id.  BadModel where it is no complete classifier, or would run code."""
        folder = hub.folder(source)
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:  # whatever a family's checks raise
            why = folders.told(error)
            raise BadModel(f"{source}: its config cannot be read: {why}") from error
        if config.is_encoder_decoder:
            raise BadModel(
                f"{source}: {config.model_type} has an encoder and a decoder; one of both"
            )
        _pickles(folder)
        folders.readable(source, folder, config)
        try:
            model, notes = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                dtype=folders.DTYPES[dtype],
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
            )
        except Exception as error:  # whatever a family's code makes of odd numbers in a config
            why = folders.told(error)
            raise BadModel(f"{source}: cannot be loaded as a classifier: {why}") from error
        # heads it was trained with before may be there, but no layers that are not run
        extra = {k for k in notes["unexpected_keys"] if re.search(r"\.\d+\.", k)}
        folders.complete(source, notes | {"unexpected_keys": extra}, "classifier")
        folders.finite(model.named_parameters(), source)
        model.eval().requires_grad_(False)
        return cls(model.to(device or folders.fastest()), source)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its logits, in order."""
        return tuple(str(name) for _, name in sorted(self.model.config.id2label.items()))

    @property
    def several(self) -> bool:
        """Whether more than one label may be true of a text."""
        return bool(self.model.config.problem_type == "multi_label_classification")

    @cached_property
    def context(self) -> int:
        """The most tokens a text may have."""
        config, most = self.model.config, forms.context(self.model)
        return most - config.pad_token_id - 1 if config.model_type in OFFSET else most

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the weights."""
        return folders.fingerprint(self.model.state_dict())

    def logits(self, texts: Sequence[Read]) -> Tensor:
        """logits_NL of texts of any lengths, fp32, on the CPU."""
        out_NL = torch.zeros(len(texts), len(self.labels))
        for index in _lots([len(text.ids) for text in texts]):
            out_NL[index] = self._ask([texts[i] for i in index]).float().cpu()
        return out_NL

    @torch.no_grad()
    def _ask(self, few: Sequence[Read]) -> Tensor:
        length_B = torch.tensor([len(text.ids) for text in few])
        T = int(length_B.max())
        fill = self.model.config.pad_token_id or 0
        given: dict[str, Any] = {
            "input_ids": _rows([text.ids for text in few], T, fill),
            "attention_mask": (torch.arange(T)[None] < length_B[:, None]).long(),
        }
        if not self.decoder and few[0].segments:
            given["token_type_ids"] = _rows([text.segments for text in few], T, 0)
        given = {name: tensor.to(self.model.device) for name, tensor in given.items()}
        if not self.decoder:
            return self.model(**given).logits  # type: ignore[no-any-return]
        hidden_BTH = self.model.base_model(**given, use_cache=False)[0]
        last_BH = hidden_BTH[torch.arange(len(few)), length_B - 1]
        return self.model.score(last_BH.float())  # type: ignore[no-any-return, operator]

    def _unmoved(self) -> None:
        """BadModel where a text's logits depend on the padding behind it."""
        short, long = (Read(ids) for ids in PROBES)
        alone, beside = self._ask([short]), self._ask([short, long])[:1]
        if not torch.allclose(alone, beside, atol=CLOSE, rtol=CLOSE):
            raise BadModel(
                f"{self.source}: {type(self.model).__name__} scores a text otherwise beside a "
                "longer one; such models cannot be read in batches"
            )


def _pickles(folder: Path) -> None:
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        raise BadModel(f"{folder}: no *.safetensors in it; save the model as safetensors")


def _rows(rows: Sequence[Ids], T: int, fill: int) -> Tensor:
    return torch.tensor([[*ids, *[fill] * (T - len(ids))] for ids in rows])


def _lots(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices by falling length, in lots whose padded size stays below LOT."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        most = max(1, LOT // max(1, lengths[order[0]]))
        yield order[:most]
        order = order[most:]
