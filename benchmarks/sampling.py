"""Answers per second: Accord's sampler beside transformers' generate(), alternating in one run.

    python benchmarks/sampling.py [MODEL] [prompts=64] [n=4] [longest=120] [slots=64] [rounds=5]

Same model, same prompts, same limit, temperature 1, fp32, the threads torch has.  The answers are
different draws of the same distribution, so what is compared is generated tokens per second, up to
the end of each answer.  Medians, and the ratio of medians, are printed; nothing is asserted.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import accord
from accord.demo.openings import openings
from accord.demo.show import SHIPPED
from accord.records import ask


def ours(
    folder: str, texts: list[str], n: int, longest: int, slots: int = 64
) -> Callable[[int], int]:
    """Tokens made in a round by Accord."""
    policy = accord.Policy.open(folder, slots=slots)
    ids = [policy.speller.prompt_ids(ask(text)) for text in texts]

    def play(seed: int) -> int:
        said = policy.sample(ids, n=n, longest=longest, seed=seed)
        return sum(len(r.response_ids) for r in said)

    return play


def theirs(folder: str, texts: list[str], n: int, longest: int) -> Callable[[int], int]:
    """Tokens made in a round by generate(), padding after the end not counted."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    spell = AutoTokenizer.from_pretrained(folder, padding_side="left")
    end = spell.eos_token_id
    rows = [[spell.bos_token_id, *spell(t, add_special_tokens=False)["input_ids"]] for t in texts]
    width = max(map(len, rows))
    ids = torch.tensor([[end] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])

    def play(seed: int) -> int:
        torch.manual_seed(seed)
        said = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            top_k=0,
            max_new_tokens=longest,
            num_return_sequences=n,
            pad_token_id=end,
            eos_token_id=end,
        )[:, width:]
        ended = (said == end).int()
        return int(((ended.cumsum(1) - ended) == 0).sum())

    return play


def main(*words: str) -> None:
    """Alternate, and print."""
    told = dict(word.split("=") for word in words if "=" in word)
    folder = next((word for word in words if "=" not in word), str(SHIPPED))
    n, longest = int(told.get("n", 4)), int(told.get("longest", 120))
    texts = [p.messages[0].text for p in openings(int(told.get("prompts", 64)))]
    slots = int(told.get("slots", 64))
    sides = {
        "ours": ours(folder, texts, n, longest, slots),
        "theirs": theirs(folder, texts, n, longest),
    }
    pace: dict[str, list[float]] = {name: [] for name in sides}
    for seed in range(int(told.get("rounds", 5)) + 1):
        for name, play in sides.items():
            began = time.perf_counter()
            tokens = play(seed)
            if seed:  # the first round warms up
                pace[name].append(tokens / (time.perf_counter() - began))
    middle = {name: statistics.median(values) for name, values in pace.items()}
    for name, values in pace.items():
        print(f"{name:7} {middle[name]:8.0f} tokens/s  ({min(values):.0f} to {max(values):.0f})")
    where = f"{Path(folder).name}, {len(texts)} prompts x {n}, {slots} slots, longest {longest}"
    ratio = middle["ours"] / middle["theirs"]
    print(f"ratio   {ratio:8.2f}   ({where}, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    main(*sys.argv[1:])
