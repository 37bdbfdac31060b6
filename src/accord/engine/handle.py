"""What every model one can ask has in common, and what it gains once it is trained.

A handle is frozen until `trainable` returns a copy that may change.  The one you hold stays as it
is: it is your reference.  Where a handle's model lives is not the recipe's affair.
"""

import itertools
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor

from accord.data.rows import Rows
from accord.engine.budget import for_scores
from accord.engine.fitting import fit
from accord.engine.learner import Learner, Objective, Terms, alone, micro_batches
from accord.engine.steps import Optimizer
from accord.errors import BadModel
from accord.models import load as folders
from accord.models.heads import Part
from accord.models.lora import Lora
from accord.models.resting import rest
from accord.models.trunk import Trunk
from accord.text.tokenizer import Speller

M = TypeVar("M", bound=Part)
_count = itertools.count(1)
_waiting: "weakref.WeakSet[Handle[Any]]" = weakref.WeakSet()
"""those whose learners have not begun: they will need memory"""


class Handle(Generic[M]):
    """A model one can ask and, once trainable, change."""

    def __init__(self, model: M, speller: Speller, learner: Learner[M] | None = None):
        self.model, self.speller, self.learner = model, speller, learner
        self.scoring = for_scores(model.trunk.device)
        self.kept = False
        """whether a run keeps it; what changes and is not kept could not be resumed"""
        self.home: Path | None = None
        """where rows whose numbers are not finite are left; a run that keeps it says"""
        self.source: Path | None = None
        """the folder it was opened from, where there was one"""
        self.trains_on: torch.device | None = None
        """where a whole copy that is trained goes; none: where this one is"""

        if learner is not None:
            _waiting.add(self)

    def lies(self, folder: Path) -> None:
        """It was exported, and lies in this folder as it is now: what is made from it says so."""
        self.source = folder
        if self.model.using is None:
            self.model.trunk.source = str(folder.resolve())

    @property
    def micro_tokens(self) -> int:
        """Real tokens in one forward and backward pass of an update."""
        return self._learner().budget.size

    @property
    def version(self) -> int:
        """How often it has been updated."""
        return self.learner.version if self.learner else 0

    @property
    def context(self) -> int:
        """The most tokens a sequence may have."""
        return self.model.trunk.context

    @property
    def fingerprint(self) -> str:
        """sha256 of the weights this role sees: which model it is, wherever it lies."""
        with self._exact():
            return folders.fingerprint(self.model.seen())

    def trainable(
        self,
        *,
        lr: float,
        lora: Lora | None = None,
        optimizer: Optimizer = Optimizer(),
        seed: int = 0,
    ) -> Self:
        """A copy that may change, with an optimizer of its own; this one stays: your reference.

        With `lora`, or from an adapter, the copy is an adapter on the same trunk, begun from
        `seed`, and the base is shared; else the whole model is copied.
        """
        model = self._adapter(lora, seed) if lora or self.model.using else self._whole()
        if optimizer.recompute:
            model.trunk.checkpoint()
        return self._with(model, Learner(model, optimizer, lr))

    def _with(self, model: M, learner: Learner[M] | None = None) -> Self:
        """The same handle on another model."""
        return type(self)(model, self.speller, learner)

    def _adapter(self, lora: Lora | None, seed: int) -> M:
        trunk, mine = self.model.trunk, self.model.using
        if self.trains_on not in (None, trunk.device):
            raise BadModel(
                "an adapter is trained on the very weights of its base, which are kept on the CPU "
                "here: train the whole model (no lora), or open it without on_cpu"
            )
        name = f"a{next(_count)}"
        if mine is not None and lora is not None:
            there = trunk.adapters.configs[mine]
            other = lora.targets != "all-linear" and {*lora.targets.split(",")} != {
                *(there.target_modules or ())
            }
            if (there.r, there.lora_alpha) != (lora.r, lora.alpha) or other:
                raise BadModel(
                    f"this model already is an adapter, of r={there.r} and "
                    f"alpha={there.lora_alpha}; its copy keeps that shape: say the same, or no lora"
                )
        config = trunk.adapters.configs[mine] if mine else (lora or Lora()).config(trunk.source)
        trunk.adapters.add(name, config, like=mine, seed=seed)
        return self._on(trunk, name)

    def _exact(self) -> AbstractContextManager[None]:
        """While it lasts, the model bears its masters, wherever they are kept."""
        return self.learner.steps.whole() if self.learner else nullcontext()

    def _whole(self) -> M:
        device = self.trains_on or self.model.trunk.device
        with self._exact():
            model = self._on(self.model.trunk.copy(device), None)
        model.trunk.requires_grad_(False)
        self.rest()
        return model

    def rest(self) -> None:
        """Nobody asks it for now: the memory of frozen weights is given back until they are read
        again, where they are mapped from their file (on a CPU, under Linux).
        """
        if self.learner is None:
            rest(self.model.trunk.parameters())

    def _on(self, trunk: Trunk, using: str | None) -> M:
        raise NotImplementedError

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
        """One optimizer step on Σ weight · loss, with what is `beside` in the same sum.

        A frozen handle, or one no run keeps, refuses.
        """
        if self.learner is None:
            raise TypeError("this model is frozen; train a copy of it: .trainable(lr=...)")
        if not self.kept:
            raise TypeError("this model changes but no run keeps it; say run.keep('name', model)")
        device = self.model.trunk.device
        self._begin(rows)
        if self.model.using is None:
            self.model.trunk.source = ""  # it no longer is what lies there
        self.learner.home = self.home
        there = [t._replace(rows=t.rows.to(device), weight=t.weight.to(device)) for t in beside]
        return self.learner.update(
            rows.to(device), weight.to(device), objective, lr=lr, names=names, beside=there
        )

    def _begin(self, rows: Rows) -> None:
        """Before the first update: choose how much is computed at once."""
        if self in _waiting and self.learner is not None:
            _waiting.discard(self)
            fit(self.learner, int(rows.cost_B.max()), [x._learner() for x in _waiting if x.kept])

    def save(self, folder: Path) -> None:
        """For a run's commit: everything the next update depends on."""
        self._learner().save(folder)

    def load(self, folder: Path) -> None:
        """From a run's commit."""
        self._learner().load(folder)
        _waiting.discard(self)  # its micro-batch was chosen, and is the same again

    def _learner(self) -> Learner[M]:
        if self.learner is None:
            raise TypeError("a frozen model has no state to keep")
        return self.learner

    def _each(self, rows: Rows, ask: Callable[[Any], Tensor]) -> Tensor:
        """Ask about rows in lots of bounded size, without gradients."""
        device = self.model.trunk.device

        def work(tokens: int) -> Tensor:
            lots = micro_batches(rows.cost_B, tokens)
            return torch.cat([ask(rows.take(index).to(device)) for index in lots])

        with torch.no_grad():
            return self.scoring.spend(work, alone(rows.cost_B))
