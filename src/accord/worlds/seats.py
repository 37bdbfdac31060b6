"""Several worlds side by side, played by one policy.

Every episode has its own seed, a function of the run's seed, the world's place and the episode's
number.  So a world's state is that seed and what was done since: saved it is a few numbers, and
loading plays them again, for any environment that keeps Gymnasium's promise about seeds.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accord.worlds.acts import Acts, acts

Act = Callable[[Tensor], Tensor]
"""seen_NF -> did_NA"""


@dataclass(frozen=True)
class Piece:
    """Some steps of one episode, in a row."""

    seen_UF: Tensor
    """T + 1 states: the last is the one that the last step led to"""
    did_TA: Tensor
    reward_T: Tensor
    """the world's own, of each step"""
    ended: bool
    """it terminated: nothing comes after.  A time limit, or the end of a window, is no such end:
    there the value of the last state stands for what would have come"""

    def __len__(self) -> int:
        return len(self.reward_T)


@dataclass
class _Seat:
    """One world: the episode it is in, and what is not yet part of a piece."""

    world: Any
    place: int
    episode: int = -1
    done: list[list[float]] = field(default_factory=list)
    """all that was done in this episode"""
    worth: float = 0.0
    """what it has brought"""
    now: Tensor | None = None
    """the state it is in; none between two episodes"""
    seen: list[Tensor] = field(default_factory=list)
    did: list[Tensor] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)


def _number(seed: int, place: int, episode: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{place}/{episode}".encode()).digest()[:4], "big")


class Seats:
    """N worlds with flat states (`worlds.find.flat`), as a part that a run keeps."""

    def __init__(self, make: Callable[[], Any], count: int, *, seed: int = 0):
        self._seats = [_Seat(make(), place) for place in range(count)]
        self.seed = seed
        first = self._seats[0].world
        self.width = int(first.observation_space.shape[0])
        """numbers of a state"""
        self.acts: Acts = acts(first.action_space)
        self.ended: list[tuple[float, int]] = []
        """(return, steps) of the episodes that came to an end since `tally`"""
        self.kept = False

    def __len__(self) -> int:
        return len(self._seats)

    def window(self, act: Act, length: int) -> list[Piece]:
        """`length` steps of every world; an episode that is not over goes on in the next window."""
        pieces: list[list[Piece]] = [[] for _ in self._seats]
        for _ in range(length):
            for seat in self._seats:
                self._begin(seat)
            for seat, piece in self._step(self._seats, act):
                pieces[seat.place].append(piece)
        for seat in self._seats:
            if seat.did:
                pieces[seat.place].append(_cut(seat, ended=False))
        return [piece for few in pieces for piece in few]

    def episodes(self, act: Act) -> list[Piece]:
        """One whole episode of every world, from its beginning."""
        found: dict[int, Piece] = {}
        for seat in self._seats:
            seat.now = None
            self._begin(seat)
        while playing := [seat for seat in self._seats if seat.place not in found]:
            found |= {seat.place: piece for seat, piece in self._step(playing, act)}
        return [found[seat.place] for seat in self._seats]

    def tally(self) -> dict[str, float]:
        """Of the episodes that ended since this was last asked: how many, and their means."""
        told, self.ended = self.ended, []
        if not told:
            return {"episodes": 0.0}
        worth, length = (sum(column) / len(told) for column in zip(*told))
        return {"episodes": float(len(told)), "episode/return": worth, "episode/length": length}

    def _begin(self, seat: _Seat) -> None:
        if seat.now is None:
            seat.episode += 1
            seen, _ = seat.world.reset(seed=_number(self.seed, seat.place, seat.episode))
            seat.now, seat.done, seat.worth = _state(seen), [], 0.0
            seat.seen, seat.did, seat.reward = [], [], []
        if not seat.seen:
            seat.seen = [seat.now]

    def _step(self, seats: list[_Seat], act: Act) -> Iterator[tuple[_Seat, Piece]]:
        """One step of each; yields what became whole because its episode is over."""
        did_NA = act(torch.stack([seat.seen[-1] for seat in seats]))
        for seat, did_A, plain in zip(seats, did_NA, did_NA.tolist(), strict=True):
            ended, cut = self._do(seat, plain)
            assert seat.now is not None
            seat.seen.append(seat.now)
            seat.did.append(did_A)
            if ended or cut:
                self.ended.append((seat.worth, len(seat.done)))
                seat.now = None
                yield seat, _cut(seat, ended=ended)

    def _do(self, seat: _Seat, did_A: list[float]) -> tuple[bool, bool]:
        seen, reward, ended, cut, _ = seat.world.step(self.acts.given(did_A))
        seat.done.append(did_A)
        seat.now, seat.worth = _state(seen), seat.worth + float(reward)
        seat.reward.append(float(reward))
        return bool(ended), bool(cut)

    def save(self, folder: Path) -> None:
        """Which episode each is in, and what was done in it."""
        told = [
            {"episode": s.episode, "between": s.now is None, "done": s.done} for s in self._seats
        ]
        (folder / "seats.json").write_text(json.dumps(told))

    def load(self, folder: Path) -> None:
        """Play the same again."""
        for seat, told in zip(self._seats, json.loads((folder / "seats.json").read_text())):
            seat.episode, seat.now, seat.seen = told["episode"] - 1, None, []
            if told["between"]:
                seat.episode += 1
                continue
            self._begin(seat)
            for did_A in told["done"]:
                self._do(seat, did_A)
            seat.seen, seat.did, seat.reward = [], [], []


def _state(seen: Any) -> Tensor:
    return torch.as_tensor(seen, dtype=torch.float32)


def _cut(seat: _Seat, *, ended: bool) -> Piece:
    """What was done since the last cut, as a piece."""
    piece = Piece(torch.stack(seat.seen), torch.stack(seat.did), torch.tensor(seat.reward), ended)
    seat.seen, seat.did, seat.reward = [], [], []
    return piece


@dataclass(frozen=True)
class Window:
    """The same number of steps in every world; what a window cuts, a value function foresees."""

    length: int = 128
    """steps"""

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError("length must be at least 1")

    def __call__(self, seats: Seats, act: Act) -> list[Piece]:
        """What was done."""
        return seats.window(act, self.length)


@dataclass(frozen=True)
class Episodes:
    """Whole episodes from their beginning, one in every world."""

    def __call__(self, seats: Seats, act: Act) -> list[Piece]:
        """What was done."""
        return seats.episodes(act)
