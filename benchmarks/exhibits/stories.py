"""The storyteller, its gold rule, and methods trained on it: shared by the exhibits on it.

Everything is at temperature 1, where the closed form of DPO and the KL that PPO pays speak of the
same policy.  What is made is kept below a folder: one that is killed loses one training.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from accord.data.comparisons import Spelled
from accord.data.rows import pad
from accord.demo.find import find
from accord.demo.openings import openings
from accord.demo.rule import names_animal, rule
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.evaluate.frontier import distance
from accord.maths.control import Constant, FixedKL
from accord.maths.pairwise import DPO
from accord.recipes import dpo, ppo, reward, sft
from accord.recipes.common import spell_prompts
from accord.records import Rollout
from accord.rewards.learned import Learned, judged
from accord.rewards.rules import Rule
from accord.store.files import write_whole
from accord.store.run import Run

LONGEST = 128
"""tokens of an answer"""
STEPS = Optimizer(betas=(0.9, 0.95), eps=1e-5, micro_tokens=2048)
BETAS: dict[str, tuple[float, ...]] = {
    "DPO": (0.1, 0.3, 1.0, 0.03),
    "PPO, learned reward": (0.3, 0.1, 1.0, 0.03),
    "PPO, gold reward": (0.1, 0.03, 0.3, 0.01),
    "Preferred-FT": (0.0,),
}
"""prices of KL, in the order in which they are tried"""
ALL = 500
"""openings that there are"""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    learn: int = 300
    """openings to learn from; those left of 500 are held out"""
    tests: int = 100
    pairs: int = 640
    """pairs of the start's answers; those that the rule calls equal are left out"""
    steps: int = 16
    """of PPO"""
    batch: int = 32
    """answers of such a step"""
    epochs: float = 2.0
    """of DPO and of Preferred-FT, over the comparisons"""
    n: int = 2
    """answers to each test of a finished policy; one on the way"""


QUICK = Size(learn=24, tests=8, pairs=32, steps=4, batch=8, n=1)


def kept(file: Path, about: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """What the file holds, or what is made now and written to it; another's file is refused."""
    if file.is_file():
        there = json.loads(file.read_text())
        if there["about"] != json.loads(json.dumps(about)):
            raise SystemExit(f"{file} was made with other settings: give another --out")
        return there["made"]
    made = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps({"about": about, "made": made}).encode())
    return made


class World:
    """One seed: its openings, its comparisons, its reward model."""

    def __init__(self, seed: int, home: Path, size: Size):
        self.seed, self.size, self.home = seed, size, home / f"seed-{seed}"
        self.about = {"seed": seed, **asdict(size)}
        self.start = Policy.open(find("storyteller"), slots=256)
        self.gold = Rule(rule, self.start.speller)
        asked, tally = spell_prompts(openings(ALL, seed), self.start.speller, 300)
        tally.check(0.0)
        self.learn, self.tests = asked[: size.learn], asked[size.learn :][: size.tests]

    def said(self, policy: Policy, n: int) -> list[Rollout]:
        """Answers to the openings held out, at temperature 1."""
        return policy.sample([one.ids for one in self.tests], n=n, longest=LONGEST, seed=-7)

    @cached_property
    def pairs(self) -> list[Spelled]:
        """Two answers of the start, the better by the rule first, as they were said: one that was
        cut has no end."""
        rows = kept(self.home / "pairs.json", self.about, self._compared)
        spelled = []
        for i, (asked, better, worse) in enumerate(rows):
            two = (tuple(better), tuple(worse))
            spelled.append(Spelled(tuple(asked), two, (0, 1), None, None, f"pair/{i}"))
        return spelled

    def _compared(self) -> list[Any]:
        asked = [self.learn[k % len(self.learn)].ids for k in range(self.size.pairs)]
        said = self.start.sample(asked, n=2, longest=LONGEST, seed=1000 + self.seed)
        worth, rows = self.gold(said), []
        for a, b in zip(range(0, len(said), 2), range(1, len(said), 2), strict=True):
            if worth[a] != worth[b]:
                two = (a, b) if worth[a] > worth[b] else (b, a)
                rows.append([said[a].prompt_ids, *(said[i].response_ids for i in two)])
        return rows

    @cached_property
    def critic(self) -> Critic:
        """A reward model of the same comparisons, each answer with an end, as it is asked later;
        in units of log odds, 0 in the mean over the start's own answers."""
        folder = self.home / "reward"
        kept(self.home / "reward.json", self.about, lambda: self._judge(folder))
        return Critic.open(folder)

    def _judge(self, folder: Path) -> dict[str, float]:
        end = self.start.speller.end
        rows = [_ended(one, end) for one in self.pairs]
        cut = len(rows) * 9 // 10
        cfg = reward.RewardModel(
            epochs=1.5, batch=32, lr=3e-4, optimizer=Optimizer(micro_tokens=2048)
        )
        critic = reward.train(
            cfg, Run(), Critic.on(self.start, seed=self.seed), rows[:cut], rows[cut:],
            seed=self.seed,
        )  # fmt: skip
        told = reward.measure(critic, rows[cut:])
        own = self.said(self.start, 2)
        answers = pad([r.prompt_ids for r in own], [judged(r, end) for r in own])
        reward.normalise(critic, answers, "mean")
        critic.export(folder)
        print(f"seed {self.seed}: {len(rows)} comparisons, reward model {told}", flush=True)
        return told | {"comparisons": len(rows)}

    @cached_property
    def learned(self) -> Learned:
        """The reward model as a reward."""
        return Learned(self.critic, self.start.speller)

    def measure(self, policy: Policy, n: int) -> dict[str, float]:
        """Means over answers to the openings held out; KL exact position by position, nats."""
        said = self.said(policy, n)
        return self.told(said) | {"kl": distance(policy, self.start, said).exact.value}

    def told(self, said: Sequence[Rollout]) -> dict[str, float]:
        """What the answers are like."""
        texts = [self.start.speller.text(one) for one in said]
        return {
            "gold": fmean(self.gold(said)),
            "learned": fmean(self.learned(said)),
            "animal": fmean(map(names_animal, texts)),
            "ended": fmean(one.finish == "stop" for one in said),
            "length": fmean(len(one.response_ids) for one in said),
        }

    def trained(self, method: str, beta: float) -> tuple[Path, list[dict[str, float]]]:
        """The policy's folder, and its looks: two on the way, and the last."""
        name = f"{method.lower().replace(', ', '-').replace(' ', '-')}-{beta:g}"
        folder = self.home / name
        about = {**self.about, "method": method, "beta": beta}
        looks = kept(folder / "looks.json", about, lambda: self._train(method, beta, folder))
        return folder / "policy", looks

    def _train(self, method: str, beta: float, folder: Path) -> list[dict[str, float]]:
        run, size, how = Watching(self), self.size, {"seed": self.seed}
        pairs: dict[str, Any] = {"epochs": size.epochs, "batch": 32, "held_out": 0.0}
        if method == "DPO":
            cfg = dpo.Preference(loss=DPO(beta), lr=2e-4, optimizer=STEPS, **pairs)
            policy = dpo.train(cfg, run, self.start, self.pairs, **how)
        elif method == "Preferred-FT":
            shown = [_alone(one) for one in self.pairs]
            told = sft.SFT(lr=2e-4, optimizer=STEPS, **pairs)
            policy = sft.train(told, run, self.start, shown, **how)
        else:
            given = self.learned if method == "PPO, learned reward" else self.gold
            own = ppo.PPO(
                steps=size.steps, batch=size.batch, longest=LONGEST, epochs=2, kl=FixedKL(beta),
                lr=2e-4, lr_critic=5e-4, optimizer=STEPS, schedule=Constant(),
                critic="reward" if given is self.learned else "zero",
            )  # fmt: skip
            critic = self.critic if given is self.learned else Critic.on(self.start, seed=self.seed)
            policy = ppo.train(own, run, self.start, given, critic, self.learn, **how)
        last = {"step": run.total, **self.measure(policy, size.n)}
        policy.export(folder / "policy")
        said = "  ".join(f"{key} {last[key]:.3f}" for key in ("kl", "gold", "learned", "length"))
        print(f"seed {self.seed}  {method:20} {beta:5g}  {said}", flush=True)
        return [*run.looks, last]


class Watching(Run):
    """Measures the policy after a quarter and a half of its steps, with one answer to each test."""

    def __init__(self, world: World):
        super().__init__()
        self.world, self.looks = world, list[dict[str, float]]()

    def keep(self, name: str, part: Any) -> Any:
        """As a run does; the policy is what is measured."""
        if name == "policy":
            self.policy = part
        return super().keep(name, part)

    def log(self, step: int, **numbers: Any) -> None:
        """After a step."""
        super().log(step, **numbers)
        if step + 1 in (self.total // 4, self.total // 2):
            self.looks.append({"step": step + 1, **self.world.measure(self.policy, 1)})


def _ended(one: Spelled, end: int) -> Spelled:
    two = tuple(ids if ids[-1:] == (end,) else (*ids, end) for ids in one.response_ids)
    return Spelled(one.prompt_ids, two, one.ranks, None, None, one.id)


def _alone(one: Spelled) -> Spelled:
    return Spelled(one.prompt_ids, one.response_ids[:1], (0,), None, None, one.id)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """What both exhibits are told."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    made.add_argument("--out", type=Path, default=Path("runs/stories"), help="where all is kept")
    made.add_argument("--svg", type=Path)
    made.add_argument("--quick", action="store_true", help="to try it: a few steps of everything")
    torch.set_num_threads(1)
    return made
