"""Tokens per second of an endpoint: `accord endpoint` beside `transformers serve`, in one run.

    python benchmarks/serving.py [MODEL] [at=1,8,32] [longest=64] [rounds=3] [peers=plain,batching]

Each side is a process of its own with as many threads as torch takes, and answers the same prompts
over HTTP, /v1/completions, fp32, temperature 1, at most `longest` tokens.  `at` so many requests
are under way at once; a round is as many, and at least 8.  Peers: `plain`, as it is by default, one
request after the other; `batching`, with --continuous-batching.  Sides alternate.  Tokens per
second, and per second of the server's processor time, which a busy machine disturbs less: medians
of the rounds after the first, and ratios of medians, are printed; nothing is asserted.
"""

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from accord.demo.openings import openings
from accord.demo.show import SHIPPED

LEAST = 8
BEGIN_S = 300


@contextlib.contextmanager
def side(name: str, folder: str) -> Iterator[tuple[str, int]]:
    """Its process; yields the base address, and its id."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    bin = Path(sys.executable).parent
    words = [str(bin / "transformers"), "serve", folder, "--device", "cpu", "--dtype", "float32"]
    words += ["--port", str(port)] + ["--continuous-batching"] * (name == "batching")
    if name == "ours":
        words = [sys.executable, "-m", "accord", "endpoint", f"model={folder}", f"port={port}"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=env)
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log) -> None:
    until = time.monotonic() + BEGIN_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health").status_code == 200:
                return
        time.sleep(0.5)
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()
    raise SystemExit(f"{process.args}: does not begin: {said[-1] if said else 'it said nothing'}")


def cpu_s(pid: int) -> float:
    """Seconds of processor time of a process, its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def play(url: str, folder: str, texts: list[str], at: int, longest: int, seed: int) -> int:
    """Tokens of all texts, `at` at once."""
    waiting = asyncio.Semaphore(at)
    async with httpx.AsyncClient(timeout=600) as client:

        async def one(i: int, text: str) -> int:
            body = {"model": folder, "prompt": text, "max_tokens": longest, "temperature": 1.0}
            async with waiting:
                answer = await client.post(f"{url}/v1/completions", json=body | {"seed": seed + i})
            if answer.status_code != 200:
                raise SystemExit(f"{url}: {answer.status_code} {answer.text[:300]}")
            return int(answer.json()["usage"]["completion_tokens"])

        return sum(await asyncio.gather(*(one(i, text) for i, text in enumerate(texts))))


def main(*words: str) -> None:
    """Alternate, and print."""
    told = dict(word.split("=") for word in words if "=" in word)
    folder = next((word for word in words if "=" not in word), str(SHIPPED))
    longest, rounds = int(told.get("longest", 64)), int(told.get("rounds", 3))
    names = ["ours", *(p for p in told.get("peers", "plain,batching").split(",") if p)]
    with contextlib.ExitStack() as stack:
        sides = {name: stack.enter_context(side(name, folder)) for name in names}
        for at in map(int, told.get("at", "1,8,32").split(",")):
            texts = [p.messages[0].text for p in openings(max(LEAST, at))]
            wall: dict[str, list[float]] = {name: [] for name in names}
            cpu: dict[str, list[float]] = {name: [] for name in names}
            for seed in range(rounds + 1):
                for name, (url, pid) in sides.items():
                    began, spent = time.perf_counter(), cpu_s(pid)
                    tokens = asyncio.run(play(url, folder, texts, at, longest, 1000 * seed))
                    if seed:  # the first round warms up
                        wall[name].append(tokens / (time.perf_counter() - began))
                        cpu[name].append(tokens / (cpu_s(pid) - spent))
            for name in names:
                show(at, name, wall, cpu)
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(f"{Path(folder).name}, longest {longest}, {rounds} rounds, {threads} threads")


def show(at: int, name: str, *paces: dict[str, list[float]]) -> None:
    """A line: by the clock, by processor time, and what ours is of each."""
    line = f"{at:3} at once  {name:9}"
    for pace, unit in zip(paces, ("s", "CPU s"), strict=True):
        middle = statistics.median(pace[name])
        ratio = statistics.median(pace["ours"]) / middle
        spread = f"({min(pace[name]):.0f} to {max(pace[name]):.0f})"
        line += f" {middle:7.0f} tokens/{unit} {spread:16} ours {ratio:5.2f} times"
    print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
