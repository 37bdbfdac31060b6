"""Kill each recipe at chosen points, go on, and look at what is left.

Run by test_resume.py in a process of its own, because it forks; killing.py says how.

    python kills.py ROOT kill      all points; leaves a killed run of each recipe in ROOT/left
    python kills.py ROOT go-on     a fresh process ends those that were left
"""

import json
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from killing import APPEND, GUARD, SYNCED, WRITE, arm, child, moved, quicken, same, seen, warm

from accord.data.comparisons import Spelled
from accord.engine.roles import Critic
from accord.engine.steps import Optimizer
from accord.engine.trailing import Refresh
from accord.maths.control import AdaptiveKL
from accord.maths.surrogate import Truncated
from accord.models.lora import Lora
from accord.recipes import control, dpo, grpo, online, ppo, reward, sft
from accord.recipes.common import Asked
from accord.records import Invalid, Rollout
from accord.rewards.ending import Relative
from accord.store import commit
from accord.store.run import Run
from accord.worlds.find import finder
from accord.worlds.seats import Window
from store_fakes import tree
from toys import LONGEST, toy_critic, toy_policy

HOW = Optimizer(micro_tokens=8)
PPO = ppo.PPO(
    steps=5,
    batch=12,
    longest=LONGEST,
    epochs=2,
    minibatches=2,
    lr=1e-3,
    lr_critic=1e-3,
    kl=AdaptiveKL(beta=0.2, target=0.1, horizon=100),
    missing_eos=Relative(-0.5),
    optimizer=HOW,
)
GRPO = grpo.GRPO(
    steps=5,
    batch=4,
    group=3,
    longest=LONGEST,
    resample=2,
    lag=1,
    stale=Truncated(),
    missing_eos=Relative(-0.5),
    epochs=2,
    minibatches=2,
    lr=1e-3,
    optimizer=HOW,
)
CONTROL = control.Control(
    steps=5,
    worlds=2,
    obtain=Window(12),
    epochs=2,
    minibatches=2,
    hidden=(8,),
    prefer=control.Segments(length=4, first=6, total=12, warm=2),
)
ANYWHERE = [
    ("commit", "accord.store.commit:write", 2, "before"),
    ("half a manifest", SYNCED, 3, "half"),
    ("just before the name", "os:rename", 2, "before"),
    ("just after the name", "os:rename", 2, "after"),
    ("the old commit is being removed", "os:rename", 4, "after"),
    ("half a line", APPEND, 7, "half"),
]
"""as in killing.py"""
POINTS: dict[str, list[tuple[str, str, int, str]]] = {
    "sft": [
        *ANYWHERE,
        ("an update", GUARD, 11, "before"),
        ("weights are written, moments are not", WRITE, 4, "before"),
        ("measuring", "accord.recipes.sft:measure", 3, "before"),
    ],
    "reward": [
        *ANYWHERE,
        ("an update", GUARD, 8, "before"),
        ("weights are written, moments are not", WRITE, 4, "before"),
        ("measuring", "accord.recipes.reward:measure", 3, "before"),
    ],
    "dpo": [
        *ANYWHERE,
        ("an update", GUARD, 8, "before"),
        ("weights are written, moments are not", WRITE, 4, "before"),
        ("measuring", "accord.recipes.dpo:measure", 3, "before"),
    ],
    "online": [
        ("commit", "accord.store.commit:write", 2, "before"),
        ("sampling", "accord.engine.seats:Seats.step", 14, "after"),
        ("an update", GUARD, 8, "before"),
        ("weights are written, the reference is not", WRITE, 6, "after"),
        ("the reference was renewed", "accord.engine.trailing:Trailing.follow", 3, "after"),
    ],
    "ppo": [
        *ANYWHERE,
        ("sampling", "accord.engine.seats:Seats.step", 14, "after"),
        ("scoring", "__main__:judge", 40, "before"),
        ("an update of the policy", "accord.maths.losses:clip", 65, "after"),
        ("an update of the critic", "accord.maths.losses:value", 65, "after"),
        ("the policy is written, the critic is not", WRITE, 6, "after"),
        ("the price of KL", "accord.recipes.common:KLPrice.save", 2, "after"),
    ],
    "grpo": [
        *ANYWHERE,
        ("sampling", "accord.engine.seats:Seats.step", 14, "after"),
        ("scoring", "__main__:judge", 40, "before"),
        ("an update", GUARD, 40, "before"),
        ("weights are written, what was sampled ahead is not", WRITE, 4, "after"),
        ("what was sampled ahead", "accord.recipes.groups:Ahead.save", 2, "after"),
    ],
    "control": [
        *ANYWHERE,
        ("an update", GUARD, 30, "before"),
        ("weights are written, moments are not", WRITE, 6, "before"),
        ("the worlds are written", "accord.worlds.seats:Seats.save", 2, "after"),
        ("in an episode", "accord.worlds.seats:Seats._do", 110, "after"),
        ("what was compared", "accord.engine.buffer:Buffer.add", 3, "before"),
    ],
    "ppo on adapters": [
        ("sampling", "accord.engine.seats:Seats.step", 14, "before"),
        ("an update of the critic", "accord.maths.losses:value", 65, "after"),
        ("just after the name", "os:rename", 2, "after"),
    ],
}


def judge(rollout: Rollout) -> float | Invalid:
    """Likes a, dislikes b; one answer is too much for it."""
    if rollout.id in ("3.5/0", "3.1/2"):
        return Invalid("no verdict")
    return float(rollout.response_ids.count(2) - rollout.response_ids.count(3))


def judged(rollouts) -> list[float | Invalid]:
    """All of them, one by one."""
    return [judge(rollout) for rollout in rollouts]


def play(name: str, run: Run) -> Any:
    """A recipe to its end; the handle it makes."""
    if name == "control":  # episodes of 40 steps, windows of 12: most commits are within one
        return control.train(CONTROL, run, finder("CartPole-v1", 40))
    start = toy_policy()
    others = toy_policy(5).sample([(0,), (0, 4)] * 12, longest=LONGEST, seed=0)
    if name == "sft":
        rows = [Spelled(r.prompt_ids, (r.response_ids,), (0,), None, None, r.id) for r in others]
        cfg = sft.SFT(batch=4, lr=1e-3, measure_every=1, optimizer=HOW)
        return sft.train(cfg, run, start, rows[:20], rows[20:])
    if name in ("reward", "dpo"):
        pairs = [(a, b) for a, b in zip(others[::2], others[2::2]) if a != b]
        rows = [
            Spelled((0,), (a.response_ids, b.response_ids), (0, 1), None, None, a.id)
            for a, b in pairs
        ]
        if name == "dpo":  # KTO's z is of the policy as it is: it must come back too
            twice = [replace(row, prompt_ids=(0, 4), id=f"{row.id}+") for row in rows]
            told = dpo.Preference(mix="1*KTO", batch=4, lr=1e-3, measure_every=1, optimizer=HOW)
            return dpo.train(told, run, start, (rows + twice)[:20], rows[10:])
        cfg = reward.RewardModel(batch=2, lr=1e-3, measure_every=1, optimizer=HOW)
        return reward.train(cfg, run, toy_critic(1), rows[:10], rows[10:])
    prompts = [Asked("p", (0,)), Asked("q", (0, 4)), Asked("r", (0, 5, 3))]
    if name == "grpo":
        gold = lambda rs: [0.5] * len(rs)  # noqa: E731
        return grpo.train(GRPO, run, start, judged, prompts, gold=gold)
    if name == "online":
        renew = Refresh(every=2, share=0.5)
        told = online.Online(
            steps=5, batch=8, longest=LONGEST, minibatches=2, lr=1e-3, refresh=renew, optimizer=HOW
        )
        return online.train(told, run, start, judged, prompts)
    cfg = PPO.model_copy(update={"lora": Lora(r=2)} if "adapters" in name else {})
    critic = Critic.on(start, seed=1)
    return ppo.train(cfg, run, start, judged, critic, prompts, gold=lambda rs: [0.5] * len(rs))


def whole(name: str, path: Path) -> None:
    """To the end, and what was made, as the process holds it, noted beside."""
    run = run_at(path)
    made = play(name, run)
    told = [made.fingerprint, sorted(run.ledger.counts().items()), run.history]
    path.with_suffix(".made").write_text(json.dumps(told))


def run_at(path: Path) -> Run:
    """A commit after every second step, and the last."""
    return Run(path, save_every=2, identity={"model": "toy", "seed": 0})


def crash(name: str, path: Path, where: str, at: int, done: str) -> None:
    """A run that dies."""
    arm(where, at, done)
    play(name, run_at(path))


def kill(root: Path) -> None:
    """All points; at every third, once more while it goes on."""
    warm(partial(whole, "sft"), root / "warm")
    for name, points in POINTS.items():
        first, copies = root / "whole" / name, root / "at" / name
        path, aside = root / "left" / name, root / "aside" / name
        assert child(partial(seen, points, partial(whole, name), path, copies)) == 0, name
        moved(path, first)
        *others, (what, where, at, done) = points
        status = child(partial(crash, name, path, where, at, done))
        assert status == -signal.SIGKILL, f"{name}: {what} was not reached ({status})"
        safe = [safe_step(path)]
        moved(path, aside)  # it is left for a fresh process
        for index, (what, *_) in enumerate(others):
            assert (copies / str(index)).exists(), f"{name}: {what} was not reached"
            moved(copies / str(index) / name, path)
            safe.append(safe_step(path))
            if index % 3 == 0:
                child(partial(crash, name, path, GUARD, 5, "after"))
            assert child(partial(whole, name, path)) == 0, f"{name}: no resume after {what}"
            same(path, first, tree, f"{name}: killed at {what}")
        moved(aside, path)
        if len(others) % 3 == 0:
            child(partial(crash, name, path, GUARD, 5, "after"))
        print(name, len(points), *safe, sep="\t")


def safe_step(path: Path) -> int:
    """The newest commit; none may be broken."""
    found, wrong = commit.newest(path / "commits")
    assert not wrong, wrong
    return found.step if found else 0


def go_on(root: Path) -> None:
    """Nothing of the process that died is left but its files."""
    for name in POINTS:
        whole(name, root / "left" / name)


if __name__ == "__main__":
    quicken()
    {"kill": kill, "go-on": go_on}[sys.argv[2]](Path(sys.argv[1]))
