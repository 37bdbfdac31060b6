"""What a Grow step brings in: answers with the reward each was given, once, and kept on disk."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accord.data.comparisons import Spelled
from accord.data.spool import Picked, gather
from accord.errors import BadData
from accord.maths.selection import Filter, Range, Scale, Sigmoid
from accord.records import Ids, Rollout
from accord.store import files
from accord.text.tokenizer import Speller

ANSWERS, SCALE = "answers.jsonl", "scale.json"


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer and what it was worth to the judge, in the judge's own units."""

    id: str
    source: int
    """the number of its prompt"""
    original: bool
    """it was given, not sampled"""
    reward: float
    finish: str
    prompt_ids: Ids
    response_ids: Ids

    def line(self, speller: Speller) -> dict[str, Any]:
        """As it is written down: with its words, for people."""
        said = Rollout(self.id, self.prompt_ids, self.response_ids, (), 0, "stop")
        words = {"prompt": speller.decode(self.prompt_ids), "response": speller.text(said)}
        return words | asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Scored":
        """From what was written down."""
        plain = {key: told[key] for key in ("id", "source", "original", "reward", "finish")}
        prompt, answer = tuple(told["prompt_ids"]), tuple(told["response_ids"])
        return cls(**plain, prompt_ids=prompt, response_ids=answer)


@dataclass(frozen=True)
class Harvest:
    """D_g: all answers of a Grow, and the scale that their rewards are read on."""

    rows: Sequence[Scored]
    scale: Scale
    """with its numbers"""

    @classmethod
    def of(cls, rows: Iterable[Scored], scale: Scale) -> "Harvest":
        """Answers, on disk where they are many; a scale without numbers gets those of these."""
        held = gather(rows, _size, lambda row: json.dumps(asdict(row)), _made)
        if not held:
            raise BadData("not one answer was grown: there are no prompts")
        raw_N = torch.tensor([row.reward for row in held], dtype=torch.float64)
        try:
            return cls(held, scale.frozen(raw_N))
        except ValueError as error:
            raise BadData(str(error)) from None

    @cached_property
    def raw_N(self) -> Tensor:
        """Rewards as the judge gave them."""
        return torch.tensor([row.reward for row in self.rows], dtype=torch.float64)

    @cached_property
    def reward_N(self) -> Tensor:
        """Rewards on the scale, within [0, 1]."""
        return self.scale(self.raw_N)

    @cached_property
    def source_N(self) -> Tensor:
        """The number of each answer's prompt."""
        return torch.tensor([row.source for row in self.rows])

    def passing(self, keep: Filter) -> "Passing":
        """What an Improve learns from."""
        kept = keep(self.raw_N if keep.ranks else self.reward_N, self.source_N)
        threshold_N = self.scale(kept.threshold_N) if keep.ranks else kept.threshold_N
        places = kept.mask_N.nonzero()[:, 0].tolist()
        there = self.source_N[kept.mask_N].unique()
        originals = sum(self.rows[place].original for place in places)
        numbers = {
            "threshold": float(threshold_N.mean()),
            "kept": float(len(places)),
            "kept/share": len(places) / len(self.rows),
            "kept/original": float(originals),
            "kept/reward": float(self.reward_N[kept.mask_N].mean()) if places else 0.0,
            "prompts/without": float(len(self.source_N.unique()) - len(there)),
        }
        return Passing(Picked(Rows(self.rows), places), numbers)

    @property
    def numbers(self) -> dict[str, float]:
        """What was grown."""
        told = (hash((row.source, row.response_ids)) for row in self.rows)
        return {
            "answers": float(len(self.rows)),
            "answers/original": float(sum(row.original for row in self.rows)),
            "answers/distinct": len(set(told)) / len(self.rows),
            "prompts": float(len(self.source_N.unique())),
            "reward": float(self.reward_N.mean()),
            "reward/best": float(self.reward_N.max()),
            "raw/mean": float(self.raw_N.mean()),
            "raw/low": float(self.raw_N.min()),
            "raw/high": float(self.raw_N.max()),
        }

    def write(self, folder: Path, speller: Speller) -> None:
        """As JSON lines, with the scale beside."""
        with files.writing(str(folder / ANSWERS)), (folder / ANSWERS).open("w") as file:
            for row in self.rows:
                file.write(json.dumps(row.line(speller)) + "\n")
            told = {"kind": type(self.scale).__name__, **asdict(self.scale)}
            (folder / SCALE).write_text(json.dumps(told))

    @classmethod
    def read(cls, folder: Path) -> "Harvest":
        """As it was written."""
        told = json.loads((folder / SCALE).read_text())
        kinds: dict[str, type[Scale]] = {"Range": Range, "Sigmoid": Sigmoid}
        return cls.of(lines(folder / ANSWERS), kinds[told.pop("kind")](**told))


@dataclass(frozen=True)
class Passing:
    """The answers that pass a filter, as demonstrations, and how many they are."""

    rows: Sequence[Spelled]
    numbers: dict[str, float]


class Rows(Sequence[Spelled]):
    """Scored answers as demonstrations."""

    def __init__(self, rows: Sequence[Scored]):
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        row = self._rows[place]
        return Spelled(row.prompt_ids, (row.response_ids,), (0,), None, None, row.id)


def lines(path: Path) -> Iterator[Scored]:
    """The answers in a file, one by one."""
    with path.open() as file:
        yield from (Scored.of(json.loads(line)) for line in file)


def _size(row: Scored) -> int:
    return 500 + 8 * (len(row.prompt_ids) + len(row.response_ids))


def _made(line: str) -> Scored:
    return Scored.of(json.loads(line))
