"""How a worker and the bench speak: the bench says "go", the worker works a round and reports.

Standard library only, since every peer imports it in an environment of its own.  Two workers are
never at work at once: whoever is not asked waits for a line on its standard input.
"""

import json
import os
import resource
import sys
import time
from typing import Any

MARK = "@bench "
"""before a line that is meant for the bench; whatever else a library prints is not"""


class Pace:
    """A worker's side.  `turn` ends a round and waits for the next."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None

    def turn(self, samples: float = 0, tokens: float = 0) -> None:
        """Report the round that is over (the first call: readiness) and wait to be asked again.

        `samples` and `tokens` are what the round really worked on, padding not counted.
        """
        if self._began is None:
            _say({"ready": True, "pid": os.getpid()})
        else:
            wall, cpu = self._began
            _say(
                {
                    "samples": samples,
                    "tokens": tokens,
                    "seconds": time.perf_counter() - wall,
                    "cpu": time.process_time() - cpu,
                    "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                }
            )
        if sys.stdin.readline().strip() != "go":
            sys.stdout.flush()
            os._exit(0)  # no trainer is to save, upload or say goodbye
        self._began = time.perf_counter(), time.process_time()


def _say(told: dict[str, Any]) -> None:
    print(MARK + json.dumps(told), flush=True)
