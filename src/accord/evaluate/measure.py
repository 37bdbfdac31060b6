"""All that is said of two sets of answers, as one tree of plain numbers: what the page shows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Literal

from accord.evaluate.answers import Side
from accord.evaluate.frontier import Distance, Mean
from accord.evaluate.match import Judged, Many, Rate, by_judge, pointed, rated
from accord.evaluate.outcome import DOUBTFUL, FEWEST_PAIRS, words
from accord.evaluate.perplexity import Tax
from accord.evaluate.style import style, variety
from accord.evaluate.watch import Seen, change, watch
from accord.evaluate.winrate import FEW, number
from accord.evaluate.words import count, percent, signed
from accord.maths.lengths import Controlled, controlled
from accord.maths.ngrams import repetition
from accord.records import Conversation
from accord.rewards.base import Score
from accord.rewards.duel import PairJudge

Voice = Literal["judge", "rule", "reward"]
PLAIN: Mapping[str, str] = {"judge": "the judge", "rule": "the rule", "reward": "the reward"}


@dataclass(frozen=True)
class Scored:
    """What one reward gave every answer of the baseline, then of the model, flat."""

    voice: Voice
    name: str
    against: Sequence[Score]
    model: Sequence[Score]


@dataclass(frozen=True)
class Bout:
    """All there is to measure."""

    against: Side
    model: Side
    prompts: Sequence[str]
    """as people read them"""
    scored: Sequence[Scored] = ()
    judge: PairJudge | None = None
    judge_name: str = ""
    members: tuple[Sequence[Sequence[Score]], Sequence[Sequence[Score]]] = ((), ())
    """scores of every reward model of the ensemble, of the baseline's answers and of the model's"""
    kl: Distance | None = None
    no_kl: str = ""
    """why there is none"""
    tax: Tax | None = None
    unit: str = "tokens"
    seed: int = 0
    talks: Sequence[Conversation] = ()
    """the prompts message by message, for the judge: pictures, and facts"""

    def scores(self, voice: Voice) -> Scored | None:
        """Of this voice, if it was heard."""
        return next((one for one in self.scored if one.voice == voice), None)


def tell(bout: Bout) -> dict[str, Any]:
    """Everything measured; what could not be is None, and no number is NaN."""
    rates = _rates(bout)
    true = bout.scores("rule")
    learned = bout.scores("reward")
    seen = [
        Seen(
            learned=getattr(learned, side) if learned else (),
            true=getattr(true, side) if true and learned else (),
            length=[len(one.response_ids) for one in getattr(bout, side).said],
            repetition=[repetition(words(text)) for text in _flat(getattr(bout, side))],
            members=bout.members[place],
            n=bout.model.n,
        )
        for place, side in enumerate(("against", "model"))
    ]
    watched = watch(seen[0], seen[1], seed=bout.seed) if learned or bout.members[1] else None
    told: dict[str, Any] = {
        "model": bout.model.name,
        "against": bout.against.name,
        "prompts": len(bout.prompts),
        "answers": len(bout.model.said),
        "unit": bout.unit,
        "win_rates": rates,
        "scores": [_scores(one, bout) for one in bout.scored],
        "style": {side: _style(getattr(bout, side)) for side in ("model", "against")},
        "kl": bout.kl and {**asdict(bout.kl), "doubt": bout.kl.doubt},
        "no_kl": bout.no_kl,
        "tax": bout.tax and _tax(bout.tax),
        "watch": watched,
    }
    texts = _flat(bout.against), _flat(bout.model)
    for n in (1, 2, 3):
        old, new = variety(*texts, n)
        told["style"]["model"][f"even_{n}"] = new
        told["style"]["against"][f"even_{n}"] = old
    told = plain(told)
    return {**told, "verdict": verdict(told)}


def verdict(told: Mapping[str, Any]) -> dict[str, str]:
    """Tone and sentence: by the judge if there is one, else by the rule, else by the reward."""
    if not told["win_rates"]:
        return {"tone": "unclear", "sentence": "Nobody judged the answers: no win rate."}
    first = told["win_rates"][0]
    rate, low, high = first["rate"], first["low"], first["high"]
    by = PLAIN[first["voice"]]
    said = (
        f"By {by}, {told['model']} wins {percent(rate)} against {told['against']} "
        f"(a tie is half a win; 95% interval {percent(low)} to {percent(high)}; "
        f"{count(first['prompts'], 'prompt')})"
    )
    invalid, pairs = first["invalid"], first["wins"] + first["ties"] + first["losses"]
    if invalid > DOUBTFUL * (invalid + pairs):
        tone, why = "unclear", f"but {invalid} pairs could not be judged, too many to rely on it."
    elif first["prompts"] < FEWEST_PAIRS:
        tone, why = "unclear", "which is too few for a verdict."
    elif low > 0.5:
        tone, why = "better", "better than chance would have it."
    elif high < 0.5:
        tone, why = "worse", "worse than chance would have it."
    else:
        tone, why = "unclear", "no clear difference."
    watched = told["watch"]
    both = watched and watched["true"] and watched["learned"]
    if both and watched["learned"]["low"] > 0 > watched["true"]["high"]:
        tone = "over-optimised"
        why += " The learned reward rose while the rule fell."
    return {"tone": tone, "sentence": f"{said}: {why}"}


def rows(told: Mapping[str, Any]) -> list[tuple[str, str, Any, Any, str]]:
    """(what, kind of number, of the model, of the baseline, note) of every measure of a side."""
    found: list[tuple[str, str, Any, Any, str]] = []
    for one in told["scores"]:
        low, high = (one["change"] and one["change"][end] for end in ("low", "high"))
        lost = one["model"]["invalid"] + one["against"]["invalid"]
        note = f"change {signed(low)} to {signed(high)}" if low is not None else ""
        note += f"; {lost} without a score" if lost else ""
        title = {"rule": "Score by the rule", "reward": "Learned reward"}[one["voice"]]
        found.append((title, "number", one["model"]["mean"], one["against"]["mean"], note))
    mine, other, unit = told["style"]["model"], told["style"]["against"], told["unit"]
    for key, kind, title, note in (
        ("length", "number", "Length", f"{unit}, the mean"),
        ("length_median", "number", "Length, median", unit),
        ("ended", "share", "Ended by itself", "the others were cut at the limit"),
        ("empty", "share", "Without a word", ""),
        ("even_1", "share", "distinct-1", "different words, of equally many on both sides"),
        ("even_2", "share", "distinct-2", "different pairs of words"),
        ("even_3", "share", "distinct-3", "different triples"),
        ("repetition", "share", "Repetition", "runs of four words said before in the answer"),
        ("looping", "share", "Loops", "answers with a phrase four times in a row"),
        ("shared", "share", "Same phrase", "answers that hold the phrase most of them hold"),
    ):
        found.append((title, kind, mine[key], other[key], note))
    if told["tax"]:
        for key, title, note in (
            ("bits_per_byte", "Held-out text, bits per byte", "for any two tokenizers"),
            ("per_token", "Held-out perplexity per token", "only for one tokenizer"),
            ("per_character", "Held-out perplexity per character", ""),
        ):
            pair = told["tax"]["model"][key], told["tax"]["against"][key]
            found.append((title, "number", *pair, note))
    return found


def plain(thing: Any) -> Any:
    """JSON-able; what is not finite becomes None."""
    if is_dataclass(thing) and not isinstance(thing, type):
        return plain(asdict(thing))
    if isinstance(thing, Mapping):
        return {str(key): plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [plain(value) for value in thing]
    if isinstance(thing, float) and not math.isfinite(thing):
        return None
    return thing


def _rates(bout: Bout) -> list[dict[str, Any]]:
    found = []
    if bout.judge is not None:
        sides = bout.against.texts, bout.model.texts
        judged = by_judge(bout.prompts, *sides, bout.judge, talks=bout.talks, seed=bout.seed)
        alike = _alike(bout, judged.points)
        found.append(_rate("judge", bout.judge_name, judged.rate, alike, judged))
    for voice in ("rule", "reward"):
        one = bout.scores(voice)  # type: ignore[arg-type]
        if one is not None:
            n = bout.model.n
            points = pointed(_lots(one.against, n), _lots(one.model, n))
            rate = rated(points, seed=bout.seed)
            found.append(_rate(voice, one.name, rate, _alike(bout, points)))
    return found


def _alike(bout: Bout, points: Many) -> Controlled | None:
    """The win rate between answers of equal length, in characters; None of few prompts."""
    known = [[number(p) for p in few] for few in points]
    if sum(any(p is not None for p in few) for few in known) < FEW:
        return None
    sides = zip(bout.against.texts, bout.model.texts, strict=True)
    gaps = [[float(len(b) - len(a)) for a, b in zip(*few, strict=True)] for few in sides]
    return controlled(known, gaps, seed=bout.seed)


def _rate(
    voice: str, name: str, rate: Rate, alike: Controlled | None, judged: Judged | None = None
) -> dict[str, Any]:
    ends = {"low": rate.low, "high": rate.high}
    places = {"first": judged and judged.first, "steady": judged and judged.steady}
    told = {"voice": voice, "name": name, **asdict(rate), **ends, **places}
    return {**told, "equal_length": alike and asdict(alike)}


def _scores(one: Scored, bout: Bout) -> dict[str, Any]:
    n = bout.model.n
    told: dict[str, Any] = {"voice": one.voice, "name": one.name}
    for side in ("model", "against"):
        few = [
            [x for x in map(number, lot) if x is not None] for lot in _lots(getattr(one, side), n)
        ]
        known = sum(map(len, few))
        mean = Mean.of(few) if known else Mean(float("nan"), None)
        invalid = len(getattr(one, side)) - known
        told[side] = {"mean": mean.value, "error": mean.error, "invalid": invalid}
    return {**told, "change": change(one.against, one.model, n, bout.seed)}


def _style(side: Side) -> dict[str, Any]:
    ended = [one.finish == "stop" for one in side.said]
    return asdict(style(_flat(side), ended, [len(one.response_ids) for one in side.said]))


def _tax(tax: Tax) -> dict[str, Any]:
    told: dict[str, Any] = {"change": tax.change}
    for side, one in (("model", tax.after), ("against", tax.before)):
        told[side] = {
            key: getattr(one, key) for key in ("per_token", "per_character", "bits_per_byte")
        }
        told[side] |= {"tokens": sum(one.tokens), "bytes": sum(one.bytes), "texts": len(one.nats)}
    return told


def _flat(side: Side) -> list[str]:
    return [text for few in side.texts for text in few]


def _lots(scores: Sequence[Score], n: int) -> list[Sequence[Score]]:
    return [scores[start : start + n] for start in range(0, len(scores), n)]
