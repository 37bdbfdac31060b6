"""Processes that hold models: begun, found again, ended."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import openai
import pytest

from accord.errors import NoAnswer
from accord.serve.workers import Workers
from served import chat_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return chat_folder(tmp_path_factory.mktemp("models") / "tiny")


def gone(pid: int, seconds: float = 15) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def pids(workers: Workers) -> dict[str, int]:
    return {name: worker.process.pid for name, worker in workers._known.items()}


def test_a_worker_from_its_beginning_to_its_end(folder, tmp_path):
    """Few, since each takes seconds to begin."""
    workers = Workers(most=1, idle=600)
    try:
        found: list = []
        threads = [threading.Thread(target=lambda: found.append(workers.url(folder))) for _ in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        url, key = found[0]
        assert found[0] == found[1] == workers.url(folder), "one process for one model"
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/v1")
        with openai.OpenAI(base_url=url, api_key=key) as client:
            said = client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "there"}], max_tokens=3
            )
        assert said.usage.completion_tokens >= 1
        assert httpx.get(f"{url}/models", timeout=60).status_code == 401
        pid = pids(workers)[str(folder)]
        command = Path(f"/proc/{pid}/cmdline").read_text()
        assert key not in command, "other users of the machine can read command lines"
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)
        again = workers.url(folder)
        assert again.key != key
        assert pids(workers)[str(folder)] != pid
        assert httpx.get(
            f"{again.url}/models", headers={"authorization": f"Bearer {again.key}"}, timeout=60
        ).json()["data"]
        first = pids(workers)[str(folder)]
        workers.idle = 1.0
        other = chat_folder(tmp_path / "other", seed=1)
        workers.url(other)
        assert gone(first, 1), "there is room for one"
        assert gone(pids(workers)[str(other)], 60), "nobody asked for a second"
    finally:
        workers.close()
    with pytest.raises(NoAnswer, match="going down"):
        workers.url(folder)


def test_what_is_no_model_says_why(tmp_path):
    workers = Workers()
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoAnswer, match=r"empty does not begin to answer: .*config\.json"):
        workers.url(tmp_path / "empty")
    assert pids(workers) == {}
    workers.close()


def test_a_worker_does_not_outlive_a_parent_that_is_killed(folder):
    code = (
        "import json, sys, time; from accord.serve.workers import Workers; w = Workers();"
        "w.url(sys.argv[1]); assert 'torch' not in sys.modules;"
        "print(json.dumps([x.process.pid for x in w._known.values()]), flush=True); time.sleep(99)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, env=env
    )
    assert parent.stdout is not None
    (pid,) = json.loads(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid)


def test_closing_ends_them(folder):
    workers = Workers()
    workers.url(folder)
    last = list(pids(workers).values())
    began = time.monotonic()
    workers.close()
    assert len(last) == 1
    assert gone(last[0], 1)
    assert time.monotonic() - began < 8
