"""How fast the feedback site starts.

python benchmarks/starting.py   seconds from the command to the first page, empty folder
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

SRC = Path(__file__).resolve().parents[1] / "src"
TIMES = 5


def started() -> tuple[float, float, float]:
    """Seconds until the link is told, until its page is there, and of processor time until then."""
    command = [sys.executable, "-m", "accord", "serve", "port=0", "open=false"]
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SRC), "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        link = process.stdout.readline().split()[-1]
        told = time.perf_counter() - begin
        page = httpx.get(link, headers={"accept": "text/html"}, follow_redirects=True, timeout=30)
        assert "Try it with sample pairs" in page.text, page.status_code
        shown = time.perf_counter() - begin
        used = sum(float(n) for n in Path(f"/proc/{process.pid}/stat").read_text().split()[13:15])
        process.terminate()
        process.stdout.read()
        process.wait()
    return told, shown, used / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Five starts, after one that does not count."""
    started()  # byte code and files are at hand afterwards
    rows = [started() for _ in range(TIMES)]
    for name, seconds in zip(
        ("link told", "first page", "processor time"), zip(*rows, strict=True), strict=True
    ):
        low, high = min(seconds), max(seconds)
        print(f"{name:15} median {statistics.median(seconds):.2f} s ({low:.2f} to {high:.2f})")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
