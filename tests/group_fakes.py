"""Groups of a toy's answers: settings that take a second, rewards, and a run that is watched."""

from accord.maths.advantages import LeaveOneOut
from accord.maths.control import Linear
from accord.maths.surrogate import RewardKL
from accord.recipes import grpo
from accord.recipes.common import Asked
from accord.store.run import Run
from toys import LONGEST, toy_policy

PROMPTS = [Asked("p", (0,))]
TWO = [Asked("p", (0,)), Asked("q", (0, 4))]
BETA = 0.5
FAST = grpo.GRPO(
    steps=40,
    batch=8,
    group=16,
    longest=LONGEST,
    baseline=LeaveOneOut(),
    weigh_by="constant",
    kl=RewardKL(BETA),
    minibatches=2,
    epochs=2,
    lr=2e-3,
    schedule=Linear(),
)


SMALL = FAST.model_copy(update={"group": 6, "batch": 2, "minibatches": 1, "epochs": 1})


class Watching(Run):
    """Keeps what was logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def log(self, step, **numbers):
        self.lines.append(numbers)
        super().log(step, **numbers)


def score_of(ids) -> float:
    """+1 for every a, -1 for every b, +1 for an end."""
    return float(ids.count(2) - ids.count(3) + (ids[-1] == 1))


def sweet(rollouts):
    """The same of rollouts."""
    return [score_of(r.response_ids) for r in rollouts]


def trained(reward=sweet, prompts=TWO, run=None, **changed):
    """(policy, run) after a few steps."""
    cfg = FAST.model_copy(update={"steps": 2, "batch": 4, "group": 4} | changed)
    run = run or Watching()
    return grpo.train(cfg, run, toy_policy(), reward, prompts), run
