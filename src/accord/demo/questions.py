"""Questions for a chat model, and what the people of that demo like: one whole sentence."""

import itertools
import random
import re

from accord.records import Message, Prompt

SYSTEM = "You answer every question briefly, in one or two sentences."
_THINGS = (
    "a volcano",
    "a bicycle",
    "a rainbow",
    "bread",
    "a telescope",
    "a desert",
    "the moon",
    "a guitar",
    "honey",
    "a bridge",
    "a computer",
    "snow",
    "a library",
    "an earthquake",
    "chess",
    "a garden",
    "a train",
    "salt",
    "a mirror",
    "the ocean",
    "a lighthouse",
    "cheese",
    "a clock",
    "a forest",
    "electricity",
    "a museum",
    "rain",
    "a compass",
    "chocolate",
    "a glacier",
    "a microscope",
    "football",
    "a river",
    "paper",
    "an airport",
    "a candle",
    "a tornado",
    "coffee",
    "a magnet",
    "a castle",
    "a hospital",
    "sleep",
    "a battery",
    "a farm",
    "glass",
    "a market",
    "music",
    "a passport",
    "a spider",
    "a camera",
)
_FORMS = (
    "What is {}?",
    "What is {} good for?",
    "What should a child know about {}?",
    "What can go wrong with {}?",
    "Why do people care about {}?",
    "What is surprising about {}?",
    "How would you explain {} to a friend?",
    "Where does one find {}?",
    "What would the world be without {}?",
    "What does one learn from {}?",
)
WORDS = 6
"""an answer of fewer words is none, however it ends"""
_GOES_ON = re.compile(r"[.!?][\"'”’)\]]*\s+\S|\n")
_ENDS = re.compile(r"[.!?][\"'”’)\]]*$")


def _all() -> list[str]:
    return [form.format(thing) for form, thing in itertools.product(_FORMS, _THINGS)]


def questions(count: int, seed: int = 0) -> list[Prompt]:
    """`count` different questions, always the same ones for a seed."""
    texts = random.Random(f"questions/{seed}").sample(_all(), count)
    system = Message.of("system", SYSTEM)
    return [
        Prompt((system, Message.of("user", text)), f"question/{index}")
        for index, text in enumerate(texts)
    ]


def one_sentence(answer: str) -> bool:
    """Whether a text is one sentence with its full stop, and no list."""
    text = answer.strip()
    return _ENDS.search(text) is not None and _GOES_ON.search(text) is None


def brief(prompt: str, answer: str, ended: bool) -> float:
    """Half a point for an end in time, half for being one sentence; none for what is too short."""
    if not ended or len(answer.split()) < WORDS:
        return 0.0
    return 0.5 + 0.5 * one_sentence(answer)
