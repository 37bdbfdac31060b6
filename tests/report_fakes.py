"""A demo that never ran, in numbers that could have come from one."""

import math
import random
import re
from collections.abc import Sequence
from typing import Any

from accord.evaluate.outcome import Answer, Outcome, compare
from accord.evaluate.report import Command, File, Judge, Report, Stage, pick
from accord.evaluate.tell import Subject

ANIMAL = re.compile(r"\b(?:dog|cat|bird|frog|bunny|duck)s?\b", re.IGNORECASE)
STORIES = Subject(
    "story",
    "stories",
    "openings",
    "the rule",
    "an animal appears, and it ends in time",
    same="The same beginning, continued",
)
_OPENINGS = (
    "Once upon a time, there was a little girl named Lily. Lily loved to play outside.",
    "One day, Tom went to the beach with his mom.",
    "Once upon a time, there was a boy named Ben. Ben found a shiny box.",
    "One day, Anna went to the garden with her best friend.",
)
_BEFORE = (
    "She had a big red ball and she liked to throw it up high. One day, her mom said, “Lily, "
    "it is time to go home.” But Lily did not want to go home. She said, “Please, mom, can I "
    "play a little more?” Her mom said yes, and Lily ran to the big tree and she saw a shiny "
    "thing on the ground and",
    "They saw the big waves and the soft sand. Tom wanted to build a castle. He took his "
    "bucket and filled it with sand. He made a tall tower. Then a big wave came, and the "
    "tower was gone. Tom was sad. His mom gave him a hug and said, “We can build it again.” "
    "They lived happily ever after.",
    "He did not know what was inside. He shook the box and it made a sound. He asked his dad "
    "to open it for him. His dad said, “It is not our box, Ben. We have to find out who lost "
    "it.” So they",
)
_AFTER = (
    "One day, she saw a little dog in the garden. The dog was sad because he had lost his "
    "ball. Lily helped the dog to look for it. They looked under the tree and found it there. "
    "The dog was so happy that he wagged his tail. Lily and the dog became good friends.  The "
    "end.",
    "They saw a small bird on the sand. The bird could not fly because its wing was hurt. Tom "
    "gave it some water, and his mom wrapped the wing. After some days the bird was well "
    "again, and it sang for Tom every morning.",
    "Inside the box there was a green frog! “Hello,” said the frog. “Thank you for letting me "
    "out.” Ben laughed. He took the frog to the pond, and the frog jumped into the water with "
    "a big splash.",
)


def history(steps: int = 60, *, turn: float = math.inf, seed: int = 0) -> list[dict[str, Any]]:
    """What PPO logs; the true rule turns down after `turn`, a share of the steps."""
    rng, rows = random.Random(seed), []
    for step in range(steps):
        far = 1 - math.exp(-4 * step / steps)
        late = max(0.0, step / steps - turn)
        row: dict[str, Any] = {
            "step": step,
            "objective/scores": -0.1 + 1.9 * far + rng.gauss(0, 0.13),
            "eval/true": 0.36 + 0.4 * far - 1.1 * late + rng.gauss(0, 0.025),
            "objective/kl": 13 * far + 40 * late + rng.gauss(0, 0.5),
            "completions/mean_length": 118 - 28 * far + rng.gauss(0, 3),
            "completions/clipped_ratio": min(1.0, max(0.0, 0.62 - 0.5 * far + rng.gauss(0, 0.04))),
            "objective/entropy": 1.9 - 0.6 * far + rng.gauss(0, 0.04),
            "policy/clipfrac": max(0.0, 0.05 + 0.06 * far + rng.gauss(0, 0.012)),
            "val/error": 0.4 * math.exp(-5 * step / steps) + 0.12 + abs(rng.gauss(0, 0.02)),
        }
        if step % 5:
            row["eval/other"] = None
        rows.append(row)
    return rows


def answers(
    true: float, learned: float, texts: Sequence[str], seed: int, n: int = 200
) -> list[Answer]:
    """`n` answers, each of the rule's two halves kept with about this chance."""
    rng = random.Random(f"answers/{seed}")
    made, words = [], " ".join(texts).split()
    for i in range(n):
        ended = rng.random() < true
        score = 0.5 * ended + 0.5 * (rng.random() < true)
        made.append(
            Answer(
                prompt=_OPENINGS[i % len(_OPENINGS)],
                text=texts[i % len(texts)] if i < 8 else " ".join(rng.choices(words, k=60)),
                ended=ended,
                length=rng.randint(60, 128 if ended else 129),
                true=score,
                learned=learned + 2.1 * (score - true) + rng.gauss(0, 0.6),
            )
        )
    return made


def outcome(true: float = 0.79, *, turn: float = math.inf, **more: Any) -> Outcome:
    """Before at 0.38, after at `true`."""
    before, after = answers(0.38, 0.0, _BEFORE, 1), answers(true, 1.7, _AFTER, 2)
    return compare(before, after, history(turn=turn), **more)


METHOD = {
    "Policy optimisation": {"steps": 60, "batch": 64, "kl": "AdaptiveKL", "lr": 3e-5},
    "Reward model": {"loss": "BradleyTerry", "epochs": 1.0, "lr": 1e-4},
    "The model": {
        "parameters": "3.1 million",
        "licence": "Apache-2.0",
        "data": "TinyStories",
    },
    "Versions": {"accord": "0.1.0", "torch": "2.13.0", "python": "3.11.2", "seed": 0},
}


def report(**more: Any) -> Report:
    """All sections filled."""
    before, after = answers(0.38, 0.0, _BEFORE, 1), answers(0.79, 1.7, _AFTER, 2)
    given: dict[str, Any] = {
        "title": "A storyteller learns to end its stories with an animal in them",
        "subtitle": "Preference: an animal appears, and the story ends in time. "
        "Model: the storyteller that ships with Accord, 3.1 million parameters.",
        "outcome": compare(before, after, history(), kl_target=12.0),
        "subject": STORIES,
        "notes": (
            "The three annotators are simulated: programs that follow the rule most of the time.",
        ),
        "stages": (
            Stage("Sample", "Two stories for each of 200 openings, from the model as it is.", 21.4),
            Stage("Judge", "600 judgements by three annotators, 74 of them ties.", 0.3),
            Stage("Learn the reward", "From 474 comparisons; 52 were kept aside to test it.", 74),
            Stage("Train", "60 steps of PPO with 64 stories each.", 171),
            Stage("Measure", "Both models answered 200 other openings.", 25),
        ),
        "history": history(),
        "stories": pick(before, after, 5),
        "highlight": ANIMAL,
        "panel": (
            Judge("simulated:ada", 0.95, 200, 31, 0.97, 0.78),
            Judge("simulated:ben", 0.8, 200, 26, 0.9, 0.74),
            Judge("simulated:cleo", 0.6, 200, 17, 0.79, float("nan")),
        ),
        "reward_model": {
            "accuracy": 0.81,
            "calibration_error": 0.046,
            "margin": 1.32,
            "longer_preferred": 0.39,
            "length_correlation": -0.21,
            "score_mean": 0.0,
        },
        "files": (
            File(
                "runs/demo/policy", "The trained model, a Hugging Face folder", "7ac01be4419f00aa"
            ),
            File("runs/demo/reward", "The reward model", "09b1ee7210cd22"),
            File("runs/demo/comparisons.jsonl", "What the annotators said", "d41a73f07ab1"),
            File("runs/demo/ppo/metrics.jsonl", "The numbers behind the curves"),
        ),
        "next": (
            Command("accord demo prompt='One day, Mia saw a'", "Let the two models go on from it."),
            Command(
                "accord demo out=runs/cheap kl=0.01", "Make distance cheap, and see what breaks."
            ),
        ),
        "method": METHOD,
        "seconds": 292.0,
        "made": "Made 24 November 2026 by Accord 0.1.0",
    }
    return Report(**(given | more))
