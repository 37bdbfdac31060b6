"""What all sides of the bench work on: a model of six million parameters, and texts of real length.

    python benchmarks/stuff.py FOLDER [large]

`even/` is a Llama with random weights (6 layers of width 256, 4,096 pieces, tied) that hardly
ever ends an answer; `uneven/` is the same after a minute of imitation, so that its answers end like
the texts do.  The texts are the shipped storyteller's, cut at log-normal lengths (mean about 50
tokens, at most 128) and ended.  Both models carry the storyteller's tokenizer.  Ids are written to
JSON, so every side trains on the same tokens.
"""

import json
import random
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import accord
from accord.data.comparisons import Spelled
from accord.demo.openings import openings
from accord.demo.show import SHIPPED
from accord.recipes.sft import SFT, train
from accord.records import ask

LONGEST = 128
"""tokens of an answer"""
PROMPTS = 480


SMALL = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
}
"""six million parameters"""
LARGE = {
    "hidden_size": 768,
    "intermediate_size": 2560,
    "num_hidden_layers": 16,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "max_position_embeddings": 1024,
}
"""135 million parameters"""


def model(**sizes: int) -> LlamaForCausalLM:
    """Random parameters."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4096, tie_word_embeddings=True, bos_token_id=0, eos_token_id=1, **sizes
    )
    return LlamaForCausalLM(config)


def lengths(count: int, seed: int) -> list[int]:
    """Log-normal, median 42, sigma 0.6, from 4 to LONGEST."""
    draw = random.Random(f"lengths/{seed}")
    return [min(LONGEST, max(4, round(draw.lognormvariate(3.74, 0.6)))) for _ in range(count)]


def texts(policy: accord.Policy) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Prompts, and two answers to each, all as ids; an answer ends with the end."""
    first = [p.messages[0].text for p in openings(PROMPTS)]
    second = [p.messages[0].text for p in openings(PROMPTS, seed=1)]
    told = [f"{a} {b}" for a, b in zip(first, second, strict=True)]
    asked = [policy.speller.prompt_ids(ask(text)) for text in told]
    said = policy.sample(asked, n=2, longest=LONGEST, seed=0)
    cut = lengths(len(said), 0)
    whole = [
        [*[i for i in r.response_ids if i not in policy.speller.ends][: n - 1], policy.speller.end]
        for r, n in zip(said, cut, strict=True)
    ]
    return [list(p) for p in asked], [whole[i : i + 2] for i in range(0, len(whole), 2)]


def make(folder: Path) -> None:
    """Everything, once."""
    teller = accord.Policy.open(SHIPPED, slots=256)
    prompts, pairs = texts(teller)
    fresh = model(**SMALL)
    for name in ("even", "uneven"):
        fresh.save_pretrained(folder / name)
        teller.speller.save(folder / name)
    rows = [
        Spelled(tuple(p), (tuple(a[0]),), (0,), None, None, "")
        for p, a in zip(prompts, pairs, strict=True)
    ]
    start = accord.Policy.open(folder / "uneven")
    taught = train(SFT(epochs=6, batch=16, lr=1e-3), accord.Run(), start, rows)
    taught.export(folder / "uneven")
    told = {"prompts": prompts, "pairs": pairs, "end": teller.speller.end}
    (folder / "data.json").write_text(json.dumps(told))


def make_large(folder: Path) -> None:
    """For footprint.py: `large/` learns nothing, and long.json holds rows of 1,024 random ids."""
    model(**LARGE).save_pretrained(folder / "large")
    speller = accord.Policy.open(SHIPPED, slots=256).speller
    speller.save(folder / "large")
    draw = random.Random(0)
    half = [[draw.randrange(3, 4000) for _ in range(512)] for _ in range(12)]
    told = {
        "prompts": half[:4],
        "pairs": [half[4 + 2 * i : 6 + 2 * i] for i in range(4)],
        "end": speller.end,
    }
    (folder / "long.json").write_text(json.dumps(told))


if __name__ == "__main__":
    {"small": make, "large": make_large}[[*sys.argv, "small"][2]](Path(sys.argv[1]))
