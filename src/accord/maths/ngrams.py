"""How varied texts are, in runs of n words: over many texts, and within each."""

from collections import Counter
from collections.abc import Iterator, Sequence

Words = Sequence[str]


def distinct(texts: Sequence[Words], n: int) -> float | None:
    """distinct-n (Li et al. 2016, section 5.2): different n-grams over all n-grams of all texts.

    It falls as texts get longer or more numerous: compare sets of equal size.  None without any.
    """
    grams = [gram for words in texts for gram in _grams(words, n)]
    return len(set(grams)) / len(grams) if grams else None


def repetition(words: Words, n: int = 4) -> float | None:
    """seq-rep-n (Welleck et al. 2020, eq. 10): the share of a text's n-grams said before in it.

    None where the text is shorter than n words.
    """
    grams = list(_grams(words, n))
    return 1 - len(set(grams)) / len(grams) if grams else None


def longest_run(words: Words, most: int = 8) -> int:
    """The most times that some phrase of at most `most` words stands directly after itself: 1 where
    nothing is said twice in a row, 0 without words.
    """
    best = min(1, len(words))
    for size in range(1, min(most, len(words) // 2) + 1):
        same = 0
        for at in range(size, len(words)):
            same = same + 1 if words[at] == words[at - size] else 0
            best = max(best, same // size + 1)
    return best


def commonest(texts: Sequence[Words], n: int) -> tuple[tuple[str, ...], float] | None:
    """The n-gram that most texts hold, and the share that do; of equals, the first met."""
    held: Counter[tuple[str, ...]] = Counter()
    for words in texts:
        held.update(tuple(dict.fromkeys(_grams(words, n))))
    if not held:
        return None
    gram, count = held.most_common(1)[0]
    return gram, count / len(texts)


def _grams(words: Words, n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[shift:] for shift in range(n)), strict=False)
