"""What several recipes say in the same words."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, TypeVar, overload
from zlib import crc32

import torch
from pydantic import model_validator
from torch import Tensor

from accord.config import Settings
from accord.config.limits import Count
from accord.data.comparisons import Anew, Spelled
from accord.data.rows import Rows
from accord.data.shown import Answer
from accord.data.spool import Picked
from accord.data.stream import Stream
from accord.data.tally import Tally
from accord.engine.average import Average
from accord.engine.draw import Sampling
from accord.engine.roles import Critic, Policy
from accord.errors import BadData, BadSettings
from accord.evaluate.winrate import number
from accord.maths import divergence
from accord.maths.advantages import whiten
from accord.maths.control import AdaptiveKL, FixedKL
from accord.records import Ids, Prompt, Rollout
from accord.rewards.base import Reward, valid
from accord.rewards.ending import Ending, ended, heard
from accord.store.run import Run
from accord.text.tokenizer import Speller

R = TypeVar("R", bound=Rows)


class Passes(Settings):
    """A step's answers, and how often and in how many pieces they are learned from."""

    batch: Count = 64
    """answers per step, one to each prompt"""
    epochs: Count = 4
    """passes over each step's answers"""
    minibatches: Count = 1
    """optimizer steps per pass; at most one per answer"""

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.minibatches > self.batch:
            raise ValueError(
                f"minibatches={self.minibatches} of batch={self.batch} answers: at most one each"
            )
        return self


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


class Named(Sequence[Spelled]):
    """The same rows, each with a name of its own: its id, or its place where it has none.

    Rows on disk stay there.
    """

    def __init__(self, rows: Sequence[Spelled]):
        count = Counter(row.id for row in rows)
        self._rows, self._shared = rows, {name for name, n in count.items() if n > 1 or not name}

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Spelled: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Spelled]: ...
    def __getitem__(self, place: int | slice) -> Spelled | Sequence[Spelled]:
        if isinstance(place, slice):
            return Picked(self, range(len(self))[place])
        row, place = self._rows[place], range(len(self))[place]
        return replace(row, id=f"{row.id}#{place}") if row.id in self._shared else row


def enter(
    run: Run, stream: Stream[Spelled], step: int, anew: Anew | None = None
) -> Sequence[Spelled]:
    """The rows of a step, entered in the ledger as learned from in the epoch that each belongs to,
    and laid as that epoch shows them.

    A step may reach across epochs, and every row comes once in each.
    """
    few, epochs = stream.at(step), stream.epochs(step)
    for epoch in dict.fromkeys(epochs):
        here = [row for row, its in zip(few, epochs, strict=True) if its == epoch]
        run.ledger.note(step, here, epoch=epoch)
    return anew(few, epochs) if anew else few


def foreseer(how: str, start: Policy, judge: Critic) -> Critic:
    """What a value function begins as: the judge; its trunk, or the policy's, with a zero head."""
    if how == "reward" and judge.shown == Answer():
        return judge
    if how == "reward":
        raise BadSettings(
            "the reward model is shown more than the policy's answer, so its head foresees nothing "
            "of it: say critic=trunk, its trunk with a head at zero"
        )
    return (Critic.on(start) if how == "zero" else judge).zeroed()


def averaged(run: Run, policy: Policy, decay: float | None) -> Average[Policy]:
    """The running mean of a policy, kept by the run where there is one."""
    average = Average(policy, decay)
    return run.keep("average", average) if decay else average


def judged(
    rule: Ending | None, speller: Speller, said: Sequence[Rollout], reward: Reward
) -> tuple[list[Rollout], list[float], dict[str, str]]:
    """The answers that can be learned from, their scores after the rule, and why others cannot."""
    known = heard(rule, said, speller)
    known, scores, dropped = valid(known, reward(known))
    return [r for r in said if r.id not in dropped], ended(rule, known, scores), dropped


def charged(
    kl: FixedKL | AdaptiveKL, beta: float, logp_BT: Tensor, ref_BT: Tensor
) -> tuple[Tensor, Tensor]:
    """(kl_BT, price_BT): k1 to be watched, and beta times the estimate that is charged."""
    estimate = getattr(divergence, kl.by)
    return divergence.k1(logp_BT, ref_BT), beta * estimate(logp_BT, ref_BT)


def whitened(
    asked: str, what: Literal["rewards", "advantages"], x_BT: Tensor, mask_BT: Tensor
) -> Tensor:
    """Whitened if that was asked for; rewards keep their mean."""
    wanted = asked in (what, "both")
    return whiten(x_BT, mask_BT, shift_mean=what == "advantages") if wanted else x_BT


def both(policy: dict[str, float], critic: dict[str, float]) -> dict[str, float]:
    """What was seen of an update of each, by names that tell them apart."""
    names = {"loss": "loss/policy_avg", "grad_norm": "policy/grad_norm"}
    seen = {names.get(key, key): value for key, value in policy.items()}
    names = {"loss": "loss/value_avg", "grad_norm": "val/grad_norm"}
    return seen | {names.get(key, key): value for key, value in critic.items()}


def told(seen: Sequence[dict[str, float]]) -> dict[str, float]:
    """The means over a step's updates; of the first, which the sampler's own policy made, the
    ratios' mean and their root mean square distance from 1.
    """
    first = {
        "val/ratio_first": seen[0]["policy/ratio"],
        "val/ratio_first_off": seen[0]["policy/ratio_var"] ** 0.5,
        "policy/updates": float(len(seen)),
    }
    return {key: means([one[key] for one in seen]) for key in seen[0]} | first


def cut(policy: Policy, critic: Critic) -> dict[str, float]:
    """How much of each update is computed at once, by names that tell them apart."""
    return {"policy/micro_tokens": policy.micro_tokens, "val/micro_tokens": critic.micro_tokens}


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
    n: int = 1,
) -> list[Rollout]:
    """n answers to each prompt of a step, named by step and place: their dice do not depend on what
    a prompt, or the file it came from, is called.
    """
    return policy.sample(
        [a.ids for a in asked],
        n=n,
        longest=longest,
        seed=seed,
        how=how,
        names=[f"{step}.{place}" for place in range(len(asked))],
        watch=run.tick,
    )


def objective(
    rollouts: Sequence[Rollout], score_B: Tensor, kl_B: Tensor, price_B: Tensor, beta: float
) -> dict[str, float]:
    """What a step's answers are worth; KL in nats per answer, summed over its tokens.

    `price_B` is what each paid for its KL: beta times it, unless another estimate is charged.
    """
    return {
        "objective/kl": float(kl_B.mean()),
        "objective/kl_coef": beta,
        "objective/scores": float(score_B.mean()),
        "objective/scores_std": float(score_B.std(correction=0)),
        "objective/non_score_reward": float(-price_B.mean()),
        "objective/rlhf_reward": float((score_B - price_B).mean()),
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
    speller: Speller,
    rollouts: Sequence[Rollout],
    scores: Sequence[float],
    kl_B: Sequence[float] | None = None,
    most: int = 8,
) -> list[dict[str, object]]:
    """A few answers of a step, for people to read.

    Up to four to each of the prompts whose sums are lowest: so to the same ones, as often as they
    come again.
    """
    told = list(zip(rollouts, scores, strict=True))
    before: Counter[Ids] = Counter()
    keys = []
    for rollout in rollouts:
        keys.append((before[rollout.prompt_ids] // 4, crc32(repr(rollout.prompt_ids).encode())))
        before[rollout.prompt_ids] += 1
    few = sorted(sorted(range(len(told)), key=keys.__getitem__)[:most])
    return [
        {
            "id": told[i][0].id,
            "prompt": speller.decode(told[i][0].prompt_ids),
            "response": speller.text(told[i][0]),
            "score": told[i][1],
            **({} if kl_B is None else {"kl": float(kl_B[i])}),
            "finish": told[i][0].finish,
        }
        for i in few
    ]
