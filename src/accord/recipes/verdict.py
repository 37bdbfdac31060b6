"""Two policies before the same judge, and the page about it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accord.config import Settings, plain
from accord.data.comparisons import fingerprint
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.engine.sampler import Watch
from accord.evaluate import report
from accord.evaluate.outcome import Answer
from accord.maths.control import AdaptiveKL
from accord.recipes.common import Asked
from accord.recipes.ppo import PPO
from accord.records import Prompt
from accord.rewards.base import Reward
from accord.store import artifact
from accord.store.artifact import Artifact
from accord.store.record import environment


def answers(
    policy: Policy,
    asked: Sequence[Asked],
    cfg: PPO,
    true: Reward,
    learned: Reward | None = None,
    *,
    watch: Watch | None = None,
) -> list[Answer]:
    """One answer to each prompt, sampled as in training, with what was thought of it."""
    said = policy.sample(
        [a.ids for a in asked],
        longest=cfg.longest,
        seed=-1,  # no seed of training: the same dice for every policy, and none that it learned on
        how=Sampling(cfg.temperature),
        watch=watch,
    )
    seconds = learned(said) if learned else [None] * len(said)
    return [
        Answer(
            prompt=policy.speller.decode(r.prompt_ids),
            text=policy.speller.text(r),
            ended=r.finish == "stop",
            length=len(r.response_ids),
            true=score,
            learned=second,
        )
        for r, score, second in zip(said, true(said), seconds, strict=True)
    ]


def publish(
    folder: Path,
    page: Callable[[], report.Report],
    cfg: Settings,
    parents: Sequence[Artifact | str],
    tests: Sequence[Prompt],
) -> Artifact:
    """The report as an artifact: measured and written once, wherever it lies."""
    told: dict[str, Any] = {
        "kind": "report",
        "settings": {key: value for key, value in plain(cfg).items() if key != "out"},
        "parents": parents,
        "data": fingerprint(tests),
    }
    there = artifact.made(folder, **told)
    if there is not None:
        return there
    made = page()
    wins, change = made.outcome.wins, made.outcome.change
    numbers = {"winrate": wins.rate, "winrate_low": wins.low, "winrate_high": wins.high}
    numbers |= {"true_change": change.value}
    return artifact.finish(folder, lambda into: _write(made, into), numbers=numbers, **told)


def _write(page: report.Report, folder: Path) -> None:
    report.write(page, folder)


def kl_target(cfg: PPO) -> float | None:
    """Where the price of KL steers, if it does."""
    return cfg.kl.target if isinstance(cfg.kl, AdaptiveKL) else None


def facts(model: str, seed: int) -> dict[str, dict[str, Any]]:
    """What a reader needs to do it again."""
    here = {k: v for k, v in environment().items() if v is not None}
    return {"The start": {"model": model, "seed": seed}, "Versions": here}
