"""Writes the sample pairs of the site: two ways in which the storyteller goes on from an opening.

python tools/sample_pairs.py
"""

import json
from pathlib import Path

from accord.demo.find import SHIPPED
from accord.demo.openings import openings
from accord.engine.draw import Sampling
from accord.engine.roles import Policy

OUT = Path(__file__).resolve().parents[1] / "src/accord/web/sample/pairs.jsonl"
COUNT, LONGEST, SEED = 40, 160, 7


def main() -> None:
    """Pairs whose stories both come to an end, the first of each opening."""
    policy = Policy.open(SHIPPED)
    asked = openings(COUNT, SEED)
    ids = [policy.speller.prompt_ids(one.messages) for one in asked]
    said = policy.sample(ids, n=4, longest=LONGEST, seed=SEED, how=Sampling(0.8))
    rows = []
    for place, prompt in enumerate(asked):
        texts: dict[str, None] = {}
        for one in said[4 * place : 4 * place + 4]:
            if one.finish == "stop":
                texts[policy.speller.text(one).strip()] = None
        if len(texts) >= 2:
            rows.append({"prompt": prompt.messages[-1].text, "answers": list(texts)[:2]})
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(f"{len(rows)} pairs: {OUT}")


if __name__ == "__main__":
    main()
