"""The site in a process of its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from accord.web import serving

PROGRAM = """
import sys
from accord.web.serving import Serve, run

def ready(link):
    print(link, "torch" in sys.modules or "transformers" in sys.modules, flush=True)

run(Serve(where=sys.argv[1], port=0, open=False), None, ready)
print("down", flush=True)
"""


@contextlib.contextmanager
def served(where: Path | str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """(the process, the link that it tells, whether torch was there)."""
    src = str(Path(serving.__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(where)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": src},
    )
    try:
        assert process.stdout is not None
        link, torch = process.stdout.readline().split()
        yield process, link, torch
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
