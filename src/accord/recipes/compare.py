"""Several methods from one start on one budget: who takes part, and with which settings.

A budget is a number of answers.  Who samples while it learns samples that many; who learns from
comparisons sees half as many, of two answers each.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import Field, model_validator

from accord.config import Settings, plain
from accord.config.limits import Above0, Count, Part
from accord.engine.steps import Optimizer
from accord.maths.advantages import LeaveOneOut
from accord.maths.control import FixedKL
from accord.maths.pairwise import DPO, IPO
from accord.maths.selection import Percentile
from accord.maths.surrogate import LossKL, RewardKL, Surrogate
from accord.maths.unpaired import KTO
from accord.recipes.dpo import Preference
from accord.recipes.growing import Grow
from accord.recipes.grpo import GRPO
from accord.recipes.improving import Improve
from accord.recipes.ppo import PPO
from accord.recipes.rest import ReST
from accord.recipes.reward import RewardModel

Name = Literal["PPO", "RLOO", "GRPO", "DPO", "IPO", "KTO", "ReST", "best-of-n"]
NAMES: tuple[Name, ...] = get_args(Name)
OFFLINE: tuple[Name, ...] = ("DPO", "IPO", "KTO")
"""those that learn from the comparisons themselves; the others from a reward"""
SWEPT: tuple[Name, ...] = ("DPO",)
"""who is trained at several prices of KL by default: the quickest of them"""
Budget = Literal["tiny", "small", "medium", "large"]
BUDGETS: dict[Budget, int] = {"tiny": 256, "small": 1024, "medium": 6144, "large": 24576}
"""answers to each method"""
STEP = 64
"""answers to a step of those who sample as they learn"""
GROUP = 8
"""answers to one prompt of those who compare them, and of ReST"""
M = TypeVar("M", bound=Settings)


def sized(
    budget: Budget = "small", *, longest: int = 128, temperature: float = 0.7, young: bool = True
) -> dict[str, Any]:
    """The settings of every method on this budget.

    `young`: rates for a model of about a million weights; else the recipes' own, which are for
    grown ones.
    """
    answers = BUDGETS[budget]
    steps, how = max(1, answers // STEP), Optimizer(betas=(0.9, 0.95), eps=1e-5, micro_tokens=2048)
    said: dict[str, Any] = {"longest": longest, "temperature": temperature}
    group: dict[str, Any] = {"steps": steps, "batch": STEP // GROUP, "group": GROUP, **said}
    pairs: dict[str, Any] = {"epochs": 2, "batch": 32}
    judge: dict[str, Any] = {"epochs": 1.5, "batch": 32, "held_out": 0.15, "measure_every": 5}
    rates: dict[str, dict[str, Any]] = {key: {} for key in FIELDS}
    if young:
        rates = {key: {"lr": 2e-4, "optimizer": how} for key in FIELDS}
        rates["reward"] = {"lr": 3e-4, "optimizer": Optimizer(micro_tokens=2048)}
        rates["ppo"]["lr_critic"] = 5e-4
    return {
        "reward": RewardModel(**judge, **rates["reward"]),
        "ppo": PPO(steps=steps, batch=STEP, epochs=2, kl=FixedKL(0.08), **said, **rates["ppo"]),
        "rloo": GRPO(
            **group,
            baseline=LeaveOneOut(),
            weigh_by="constant",
            loss=Surrogate(low=None, high=None),
            kl=RewardKL(0.08),
            **rates["rloo"],
        ),
        "grpo": GRPO(**group, kl=LossKL(0.04), **rates["grpo"]),
        "dpo": Preference(loss=DPO(0.1), **pairs, **rates["dpo"]),
        "ipo": Preference(loss=IPO(0.1), **pairs, **rates["ipo"]),
        "kto": Preference(loss=KTO(0.1), **pairs | {"batch": 64}, **rates["kto"]),
        "rest": ReST(
            rounds=2,
            grow=Grow(n=GROUP, prompts=max(1, answers // (2 * GROUP)), **said),
            improve=Improve(keep=Percentile((0.5, 0.75)), epochs=2, **rates["rest"]),
            held_out=0.0,
        ),
    }


FIELDS = ("reward", "ppo", "rloo", "grpo", "dpo", "ipo", "kto", "rest")
_SMALL = sized()


class Compare(Settings):
    """Who takes part, on what budget, and how each of them learns."""

    budget: Budget = "small"
    """answers that a method samples, or sees in comparisons: tiny 256, small 1,024, medium 6,144,
    large 24,576; it sizes the methods' own settings, where these are not given"""
    methods: tuple[Name, ...] = NAMES
    """who takes part, comma-separated"""
    learn_from: Literal["reward", "rule"] = "reward"
    """what PPO, RLOO, GRPO, ReST and best-of-n follow: a reward model, trained once on the same
    comparisons that DPO, IPO and KTO see; or the rule itself, which then judges its own pupils"""
    sweep: tuple[Name, ...] = SWEPT
    """who is trained again at other prices of KL, for more points of the frontier"""
    factors: Annotated[tuple[Above0, ...], Field(max_length=4)] = (0.3, 3.0)
    """those prices, as multiples of a method's own"""
    longest: Count = 128
    """the most tokens of an answer, in the comparisons that are made and when all are measured"""
    temperature: Above0 = 0.7
    """of sampling there"""
    held_out: Part = 0.3
    """share of the prompts that nobody learns from: everyone is measured on them"""
    n: Count = 2
    """answers to each of them"""
    best: Annotated[int, Field(ge=2)] = 16
    """answers of which best-of-n gives one"""
    reward: RewardModel = _SMALL["reward"]
    """the reward model"""
    ppo: PPO = _SMALL["ppo"]
    """PPO"""
    rloo: GRPO = _SMALL["rloo"]
    """RLOO"""
    grpo: GRPO = _SMALL["grpo"]
    """GRPO"""
    dpo: Preference = _SMALL["dpo"]
    """DPO"""
    ipo: Preference = _SMALL["ipo"]
    """IPO"""
    kto: Preference = _SMALL["kto"]
    """KTO; of a comparison, the better answer is good, the other is not"""
    rest: ReST = _SMALL["rest"]
    """ReST"""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ValueError(f"methods={','.join(self.methods)}: name some, each once")
        idle = [name for name in self.sweep if name not in self.methods]
        if idle and self.sweep != SWEPT:  # the default: if it takes part
            raise ValueError(
                f"sweep={','.join(idle)} takes no part: add it to methods, or leave it"
            )
        for name in self.sweep if self.factors else ():
            if priced(self.of(name), 1.0) is None:
                raise ValueError(f"sweep={name}: it has no price of KL to change; leave it out")
        return self

    @property
    def answers(self) -> int:
        """The budget in answers."""
        return BUDGETS[self.budget]

    def of(self, name: Name) -> Any:
        """The settings of a method; None for best-of-n, which trains nothing."""
        return getattr(self, name.lower(), None)

    def idle(self, judged: bool) -> list[str]:
        """Settings that differ from the usual ones though nobody hears them; `judged`: by a rule,
        so that the reward model is for those alone who follow it.
        """
        absent = {name.lower() for name in NAMES if name not in self.methods}
        follow = {*self.methods} - {*OFFLINE}
        if self.learn_from == "rule" or (judged and not follow):
            absent.add("reward")
        how: dict[str, Any] = {"longest": self.longest, "temperature": self.temperature}
        usual = [_SMALL, *(sized(self.budget, **how, young=young) for young in (True, False))]
        found = [
            f"{key}.*"
            for key in FIELDS
            if key in absent and not any(_alike(getattr(self, key), one[key]) for one in usual)
        ]
        plainly = {
            "best": "best-of-n" not in self.methods,
            "factors": not any(map(self.swept, self.methods)),
            "learn_from": not follow,
        }
        of = type(self).model_fields
        return found + [
            key for key, so in plainly.items() if so and getattr(self, key) != of[key].default
        ]

    def swept(self, name: Name) -> tuple[float, ...]:
        """The other prices at which a method is trained."""
        return self.factors if name in self.sweep and name in self.methods else ()


def _alike(one: Settings, other: Settings) -> bool:
    """But for PPO's critic, which follows learn_from."""
    return plain(one) | {"critic": None} == plain(other) | {"critic": None}


def priced(cfg: M, factor: float) -> M | None:
    """The same method with a nat of KL `factor` times as dear; None where it knows no such price.

    ReST and best-of-n have none: more points of theirs come with each Improve, and with fewer n.
    """
    place = "loss" if isinstance(cfg, Preference) else "kl"
    price = getattr(cfg, place, None)
    if price is None or not hasattr(price, "beta"):
        return None
    return cfg.model_copy(update={place: replace(price, beta=factor * price.beta)})
