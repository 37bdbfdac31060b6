"""Whatever kills a recipe, wherever: the same command again ends as if nothing had happened."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from accord.data.comparisons import Spelled
from accord.engine.steps import Optimizer
from accord.errors import RunMismatch
from accord.recipes import ppo, reward, sft
from accord.recipes.common import Asked
from accord.store.run import Run
from store_fakes import tree
from toys import toy_critic, toy_policy

HERE = Path(__file__).resolve().parent
PATH = os.pathsep.join([*(p for p in sys.path if p), str(HERE.parent)])
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def ask(root: str, what: str, salt: str) -> str:
    env = {**os.environ, **ONE_THREAD, "PYTHONPATH": PATH, "PYTHONHASHSEED": salt}
    said = subprocess.run(
        [sys.executable, str(HERE / "kills.py"), root, what],
        env=env,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


def test_a_killed_recipe_ends_as_if_nothing_had_happened():
    """Weights, moments, price of KL and all journals, byte for byte; also in a fresh process."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # many small files
    with tempfile.TemporaryDirectory(dir=memory) as root:
        rows = [line.split("\t") for line in ask(root, "kill", "1").splitlines()]
        counts = {name: int(count) for name, count, *_ in rows}
        assert counts == {
            "sft": 9,
            "reward": 9,
            "dpo": 9,
            "online": 5,
            "ppo": 12,
            "grpo": 11,
            "control": 11,
            "ppo on adapters": 3,
        }
        for name, _, *safe in rows:
            assert set(safe) >= {"2", "4"}, f"{name} was killed at too few places: {safe}"
        ask(root, "go-on", "2")
        for name in counts:
            left, whole = Path(root, "left", name), Path(root, "whole", name)
            assert tree(left) == tree(whole), name
            made = [path.with_suffix(".made").read_text() for path in (left, whole)]
            assert made[0] == made[1], name
            _complete(whole, name)


def _complete(path: Path, name: str) -> None:
    """What was compared is all there is."""
    files = set(tree(path))
    parts = ["critic"] if name == "reward" else ["policy"]
    parts += ["critic"] if name.startswith("ppo") else []
    for part in parts:
        for file in ("weights.safetensors", "moments.safetensors", "learner.json"):
            assert f"commits/00000005/{part}/{file}" in files
    assert "metrics.jsonl" in files
    if name == "grpo":
        assert {"samples.jsonl", "ledger.jsonl", "commits/00000005/ahead/ahead.json"} <= files
        assert b'"reason": "no verdict"' in tree(path)["ledger.jsonl"]
    if name == "online":
        assert "commits/00000005/reference/reference.safetensors" in files
    if name.startswith("ppo"):
        assert {"samples.jsonl", "ledger.jsonl", "commits/00000005/kl/kl.json"} <= files
        assert b'"reason": "no verdict"' in tree(path)["ledger.jsonl"]


# --- another job in the same folder ---


class Broken(Run):
    """Ends in its second step."""

    def log(self, step, **numbers):
        if step == 1:
            raise RuntimeError("stop")
        super().log(step, **numbers)


def begin(name: str, run: Run, **changed) -> None:
    if name == "sft":
        rows = [Spelled((0,), ((2, 1),), (0,), None, None, "")] * 4
        cfg = sft.SFT(batch=1).model_copy(update=changed)
        sft.train(cfg, run, toy_policy(), rows)
    elif name == "reward":
        rows = [Spelled((0,), ((2, 1), (3, 1)), (0, 1), None, None, "")] * 4
        cfg = reward.RewardModel(batch=1).model_copy(update=changed)
        reward.train(cfg, run, toy_critic(1), rows)
    else:
        cfg = ppo.PPO(steps=4, batch=2, longest=3, epochs=1).model_copy(update=changed)
        judge = partial(map, lambda r: float(len(r.response_ids)))
        ppo.train(
            cfg, run, toy_policy(), lambda rs: list(judge(rs)), toy_critic(1), [Asked("p", (0,))]
        )


@pytest.mark.parametrize("name", ["sft", "reward", "ppo"])
def test_another_run_is_refused_by_the_name_of_what_differs(tmp_path, name):
    told = {"model": "a" * 64, "seed": 0}
    with pytest.raises(RuntimeError, match=r"^stop$"):
        begin(name, Broken(tmp_path, identity=told))
    before = tree(tmp_path)
    for identity, changed, says in [
        (told, {"lr": 0.5}, r"lr was .* and is now 0\.5"),
        (told, {"batch": 4}, "batch was . and is now 4"),
        (told | {"seed": 7}, {}, "seed was 0 and is now 7"),
        (told | {"model": "b" * 64}, {}, "model was aaaaaaaaaaaa… and is now bbbbbbbbbbbb…"),
    ]:
        with pytest.raises(RunMismatch, match=says):
            begin(name, Run(tmp_path, identity=identity), **changed)
        assert tree(tmp_path) == before
    begin(name, Run(tmp_path, identity=told))
    with pytest.raises(RunMismatch, match="holds another run"):
        begin("reward" if name == "sft" else "sft", Run(tmp_path, identity=told))


@pytest.mark.parametrize("name", ["sft", "reward", "ppo"])
def test_a_run_killed_for_memory_goes_on_with_less(tmp_path, name):
    """What only changes memory and speed is no other run; what is asked for now is what counts."""
    usual = {"sft": sft.SFT, "reward": reward.RewardModel, "ppo": ppo.PPO}[name]().optimizer
    more = replace(usual, micro_tokens=64)
    less = replace(usual, micro_tokens=5, recompute=True, offload=True)
    with pytest.raises(RuntimeError, match=r"^stop$"):
        begin(name, Broken(tmp_path), optimizer=more)
    other = replace(less, weight_decay=0.5)
    with pytest.raises(
        RunMismatch, match=r"run: optimizer\.weight_decay was 0\.0 and is now 0\.5\. "
    ):
        begin(name, Run(tmp_path), optimizer=other)
    run = Run(tmp_path)
    begin(name, run, optimizer=less)
    assert run.done
    timed = [json.loads(line) for line in (tmp_path / "timings.jsonl").read_text().splitlines()]
    sizes = [{v for k, v in line.items() if k.endswith("micro_tokens")} for line in timed]
    assert sizes[0] == {64}
    assert set().union(*sizes[1:]) == {5}


def test_a_budget_asked_for_anew_counts_and_a_halved_one_stays(tmp_path):
    def learner(asked):
        return toy_policy().trainable(lr=0.1, optimizer=Optimizer(micro_tokens=asked)).learner

    def after(saved: int, asked_then, asked_now) -> int:
        one, two = learner(asked_then), learner(asked_now)
        one.budget.size = saved
        folder = tmp_path / f"{saved} {asked_then} {asked_now}"
        folder.mkdir()
        one.save(folder)
        two.load(folder)
        return two.budget.size

    assert after(16, 64, 64) == 16
    assert after(64, 64, 8) == 8
    assert after(16, 64, 128) == 128
    assert after(64, None, None) == 64
    assert after(64, 512, None) == 64
