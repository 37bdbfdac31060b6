"""The command: prompts and rewards of every kind in, a policy out; one sentence where not."""

import json

import pytest

from accord.config import read_each
from accord.data.sources import write
from accord.errors import BadData, BadSettings
from accord.recipes.grpo_job import run_grpo
from accord.recipes.job import Desk
from accord.verbs import VERBS
from recipe_fakes import WHO, newborn, records

SMALL = ("steps=2", "batch=2", "group=3", "longest=4", "lr=1e-3", "optimizer.micro_tokens=64")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    home = tmp_path_factory.mktemp("grpo")
    newborn(home / "model")
    write(home / "ask.jsonl", records().prompts)
    rows = [{"question": f"{who} and {i}?", "answer": f"so\n#### {i}"} for i, who in enumerate(WHO)]
    (home / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (home / "rule.py").write_text("def likes(prompt, answer, ended):\n    return len(answer) / 7\n")
    return home


def run(place, out, *words, told=None):
    said = []
    desk = Desk((), said.append)
    given = read_each(VERBS["grpo"].classes(), None, [f"model={place}/model", f"out={out}", *words])
    made = run_grpo(desk, *given)
    if told is not None:
        told += said
    return made


def test_against_a_rule(place, tmp_path):
    told = []
    words = (*SMALL, f"prompts={place}/ask.jsonl", f"rule={place}/rule.py:likes")
    made = run(place, tmp_path, *words, told=told)
    assert made.artifact.kind == "policy"
    assert len(made.history) == 2
    assert {"objective/scores", "objective/kl", "groups/no_signal"} <= made.numbers.keys()
    again = run(place, tmp_path, *words, told=told)
    assert again.artifact.id == made.artifact.id
    assert "nothing to do" in told[-1]


def test_against_right_numbers(place, tmp_path):
    """An untrained model is hardly ever right: its groups are flat, and that is no error."""
    made = run(place, tmp_path, *SMALL, f"prompts={place}/sums.jsonl", "reward=gsm8k")
    assert made.numbers["objective/scores"] in [k / 6 for k in range(7)]
    parents = json.loads((made.artifact.folder / "artifact.json").read_text())["parents"]
    assert any(str(p).startswith("gsm8k ") for p in parents)
    both = f"reward=gsm8k,0.1*{place}/rule.py:likes"
    made = run(place, tmp_path / "b", *SMALL, f"prompts={place}/sums.jsonl", both)
    assert made.numbers["groups/no_signal"] < 1


@pytest.mark.filterwarnings("default")
def test_against_tasks_that_are_made(place, tmp_path):
    pytest.importorskip("reasoning_gym")
    words = ("reasoning.task=chain_sum", "reasoning.size=6", "reasoning.options=max_digits=1")
    told = []
    made = run(place, tmp_path, *SMALL, *words, "guard.seconds=60", "limit=0.9", told=told)
    assert "6 tasks of chain_sum" in told
    assert 0 <= made.numbers["objective/scores"] <= 1


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ((), BadSettings, "GRPO needs prompts"),
        (("prompts={}/ask.jsonl", "reasoning.task=gcd"), BadSettings, "GRPO needs prompts"),
        (("prompts={}/ask.jsonl",), BadSettings, "GRPO needs a reward"),
        (("prompts={}/ask.jsonl", "reward=gsm8k"), BadData, "24 of 24 prompts come without one"),
        (
            ("prompts={}/ask.jsonl", "reward=gsm9k"),
            BadSettings,
            "or tokens, correct",
        ),
        (
            ("prompts={}/sums.jsonl", "reward=gsm8k", "on_cpu=reference", "lora=Lora"),
            BadSettings,
            "leave it out of on_cpu",
        ),
        (
            ("prompts={}/sums.jsonl", "rule={}/rule.py:likes", "on_cpu=reward"),
            BadSettings,
            "there is no reward model",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(place, tmp_path, words, error, says):
    with pytest.raises(error, match=says):
        run(place, tmp_path, *SMALL, *(word.format(place) for word in words))
