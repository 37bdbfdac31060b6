"""Plain text as ids: what a model is to go on saying, without a question or a template."""

from collections.abc import Iterator, Sequence
from itertools import chain

from accord.data.comparisons import Spelled, alone, kept, spell
from accord.data.tally import Tally
from accord.errors import BadData
from accord.records import Demonstration, Ids
from accord.text.tokenizer import Speller


def spell_texts(
    texts: Sequence[Demonstration], speller: Speller, longest: int
) -> tuple[Sequence[Spelled], Tally]:
    """Rows of at most `longest` tokens, to be scored from the second token on; on disk where many.

    An answer to nobody is plain text: it is spelled without a template and, where it is longer, cut
    into windows that share one token, so that no token is left unscored.  A demonstration stays
    whole; one that is longer, or that cannot be spelled, is dropped and counted.
    """
    tally = Tally()
    whole = spell(alone(t for t in texts if t.prompt), speller, longest, tally)
    return kept(chain(whole, _plain(texts, speller, longest, tally))), tally


def _plain(
    texts: Sequence[Demonstration], speller: Speller, longest: int, tally: Tally
) -> Iterator[Spelled]:
    for place, one in enumerate(texts):
        if one.prompt:
            continue
        try:
            ids = speller.text_ids(one.response)
        except BadData as error:
            tally.drop("cannot be spelled", f"{one.id or f'#{place}'}: {error}")
            continue
        for number, window in enumerate(windows(ids, longest)):
            name = f"{one.id}@{number}" if len(ids) > longest else one.id
            yield Spelled(window[:1], (window[1:],), (0,), None, None, name)
        tally.keep()


def windows(ids: Ids, longest: int) -> list[Ids]:
    """Pieces of at most `longest` tokens; each begins with the last token of the one before."""
    if longest < 2:
        raise ValueError(f"windows of {longest} tokens: nothing in them could be scored")
    starts = range(0, max(len(ids) - 1, 1), longest - 1)
    return [ids[start : start + longest] for start in starts]
