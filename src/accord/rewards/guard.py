"""A rule behind a wall: in a process of its own, with a deadline, and killed where it hangs."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from accord.config.limits import Above0, Count
from accord.errors import BadSettings
from accord.records import Invalid, Rollout
from accord.rewards import worker
from accord.rewards.base import Score
from accord.rewards.reader import Reader, Said
from accord.rewards.rules import called, parts

START = 120.0
"""seconds that a rule's file may take to load: it may import torch"""
GLANCE = 0.2
"""seconds between two looks at whether the process still lives"""
SHOWN = 100
"""bytes of what is no answer that are told"""
HEARD = 1 << 16
"""bytes of what a process prints that are shown"""


@dataclass(frozen=True)
class Guard:
    """How a rule is kept from harming the run."""

    seconds: Above0 = 10.0
    """the longest it may take over one answer; then its process is killed, the answer invalid"""
    processes: Count = 1
    """how many answers are judged at once; with more than one, a rule that remembers forgets"""
    memory: Above0 | None = 8.0
    """GB that each process may write to (importing torch takes 0.2); beyond, the answer is invalid
    and the process begins anew; none: no limit.  On Linux alone"""


class Guarded:
    """The function at `file.py:function`, in processes that may hang, crash, fork or die.

    Whatever becomes of them, that one answer is Invalid with the reason, and the next one gets a
    new process.  BadSettings where the file cannot be a rule.
    """

    def __init__(self, spec: str, reader: Reader, guard: Guard = Guard()):
        self.reader, self.guard = reader, guard
        path, name = parts(spec)
        self.which = called(name, path)
        self._crew = [_Process(spec, path, name, guard) for _ in range(guard.processes)]
        self._crew[0].start()

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        said = self.reader(rollouts)
        if len(self._crew) == 1:
            return [self._crew[0].judge(one) for one in said]
        free: SimpleQueue[_Process] = SimpleQueue()
        for process in self._crew:
            free.put(process)

        def judge(one: Said) -> Score:
            process = free.get()
            try:
                return process.judge(one)
            finally:
                free.put(process)

        with ThreadPoolExecutor(len(self._crew)) as pool:
            return list(pool.map(judge, said))


class _Process:
    """One worker, started again when it is needed after it died."""

    def __init__(self, spec: str, file: Path, name: str, guard: Guard):
        self.spec, self.guard = spec, guard
        self._told = {
            "file": str(file),
            "name": name,
            "seconds": guard.seconds,
            "memory": guard.memory,
        }
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """A fresh worker that has loaded the rule; BadSettings where it cannot."""
        # a session of its own: what the rule starts can be killed with it
        self._running = subprocess.Popen(
            [sys.executable, "-P", worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        for pipe in (self._running.stdin, self._running.stdout):
            os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]
        weakref.finalize(self, _kill, self._running)
        threading.Thread(target=_hear, args=(self._running, self.spec), daemon=True).start()
        given = self._ask({**self._told, "path": sys.path}, START)
        if isinstance(given, Invalid):
            raise BadSettings(f"rule={self.spec}: loading it failed: {given.reason}")
        if "unusable" in given:
            why = given["unusable"]
            why = self._limited(why) if "MemoryError" in why else why
            raise BadSettings(f"rule={self.spec}: {why}")

    def judge(self, said: Said) -> Score:
        """The rule's score of one answer, or why there is none."""
        if self._running is None:
            self.start()
        asked = {"prompt": said.prompt, "messages": said.messages}
        given = self._ask({**asked, "answer": said.answer, "ended": said.ended}, self.guard.seconds)
        if isinstance(given, Invalid):
            return given
        if "spent" in given:
            self._end()  # what this process has used up, or closed, the next one has again
        if "spent" in given and "reason" in given:
            return Invalid(self._limited(given["reason"]))
        if "reason" in given:
            return Invalid(given["reason"])
        score = float(given["score"])
        return score if abs(score) < float("inf") else Invalid(f"the score is {score}")

    def _limited(self, reason: str) -> str:
        """The reason, with the limit where it is memory that was short."""
        if self.guard.memory is None or not re.search("memory", reason, re.IGNORECASE):
            return f"{reason}; its process was ended"
        return f"{reason}; it may use {self.guard.memory:g} GB (guard.memory)"

    def _ask(self, said: dict[str, Any], seconds: float) -> dict[str, Any] | Invalid:
        assert self._running is not None
        line = b""
        try:
            line = _exchange(self._running, json.dumps(said).encode() + b"\n", seconds)
            told = json.loads(line)
            if not isinstance(told, dict):
                raise TypeError
            return told
        except TimeoutError:
            why = f"no answer within {seconds:g} s; its process was killed"
        except (EOFError, BrokenPipeError):
            with suppress(subprocess.TimeoutExpired):
                self._running.wait(1)
            why = f"its process died ({_death(self._running.returncode)})"
        except (ValueError, TypeError):  # it wrote where the answers go
            why = f"its process gave no answer but {line[:SHOWN]!r}, and was killed"
        except BaseException:
            self._end()  # interrupted in mid-sentence: the next answer would be this one's
            raise
        self._end()
        return Invalid(why)

    def _end(self) -> None:
        if self._running is not None:
            _kill(self._running)
            self._running = None


def _exchange(process: subprocess.Popen[bytes], line: bytes, seconds: float) -> bytes:
    """Write a line and read one; TimeoutError or EOFError where none comes."""
    assert process.stdin is not None
    assert process.stdout is not None
    into, out = process.stdin.fileno(), process.stdout.fileno()
    wait, given, end = select.poll(), b"", time.monotonic() + seconds
    wait.register(into, select.POLLOUT)
    wait.register(out, select.POLLIN)
    while not given.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        ready = wait.poll(1000 * min(left, GLANCE))
        for pipe, _ in ready:
            if pipe == into:
                line = line[os.write(into, line) :]
                if not line:
                    wait.unregister(into)
            elif some := os.read(out, 1 << 16):
                given += some
            else:
                raise EOFError
        if not ready and process.poll() is not None:  # a child that it forked holds the pipe
            raise EOFError
    return given


def _hear(process: subprocess.Popen[bytes], spec: str) -> None:
    """Passes on what a process prints, and of a flood only the beginning."""
    assert process.stderr is not None
    left = HEARD
    with process.stderr as pipe, suppress(OSError, ValueError):
        while some := os.read(pipe.fileno(), 1 << 16):
            if left <= 0:
                continue
            _show(some[:left])
            left -= len(some)
            if left <= 0:
                _show(f"\n{spec} prints more than {HEARD} bytes: the rest is not shown\n".encode())


def _show(some: bytes) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, some)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a worker, and all that its rule started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
