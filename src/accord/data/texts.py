"""Plain text as ids: what a model is to go on saying, without a question or a template."""

from collections.abc import Sequence

from accord.data.comparisons import Spelled, spell_demonstrations
from accord.data.tally import Tally
from accord.records import Demonstration, Ids
from accord.text.tokenizer import Speller


def spell_texts(
    texts: Sequence[Demonstration], speller: Speller, longest: int
) -> tuple[list[Spelled], Tally]:
    """Rows of at most `longest` tokens, to be scored from the second token on.

    An answer to nobody is plain text: it is spelled without a template and, where it is longer, cut
    into windows that share one token, so that no token is left unscored.  A demonstration stays
    whole; one that is longer is dropped and counted.
    """
    plain = [one for one in texts if not one.prompt]
    whole, tally = spell_demonstrations([t for t in texts if t.prompt], speller, longest)
    rows = [*whole]
    for one in plain:
        ids = speller.text_ids(one.response)
        for number, window in enumerate(windows(ids, longest)):
            name = f"{one.id}@{number}" if len(ids) > longest else one.id
            rows.append(Spelled(window[:1], (window[1:],), (0,), None, None, name))
        tally.keep()
    return rows, tally


def windows(ids: Ids, longest: int) -> list[Ids]:
    """Pieces of at most `longest` tokens; each begins with the last token of the one before."""
    if longest < 2:
        raise ValueError(f"windows of {longest} tokens: nothing in them could be scored")
    starts = range(0, max(len(ids) - 1, 1), longest - 1)
    return [ids[start : start + longest] for start in starts]
