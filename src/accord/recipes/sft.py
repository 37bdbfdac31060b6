"""Supervised fine-tuning.

for each batch of demonstrations (x, y):
    minimise  -log π(y | x)
"""

from collections.abc import Sequence
from typing import Any, Literal

from accord.config import Settings
from accord.config.limits import Above0, Count, Share
from accord.data.comparisons import Spelled, lots
from accord.data.rows import Tokens, pad
from accord.data.stream import Stream
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.maths import losses
from accord.maths.control import Constant, Cosine, Linear
from accord.maths.losses import Loss
from accord.maths.weights import weigh
from accord.models.heads import Speaker
from accord.models.lora import Lora
from accord.recipes import common
from accord.recipes.method import Method
from accord.store.run import Run

METHODS = (Method("SFT (behaviour cloning)", "sft", "imitation", "offline", (), "Pomerleau 1989"),)


class SFT(Settings):
    """Imitate demonstrations."""

    epochs: Above0 = 1.0
    """passes over the demonstrations"""
    batch: Count = 32
    """demonstrations per optimizer step"""
    longest: Count = 1024
    """tokens of prompt and answer together; longer ones are dropped and counted, never cut"""
    loss_on: Literal["response", "all"] = "response"
    """learn the answer alone, or the prompt too"""
    weigh_by: Literal["token", "sequence"] = "token"
    """every token counts alike, or every demonstration"""
    held_out: Share = 0.05
    """share of prompts kept aside to measure on"""
    measure_every: Count = 50
    """steps between two looks at the held-out demonstrations"""
    lr: Above0 = 2e-5
    """learning rate at its highest"""
    schedule: Constant | Linear | Cosine = Cosine()
    """how the learning rate changes from step to step"""
    optimizer: Optimizer = Optimizer()
    """how gradients become steps"""
    lora: Lora | None = None
    """train an adapter instead of the whole model"""


def train(
    cfg: SFT,
    run: Run,
    start: Policy,
    demonstrations: Sequence[Spelled],
    held_out: Sequence[Spelled] = (),
    *,
    seed: int = 0,
) -> Policy:
    """The policy that speaks like the demonstrations."""
    how: dict[str, Any] = {"optimizer": cfg.optimizer, "lora": cfg.lora, "seed": seed}
    policy = run.keep("policy", start.trainable(lr=cfg.lr, **how))
    stream = Stream(common.Named(demonstrations), cfg.batch, seed)
    total = stream.steps(cfg.epochs)
    for step in run.steps(cfg, total):
        few = common.enter(run, stream, step)
        tokens = lay(few, cfg.loss_on)
        factor = cfg.schedule(step, total)
        weight = weigh(tokens.mask_BT, cfg.weigh_by)
        names = [d.id for d in few]
        seen = policy.update(tokens, weight, imitate, lr=cfg.lr * factor, names=names)
        if held_out and (step % cfg.measure_every == 0 or step == total - 1):
            seen["eval/loss"] = measure(policy, held_out, cfg.loss_on)
        seen["micro_tokens"] = policy.micro_tokens
        run.log(step, **seen, lr=cfg.lr * factor, epoch=stream.epoch(step))
    return policy


def lay(few: Sequence[Spelled], loss_on: str = "response") -> Tokens:
    """Demonstrations as rows."""
    prompts, answers = [d.prompt_ids for d in few], [d.response_ids[0] for d in few]
    return pad(prompts, answers, score_prompt=loss_on == "all")


def imitate(model: Speaker, tokens: Tokens) -> Loss:
    """Negative log-likelihood, token by token."""
    return losses.nll(model.logp(tokens))


def measure(policy: Policy, held_out: Sequence[Spelled], loss_on: str = "response") -> float:
    """Mean negative log-likelihood per scored token, nats."""
    told = [
        (-policy.logp(tokens).sum(), tokens.mask_BT.sum())
        for tokens in (lay(few, loss_on) for few in lots(held_out))
    ]
    return float(sum(loss for loss, _ in told) / sum(count for _, count in told))
