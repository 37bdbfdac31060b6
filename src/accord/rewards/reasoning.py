"""Tasks that are made by the thousand and can be checked: the generators of reasoning-gym.

Stojanovski et al. 2025, "Reasoning Gym".  Prompts and their checker come from one data set, which a
name, a size and a seed make again anywhere.  The checker reads what a model wrote, some of it with
a parser that could be led astray, so it judges behind a wall (rewards/guard.py).
"""

import shutil
import weakref
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from accord.config import nearest
from accord.config.limits import Count
from accord.errors import BadSettings, MissingExtra
from accord.records import Prompt, ask
from accord.rewards.guard import Guard, Guarded
from accord.rewards.reader import Reader


@dataclass(frozen=True)
class Reasoning:
    """A data set of reasoning-gym: what is asked, and how an answer is checked."""

    task: str = "chain_sum"
    """the generator, as leg_counting, gcd, countdown; a wrong name lists those near it"""
    size: Count = 500
    """tasks that are made"""
    seed: int = 0
    """of the tasks: another seed makes others, to measure on"""
    options: str = ""
    """its own settings: min_terms=2,max_terms=3"""
    tag: str = ""
    """answers stand in <tag>…</tag>, the last one counts and one without scores 0; "": all is it"""

    def made(self) -> Any:
        """The data set; MissingExtra without the library, BadSettings for what it does not know."""
        try:
            import reasoning_gym
        except ImportError:
            raise MissingExtra(
                "reasoning tasks need reasoning-gym: pip install 'accord[reasoning]'"
            ) from None
        known = list(reasoning_gym.factory.DATASETS)
        if self.task not in known:
            near = nearest(self.task, known)
            hint = f"did you mean {near!r}?" if near else f"it has {', '.join(known[:10])}, …"
            raise BadSettings(f"reasoning-gym has no task {self.task!r}; {hint}")
        try:
            return reasoning_gym.create_dataset(
                self.task, size=self.size, seed=self.seed, **self._told()
            )
        except (TypeError, ValueError, AssertionError) as error:
            raise BadSettings(
                f"reasoning.task={self.task} does not take these options: {error}"
            ) from None

    def prompts(self) -> list[Prompt]:
        """What is asked, each question once, with the data set's own answer."""
        found = {
            entry["question"]: Prompt(
                ask(entry["question"]), f"{self.task}-{self.seed}-{i}", str(entry["answer"])
            )
            for i, entry in enumerate(self.made())
        }
        return list(found.values())

    def reward(self, reader: Reader, guard: Guard) -> Guarded:
        """Its checker: from 0 to 1, in a process of its own."""
        home = Path(mkdtemp(prefix="accord-reasoning-"))
        file = home / "checker.py"
        file.write_text(
            "from accord.rewards.reasoning import Checker, Reasoning\n\n"
            f"score = Checker({self!r}).score\n"
        )
        judge = Guarded(f"{file}:score", reader, guard)
        weakref.finalize(judge, shutil.rmtree, home, ignore_errors=True)
        return judge

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for word in filter(None, self.options.split(",")):
            key, equals, value = (part.strip() for part in word.partition("="))
            if not equals or not key.isidentifier() or key in ("size", "seed"):
                raise BadSettings(
                    f"reasoning.options={self.options}: {word.strip()!r} is not name=value of the "
                    "task's own; size and seed are settings beside it"
                )
            told[key] = _value(value)
        return told


class Checker:
    """Asks the data set whether an answer is right."""

    def __init__(self, what: Reasoning):
        self.tag, self.data = what.tag, what.made()
        self.entries = {entry["question"]: entry for entry in self.data}

    def score(self, prompts: list[Any], completions: list[Any]) -> list[float]:
        """For one prompt and its answer, texts or messages."""
        return [self._one(*pair) for pair in zip(prompts, completions, strict=True)]

    def _one(self, asked: Any, said: Any) -> float:
        question = asked if isinstance(asked, str) else asked[-1]["content"]
        text = said if isinstance(said, str) else said[-1]["content"]
        return float(self.data.score_answer(self._answer(text), self.entries[question]))

    def _answer(self, text: str) -> str | None:
        if not self.tag:
            return text.strip()
        _, opened, rest = text.rpartition(f"<{self.tag}>")
        answer, closed, _ = rest.partition(f"</{self.tag}>")
        return answer.strip() if opened and closed else None


def _value(said: str) -> Any:
    """A number or a truth value where it is one, else the text."""
    if said in ("true", "false"):
        return said == "true"
    for kind in (int, float):
        try:
            return kind(said)
        except ValueError:
            continue
    return said
