"""What a policy said, and what became of it."""

from dataclasses import dataclass
from typing import Literal

from accord.records.conversation import Ids

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One answer, token by token.

    `logp` holds, for each response id, the natural log-probability under the distribution it was
    really drawn from (temperature, top-p and top-k included).  An end-of-sequence id, when the
    answer has one, is its last id.
    """

    id: str
    prompt_ids: Ids
    response_ids: Ids
    logp: tuple[float, ...]
    version: int
    finish: Finish
    """stop: it ended itself; length: it was cut at the limit"""


@dataclass(frozen=True, slots=True)
class Invalid:
    """A judgement that could not be made.  Never a number."""

    reason: str
