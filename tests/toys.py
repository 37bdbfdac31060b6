"""A language so small that every sentence can be listed, and a model that speaks it."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from accord.data.rows import Rows, Tokens, pad
from accord.engine.handle import Handle
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.models.attention import NAME
from accord.models.heads import Speaker
from accord.models.trunk import Trunk
from accord.records import Ids, Rollout

BEGIN, END, LETTERS, LONGEST = 0, 1, (2, 3, 4, 5), 3


class ToySpeller:
    """Letters for ids; enough of a Speller for recipes and rewards."""

    ends = frozenset({END})
    end = END
    vocab = 6
    pad = 0
    fingerprint = "toy"
    head = (BEGIN,)
    chat = False
    sight = None

    def begun(self, text: str) -> Ids:
        return tuple(map("^$abcd".index, text.replace("\n", "")))

    def decode(self, ids: Ids, *, special: bool = False) -> str:
        return "".join("^$abcd"[i] for i in ids if special or i > END)

    def text(self, rollout: Rollout) -> str:
        return self.decode(rollout.response_ids)

    def prompt_ids(self, conversation) -> Ids:
        return (BEGIN, *map("^$abcd".index, conversation[0].text))

    def many(self, rows) -> list:
        return [
            (self.prompt_ids(talk), tuple((*map("^$abcd".index, text), END) for text in texts))
            for talk, texts in rows
        ]

    def save(self, folder) -> None:
        (folder / "toy.txt").write_text("toy")


def in_float64(model):
    """A Llama's own norms compute in float32 whatever they are given, and a last bit that differs
    may round there to a difference of 1e-7; torch's norm is the same formula in full precision.
    """
    for name, norm in list(model.named_modules()):
        if isinstance(norm, LlamaRMSNorm):
            full = torch.nn.RMSNorm(len(norm.weight), norm.variance_epsilon, dtype=torch.float64)
            full.load_state_dict(norm.state_dict())
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, full)
    return model


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
    if dtype == torch.float64:
        in_float64(model)
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


@contextmanager
def float64() -> Iterator[None]:
    """New tensors are float64 in here."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def gradient(handle: Handle, rows: Rows, weight: torch.Tensor, objective, micro=10**6):
    """What one update would step along, before the optimizer sees it, as one vector."""
    copy = handle.trainable(lr=0.0, optimizer=Optimizer(micro_tokens=micro, max_norm=1e9))
    copy.kept = True
    grads = {name: torch.zeros_like(w) for name, w in copy.learner.weights.items()}
    for name, w in copy.learner.weights.items():
        w.register_post_accumulate_grad_hook(partial(_note, grads[name]))
    copy.update(rows, weight, objective)
    return torch.cat([g.flatten() for g in grads.values()])


def _note(into: torch.Tensor, weight: torch.Tensor) -> None:
    into.copy_(weight.grad)


def cuts(count: int) -> list[tuple[int, torch.Tensor | slice]]:
    """(micro_tokens, order of rows): ways to add up the same batch."""
    mixed = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return [(10**6, slice(None)), (1, slice(None)), (17, mixed), (40, mixed.flip(0))]
