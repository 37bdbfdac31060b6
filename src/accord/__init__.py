"""Accord brings a language model into accord with what people prefer.

    import accord

    start = accord.Policy.open("path/or/hub-id")
    run = accord.Run("runs/mine")
    policy = accord.ppo.train(accord.ppo.PPO(steps=100), run, start, reward, critic, prompts)
    policy.export("my-model")

Everything here is loaded when it is first touched; `import accord` itself costs nothing.
"""

import importlib
import os
from typing import Any

__version__ = "0.1.0"

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # nothing here tells anyone anything

_HOME = {
    "Policy": "accord.engine.roles",
    "Critic": "accord.engine.roles",
    "Run": "accord.store.run",
    "Sampling": "accord.engine.draw",
    "Lora": "accord.models.lora",
    "Optimizer": "accord.engine.learner",
    "read_prompts": "accord.data.sources",
    "read_demonstrations": "accord.data.sources",
    "read_comparisons": "accord.data.sources",
    "sft": "accord.recipes",
    "reward": "accord.recipes",
    "ppo": "accord.recipes",
    "pipeline": "accord.recipes",
}
_MODULES = ("sft", "reward", "ppo", "pipeline")

__all__ = [
    "Critic",
    "Lora",
    "Optimizer",
    "Policy",
    "Run",
    "Sampling",
    "pipeline",
    "ppo",
    "read_comparisons",
    "read_demonstrations",
    "read_prompts",
    "reward",
    "sft",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"accord has no {name!r}; it has {', '.join(__all__)}")
    home = _HOME[name]
    if name in _MODULES:
        return importlib.import_module(f"{home}.{name}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
