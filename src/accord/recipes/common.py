"""What several recipes say in the same words."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from accord.data.rows import Rows
from accord.data.tally import Tally
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.errors import BadData
from accord.evaluate.winrate import number
from accord.maths.control import AdaptiveKL, FixedKL
from accord.records import Ids, Prompt, Rollout
from accord.rewards.base import Reward
from accord.store.run import Run
from accord.text.tokenizer import Speller

R = TypeVar("R", bound=Rows)


@dataclass(frozen=True)
class Asked:
    """A prompt as a sampler wants it."""

    id: str
    ids: Ids


def spell_prompts(
    prompts: Sequence[Prompt], speller: Speller, room: int
) -> tuple[list[Asked], Tally]:
    """Prompts as ids; those longer than `room` tokens are dropped and counted, never cut."""
    tally, asked = Tally(), []
    for index, prompt in enumerate(prompts):
        name = prompt.id or str(index)
        try:
            ids = speller.prompt_ids(prompt.messages)
        except BadData as error:
            tally.drop("cannot be spelled", f"prompt {name!r}: {error}")
            continue
        if len(ids) > room:
            tally.drop(f"prompt over {room} tokens", f"prompt {name!r}: {len(ids)} tokens")
            continue
        tally.keep()
        asked.append(Asked(name, ids))
    return asked, tally


class KLPrice:
    """The KL coefficient as a part that a run keeps: it remembers what it has learned."""

    def __init__(self, rule: FixedKL | AdaptiveKL):
        self.rule, self.beta = rule, rule.beta
        self.kept = False

    def learn(self, kl: float, answers: int) -> None:
        """Move the price by one step's KL: the mean over answers of the sum over tokens, nats."""
        self.beta = self.rule.next(self.beta, kl, answers)

    def save(self, folder: Path) -> None:
        """One number."""
        (folder / "kl.json").write_text(json.dumps({"beta": self.beta}))

    def load(self, folder: Path) -> None:
        """One number."""
        self.beta = json.loads((folder / "kl.json").read_text())["beta"]


def minibatches(rows: R, epochs: int, count: int, *, seed: int) -> Iterator[R]:
    """`count` minibatches per epoch, from a fresh permutation of the rows each time.

    Their sizes differ by one at most; there are fewer only where there are fewer rows.
    """
    rng = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(len(rows), generator=rng)
        for index in order.tensor_split(min(count, len(rows))):
            yield rows.take(index)


def obtain(
    run: Run,
    policy: Policy,
    asked: Sequence[Asked],
    step: int,
    how: Sampling,
    *,
    longest: int,
    seed: int,
) -> list[Rollout]:
    """One answer to each prompt of a step, named by step and place: its dice do not depend on what
    a prompt, or the file it came from, is called.
    """
    return policy.sample(
        [a.ids for a in asked],
        longest=longest,
        seed=seed,
        how=how,
        names=[f"{step}.{place}" for place in range(len(asked))],
        watch=run.tick,
    )


def objective(
    rollouts: Sequence[Rollout], score_B: Tensor, kl_B: Tensor, beta: float
) -> dict[str, float]:
    """What a step's answers are worth; KL in nats per answer, summed over its tokens."""
    return {
        "objective/kl": float(kl_B.mean()),
        "objective/kl_coef": beta,
        "objective/scores": float(score_B.mean()),
        "objective/scores_std": float(score_B.std(correction=0)),
        "objective/non_score_reward": float(-beta * kl_B.mean()),
        "objective/rlhf_reward": float((score_B - beta * kl_B).mean()),
        "completions/mean_length": means([len(r.response_ids) for r in rollouts]),
        "completions/clipped_ratio": means([r.finish == "length" for r in rollouts]),
    }


def watched(gold: Reward | None, rollouts: Sequence[Rollout]) -> dict[str, float]:
    """What `gold` thinks of a step's answers, and of how many it could not say anything."""
    if gold is None:
        return {}
    scores = [number(score) for score in gold(rollouts)]
    known = [score for score in scores if score is not None]
    lost = {"eval/true_invalid": 1 - len(known) / len(scores)} if len(known) < len(scores) else {}
    return lost | ({"eval/true": means(known)} if known else {})


def means(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return math.fsum(values) / len(values)


def excerpt(
    speller: Speller, rollouts: Sequence[Rollout], scores: Sequence[float], most: int = 8
) -> list[dict[str, object]]:
    """A few answers of a step, for people to read."""
    return [
        {
            "id": rollout.id,
            "prompt": speller.decode(rollout.prompt_ids),
            "response": speller.text(rollout),
            "score": score,
            "finish": rollout.finish,
        }
        for rollout, score in list(zip(rollouts, scores, strict=True))[:most]
    ]
