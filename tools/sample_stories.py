"""Sample the text the storyteller is trained on, with Accord's own sampler.

    python tools/sample_stories.py TEACHER OUT shards=0:12

Writes OUT/00000.jsonl ... of 2,048 stories each: {"text": ..., "ended": true|false}.  Shard i is a
pure function of the teacher and i, and a shard that exists is not made again: stop it and start it
as you like, or let two processes share the work (shards=0:6, shards=6:12).
"""

import json
import sys
import time
from pathlib import Path

from transformers import AutoTokenizer

from accord.engine.draw import Sampling
from accord.engine.sampler import Sampler, requests
from accord.models.load import load
from accord.models.trunk import Trunk

STORIES, LONGEST = 2048, 250
BEGIN, END = 1, 2
HOW = Sampling(temperature=0.8)
"""below 1: fewer of the teacher's slips, and a plainer style that a small pupil can hold"""


def main(teacher: str, out: str, shards: str) -> None:
    """Fill the folder, one shard at a time."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    spell = AutoTokenizer.from_pretrained(teacher)
    sampler = Sampler(Trunk(load(teacher, dtype="bf16")), None, frozenset({BEGIN, END}), slots=256)
    first, _, end = shards.removeprefix("shards=").partition(":")
    for shard in range(int(first), int(end)):
        file = folder / f"{shard:05d}.jsonl"
        if file.exists():
            continue
        start = time.time()
        asked = requests([(BEGIN,)], [f"story/{shard}"], n=STORIES, seed=shard, limit=1)
        told = sampler.run(asked, HOW, longest=LONGEST)
        lines = []
        for story in told:
            ended = story.finish == "stop"
            ids = story.response_ids[:-1] if ended else story.response_ids
            lines.append(json.dumps({"text": spell.decode(ids).strip(), "ended": ended}) + "\n")
        part = file.with_suffix(".part")
        part.write_text("".join(lines))
        part.rename(file)
        tokens = sum(len(story.response_ids) for story in told)
        print(f"{file.name}: {tokens / (time.time() - start):.0f} tokens/s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
