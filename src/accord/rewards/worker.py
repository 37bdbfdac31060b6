"""The process that a rule runs in: a line of JSON in, a line of JSON out.

It is started as a script and must not load the package, nor torch: so it starts in a moment, and
whatever the rule does to it, the trainer goes on.
"""

import asyncio
import errno
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, TextIO

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

Asked = dict[str, Any]
"""prompt, messages, answer, ended"""
GRACE = 5
"""seconds after which a process whose trainer was killed ends by itself"""
MOST = 500
"""characters of an error that are told"""
USED_UP = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
"""files, memory, processes: what a process runs out of, and one of its own would have again"""


class Unusable(Exception):
    """The file or the function in it cannot be a rule; the message goes on from `rule=…: `."""


def find(file: str, name: str) -> Callable[..., Any]:
    """The function `name` of a Python file, which is run for it."""
    made = spec_from_file_location(f"rule_{Path(file).stem}", file)
    if made is None or made.loader is None:
        raise Unusable(f"{file} is not a Python file (*.py)")
    module = module_from_spec(made)
    try:
        made.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise Unusable(f"{file} does not run ({repr(error)[:MOST]})") from error
    found = getattr(module, name, None)
    if not callable(found):
        there = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise Unusable(f"{file} has no function {name!r}; it has {', '.join(there) or 'none'}")
    return found  # type: ignore[no-any-return]


def as_judge(function: Callable[..., Any]) -> Callable[[Asked], Any]:
    """A function of either form, plain or async, as one of an answer.

    `f(prompt, answer, ended)` is ours; `f(prompts, completions, **more)` is what TRL takes: it is
    called with lists of one, of texts where the prompt is plain text, else of messages.
    """
    try:
        takes = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin does not say
        takes = inspect.signature(lambda prompt, answer, ended: None).parameters
    if "completions" not in takes:
        return lambda said: _awaited(function(said["prompt"], said["answer"], said["ended"]))
    known = {"prompts": _prompts, "completions": _completions}
    named = [p for p in takes.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    strange = [p.name for p in named if p.name not in known and p.default is p.empty]
    if strange:
        raise Unusable(f"the function asks for {strange[0]!r}, which prompts do not carry")
    wanted = [p.name for p in named if p.name in known]

    def judge(said: Asked) -> Any:
        given = _awaited(function(**{name: [known[name](said)] for name in wanted}))
        if not isinstance(given, list | tuple) or len(given) != 1:
            raise TypeError(f"it returned {given!r} for one completion, not a list of one score")
        return given[0]

    return judge


def number(given: Any) -> float:
    """What a rule returned as a number; TypeError where it is none."""
    if given is None:
        raise TypeError("it returned None, not a number")
    return float(given)


def hold(gigabytes: float | None) -> None:
    """No more memory than this for the process, and as much for each that it forks: RLIMIT_DATA,
    what it can write to.  Linux alone keeps to it; elsewhere nothing is limited.
    """
    if gigabytes is None or resource is None or not sys.platform.startswith("linux"):
        return
    most = int(gigabytes * 1e9)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def used_up(error: BaseException) -> bool:
    """Whether a fresh process would not fail so: this one has run out of something."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # torch's words
        return True
    threads = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    return threads or (isinstance(error, OSError) and error.errno in USED_UP)


def silenced() -> bool:
    """Whether a rule closed what it prints to, so that the next print would fail."""
    try:
        os.fstat(1), os.fstat(2)
    except OSError:
        return True
    return any(pipe is not None and pipe.closed for pipe in (sys.stdout, sys.stderr))


def _awaited(given: Any) -> Any:
    return asyncio.run(_whole(given)) if inspect.isawaitable(given) else given


async def _whole(given: Any) -> Any:
    return await given


def _plain(said: Asked) -> bool:
    return bool(said["messages"] == [{"role": "user", "content": said["prompt"]}])


def _prompts(said: Asked) -> Any:
    return said["prompt"] if _plain(said) else said["messages"]


def _completions(said: Asked) -> Any:
    answer = said["answer"]
    return answer if _plain(said) else [{"role": "assistant", "content": answer}]


def _serve(asks: TextIO, answers: TextIO) -> None:
    me = os.getpid()
    given: dict[str, Any]

    def tell(**said: Any) -> None:
        if os.getpid() != me:  # the rule forked, and its child came back here
            os._exit(0)
        answers.write(json.dumps(said) + "\n")
        answers.flush()

    told = json.loads(asks.readline())
    sys.path[:] = told["path"]
    hold(told["memory"])
    try:
        judge = as_judge(find(told["file"], told["name"]))
    except Unusable as error:
        return tell(unusable=str(error))
    tell(ready=True)
    for line in asks:
        signal.alarm(int(told["seconds"]) + GRACE)  # kills, also where the rule holds the lock
        try:
            given, spent = {"score": number(judge(json.loads(line)))}, False
        except BaseException as error:  # noqa: BLE001  a user's rule may fail in any way
            given, spent = {"reason": f"{type(error).__name__}: {error}"[:MOST]}, used_up(error)
        tell(**given, **({"spent": True} if spent or silenced() else {}))
        signal.alarm(0)


def _main() -> None:
    """The pipes are moved where neither a print nor an input() of the rule reaches them."""
    with os.fdopen(os.dup(0)) as asks, os.fdopen(os.dup(1), "w") as answers:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        _serve(asks, answers)


if __name__ == "__main__":
    _main()
