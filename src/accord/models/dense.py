"""Small dense networks for worlds whose states are a few numbers: they act, foresee and judge.

Two or three tanh layers, begun orthogonally (Engstrom et al. 2020, section 3): gain √2 inside, 0.01
before the actions, so that the first policy hardly prefers anything, and 1 before a value.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from accord.models.learned import Learned


class Acted(NamedTuple):
    """log π(action | state) and the entropy of that distribution, nats."""

    logp_N: Tensor
    entropy_N: Tensor


def dense(sizes: Sequence[int], gain: float, seed: int) -> nn.Sequential:
    """Layers of these sizes with tanh between them; `gain` is that of the last."""
    rng, layers = torch.Generator().manual_seed(seed), list[nn.Module]()
    for place, (width, out) in enumerate(pairwise(sizes)):
        last = place == len(sizes) - 2
        layer = nn.Linear(width, out)
        with torch.no_grad():
            nn.init.orthogonal_(layer.weight, gain if last else math.sqrt(2), generator=rng)
            layer.bias.zero_()
        layers += [layer] if last else [layer, nn.Tanh()]
    return nn.Sequential(*layers)


class Actor(Learned):
    """A policy: from states [N, F] to distributions of actions [N, A]."""

    def draw(self, seen_NF: Tensor, rng: torch.Generator | None) -> Tensor:
        """did_NA by chance; without `rng` the likeliest."""
        raise NotImplementedError

    def forward(self, seen_NF: Tensor, did_NA: Tensor) -> Acted:
        """How likely it would have done the same."""
        raise NotImplementedError


class Chooser(Actor):
    """One of n actions, by a softmax; column 0 of an action is its number."""

    def __init__(self, seen: int, n: int, hidden: Sequence[int], seed: int):
        super().__init__()
        self.net = dense((seen, *hidden, n), 0.01, seed)

    def draw(self, seen_NF: Tensor, rng: torch.Generator | None) -> Tensor:
        """did_N1."""
        logits_NV = self.net(seen_NF)
        if rng is None:
            return logits_NV.argmax(1, keepdim=True).to(seen_NF.dtype)
        return torch.multinomial(logits_NV.softmax(1), 1, generator=rng).to(seen_NF.dtype)

    def forward(self, seen_NF: Tensor, did_NA: Tensor) -> Acted:
        """Of each action that was chosen."""
        logp_NV = self.net(seen_NF).log_softmax(1)
        return Acted(logp_NV.gather(1, did_NA.long())[:, 0], -(logp_NV.exp() * logp_NV).sum(1))


class Mover(Actor):
    """Numbers, each by a Gaussian of its own; log σ is the same in every state.

    In units of the world's range: ±1 are its ends.  What is drawn beyond is carried out as the end
    but keeps its own probability (Schulman's code; Huang et al. 2022, detail 9.7).
    """

    def __init__(self, seen: int, width: int, hidden: Sequence[int], seed: int):
        super().__init__()
        self.net = dense((seen, *hidden, width), 0.01, seed)
        self.spread = nn.Parameter(torch.zeros(width))

    def draw(self, seen_NF: Tensor, rng: torch.Generator | None) -> Tensor:
        """did_NA."""
        mean_NA: Tensor = self.net(seen_NF)
        if rng is None:
            return mean_NA
        noise_NA = torch.randn(mean_NA.shape, generator=rng, dtype=mean_NA.dtype)
        return mean_NA + self.spread.exp() * noise_NA

    def forward(self, seen_NF: Tensor, did_NA: Tensor) -> Acted:
        """log N(a; μ, σ²) = -½ ((a - μ)/σ)² - log σ - ½ log 2π, added over the numbers."""
        z_NA = (did_NA - self.net(seen_NF)) * (-self.spread).exp()
        flat = self.spread + 0.5 * math.log(2 * math.pi)
        entropy = (flat + 0.5).sum()
        return Acted((-0.5 * z_NA**2 - flat).sum(1), entropy.expand(len(did_NA)))


class Valuer(Learned):
    """A value function: what is still to come, foreseen from a state."""

    def __init__(self, seen: int, hidden: Sequence[int], seed: int):
        super().__init__()
        self.net = dense((seen, *hidden, 1), 1.0, seed)

    def forward(self, seen_NF: Tensor) -> Tensor:
        """value_N."""
        return self.net(seen_NF)[:, 0]  # type: ignore[no-any-return]


class Ensemble(Learned):
    """E reward models side by side, begun differently: reward of a step, from state and action."""

    def __init__(self, seen: int, hidden: Sequence[int], members: int, seed: int):
        super().__init__()
        self.nets = nn.ModuleList(
            dense((seen, *hidden, 1), 1.0, seed + member) for member in range(members)
        )
        self.register_buffer("mean_F", torch.zeros(seen))
        self.register_buffer("std_F", torch.ones(seen))
        self.register_buffer("shift_E", torch.zeros(members))
        self.register_buffer("gain_E", torch.ones(members))

    mean_F: Tensor
    std_F: Tensor
    shift_E: Tensor
    gain_E: Tensor

    def forward(self, seen_XF: Tensor) -> Tensor:
        """reward_XE as each member has it, unscaled; X is any number of axes."""
        scaled_XF = (seen_XF - self.mean_F) / self.std_F
        return torch.cat([net(scaled_XF) for net in self.nets], -1)

    def agreed(self, seen_NF: Tensor) -> Tensor:
        """reward_N: each member brought to mean 0 and deviation 1, then their mean.

        Christiano et al. 2017, section 2.2.1.
        """
        return ((self(seen_NF) - self.shift_E) * self.gain_E).mean(-1)

    @torch.no_grad()
    def look(self, seen_NF: Tensor) -> None:
        """Scale what it reads by these, from now on; of what never changes, nothing is left."""
        self.mean_F.copy_(seen_NF.mean(0))
        self.std_F.copy_(seen_NF.std(0, correction=0).clamp(min=1e-3))

    @torch.no_grad()
    def settle(self, seen_NF: Tensor) -> None:
        """Scale what each member says so that over these its mean is 0 and its deviation 1."""
        said_NE = self(seen_NF)
        self.shift_E.copy_(said_NE.mean(0))
        self.gain_E.copy_(1 / said_NE.std(0, correction=0).clamp(min=1e-3))
