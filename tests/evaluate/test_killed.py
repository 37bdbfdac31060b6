"""Evaluations that ask a server, killed in the middle: they go on, and come to the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accord import cli
from llm_fakes import served

MANY, KILLED = 60, 20


def lines(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def choices(home: Path, url: str) -> list[str]:
    rows = [
        {"prompt": f"Question {i}? The answer is:", "corrects": [" (B)"], "incorrects": [" (A)"]}
        for i in range(MANY)
    ]
    return ["choices", lines(home / "mc.jsonl", rows), f"model={url}"]


def elo(home: Path, url: str) -> list[str]:
    few = range(MANY // 2)  # each pair is shown both ways
    asked = lines(home / "ask.jsonl", [{"prompt": f"{i}?"} for i in few])
    players = [
        lines(home / f"{who}.jsonl", [{"prompt": f"{i}?", "response": f"{who}{i}"} for i in few])
        for who in "xy"
    ]
    return ["elo", f"models={','.join(players)}", f"prompts={asked}", f"judge={url}"]


@pytest.mark.parametrize("words", [choices, elo])
def test_killed_in_the_middle_it_asks_for_the_rest_and_comes_to_the_same(tmp_path, words) -> None:
    with served() as server:
        server.top = lambda body: {"A": -len(str(body)) % 7 / 5 - 2, "B": -1.0}
        command = ["evaluate", *words(tmp_path, server.url)]

        def report(out: str) -> str:
            done = CliRunner().invoke(cli.app, [*command, f"out={tmp_path / out}"])
            assert done.exit_code == 0, done.output
            told = (tmp_path / out / "report" / f"{words.__name__}.json").read_text()
            return told.replace(str(tmp_path / out), "here")

        server.latency = 0.02
        process = subprocess.Popen(
            [sys.executable, "-m", "accord", *command, f"out={tmp_path / 'broken'}"],
            env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(server.asked) < KILLED and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was still at work"
        server.latency = 0.0
        broken = report("broken")
        assert MANY <= len(server.asked) <= MANY + 4, "but for those in mid-air"
        before = len(server.asked)
        assert report("whole") == broken
        assert len(server.asked) == before + MANY
