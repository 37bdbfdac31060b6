"""What lies beside the trunk in a reward model's folder: critic.json and the head's weights."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from accord.data.shown import Answer, Shown, plain
from accord.data.shown import read as shown_from
from accord.errors import BadModel
from accord.models.load import tensors
from accord.models.load import told as first

NAME = "critic.json"
HEAD = "score_head.safetensors"


class Card(NamedTuple):
    """The score is gain · raw + bias."""

    gain: float
    bias: float
    template: str
    """fingerprint of the tokenizer and template it was trained with"""
    shown: Shown = Answer()
    """how it is shown an answer"""


def read(folder: Path) -> Card:
    """BadModel where there is none, or it is damaged."""
    if not (folder / NAME).is_file():
        raise BadModel(f"{folder}: no {NAME} in it; this is not a reward model of accord's")
    try:
        said = json.loads((folder / NAME).read_text())
        told = said.get("shown", plain(Answer()))  # older ones know no other way
        numbers = float(said["gain"]), float(said["bias"])
        return Card(*numbers, str(said["template"]), shown_from(told))
    except BadModel as error:
        raise BadModel(f"{folder}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadModel(
            f"{folder}: its {NAME} is damaged ({first(error)}); export the reward model again"
        ) from error


def write(folder: Path, card: Card) -> None:
    """With a note on what is read."""
    reads = "the score is at the last token of what is shown"
    said: dict[str, Any] = card._asdict() | {"shown": plain(card.shown), "reads": reads}
    (folder / NAME).write_text(json.dumps(said, indent=2) + "\n")


def fill(head: nn.Module, folder: Path) -> None:
    """Give a head the weights in a folder; BadModel where they are not its own."""
    state, own = tensors(folder / HEAD), dict(head.named_parameters())
    shapes = [{k: [*w.shape] for k, w in weights.items()} for weights in (state, own)]
    if shapes[0] != shapes[1]:
        raise BadModel(f"{folder}: {HEAD} holds {shapes[0]}, where {shapes[1]} is wanted")
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(state[name])
