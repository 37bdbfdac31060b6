"""The demo, small: all stages, again, interrupted, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from accord.config import plain, read
from accord.demo import show
from accord.demo.show import SHIPPED, Demo
from accord.recipes.job import Desk
from accord.store.artifact import lineage, open_artifact

SMALL = (
    "prompts=10",
    "tests=6",
    "pairs=1",
    "reward.epochs=1",
    "reward.batch=4",
    "reward.held_out=0.3",
    "ppo.steps=8",
    "ppo.batch=4",
    "ppo.longest=40",
    "ppo.epochs=1",
)


def play(out: Path, said: list[str] | None = None):
    """The demo in this process."""
    cfg = read(Demo, words=(*SMALL, f"out={out}"))
    return show.run(Desk((), (said if said is not None else []).append), cfg)


def files(folder: Path) -> dict[str, bytes]:
    """All that must be the same in two runs: weights and numbers, not times and places."""
    names = ("*.safetensors", "metrics.jsonl", "samples.jsonl", "ledger.jsonl", "comparisons.jsonl")
    found = [p for name in names for p in folder.rglob(name)]
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(found)}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "run"
    return out, play(out)


def test_it_ends_with_a_report_that_says_who_judged(done):
    out, way = done
    page = (out / "report" / "report.html").read_text()
    assert way.report.folder == out / "report"
    assert "simulated" in page
    assert "No person judged anything here" in page
    assert f"model={out}/ppo/policy" in page


def test_from_the_report_one_finds_the_way_back(done):
    out, way = done
    tree = str(lineage(way.report, out))
    for kind in ("report", "policy", "reward", "comparisons"):
        assert f"{kind} " in tree
    assert way.policy.artifact.parents[1] == way.reward.artifact.id
    judged = open_artifact(out / "judged", full=True)
    assert judged.id in way.reward.artifact.parents


def test_the_policy_is_a_folder_that_transformers_loads(done):
    out, _ = done
    model = AutoModelForCausalLM.from_pretrained(out / "ppo" / "policy")
    spell = AutoTokenizer.from_pretrained(out / "ppo" / "policy")
    ids = spell("One day, Mia", return_tensors="pt")["input_ids"]
    assert model(ids).logits.shape[-1] == len(spell)


def test_again_is_nothing_to_do(done):
    out, _ = done
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    said: list[str] = []
    play(out, said)
    after = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    assert after == before
    assert sum("nothing to do" in line for line in said) == 2


def test_interrupted_and_called_again_it_ends_the_same(done, tmp_path):
    out, _ = done
    again = tmp_path / "again"
    command = [sys.executable, "-m", "accord", "demo", *SMALL, f"out={again}"]
    env = {**os.environ, "PYTHONPATH": str(Path(show.__file__).parents[2])}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    metrics = again / "ppo" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_bytes().count(b"\n") >= 6):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert not (again / "report").exists()
    play(again)
    assert files(again) == files(out)


def test_the_storyteller_fits_and_writes():
    size = sum(p.stat().st_size for p in SHIPPED.rglob("*"))
    assert size <= 8 * 2**20
    card = (SHIPPED / "README.md").read_text()
    for word in ("licence", "held-out", "stories15M"):
        assert word in card


def test_settings_of_the_demo_are_those_it_runs_with():
    told = plain(Demo())
    assert json.loads(json.dumps(told)) == told
    assert read(Demo, words=("ppo.kl.beta=0",)).ppo.kl.beta == 0
