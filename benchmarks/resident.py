"""What `accord plan` says of a job beside the most memory that its process then holds.

    python benchmarks/resident.py model=path/to/model [tiny=path/to/small/model]

Each job is the real command in a process of its own, two steps of 16 rows on a CPU; measured is its
VmHWM.  The first line is what the libraries take: VmRSS with the job's imports and the tiny model.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from accord.config import read
from accord.engine.roles import Policy
from accord.recipes.job import Desk
from accord.recipes.plan import BESIDE, Plan, run_plan
from accord.records import ask

ROWS = 16
WORDS = 60
"""of a prompt, and of an answer"""
TELL = "print([x.split()[1] for x in open('/proc/self/status') if x.startswith({!r})][0])"
OPEN = "import sys, accord.recipes.jobs as j; j.Policy.open(sys.argv[1])\n"
RUN = "import sys\nfrom accord.cli import main\ntry:\n    main()\nfinally:\n    "
JOBS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("sft, whole", "sft", ()),
    ("sft, whole, bf16", "sft", ("dtype=bf16",)),
    ("sft, LoRA", "sft", ("lora=Lora",)),
    ("reward, whole", "reward", ()),
    ("reward, recompute", "reward", ("optimizer.recompute=true",)),
    ("ppo, a rule", "ppo", ()),
    ("ppo, a rule, LoRA", "ppo", ("lora=Lora",)),
)


def held(code: str, *words: str) -> int:
    """Bytes that a process of its own says last."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1]) * 1024


def prepared(home: Path) -> dict[str, tuple[str, ...]]:
    """Files of equal rows, each with a prompt of its own; the words of each command."""
    texts = [(f"{n} " + "the " * WORDS, "cat " * WORDS, "dog " * WORDS) for n in range(2 * ROWS)]
    kinds = {
        "sft": [{"prompt": p, "response": a} for p, a, _ in texts],
        "reward": [{"prompt": p, "chosen": a, "rejected": b} for p, a, b in texts],
        "ppo": [{"prompt": p} for p, _, _ in texts],
    }
    for kind, rows in kinds.items():
        (home / f"{kind}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (home / "rule.py").write_text("def rule(prompt, answer, ended):\n    return len(answer) / 7\n")
    rule = (f"prompts={home}/ppo.jsonl", f"rule={home}/rule.py:rule", "critic=zero", "steps=2")
    return {
        "sft": (f"data={home}/sft.jsonl", "held_out=0"),
        "reward": (f"data={home}/reward.jsonl", "held_out=0"),
        "ppo": (*rule, "epochs=1"),
    }


def main(*words: str) -> None:
    """A table of megabytes."""
    given = dict(word.split("=", 1) for word in words)
    model = given["model"]
    speller = Policy.open(model).speller
    asked, said = speller.demonstration(ask("0 " + "the " * WORDS), "cat " * WORDS)
    base = held(OPEN + TELL.format("VmRSS"), given.get("tiny", model))
    print(f"libraries: {base / 1e6:.0f} MB", flush=True)
    print(f"{'job':20} {'tensors':>8} {'plan':>8} {'measured':>9} {'off by':>7}")
    with TemporaryDirectory() as folder:
        own = prepared(Path(folder))
        for n, (name, work, more) in enumerate(JOBS):
            sizes = (f"prompt={len(asked)}", f"longest={len(said)}", f"batch={ROWS}")
            rule = ("judge=false",) if work == "ppo" else ()
            plan = read(Plan, None, (f"model={model}", f"work={work}", *sizes, *rule, *more))
            planned = run_plan(Desk((), print), plan)
            parts = planned.estimate.phases[planned.estimate.peak]
            tensors = sum(size for part, size in parts.items() if part != BESIDE)
            long = (f"longest={len(said)}",) if work == "ppo" else ()
            job = (work, f"model={model}", f"out={folder}/{n}", f"batch={ROWS}", *long)
            found = held(RUN + TELL.format("VmHWM"), *job, *own[work], *more)
            figures = f"{tensors / 1e6:8.0f} {planned.need / 1e6:8.0f} {found / 1e6:9.0f}"
            print(f"{name:20} {figures} {planned.need / found - 1:+7.1%}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
