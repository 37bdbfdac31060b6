"""What a model folder says about its text: the tokenizer, and the ids its configs name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from accord.errors import BadModel
from accord.text import hub


@dataclass(frozen=True)
class Facts:
    """What the files beside a tokenizer say of beginning and end."""

    ends: tuple[int, ...] = ()
    """every end-of-sequence id named in config or generation config, in that order"""
    begins: frozenset[int] = frozenset()
    """beginning-of-sequence ids named there"""
    bos: bool | None = None
    """whether plain text begins with BOS; None where nobody says"""


def tokenizer(source: str | Path) -> Any:
    """A transformers tokenizer backed by the tokenizers library; BadModel where there is none."""
    folder = hub.folder(source)
    if not folder.is_dir():
        raise BadModel(f"{source}: no such model folder")
    places = [place for place in (folder, *bases(source)) if _has_tokenizer(place)]
    if not places:
        raise BadModel(f"{source}: no tokenizer in this folder (tokenizer.json or the like)")
    try:
        found = AutoTokenizer.from_pretrained(str(places[0]), trust_remote_code=False)
    except Exception as error:  # a broken file ends in any kind of error there
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BadModel(f"{source}: its tokenizer cannot be read ({first})") from error
    backend = getattr(found, "backend_tokenizer", None)
    if backend is None:
        raise BadModel(f"{source}: its tokenizer has no fast form (tokenizer.json); convert it")
    if not backend.get_vocab_size(with_added_tokens=False):
        raise BadModel(f"{source}: its tokenizer has an empty vocabulary")
    return found


def facts(source: str | Path, card: dict[str, Any]) -> Facts:
    """What config.json, generation_config.json and tokenizer_config.json (or our card) say."""
    configs = [read(place, "config.json") for place in (source, *bases(source))]
    configs += [config["text_config"] for config in configs if "text_config" in config]
    configs += [read(place, "generation_config.json") for place in (source, *bases(source))]
    ends = [*_ids(card.get("ends"))]
    begins: list[int] = []
    for config in configs:
        ends += _ids(config.get("eos_token_id"))
        begins += _ids(config.get("bos_token_id"))
    said = card.get("bos", read(source, "tokenizer_config.json").get("add_bos_token"))
    return Facts(tuple(ends), frozenset(begins), said if isinstance(said, bool) else None)


def read(source: str | Path, name: str) -> dict[str, Any]:
    """A JSON object of a model folder; empty where the file is absent."""
    path = hub.folder(source) / name
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadModel(f"{source}: {name} cannot be read ({error})") from error
    if not isinstance(told, dict):
        raise BadModel(f"{source}: {name} is not a JSON object")
    return told


def _has_tokenizer(folder: Path) -> bool:
    names = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
    return any((folder / name).is_file() for name in names) or any(folder.glob("*.tiktoken"))


def bases(source: str | Path) -> Iterator[Path]:
    """The model that an adapter folder stands on."""
    if name := read(source, "adapter_config.json").get("base_model_name_or_path"):
        yield hub.folder(name)


def _ids(value: object) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [i for i in values if isinstance(i, int) and not isinstance(i, bool) and i >= 0]
