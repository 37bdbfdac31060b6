"""A small language to translate, with a reference translation of everything: what the exhibits use.

A sentence has LENGTH words of SOURCE; each becomes one of two target words, by the gender of the
word before it.  Demonstrations err in ERRORS of their words: a wrong word, one left out, one twice.
The gold metric is 1 - edit distance / words of the longer: it needs the reference translation, the
learned reward (a reward model on comparisons) does not.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from accord.data.comparisons import Spelled
from accord.data.rows import pad
from accord.engine.draw import Sampling
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.maths.control import Cosine
from accord.models.attention import NAME
from accord.models.heads import Speaker
from accord.models.trunk import Trunk
from accord.recipes import reward, sft
from accord.recipes.common import Asked
from accord.records import Ids, Rollout
from accord.rewards.learned import Learned, judged
from accord.store.run import Run

BEGIN, END, GIVEN = 0, 1, 2  # GIVEN stands between a sentence and its translation
SOURCE, LENGTH, LONGEST = 8, 8, 12
FIRST, TARGET = GIVEN + 1, GIVEN + 1 + SOURCE
VOCAB = TARGET + 2 * SOURCE
ERRORS = 0.4
STEPS = Optimizer(betas=(0.9, 0.95), eps=1e-5, micro_tokens=16384)


class Words:
    """Numbers for ids: as much of a Speller as the recipes ask for."""

    ends = frozenset({END})
    end, pad, vocab = END, 0, VOCAB
    fingerprint = "translation"
    head = (BEGIN,)

    def decode(self, ids: Ids, *, special: bool = False) -> str:
        """Its words, by number."""
        return " ".join(str(i) for i in ids if special or i > GIVEN)

    def text(self, rollout: Rollout) -> str:
        """What was said."""
        return self.decode(rollout.response_ids)


@dataclass(frozen=True)
class Language:
    """Which word becomes which; another language for every seed."""

    seed: int
    word: tuple[tuple[int, int], ...]
    """of each source word, after a word of either gender"""
    gender: tuple[int, ...]

    @classmethod
    def of(cls, seed: int) -> "Language":
        """Drawn."""
        dice = random.Random(f"language/{seed}")
        words = dice.sample(range(TARGET, VOCAB), 2 * SOURCE)
        gender = [i % 2 for i in range(SOURCE)]
        dice.shuffle(gender)
        return cls(seed, tuple(zip(words[::2], words[1::2], strict=True)), tuple(gender))

    def prompts(self, count: int, part: str) -> list[Asked]:
        """Sentences to translate, none twice."""
        dice, found = random.Random(f"sentences/{part}/{self.seed}"), dict[Ids, None]()
        while len(found) < count:
            found[tuple(dice.randrange(SOURCE) + FIRST for _ in range(LENGTH))] = None
        return [Asked(f"{part}/{i}", (BEGIN, *ids, GIVEN)) for i, ids in enumerate(found)]

    def right(self, prompt: Ids) -> Ids:
        """The reference translation, without its end."""
        words = [i - FIRST for i in prompt[1:-1]]
        before = [0, *(self.gender[w] for w in words)]
        return tuple(self.word[w][g] for w, g in zip(words, before, strict=False))

    def shown(self, asked: Sequence[Asked]) -> list[Spelled]:
        """Demonstrations, with their errors."""
        dice, rows = random.Random(f"errors/{self.seed}"), []
        for one in asked:
            said: list[int] = []
            for word in self.right(one.ids):
                kind = dice.random() / ERRORS
                if kind < 0.6:
                    said.append(dice.randrange(TARGET, VOCAB))
                elif kind < 0.8:
                    said += [word, word]
                elif kind >= 1:
                    said.append(word)
            answer = (*said[: LONGEST - 1], END)
            rows.append(Spelled(one.ids, (answer,), (0,), None, None, one.id))
        return rows

    def gold(self, rollouts: Sequence[Rollout]) -> list[float]:
        """The gold metric: 1 is the reference translation."""
        return [similar(self.said(r), self.right(r.prompt_ids)) for r in rollouts]

    @staticmethod
    def said(rollout: Rollout) -> Ids:
        """Without the end; every id before it counts."""
        ids = rollout.response_ids
        return ids[:-1] if ids[-1:] == (END,) else ids


def similar(said: Ids, right: Ids) -> float:
    """1 - edit distance (Levenshtein) / words of the longer."""
    row = list(range(len(right) + 1))
    for i, word in enumerate(said, 1):
        above, row = row, [i]
        for j, other in enumerate(right, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (word != other)))
    return 1 - row[-1] / max(len(said), len(right), 1)


def novice(seed: int) -> Policy:
    """A model that knows nothing: 2 layers of width 64."""
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        initializer_range=0.05,
        attn_implementation=NAME,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.eval().requires_grad_(False)
    return Policy(Speaker(Trunk(model, "translation"), None), Words())


def cloned(demonstrations: Sequence[Spelled], seed: int, epochs: float = 12) -> Policy:
    """The policy that imitates the demonstrations, errors and all (BC)."""
    cfg = sft.SFT(epochs=epochs, batch=64, lr=3e-3, optimizer=STEPS)
    return sft.train(cfg, Run(), novice(seed), demonstrations, seed=seed)


def compared(
    language: Language, policy: Policy, asked: Sequence[Asked], noise: float, temperature: float
) -> list[Spelled]:
    """Pairs of a policy's translations, the better by gold first, but in `noise` of them last;
    pairs that gold scores alike are left out."""
    seed = language.seed
    said = policy.sample(
        [one.ids for one in asked], n=2, longest=LONGEST, seed=seed + 1000,
        how=Sampling(temperature),
    )  # fmt: skip
    true, dice, rows = language.gold(said), random.Random(f"noise/{seed}"), []
    for place in range(0, len(said), 2):
        if true[place] == true[place + 1]:
            continue
        first = (true[place] > true[place + 1]) != (dice.random() < noise)
        two = tuple(judged(r, END) for r in said[place : place + 2])
        ranks = (0, 1) if first else (1, 0)
        rows.append(Spelled(said[place].prompt_ids, two, ranks, None, None, said[place].id))
    return rows


def judge(
    policy: Policy,
    comparisons: Sequence[Spelled],
    own: Sequence[Rollout],
    seed: int,
    epochs: float,
) -> tuple[Critic, Learned]:
    """A reward model of these comparisons; the policy's `own` answers have mean 0, deviation 1."""
    cfg = reward.RewardModel(
        epochs=epochs, batch=64, lr=1e-3, schedule=Cosine(floor=0.1), optimizer=STEPS
    )
    critic = reward.train(cfg, Run(), Critic.on(policy, seed=seed), comparisons, seed=seed)
    answers = pad([r.prompt_ids for r in own], [judged(r, END) for r in own])
    reward.normalise(critic, answers, "mean-and-std")
    return critic, Learned(critic, policy.speller)


T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
"""Student's t of a 95 % interval, by the number of seeds"""


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean and half a 95 % interval over seeds (Student's t)."""
    if len(values) not in T_95:
        return f"{fmean(values):.{digits}f}"
    half = T_95[len(values)] * stdev(values) / len(values) ** 0.5
    return f"{fmean(values):.{digits}f} ± {half:.{digits}f}"
