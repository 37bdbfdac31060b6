"""How well models foresee stories that none of them was trained on, in nats per character.

    python tools/weigh_storyteller.py TEXT MODEL [MODEL ...]

From every "Once upon a time" of TEXT the first 600 characters, cut back to the end of a sentence.
Models with other tokenizers can be compared, because the sum of a story's negative log-likelihood
is divided by its characters, not by its tokens.  Paragraphs are parted by one line break.
"""

import re
import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer

from accord.data.rows import pad
from accord.engine.roles import Policy

LONGEST = 600


def excerpts(text: str) -> list[str]:
    """The beginnings of stories."""
    starts = [found.start() for found in re.finditer("Once upon a time", text)]
    found = []
    for start in starts:
        piece = re.sub(r"\n+", "\n", text[start : start + LONGEST])
        found.append(piece[: piece.rfind(".") + 1])
    return [piece for piece in found if len(piece) > LONGEST / 2]


def weigh(folder: str, stories: list[str]) -> float:
    """Nats per character, from the beginning-of-sequence token on."""
    policy, spell = Policy.open(folder), AutoTokenizer.from_pretrained(folder)
    begin = (spell.bos_token_id,)
    rows = [tuple(i for i in spell(s)["input_ids"] if i != begin[0]) for s in stories]
    with torch.inference_mode():
        logp = policy.logp(pad([begin] * len(rows), rows))
    return float(-logp.double().sum()) / sum(map(len, stories))


def main(text: str, *folders: str) -> None:
    """One line per model."""
    stories = excerpts(Path(text).read_text(encoding="utf-8"))
    print(f"{len(stories)} beginnings, {sum(map(len, stories))} characters")
    for folder in folders:
        print(f"{weigh(folder, stories):.4f} nats per character  {Path(folder).name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
