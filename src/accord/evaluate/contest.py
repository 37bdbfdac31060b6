"""Several policies from one start before one judge: who wins, how sure that is, what each took."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from accord.errors import BadData
from accord.evaluate.frontier import Mean
from accord.evaluate.match import by_score
from accord.evaluate.outcome import FEWEST_PAIRS, words
from accord.evaluate.style import Style, style, variety
from accord.evaluate.watch import Seen, change, watch
from accord.evaluate.winrate import number
from accord.evaluate.words import count, digits, percent
from accord.maths.intervals import Estimate
from accord.maths.ngrams import repetition
from accord.records import Invalid
from accord.rewards.base import Score

POORER = 0.8
"""share of the start's variety of word pairs, on as many words, below which it has collapsed"""
SHARED = 0.5
"""share of answers with one phrase in common that is a mould"""
STRETCH = 1.5
"""times as long, or as short, as the start's answers"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a method was given, and what it took."""

    sampled: int = 0
    """answers it sampled while it learned"""
    compared: int = 0
    """comparisons it saw"""
    passes: int = 0
    """answers that went through its gradient, each pass counted"""
    seconds: float = 0.0
    """in its steps"""
    shared: float = 0.0
    """seconds of the reward model that it follows, which is trained once for all who do"""
    memory_mb: float | None = None
    """the peak while it trained"""
    each: int = 1
    """answers it samples to give one, when it is used"""

    @property
    def whole(self) -> float:
        """Seconds, as if it were the only one."""
        return self.seconds + self.shared


@dataclass(frozen=True, slots=True)
class Spot:
    """A point of the frontier."""

    label: str
    kl: Mean
    """from the start, nats per answer, on its own answers"""
    score: Mean
    """by the judge"""
    how: Literal["exact", "formula"] = "exact"
    """position by position from both policies; or from n and the scores that came (best-of-n)"""


@dataclass(frozen=True)
class Player:
    """One policy: n answers to each prompt, flat, prompt by prompt."""

    name: str
    texts: Sequence[str]
    lengths: Sequence[int]
    """tokens"""
    ended: Sequence[bool]
    scores: Sequence[Score]
    """by the judge"""
    learned: Sequence[Score]
    """by the reward that was followed, if that is not the judge; else empty"""
    spot: Spot
    others: tuple[Spot, ...] = ()
    """earlier policies, or ones with another price of KL"""
    cost: Cost = Cost()


@dataclass(frozen=True)
class Contest:
    """All that the page is made from."""

    start: Player
    players: Sequence[Player]
    prompts: Sequence[str]
    n: int
    judge: str
    """its name"""
    by_rule: bool
    """the judge is a rule that says what is wanted; else it is the reward that was followed"""
    followed: bool
    """the judge is what the methods followed"""
    meaning: str = ""
    """what the judge says of itself"""
    failed: Mapping[str, str] = field(default_factory=dict)
    """method -> why it made nothing"""
    seed: int = 0


def tell(c: Contest) -> dict[str, Any]:
    """Everything in numbers, as JSON holds it.  BadData where no method made a policy."""
    if not c.players:
        why = "; ".join(f"{name}: {said}" for name, said in c.failed.items())
        raise BadData(f"no method made a policy, so there is nothing to compare ({why})")
    rows = [_row(c, player) for player in (c.start, *c.players)]
    table = matrix(c)
    return {
        "judge": c.judge,
        "meaning": c.meaning,
        "by_rule": c.by_rule,
        "followed": c.followed,
        "prompts": len(c.prompts),
        "n": c.n,
        "players": rows,
        "matrix": table,
        "failed": dict(c.failed),
        "verdict": verdict(c, rows[1:], [row[0] for row in table[1:]]),
    }


def matrix(c: Contest) -> list[list[dict[str, float] | None]]:
    """How often the row's answer beats the column's to the same prompt; None on the diagonal, and
    where no pair has two scores.
    """
    every = (c.start, *c.players)
    found: list[list[dict[str, float] | None]] = []
    for row in every:
        cells: list[dict[str, float] | None] = []
        for column in every:
            cells.append(None if row is column else _wins(c, row, column))
        found.append(cells)
    return found


def _wins(c: Contest, row: Player, column: Player) -> dict[str, float] | None:
    try:
        rate = by_score(_lots(column.scores, c.n), _lots(row.scores, c.n), seed=c.seed)
    except BadData:
        return None
    return {"rate": rate.rate, "low": rate.low, "high": rate.high}


def _row(c: Contest, player: Player) -> dict[str, Any]:
    home = player is c.start
    told = style(player.texts, player.ended, player.lengths)
    own, was = (None, None) if home else variety(c.start.texts, player.texts)[::-1]
    gained = None if home else change(c.start.scores, player.scores, c.n, c.seed)
    liked = change(c.start.learned, player.learned, c.n, c.seed) if player.learned else None
    return {
        "name": player.name,
        "score": asdict(player.spot.score),
        "change": asdict(gained) if gained else None,
        "learned_change": asdict(liked) if liked and not home else None,
        "kl": asdict(player.spot.kl),
        "kl_how": player.spot.how,
        "style": {name: getattr(told, name) for name in Style.__slots__},
        "variety": own,
        "variety_start": was,
        "points": [asdict(spot) for spot in player.others],
        "cost": asdict(player.cost),
        "invalid": sum(number(score) is None for score in player.scores),
        "signs": [] if home else signs(c, player),
    }


def signs(c: Contest, player: Player) -> list[str]:
    """What a reader should worry about in these answers, the gravest first."""
    found = list(watch(_seen(c, c.start), _seen(c, player), seed=c.seed).signs)
    was, own = variety(c.start.texts, player.texts)
    if was and own is not None and own < POORER * was:
        found.append(
            f"Its answers grew alike: {percent(own)} of word pairs differ, on as many words of the "
            f"start {percent(was)}."
        )
    told = style(player.texts, player.ended, player.lengths)
    base = style(c.start.texts, c.start.ended, c.start.lengths)
    if told.shared is not None and told.shared > SHARED > (base.shared or 0.0):
        found.append(f"{percent(told.shared)} of its answers say “{told.phrase}”.")
    ratio = told.length / base.length
    if not 1 / STRETCH <= ratio <= STRETCH:
        found.append(
            f"Its answers have {digits(told.length)} tokens where the start's have "
            f"{digits(base.length)}."
        )
    return found


def _seen(c: Contest, player: Player) -> Seen:
    again = [repetition(words(text)) for text in player.texts]
    # the judge is what is meant where it is a rule, and what is learned where it is followed
    learned = player.learned or (player.scores if c.followed else ())
    true = player.scores if c.by_rule and player.learned else ()
    return Seen(learned, true, player.lengths, again, n=c.n)


# --- the recommendation ---


@dataclass(frozen=True)
class Standing:
    """Who leads, and who cannot be told from the best."""

    best: Player
    level: tuple[Player, ...]
    """the best, and those whose interval of the difference from it holds 0; the highest first; all
    of them where prompts are so few that an interval says nothing
    """
    below: tuple[tuple[Player, Estimate], ...]
    """the others, and by how much the best is better"""


def standing(c: Contest) -> Standing:
    """By the mean score; prompt by prompt against the best, with 95 % intervals."""
    ranked = sorted(c.players, key=lambda p: -p.spot.score.value)
    best, level, below = ranked[0], [ranked[0]], []
    for player in ranked[1:]:
        gap = change(player.scores, best.scores, c.n, c.seed)
        if gap is None or gap.low <= 0 or len(c.prompts) < FEWEST_PAIRS:
            level.append(player)
        else:
            below.append((player, gap))
    return Standing(best, tuple(level), tuple(below))


def verdict(
    c: Contest, rows: Sequence[Mapping[str, Any]], wins: Sequence[Mapping[str, float] | None]
) -> dict[str, Any]:
    """A recommendation and its reasons: of those that cannot be told from the best and that show
    no sign of trouble, the one that took the least time.
    """
    stand, by = standing(c), {row["name"]: row for row in rows}
    if len(c.prompts) < FEWEST_PAIRS:
        return {
            "tone": "unclear",
            "pick": None,
            "sentence": "No choice can be made from "
            f"{count(len(c.prompts), 'prompt')} held out; it takes {FEWEST_PAIRS} at least: give "
            "more prompts, or a larger held_out=.",
            "reasons": _reasons(c, stand, by, None),
        }
    better = [p for p in stand.level if (by[p.name]["change"] or {"low": 0})["low"] > 0]
    if not better:
        most = by[stand.best.name]["change"]
        return {
            "tone": "unclear",
            "pick": None,
            "sentence": "Keep the start: no method is clearly better than it. The highest mean is "
            f"{stand.best.name}'s, {_gain(most)} from the start.",
            "reasons": _reasons(c, stand, by, None),
        }
    sound = [p for p in better if not by[p.name]["signs"]]
    few = [p for p in sound or better if p.cost.each == 1] or sound or better
    pick = min(few, key=lambda p: p.cost.whole)
    rate = wins[list(c.players).index(pick)] or {}
    return {
        "tone": "better" if sound else "over-optimised",
        "pick": pick.name,
        "sentence": f"Take {pick.name}: by {c.judge} its answers score "
        f"{_gain(by[pick.name]['change'])} beyond the start's, and beat them "
        f"{percent(rate.get('rate'))} of the time ({percent(rate.get('low'))} to "
        f"{percent(rate.get('high'))}; "
        "half is no difference)."
        f"{_why(pick, stand, sound)}",
        "reasons": _reasons(c, stand, by, pick),
    }


def _why(pick: Player, stand: Standing, sound: Sequence[Player]) -> str:
    level = [p for p in stand.level if p is not pick]
    if not level:
        alone = " Every other method is clearly below it: no interval of a difference holds 0."
        return alone if sound else f"{alone} It shows signs of trouble: read some answers first."
    names = _names(level)
    trained = [p for p in level if p.cost.each == 1]
    if not sound:
        return f" All that lead show signs of trouble: read some answers first ({names} as well)."
    if not trained:
        return f" {names} cannot be told apart from it, and costs more at every answer."
    return (
        f" {names} cannot be told apart from the best by these answers, and {pick.name} took the "
        "least time of those without a sign of trouble."
    )


def _reasons(c: Contest, stand: Standing, by: Mapping[str, Any], pick: Player | None) -> list[str]:
    means = ", ".join(f"{p.name} {digits(p.spot.score.value)}" for p in stand.level)
    said = [
        f"Who leads: {means}, where the start has {digits(c.start.spot.score.value)}. "
        + ("Their intervals do not separate." if len(stand.level) > 1 else "Nobody else is level.")
    ]
    silent = {p.name: sum(number(s) is None for s in p.scores) for p in (c.start, *c.players)}
    if any(silent.values()):
        each = ", ".join(f"{n} of {name}" for name, n in silent.items() if n)
        said.append(
            f"Answers that got no score, out of {len(c.start.scores)} each, and count nowhere: "
            f"{each} ({why(c.start.scores, *(p.scores for p in c.players))})."
        )
    if stand.below:
        gaps = "; ".join(f"{p.name} by {_gain(asdict(gap), '')}" for p, gap in stand.below)
        said.append(f"{stand.best.name} is clearly ahead of {gaps}.")
    timed = sorted((p for p in c.players if p.cost.each == 1), key=lambda p: p.cost.whole)
    if len(timed) > 1:
        said.append(
            f"Time, the reward model of those who follow it included: "
            f"{timed[0].name} took least ({digits(timed[0].cost.whole)} s), "
            f"{timed[-1].name} most ({digits(timed[-1].cost.whole)} s)."
        )
    near = min(stand.level, key=lambda p: p.spot.kl.value)
    if len(stand.level) > 1:
        said.append(
            f"Of those that lead, {near.name} stayed nearest to the start: "
            f"{digits(near.spot.kl.value)} nats of KL per answer."
        )
    first = max((p for p in c.players if p.cost.each == 1), key=_score, default=None)
    if first is not None and first is not stand.best:
        said.append(f"Of those that train, {first.name} comes first: {digits(_score(first))}.")
    for p in c.players:
        if p.cost.each > 1:
            said.append(f"{p.name} trains nothing, and samples {p.cost.each} answers to give one.")
    worried = [p.name for p in c.players if by[p.name]["signs"]]
    if worried:
        said.append(f"Signs of trouble: {', '.join(worried)}; see below.")
    if c.followed:
        said.append(
            "The judge is the very reward that the methods followed: it flatters those who push it "
            "hardest. Take the gains as upper bounds."
        )
    pairs = len(c.players) * (len(c.players) + 1) // 2
    said.append(
        f"One run of each, and {pairs} pairs compared without a correction for their number: "
        "another seed may bring another order among methods as near as these."
    )
    return said


def _score(player: Player) -> float:
    return player.spot.score.value


def _gain(one: Mapping[str, float] | None, plus: str = "+") -> str:
    if one is None:
        return "an unknown step"
    sign = plus if one["value"] > 0 else ""
    return f"{sign}{digits(one['value'])} ({digits(one['low'])} to {digits(one['high'])})"


def _names(players: Sequence[Player]) -> str:
    names = [p.name for p in players]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def why(*several: Sequence[Score]) -> str:
    """The most frequent reason for which there is no score."""
    told = Counter(s.reason for scores in several for s in scores if isinstance(s, Invalid))
    return told.most_common(1)[0][0] if told else "not a number"


def _lots(scores: Sequence[Score], n: int) -> list[Sequence[Score]]:
    return [scores[start : start + n] for start in range(0, len(scores), n)]


def mean(scores: Sequence[Score], n: int) -> Mean:
    """Over prompts, of what has a score; BadData where nothing has."""
    lots = [[x for s in few if (x := number(s)) is not None] for few in _lots(scores, n)]
    if not any(lots):
        raise BadData(f"none of its {len(scores)} answers got a score: {why(scores)}")
    return Mean.of(lots)
