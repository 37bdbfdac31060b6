"""Accord's side: the real recipes, with a run on disk, told to wait between two steps.

python benchmarks/ours.py TASK FOLDER key=value ...
"""

import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from pace import Pace, texts

import accord
from accord.data.comparisons import Spelled
from accord.engine.draw import Sampling
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.maths.advantages import GroupMean, LeaveOneOut
from accord.maths.control import Constant
from accord.maths.surrogate import RewardKL
from accord.recipes import dpo, grpo, ppo, reward, sft
from accord.recipes.common import Asked
from accord.rewards.learned import Learned
from accord.store.logs import Sink

FOREVER = 1000
"""epochs or steps: the bench says when it is over"""


class Gate(Sink):
    """Between two steps, waits for the bench."""

    def __init__(self, pace: Pace, samples: int, tokens: list[int]):
        self.pace, self.samples, self.tokens = pace, samples, itertools.cycle(tokens)

    def begin(self, *_: Any) -> None:
        """All is loaded."""
        self.pace.turn()

    def log(self, step: int, numbers: Any) -> None:
        """A step is over."""
        length = numbers.get("completions/mean_length")
        self.pace.turn(self.samples, length * self.samples if length else next(self.tokens))


class Side:
    """One model folder, one data file, and the settings of a task."""

    def __init__(self, folder: Path, told: dict[str, str]):
        self.prompts, self.pairs, _ = texts(folder, told)
        self.told, self.batch = told, int(told["batch"])
        self.longest = int(told.get("longest", 128))
        self.pace = Pace(int(told.get("steps", 1)))
        dtype: Any = told.get("dtype", "fp32")
        self.pace.empty()
        self.start = Policy.open(folder / told.get("model", "uneven"), dtype=dtype)

    def optimizer(self) -> Optimizer:
        """What both sides use, and our own way of cutting a batch."""
        micro = (
            {"micro_tokens": int(self.told["micro_tokens"])} if "micro_tokens" in self.told else {}
        )
        return Optimizer(betas=(0.9, 0.999), recompute="recompute" in self.told, **micro)

    def run(self, tokens: list[int]) -> accord.Run:
        """On disk, as a user's would be; only its last commit, which never comes, is spared."""
        gate = Gate(self.pace, self.batch, tokens)
        return accord.Run(tempfile.mkdtemp(), save_every=10**6, sinks=(gate,))

    def rows(self, answers: int) -> list[Spelled]:
        """Every prompt with one or two of its answers."""
        ranks = tuple(range(answers))
        return [
            Spelled(tuple(p), tuple(map(tuple, few[:answers])), ranks, None, None, str(i))
            for i, (p, few) in enumerate(zip(self.prompts, self.pairs, strict=True))
        ]

    def sft(self) -> None:
        """Demonstrations."""
        rows = self.rows(1)
        cfg = sft.SFT(
            epochs=FOREVER,
            batch=self.batch,
            lr=1e-4,
            schedule=Constant(),
            optimizer=self.optimizer(),
        )
        sft.train(cfg, self.run(_tokens(rows, self.batch)), self.start, rows)

    def reward(self) -> None:
        """Comparisons."""
        rows = self.rows(2)
        cfg = reward.RewardModel(
            epochs=FOREVER,
            batch=self.batch,
            lr=1e-4,
            schedule=Constant(),
            optimizer=self.optimizer(),
        )
        reward.train(cfg, self.run(_tokens(rows, self.batch)), Critic.on(self.start), rows)

    def dpo(self) -> None:
        """Comparisons; what the reference says of them is asked before the first round."""
        rows = self.rows(2)
        cfg = dpo.Preference(
            epochs=FOREVER,
            batch=self.batch,
            lr=1e-6,
            schedule=Constant(),
            optimizer=self.optimizer(),
        )
        dpo.train(cfg, self.run(_tokens(rows, self.batch)), self.start, rows)

    def ppo(self) -> None:
        """Rollouts, a reward model, a critic, a reference."""
        judge = Critic.on(self.start)
        cfg = ppo.PPO(
            steps=FOREVER,
            batch=self.batch,
            longest=self.longest,
            epochs=int(self.told["epochs"]),
            lr=1e-6,
            lr_critic=1e-6,
            schedule=Constant(),
            optimizer=self.optimizer(),
        )
        asked = [Asked(str(i), tuple(ids)) for i, ids in enumerate(self.prompts)]
        learned = Learned(judge, self.start.speller)
        ppo.train(cfg, self.run([0]), self.start, learned, judge, asked)

    def grpo(self) -> None:
        """Groups of answers, a rule, no reference: what TRL's GRPOTrainer does by default."""
        self._groups(baseline=GroupMean(), weigh_by="token", kl=None)

    def rloo(self) -> None:
        """Groups of answers, a rule, and KL from a reference in the reward."""
        self._groups(baseline=LeaveOneOut(), weigh_by="sequence", kl=RewardKL(0.05))

    def _groups(self, **told: Any) -> None:
        group = int(self.told["group"])
        cfg = grpo.GRPO(
            steps=FOREVER,
            batch=self.batch // group,
            group=group,
            longest=self.longest,
            lr=1e-6,
            schedule=Constant(),
            optimizer=self.optimizer(),
            **told,
        )
        asked = [Asked(str(i), tuple(ids)) for i, ids in enumerate(self.prompts)]
        grpo.train(cfg, self.run([0]), self.start, _rule, asked)

    def sampling(self) -> None:
        """n answers to each prompt."""
        n = int(self.told["n"])
        prompts = [tuple(p) for p in self.prompts[: self.batch // n]]
        self.pace.turn()
        for seed in itertools.count():
            said = self.start.sample(prompts, n=n, longest=self.longest, seed=seed, how=Sampling())
            self.pace.turn(len(said), sum(len(r.response_ids) for r in said))

    def limit(self) -> None:
        """Nothing but products of the model's shape: what this machine can do at this moment."""
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[self.told.get("dtype", "fp32")]
        rows, width, inner = 2048, 256, 768
        left, right = torch.randn(rows, width, dtype=dtype), torch.randn(inner, width, dtype=dtype)
        again = 400
        self.pace.turn()
        while True:
            for _ in range(again):
                torch.nn.functional.linear(left, right)
            self.pace.turn(2e-9 * again * rows * width * inner)


def _rule(rollouts: Any) -> list[Any]:
    """Costs nothing, and tells the answers of every group apart; theirs.py has the same."""
    return [float(sum(r.response_ids) % 17) for r in rollouts]


def _tokens(rows: list[Spelled], batch: int) -> list[int]:
    """Real tokens per sample on average, times the batch: the same on both sides."""
    each = [len(r.prompt_ids) + len(a) for r in rows for a in r.response_ids]
    return [round(sum(each) / len(rows) * batch)]


if __name__ == "__main__":
    torch.set_num_threads(int(next(w[8:] for w in sys.argv if w.startswith("threads="))))
    task, where, *words = sys.argv[1:]
    getattr(Side(Path(where), dict(w.split("=", 1) for w in words)), task)()
