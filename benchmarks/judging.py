"""How much of a server's room is used: calls of a fixed latency, as many at once as it takes.

python benchmarks/judging.py [calls] [at_once] [milliseconds]

The ideal is calls × latency / at_once.  The server is the tests' fake in its own process; what
is measured is everything on our side, the file that keeps the answers included.
"""

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from accord.engine.calls import Calls
from accord.engine.client import Client, Endpoint
from accord.engine.llm import Ask
from accord.engine.served import Served
from accord.records import ask
from llm_fakes import Server

ROUNDS = 5


def serve(latency: float, tell: Any) -> None:
    """A fake server until it is killed."""
    server = Server()
    server.latency = latency
    tell.put(server.url)
    server.serve_forever(0.01)


def main(calls: int = 800, at_once: int = 16, milliseconds: float = 100.0) -> None:
    """Share of the room that was used, of several rounds."""
    heard = multiprocessing.get_context("spawn").Queue()
    there = multiprocessing.get_context("spawn").Process(
        target=serve, args=(milliseconds / 1000, heard), daemon=True
    )
    there.start()
    client = Client(heard.get(), Endpoint(at_once=at_once))
    ideal, shares = calls * milliseconds / 1000 / at_once, []
    for turn in range(ROUNDS):
        asks = [Ask(ask(f"Which is better, {turn} or {i}?")) for i in range(calls)]
        with tempfile.TemporaryDirectory() as folder:
            begun = time.monotonic()
            Calls(Served(client), Path(folder) / "calls.jsonl").say(asks, longest=8)
            shares.append(ideal / (time.monotonic() - begun))
    there.kill()
    told = ", ".join(f"{share:.1%}" for share in sorted(shares))
    print(f"{calls} calls of {milliseconds:g} ms, {at_once} at once: {median(shares):.1%} ({told})")


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    main(*map(int, given[:2]), *given[2:])
