"""Reads a description back: what it claims, in which words; and what of that is false in a scene.

A description is cut into sentences, and a sentence into the few kinds of phrases that scenes are
spoken of with.  Words that are none of these are passed over, so any text can be read.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from accord.worlds.scenes.things import COLOURS, SHAPES, Scene, Thing
from accord.worlds.scenes.words import (
    COLUMNS,
    MIDDLES,
    NUMBERS,
    OTHER_COLOURS,
    OTHER_SHAPES,
    RELATIONS,
    ROWS,
    SIZE_WORDS,
    Place,
    is_at,
    place,
    plural,
    stands,
)

Span = tuple[int, int]
"""where words begin and end in a text, in characters"""
Match = re.Match[str]
Kind = Literal["thing", "count", "size", "colour", "place", "relation"]


@dataclass(frozen=True, slots=True)
class Mention:
    """A thing as a text speaks of it; None is "it does not say"."""

    span: Span
    size: str | None = None
    colour: str | None = None
    shape: str | None = None
    number: int | None = None
    """how many there are, where it says so; 0 where it says that there is none"""

    def fits(self, thing: Thing) -> bool:
        """Whether this may be said of a thing, wherever it is."""
        return (
            self.size in (None, thing.size)
            and self.colour in (None, thing.colour)
            and self.shape in (None, thing.shape)
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a text claims, and the words that would be false."""

    kind: Kind
    span: Span
    of: Mention
    value: str = ""
    """a size, a colour or a relation"""
    where: Place | None = None
    """of a place; and of a count, where the things are that are counted"""
    other: Mention | None = None
    """of a relation"""


def claims(text: str) -> list[Claim]:
    """All that a text claims of a scene, in the order in which the things are spoken of."""
    reader = _Reader()
    for sentence in re.finditer(r"[^.!?;\n]+", text):
        reader.sentence(list(_PHRASE.finditer(text, *sentence.span())))
    return reader.found


def judged(scene: Scene, text: str) -> list[tuple[Claim, bool]]:
    """Each claim, and whether it is true.

    Left out is what a text says further of a thing that is not there.  What it says of one thing
    must hold of one: "There is a star.  It is red." wants a red star.
    """
    among: dict[Mention, list[Thing]] = {}

    def meant(mention: Mention) -> list[Thing]:
        return among.setdefault(mention, [x for x in scene.things if mention.fits(x)])

    out: list[tuple[Claim, bool]] = []
    for claim in claims(text):
        fitting = meant(claim.of)
        others = meant(claim.other) if claim.other else []
        if claim.kind == "thing":
            out.append((claim, bool(fitting)))
        elif claim.kind == "count":
            here = [x for x in fitting if claim.where is None or is_at(x, claim.where)]
            if fitting or not claim.of.number:
                out.append((claim, len(here) == claim.of.number))
        elif fitting and (claim.other is None or others):
            left = [x for x in fitting if _holds(claim, x, others)]
            among[claim.of] = left or fitting
            out.append((claim, bool(left)))
    return out


def hallucinated(scene: Scene, text: str) -> list[Span]:
    """The words of a text that are false in a scene, in their order."""
    return sorted(claim.span for claim, true in judged(scene, text) if not true)


def _holds(claim: Claim, thing: Thing, others: Sequence[Thing]) -> bool:
    if claim.kind == "relation":
        return any(stands(thing, claim.value, other) for other in others)
    if claim.where:
        return is_at(thing, claim.where)
    return claim.value in (thing.size, thing.colour)


class _Reader:
    """Sentences in, claims out; "it" is what the last sentence began with."""

    def __init__(self) -> None:
        self.found: list[Claim] = []
        self.it: Mention | None = None
        self._begin()

    def _begin(self) -> None:
        self.subject: Mention | None = None  # what is spoken of
        self.told: Mention | None = None  # what the last relation was told of
        self.first = True  # nothing was mentioned yet in this sentence
        self.place: Match | None = None  # said before the thing that is there
        self.relation: Match | None = None  # said, but not yet to what
        self.base: tuple[Match, Mention] | None = None  # "to the left of a star is ..."
        self.says = False  # "is" was said of the subject
        self.denied = False

    def sentence(self, phrases: Sequence[Match]) -> None:
        """Reads one."""
        self._begin()
        for at, match in enumerate(phrases):
            kind = match.lastgroup
            if kind in ("thing", "odd"):
                self._thing(match)
            elif kind == "place":
                self._place(match, _in_front(phrases, at))
            elif kind == "relation":
                again = at > 0 and phrases[at - 1].lastgroup == "and"
                self.subject = self.told if again and self.told else self.subject
                self.relation = match
            elif kind == "look":
                self._look(match)
            elif kind == "it":
                self.subject, self.says = self.it, match["it"].lower() == "it's"
            elif kind == "link":
                self.says = self.subject is not None
            elif kind == "not":
                self.denied = True

    def _thing(self, match: Match) -> None:
        mention = _mention(match)
        denied, self.denied = self.denied, False
        if denied and self.relation is None:
            mention = replace(mention, number=0)
        counted = match.span("number") if match["number"] else mention.span
        if mention.number != 0 and (mention.size or mention.colour or mention.shape):
            self.found.append(Claim("thing", mention.span, mention))
        if mention.number is not None:
            self.found.append(Claim("count", counted, mention))
        if self.relation and self.subject is None:
            self.base, self.relation = (self.relation, mention), None
            return
        if self.relation and self.subject:
            if not denied:
                self._relate(self.relation, self.subject, mention)
            self.told = self.subject
        elif self.base:
            self._relate(self.base[0], mention, self.base[1])
        self.relation, self.base, self.subject, self.says = None, None, mention, False
        if self.first:
            self.it, self.first = mention, False
        if self.place:
            place, self.place = self.place, None
            self._at(place)

    def _relate(self, match: Match, one: Mention, other: Mention) -> None:
        meant = _OVER[match["relation"].lower()]
        self.found.append(Claim("relation", match.span("relation"), one, meant, other=other))

    def _place(self, match: Match, before: bool) -> None:
        """A place, said before the thing that is there or behind it."""
        if before or self.subject is None:
            self.place = match
        elif not self.denied:
            self._at(match)
        self.denied = False

    def _at(self, match: Match) -> None:
        """The subject is there; how many there are is counted there."""
        mention = self.subject
        assert mention is not None
        where = place(match["where"].lower())
        counts = [i for i, x in enumerate(self.found) if x.of == mention and x.kind == "count"]
        if counts:
            self.found[counts[0]] = replace(self.found[counts[0]], where=where)
        else:
            self.found.append(Claim("place", match.span("place"), mention, where=where))

    def _look(self, match: Match) -> None:
        """An adjective that is said of the subject; of a denied one nothing is known."""
        word = match["look"].lower()
        if self.says and self.subject and not self.denied:
            kind: Kind = "size" if word in SIZE_WORDS else "colour"
            value = SIZE_WORDS.get(word, word)
            self.found.append(Claim(kind, match.span("look"), self.subject, value))
        self.denied = False


def _in_front(phrases: Sequence[Match], at: int) -> bool:
    """Whether a place is said of what comes: "at the top is a star", "and at the top a star"."""
    joined = at > 0 and phrases[at - 1].lastgroup == "and"
    kinds = [match.lastgroup for match in phrases[at + 1 : at + 3]]
    return (kinds[:1] == ["link"] and kinds[1:] in _THINGS) or (joined and kinds[:1] in _THINGS)


_THINGS = (["thing"], ["odd"])

# --- phrases ---


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_ALIASES: dict[str, str | None] = {
    "crescent": "moon",
    "rhombus": "diamond",
    "thing": None,
    "shape": None,
    "object": None,
}
_NOUNS: dict[str, str | None] = dict(_ALIASES)
_NOUNS |= {name: name for name in (*SHAPES, *OTHER_SHAPES)}
_NOUNS |= {plural(name): meant for name, meant in _NOUNS.items()}
_COUNTS = {word: count for count, word in enumerate(NUMBERS)} | {"no": 0}
_COLOUR_WORDS = (*COLOURS, *OTHER_COLOURS)
_LOOK = f"{_any(SIZE_WORDS)}|{_any(_COLOUR_WORDS)}"
_SIDE = _any((*ROWS, *COLUMNS, *MIDDLES))
_OVER = {
    "left of": "to the left of",
    "right of": "to the right of",
    "over": "above",
    "under": "below",
    "beneath": "below",
    "underneath": "below",
    "on top of": "above",
}
_OVER |= {f"{word} the {side} of": f"to the {side} of" for word in ("on", "at") for side in COLUMNS}
_OVER = {words: meant for words, meant in _OVER.items() if meant in RELATIONS}
_OVER |= {relation: relation for relation in RELATIONS}
_AND = r"(?:,\ and\ |,?\ and\ |,\ |\ )"
_BEFORE = "|".join(rf"(?<=\b{word}\ )" for word in ("a", "an", "the", *_COUNTS))
# after a colour, any noun is a thing: but these words are none
_NO_NOUN = r"and|or|but|is|are|was|at|on|in|to|of|with|that|which|above|below|under|over|too|one|as"
_PHRASE = re.compile(
    rf"""\b(?:
    (?P<relation>{_any(_OVER)})(?!\ (?:the|this)\ picture)
    |(?P<place>(?:at|on|in|to)\ the\ (?:very\ )?(?P<where>(?:{_SIDE})(?:[ -](?:{_SIDE}))?)
        (?:\ (?:corner|side))?(?:\ of\ (?:the|this)\ picture)?)(?!\ of\b)
    |(?:(?P<number>{_any(_COUNTS)}|\d+)\ )?
        (?P<thing>(?P<looks>(?:(?:{_LOOK}){_AND})*)(?P<noun>{_any(_NOUNS)}))
    |(?:{_BEFORE})(?P<odd>(?P<oddlooks>(?:(?:{_LOOK}){_AND})*(?:{_any(_COLOUR_WORDS)})\ )
        (?P<oddnoun>(?!(?:{_NO_NOUN}|{_LOOK})\b)[a-z]+))
    |(?P<look>{_LOOK})
    |(?P<it>it|it's)
    |(?P<not>not|isn't|aren't|don't|can't|cannot)
    |(?P<link>is|are|see|shows|there's)
    |(?P<and>and)
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)


def _mention(match: re.Match[str]) -> Mention:
    known = match["thing"] is not None
    looks = re.findall(r"\w+", (match["looks"] if known else match["oddlooks"]).lower())
    sizes = [SIZE_WORDS[word] for word in looks if word in SIZE_WORDS]
    colours = [word for word in looks if word not in SIZE_WORDS and word != "and"]
    number = (match["number"] or "").lower()
    return Mention(
        match.span("thing" if known else "odd"),
        sizes[-1] if sizes else None,
        colours[-1] if colours else None,
        _NOUNS[match["noun"].lower()] if known else match["oddnoun"].lower(),
        _COUNTS.get(number, int(number) if number.isdigit() else None),
    )
