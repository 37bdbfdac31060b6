"""Text mixed into reinforcement learning, so that a policy forgets less of what it could do.

PPO-ptx (Ouyang et al. 2022, eq. 2): every optimizer step of PPO also maximises γ E[log π(x)] over
text x that the model was once trained on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from accord.data.comparisons import Spelled
from accord.data.rows import pad
from accord.data.stream import Stream
from accord.engine.learner import Terms
from accord.errors import BadSettings
from accord.maths import losses
from accord.maths.weights import weigh
from accord.models.heads import Speaker

P = TypeVar("P")
T = TypeVar("T")
Beside = Callable[[int], Sequence[Terms]]
"""what the update of this number in a step adds up beside its answers"""


@dataclass(frozen=True)
class Ptx:
    """-γ log π(x), mean over the tokens of a minibatch of text: Ouyang et al. 2022, eq. 2."""

    coef: float = 27.8
    """γ; 20 and more made up for what PPO had unlearned (appendix E.6)"""
    share: float = 8.0
    """texts in a minibatch for every answer in it"""

    def __post_init__(self) -> None:
        if self.coef < 0 or self.share <= 0:
            raise ValueError("coef must not be negative, and share must be above 0")

    def terms(self, few: Sequence[Spelled]) -> Terms:
        """What an optimizer step adds for these texts; every token counts alike."""
        answers = [text.response_ids[0] for text in few]
        tokens = pad([text.prompt_ids for text in few], answers, score_prompt=True)
        weight = self.coef * weigh(tokens.mask_BT)
        return Terms(tokens, weight, remember, [text.id for text in few])


def remember(model: Speaker, tokens: Any) -> losses.Loss:
    """Negative log-likelihood of the text; `loss/ptx` is it times γ, as it is added."""
    loss = losses.nll(model.logp(tokens))
    return losses.Loss(loss.each, {"loss/ptx": loss.each.detach()})


@dataclass(frozen=True)
class Mixed(Generic[P, T]):
    """What a policy is asked, and the text that it is to remember beside it."""

    prompts: Sequence[P]
    texts: Sequence[T] = ()


def apart(given: Sequence[P] | Mixed[P, T]) -> Mixed[P, T]:
    """Prompts alone are prompts without text."""
    return given if isinstance(given, Mixed) else Mixed(given)


@dataclass(frozen=True)
class Mixer:
    """Which texts go beside which minibatch: a pure function of the seed."""

    ptx: Ptx | None
    texts: Sequence[Spelled]
    batch: int
    """answers in a step"""
    passes: tuple[int, int]
    """over them, and minibatches in each"""
    seed: int

    def __post_init__(self) -> None:
        if self.ptx and not self.texts:
            raise BadSettings("ptx has no text to remember: say which, ptx_data=FILE")
        if self.texts and not self.ptx:
            raise BadSettings("there is text to remember and nothing that does: say ptx=Ptx")

    def at(self, step: int, update: int) -> list[Terms]:
        """What is added to the objective of one minibatch of a step."""
        if self.ptx is None:
            return []
        epochs, minibatches = self.passes
        count = max(1, round(self.ptx.share * self.batch / minibatches))
        stream = Stream(self.texts, count, self.seed)
        return [self.ptx.terms(stream.at(step * epochs * minibatches + update))]
