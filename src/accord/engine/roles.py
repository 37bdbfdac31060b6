"""The handles a recipe holds: a Policy that speaks, a Critic that judges."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import torch
from safetensors.torch import save_file
from torch import Tensor

from accord.data.rows import Choices, Tokens
from accord.data.shown import Answer, Shown
from accord.engine.budget import for_samples
from accord.engine.draw import Sampling
from accord.engine.handle import Handle
from accord.engine.learner import Learner
from accord.engine.sampler import Sampler, Watch, requests
from accord.errors import BadModel
from accord.models import card, gguf
from accord.models import load as folders
from accord.models.decoder import known
from accord.models.heads import Judge, Speaker
from accord.models.lora import base_of
from accord.models.trunk import Trunk
from accord.records import Ids, Rollout
from accord.text import hub
from accord.text.tokenizer import Kind, Speller


class Apart(NamedTuple):
    """Two policies at each token, nats; zero where not scored."""

    logp_BT: Tensor
    ref_BT: Tensor
    kl_BT: Tensor
    """exact: over the whole vocabulary, of the next token after what came before"""
    entropy_BT: Tensor
    """of the policy's own distribution"""


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
        if speller.sight is not None:
            trunk.see(speller.sight.pixels)
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

    def compare(self, few: Choices) -> Tensor:
        """log π of every whole answer given its prompt, nats, [B, K]; zero where there is none."""
        return self._each(few, self.model.compare)

    def apart(self, reference: "Policy", tokens: Tokens, temperature: float = 1.0) -> Apart:
        """How far it is from a reference at every scored token; BadModel where they do not spell
        alike, for then there is no such distance.
        """
        mine, other = self.speller, reference.speller
        if mine.fingerprint != other.fingerprint:
            raise BadModel(
                f"{self.source or 'this model'} and {reference.source or 'the other'} have other "
                "tokenizers or templates: there is no KL between them, only a win rate"
            )
        told = self._each(tokens, lambda few: self.model.apart(reference.model, few, temperature))
        return Apart(*told.unbind(-1))

    def export(self, folder: str | Path) -> None:
        """A plain Hugging Face folder with its tokenizer, or a PEFT adapter folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.model.using is not None:
            self.model.trunk.adapters.save(self.model.using, folder, self.model.trunk.source)
        else:
            trunk = self.model.trunk
            with self._exact():
                folders.save(trunk.model, folder, weights=trunk.adapters.bare())
            trunk.source = trunk.source or str(folder.resolve())
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
    def on(cls, policy: Policy, *, seed: int = 0, shown: Shown = Answer()) -> "Critic":
        """A judge with a new head on a policy's trunk.  The trunk is shared until it is trained."""
        model = policy.model
        critic = cls(Judge(model.trunk, model.using, seed=seed), policy.speller)
        critic.trains_on, critic.shown = policy.trains_on, shown
        return critic

    shown: Shown = Answer()
    """how it is shown an answer, where it judges a whole one"""

    @classmethod
    def open(
        cls, source: str | Path, *, dtype: folders.Dtype = "fp32", on_cpu: bool = False
    ) -> "Critic":
        """A reward-model folder that `export` wrote; `on_cpu` as in Policy.open."""
        folder = Path(source)
        told = card.read(folder)
        critic = cls.on(Policy._open(folder, dtype=dtype, on_cpu=on_cpu), shown=told.shown)
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
        card.write(folder, card.Card(gain, bias, self.speller.fingerprint, self.shown))

    def _with(self, model: Judge, learner: Learner[Judge] | None = None) -> Self:
        twin = super()._with(model, learner)
        twin.shown = self.shown
        return twin

    def _on(self, trunk: Trunk, using: str | None) -> Judge:
        judge = Judge(trunk, using)
        judge.head.load_state_dict(self.model.head.state_dict())
        judge.gain.copy_(self.model.gain)
        judge.bias.copy_(self.model.bias)
        return judge
