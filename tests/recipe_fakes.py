"""A model folder made on the spot, records in its language, and settings that take a second."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from accord.engine.steps import Optimizer
from accord.maths.control import AdaptiveKL
from accord.recipes.pipeline import Pipeline, Records
from accord.recipes.ppo import PPO
from accord.recipes.reward import RewardModel
from accord.recipes.sft import SFT
from accord.records import Comparison, Demonstration, Prompt, ask

BEGIN, END, VOCAB = "<|begin|>", "<|end|>", 290
WHO = ("Lily", "Tom", "the dog", "a cat", "Ben", "the bird", "Anna", "a frog")
DID = ("sat on a mat.", "ran home.", "saw the sun.", "was sad.")


def newborn(folder: Path, *, seed: int = 0) -> Path:
    """An untrained Llama of five thousand weights, with a tokenizer of its own."""
    spell = Tokenizer(models.BPE())
    spell.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    spell.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    spell.train_from_iterator([f"{who} {did}" for who in WHO for did in DID], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=spell, bos_token=BEGIN, eos_token=END)
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def records() -> Records:
    """Judges who like it short, and teachers who like the sun."""
    return Records(
        [Prompt(ask(f"{who} and {other}"), f"{who}+{other}") for who in WHO for other in WHO[:3]],
        [Comparison.pair(ask(who), f" {DID[1]}", f" {DID[0]}", id=who) for who in WHO],
        [Demonstration(ask(who), f" {DID[2]}", id=who) for who in WHO],
    )


FAST = Optimizer(micro_tokens=64)
TINY = Pipeline(
    sft=SFT(epochs=1, batch=2, lr=1e-3, held_out=0.2, optimizer=FAST),
    reward=RewardModel(epochs=1, batch=2, lr=1e-3, held_out=0.3, optimizer=FAST),
    ppo=PPO(
        steps=3,
        batch=4,
        longest=5,
        epochs=2,
        minibatches=2,
        lr=1e-3,
        lr_critic=1e-3,
        kl=AdaptiveKL(beta=0.1, target=0.5, horizon=50),
        optimizer=FAST,
    ),
    held_out=0.5,
)


def short(rollouts) -> list[float]:
    """The fewer tokens the better."""
    return [float(-len(r.response_ids)) for r in rollouts]
