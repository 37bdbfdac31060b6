"""Reinforcement learning in worlds of numbers, by the very code that trains language models.

for each step:
    obtain:    pieces of episodes, by following π in N worlds side by side
    judge:     the worlds' own rewards, or a reward learned from comparisons of segments
    store:     Â = GAE(r, V), R = Â + V;  after a piece that was only cut, V of its last state
    optimise:  for K epochs, for each minibatch
        π:  minimise  -min(ratio · Â, clip(ratio, 1 ± ε) Â) - c · entropy,  Â whitened
        V:  minimise  ½ (V - R)²

Settings make the classics of it: PPO as above; A2C with one epoch and one minibatch, where every
ratio is 1 and nothing is clipped (Huang et al. 2022); REINFORCE with whole episodes and no V.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Self

import torch
from pydantic import Field, model_validator

from accord.config import Settings
from accord.config.limits import Above0, Count
from accord.engine.draw import key
from accord.engine.learner import Learner
from accord.engine.player import Player
from accord.engine.running import Running
from accord.engine.steps import Optimizer
from accord.maths import losses
from accord.maths.advantages import GAE
from accord.maths.control import Constant, Cosine, Linear
from accord.maths.weights import even
from accord.models.dense import Actor, Valuer
from accord.recipes import common
from accord.recipes.episodes import Experience, experience
from accord.recipes.method import POLICY, Method, Need
from accord.recipes.segments import Asked, Compared, Segments
from accord.store.run import Run
from accord.worlds.seats import Episodes, Seats, Window

_HOW = Optimizer(betas=(0.9, 0.999), eps=1e-5, max_norm=0.5, micro_tokens=8192)
_ACTS: tuple[Need, ...] = ("reward", "sampling")
METHODS = tuple(
    Method(name, command, *POLICY, needs, source)
    for name, command, needs, source in (
        ("PPO (in worlds)", "control", (*_ACTS, "value"), "Schulman et al. 2017"),
        ("A2C", "control --preset a2c", (*_ACTS, "value"), "Mnih et al. 2016"),
        ("REINFORCE", "control --preset reinforce", _ACTS, "Williams 1992"),
    )
)


@dataclass(frozen=True)
class Baseline:
    """A value function, from which advantages are taken."""

    lr: float = 1e-3
    """its learning rate"""

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ValueError("lr must be above 0; no value function: critic=none")


class Control(Settings):
    """Policy optimisation in a world: PPO, A2C or REINFORCE, from rewards or from comparisons."""

    steps: Count = 100
    """times the policy acts for a while and learns from it"""
    worlds: Count = 8
    """copies of the world that it acts in, side by side"""
    obtain: Window | Episodes = Window()
    """how long it acts in a step"""
    gae: GAE = GAE(gamma=0.99)
    """how rewards are shared among the actions before them"""
    clip: losses.Clip = losses.Clip(eps_value=None)
    """how far the passes of one step may go"""
    epochs: Count = 10
    """passes over what a step obtained"""
    minibatches: Count = 4
    """optimizer steps per pass"""
    whiten: bool = True
    """bring the advantages of a step to mean 0 and variance 1"""
    entropy: Annotated[float, Field(ge=0)] = 0.0
    """what a nat of entropy is worth: more of it, and actions stay uncertain longer"""
    critic: Baseline | None = Baseline()
    """the value function; none: advantages are what came, and episodes must be whole"""
    hidden: tuple[Count, ...] = (64, 64)
    """widths of the nets' hidden layers"""
    scale_seen: bool = True
    """bring every number of a state to mean 0 and variance 1, by all that was seen before"""
    scale_reward: bool = True
    """divide rewards by the deviation of the discounted returns seen so far"""
    lr: Above0 = 1e-3
    """learning rate of the policy"""
    schedule: Constant | Linear | Cosine = Linear()
    """how the learning rates change from step to step"""
    optimizer: Optimizer = _HOW
    """how gradients become steps"""
    prefer: Segments | None = None
    """learn the reward from comparisons of segments, and never see the world's; none: see it"""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.critic is None and isinstance(self.obtain, Window):
            raise ValueError(
                "critic=none needs whole episodes (obtain=Episodes): nothing foresees what comes "
                "after the end of a window"
            )
        if self.prefer and isinstance(self.obtain, Window):
            self.prefer.fits(self.obtain.length, None, self.steps)
        if self.critic is None and self.clip.eps_value is not None:
            raise ValueError("clip.eps_value is of a value function, and critic=none has none")
        if self.critic is None and self.gae.lam != 1:
            raise ValueError(
                f"gae.lam={self.gae.lam:g} trusts a value function for the rest, and critic=none "
                "has none, so rewards would only be discounted more: say gae.lam=1"
            )
        return self


def train(
    cfg: Control, run: Run, make: Callable[[], Any], *, ask: Asked | None = None, seed: int = 0
) -> Player:
    """The policy that does well in the world that `make` makes (worlds.find.finder).

    `ask` says which of two segments is better, where cfg.prefer asks.
    """
    seats = run.keep("seats", Seats(make, cfg.worlds, seed=seed))
    seen = run.keep("seen", Running(seats.width)) if cfg.scale_seen else None
    gain = run.keep("gain", Running(1)) if cfg.scale_reward else None
    actor = seats.acts.actor(seats.width, cfg.hidden, key(seed, "actor"))
    policy = Player(run.keep("policy", Learner(actor, cfg.optimizer, cfg.lr)), seen)
    critic = None
    if cfg.critic is not None:
        valuer = Valuer(seats.width, cfg.hidden, key(seed, "critic"))
        critic = run.keep("critic", Learner(valuer, cfg.optimizer, cfg.critic.lr))
    judge = Compared(cfg.prefer, run, seats, cfg.steps, ask, seed) if cfg.prefer else None
    for step in run.steps(cfg, cfg.steps):
        dice = torch.Generator().manual_seed(key(seed, f"act {step}"))
        pieces = cfg.obtain(seats, partial(policy.act, rng=dice))
        told = seats.tally() | (judge.learn(step, pieces) if judge else {})
        rewards = judge(pieces) if judge else [piece.reward_T for piece in pieces]
        rows = experience(cfg.gae, cfg.whiten, pieces, rewards, policy, critic, gain)
        factor = cfg.schedule(step, cfg.steps)
        told |= optimise(cfg, policy, critic, rows, factor, key(seed, f"minibatches {step}"))
        if seen is not None:
            seen.learn(torch.cat([piece.seen_UF[:-1] for piece in pieces]))
        run.log(step, **told, actions=len(rows), lr=cfg.lr * factor)
    return policy


def optimise(
    cfg: Control,
    policy: Player,
    critic: Learner[Valuer] | None,
    rows: Experience,
    factor: float,
    dice: int,
) -> dict[str, float]:
    """K epochs of minibatches, both parts; the means over them of what was watched."""
    seen: list[dict[str, float]] = []
    improved = partial(improve, eps=cfg.clip.eps, entropy=cfg.entropy)
    foreseen = partial(foresee, eps=cfg.clip.eps_value)
    for few in common.minibatches(rows, cfg.epochs, cfg.minibatches, seed=dice):
        weight = even(len(few))
        new = policy.learner.update(few, weight, improved, lr=cfg.lr * factor)
        old = {}
        if critic is not None:
            old = critic.update(few, weight, foreseen, lr=critic.lr * factor)
        seen.append(common.both(new, old))
        if cfg.clip.stop_kl is not None and new["policy/approxkl"] > cfg.clip.stop_kl:
            break
    return common.told(seen)


def improve(model: Actor, rows: Experience, *, eps: float, entropy: float) -> losses.Loss:
    """The clipped surrogate, less what entropy is worth."""
    acted = model(rows.seen_BF, rows.did_BA)
    loss = losses.clip(acted.logp_N, rows.logp_B, rows.adv_B, eps=eps)
    off_B = (loss.watch["policy/ratio"] - 1) ** 2
    watch = {"policy/ratio_var": off_B, "objective/entropy": acted.entropy_N.detach()}
    return losses.Loss(loss.each - entropy * acted.entropy_N, {**loss.watch, **watch})


def foresee(model: Valuer, rows: Experience, *, eps: float | None) -> losses.Loss:
    """The value loss."""
    return losses.value(model(rows.seen_BF), rows.value_B, rows.return_B, eps=eps)
