"""A model that answers many at once: one thread steps it, any number of coroutines listen.

The thread alone touches the model.  What is asked and who leaves reaches it through one queue; what
was said goes back to the event loop in one call a step.
"""

import asyncio
import itertools
import math
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from accord.engine.budget import exhausted
from accord.engine.draw import Sampling, key
from accord.engine.roles import Policy
from accord.engine.seats import Request, Slot, Told
from accord.engine.stream import Stream
from accord.errors import AccordError, BadSettings
from accord.records import Ids
from accord.serve.wrong import Wrong
from accord.text.hearing import Hearing

AGAIN_S = 1, 60
"""a client is told to come again after at least and at most so long"""


@dataclass(frozen=True)
class Order:
    """What one request wants: n answers to each of its prompts."""

    prompts: tuple[Ids, ...]
    seed: int
    n: int = 1
    how: Sampling = field(default_factory=Sampling)
    longest: int | None = None
    """the most tokens of an answer; 0: the prompts are only read; none: what the context leaves"""
    best: int | None = None
    """so many likeliest tokens are told of every token; none: nothing is"""
    stops: tuple[str, ...] = ()
    reads: bool = False
    """whether the tokens of the prompts are told of too, before the answers"""


@dataclass(frozen=True)
class Piece:
    """Something more of one answer."""

    index: int
    """of the answer: prompt by prompt, n of each"""
    text: str
    tokens: tuple[tuple[int, Told], ...] = ()
    """where it was wanted, what was thought of each, an end left out; text may come later"""
    count: int = 0
    """tokens, an end included"""
    finish: str = ""
    """stop | length, of the last piece"""
    prompt: bool = False
    """whether the tokens are those of the prompt, from its second on"""


@dataclass(eq=False)
class Line:
    """Where one request hears its answers; closed by who is no longer interested."""

    order: Order
    loop: asyncio.AbstractEventLoop
    hang_up: Callable[["Line"], None]
    held: Sequence[object] = ()
    """pictures in its prompts, for as long as the model may look at them"""
    heard: "asyncio.Queue[Piece | Wrong]" = field(default_factory=asyncio.Queue)
    slots: list[Slot] = field(default_factory=list)
    open: int = 0
    """answers that are not finished, as the thread counts"""

    async def pieces(self) -> AsyncIterator[Piece]:
        """All of them, until every answer is finished; Wrong where something broke."""
        left = len(self.order.prompts) * (1 if self.order.longest == 0 else self.order.n)
        while left:
            piece = await self.heard.get()
            if isinstance(piece, Wrong):
                raise piece
            left -= bool(piece.finish)
            yield piece

    def close(self) -> None:
        """The answers still under way are given up, and their seats are free."""
        self.hang_up(self)


class Engine:
    """One model of an endpoint."""

    def __init__(
        self,
        name: str,
        policy: Policy,
        *,
        slots: int | None = None,
        room: int | None = None,
        waiting: int = 256,
        longest: int | None = None,
    ):
        """`waiting`: answers that may wait for a seat; `longest`: the most tokens of any answer."""
        self.name, self.policy, self.longest, self.waiting = name, policy, longest, waiting
        self.stream = Stream(policy, slots, room)
        if room is not None and room > policy.context:
            raise BadSettings(
                f"context={room}: {name} reads at most {policy.context} tokens; say that or less"
            )
        self.born, self.fingerprint = int(time.time()), f"fp_{policy.fingerprint[:16]}"
        self.load = 0
        """answers being written or waiting"""
        self.step_s, self.length = 0.01, 50.0
        """running means: of a step, and of the tokens of an answer"""
        self._lock = threading.Lock()
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._out: list[tuple[Line, Piece | Wrong]] = []
        self._lines: set[Line] = set()
        self._down = ""
        self._thread = threading.Thread(target=self._work, name=f"model {name}", daemon=True)
        self._thread.start()

    # --- for coroutines ---

    def ask(self, order: Order, held: Sequence[object] = ()) -> Line:
        """Answers will be heard on the line.  Wrong where there is no room for them."""
        if self._down:
            raise Wrong(503, self._down, code="unavailable", wait=AGAIN_S[0])
        longest = max(map(len, order.prompts))
        if longest + (order.longest != 0) > self.stream.room:
            raise Wrong(
                413,
                f"the prompt has {longest} tokens, and with its answer a sequence has at most "
                f"{self.stream.room}: shorten it",
                param="prompt",
                code="context_length_exceeded",
            )
        line = Line(order, asyncio.get_running_loop(), self._hang_up, held)
        self._admit(line)
        self._calls.put(partial(self._begin, line))
        return line

    def close(self, why: str = "this endpoint is shutting down") -> None:
        """Answers under way end with that sentence; the thread stops."""
        self._down = why
        self._calls.put(None)
        self._thread.join(timeout=30)

    def _admit(self, line: Line) -> None:
        order, most = line.order, self.stream.slots + self.waiting
        line.open = len(order.prompts) * (1 if order.longest == 0 else order.n)
        if line.open > most:
            raise Wrong(
                400,
                f"this asks for {line.open} answers, and at most {most} may be under way: ask for "
                "fewer at once",
                param="n",
            )
        with self._lock:
            if self.load + line.open > most:
                wait = math.ceil(self.step_s * self.length * self.load / self.stream.slots)
                raise Wrong(
                    429,
                    f"{self.load} answers are under way, and at most {most} may be: try again "
                    "in a while",
                    code="queue_full",
                    wait=min(max(wait, AGAIN_S[0]), AGAIN_S[1]),
                )
            self.load += line.open

    def _hang_up(self, line: Line) -> None:
        self._calls.put(partial(self._give_up, line))

    # --- in the thread ---

    def _work(self) -> None:
        with self.stream.open():
            while self._listen():
                try:
                    began = time.monotonic()
                    for slot in self.stream.step():
                        self.length += 0.1 * (len(slot.ids) - self.length)
                    self.step_s += 0.1 * (time.monotonic() - began - self.step_s)
                except Exception as error:  # noqa: BLE001  whoever waits must hear of it
                    self._break(_sorry(error))
                self._flush()
        while self._calls.qsize() and (call := self._calls.get()) is not None:
            call()
        self._break(Wrong(503, self._down, code="unavailable", wait=AGAIN_S[0]))
        self._flush()

    def _listen(self) -> bool:
        """Do what was asked meanwhile; where nothing is to be written, wait for it."""
        wait = not self.stream.busy
        while True:
            try:
                call = self._calls.get(block=wait)
            except queue.Empty:
                return True
            if call is None:
                return False
            try:
                call()
            except Exception as error:  # noqa: BLE001  as above
                self._break(_sorry(error))
            self._flush()
            wait = not self.stream.busy

    def _begin(self, line: Line) -> None:
        order, answers = line.order, itertools.count()
        self._lines.add(line)
        for p, prompt in enumerate(order.prompts):
            if order.reads:
                tokens = tuple(zip(prompt[1:], self.stream.read(prompt, order.best or 0)))
                finish = "length" if order.longest == 0 else ""
                at = p * (1 if order.longest == 0 else order.n)
                self._say(line, Piece(at, "", tokens, finish=finish, prompt=True))
            elif order.longest == 0:
                self._say(line, Piece(p, "", finish="length", prompt=True))
            if order.longest != 0:
                for k in range(order.n):
                    request = Request(f"{p}/{k}", prompt, key(order.seed, f"{p}/{k}"))
                    line.slots.append(self._slot(line, next(answers), request))
        self.stream.add(line.slots)

    def _slot(self, line: Line, index: int, request: Request) -> Slot:
        order, hearing = line.order, Hearing(self.policy.speller, line.order.stops)
        room = self.stream.room - len(request.prompt_ids)
        longest = min(x for x in (order.longest, self.longest, room) if x is not None)

        def hears(slot: Slot) -> bool:
            return self._hear(line, index, slot, hearing)

        return Slot(request, order.how, longest, order.best, hears)

    def _hear(self, line: Line, index: int, slot: Slot, hearing: Hearing) -> bool:
        said, tokens, finish = slot.ids[-1], tuple[tuple[int, Told], ...](), ""
        if said in self.policy.speller.ends:
            text, finish = hearing.end(), "stop"
        else:
            text = hearing.add(said)
            tokens = ((said, slot.told[-1]),) if slot.told else ()
            if len(slot.ids) == slot.longest and not hearing.stopped:
                text, finish = text + hearing.end(), "length"
            finish = "stop" if hearing.stopped else finish
        self._say(line, Piece(index, text, tokens, 1, finish))
        return bool(finish)

    def _say(self, line: Line, piece: Piece) -> None:
        if piece.finish:
            self._less(line, 1)
        self._out.append((line, piece))

    def _give_up(self, line: Line) -> None:
        for slot in line.slots:
            self.stream.leave(slot)
        self._less(line, line.open)

    def _break(self, wrong: Wrong) -> None:
        """Everybody hears it, and the model begins anew."""
        self.stream.clear()
        for line in list(self._lines):
            self._less(line, line.open)
            self._out.append((line, wrong))

    def _less(self, line: Line, by: int) -> None:
        line.open -= by
        with self._lock:
            self.load -= by
        if not line.open:
            line.held = ()
            self._lines.discard(line)

    def _flush(self) -> None:
        """One call for each event loop: there is one, but for tests."""
        out, self._out = self._out, []
        for loop in {line.loop for line, _ in out}:
            mine = [(line, piece) for line, piece in out if line.loop is loop]
            try:
                loop.call_soon_threadsafe(_deliver, mine)
            except RuntimeError:  # the loop has ended, and with it whoever listened
                for line, _ in mine:
                    self._give_up(line)


def _deliver(out: Sequence[tuple[Line, Piece | Wrong]]) -> None:
    for line, piece in out:
        line.heard.put_nowait(piece)


def _sorry(error: Exception) -> Wrong:
    if exhausted(error):
        said = "out of memory: fewer slots=, or a smaller context=, would need less"
        return Wrong(503, said, code="out_of_memory", wait=AGAIN_S[0])
    said = str(error) if isinstance(error, AccordError) else f"{type(error).__name__}: {error}"
    return Wrong(500, f"the model broke: {said}", code="model_broke")
