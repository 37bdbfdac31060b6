"""What the demo's people like: a story that names an animal and comes to its end in time.

The reward model never sees this rule, only comparisons made by people who (mostly) follow it; the
report holds the learned reward against it.
"""

import re

_ANIMALS = (
    "ant|bear|bee|bird|bug|bunny|butterfly|cat|caterpillar|chick|chicken|"
    "cow|crab|crocodile|deer|dog|dolphin|donkey|dragonfly|duck|duckling|"
    "eagle|elephant|fish|fly|fox|frog|giraffe|goat|goose|hamster|hen|"
    "hippo|horse|kangaroo|kitten|kitty|ladybug|lamb|lion|lizard|mole|monkey"
    "|mouse|octopus|owl|panda|parrot|penguin|pig|pony|puppy|rabbit|rat|"
    "rooster|seal|shark|sheep|snail|snake|spider|squirrel|swan|tiger|turkey"
    "|turtle|whale|wolf|worm|zebra"
)
_PLURALS = "mice|geese|wolves|bunnies|butterflies|puppies|kitties|ponies"
ANIMAL = re.compile(rf"\b(?:(?:{_ANIMALS})(?:s|es)?|{_PLURALS})\b", re.IGNORECASE)
WORDS = 30
"""an answer of fewer words is no story, whatever it names"""


def names_animal(answer: str) -> bool:
    """Whether an animal appears."""
    return ANIMAL.search(answer) is not None


def rule(prompt: str, answer: str, ended: bool) -> float:
    """Half a point for an animal, half for an end in time; none for what is too short."""
    if len(answer.split()) < WORDS:
        return 0.0
    return 0.5 * names_animal(answer) + 0.5 * ended
