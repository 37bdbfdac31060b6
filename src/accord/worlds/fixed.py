"""Episodes that are all of one length."""

from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs


class FixedHorizon(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Where an episode would end early, its last state stays, worth nothing, until the horizon.

    An end tells what a reward model was to learn by itself: whoever gets 1 a step for as long as it
    lasts needs no judge to see that lasting is good, and whoever gets less than 0 learns to end it
    soon.  Here nothing ends by itself; the horizon is a time limit (truncation), never an end.
    """

    def __init__(self, env: Any, horizon: int):
        RecordConstructorArgs.__init__(self, horizon=horizon)  # a spec can make it again
        gymnasium.Wrapper.__init__(self, env)
        self.horizon = horizon
        self._steps, self._over, self._last = 0, False, None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """A new episode."""
        seen, info = self.env.reset(seed=seed, options=options)
        self._steps, self._over, self._last = 0, False, seen
        return seen, info

    def step(self, action: Any) -> Any:
        """One step; of a world that is over, the same state again and a reward of 0."""
        self._steps += 1
        reward: Any = 0.0
        info: dict[str, Any] = {"over": True}
        if not self._over:
            self._last, reward, ended, cut, info = self.env.step(action)
            self._over = bool(ended or cut)
        return self._last, reward, False, self._steps >= self.horizon, info


class Flat(gymnasium.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """States as one row of numbers: choices become one column each, parts stand side by side."""

    def __init__(self, env: Any):
        RecordConstructorArgs.__init__(self)
        gymnasium.ObservationWrapper.__init__(self, env)
        self.observation_space = spaces.flatten_space(env.observation_space)

    def observation(self, observation: Any) -> Any:
        """A row."""
        return spaces.flatten(self.env.observation_space, observation)
