"""What a language model was asked and said, kept: nothing is asked twice, and nothing beyond the
budget.

Every answer is a line of a file as soon as it is there.  The same ask of the same model, whenever,
is answered from the file.  What could not be answered is written too, for people to read, and is
asked again by the next process.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from accord.config.limits import Count
from accord.data.pictures import is_file
from accord.engine.draw import Sampling
from accord.engine.llm import LLM, Ask, Spoken, Streams
from accord.errors import BudgetSpent, RunMismatch
from accord.records import Invalid
from accord.records.plain import messages
from accord.store import files, journal
from accord.store.journal import Journal

SYNC_SECONDS = 1.0
"""between two times that the file is brought to the disk: what a power cut can cost"""
WORD = " word"
"""of a dry run: about a token"""
Heard = Spoken | tuple[float, ...] | Invalid


@dataclass(frozen=True)
class Budget:
    """What asking may cost.  What is under way when the tokens are spent is still paid for."""

    calls: Count | None = None
    """the most asks that are sent"""
    tokens: Count | None = None
    """the most tokens, read and written together"""
    read_price: float = 0.0
    """of a million tokens read, in any currency: only to be told"""
    written_price: float = 0.0
    """of a million tokens written"""


@dataclass
class Spent:
    """What was asked so far, in this process and those before."""

    calls: int = 0
    read: int = 0
    """tokens"""
    written: int = 0
    """tokens"""

    def add(self, read: int, written: int) -> None:
        """One ask more."""
        self.calls += 1
        self.read += read
        self.written += written

    def told(self, budget: Budget) -> str:
        """For people."""
        cost = (self.read * budget.read_price + self.written * budget.written_price) / 1e6
        priced = f", which costs {cost:.4g}" if cost else ""
        return (
            f"{self.calls:,} calls, {self.read:,} tokens read and {self.written:,} written{priced}"
        )

    def left(self, budget: Budget, sent: int) -> bool:
        """Whether another may be asked, where so many were sent in all."""
        fine = budget.calls is None or sent < budget.calls
        return fine and (budget.tokens is None or self.read + self.written < budget.tokens)


class Calls:
    """An LLM that keeps what another one says.  Without a file it only counts."""

    def __init__(
        self,
        llm: LLM,
        file: Path | None,
        budget: Budget = Budget(),
        tell: Callable[[str], None] = lambda _: None,
    ):
        self.llm, self.budget, self.tell = llm, budget, tell
        self.spent, self.replayed = Spent(), 0
        """`replayed`: asks that this process answered from the file"""
        self._known: dict[str, Heard] = {}
        self._journal = Journal(file)
        self._synced = time.monotonic()
        if file is not None:
            with files.writing(str(file)):
                file.parent.mkdir(parents=True, exist_ok=True)
        for line, row in enumerate(journal.mended(file) if file else (), 1):
            self._learn(row, f"{file}:{line}")

    @property
    def which(self) -> str:
        """Who is asked."""
        return self.llm.which

    def say(
        self, asks: Sequence[Ask], *, longest: int, how: Sampling = Sampling()
    ) -> list[Spoken | Invalid]:
        """An answer to each, in order.  BudgetSpent where it does not reach: the answers that
        were given by then are kept.
        """
        more = {"longest": longest, "how": asdict(how)}
        keys = [self._key("say", ask, more) for ask in asks]

        def stream(places: Iterator[int]) -> Iterator[tuple[int, Spoken | Invalid]]:
            few = (asks[place] for place in places)
            if isinstance(self.llm, Streams):
                yield from self.llm.saying(few, longest=longest, how=how)
            else:
                for at, ask in enumerate(few):
                    yield at, self.llm.say([ask], longest=longest, how=how)[0]

        return self._all(keys, asks, stream)

    def weigh(
        self, asks: Sequence[Ask], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...] | Invalid]:
        """log p of the options of each, in order; BudgetSpent likewise."""
        every = list(zip(asks, options, strict=True))
        keys = [self._key("weigh", ask, {"options": list(few)}) for ask, few in every]

        def stream(places: Iterator[int]) -> Iterator[tuple[int, tuple[float, ...] | Invalid]]:
            few = (every[place] for place in places)
            if isinstance(self.llm, Streams):
                yield from self.llm.weighing(few)
            else:
                for at, (ask, given) in enumerate(few):
                    yield at, self.llm.weigh([ask], [given])[0]

        return self._all(keys, asks, stream)

    # --- how ---

    def _all(
        self,
        keys: Sequence[str],
        asks: Sequence[Ask],
        stream: Callable[[Iterator[int]], Iterator[tuple[int, Any]]],
    ) -> list[Any]:
        """What is known, and of the rest each key once."""
        firsts = {key: place for place, key in reversed(list(enumerate(keys)))}
        todo = [place for place, key in enumerate(keys) if firsts[key] == place]
        todo = [place for place in todo if keys[place] not in self._known]
        self.replayed += len(keys) - len(todo)
        stopped, before = False, self.spent.calls

        def within() -> Iterator[int]:
            nonlocal stopped
            for sent, place in enumerate(todo):
                if not self.spent.left(self.budget, before + sent):
                    stopped = True
                    return
                yield place

        heard: dict[str, Heard] = {}
        try:
            for at, told in stream(within()):
                heard[keys[todo[at]]] = given = _finite(told)
                self._keep(keys[todo[at]], asks[todo[at]], given)
        finally:
            self._journal.sync()
        if stopped:
            raise BudgetSpent(
                f"the budget is spent with {len(todo) - len(heard):,} of {len(todo):,} still to be "
                f"asked: {self.spent.told(self.budget)}. What was answered is kept; the same "
                "command with a larger budget goes on"
            )
        return [heard[key] if key in heard else self._known[key] for key in keys]

    def _keep(self, key: str, ask: Ask, given: Heard) -> None:
        row: dict[str, Any] = {"key": key}
        read = written = 0
        if isinstance(given, Invalid):
            row["invalid"] = given.reason
        elif isinstance(given, Spoken):
            row |= asdict(given)
            read, written = given.read, given.written
        else:
            read = tokens(ask)  # nobody says how many they were
            row |= {"logp": list(given), "read": read}
        self.spent.add(read, written)
        self._journal.append([row])
        if not isinstance(given, Invalid):
            self._known[key] = given
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self._journal.sync()
            self._synced = time.monotonic()

    def _learn(self, row: Any, where: str) -> None:
        """A line of the file."""
        try:
            if not isinstance(row, dict):
                raise TypeError("no object")
            key = row.pop("key")
            if "invalid" not in row:
                logp = row.get("logp")
                self._known[key] = Spoken(**row) if logp is None else _odds(logp)
                if logp is None and not isinstance(row["text"], str):
                    raise TypeError("its text is none")
            self.spent.add(row.get("read", 0), row.get("written", 0))
        except (LookupError, TypeError, ValueError) as error:
            raise RunMismatch(
                f"{where}: a line that is no call ({error}): take it out, or give another folder "
                "(out=…)"
            ) from error

    def _key(self, kind: str, ask: Ask, more: dict[str, Any]) -> str:
        """SHA-256 of all that decides an answer."""
        talk = messages(ask.messages)
        told = [self.llm.which, kind, talk, ask.opened, ask.seed, more, *_pictures(ask)]
        told += [{"response_format": ask.form}] if ask.form else []
        return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _pictures(ask: Ask) -> list[str]:
    """What the pictures of a question hold: another file of the same name is another question."""
    paths = [Path(image.path) for message in ask.messages for image in message.images]
    return [sha256(path.read_bytes()).hexdigest() for path in paths if is_file(path)]


def _odds(logp: Any) -> tuple[float, ...]:
    """Of a line; ValueError for what no model gives."""
    told = tuple(map(float, logp))
    if not all(map(math.isfinite, told)):
        raise ValueError(f"log p of its options is {list(told)}")
    return told


def _finite(given: Heard) -> Heard:
    """The answer; Invalid where an option has no finite log-probability."""
    if isinstance(given, tuple) and not all(map(math.isfinite, given)):
        return Invalid(f"log p of its options is {list(given)}")
    return given


class Dry:
    """An LLM that nobody is: it says as much as it may, so that what hangs on it is counted too."""

    def __init__(self, which: str):
        self.which = which

    def say(
        self, asks: Sequence[Ask], *, longest: int, how: Sampling = Sampling()
    ) -> list[Spoken | Invalid]:
        """Words without sense, other ones for other dice."""
        return [Spoken(f" {ask.seed}{WORD * longest}", True, tokens(ask), longest) for ask in asks]

    def weigh(
        self, asks: Sequence[Ask], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...] | Invalid]:
        """Options alike."""
        return [(0.0,) * len(few) for few in options]


def tokens(ask: Ask) -> int:
    """About how many tokens it is: one for four bytes of text, as in English."""
    told: Iterable[str] = (ask.opened, *(message.text for message in ask.messages))
    return 1 + sum(len(text.encode(errors="replace")) for text in told) // 4
