"""Models that keep the rules of a test to the letter, and what they were asked."""

from collections.abc import Callable, Sequence

from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.records import Invalid

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
    lines = ask.messages[0].text.split("\n")
    (one,) = (line[5:] for line in lines[-6:] if line.startswith(" (A) "))
    (two,) = (line[5:] for line in lines[-6:] if line.startswith(" (B) "))
    return one, two


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
