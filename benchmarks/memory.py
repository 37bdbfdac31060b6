"""What is foreseen of a job's memory beside what the job then takes, phase by phase.

    python benchmarks/memory.py [layers=3] [width=128] [vocab=1000] [rows=24] [micro=512]

Random models, rows of 32 + 32 tokens.  Measured is the most bytes of tensors alive at once in a
real step on a CPU, from the loading of the model on (judging and sampling: without the weights).
The libraries, the allocator's gaps and what a kernel keeps to itself are in neither number.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from accord.data.rows import Choices, Grouped, Tokens, choices, grouped, pad
from accord.engine.live import watched
from accord.engine.memory import Work, estimate
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.maths.losses import Loss, nll
from accord.maths.weights import even, weigh
from accord.models.attention import NAME
from accord.models.forms import still
from accord.models.heads import Judge, Speaker
from accord.models.load import DTYPES
from accord.models.lora import Lora
from accord.models.trunk import Trunk

LENGTH = 32
"""tokens of a prompt, and of an answer"""
GROUP = 4
"""answers to a prompt, of grpo"""


@dataclass(frozen=True)
class Sizes:
    """Of the models, and of a step."""

    layers: int = 3
    width: int = 128
    vocab: int = 1000
    rows: int = 24
    micro: int = 512

    def config(self, family: str) -> Any:
        """Four heads, two of keys; GPT-2 has its own names for things."""
        names = {"n_embd": self.width, "n_layer": self.layers, "n_head": 4, "n_positions": 128}
        if family != "gpt2":
            names = {
                "hidden_size": self.width,
                "intermediate_size": self.width * 8 // 3,
                "num_hidden_layers": self.layers,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "max_position_embeddings": 128,
            }
        tied = {"tie_word_embeddings": True} if family == "qwen2" else {}
        return AutoConfig.for_model(
            family, vocab_size=self.vocab, bos_token_id=0, eos_token_id=1, **names, **tied
        )

    def policy(self, family: str, work: Work) -> Policy:
        """A fresh model, frozen."""
        config = self.config(family)
        still(config)
        model = AutoModelForCausalLM.from_config(
            config, attn_implementation=NAME, dtype=DTYPES[work.dtype]
        )
        trunk = Trunk(model.eval().requires_grad_(False))
        speller: Any = SimpleNamespace(ends=frozenset({1}))
        return Policy(Speaker(trunk), speller)

    def tokens(self, rows: int | None = None) -> Tokens:
        """Prompts and answers."""
        said = [(5,) * LENGTH] * (rows or self.rows)
        return pad(said, said)

    def groups(self) -> Grouped:
        """Prompts with GROUP answers each, as many prompts as rows."""
        said = (5,) * LENGTH
        return grouped([(said, [said] * GROUP)] * self.rows)

    def pairs(self) -> Choices:
        """Prompts with two answers each."""
        said = (5,) * LENGTH
        return choices([said] * self.rows, [[said, said]] * self.rows)


def imitate(model: Speaker, tokens: Tokens) -> Loss:
    """The loss of sft."""
    return nll(model(tokens).logp_BT)


def side(model: Speaker, rows: Choices) -> Loss:
    """The loss of dpo."""
    logp_BK = model.compare(rows)
    return Loss(-torch.nn.functional.logsigmoid(logp_BK[:, 0] - logp_BK[:, 1]))


def foresee(model: Judge, tokens: Tokens) -> Loss:
    """A value loss."""
    return Loss((model(tokens) - 1) ** 2)


def prefer(model: Judge, rows: Choices) -> Loss:
    """The loss of reward."""
    score_BK = model.compare(rows)
    return Loss(-torch.nn.functional.logsigmoid(score_BK[:, 0] - score_BK[:, 1]))


def steps(sizes: Sizes, family: str, work: Work) -> Callable[[], None]:
    """Two updates of all that learns: the second finds the optimizer's means there."""
    optimizer = Optimizer(
        micro_tokens=work.micro_tokens, recompute=work.recompute, bits=8 if work.bits == 8 else 32
    )
    how: dict[str, Any] = {"lr": 1e-4, "lora": work.lora, "optimizer": optimizer}

    def learn() -> None:
        start = sizes.policy(family, work)
        tokens, pairs = sizes.tokens(), sizes.pairs()
        todo: list[tuple[Any, Any, Any, Any]] = []
        if work.kind == "dpo":
            todo.append((start.trainable(**how), pairs, even(sizes.rows), side))
        if work.kind == "grpo":
            groups = sizes.groups()
            todo.append((start.trainable(**how), groups, weigh(groups.mask_BT), imitate))
        if work.kind in ("sft", "ppo"):
            todo.append((start.trainable(**how), tokens, weigh(tokens.mask_BT), imitate))
        if work.kind == "reward":
            todo.append((Critic.on(start).trainable(**how), pairs, even(sizes.rows), prefer))
        if work.kind == "ppo":
            judge = Critic.on(sizes.policy(family, work))
            todo.append((judge.trainable(**how), tokens, weigh(tokens.mask_BT), foresee))
        for _ in range(2):
            for handle, rows, weight, objective in todo:
                handle.kept = True
                handle.update(rows, weight, objective)

    return learn


def update(sizes: Sizes, family: str, work: Work) -> tuple[int, int]:
    """(foreseen, measured) bytes."""
    sized = replace(work, prompt=LENGTH, answer=LENGTH, batch=sizes.rows, micro_tokens=sizes.micro)
    told = estimate(sizes.config(family), sized).total("update")
    return told, watched(steps(sizes, family, sized))


def judging(sizes: Sizes, family: str, work: Work) -> tuple[int, int]:
    """(foreseen, measured) bytes of the reference's look at 160 answers, without weights."""
    rows = 160
    sized = replace(work, prompt=LENGTH, answer=LENGTH, batch=rows, judge=False)
    told = estimate(sizes.config(family), sized).phases["judge"]["logits and scratch"]
    policy, tokens = sizes.policy(family, work), sizes.tokens(rows)
    return told, watched(lambda: policy.logp(tokens))


def sampling(sizes: Sizes, family: str, work: Work) -> tuple[int, int]:
    """(foreseen, measured) bytes of 64 answers of 48 tokens by what is trained, without weights."""
    sized = replace(work, prompt=2 * LENGTH, answer=48, batch=64, judge=False)
    rest = estimate(sizes.config(family), sized).phases["sample"]
    policy = sizes.policy(family, work).trainable(lr=1e-4)  # in bf16 its fp32 masters are rounded
    asked = [(5,) * (2 * LENGTH - 1) + (i,) for i in range(2, 66)]  # none alike
    found = watched(lambda: policy.sample(asked, longest=48, seed=0))
    return rest["cache"] + rest["logits and scratch"], found


ROWS: tuple[tuple[str, str, Work, Callable[[Sizes, str, Work], tuple[int, int]]], ...] = (
    ("sft, whole", "llama", Work("sft"), update),
    ("sft, LoRA", "qwen2", Work("sft", lora=Lora()), update),
    ("reward, whole", "gpt2", Work("reward"), update),
    ("reward, recompute", "llama", Work("reward", recompute=True), update),
    ("dpo, whole", "llama", Work("dpo"), update),
    ("dpo, LoRA", "gpt2", Work("dpo", lora=Lora()), update),
    ("grpo, whole, a rule", "qwen2", Work("grpo", n=GROUP, judge=False), update),
    ("grpo, LoRA, a rule", "llama", Work("grpo", n=GROUP, judge=False, lora=Lora()), update),
    ("ppo, policy and critic", "qwen2", Work("ppo"), update),
    ("sampling, 64 answers", "gpt2", Work("ppo"), sampling),
    ("judging, 160 answers", "llama", Work("ppo"), judging),
    ("judging, 160 answers", "gpt2", Work("ppo"), judging),
    ("sft, whole, bf16", "llama", Work("sft", dtype="bf16"), update),
    ("sft, LoRA, bf16", "qwen2", Work("sft", dtype="bf16", lora=Lora()), update),
    ("ppo, LoRA, bf16", "llama", Work("ppo", dtype="bf16", lora=Lora()), update),
    ("sampling, bf16", "llama", Work("ppo", dtype="bf16"), sampling),
    ("judging, bf16", "llama", Work("ppo", dtype="bf16"), judging),
    ("sft, means of 8 bits", "llama", Work("sft", bits=8), update),
)


def main(*words: str) -> None:
    """Each in turn, as a table of megabytes."""
    sizes = Sizes(**{key: int(value) for key, _, value in (word.partition("=") for word in words)})
    torch.manual_seed(0)
    print(f"{sizes}\n{'step':24} {'family':8} {'foreseen':>9} {'measured':>9} {'off by':>7}")
    for name, family, work, measure in ROWS:
        foreseen, found = measure(sizes, family, work)
        off = foreseen / found - 1
        print(f"{name:24} {family:8} {foreseen / 1e6:9.1f} {found / 1e6:9.1f} {off:+7.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
