"""The two parts a model can play: one that speaks, one that judges.  Both sit on a Trunk.

Column t speaks of token t, given what came before it.  The shift by one lives in `_before`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from accord.data.rows import Choices, Grouped, Tokens
from accord.models import fused
from accord.models.fork import fork, together
from accord.models.learned import Learned
from accord.models.trunk import Trunk, at_least_fp32, flatten
from accord.models.vision import tower


class Said(NamedTuple):
    """log π(token t | before) and the entropy of that distribution, nats; zero where not scored."""

    logp_BT: Tensor
    entropy_BT: Tensor


class Part(Learned):
    """A trunk, and the adapter through which this role sees it (None: the bare base)."""

    def __init__(self, trunk: Trunk, using: str | None = None):
        super().__init__()
        self.trunk, self.using = trunk, using

    @property
    def device(self) -> torch.device:
        """Where its trunk lies."""
        return self.trunk.device

    def learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        """(name, parameter) of all this role would train: its adapter, or the whole trunk, but for
        a tower that sees.
        """
        if self.using is not None:
            yield from self.trunk.adapters.weights(self.using).items()
        else:
            frozen = {id(w) for part in tower(self.trunk.model) for w in part.parameters()}
            named = self.trunk.adapters.base_weights()
            yield from ((name, weight) for name, weight in named if id(weight) not in frozen)

    def seen(self) -> dict[str, Tensor]:
        """All that decides what this role says, named alike whoever else lives on the trunk."""
        adapters = self.trunk.adapters
        own = {f"role|{k}": v for k, v in self.state_dict().items() if not k.startswith("trunk.")}
        if self.using is not None:
            own |= {f"adapter|{k}": v for k, v in adapters.weights(self.using).items()}
            own["adapter|alpha"] = torch.tensor(float(adapters.configs[self.using].lora_alpha))
        return adapters.bare() | own

    def _hidden(self, tokens: Tokens) -> Tensor:
        return self.trunk(flatten(tokens.ids_BT, tokens.length_B), self.using)  # type: ignore[no-any-return]


def _before(tokens: Tokens) -> Tensor:
    """For each scored token, in order: the flat index of the one before it, which predicts it.

    The one place where predictions are shifted onto what they predict.
    """
    start_B = tokens.length_B.cumsum(0) - tokens.length_B
    b_S, t_S = tokens.mask_BT.nonzero(as_tuple=True)
    return start_B[b_S] + t_S - 1


def _lay(values_S: Tensor, mask_BT: Tensor) -> Tensor:
    """Numbers of scored tokens, back in the shape of the mask."""
    zeros_BT = values_S.new_zeros(mask_BT.shape)
    return zeros_BT.masked_scatter(mask_BT, values_S)


class Speaker(Part):
    """A language model."""

    def forward(self, tokens: Tokens, temperature: float = 1.0) -> Said:
        """What it would have said: log-probabilities at the temperature it samples with."""
        said = fused.logp_entropy(*self._scored(tokens), temperature)
        return Said(*(_lay(x_S, tokens.mask_BT) for x_S in said))

    def logp(self, tokens: Tokens, temperature: float = 1.0) -> Tensor:
        """logp_BT alone, which is cheaper."""
        return _lay(fused.logp(*self._scored(tokens), temperature), tokens.mask_BT)

    def compare(self, few: Choices) -> Tensor:
        """logp_BK: of each whole answer given its prompt, nats, zero where there is none; each
        row's prompt is read once.
        """
        laid = fork(few)
        hidden_SH = self.trunk(laid.flat, self.using)[laid.before_S]
        vocab = self.trunk.model.config.get_text_config().vocab_size
        logp_S = fused.logp(self.trunk.logits, hidden_SH, laid.flat.ids_N[laid.at_S], vocab)
        each = logp_S.split(laid.own_A.tolist())
        return _lay(torch.stack([logp.sum() for logp in each]), few.mask_BK)

    def apart(self, other: "Speaker", tokens: Tokens, temperature: float = 1.0) -> Tensor:
        """[B, T, 4], nats: log π, the other's log ρ, KL(π ‖ ρ) over the whole vocabulary, entropy
        of π; zero where not scored.
        """
        logits, hidden_SH, ids_S, vocab = self._scored(tokens)
        there = other._scored(tokens.to(other.trunk.device))
        if there[3] != vocab:
            raise ValueError(f"one model knows {vocab} ids, the other {there[3]}")
        both = (hidden_SH, there[1])
        told_S4 = fused.apart((logits, there[0]), both, ids_S, vocab, temperature)
        out_BT4 = told_S4.new_zeros(*tokens.mask_BT.shape, 4)
        out_BT4[tokens.mask_BT] = told_S4
        return out_BT4

    def _scored(self, tokens: Tokens) -> tuple[fused.Logits, Tensor, Tensor, int]:
        """The head, and what reaches it: the hidden states before scored tokens, and those."""
        if isinstance(tokens, Grouped):
            flat, before_S = together(tokens)
            hidden_SH = self.trunk(flat, self.using)[before_S]
        else:
            hidden_SH = self._hidden(tokens)[_before(tokens)]
        ids_S = tokens.ids_BT[tokens.mask_BT]
        return (
            self.trunk.logits,
            hidden_SH,
            ids_S,
            self.trunk.model.config.get_text_config().vocab_size,
        )


class Judge(Part):
    """A scalar head: a reward model when it reads a finished answer, a value function on the way.

    The score is gain · head(last real token) + bias; the two numbers are set by normalisation.
    """

    def __init__(self, trunk: Trunk, using: str | None = None, *, seed: int = 0):
        super().__init__(trunk, using)
        kind: Any = {"device": trunk.device, "dtype": at_least_fp32(trunk.model.dtype)}
        self.head = nn.Linear(trunk.width, 1, **kind)
        with torch.no_grad():  # N(0, 1/(d+1)): Ziegler et al. 2019; Huang et al. 2024, detail 9
            rng = torch.Generator().manual_seed(seed)
            weight = torch.randn(1, trunk.width, generator=rng) * (trunk.width + 1) ** -0.5
            self.head.weight.copy_(weight)
            self.head.bias.zero_()
        self.register_buffer("gain", torch.ones((), **kind))
        self.register_buffer("bias", torch.zeros((), **kind))

    gain: Tensor
    bias: Tensor

    def learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The trunk's, save for the language-model head nobody reads, and the scalar head."""
        tied = self.trunk.model.get_input_embeddings().weight
        for name, weight in super().learned():
            if weight is not getattr(self.trunk.head, "weight", None) or weight is tied:
                yield f"trunk.{name}", weight
        for name, weight in self.head.named_parameters():
            yield f"head.{name}", weight

    def forward(self, tokens: Tokens) -> Tensor:
        """value_BT: the worth of the answer as foreseen just before token t is said."""
        return _lay(self._worth(self._hidden(tokens)[_before(tokens)]), tokens.mask_BT)

    def score(self, tokens: Tokens) -> Tensor:
        """score_B: the worth of each whole sequence, read at its last real token."""
        return self._worth(self._hidden(tokens)[tokens.length_B.cumsum(0) - 1])

    def compare(self, few: Choices) -> Tensor:
        """score_BK, zero where there is no answer; each row's prompt is read once."""
        laid = fork(few)
        return _lay(self._worth(self.trunk(laid.flat, self.using)[laid.last_A]), few.mask_BK)

    def _worth(self, hidden_NH: Tensor) -> Tensor:
        return self.gain * self.head(hidden_NH.to(self.head.weight.dtype))[:, 0] + self.bias
