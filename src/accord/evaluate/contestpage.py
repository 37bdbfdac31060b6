"""A comparison of methods in a terminal, and as one page that loads nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape

from accord.evaluate import paper
from accord.evaluate.contest import Contest, Player
from accord.evaluate.plots import Line, tradeoff
from accord.evaluate.winrate import number
from accord.evaluate.words import count, digits, duration, percent, signed

FILE = "compare.html"
SHOWN = 4
"""prompts shown with the answers of all"""
TONES = {
    "better": "What to choose",
    "over-optimised": "What to choose, with care",
    "unclear": "No clear gain",
}
COLOURS = {"better": "green", "over-optimised": "yellow", "unclear": "yellow"}
Row = Mapping[str, Any]


def lines(told: Row) -> Iterator[str]:
    """For a terminal, with rich's markup."""
    verdict = told["verdict"]
    yield f"[{COLOURS[verdict['tone']]}]{TONES[verdict['tone']]}[/]: {escape(verdict['sentence'])}"
    yield (
        f"\n[bold]{'':<11}{'score':>7}{'against the start':>24}{'KL':>8}{'answers':>9}"
        f"{'compared':>10}{'time':>12}{'peak MB':>9}[/]"
    )
    for row, wins in zip(told["players"], told["matrix"], strict=True):
        cost, rate = row["cost"], wins[0]
        won = "" if rate is None else f"{percent(rate['rate'])} {_ends(rate)}"
        memory = "–" if cost["memory_mb"] is None else f"{cost['memory_mb']:.0f}"
        time = duration(cost["seconds"]) if cost["seconds"] else "–"
        yield (
            f"{row['name']:<11}{digits(row['score']['value']):>7}{won:>24}"
            f"{digits(row['kl']['value']):>8}{cost['sampled'] or '–':>9}"
            f"{cost['compared'] or '–':>10}{time:>12}{memory:>9}"
        )
    for said in verdict["reasons"]:
        yield f"\n{escape(said)}"
    for name, why in told["failed"].items():
        yield f"\n[red]{escape(name)} made nothing[/]: {escape(why)}"


_FILTERS = {"percent": percent, "digits": digits, "signed": signed, "duration": duration}


def render(told: Row, contest: Contest) -> str:
    """The page as text."""
    return paper.filled(
        "contest",
        ("report", "contest"),
        _FILTERS,
        count=count,
        told=told,
        tone=TONES[told["verdict"]["tone"]],
        chart=chart(contest),
        chart_alt=_alt(told),
        fair=fair(told),
        matrix=_cells(told),
        stories=_stories(contest),
        troubled=[row for row in told["players"] if row["signs"]],
        settings=_settings(told["settings"]),
    )


def chart(c: Contest) -> str:
    """Score against distance: a line for each method through its points by KL."""
    found = []
    for player in (c.start, *c.players):
        spots = sorted((player.spot, *player.others), key=lambda spot: spot.kl.value)
        at = [(spot.kl.value, spot.score.value) for spot in spots]
        errors = [(spot.kl.error or 0.0, spot.score.error or 0.0) for spot in spots]
        found.append(Line(player.name, at, errors))
    return tradeoff(found, "KL from the start, nats per answer", f"score by {c.judge}")


def fair(told: Row) -> list[str]:
    """What was equal for all, and what was not."""
    budget, rows = told["budget"], told["players"][1:]
    own = [row for row in rows if row["cost"]["sampled"]]
    pairs = [row for row in rows if row["cost"]["compared"]]
    said = [
        f"Equal: the start, the prompts, the prompts held out, the dice of the answers that were "
        f"measured, and a budget of {budget['answers']:,} answers."
    ]
    if pairs:
        source = (
            f"{budget['sampled']:,} answers of the start made {budget['sampled'] // 2:,} pairs, of "
            f"which the rule called {budget['equal']:,} equal (or one was empty)"
            + (f" and {budget['unscored']:,} it could not score" if budget["unscored"] else "")
            + ". The time that this took counts for nobody"
            if budget["sampled"]
            else "They stood in a file"
        )
        said.append(
            f"{_list(pairs)} saw {count(budget['comparisons'], 'comparison')}, of "
            f"two answers or more each. {source}."
        )
    if own:
        said.append(
            "Sampled while learning: "
            + ", ".join(f"{row['name']} {row['cost']['sampled']:,}" for row in own)
            + "."
        )
    if budget["followed"] == "reward" and told["shared_seconds"]:
        right = told["reward_accuracy"]
        agrees = "" if right is None else f"; of those held out it agrees with {percent(right)}"
        said.append(
            "Not equal: those that follow a reward drew on the comparisons as well, through the "
            f"reward model ({duration(told['shared_seconds'])}, trained once for all of them"
            f"{agrees})."
        )
    said.append(
        "Not equal either: computation. How many answers went through a gradient, how long it took "
        "and what memory it held stand in the table; passes and rates are each method's usual ones."
    )
    return said


def _list(rows: list[Row]) -> str:
    names = [row["name"] for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _ends(rate: Row) -> str:
    return f"({percent(rate['low'])} to {percent(rate['high'])})"


def _cells(told: Row) -> list[Row]:
    """Rows of the matrix; a tone and its strength in percent where the interval leaves half out."""
    found: list[Row] = []
    for row, cells in zip(told["players"], told["matrix"], strict=True):
        made: list[Row | None] = []
        for cell in cells:
            if cell is None:
                made.append(None)
                continue
            sure = cell["low"] > 0.5 or cell["high"] < 0.5
            tone = "after" if cell["rate"] > 0.5 else "before"
            strength = round(abs(cell["rate"] - 0.5) * 110) if sure else 0
            made.append({**cell, "tone": tone, "strength": strength, "sure": sure})
        found.append({"name": row["name"], "cells": made})
    return found


def _alt(told: Row) -> str:
    return "; ".join(
        f"{row['name']}: score {digits(row['score']['value'])} at {digits(row['kl']['value'])} nats"
        for row in told["players"]
    )


def _stories(c: Contest) -> list[Row]:
    """The first prompts as they come, with the first answer of each."""
    return [
        {
            "prompt": c.prompts[i],
            "answers": [_answer(player, i * c.n) for player in (c.start, *c.players)],
        }
        for i in range(min(SHOWN, len(c.prompts)))
    ]


def _answer(player: Player, at: int) -> Row:
    return {
        "name": player.name,
        "text": player.texts[at].strip(),
        "ended": player.ended[at],
        "score": number(player.scores[at]),
        "length": player.lengths[at],
    }


def _settings(told: Row, above: str = "") -> dict[str, dict[str, Any]]:
    """Flat, group by group: those of the command, then those of each method."""
    groups: dict[str, dict[str, Any]] = {"The comparison": {}}
    for key, value in told.items():
        if isinstance(value, Mapping) and key not in ("guard", "columns"):
            groups[key] = dict(_flat(value))
        elif not isinstance(value, Mapping) and value not in (None, [], ""):
            own = ", ".join(map(str, value)) if isinstance(value, list) else value
            groups["The comparison"][key] = own
    return groups


def _flat(told: Row, above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in told.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None:
            name = above.removesuffix(".") if key == "kind" else f"{above}{key}"
            if name and not (key == "kind" and not above):
                yield name, ", ".join(map(str, value)) if isinstance(value, list) else value
