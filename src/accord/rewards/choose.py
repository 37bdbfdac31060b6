"""A reward by its words: what stands behind a path or an address, and sums of them.

reward=runs/reward/reward                              a reward model of ours, or made elsewhere
reward=http://host:8000/score                          a server
reward=rules.py:polite                                 a function
reward=accord.db#live                                  people, asked in a study
reward=correct                                         whether it is the right option, yes or no
reward=gsm8k                                           whether an answer comes to the right number
reward=runs/reward/reward,0.5*rules.py:polite,-0.01*tokens    a weighted sum
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from accord.data.studies import is_study
from accord.engine.roles import Critic
from accord.errors import BadModel, BadSettings
from accord.models.load import Dtype
from accord.records import Conversation, Rollout
from accord.rewards.base import Reward, Score, Sum, weighed
from accord.rewards.foreign import Foreign, Reading
from accord.rewards.guard import Guard, Guarded
from accord.rewards.judge.card import SUFFIXES
from accord.rewards.judge.opinions import grader
from accord.rewards.learned import Learned
from accord.rewards.people import Asking, People
from accord.rewards.reader import Reader
from accord.rewards.remote import Remote, Server
from accord.text.folder import read
from accord.text.hub import is_hub_id

HEAD = "ForSequenceClassification"


@dataclass(frozen=True)
class Tokens:
    """The number of tokens of an answer: with a negative weight, a price of length."""

    reader: Reader
    prices: Mapping[Conversation, float] = field(default_factory=dict)
    """what a token costs where it is not 1"""

    @property
    def which(self) -> str:
        """Its name, and what else than 1 it costs."""
        return f"tokens {sorted(map(str, self.prices.items()))}" if self.prices else "tokens"

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        return [len(rollout.response_ids) * self._price(rollout) for rollout in rollouts]

    def _price(self, rollout: Rollout) -> float:
        if not self.prices:
            return 1.0
        return self.prices.get(self.reader.talk(rollout.prompt_ids), 1.0)


@dataclass(frozen=True)
class Choice:
    """Opens rewards for one policy's prompts and answers."""

    reader: Reader
    dtype: Dtype
    guard: Guard
    classifier: Reading
    http: Server
    on_cpu: bool = False
    """models stay in main memory, also where there is a GPU"""
    named: Mapping[str, Callable[[], Reward]] = field(default_factory=dict)
    """what else has a name, opened when it is called"""
    people: Asking = field(default_factory=Asking)
    keep: Path | None = None
    """where what judges say is kept, so that nobody is asked it twice"""

    def of(self, words: Sequence[str]) -> Reward:
        """The reward of one word, or the weighted sum of several."""
        pairs = [weighed(word) for word in words]
        opened = [(weight, self.one(name)) for weight, name in pairs]
        return opened[0][1] if len(opened) == 1 and opened[0][0] == 1 else Sum(tuple(opened))

    def one(self, name: str) -> Reward:
        """What stands behind a path, an address or a name."""
        if name.startswith(("http://", "https://")):
            return Remote(name, self.reader, self.http)
        if is_study(name):
            return People(name, self.reader, self.people)
        if name in (named := self._named()):
            return named[name]()
        if name.endswith(SUFFIXES):
            return grader(name, self.reader, self.keep)
        if re.search(r"\.py:\w+$", name):
            return Guarded(name, self.reader, self.guard)
        return self._folder(name if is_hub_id(name) else str(Path(name).expanduser()))

    def _named(self) -> dict[str, Callable[[], Reward]]:
        return {"tokens": lambda: Tokens(self.reader), **self.named}

    def _folder(self, name: str) -> Reward:
        folder = Path(name)
        if (folder / "critic.json").is_file():
            critic = Critic.open(folder, dtype=self.dtype, on_cpu=self.on_cpu)
            return Learned(critic, self.reader.speller, self.reader)
        if not folder.is_dir() and not is_hub_id(name):
            raise BadSettings(
                f"reward={name}: no such folder; a reward is a folder, http://…, "
                f"file.py:function, or {', '.join(self._named())}"
            )
        made = [str(kind) for kind in read(name, "config.json").get("architectures") or ()]
        if any(kind.endswith(HEAD) for kind in made):
            return Foreign.open(
                name,
                self.reader,
                self.classifier,
                dtype=self.dtype,
                device="cpu" if self.on_cpu else None,
            )
        if (folder / "adapter_config.json").is_file():
            raise BadModel(
                f"reward={name}: a PEFT adapter without critic.json; merge it into its classifier "
                "and save that (merge_and_unload)"
            )
        kind = ", ".join(made) or "no model"
        raise BadModel(
            f"reward={name}: neither a reward model of accord's (critic.json) nor a …{HEAD}: "
            f"it holds {kind}"
        )


def learned(reward: Reward | None) -> Iterator[Learned]:
    """The reward models of ours in a reward."""
    if isinstance(reward, Learned):
        yield reward
    for _, part in reward.parts if isinstance(reward, Sum) else ():
        yield from learned(part)
