"""Accord beside its peers: the same model, ids, batch, precision and threads, in turns, in one run.

    make bench                                     everything; about half an hour on two cores
    python benchmarks/bench.py tasks=sft,reward rounds=6 threads=1 dtype=fp32
    python benchmarks/bench.py tasks=memory         of a larger model: see footprint.py

Each peer lives in a virtual environment of its own below .bench/, made at the first call.  Workers
are loaded first and then asked for one round each, in turn, so that what else the machine does hits
all of them.  What is compared is samples per second; the headline is the peer as tuned as we could.
Printed and kept: a table, .bench/results.json, .bench/bench.png.  Nothing is asserted.
"""

import json
import os
import statistics
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pace import MARK

HERE = Path(__file__).resolve().parent
HOME = HERE.parent / ".bench"
LIMIT = "limit"
"""a worker that does nothing but multiply, in turn with the others"""


@dataclass(frozen=True)
class Peer:
    """Who else does the same work: an environment, and the words of its worker."""

    name: str
    home: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One comparison."""

    name: str
    work: str
    words: tuple[str, ...]
    peers: tuple[Peer, ...]
    ours: tuple[str, ...] = ()


def _trl(home: str, *tuned: str, given: str = "micro=8") -> tuple[Peer, ...]:
    as_given = Peer("as given", home, (*given.split(), "as=given"))
    as_tuned = [Peer(f"tuned, {few}", home, (*few.split(), "as=tuned")) for few in tuned]
    return (as_given, *as_tuned)


_PPO = _trl("trl-1.12", "micro=4 rollout=32", "micro=8 rollout=16", given="micro=8 rollout=64")
_GENERATE = (
    Peer("generate", "trl-1.16", ("as=given",)),
    Peer("generate, static cache", "trl-1.16", ("as=tuned", "cache=static")),
    Peer("continuous batching", "trl-1.16", ("as=tuned", "cache=continuous")),
)
_GROUPS = ("batch=64", "group=8")
"""eight answers to each of eight prompts; how long they get is each side's own chance, so that the
ratio to quote is that of generated tokens"""
EPOCH = ("batch=32", "steps=15")
"""a round sees every row once: a peer that sorts by length has long steps and short ones"""
TASKS = (
    Task("SFT", "sft", EPOCH, _trl("trl-1.16", "micro=4", "micro=8")),
    Task("reward model", "reward", EPOCH, _trl("trl-1.16", "micro=2", "micro=4")),
    Task("DPO", "dpo", EPOCH, _trl("trl-1.16", "micro=2", "micro=4")),
    Task("PPO, equal lengths", "ppo", ("batch=32", "longest=64", "epochs=4", "model=even"), _PPO),
    Task("PPO, uneven lengths", "ppo", ("batch=32", "epochs=4"), _PPO),
    Task("PPO, uneven, 1 epoch", "ppo", ("batch=32", "epochs=1"), _PPO),
    Task("GRPO, uneven lengths", "grpo", _GROUPS, _trl("trl-1.16", "micro=8", "micro=16")),
    Task("RLOO, uneven lengths", "rloo", _GROUPS, _trl("trl-1.16", "micro=8", "micro=16")),
    Task("sampling, uneven", "sampling", ("batch=128", "n=4"), _GENERATE),
    Task("sampling, uneven, bf16", "sampling", ("batch=128", "n=4", "dtype=bf16"), _GENERATE),
)


class Worker:
    """A process that works when asked."""

    def __init__(self, python: Path, script: str, words: Sequence[str], log: IO[str]):
        threads = next(word for word in words if word.startswith("threads="))[8:]
        env = {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads),
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        self._process = subprocess.Popen(
            [str(python), str(HERE / script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=env,
        )
        self._name = f"{script} {' '.join(words)}"
        self._hear()

    def round(self, order: str = "go") -> dict[str, float]:
        """One round's report."""
        assert self._process.stdin
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._hear()

    def stop(self) -> None:
        """Enough."""
        self._process.communicate("end\n")

    def _hear(self) -> dict[str, float]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(MARK):
                told: dict[str, float] = json.loads(line.removeprefix(MARK))
                return told
        raise SystemExit(f"{self._name}: broke off; see {HOME}/bench.log")


def python(peer: str) -> Path:
    """The interpreter of a peer's environment, made and filled at the first call."""
    home = HOME / peer
    ready = home / "ready"
    if not ready.exists():
        print(f"setting up {peer}: once, a few minutes", flush=True)
        venv.create(home, with_pip=True, clear=True)
        pip = [str(home / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(HERE / "peers" / f"{peer}.txt")], check=True)
        ready.touch()
    return home / "bin" / "python"


def compare(task: Task, rounds: int, common: Sequence[str]) -> dict[str, Any]:
    """All sides in turn; the first round warms up, the last counts products."""
    stuff = str(HOME / "stuff")
    with (HOME / "bench.log").open("a") as log:
        words = (task.work, stuff, *task.words, *common)
        sides = {"Accord": Worker(Path(sys.executable), "ours.py", (*words, *task.ours), log)}
        for peer in task.peers:
            sides[peer.name] = Worker(python(peer.home), "theirs.py", (*words, *peer.words), log)
        limit = Worker(
            Path(sys.executable),
            "ours.py",
            ("limit", stuff, "batch=0", *_precision(task), *common),
            log,
        )
        for side in (*sides.values(), limit):
            side.round()
        told: dict[str, list[dict[str, float]]] = {name: [] for name in (*sides, LIMIT)}
        for _ in range(rounds):
            for name, side in (*sides.items(), (LIMIT, limit)):
                told[name].append(side.round())
        counted = {name: side.round("count") for name, side in sides.items()}
        for side in (*sides.values(), limit):
            side.stop()
    most = [report["samples"] / report["cpu"] for report in told.pop(LIMIT)]
    shown = _sides(told)
    for name, report in counted.items():
        each = report["gflop"] / report["samples"]
        rates = [each * r["samples"] / r["cpu"] for r in told[name]]
        shown[name]["gflop_per_sample"] = each
        shown[name]["of_limit"] = statistics.median(a / b for a, b in zip(rates, most, strict=True))
    return {"task": task.name, "words": words[2:], "limit": most, "sides": shown}


def _precision(task: Task) -> tuple[str, ...]:
    return tuple(word for word in task.words if word.startswith("dtype="))


def _sides(told: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Medians, and how many times as fast Accord was: the median over rounds of the ratio."""

    def pace(report: dict[str, float], clock: str) -> float:
        return report["samples"] / report[clock]

    mine = told["Accord"]
    return {
        name: {
            "samples_per_second": statistics.median(pace(r, "seconds") for r in reports),
            "tokens_per_second": statistics.median(r["tokens"] / r["seconds"] for r in reports),
            "peak_mb": max(r["rss"] for r in reports),
            "ratio": statistics.median(
                pace(a, "seconds") / pace(b, "seconds") for a, b in zip(mine, reports, strict=True)
            ),
            "ratio_cpu": statistics.median(
                pace(a, "cpu") / pace(b, "cpu") for a, b in zip(mine, reports, strict=True)
            ),
            "ratio_tokens_cpu": statistics.median(
                a["tokens"] / a["cpu"] / (b["tokens"] / b["cpu"])
                for a, b in zip(mine, reports, strict=True)
            ),
            "rounds": reports,
        }
        for name, reports in told.items()
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """For people, and for docs/performance.md."""
    lines = [
        "| task | side | samples/s | ratio, wall | ratio, CPU | per token, CPU | GFLOP a sample "
        "| of the limit | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for name, side in result["sides"].items():
            lines.append(
                f"| {result['task']} | {name} | {side['samples_per_second']:.2f} | "
                f"{side['ratio']:.2f} | {side['ratio_cpu']:.2f} | {side['ratio_tokens_cpu']:.2f} | "
                f"{side['gflop_per_sample']:.2f} | "
                f"{side['of_limit']:.0%} | {side['peak_mb']:.0f} |"
            )
    return "\n".join(lines)


def plot(results: Sequence[dict[str, Any]], file: Path) -> None:
    """Ratios by CPU second as bars; the line at 1 is Accord."""
    import matplotlib.pyplot as plt

    bars = [
        (f"{r['task']}\n{name}", side["ratio_cpu"])
        for r in results
        for name, side in r["sides"].items()
        if name != "Accord"
    ]
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(bars) + 1))
    names, ratios = zip(*bars, strict=True)
    drawn = axes.barh(range(len(bars)), ratios, color="#3b6ea5")
    axes.bar_label(drawn, fmt="%.1f×", padding=3)
    axes.set_yticks(range(len(bars)), names, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1, color="#888888", linewidth=1)
    axes.set_xlabel("times as many samples per CPU second with Accord")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=130)


def main(*words: str) -> None:
    """Make what is missing, compare, print and keep."""
    told = dict(word.split("=", 1) for word in words)
    HOME.mkdir(exist_ok=True)
    if told.get("tasks") == "memory":
        import footprint

        return footprint.main(told)
    if not (HOME / "stuff" / "data.json").exists():
        print("making the model and its texts: once, two minutes", flush=True)
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(
            [sys.executable, str(HERE / "stuff.py"), str(HOME / "stuff")], check=True, env=env
        )
    chosen = told.get("tasks", "").split(",")
    tasks = [task for task in TASKS if chosen == [""] or task.work in chosen]
    common = (f"threads={told.get('threads', '1')}",)
    results = []
    for task in tasks:
        print(f"{task.name} …", flush=True)
        results.append(compare(task, int(told.get("rounds", 5)), common))
        (HOME / "results.json").write_text(json.dumps(results, indent=1))
    print(table(results))
    plot(results, HOME / "bench.png")
    print(f"kept in {HOME}/results.json, {HOME}/bench.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
