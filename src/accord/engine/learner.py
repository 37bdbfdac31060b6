"""The one optimizer loop of the house.  It adds, never averages, so it cannot average wrongly."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from accord.data.rows import Rows
from accord.engine.budget import Budget, for_updates
from accord.engine.steps import Optimizer, Steps
from accord.errors import BadModel, NotFinite
from accord.maths.losses import Loss
from accord.models import masters
from accord.models.learned import Learned
from accord.models.load import tensors

M = TypeVar("M", bound=Learned)
Objective = Callable[[M, Any], Loss]
"""(the model being trained, some rows) -> Loss.  It touches no other model: what a reference, a
critic or a sampler has to say is already a column of the rows.  Picklable, so it can travel."""


class Terms(NamedTuple):
    """Some of what one optimizer step adds up: Σ weight · loss over these rows."""

    rows: Rows
    weight: Tensor
    objective: Objective[Any]
    names: Sequence[str] | None = None


@dataclass
class Learner(Generic[M]):
    """Owns the weights that change, and nothing else does."""

    model: M
    how: Optimizer
    lr: float
    version: int = 0
    home: Path | None = None
    """where a dump is written when a number is not finite"""
    also: dict[str, int] = field(default_factory=dict)
    """what else of its handle is saved: `slots`, where memory ran out in sampling"""
    steps: Steps = field(init=False)
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.budget = for_updates(self.model.device, self.how.micro_tokens)
        for weight in self.weights.values():
            weight.requires_grad_(True)
        self.steps = Steps(self.weights, self.how, self.lr, low=masters.lows(self.model))

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """The parameters that change, by name."""
        return dict(self.model.learned())

    def update(
        self,
        rows: Rows,
        weight: Tensor,
        objective: Objective[M],
        *,
        lr: float | None = None,
        names: Sequence[str] | None = None,
        beside: Sequence[Terms] = (),
    ) -> dict[str, float]:
        """One optimizer step on Σ weight · loss over all the rows, a micro-batch at a time.

        `beside` are other rows with objectives of their own, added up in the same step.

        `weight` has the shape of the objective's `each`; `names` says who the rows are, should a
        number not be finite.  Returns the weighted sums of what was watched, and the gradient norm.
        """
        terms = (Terms(rows, weight, objective, names), *beside)
        least = min(alone(t.rows.cost_B) for t in terms)
        seen = self.budget.spend(partial(self._gradient, terms), least)
        longest = math.inf if self.how.max_norm is None else self.how.max_norm
        norm = nn.utils.clip_grad_norm_(self.steps.leaves(), longest)
        if not torch.isfinite(norm):
            self._stop("the gradient", rows, names)
        self.steps.step(self.lr if lr is None else lr)
        self.steps.forget()
        self.version += 1
        return {**seen, "grad_norm": float(norm)}

    def _gradient(self, sums: Sequence[Terms], tokens: int) -> Counter[str]:
        """Add up the whole step's gradient from zero; the weighted sums of what was watched."""
        self.steps.forget()
        seen: Counter[str] = Counter()
        for terms in sums:
            for index in micro_batches(terms.rows.cost_B, tokens):
                few, w = terms.rows.take(index), terms.weight[index]
                loss = terms.objective(self.model, few)
                self._guard(loss, w, few, terms.names)
                _add(loss.each, w).backward()
                watch = {"loss": loss.each, **loss.watch}
                seen.update({name: float(_add(x.detach(), w)) for name, x in watch.items()})
        return seen

    def _guard(self, loss: Loss, w: Tensor, few: Rows, names: Sequence[str] | None) -> None:
        bad = ~torch.isfinite(loss.each.detach()) & (w != 0)
        if bad.any():
            rows = bad.flatten(1).any(1) if bad.dim() > 1 else bad
            self._stop("the loss", few.take(rows.nonzero()[:, 0]), names)

    def _stop(self, what: str, rows: Rows, names: Sequence[str] | None) -> None:
        """Leave the rows behind for whoever has to find out, and stop; no gradient stays."""
        self.steps.forget()
        index = next((x.tolist() for name, x in rows.flat() if name.endswith("row_B")), [])
        who = [names[i] if names else f"row {i}" for i in index]
        where = "nowhere: this run is in memory only"
        if self.home is not None:
            self.home.mkdir(parents=True, exist_ok=True)
            file = self.home / f"not-finite-update-{self.version}.safetensors"
            save_file(
                {k: v.contiguous() for k, v in rows.flat()}, file, {"samples": json.dumps(who)}
            )
            where = str(file)
        shown = ", ".join(who[:5]) + (f" and {len(who) - 5} more" if len(who) > 5 else "")
        raise NotFinite(
            f"{what} is NaN or infinite at update {self.version}; samples: {shown or 'unknown'}. "
            f"Their rows were written to {where}. Most often a lower learning rate or a smaller "
            "max_norm helps"
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(weights, optimizer state), both flat and named by parameter."""
        return self.steps.exact(), self.steps.state()

    def save(self, folder: Path) -> None:
        """All that the next update depends on: weights, moments, version."""
        weights, moments = self.state()
        extra = {f"buffer|{k}": v for k, v in _own_buffers(self.model)}
        _write(weights | extra, folder / "weights.safetensors")
        _write(moments, folder / "moments.safetensors")
        told = {
            "version": self.version,
            "micro_tokens": self.budget.size,
            "asked": self.how.micro_tokens,
            "also": self.also,
        }
        (folder / "learner.json").write_text(json.dumps(told))

    def load(self, folder: Path) -> None:
        """Take up exactly where `save` stopped; raises BadModel where the files do not fit."""
        given = tensors(folder / "weights.safetensors")
        buffers = {k.removeprefix("buffer|"): given.pop(k) for k in list(given) if "buffer|" in k}
        weights = self.steps.exact()
        moments = tensors(folder / "moments.safetensors")
        _fit(weights, given, folder)
        with torch.no_grad():
            for name, w in weights.items():
                w.copy_(given[name])
            for name, buffer in _own_buffers(self.model):
                buffer.copy_(buffers[name])
        self.steps.restore(moments)
        told = json.loads((folder / "learner.json").read_text())
        self.version, self.also = told["version"], told.get("also", {})
        asked = self.how.micro_tokens
        if asked in (None, told.get("asked", asked)):  # else as it is asked for now
            self.budget.size = min(self.budget.size, told["micro_tokens"])


def _add(x: Tensor, w: Tensor) -> Tensor:
    """Σ w x; what does not count does not enter, not even as 0 · NaN."""
    if x.shape != w.shape:
        raise ValueError(f"weights of shape {tuple(w.shape)} for numbers of {tuple(x.shape)}")
    return (torch.where(w != 0, x, 0) * w).sum()


def micro_batches(cost_B: Tensor, budget: int) -> Iterator[Tensor]:
    """Indices of rows, in order, each lot within the budget or a single row."""
    lot: list[int] = []
    spent = 0
    for row, cost in enumerate(cost_B.tolist()):
        if lot and spent + cost > budget:
            yield torch.tensor(lot)
            lot, spent = [], 0
        lot.append(row)
        spent += cost
    if lot:
        yield torch.tensor(lot)


def alone(cost_B: Tensor) -> int:
    """The most tokens with which every micro-batch is a single row: fewer would change nothing."""
    pair_B = cost_B[:-1] + cost_B[1:] if len(cost_B) > 1 else 2 * cost_B
    return int(pair_B.min()) - 1


def _own_buffers(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Buffers of the role itself (a judge's normalisation), not of the trunk."""
    return ((k, v) for k, v in model.named_buffers() if not k.startswith("trunk."))


def _write(tensors: Mapping[str, Tensor], file: Path) -> None:
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, file)


def _fit(mine: Mapping[str, Tensor], given: Mapping[str, Tensor], folder: Path) -> None:
    odd = mine.keys() ^ given.keys()
    odd |= {k for k in mine.keys() & given.keys() if mine[k].shape != given[k].shape}
    if odd:
        raise BadModel(
            f"{folder}: the saved weights are of another model: {sorted(odd)[0]} differs"
        )
