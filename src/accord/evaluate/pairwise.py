"""A judge of two answers that stands in a file: your own function, behind the wall of rules."""

from collections.abc import Sequence
from typing import Any, cast

from accord.errors import BadSettings
from accord.records import ask
from accord.rewards.base import Score
from accord.rewards.duel import Duel
from accord.rewards.guard import Guard, Guarded
from accord.rewards.reader import Reader, Said


class FileJudge:
    """`file.py:function(prompt, first, second)` -> the probability that the first is better.

    It runs in a process of its own with a deadline; where it hangs, crashes, raises, or returns
    what is no number, that one verdict is Invalid.
    """

    def __init__(self, spec: str, guard: Guard = Guard()):
        try:
            # a rule is called with (prompt, answer, ended): the second answer takes the last place
            self._wall = Guarded(spec, cast(Reader, _shown), guard)
        except BadSettings as error:
            raise BadSettings(str(error).replace("rule=", "judge=", 1)) from error
        self.which = self._wall.which.replace("rule ", "judge ", 1)

    def __call__(self, duels: Sequence[Duel]) -> list[Score]:
        """One verdict per pair."""
        return self._wall(cast(Any, duels))


def _shown(duels: Sequence[Duel]) -> list[Said]:
    return [Said(d.prompt, ask(d.prompt), d.first, cast(bool, d.second)) for d in duels]
