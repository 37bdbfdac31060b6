"""Files to try presets on: sentences of film reviews that people rated (Hutto & Gilbert 2014, MIT).

    python tools/film_sentences.py hutto_ICWSM_2014.tar.gz OUT

Some 19 people (15 to 29) rated each sentence from -4 (bad) to 4 (good).  A prompt is how a sentence
begins, an answer how it goes on, and of two answers to one prompt the higher rated is better:

    films.jsonl    sentences whose first two words are the prompt, as demonstrations
    pairs.jsonl    pairs that share two words, rated 0.3 and more apart, with Llama 2's margins
    fours.jsonl    the best of four that share a word
    ranked.jsonl   rankings of four to nine that share a word
    ask.jsonl      2,000 prompts of two words
"""

import json
import random
import sys
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

MEMBER = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


class Answer(NamedTuple):
    """The rest of a sentence."""

    rating: float
    text: str
    id: str


def read(archive: Path) -> list[tuple[str, float, list[str]]]:
    """(id, mean rating, words) of every sentence that can be read."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(MEMBER)
        assert file is not None, MEMBER
        text = file.read().decode(errors="replace")
    rows = [line.split("\t", 2) for line in text.split("\n") if line]
    return [
        (name, float(rating), said.replace("''", '"').strip().split(" "))
        for name, rating, said in rows
        if "\ufffd" not in said
    ]


def groups(rows: list[tuple[str, float, list[str]]], words: int) -> dict[str, list[Answer]]:
    """The sentences of six words and more, by how they begin."""
    found: dict[str, list[Answer]] = defaultdict(list)
    for name, rating, said in rows:
        if len(said) >= 6:
            rest = " " + " ".join(said[words:])
            found[" ".join(said[:words])].append(Answer(rating, rest, name))
    return found


def pair(prompt: str, a: Answer, b: Answer) -> dict[str, object]:
    """A comparison; the margin is 1, 2/3, 1/3 or 0 by how far apart the ratings are."""
    better, worse = (b, a) if a.rating < b.rating else (a, b)
    gap = better.rating - worse.rating
    return {
        "id": f"{better.id}-{worse.id}",
        "prompt": prompt,
        "chosen": better.text,
        "rejected": worse.text,
        "margin": round(sum(gap > step for step in (1, 2, 3)) / 3, 4),
    }


def ranking(prompt: str, few: list[Answer], kind: str) -> dict[str, object]:
    """The answers with their places: of `f`ours the best alone has one of its own."""
    order = sorted({a.rating for a in few}, reverse=True)
    best = max(range(len(few)), key=lambda i: few[i].rating)
    ranks = [order.index(a.rating) if kind == "r" else int(i != best) for i, a in enumerate(few)]
    texts = [a.text for a in few]
    return {"id": kind + few[0].id, "prompt": prompt, "responses": texts, "ranks": ranks}


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(path, len(rows))


def main(archive: Path, out: Path) -> None:
    """All files."""
    out.mkdir(parents=True, exist_ok=True)
    dice, rows = random.Random(0), read(archive)
    two, one = groups(rows, 2), groups(rows, 1)
    films: list[dict[str, object]] = [
        {"id": a.id, "prompt": prompt, "response": a.text} for prompt in two for a in two[prompt]
    ]
    films.sort(key=lambda row: int(str(row["id"])))
    dice.shuffle(films)
    pairs, fours, ranked = [], [], []
    for prompt, few in sorted((p, f) for p, f in two.items() if len(f) > 1):
        dice.shuffle(few)
        near = zip(few, few[1:] + few[:1], strict=True) if len(few) > 2 else [(few[0], few[1])]
        pairs += [pair(prompt, a, b) for a, b in near if abs(a.rating - b.rating) >= 0.3]
    for prompt, few in sorted((p, f) for p, f in one.items() if len(f) >= 4):
        dice.shuffle(few)
        fours += [ranking(prompt, few[n : n + 4], "f") for n in range(0, len(few) - 3, 4)]
        n = 0
        while len(few) - n >= 4:
            some = few[n : n + dice.randint(4, 9)]
            n += len(some)
            ranked.append(ranking(prompt, some, "r"))
    for rest in (pairs, fours, ranked):
        dice.shuffle(rest)
    asked = sorted(two)
    dice.shuffle(asked)
    made = {"films": films, "pairs": pairs, "fours": fours, "ranked": ranked}
    for name, some_rows in made.items():
        write(out / f"{name}.jsonl", some_rows)
    write(out / "ask.jsonl", [{"prompt": prompt} for prompt in asked[:2000]])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
