"""A program in place of a language model that criticises, revises and compares stories.

It reads the very questions that a model would be sent, and answers them by word lists: it follows
the principle, most of the time.  Wherever it shows, it is said to be simulated.
"""

import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from accord.data.constitution import Constitution
from accord.demo.gentle import OF, harms
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.records import Invalid

SENTENCE = re.compile(r"[^.!?]*[.!?]+[\"”']?\s*|[^.!?]+$")
_CHOICE = re.compile(r"Options:\n \(A\) (.*?)\n \(B\) (.*?)\s*\Z", re.DOTALL)
STEEP = 1.5
"""logits for each word by which two stories differ"""
NOTHING = "Nothing here goes against that."


@dataclass(frozen=True)
class Simulated:
    """An LLM that is none."""

    c: Constitution
    noise: float = 1.0
    """standard deviation of what it adds to its logit, by chance but the same for the same pair"""
    place: float = 1.0
    """logits by which it prefers whatever is shown first"""
    slips: float = 0.1
    """share of revisions in which it changes nothing"""

    @property
    def which(self) -> str:
        """Said to be simulated, with all that decides what it says."""
        told = f"noise={self.noise:g} place={self.place:g} slips={self.slips:g}"
        return f"simulated:rule-follower {told} {self.c.fingerprint[:12]}"

    def say(
        self, asks: Sequence[Ask], *, longest: int, how: Sampling = Sampling()
    ) -> list[Spoken | Invalid]:
        """A critique or a revision of what was asked about last."""
        return [self._said(ask) for ask in asks]

    def weigh(
        self, asks: Sequence[Ask], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...] | Invalid]:
        """log p of (A) and (B)."""
        return [self._weighed(ask) for ask in asks]

    def _said(self, ask: Ask) -> Spoken | Invalid:
        text = ask.messages[-1].text
        for principle in self.c.revise:
            if text.rstrip().endswith(f"RevisionRequest: {principle.revision}"):
                story, dice = self._story(text), random.Random(f"slip/{ask.seed}/{text[-400:]}")
                kept = story if dice.random() < self.slips else _without(story, principle.id)
                return _spoken(kept)
            if text.rstrip().endswith(f"CritiqueRequest: {principle.critique}"):
                found = OF[principle.id].findall(self._story(text)) if principle.id in OF else []
                words = ", ".join(dict.fromkeys(f'"{word.lower()}"' for word in found))
                return _spoken(f"The story says {words}." if found else NOTHING)
        return Invalid("the simulated model only knows how to criticise and revise")

    def _story(self, text: str) -> str:
        """The last story in a question, up to what is asked of it."""
        story = text.rpartition(f"{self.c.assistant}: ")[2]
        return story.partition("\n\nCritiqueRequest:")[0].partition("\n\nRevisionRequest:")[0]

    def _weighed(self, ask: Ask) -> tuple[float, ...] | Invalid:
        text = ask.messages[-1].text
        last = text.rpartition("Consider what was said between")[2]
        found = _CHOICE.search(last)
        by = next((one for one in self.c.compare if one.text in last), None)
        if found is None or by is None:
            return Invalid("the simulated model only knows how to compare under a principle")
        a, b = found.groups()
        gap = _bad(b, by.id) - _bad(a, by.id)
        # the same pair in the other order has the same noise with the other sign
        first, second = sorted((a, b))
        drawn = random.Random(f"noise/{by.id}/{first}/{second}").gauss(0, self.noise)
        logit = STEEP * gap + (drawn if a == first else -drawn) + self.place
        return -math.log1p(math.exp(-logit)), -math.log1p(math.exp(logit))


def _bad(story: str, principle: str) -> float:
    """Words against this principle count whole, those against another a little."""
    mine = harms(story, principle) if principle in OF else 0
    return mine + 0.3 * (harms(story) - mine)


def _without(story: str, principle: str) -> str:
    """The story without the sentences that offend; itself where nothing would be left."""
    if principle not in OF:
        return story
    kept = [one for one in _sentences(story) if not OF[principle].search(one)]
    return "".join(kept).strip() or story


def _sentences(story: str) -> Iterator[str]:
    yield from SENTENCE.findall(story)


def _spoken(text: str) -> Spoken:
    return Spoken(f" {text}", True, 0, len(text.split()))
