"""A language so small that every sentence can be listed, and a model that speaks it."""

import itertools

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from accord.data.rows import Tokens, pad
from accord.engine.roles import Critic, Policy
from accord.models.attention import NAME
from accord.models.heads import Speaker
from accord.models.trunk import Trunk
from accord.records import Ids, Rollout

BEGIN, END, LETTERS, LONGEST = 0, 1, (2, 3, 4, 5), 3


class ToySpeller:
    """Letters for ids; enough of a Speller for recipes and rewards."""

    ends = frozenset({END})
    vocab = 6
    pad = 0
    fingerprint = "toy"

    def decode(self, ids: Ids, *, special: bool = False) -> str:
        return "".join("^$abcd"[i] for i in ids if special or i > END)

    def text(self, rollout: Rollout) -> str:
        return self.decode(rollout.response_ids)

    def save(self, folder) -> None:
        (folder / "toy.txt").write_text("toy")


def toy_policy(seed: int = 0, *, dtype: torch.dtype = torch.float32, std: float = 0.3) -> Policy:
    """A fresh model; its sentences are far from equally likely."""
    config = LlamaConfig(
        vocab_size=6,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=32,
        initializer_range=std,
        tie_word_embeddings=False,
        attn_implementation=NAME,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).to(dtype)
    model.eval().requires_grad_(False)
    return Policy(Speaker(Trunk(model, "toy")), ToySpeller())


def toy_critic(seed: int = 0, *, dtype: torch.dtype = torch.float32) -> Critic:
    """A judge on a trunk of its own."""
    return Critic.on(toy_policy(seed, dtype=dtype), seed=seed)


def sentences() -> list[Ids]:
    """Everything that can be said: letters up to an end, or LONGEST letters without one."""
    ended = [
        (*letters, END)
        for length in range(LONGEST)
        for letters in itertools.product((BEGIN, *LETTERS), repeat=length)
    ]
    return ended + list(itertools.product((BEGIN, *LETTERS), repeat=LONGEST))


def all_said(prompt: Ids = (BEGIN,)) -> Tokens:
    """All sentences as rows."""
    said = sentences()
    return pad([prompt] * len(said), said)


def distribution(policy: Policy) -> torch.Tensor:
    """p_N of every sentence, float64; sums to 1."""
    tokens = all_said()
    return policy.logp(tokens).double().sum(1).exp()
