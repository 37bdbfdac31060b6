"""From clicks to a better policy: simulated people on the real site, over HTTP.

    python benchmarks/exhibits/people.py [--seeds 0 1] [--out FILE.json]

The storyteller answers, four people judge pairs on the pages of the site (they like animals; one
is careless, one leans to the left), a reward model learns from soft labels, PPO follows it.  Does
the policy get more of what they truly like, and are the careless and the leaning found out?
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from accord.config import read_each
from accord.data.sources import write
from accord.demo.find import SHIPPED
from accord.demo.openings import openings
from accord.demo.rule import names_animal
from accord.engine.roles import Policy
from accord.recipes.common import spell_prompts
from accord.recipes.job import Desk
from accord.recipes.stage import room_for
from accord.shows import load
from accord.store.judgements import agreement, progress, studies
from accord.store.judgements.opening import open_store
from accord.verbs import VERBS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from visitors import Person, crowd

LONGEST, PROMPTS, TESTS = 48, 60, 100
PEOPLE = {"ada": (0.2, 0.0), "ben": (0.2, 0.0), "cleo": (2.0, 0.0), "dan": (0.2, 0.7)}
"""name -> (noise on what a text is worth, lean to the left); an animal is worth 1"""


def likes(noise: float, seed: str) -> Callable[[str], float]:
    """What one person thinks of a text, now."""
    rng = random.Random(seed)
    return lambda text: float(names_animal(text)) + rng.gauss(0, noise)


def do(verb: str, *words: str) -> Any:
    """A command, in this process."""
    classes = VERBS[verb].classes()
    return load(VERBS[verb].work)(Desk((), tell), *read_each(classes, None, words))


def tell(said: str) -> None:
    """To whoever watches."""
    print(f"  {said}", flush=True)


def truth(folder: Path, seed: int) -> float:
    """Share of answers with an animal, to prompts nobody learned from."""
    policy = Policy.open(folder)
    prompts = openings(PROMPTS + TESTS, seed)[PROMPTS:]
    asked, _ = spell_prompts(prompts, policy.speller, room_for(LONGEST, policy))
    said = policy.sample([one.ids for one in asked], n=2, longest=LONGEST, seed=-1)
    return sum(names_animal(policy.speller.text(one)) for one in said) / len(said)


def once(out: Path, seed: int) -> dict[str, Any]:
    """The whole way with one seed."""
    write(out / "ask.jsonl", openings(PROMPTS, seed))
    where = f"{out / 'accord.db'}#stories"
    do(
        "label", f"data={out / 'ask.jsonl'}", f"model={SHIPPED}", f"study={where}", "site=false",
        f"out={out / 'label'}", "n=4", f"longest={LONGEST}", "choose.per_prompt=3", "overlap=2",
        "question=Which is the better way on?", f"seed={seed}", "shortest_s=0",
    )  # fmt: skip
    store = open_store(out / "accord.db")
    study = studies.study(store, "stories").id
    begun = time.monotonic()
    persons = {
        name: Person(likes(noise, f"{name}/{seed}"), lean) for name, (noise, lean) in PEOPLE.items()
    }
    with crowd(store, study, persons, out):
        pass
    seconds = time.monotonic() - begun
    made = do(
        "reward", f"model={SHIPPED}", f"data={where}", f"out={out / 'reward'}", "epochs=3",
        "batch=16", "lr=3e-4", "held_out=0.15", "judged.labels=soft", "judged.ties=half",
        f"seed={seed}",
    )  # fmt: skip
    do(
        "ppo", f"model={SHIPPED}", f"prompts={where}", f"reward={made.artifact.folder}",
        f"out={out / 'ppo'}", "steps=12", "batch=32", f"longest={LONGEST}", "epochs=2", "lr=2e-4",
        "lr_critic=5e-4", "kl.beta=0.05", f"seed={seed}",
    )  # fmt: skip
    found, rows = agreement.report(store, study), progress.annotators(store, study)
    told = {
        "seed": seed,
        "judgements": sum(one.count for one in rows),
        "judging_seconds": round(seconds, 1),
        "alpha": found.alpha,
        "reward_accuracy": made.numbers.get("accuracy"),
        "before": truth(SHIPPED, seed),
        "after": truth(out / "ppo" / "policy", seed),
        "people": {
            one.user.name: {"n": one.count, "agreement": one.agreement, "left": one.left_share}
            for one in rows
        },
    }
    store.close()
    return told


def main() -> None:
    """Every seed, and a table."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    ask.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    ask.add_argument("--out", type=Path)
    args = ask.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in args.seeds:
        folder = Path(tempfile.mkdtemp())
        rows.append(once(folder, seed))
        shutil.rmtree(folder)
        print(json.dumps(rows[-1], default=str), flush=True)
        if args.out:
            args.out.write_text(json.dumps(rows, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
