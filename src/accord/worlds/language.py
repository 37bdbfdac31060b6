"""Language generation as a Markov decision process (Ramamurthy et al. 2023; ReST, appendix A.1)."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

import gymnasium
import torch
from gymnasium import spaces

from accord.errors import BadData, BadSettings
from accord.records import Ids, Invalid, Rollout

Judge = Callable[[Sequence[Rollout]], Sequence[float | Invalid]]
"""any `accord.rewards.base.Reward`"""


class TokenWorld(gymnasium.Env[Any, Any]):
    """State: the prompt and the tokens so far.  Action: the next token, which is appended.

    The reward is 0 until the answer is over, then the judge's score of it.  It is over at an end of
    sequence, or at `longest` tokens: a limit that belongs to this world, because the answer is
    judged there as it stands; so it terminates, and is no time limit to be bootstrapped over.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(
        self,
        prompts: Sequence[Ids],
        judge: Judge,
        *,
        vocab: int,
        ends: Collection[int],
        longest: int,
    ):
        """`ends`: ids that end an answer.  Each episode answers one of the prompts, by chance."""
        if not prompts or not all(prompts):
            raise BadSettings("a world of tokens needs prompts, each of at least one token")
        self.prompts, self.judge, self.ends, self.longest = prompts, judge, frozenset(ends), longest
        self.places = max(map(len, prompts)) + longest
        self.observation_space = spaces.Dict(
            {
                "ids": spaces.MultiDiscrete([vocab] * self.places),
                "length": spaces.Discrete(self.places + 1),
            }
        )
        self.action_space = spaces.Discrete(vocab)
        self._prompt: Ids = ()
        self._said: Ids = ()
        self._over = True
        self._count = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Another prompt; `options={"prompt": i}` says which."""
        super().reset(seed=seed)
        place = (options or {}).get("prompt")
        if place is None:
            place = int(self.np_random.integers(len(self.prompts)))
        self._prompt, self._said, self._over = tuple(self.prompts[place]), (), False
        self._count += 1
        return self._seen(), {"prompt": place}

    def step(self, action: Any) -> Any:
        """One token more.  BadData where the judge cannot score the answer: no number stands for
        that.
        """
        if self._over:
            raise BadData("this answer is over: reset() the world before another step")
        self._said = (*self._said, int(action))
        finish = "stop" if int(action) in self.ends else "length"
        self._over = finish == "stop" or len(self._said) == self.longest
        if not self._over:
            return self._seen(), 0.0, False, False, {}
        answer = self.rollout("stop" if finish == "stop" else "length")
        (score,) = self.judge([answer])
        if isinstance(score, Invalid):
            raise BadData(f"the judge could not score {answer.response_ids}: {score.reason}")
        return self._seen(), float(score), True, False, {"finish": finish}

    def rollout(self, finish: Any) -> Rollout:
        """The answer as a record; a world knows no probabilities, so they are 0."""
        nothing = (0.0,) * len(self._said)
        return Rollout(str(self._count), self._prompt, self._said, nothing, 0, finish)

    def _seen(self) -> dict[str, Any]:
        ids = torch.zeros(self.places, dtype=torch.long)  # beyond `length` they mean nothing
        whole = (*self._prompt, *self._said)
        ids[: len(whole)] = torch.tensor(whole)
        return {"ids": ids.numpy(), "length": len(whole)}
