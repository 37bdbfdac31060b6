"""Models that keep the rules of a test to the letter, and what they were asked."""

from collections.abc import Callable, Sequence
from pathlib import Path

from accord.config import digest
from accord.data.rows import pad
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.engine.roles import Policy
from accord.records import Invalid
from accord.records.plain import messages

SLIP = "d"
"""the letter that the toy constitution forbids"""
RULES = "- Say no d.\n- Leave out every d.\n- Nothing with d is good.\n"


def last_answer(ask: Ask) -> str:
    """What the question shows as the last answer of the assistant."""
    text = ask.messages[0].text
    told = [line for line in text.split("\n") if line.startswith("Assistant: ")]
    return told[-1].removeprefix("Assistant: ")


def shown(ask: Ask) -> tuple[str, str]:
    """The two answers that a question shows, in their order."""
    told = ask.messages[0].text.rpartition("Options:\n (A) ")[2]
    one, _, two = told.partition("\n (B) ")
    return one, two.strip()


class RuleLLM:
    """Takes out one forbidden letter a revision, and weighs answers by how few they have.

    `bias` (nats) pulls it to what is shown first.
    """

    which = "rule"

    def __init__(self, bias: float = 0.0, slope: float = 1.0):
        self.bias, self.slope = bias, slope
        self.asked: list[Ask] = []
        self.calls = 0
        self.how: list[Sampling] = []

    def say(
        self, asks: Sequence[Ask], /, *, longest: int, how: Sampling = Sampling()
    ) -> list[Spoken | Invalid]:
        self.asked += asks
        self.calls += 1
        self.how.append(how)
        return [self.one(ask) for ask in asks]

    def one(self, ask: Ask) -> Spoken | Invalid:
        if ask.opened.startswith("Let"):
            return Spoken(f" there is {shown(ask)[0].count(SLIP)} of it", True)
        if ask.opened != "Revision:":
            return Spoken(f" there is {last_answer(ask).count(SLIP)} of it", True)
        return Spoken(" " + last_answer(ask).replace(SLIP, "a", 1), True)

    def weigh(
        self, asks: Sequence[Ask], options: Sequence[Sequence[str]], /
    ) -> list[tuple[float, ...] | Invalid]:
        self.asked += asks
        self.calls += 1
        assert all(tuple(few) == (" (A)", " (B)") for few in options)
        return [self.weight(ask) for ask in asks]

    def weight(self, ask: Ask) -> tuple[float, ...] | Invalid:
        one, two = shown(ask)
        return (
            -1.0 + self.bias - self.slope * one.count(SLIP),
            -1.0 - self.slope * two.count(SLIP),
        )


class Odd(RuleLLM):
    """Says to each question what `of` says; None: as the rule has it."""

    def __init__(self, of: Callable[[Ask], Spoken | Invalid | None]):
        super().__init__()
        self.of = of

    def one(self, ask: Ask) -> Spoken | Invalid:
        return self.of(ask) or super().one(ask)


class Logged(RuleLLM):
    """Has a line in a file for each call that is really made."""

    def __init__(self, log: Path):
        super().__init__()
        self.log = log

    def one(self, ask: Ask) -> Spoken | Invalid:
        return self.noted(ask, super().one)

    def weight(self, ask: Ask) -> tuple[float, ...] | Invalid:
        return self.noted(ask, super().weight)

    def noted(self, ask: Ask, make: Callable):
        with self.log.open("a") as log:
            log.write(digest([messages(ask.messages), ask.opened, ask.seed]) + "\n")
        return answer(ask, make)


class Whole:
    """A real policy that is asked: every option scored as a whole, one question at a time."""

    def __init__(self, policy: Policy):
        self.policy = policy
        self.which = policy.fingerprint

    def ids(self, ask: Ask) -> tuple[int, ...]:
        speller = self.policy.speller
        return (*speller.prompt_ids(ask.messages), *self.bare(ask.opened))

    def bare(self, text: str) -> tuple[int, ...]:
        speller = self.policy.speller
        return speller.opening(text)[len(speller.head) :]

    def say(
        self, asks: Sequence[Ask], /, *, longest: int, how: Sampling = Sampling()
    ) -> list[Spoken | Invalid]:
        said: list[Spoken | Invalid] = []
        for ask in asks:
            ids = self.ids(ask)
            if len(ids) + longest >= self.policy.context:
                said.append(Invalid("longer than the context"))
                continue
            (one,) = self.policy.sample([ids], longest=longest, seed=ask.seed, how=how)
            said.append(Spoken(self.policy.speller.text(one), one.finish == "stop"))
        return said

    def weigh(
        self, asks: Sequence[Ask], options: Sequence[Sequence[str]], /
    ) -> list[tuple[float, ...] | Invalid]:
        told: list[tuple[float, ...] | Invalid] = []
        for ask, few in zip(asks, options, strict=True):
            ids, ends = self.ids(ask), [self.bare(option) for option in few]
            logp = self.policy.logp(pad([ids] * len(few), ends)).double().sum(1)
            told.append(tuple(logp.tolist()))
        return told


def answer(ask: Ask, make: Callable):
    """A call, where a test can break it off."""
    return make(ask)
