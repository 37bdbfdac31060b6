"""Frozen models may stay in main memory beside a GPU: nothing but their place is different.

The GPU is pretended (elsewhere.py): it computes as the CPU does, and refuses what a real one would.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from accord.config import read_each
from accord.data.sources import write
from accord.engine.roles import Critic, Policy
from accord.errors import BadModel, BadSettings
from accord.models.lora import Lora
from accord.models.trunk import Trunk
from accord.recipes import ppo
from accord.recipes.job import Desk
from accord.recipes.jobs import run_ppo, run_reward
from accord.rewards.choose import learned
from accord.verbs import VERBS
from elsewhere import CPU, GPU, pretended_gpu
from recipe_fakes import newborn, records


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A model, a reward model, prompts and a rule."""
    place = tmp_path_factory.mktemp("placement")
    given = records()
    newborn(place / "model")
    write(place / "ask.jsonl", given.prompts)
    write(place / "judged.jsonl", given.comparisons)
    (place / "rule.py").write_text(
        "def likes(prompt, answer, ended):\n    return len(answer) / 7\n"
    )
    words = [f"model={place}/model", f"data={place}/judged.jsonl", "batch=4", f"out={place}/judge"]
    run_reward(Desk((), lambda said: None), *read_each(VERBS["reward"].classes(), None, words))
    return place


def called(home: Path, out: Path, *words: str, tell=lambda said: None):
    """`accord ppo` with these words."""
    given = [] if any(w.startswith("model=") for w in words) else [f"model={home}/model"]
    given += [f"prompts={home}/ask.jsonl", f"out={out}", "seed=3"]
    given += ["steps=3", "batch=4", "longest=5", "epochs=2", "lr=1e-3", "lr_critic=1e-3", *words]
    return run_ppo(Desk((), tell), *read_each(VERBS["ppo"].classes(), None, given))


def judge(home: Path) -> str:
    return f"reward={home}/judge/reward"


@pytest.fixture
def seen(monkeypatch):
    """Who lay where when the training began, and where all that was read lay."""
    found: dict = {}
    train, read = ppo.train, Trunk.forward

    def watched(cfg, run, start, reward, critic, *rest, **more):
        found.update(reference=place(start), critic_from=place(critic))
        found["reward"] = [place(model.critic) for model in learned(reward)]
        keep = run.keep

        def kept(name, part):
            if isinstance(part, Policy | Critic):
                found[name] = place(part)
            return keep(name, part)

        run.keep = kept
        return train(cfg, run, start, reward, critic, *rest, **more)

    def place(handle):
        where = {w.device for w in (*handle.model.parameters(), *handle.model.buffers())}
        assert len(where) == 1
        return where.pop()

    def forward(self, flat, using=None):
        assert flat.ids_N.device == flat.place_N.device == self.device
        return read(self, flat, using)

    monkeypatch.setattr("accord.recipes.stages.ppo.train", watched)
    monkeypatch.setattr(Trunk, "forward", forward)
    return found


@pytest.mark.parametrize("critic", ["reward", "trunk", "zero"])
@pytest.mark.parametrize("aside", ["", "reference", "reward", "reference,reward"])
def test_what_stays_on_the_cpu_changes_no_number(home, tmp_path, seen, critic, aside):
    words = [judge(home), f"critic={critic}"]
    want = called(home, tmp_path / "cpu", *words)
    with pretended_gpu() as there:
        got = called(home, tmp_path / "gpu", *words, *([f"on_cpu={aside}"] if aside else []))
        assert got.handle.model.trunk.device == GPU
    assert there.carried
    assert seen["policy"] == seen["critic"] == GPU
    assert seen["reference"] == (CPU if "reference" in aside else GPU)
    assert seen["reward"] == [CPU if "reward" in aside else GPU]
    alike(got, want)


def alike(got, want) -> None:
    """Two runs made the same, to rounding: a GPU's attention adds up in another order."""
    for ours, theirs in zip(got.history, want.history, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-5)
    first, second = (load_file(made.artifact.folder / "model.safetensors") for made in (got, want))
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], atol=1e-4, rtol=0, msg=name)


def test_a_run_goes_on_with_its_reference_elsewhere(home, tmp_path, monkeypatch):
    """The place is no part of what a run is."""
    want = called(home, tmp_path / "whole", judge(home))
    real, calls = ppo.experience, []

    def broken(*given):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(ppo, "experience", broken)
    with pretended_gpu(), pytest.raises(KeyboardInterrupt):
        called(home, tmp_path / "parts", judge(home), "on_cpu=reference", "save_every=1")
    got = called(home, tmp_path / "parts", judge(home), "save_every=1")
    assert len(calls) == 4
    alike(got, want)


def test_bf16_masters_are_made_where_they_learn(home, tmp_path, seen):
    with pretended_gpu():
        called(home, tmp_path, judge(home), "on_cpu=reference", "dtype=bf16")
    assert (seen["reference"], seen["policy"]) == (CPU, GPU)


def test_the_optimizer_may_be_in_main_memory_too(home, tmp_path):
    want = called(home, tmp_path / "cpu", judge(home))
    with pretended_gpu():
        words = ("on_cpu=reference,reward", "optimizer.offload=true")
        got = called(home, tmp_path / "gpu", judge(home), *words)
    alike(got, want)


# --- what is refused ---


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("lora=Lora", "on_cpu=reference"), "the reference is the policy itself"),
        (("lora=Lora", "on_cpu=reward"), "adapter on the reward model's own weights"),
        (("on_cpu=critic",), "reference | reward"),
    ],
)
def test_what_has_no_weights_of_its_own_cannot_stay(home, tmp_path, words, says):
    with pytest.raises(BadSettings, match=says.replace("|", r"\|")):
        called(home, tmp_path, judge(home), *words)
    assert not list(tmp_path.iterdir())


def test_a_rule_has_no_place(home, tmp_path):
    words = (f"rule={home}/rule.py:likes", "critic=zero", "on_cpu=reward")
    with pytest.raises(BadSettings, match="there is no reward model"):
        called(home, tmp_path, *words)


def test_an_adapter_to_begin_with_is_refused_too(home, tmp_path):
    policy = Policy.open(home / "model").trainable(lr=1.0, lora=Lora(r=2))
    policy.export(tmp_path / "adapter")
    with pytest.raises(BadSettings, match="the reference is the policy itself"):
        called(home, tmp_path / "out", judge(home), "on_cpu=reference", f"model={tmp_path}/adapter")
    with pretended_gpu():
        start = Policy.open(tmp_path / "adapter", on_cpu=True)
        with pytest.raises(BadModel, match="without on_cpu"):
            start.trainable(lr=1.0)


def test_lora_with_its_reward_aside_needs_a_critic_of_the_policy(home, tmp_path, seen):
    with pretended_gpu():
        called(home, tmp_path, judge(home), "lora=Lora", "critic=zero", "on_cpu=reward")
    assert seen["policy"] == seen["reference"] == GPU
    assert seen["reward"] == [CPU]


def test_without_a_gpu_it_is_said_that_nothing_changes(home, tmp_path):
    told: list[str] = []
    called(home, tmp_path, judge(home), "on_cpu=reward", tell=told.append)
    assert any("there is no GPU here" in said for said in told)


def test_what_is_computed_at_once_is_among_the_timings(home, tmp_path):
    """Not among the numbers that every machine has in common."""
    made = called(home, tmp_path, judge(home), "optimizer.micro_tokens=77")
    lines = (tmp_path / "timings.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        assert (line["policy/micro_tokens"], line["val/micro_tokens"]) == (77, 77)
    assert len(lines) == 3
    assert not any("micro_tokens" in key for row in made.history for key in row)
