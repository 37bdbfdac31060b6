"""Make the storyteller that the package ships, from text that `sample_stories.py` wrote.

    python tools/train_storyteller.py SHARDS OUT epochs=4

Trains a tokenizer and a small Llama from scratch with Accord's own `sft` recipe (a run that
resumes), and writes OUT/model: a plain Hugging Face folder in fp16.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from accord.data.comparisons import Spelled
from accord.engine.learner import Optimizer
from accord.engine.roles import Policy
from accord.maths.control import Cosine
from accord.models import load as folders
from accord.recipes import sft
from accord.store.run import Run

BEGIN, END, VOCAB, HELD_OUT = "<|begin|>", "<|end|>", 4096, 400
KNOWN = 5
"""stories that must share a word"""


def read(shards: Path) -> list[dict]:
    """All stories, each once, without those that use a word hardly any other story uses.

    A pupil this small becomes fluent by knowing few words well (Eldan & Li 2023, TinyStories).
    """
    told: dict[str, dict] = {}
    for file in sorted(shards.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            story = json.loads(line)
            if len(story["text"]) > 100 and story["text"].isascii():
                told.setdefault(story["text"], story)
    words = {text: set(re.findall(r"[A-Za-z']+", text)) for text in told}
    known = Counter(word for used in words.values() for word in used)
    return [s for s in told.values() if all(known[w] >= KNOWN for w in words[s["text"]])]


def tokenizer(stories: list[dict], folder: Path) -> None:
    """Byte-level BPE over the stories."""
    spell = Tokenizer(models.BPE())
    spell.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    spell.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=[BEGIN, END], initial_alphabet=alphabet
    )
    spell.train_from_iterator((s["text"] for s in stories), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=spell, bos_token=BEGIN, eos_token=END)
    fast.save_pretrained(folder)


def newborn(folder: Path) -> None:
    """The untrained model: a pure function of the seed."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def spelled(stories: list[dict], policy: Policy) -> list[Spelled]:
    """Begin, the story, and the end where it has one."""
    fast = PreTrainedTokenizerFast.from_pretrained(policy.model.trunk.source)
    ids = fast([s["text"] for s in stories], add_special_tokens=False)["input_ids"]
    rows = []
    for index, (story, answer) in enumerate(zip(stories, ids, strict=True)):
        answer = (*answer, 1) if story["ended"] else tuple(answer)
        rows.append(Spelled((0,), (answer,), (0,), None, None, f"story/{index}"))
    return rows


def main(shards: str, out: str, epochs: str) -> None:
    """Tokenizer, newborn, training, export."""
    folder = Path(out)
    stories = read(Path(shards))
    if not (folder / "newborn" / "config.json").exists():
        newborn(folder / "newborn")
        tokenizer(stories, folder / "newborn")
    start = Policy.open(folder / "newborn", dtype="bf16")
    rows = spelled(stories, start)
    print(f"{len(rows)} stories, {sum(len(r.response_ids[0]) for r in rows)} tokens", flush=True)
    cfg = sft.SFT(
        epochs=float(epochs.removeprefix("epochs=")),
        batch=24,
        lr=3e-3,
        schedule=Cosine(warmup=100, floor=0.02),
        optimizer=Optimizer(betas=(0.9, 0.98), weight_decay=0.1),
        measure_every=100,
    )
    run = Run(folder / "run", save_every=50)
    policy = sft.train(cfg, run, start, rows[HELD_OUT:], rows[:HELD_OUT])
    policy.export(folder / "model")
    folders.save(policy.model.trunk.model, folder / "model", dtype=torch.float16)


if __name__ == "__main__":
    main(*sys.argv[1:])
