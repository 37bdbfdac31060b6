"""How a worker and the bench speak: the bench says "go", the worker works a round and reports.

At "count" it works a round more slowly and also says how many products it computed.  Only torch
beside the standard library, since every peer imports it in an environment of its own.  Two workers
are never at work at once: whoever is not asked waits for a line on its standard input.
"""

import json
import math
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

MARK = "@bench "
"""before a line that is meant for the bench; whatever else a library prints is not"""


class Pace:
    """A worker's side.  `turn` ends a step, and after `steps` of them a round."""

    told = False
    """whether the counter knows oneDNN's products"""

    def __init__(self, steps: int = 1) -> None:
        self._steps, self._done, self._sum = steps, 0, (0.0, 0.0)
        self._began: tuple[float, float] | None = None
        self._counter: Any = None
        self._empty = 0.0

    def empty(self) -> None:
        """The libraries are there, and no model yet: what stands in memory so far is theirs."""
        if not self._empty:
            self._empty = _resident()

    def turn(self, samples: float = 0, tokens: float = 0) -> None:
        """Report the round that is over (the first call: readiness) and wait to be asked again.

        `samples` and `tokens` are what the step really worked on, padding not counted.
        """
        if self._began is None:
            _say({"ready": True, "pid": os.getpid()})
        else:
            self._done += 1
            self._sum = self._sum[0] + samples, self._sum[1] + tokens
            if self._done < self._steps:
                return
            (samples, tokens), self._done, self._sum = self._sum, 0, (0.0, 0.0)
            wall, cpu = self._began
            told = {
                "samples": samples,
                "tokens": tokens,
                "seconds": time.perf_counter() - wall,
                "cpu": time.process_time() - cpu,
                "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "empty": self._empty,
            }
            if self._counter is not None:
                self._counter.__exit__(None, None, None)
                told["gflop"] = self._counter.get_total_flops() / 1e9
                self._counter = None
            _say(told)
        order = sys.stdin.readline().strip()
        if order == "count":
            self._counter = _counter()
        elif order != "go":
            sys.stdout.flush()
            os._exit(0)  # no trainer is to save, upload or say goodbye
        self._began = time.perf_counter(), time.process_time()


def texts(folder: Path, told: dict[str, str]) -> tuple[list[Any], list[Any], int]:
    """Prompts, two answers to each, and the end, as ids; `length=`: cut to half of it each."""
    data = json.loads((folder / told.get("data", "data.json")).read_text())
    half = int(told["length"]) // 2 if "length" in told else None
    pairs = [[answer[:half] for answer in few] for few in data["pairs"]]
    return [prompt[:half] for prompt in data["prompts"]], pairs, data["end"]


def _counter() -> Any:
    """Counts the matrix products of a round (attention's own, a few per cent, are not seen)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

    if not Pace.told and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        Pace.told = True

        @register_flop_formula(torch.ops.mkldnn._linear_pointwise)
        def _(x: Any, weight: Any, *_: Any, out_shape: Any, **__: Any) -> int:
            return 2 * math.prod(x) * out_shape[-1]  # type: ignore[no-any-return]

    counter = FlopCounterMode(display=False)
    counter.__enter__()
    return counter


def _resident() -> float:
    """Megabytes of this process that stand in memory now; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as told:
            return int(told.read().split()[1]) * resource.getpagesize() / 2**20
    except OSError:
        return 0.0


def _say(told: dict[str, Any]) -> None:
    print(MARK + json.dumps(told), flush=True)
