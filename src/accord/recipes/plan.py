"""What a job will take of the machine, told before it begins."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal, cast

import torch

from accord.config import Settings
from accord.config.limits import Count
from accord.engine import room
from accord.engine.budget import for_updates
from accord.engine.memory import SAMPLE, Estimate, Kind, Work, estimate
from accord.engine.steps import Optimizer
from accord.errors import BadSettings
from accord.models import forms, gguf
from accord.models.lora import Lora, base_of
from accord.models.sketch import config_of
from accord.recipes.growing import LOT
from accord.text import hub
from accord.text.pictures import KINDS

UNITS = {f"{unit}B": 1000**n for n, unit in enumerate("KMGT", 1)} | {
    f"{unit}IB": 1024**n for n, unit in enumerate("KMGT", 1)
}
BESIDE = "libraries and gaps"
LIBRARIES = 780 * 10**6
"""bytes: Python, torch and the rest (437 MB with a tiny model opened), and the most that a job
of docs/memory.md held beside; counted of a GPU too, in place of its context"""
ANSWERS = {"online": 2, "grpo": 8, "best": 16}
"""to each prompt, by default"""
GAPS = 0.25
"""of all tensors: what the allocator leaves empty, and kernels (oneDNN's) keep to themselves"""


class Plan(Settings):
    """A job, as far as its memory goes."""

    model: str
    """a folder, of which config.json is enough, an adapter's folder, a GGUF file, or a hub id"""
    work: Kind = "sft"
    """the command it is for"""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """precision of matrix products"""
    lora: Lora | None = None
    """train adapters instead of whole models"""
    optimizer: Optimizer = Optimizer()
    """how gradients become steps; micro_tokens, recompute, bits and offload change memory"""
    prompt: Count = 128
    """tokens of a prompt"""
    longest: Count = 128
    """tokens of an answer"""
    batch: Count = 32
    """rows per step: comparisons (reward, dpo), prompts (online, ppo, grpo, best), else answers"""
    n: Count | None = None
    """online, grpo (its group), best: answers to each prompt; none: the command's default"""
    judge: bool = True
    """online, ppo, grpo, rest, best: against a reward model; false: against a rule"""
    refresh: bool = False
    """online: the reference goes after the policy (refresh=Refresh), and is a copy more"""
    on_cpu: tuple[Literal["reference", "reward"], ...] = ()
    """ppo, grpo: frozen models that stay in main memory beside a GPU"""
    memory: str | None = None
    """of a GPU, or of another machine, as 24GB or 1TB; none: what this machine has left"""


@dataclass(frozen=True)
class Planned:
    """What was foreseen, what there is, and what to add where it is not enough."""

    estimate: Estimate
    room: int
    words: tuple[str, ...]
    blind: bool = False
    """whether a tower's looks at pictures are not in it"""

    @property
    def need(self) -> int:
        """Bytes at the peak."""
        return self.estimate.total(self.estimate.peak)


def run_plan(desk: Any, plan: Plan) -> Planned:
    """Foresee the job; where it does not fit, also what each remedy would bring it to."""
    _heard(plan)
    plan, config = _opened(plan)
    _room(plan, config)
    there = _bytes(plan.memory) if plan.memory else machine()
    work = _work(plan)
    found = _whole(config, work)
    words: list[str] = []
    if found.total(found.peak) > there:
        for word, change in _remedies(plan):
            changed = _whole(config, Work(**vars(work) | change))
            words.append(f"{word}: {changed.total(changed.peak) / 1e9:.2f} GB")
    blind = config.model_type in KINDS and "see" not in found.phases
    return Planned(found, there, tuple(words), blind)


def _heard(plan: Plan) -> None:
    """BadSettings for a setting that this work does not have."""
    work = plan.work
    wrong = {
        "n= is for work=online, grpo or best": plan.n is not None and work not in ANSWERS,
        "refresh= is for work=online": plan.refresh and work != "online",
        "judge= is for work=online, ppo, grpo, rest or best": not plan.judge and work not in SAMPLE,
        "on_cpu=reward goes with judge=true": "reward" in plan.on_cpu and not plan.judge,
        "on_cpu= is for work=ppo or grpo of whole models": bool(plan.on_cpu)
        and (work not in ("ppo", "grpo") or plan.lora is not None),
        "lora= and optimizer= are for work that trains, and best does not": work == "best"
        and (plan.lora is not None or plan.optimizer != Optimizer()),
    }
    for said, so in wrong.items():
        if so:
            raise BadSettings(f"{said}: leave it out")


def _whole(config: Any, work: Work) -> Estimate:
    """The tensors of each phase, and what comes on top of them."""
    phases = estimate(config, work).phases
    return Estimate(
        {
            phase: {**parts, BESIDE: LIBRARIES + int(GAPS * sum(parts.values()))}
            for phase, parts in phases.items()
        }
    )


def _opened(plan: Plan) -> tuple[Plan, Any]:
    """With what an adapter's folder says of its shape; and the config of the whole model."""
    source = gguf.as_folder(plan.model)
    base = base_of(hub.folder(source))
    if base is None:
        return plan, config_of(source)
    told = json.loads((hub.folder(source) / "adapter_config.json").read_text())
    names = told["target_modules"]
    names = names if isinstance(names, str) else ",".join(sorted(names))
    own = Lora(told["r"], told["lora_alpha"], names)
    if plan.lora is not None and plan.lora.r != own.r:
        raise BadSettings(f"lora.r={plan.lora.r}: {plan.model} is an adapter of r={own.r}: say so")
    return plan.model_copy(update={"lora": own}), config_of(base)


def _room(plan: Plan, config: Any) -> None:
    """BadSettings where no such row can be read."""
    most = forms.context(cast(Any, SimpleNamespace(config=config.get_text_config())))
    row = plan.prompt + plan.longest
    if row > most:
        raise BadSettings(
            f"prompt={plan.prompt} longest={plan.longest}: this model reads {most} tokens, prompt "
            "and answer together"
        )


def _work(plan: Plan) -> Work:
    how, n = plan.optimizer, plan.n or ANSWERS.get(plan.work, 1)
    return Work(
        plan.work, plan.dtype, plan.lora, plan.prompt, plan.longest, plan.batch, n,
        LOT if plan.work == "rest" else None,
        how.micro_tokens, how.recompute, judge=plan.judge, refresh=plan.refresh, bits=how.bits,
        offload=how.offload and _apart(plan), on_cpu=plan.on_cpu if _apart(plan) else (),
    )  # fmt: skip


def _apart(plan: Plan) -> bool:
    """Whether main memory is another than that which is planned for: a GPU's, here or foreseen."""
    return plan.memory is not None or torch.cuda.is_available()


def _remedies(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    """Words to add, and what each changes, for what is not said yet."""
    now = for_updates(torch.device("cpu"), plan.optimizer.micro_tokens).size
    fewer = max(_work(plan).row[0], now // 4)
    whole = plan.work in ("ppo", "grpo") and plan.lora is None
    aside = (("reference", "reward") if plan.judge else ("reference",)) if whole else ()
    every: list[tuple[str, dict[str, Any], bool]] = [
        ("lora=Lora", {"lora": Lora()}, plan.lora is None),
        ("optimizer.recompute=true", {"recompute": True}, not plan.optimizer.recompute),
        (f"optimizer.micro_tokens={fewer}", {"micro_tokens": fewer}, fewer < now),
        ("optimizer.bits=8", {"bits": 8}, plan.optimizer.bits == 32),
        ("optimizer.offload=true", {"offload": True}, not plan.optimizer.offload and _apart(plan)),
        (f"on_cpu={','.join(aside)}", {"on_cpu": aside}, _apart(plan) and aside != plan.on_cpu),
        ("dtype=bf16", {"dtype": "bf16"}, plan.dtype == "fp32"),
    ]
    if plan.work == "best":
        return [(word, change) for word, change, open_ in every[-1:] if open_]
    return [(word, change) for word, change, open_ in every if open_]


def _bytes(said: str) -> int:
    for unit, size in UNITS.items():
        number = said.upper().removesuffix(unit)
        if number != said.upper() and number.replace(".", "", 1).strip().isdigit():
            return int(float(number) * size)
    raise BadSettings(f"memory={said}: say a number with a unit, as 24GB or 16GiB")


def machine() -> int:
    """Bytes this machine has left: its GPU's, or else its main memory's."""
    found = room.free(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if found is None:
        raise BadSettings("this machine does not say what memory it has: say memory=24GB")
    return found


def lines(planned: Planned) -> list[str]:
    """The verdict in words."""
    need, room = planned.need / 1e9, planned.room / 1e9
    fits = planned.need <= planned.room
    said = f"{'fits' if fits else 'does not fit'}: {need:.2f} GB at the peak, {room:.2f} GB there"
    sight = "  without its tower's looks at pictures, which hang on their sizes"
    more = [f"  with {word}" for word in planned.words]
    return [said, *([sight] if planned.blind else []), *more]
