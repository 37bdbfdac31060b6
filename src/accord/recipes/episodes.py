"""What a policy did in its worlds, as rows to learn from; and how well it does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from accord.data.rows import Rows
from accord.engine.learner import Learner
from accord.engine.player import Player
from accord.engine.running import Running
from accord.maths.advantages import GAE, gae
from accord.models.dense import Valuer
from accord.recipes import common
from accord.worlds.seats import Piece, Seats

ELSEWHERE = 10**6
"""added to a seed, for episodes that nothing was learned from"""


@dataclass(frozen=True)
class Experience(Rows):
    """What a step is learned from; each row is one action."""

    seen_BF: Tensor
    did_BA: Tensor
    logp_B: Tensor
    value_B: Tensor
    adv_B: Tensor
    return_B: Tensor


@torch.no_grad()
def experience(
    share: GAE,
    whiten: bool,
    pieces: Sequence[Piece],
    rewards: Sequence[Tensor],
    policy: Player,
    critic: Learner[Valuer] | None,
    gain: Running | None,
) -> Experience:
    """Look back with GAE, a row for each piece; then every action is a row of its own."""
    states = [policy.scaled(piece.seen_UF) for piece in pieces]
    values = [critic.model(s_UF) if critic else s_UF.new_zeros(len(s_UF)) for s_UF in states]
    reward_BT = pad_sequence(list(rewards), batch_first=True)
    value_BT = pad_sequence([v_U[:-1] for v_U in values], batch_first=True)
    length_B = torch.tensor([len(piece) for piece in pieces])
    mask_BT = torch.arange(int(length_B.max())) < length_B[:, None]
    if gain is not None:
        to_go_BT = gae(reward_BT, 0 * value_BT, mask_BT, gamma=share.gamma, lam=1.0)
        gain.learn(to_go_BT[mask_BT][:, None])
        reward_BT = reward_BT / float(gain.std_F.clamp(min=1e-4))
    # what a limit cut off is foreseen; what ended is worth nothing more
    after_B = torch.stack([0 * v_U[-1] if p.ended else v_U[-1] for p, v_U in zip(pieces, values)])
    adv_BT = share(reward_BT, value_BT, mask_BT, after_B)
    asked = "advantages" if whiten else "none"
    white_BT = common.whitened(asked, "advantages", adv_BT, mask_BT)
    seen_NF = torch.cat([s_UF[:-1] for s_UF in states])
    did_NA = torch.cat([piece.did_TA for piece in pieces])
    logp_N = policy.learner.model(seen_NF, did_NA).logp_N
    value_N, return_N = value_BT[mask_BT], (adv_BT + value_BT)[mask_BT]
    return Experience(seen_NF, did_NA, logp_N, value_N, white_BT[mask_BT], return_N)


def measure(
    policy: Player, make: Callable[[], Any], episodes: int, *, seed: int = 0
) -> dict[str, float]:
    """The world's own returns of fresh episodes, the likeliest action taken in every state."""
    returns: list[float] = []
    seats = Seats(make, min(10, episodes), seed=seed + ELSEWHERE)
    while len(returns) < episodes:
        returns += [float(piece.reward_T.sum()) for piece in seats.episodes(policy.act)]
    returns = returns[:episodes]
    told = {"return/mean": fmean(returns), "return/std": pstdev(returns)}
    return told | {"return/least": min(returns), "return/most": max(returns)}
