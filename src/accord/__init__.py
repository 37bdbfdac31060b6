"""Accord brings a language model into accord with what people prefer.

    import accord

    start = accord.Policy.open("path/or/hub-id")
    comparisons, tally = accord.read_comparisons("judged.jsonl")
    prompts, _ = accord.read_prompts("ask.jsonl")
    place, cfg = accord.Place("runs/mine"), accord.pipeline.Pipeline()
    way = accord.pipeline.run(place, cfg, start, accord.pipeline.Records(prompts, comparisons))
    way.policy.handle.export("my-model")

Each stage is also a function of its own (`accord.stages`), and each method a function that needs no
folder: `accord.ppo.train(cfg, accord.Run(), start, reward, critic, prompts)`.
Everything here is loaded when it is first touched; `import accord` itself costs nothing.
"""

import importlib
import os
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # nothing here tells anyone anything

_HOME = {
    "Policy": "accord.engine.roles",
    "Critic": "accord.engine.roles",
    "Place": "accord.recipes.stage",
    "Run": "accord.store.run",
    "Sampling": "accord.engine.draw",
    "Lora": "accord.models.lora",
    "Optimizer": "accord.engine.learner",
    "read_prompts": "accord.data.sources",
    "read_demonstrations": "accord.data.sources",
    "read_comparisons": "accord.data.sources",
    "read_ratings": "accord.data.sources",
    "read": "accord.data.sources",
    "sft": "accord.recipes",
    "reward": "accord.recipes",
    "ppo": "accord.recipes",
    "pipeline": "accord.recipes",
    "stages": "accord.recipes",
}
_MODULES = ("sft", "reward", "ppo", "pipeline", "stages")

__all__ = [
    "Critic",
    "Lora",
    "Optimizer",
    "Place",
    "Policy",
    "Run",
    "Sampling",
    "pipeline",
    "ppo",
    "read",
    "read_comparisons",
    "read_demonstrations",
    "read_prompts",
    "read_ratings",
    "reward",
    "sft",
    "stages",
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
