"""First sentences of stories, for the storyteller to go on from.  None of them names an animal."""

import itertools
import random

from accord.records import Prompt, ask

_WHO = (
    "a little girl named Lily",
    "a little boy named Tom",
    "a boy named Ben",
    "a girl named Mia",
    "a boy named Max",
    "a girl named Sue",
    "a boy named Sam",
    "a girl named Anna",
    "a little boy named Tim",
    "a little girl named Sara",
)
_NAMES = {
    "Lily": "her",
    "Tom": "his",
    "Ben": "his",
    "Mia": "her",
    "Max": "his",
    "Sue": "her",
    "Sam": "his",
    "Anna": "her",
    "Tim": "his",
    "Sara": "her",
}
_WHERE = ("the park", "the beach", "the garden", "the store", "the farm", "the woods", "school")
_WITH = ("mom", "dad", "grandma", "brother", "sister", "best friend")
_LIKES = (
    "loved to play outside",
    "liked to help at home",
    "wanted to learn new things",
    "had a big red ball",
    "liked to draw and paint",
    "found a shiny box",
    "was very curious",
    "did not want to sleep",
)


def _all() -> list[str]:
    plain = [
        f"Once upon a time, there was {who}." + f" {who.split()[-1]} {likes}."
        for who, likes in itertools.product(_WHO, _LIKES)
    ]
    trips = [
        f"One day, {name} went to {where} with {their} {kin}."
        for (name, their), where, kin in itertools.product(_NAMES.items(), _WHERE, _WITH)
    ]
    return plain + trips


def openings(count: int, seed: int = 0) -> list[Prompt]:
    """`count` different openings, always the same ones for a seed."""
    texts = random.Random(f"openings/{seed}").sample(_all(), count)
    return [Prompt(ask(text), f"opening/{index}") for index, text in enumerate(texts)]
