"""Worlds so small that their optimum can be computed: bandits and grids, by dynamic programming."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor

RUSSELL_NORVIG = ("...+", ".#.-", "S...")
"""the grid of Russell & Norvig, Artificial Intelligence, figure 17.1"""


@dataclass(frozen=True)
class Table:
    """A finite Markov decision process ⟨S, A, P, R⟩, float64, and where it begins and ends."""

    chance_SAZ: Tensor
    """P(z | s, a): rows sum to 1"""
    reward_SAZ: Tensor
    """the mean reward of going from s to z by a"""
    start_S: Tensor
    """the probability of beginning in s"""
    end_S: Tensor
    """True where it is over"""

    def look(self, value_S: Tensor, gamma: float) -> Tensor:
        """Q(s, a) = Σ_z P(z | s, a) (R + γ V(z)),  V = 0 where it is over: Bellman 1957."""
        after_S = torch.where(self.end_S, 0.0, value_S)
        return (self.chance_SAZ * (self.reward_SAZ + gamma * after_S)).sum(-1)

    def optimum(self, gamma: float = 1.0, near: float = 1e-12) -> tuple[Tensor, Tensor]:
        """(V*_S, Q*_SA) by value iteration; states that are over are worth 0."""
        value_S = torch.zeros(len(self.start_S), dtype=torch.float64)
        while True:
            best_SA = self.look(value_S, gamma)
            new_S = torch.where(self.end_S, 0.0, best_SA.amax(1))
            if float((new_S - value_S).abs().max()) < near:
                return new_S, best_SA
            value_S = new_S

    def worth(self, policy_SA: Tensor, gamma: float = 1.0) -> float:
        """What a policy π(a | s) is worth from the start, exactly: V = (I - γ P_π)⁻¹ R_π."""
        on_S = (~self.end_S).double()
        step_SZ = torch.einsum("sa,saz->sz", policy_SA.double(), self.chance_SAZ) * on_S[:, None]
        gain_SA = (self.chance_SAZ * self.reward_SAZ).sum(-1)
        gain_S = (policy_SA.double() * gain_SA).sum(1) * on_S
        eye = torch.eye(len(on_S), dtype=torch.float64)
        return float(self.start_S @ torch.linalg.solve(eye - gamma * step_SZ * on_S, gain_S))


def bandit(means: Sequence[float]) -> Table:
    """One state, one arm for each mean, and it is over: the world of a single answer."""
    A = len(means)
    chance = torch.zeros(2, A, 2, dtype=torch.float64)
    chance[:, :, 1] = 1
    reward = torch.zeros_like(chance)
    reward[0, :, 1] = torch.tensor(means, dtype=torch.float64)
    start, end = torch.tensor([1.0, 0.0]).double(), torch.tensor([False, True])
    return Table(chance, reward, start, end)


def grid(rows: Sequence[str] = RUSSELL_NORVIG, *, slip: float = 0.2, price: float = 0.04) -> Table:
    """North, east, south, west; with `slip` the step goes to one of the two sides instead.

    S: start; #: wall; + and -: over, with 1 or -1; every step costs `price`.
    """
    size = (len(rows), len(rows[0]))
    cells = [(y, x) for y in range(size[0]) for x in range(size[1]) if rows[y][x] != "#"]
    place = {cell: s for s, cell in enumerate(cells)}
    prize = {"+": 1.0, "-": -1.0}
    chance = torch.zeros(len(cells), 4, len(cells), dtype=torch.float64)
    ways = ((-1, 0), (0, 1), (1, 0), (0, -1))
    for (y, x), s in place.items():
        for a in range(4):
            for turn, share in ((0, 1 - slip), (1, slip / 2), (3, slip / 2)):
                dy, dx = ways[(a + turn) % 4]
                chance[s, a, place.get((y + dy, x + dx), s)] += share
    signs = [rows[y][x] for y, x in cells]
    reward_S = torch.tensor([prize.get(sign, 0.0) - price for sign in signs], dtype=torch.float64)
    start_S = torch.tensor([float(sign == "S") for sign in signs]).double()
    end_S = torch.tensor([sign in prize for sign in signs])
    return Table(chance, reward_S.expand_as(chance).clone(), start_S / start_S.sum(), end_S)


class TableWorld(gymnasium.Env[Any, Any]):
    """A table as a Gymnasium environment: a state is its number, so is an action."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, table: Table, noise: float = 0.0):
        """`noise`: the standard deviation of a reward around its mean."""
        self.table, self.noise, self._state = table, noise, 0
        self.observation_space = spaces.Discrete(len(table.start_S))
        self.action_space = spaces.Discrete(table.chance_SAZ.shape[1])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Somewhere to begin."""
        super().reset(seed=seed)
        self._state = self._drawn(self.table.start_S)
        return self._state, {}

    def step(self, action: Any) -> Any:
        """Somewhere else, by chance."""
        s, a = self._state, int(action)
        self._state = z = self._drawn(self.table.chance_SAZ[s, a])
        reward = float(self.table.reward_SAZ[s, a, z])
        if self.noise:
            reward += self.noise * float(self.np_random.standard_normal())
        return z, reward, bool(self.table.end_S[z]), False, {}

    def _drawn(self, chance_Z: Tensor) -> int:
        at = torch.searchsorted(chance_Z.cumsum(0), float(self.np_random.random()), right=True)
        return min(int(at), len(chance_Z) - 1)
