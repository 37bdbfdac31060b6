"""The handles a recipe holds: a Policy that speaks, a Critic that judges.

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
from safetensors.torch import save_file
from torch import Tensor

from accord.data.rows import Rows, Tokens
from accord.engine.budget import for_samples, for_scores
from accord.engine.draw import Sampling
from accord.engine.fitting import fit
from accord.engine.learner import Learner, Objective, Terms, alone, micro_batches
from accord.engine.sampler import Sampler, Watch, requests
from accord.engine.steps import Optimizer
from accord.errors import BadModel
from accord.models import card, gguf
from accord.models import load as folders
from accord.models.decoder import known
from accord.models.heads import Judge, Part, Speaker
from accord.models.lora import Lora, base_of
from accord.models.trunk import Trunk
from accord.records import Ids, Rollout
from accord.text import hub
from accord.text.tokenizer import Kind, Speller

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
        return model

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


class Policy(Handle[Speaker]):
    """A language model that answers.  It samples with the very weights it trains: never stale."""

    @classmethod
    def open(
        cls,
        source: str | Path,
        *,
        dtype: folders.Dtype = "fp32",
        slots: int | None = None,
        template: Kind = "auto",
        on_cpu: bool = False,
    ) -> "Policy":
        """A model or PEFT adapter folder, a GGUF file (or a folder with one), or a hub id.

        On the GPU where there is one.  With `on_cpu` it stays in main memory, and only a whole copy
        that is trained goes there.  A reward model's folder is refused: its trunk alone is not it.
        """
        if (hub.folder(source) / card.NAME).is_file():
            raise BadModel(
                f"{source}: this is a reward model ({card.NAME} lies in it), not a language model: "
                "give it as the reward, and as the model the one it was trained from"
            )
        return cls._open(source, dtype=dtype, slots=slots, template=template, on_cpu=on_cpu)

    @classmethod
    def _open(
        cls,
        source: str | Path,
        *,
        dtype: folders.Dtype = "fp32",
        slots: int | None = None,
        template: Kind = "auto",
        on_cpu: bool = False,
    ) -> "Policy":
        source = gguf.as_folder(source)
        base = base_of(hub.folder(source))
        ground = Path(base or source)
        # what an adapter will name as its base must be found from any folder
        name = str(ground.resolve()) if ground.is_dir() else str(base or source)
        try:
            device = "cpu" if on_cpu else None
            trunk = Trunk(folders.load(base or source, dtype=dtype, device=device), name)
        except BadModel as error:
            if base is None:
                raise
            raise BadModel(f"{source}: the base of this adapter, {error}") from error
        if base is not None:
            trunk.adapters.load("start", hub.folder(source))
        speaker = Speaker(trunk, "start" if base else None)
        speller = Speller.load(source, template=template)
        rows = trunk.model.get_input_embeddings().num_embeddings
        if speller.vocab > rows:
            raise BadModel(
                f"{source}: its tokenizer has {speller.vocab} ids, its embedding {rows}; give the "
                "model its own tokenizer, or enlarge it (resize_token_embeddings)"
            )
        policy = cls(speaker, speller)
        policy.slots = slots
        policy.source = Path(source) if Path(source).is_dir() else None
        policy.trains_on = torch.device(folders.fastest()) if on_cpu else None
        return policy

    slots: int | None = None
    """answers written at once; none: as many as the machine has room for"""

    def sample(
        self,
        prompts: Sequence[Ids],
        *,
        n: int = 1,
        longest: int,
        seed: int,
        how: Sampling = Sampling(),
        names: Sequence[str] | None = None,
        watch: Watch | None = None,
    ) -> list[Rollout]:
        """n answers to each prompt, side by side, of at most `longest` tokens.

        A sample is a function of the weights, the prompt, the seed and its name (`names[i]/draw`;
        by default the prompt's index), whatever else is in the batch, to rounding: in fp32 another
        token is drawn only where the dice fall within some 1e-5 of a boundary.  In bf16 that is
        often so where the module's code decodes (`decoder`); nor does the own promise anything.
        """
        names = names if names is not None else [str(i) for i in range(len(prompts))]
        asked = requests(prompts, names, n=n, seed=seed, limit=self.context - longest)
        trunk, using, ends = self.model.trunk, self.model.using, self.speller.ends
        places = max((len(prompt) for prompt in prompts), default=0) + longest

        def work(slots: int) -> list[Rollout]:
            sampler = Sampler(trunk, using, ends, slots=slots)
            return sampler.run(asked, how, longest=longest, version=self.version, watch=watch)

        room = for_samples(trunk, places, self.slots)
        chosen = room.size
        said = room.spend(work, 1)
        if room.size < chosen:
            self.slots = room.size
            if self.learner is not None:
                self.learner.also["slots"] = room.size
        return said

    def load(self, folder: Path) -> None:
        """And with as few answers at once, where memory ran out: in bf16 they may depend on it."""
        super().load(folder)
        self.slots = self._learner().also.get("slots", self.slots)

    @property
    def decoder(self) -> str:
        """What writes its answers: `own`, or `module` with the reason why."""
        told = known(self.model.trunk, self.model.using)
        return f"module: {told}" if isinstance(told, str) else "own"

    def logp(self, tokens: Tokens, temperature: float = 1.0) -> Tensor:
        """log π of every scored token, nats, [B, T]; zero elsewhere."""
        return self._each(tokens, lambda few: self.model.logp(few, temperature))

    def export(self, folder: str | Path) -> None:
        """A plain Hugging Face folder with its tokenizer, or a PEFT adapter folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.model.using is not None:
            self.model.trunk.adapters.save(self.model.using, folder)
        else:
            trunk = self.model.trunk
            with self._exact():
                folders.save(trunk.model, folder, weights=trunk.adapters.bare())
        self.speller.save(folder)

    def _with(self, model: Speaker, learner: Learner[Speaker] | None = None) -> Self:
        twin = super()._with(model, learner)
        twin.slots = self.slots
        return twin

    def _on(self, trunk: Trunk, using: str | None) -> Speaker:
        return Speaker(trunk, using)


class Critic(Handle[Judge]):
    """A reward model when it judges the finished answer, a value function when it looks ahead."""

    @classmethod
    def on(cls, policy: Policy, *, seed: int = 0) -> "Critic":
        """A judge with a new head on a policy's trunk.  The trunk is shared until it is trained."""
        model = policy.model
        critic = cls(Judge(model.trunk, model.using, seed=seed), policy.speller)
        critic.trains_on = policy.trains_on
        return critic

    @classmethod
    def open(
        cls, source: str | Path, *, dtype: folders.Dtype = "fp32", on_cpu: bool = False
    ) -> "Critic":
        """A reward-model folder that `export` wrote; `on_cpu` as in Policy.open."""
        folder = Path(source)
        told = card.read(folder)
        critic = cls.on(Policy._open(folder, dtype=dtype, on_cpu=on_cpu))
        if critic.speller.fingerprint != told.template:
            raise BadModel(
                f"{folder}: its tokenizer or template is not the one it was trained with"
            )
        card.fill(critic.model.head, folder)
        critic.normalise(told.gain, told.bias)
        critic.source = folder
        return critic

    def zeroed(self) -> "Critic":
        """The same judge with a head of zeros: it foresees nothing yet (Ziegler et al. 2019)."""
        model = self._on(self.model.trunk, self.model.using)
        torch.nn.init.zeros_(model.head.weight)
        torch.nn.init.zeros_(model.head.bias)
        made = Critic(model, self.speller)
        made.trains_on = self.trains_on
        made.normalise(1.0, 0.0)
        return made

    def normalise(self, gain: float, bias: float) -> None:
        """Set score = gain · raw + bias."""
        self.model.gain.fill_(gain)
        self.model.bias.fill_(bias)

    def score(self, tokens: Tokens) -> Tensor:
        """score_B of each whole sequence, read at its last real token."""
        return self._each(tokens, self.model.score)

    def value(self, tokens: Tokens) -> Tensor:
        """value_BT: what the answer is expected to be worth just before token t is said."""
        return self._each(tokens, self.model)

    def export(self, folder: str | Path) -> None:
        """The trunk as a Hugging Face or PEFT folder, the head beside it, and a card."""
        folder = Path(folder)
        trunk, using = self.model.trunk, self.model.using
        with self._exact():
            Policy(Speaker(trunk, using), self.speller).export(folder)
        head = {k: v.detach().cpu().contiguous() for k, v in self.model.head.named_parameters()}
        save_file(head, folder / card.HEAD)
        gain, bias = float(self.model.gain), float(self.model.bias)
        card.write(folder, card.Card(gain, bias, self.speller.fingerprint))

    def _on(self, trunk: Trunk, using: str | None) -> Judge:
        judge = Judge(trunk, using)
        judge.head.load_state_dict(self.model.head.state_dict())
        judge.gain.copy_(self.model.gain)
        judge.bias.copy_(self.model.bias)
        return judge
