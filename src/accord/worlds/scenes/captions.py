"""True descriptions of scenes, in simple English and many wordings; and the facts, as a list."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from accord.worlds.scenes.things import Scene, Thing
from accord.worlds.scenes.words import RELATIONS, article, cell_name, number, plural, stands

EVERYWHERE = ("in the picture", "in this picture", "here")
VOICES = ("I see", "I can see", "You can see", "We see", "The picture shows")


def facts(scene: Scene) -> list[str]:
    """All that is in the scene, a thing each: what a reward model may be shown."""
    return [f"{article(named(thing))} {placed(thing)}" for thing in scene.things]


def plainly(scene: Scene, chance: random.Random) -> str:
    """A description in few wordings: a sentence for each thing, from the top left to the bottom
    right, so that a small model soon learns to give it.
    """
    return " ".join(f"{chance.choice(('There is', 'I see'))} {fact}." for fact in facts(scene))


def captions(scene: Scene, n: int) -> list[str]:
    """`n` descriptions, always the same ones.  Each tells of every thing, and all of it is true."""
    chance = random.Random(f"captions {scene.name}")
    return [caption(scene, chance) for _ in range(n)]


def caption(scene: Scene, chance: random.Random) -> str:
    """One description, worded by chance."""
    things = list(scene.things)
    if chance.random() < 0.5:
        chance.shuffle(things)
    teller = _Teller(chance, chance.choice(VOICES))
    said = chance.choice((teller.one_by_one, teller.listed))(things)
    if chance.random() < 0.4:
        said.insert(0, teller.count(things))
    if chance.random() < 0.6:
        said.append(teller.relation(things))
    return " ".join(said)


@dataclass(frozen=True, slots=True)
class _Teller:
    """The sentences of one description."""

    chance: random.Random
    voice: str
    """how it begins sentences, beside "There is" """

    def one_by_one(self, things: Sequence[Thing]) -> list[str]:
        """A sentence for each thing, or for two."""
        ways = (self._there, self._stands, self._place_first, self._place_after)
        said: list[str] = []
        left = list(things)
        while left:
            thing = left.pop(0)
            if left and self.chance.random() < 0.25:
                said.append(self._pair(thing, left.pop(0)))
            else:
                said.append(self.chance.choice(ways)(thing))
        return said

    def listed(self, things: Sequence[Thing]) -> list[str]:
        """All in one sentence; then where some of them are."""
        sized = self.chance.random() < 0.6
        *names, last = (article(named(thing) if sized else short(thing)) for thing in things)
        return [f"{self._opening()} {', '.join(names)} and {last}."] + [
            f"The {short(thing)} is {_where(thing, self.chance)}."
            for thing in things
            if self.chance.random() < 0.6
        ]

    def count(self, things: Sequence[Thing]) -> str:
        """How many there are of a shape, of a colour, or in all."""
        shapes, colours = Counter(x.shape for x in things), Counter(x.colour for x in things)
        told = [(many, plural(shape)) for shape, many in shapes.items() if many > 1]
        told += [(many, f"{colour} things") for colour, many in colours.items() if many > 1]
        many, what = self.chance.choice([*told, (len(things), "things")])
        if self.chance.random() < 0.5:
            return f"{self.voice} {number(many)} {what}."
        return f"There are {number(many)} {what} {self.chance.choice(EVERYWHERE)}."

    def relation(self, things: Sequence[Thing]) -> str:
        """Where one thing is, from another."""
        one, other = self.chance.sample(list(things), 2)
        relation = self.chance.choice([r for r in RELATIONS if stands(one, r, other)])
        if self.chance.random() < 0.2:
            return f"{_upper(relation)} the {short(other)} is {article(short(one))}."
        return f"The {short(one)} is {relation} the {short(other)}."

    def _opening(self) -> str:
        return self.chance.choice(("There is", self.voice))

    def _there(self, thing: Thing) -> str:
        return f"{self._opening()} {self._placed(thing)}."

    def _stands(self, thing: Thing) -> str:
        return f"{_upper(article(named(thing)))} is {_where(thing, self.chance)}."

    def _place_first(self, thing: Thing) -> str:
        link = self.chance.choice((" is", " there is", ", there is"))
        return f"{_upper(_where(thing, self.chance))}{link} {article(named(thing))}."

    def _place_after(self, thing: Thing) -> str:
        big = self.chance.choice((f"{thing.size} and ", ""))
        where = _where(thing, self.chance)
        return f"{self._opening()} {article(short(thing))}. It is {big}{where}."

    def _pair(self, one: Thing, other: Thing) -> str:
        return f"{self._opening()} {self._placed(one)} and {self._placed(other)}."

    def _placed(self, thing: Thing) -> str:
        return f"{article(named(thing))} {_where(thing, self.chance)}"


# --- phrases ---


def named(thing: Thing) -> str:
    """Its size, colour and shape."""
    return f"{thing.size} {short(thing)}"


def short(thing: Thing) -> str:
    """Its colour and shape."""
    return f"{thing.colour} {thing.shape}"


def placed(thing: Thing) -> str:
    """The plain words for where a thing is, as facts have them."""
    name = cell_name(thing.cell)
    return f"{'in' if name == 'middle' else 'on' if name in ('left', 'right') else 'at'} the {name}"


def _where(thing: Thing, chance: random.Random) -> str:
    """The same in other words; "at the top" may be said of the top left too."""
    name = cell_name(thing.cell)
    words = [placed(thing)] * 2
    if " " in name:
        row, column = name.split()
        words += [f"in the {name} corner", f"at the {row}", f"on the {column}"]
    elif name != "middle":
        words.append(f"{'on' if name in ('left', 'right') else 'at'} the {name} of the picture")
    return chance.choice(words)


def _upper(words: str) -> str:
    return words[0].upper() + words[1:]
