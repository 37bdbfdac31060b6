"""The commands, as somebody types them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from accord import cli
from accord.config import MAX_FIELDS, Preset, presets, read_each
from accord.verbs import VERBS

ROOT = Path(__file__).resolve().parent.parent
NEEDED = {
    "demo": (),
    "sft": ("model=m", "data=d.jsonl"),
    "dpo": ("model=m", "data=d.jsonl"),
    "reward": ("model=m", "data=d.jsonl"),
    "online": ("model=m", "prompts=p.jsonl", "reward=r"),
    "ppo": ("model=m", "prompts=p.jsonl", "reward=r"),
    "grpo": ("model=m", "prompts=p.jsonl", "reward=r"),
    "rest": ("model=m", "prompts=p.jsonl", "reward=r"),
    "control": (),
    "eyes": ("model=m", "tower=t"),
    "pipeline": ("model=m", "prompts=p.jsonl", "comparisons=c.jsonl"),
    "constitution": ("model=m", "prompts=p.jsonl"),
    "sample": ("model=m", "prompt=hello there"),
    "best": ("model=m", "prompt=hello there", "reward=r"),
    "evaluate": ("model=m", "against=a", "prompts=p.jsonl", "rule=r.py:f"),
    "compare": (),
    "judge": ("judge=j", "data=d.jsonl"),
    "label": ("data=d.jsonl", "model=m"),
    "endpoint": ("model=m",),
    "plan": ("model=m",),
    "serve": (),
}


def call(*words: str):
    """(exit code, stdout, stderr) of `accord words`."""
    done = CliRunner().invoke(cli.app, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_help_of_a_command_below_another_is_about_that_one():
    for name, verb in VERBS.items():
        for word, sub in verb.below.items():
            code, taught, _ = call(name, word, "--help")
            assert code == 0
            assert taught.startswith(f"Usage: accord {name} {word}")
            assert sub.help in taught
            assert verb.help not in taught


def test_every_verb_is_listed_and_taught():
    code, said, _ = call("--help")
    assert code == 0
    for name, verb in VERBS.items():
        assert name in said
        assert name in NEEDED
        code, taught, _ = call(name, "--help")
        assert code == 0
        for kind in verb.classes():
            assert len(kind.model_fields) <= MAX_FIELDS
            for row in kind.fields():
                assert f"{row.name} " in taught, (name, row.name)


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_shown_is_a_preset_that_reads_back_equal(name, tmp_path):
    code, shown, _ = call(name, "--show", *NEEDED[name])
    assert code == 0
    preset = tmp_path / "preset.yaml"
    preset.write_text(shown)
    classes = VERBS[name].classes()
    assert read_each(classes, preset) == read_each(classes, None, NEEDED[name])
    assert call(name, "--show", "--preset", str(preset)) == (0, shown, "")


def test_words_win_over_a_preset(tmp_path):
    preset = tmp_path / "preset.yaml"
    preset.write_text("lr: 0.5\nsteps: 7\nkl: AdaptiveKL\n")
    code, shown, _ = call(
        "ppo", "--show", "--preset", str(preset), "lr=0.25", "kl.target=3", *NEEDED["ppo"]
    )
    told = yaml.safe_load(shown)
    assert code == 0
    assert (told["lr"], told["steps"]) == (0.25, 7)
    assert told["kl"] == {
        "kind": "AdaptiveKL",
        "beta": 0.15,
        "target": 3.0,
        "horizon": 10000.0,
        "by": "k1",
    }


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("sft", "lrr=1"), 2, "did you mean 'lr'?"),
        (("sft", "--lr", "1"), 2, "settings are words: lr=…"),
        (("sft", "--show", "data=d"), 2, "needs 'model'"),
        (("sft", "model=m", "data=d.jsonl"), 3, "d.jsonl: no such file"),
        (("sample", "model=nowhere/at/all", "prompt=x"), 4, "no such folder"),
        (("ppo", "model=m", "prompts=p"), 2, "PPO needs a reward"),
        (("ppo", "model=m", "prompts=p", "rule=r.py:f"), 2, "critic=zero"),
        (("sample", "model=m"), 2, "prompt='…'"),
        (("evaluate", "model=m", "against=a"), 2, "nothing to evaluate by"),
        (("ppo", "kl=Fixd", *NEEDED["ppo"]), 2, "FixedKL"),
        (("ppo", "steps=many", *NEEDED["ppo"]), 2, "whole number"),
        (("runs", "nowhere"), 2, "no such folder"),
        (("pp", "steps=1"), 2, "No such command"),
    ],
)
def test_a_mistake_is_one_sentence_and_an_exit_code(words, code, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    got, said, complaint = call(*words)
    assert got == code, complaint
    assert says in complaint
    assert "Traceback" not in complaint + said
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_says_what_is_safe(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_desk", interrupted)
    code, _, said = call("sft", *NEEDED["sft"])
    assert code == 130
    assert "the same command goes on" in said


def test_help_and_errors_need_no_torch():
    code = "import sys, accord.cli; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": "src"}
    )
    assert done.stdout.strip() == "False", done.stderr


def test_the_readme_says_what_is_true():
    """Every command in README and docs can be read; every file they point to is there."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    seen = 0
    for page in pages:
        text = page.read_text()
        for line in re.findall(r"(?:^    |`)(accord [a-z]+[^`\n|]*)", text, re.M):
            words = [w.strip("\"'") for w in re.findall(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+", line)]
            if words[1] == "data":
                code, _, said = call(*words[1:], "--show")
                assert code == 0, f"{page.name}: {line}: {said}"
                continue
            if words[1] not in VERBS:
                assert words[1] in ("runs", "presets", "methods"), line
                continue
            words = [re.sub(r"=['\"](.*)['\"]$", r"=\1", word) for word in words[1:]]
            code, _, said = call(words[0], "--show", *(w for w in words[1:] if w != "--show"))
            assert code == 0 or words[1:] == ["--help"], f"{page.name}: {line}: {said}"
            seen += 1
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            there = target.startswith("https://") or (page.parent / target).exists()
            assert there, f"{page.name}: {target}"
    assert seen > 8


def test_presets_are_listed_and_printed():
    code, said, _ = call("presets")
    assert code == 0
    assert all(name in said for name in ("ziegler", "instructgpt", "qlora", "presets NAME"))
    code, said, _ = call("presets", "ziegler")
    assert code == 0
    assert re.findall(r"^# accord (\w+) --preset ziegler$", said, re.M) == ["reward", "ppo"]
    code, said, _ = call("presets", "sft")
    assert len(re.findall(r"^# accord sft --preset ", said, re.M)) == len(presets("sft"))
    code, said, _ = call("presets", "qlora")
    assert yaml.safe_load(said)["lora"]["r"] == 64, "one alone is a preset again"
    code, _, said = call("presets", "zigler")
    assert code == 2
    assert "did you mean 'ziegler'" in said


def test_what_was_run_is_read_from_the_comments(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(
        "# What it is\n# run: this, on that;\n#      it went well\n# Numbers: mine.\nlr: 1\n"
    )
    one = Preset.read(path)
    assert (one.name, one.about) == ("one", "What it is")
    assert one.ran == "this, on that; it went well"
    path.write_text("# What it is\nlr: 1\n")
    assert Preset.read(path).ran == ""


def test_numbers_say_what_they_were_measured_on(capsys):
    folder = SimpleNamespace(kind="reward", short="1234", folder="there")
    made = SimpleNamespace(numbers={"accuracy": 0.53125}, artifact=folder)
    VERBS["reward"].shows(made)
    said = capsys.readouterr().out
    assert said == "on comparisons held out:\n  accuracy 0.5312\nreward 1234: there\n"
    VERBS["sft"].shows(SimpleNamespace(numbers={}, artifact=folder))
    assert capsys.readouterr().out == "reward 1234: there\n"


def test_runs_lists_what_is_there(tmp_path):
    from accord.store import artifact
    from accord.store.run import Run

    run = Run(tmp_path / "one")
    for step in run.steps({"lr": 1}, 3):
        run.log(step, loss=1.0)
    first = run.finish(lambda f: (f / "x").write_text("x"), kind="policy") and artifact
    made = first.open_artifact(tmp_path / "one" / "policy")
    artifact.finish(
        tmp_path / "two",
        lambda f: (f / "y").write_text(json.dumps(1)),
        kind="report",
        settings={},
        parents=[made],
    )
    code, said, _ = call("runs", str(tmp_path))
    assert code == 0
    assert "3/3" in said
    assert "done" in said
    assert re.search(rf"report .*two\n└─ policy {made.short}  .*policy\n", said)


def test_an_ascii_terminal_gets_question_marks_and_no_traceback(tmp_path):
    (tmp_path / "é.jsonl").write_text('{"prompt": "é", "response": ""}\n')
    done = subprocess.run(
        [sys.executable, "-m", "accord", "data", "check", str(tmp_path / "é.jsonl")],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 3
    assert b"?.jsonl" in done.stdout
    assert b"Traceback" not in done.stderr
    assert b"cannot be used" in done.stderr
