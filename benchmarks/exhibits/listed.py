"""A language so small that every answer can be listed: what is said of a policy here is exact."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from accord.data.comparisons import Spelled
from accord.data.rows import Tokens, pad
from accord.engine.roles import Policy
from accord.models.attention import NAME
from accord.models.heads import Speaker
from accord.models.trunk import Trunk
from accord.records import Ids, Rollout

BEGIN, END, LETTERS, LONGEST = 0, 1, (2, 3, 4, 5), 4


class Letters:
    """As much of a speller as recipes ask for."""

    ends = frozenset({END})
    end = END
    vocab = 6
    pad = 0
    fingerprint = "listed"
    head = (BEGIN,)

    def decode(self, ids: Ids, *, special: bool = False) -> str:
        """Letters."""
        return "".join("^$abcd"[i] for i in ids if special or i > END)

    def text(self, rollout: Rollout) -> str:
        """The answer."""
        return self.decode(rollout.response_ids)


def newborn(seed: int) -> Policy:
    """A fresh model; what it says is far from equally likely."""
    config = LlamaConfig(
        vocab_size=6,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=32,
        initializer_range=0.3,
        tie_word_embeddings=False,
        attn_implementation=NAME,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.eval().requires_grad_(False)
    return Policy(Speaker(Trunk(model, "listed")), Letters())  # type: ignore[arg-type]


def answers() -> list[Ids]:
    """All that can be said: up to an end, or LONGEST tokens without one."""
    every = (BEGIN, *LETTERS)
    ended = [
        (*few, END) for size in range(LONGEST) for few in itertools.product(every, repeat=size)
    ]
    return ended + list(itertools.product(every, repeat=LONGEST))


SAID = answers()


def worth(ids: Ids) -> float:
    """The gold reward: a's are liked, length is not."""
    return 1.0 * ids.count(2) - 0.4 * len(ids)


def likelihood(policy: Policy) -> Tensor:
    """p_N of every answer, float64; sums to 1."""
    rows: Tokens = pad([(BEGIN,)] * len(SAID), SAID)
    p_N = policy.logp(rows).double().sum(1).exp()
    assert abs(float(p_N.sum()) - 1) < 1e-4
    return p_N / p_N.sum()


def judged(ref_N: Tensor, count: int, seed: int) -> list[Spelled]:
    """Pairs drawn from the start, each with one verdict drawn as Bradley and Terry say."""
    rng = torch.Generator().manual_seed(seed)
    i_N, j_N = (torch.multinomial(ref_N, count, True, generator=rng).tolist() for _ in range(2))
    dice = torch.rand(count, generator=rng).tolist()
    pairs = []
    for n, (i, j, u) in enumerate(zip(i_N, j_N, dice, strict=True)):
        if i == j:
            continue
        gap = torch.tensor(worth(SAID[i]) - worth(SAID[j]))
        ranks = (0, 1) if u < float(gap.sigmoid()) else (1, 0)
        pairs.append(Spelled((BEGIN,), (SAID[i], SAID[j]), ranks, None, None, f"p{n}"))
    return pairs


def best_of(ref_N: Tensor, reward_N: Tensor, n: int) -> Tensor:
    """The exact law of the best of n draws; of equals the first drawn."""
    law_N = torch.zeros_like(ref_N)
    below = 0.0
    for value in reward_N.unique(sorted=True):
        here_N = (reward_N == value).double() * ref_N
        upto = below + float(here_N.sum())
        law_N += here_N / here_N.sum() * (upto**n - below**n) if upto > below else 0.0
        below = upto
    return law_N


def plane(p_N: Tensor, ref_N: Tensor, reward_N: Tensor) -> tuple[float, float]:
    """(KL from the start, mean reward), exact."""
    kl_N = torch.where(p_N > 0, p_N * (p_N.clamp(min=1e-300) / ref_N).log(), 0.0)
    return float(kl_N.sum()), float((p_N * reward_N).sum())


def scores(rollouts: Sequence[Rollout]) -> list[float]:
    """The gold reward, as a Reward."""
    return [worth(r.response_ids) for r in rollouts]
