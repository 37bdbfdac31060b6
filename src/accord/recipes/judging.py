"""The rewards of a command: by what words they are given, opened, and checked before training."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.config import Settings
from accord.data.comparisons import fingerprint
from accord.engine.roles import Critic
from accord.errors import BadSettings
from accord.evaluate.pairwise import FileJudge
from accord.models.load import Dtype
from accord.records import Comparison, Prompt
from accord.rewards.base import Reward
from accord.rewards.check import agreement, check, held_out
from accord.rewards.choose import Choice, Tokens, learned
from accord.rewards.foreign import Reading
from accord.rewards.guard import Guard, Guarded
from accord.rewards.judge.opinions import LLMJudge, pair_judge
from accord.rewards.numbers import Numbers
from accord.rewards.people import Asking
from accord.rewards.reader import Reader
from accord.rewards.reasoning import Reasoning
from accord.rewards.remote import Server
from accord.rewards.symbolic import Correct, YesNo
from accord.store import artifact
from accord.store.artifact import Artifact
from accord.text.tokenizer import Speller

CALLS = "calls"
"""a folder of a run: what language models said as judges"""


class Rewards(Settings):
    """Where the scores of a command come from."""

    reward: tuple[str, ...] = ()
    """a reward model (folder), a server (http://…), file.py:function, a language model as a judge
    (its card, judge.yaml), tokens, people (STORE#STUDY), gsm8k or correct (1 where the answer comes
    to the number, or option, that prompts= says is right); several are added up, with weights:
    FOLDER,0.5*rules.py:polite,-0.01*tokens"""
    rule: str | None = None
    """file.py:function(prompt, answer, ended) -> number: the reward, or what is only watched where
    reward= is given too"""
    check: Path | None = None
    """comparisons that the reward must agree with as it did when it was measured, at the start"""
    guard: Guard = Guard()
    """how functions are kept from harming the run"""
    classifier: Reading = Reading()
    """how a reward model made elsewhere is read"""
    http: Server = Server()
    """how a reward server is spoken to"""
    people: Asking = Asking()
    """how people are asked, where reward=STORE#STUDY"""

    def some(self, method: str) -> None:
        """BadSettings where there is no reward at all."""
        if not self.reward and self.rule is None:
            raise BadSettings(
                f"{method} needs a reward: reward=FOLDER, reward=http://…, or rule=file.py:function"
            )


@dataclass(frozen=True)
class Bench:
    """All who judge in a command, and the comparisons that they are to agree with."""

    reward: Reward
    """what is learned from"""
    gold: Reward | None
    """what is only watched"""
    policy: Speller
    compared: Sequence[Comparison]

    @classmethod
    def of(
        cls,
        said: Rewards,
        policy: Speller,
        prompts: Sequence[Prompt],
        compared: Sequence[Comparison] = (),
        *,
        dtype: Dtype = "fp32",
        on_cpu: bool = False,
        tasks: Reasoning | None = None,
        keep: Path | None = None,
    ) -> "Bench":
        """What the words of a command name, for answers of this policy to these prompts.

        What language models say as judges is kept below `keep`.  `tasks` are what made the prompts:
        their checker is the reward where none is named.
        """
        reader = Reader(policy, [*prompts, *(Prompt(one.prompt) for one in compared)])
        rule = Guarded(said.rule, reader, said.guard) if said.rule else None
        prices = {prompt.messages: prompt.price for prompt in prompts if prompt.price != 1}
        named: dict[str, Callable[[], Reward]] = {
            "tokens": lambda: Tokens(reader, prices),
            "correct": lambda: Correct.of(reader, prompts),
            "correct-llava": lambda: Correct.of(reader, prompts, yes=YesNo(0.0, 0.0)),
            "gsm8k": lambda: Numbers(reader, prompts),
        }
        if tasks is not None:
            named["reasoning"] = lambda: tasks.reward(reader, said.guard)
        if words := said.reward or (("reasoning",) if tasks is not None else ()):
            told = (said.guard, said.classifier, said.http, on_cpu, named, said.people, keep)
            choice = Choice(reader, dtype, *told)
            return cls(choice.of(words), rule, policy, compared)
        if rule is None:
            raise BadSettings("there is no reward: say reward=… or rule=…")
        return cls(rule, None, policy, compared)

    @property
    def parents(self) -> list[Artifact | str]:
        """The reward models of ours, as artifacts where they are some."""
        critics = [model.critic for model in learned(self.reward)]
        return [_origin(critic) or critic.fingerprint for critic in critics]

    def critic(self) -> Critic:
        """A reward model that a value function can start from: one that reads the policy's ids."""
        for model in learned(self.reward):
            if model.alike:
                return model.critic
        raise BadSettings(
            "the critic can only start from a reward model of accord's with the policy's own "
            "tokenizer and template, and reward= holds none: say critic=zero, a critic from the "
            "policy itself"
        )

    def check(self, tell: Callable[[str], None]) -> None:
        """What the reward prefers is told; what a reward model of ours preferred when it was made
        from these comparisons must come out again, or BadModel.
        """
        if not self.compared:
            return
        tell(f"the reward agrees with {agreement(self.reward, self.policy, self.compared)}")
        for model in learned(self.reward):
            made = _origin(model.critic)
            if made is None or made.hashes.get("data") != fingerprint(self.compared):
                tell(
                    f"{model.critic.source} was not made from these comparisons; nothing to repeat"
                )
            elif "accuracy" in made.numbers:
                kept = held_out(self.compared, model.critic, made)
                found = check(model, self.policy, kept, made.numbers["accuracy"])
                tell(f"{model.critic.source} agrees with {found} held out, as when it was made")


def compares(
    word: str, guard: Guard, keep: Path, tell: Callable[[str], None]
) -> FileJudge | LLMJudge:
    """Who sees two answers: a function of a file, or a language model, by its card or by itself."""
    if re.search(r"\.py:\w+$", word):
        return FileJudge(word, guard)
    return pair_judge(word, keep, tell)


def _origin(critic: Critic) -> Artifact | None:
    return artifact.origin(critic.source) if critic.source else None
