"""Many models, compared two by two: a table of Bradley–Terry strengths and Elo, through evalica.

games = read("votes.csv", x="left", y="right", winner="winner")
for row in table(games).rows: ...
"""

import csv
import math
import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.errors import BadData
from accord.maths.intervals import CONFIDENCE, quantile
from accord.maths.tournament import Winner, beaten, leagues
from accord.store.files import dump

Game = tuple[str, str, Winner]
"""two models and who won: x, y or tie; in the order in which they met, which Elo depends on"""
WORDS: Mapping[str, Winner] = {
    **dict.fromkeys(("x", "left", "a", "model_a", "first", "1"), "x"),
    **dict.fromkeys(("y", "right", "b", "model_b", "second", "2"), "y"),
    **dict.fromkeys(("tie", "draw", "both", "none", "tie (bothbad)", "0"), "tie"),
}
START, K = 1000.0, 4.0
NAMED = 5
"""models that a sentence names"""


@dataclass(frozen=True, slots=True)
class Row:
    """One model."""

    name: str
    games: int
    rate: float
    """share of its games that it won, a tie being half: of whom it met, strong or weak"""
    strength: float | None
    """Bradley–Terry: i beats j with p_i / (p_i + p_j); they sum to 1.  None where none is finite"""
    interval: tuple[float, float] | None
    """95 %; None where games drawn again often fall apart"""
    points: float | None
    """strength on the scale of Elo: 400 points are odds of ten to one, their mean is 1000"""
    points_interval: tuple[float, float] | None
    """95 %, the mean of each draw being 1000"""
    elo: float
    elo_interval: tuple[float, float] | None
    """95 %, games drawn again in any order"""


@dataclass(frozen=True, slots=True)
class Table:
    """All models, the strongest first; those without a finite strength last, by Elo."""

    rows: tuple[Row, ...]
    note: str
    """which models are cut off and why, in a sentence; empty where none is"""

    def write(self, path: str | Path) -> None:
        """As JSON."""
        rows = [{name: getattr(row, name) for name in Row.__slots__} for row in self.rows]
        Path(path).write_bytes(dump({"note": self.note, "rows": rows}))


def read(path: str | Path, *, x: str = "x", y: str = "y", winner: str = "winner") -> list[Game]:
    """The games of a CSV with these columns; BadData names the line that cannot be one."""
    games: list[Game] = []
    with Path(path).open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            try:
                games.append((line[x], line[y], WORDS[line[winner].strip().lower()]))
            except KeyError as error:
                raise BadData(
                    f"{path}, row {len(games) + 1}: {error} is no column, or no verdict; a row has "
                    f"{x}, {y} and {winner}, which is x, y, left, right, a, b or tie"
                ) from None
    return games


def bradley_terry(games: Sequence[Game]) -> dict[str, float]:
    """Strengths that sum to 1, ties being half a win either way; BadData where none are finite."""
    if said := _cut_off(leagues(beaten(games))):
        raise BadData(f"Bradley–Terry has no finite strengths here: {said}")
    return _strengths(games)


def elo(games: Sequence[Game], *, start: float = START, k: float = K) -> dict[str, float]:
    """Sequential Elo (base 10, scale 400): the order of the games matters, so quote it beside
    Bradley–Terry, never alone.
    """
    import evalica as lib

    made = lib.elo(*_columns(lib, games), initial=start, k=k)
    return {str(name): float(score) for name, score in made.scores.items()}


def table(
    games: Sequence[Game],
    *,
    units: Sequence[Hashable] | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Table:
    """All models with bootstrap intervals.  `units` says which games belong together (one judge's,
    one prompt's) and are drawn again as one; by default each game is on its own.

    Strengths are of the largest league; the others are cut off from it and get none.
    """
    wins = beaten(games)
    if not any(wins.values()):
        raise BadData(f"{len(games)} games between two models: there is nothing to rank")
    parts = leagues(wins)
    core = set(parts[0])
    inside = [game for game in games if core.issuperset(game[:2])]
    p, rated = (_strengths(inside) if len(core) > 1 else {}), elo(games)
    lots = _lots(games, units)
    rng = random.Random(f"games/{seed}")
    again = [_shuffled(rng, lots) for _ in range(draws)]
    drawn = [_sound(few, core) for few in again] if p else []
    sure, scale = _intervals(drawn), on_scale(p)
    sure_scale = _intervals([one and on_scale(one) for one in drawn])
    sure_elo = _intervals([elo(few) for few in again])
    rows = []
    for name in wins:
        won, met = sum(wins[name].values()), sum(name in g[:2] and g[0] != g[1] for g in games)
        rate = won / met if met else 0.5
        strength = p.get(name), sure.get(name), scale.get(name), sure_scale.get(name)
        rows.append(Row(name, met, rate, *strength, rated[name], sure_elo.get(name)))
    rows.sort(key=lambda row: (row.strength is None, -(row.strength or 0), -row.elo))
    return Table(tuple(rows), _cut_off(parts))


def on_scale(strengths: Mapping[str, float]) -> dict[str, float]:
    """Strengths as points of Elo's scale, 400 log10(p), less what makes their mean 1000."""
    logs = {name: math.log10(one) for name, one in strengths.items()}
    mean = math.fsum(logs.values()) / max(len(logs), 1)
    return {name: START + 400 * (one - mean) for name, one in logs.items()}


def _cut_off(parts: Sequence[Sequence[str]]) -> str:
    """Who is not connected with the largest league; empty where all are."""
    others = [name for part in parts[1:] for name in part]
    if not others:
        return ""
    named = ", ".join(others[:NAMED])
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    core = ", ".join(parts[0][:NAMED]) + (" …" if len(parts[0]) > NAMED else "")
    verb = "is" if len(others) == 1 else "are"
    return (
        f"{named}{more} {verb} cut off from {core}: no chain of wins or ties leads both to them "
        "and back, so how strong they are cannot be said; compare them more, or leave them out"
    )


def _sound(games: Sequence[Game], core: set[str]) -> dict[str, float] | None:
    """Strengths of the core in games drawn again; None where it has fallen apart."""
    inside = [game for game in games if core.issuperset(game[:2])]
    wins = beaten(inside)
    return _strengths(inside) if len(wins) == len(core) and len(leagues(wins)) == 1 else None


def _intervals(drawn: Sequence[dict[str, float] | None]) -> dict[str, tuple[float, float]]:
    """Percentiles of each model's numbers; none where it lacks one in more than a twentieth."""
    found: dict[str, list[float]] = {}
    for one in drawn:
        for name, value in (one or {}).items():
            found.setdefault(name, []).append(value)
    tail = (1 - CONFIDENCE) / 2
    return {
        name: (quantile(sorted(values), tail), quantile(sorted(values), 1 - tail))
        for name, values in found.items()
        if len(values) >= 0.95 * len(drawn)
    }


def _lots(games: Sequence[Game], units: Sequence[Hashable] | None) -> list[list[Game]]:
    if units is None:
        return [[game] for game in games]
    if len(units) != len(games):
        raise BadData(f"{len(units)} units for {len(games)} games; say of each whose it is")
    found: dict[Hashable, list[Game]] = {}
    for unit, game in zip(units, games, strict=True):
        found.setdefault(unit, []).append(game)
    return list(found.values())


def _shuffled(rng: random.Random, lots: Sequence[Sequence[Game]]) -> list[Game]:
    games = [game for lot in rng.choices(lots, k=len(lots)) for game in lot]
    rng.shuffle(games)
    return games


def _strengths(games: Sequence[Game]) -> dict[str, float]:
    import evalica as lib

    made = lib.bradley_terry(*_columns(lib, games), tolerance=1e-12, limit=10_000)
    scores = {str(name): float(score) for name, score in made.scores.items()}
    whole = math.fsum(scores.values())
    if made.iterations >= made.limit or not 0 < whole < math.inf:
        raise BadData(
            f"Bradley–Terry did not settle within {made.limit} rounds: some model has hardly a win "
            "or hardly a loss against the others; compare more"
        )
    return {name: score / whole for name, score in scores.items()}


def _columns(lib: Any, games: Sequence[Game]) -> tuple[list[str], list[str], list[Any]]:
    """As evalica wants them; games against oneself left out."""
    real = [game for game in games if game[0] != game[1]]
    if not real:
        raise BadData("no game is between two models")
    said = {"x": lib.Winner.X, "y": lib.Winner.Y, "tie": lib.Winner.Draw}
    xs, ys, winners = zip(*real, strict=True)
    return list(xs), list(ys), [said[winner] for winner in winners]
