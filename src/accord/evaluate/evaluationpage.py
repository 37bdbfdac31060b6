"""An evaluation in a terminal, and as one page that loads nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from accord.evaluate import measure, paper
from accord.evaluate.measure import Bout
from accord.evaluate.plots import scatter
from accord.evaluate.winrate import number
from accord.evaluate.words import MINUS, count, digits, percent, signed
from accord.store import files

FILE = "evaluation.html"
SHOWN = 6
"""prompts shown with their answers"""
COLOURS = {"better": "green", "worse": "red", "unclear": "yellow", "over-optimised": "red"}
TONES = {
    "better": "Better",
    "worse": "Worse",
    "unclear": "No clear difference",
    "over-optimised": "Over-optimised",
}
Row = Mapping[str, Any]


def samples(bout: Bout) -> list[Row]:
    """Every prompt with all its answers and their scores, as JSON lines hold it."""
    found: list[Row] = []
    n = bout.model.n
    texts = {"against": bout.against.texts, "model": bout.model.texts}
    for i, prompt in enumerate(bout.prompts):
        row: dict[str, Any] = {"prompt": prompt}
        for key in ("against", "model"):
            side = getattr(bout, key)
            row[key] = [
                {
                    "text": texts[key][i][k],
                    "length": len(side.said[i * n + k].response_ids),
                    "ended": side.said[i * n + k].finish == "stop",
                    "scores": {
                        one.voice: number(getattr(one, key)[i * n + k]) for one in bout.scored
                    },
                }
                for k in range(n)
            ]
        found.append(row)
    return found


def lines(told: Row) -> Iterator[str]:
    """For a terminal, with rich's markup."""
    verdict = told["verdict"]
    colour = COLOURS[verdict["tone"]]
    yield f"[{colour}]{TONES[verdict['tone']]}[/]: {escape(verdict['sentence'])}"
    if told["win_rates"]:
        yield f"\n[bold]{'win rate':<27}{'rate':>7}  {'95% interval':<14}wins ties losses[/]"
    for one in told["win_rates"]:
        ends = f"{percent(one['low'])} to {percent(one['high'])}"
        counts = f"{one['wins']} {one['ties']} {one['losses']}"
        why = f"{one['invalid']} not judged, most often: {next(iter(one['reasons']), '')}"
        lost = f"  [yellow]{escape(why)}[/]" if one["invalid"] else ""
        yield f"  by {one['voice']:<22}{percent(one['rate']):>7}  {ends:<14}{counts}{lost}"
        if one["equal_length"]:
            yield f"    {alike(one['equal_length'])}"
        if one["first"]:
            yield f"    {escape(places(one))}"
    if told["kl"]:
        yield f"\n[bold]distance[/] {escape(distance(told))}"
    elif told["no_kl"]:
        yield f"\n[bold]distance[/] not measured: {escape(told['no_kl'])}"
    yield f"\n[bold]{'measure':<36}{'model':>10}{'baseline':>10}[/]"
    for title, kind, mine, other, note in measure.rows(told):
        yield f"  {title:<34}{said(mine, kind):>10}{said(other, kind):>10}  [dim]{escape(note)}[/]"
    for sign in signs(told):
        yield f"\n[yellow]![/] {escape(sign)}"


def alike(one: Row) -> str:
    """The win rate with the effect of length taken out, and which way that goes."""
    ends = f"{percent(one['low'])} to {percent(one['high'])}"
    side = "longer" if one["slope"] > 0 else "shorter"
    liked = f"the {side} of two answers is preferred" if one["slope"] else "length plays no part"
    return f"at equal length {percent(one['rate'])} ({ends}); {liked}, slope {signed(one['slope'])}"


def places(one: Row) -> str:
    """Whether it mattered to a judge where an answer stood."""
    first, steady = one["first"], one["steady"]
    return (
        f"the answer shown first was preferred {percent(first['value'])} of the time "
        f"({percent(first['low'])} to {percent(first['high'])}; half would be fair); "
        f"{percent(steady['value'])} of verdicts held when the two changed places"
    )


def distance(told: Row) -> str:
    """KL three ways, and the entropy."""
    kl = told["kl"]
    three = ", ".join(f"{name} {_spread(kl[name])}" for name in ("exact", "k1", "k3"))
    return (
        f"KL from the baseline, nats per answer: {three}; entropy {_spread(kl['entropy'])} a token"
    )


def signs(told: Row) -> list[str]:
    """What a reader should worry about."""
    found = list(told["watch"]["signs"]) if told["watch"] else []
    if told["kl"] and told["kl"]["doubt"]:
        found.append(told["kl"]["doubt"])
    if told["tax"] and told["tax"]["change"]["low"] > 0:
        cost = told["tax"]["change"]
        found.append(
            f"Alignment tax: plain text costs {digits(cost['value'])} bits per byte more than for "
            f"the baseline ({signed(cost['low'])} to {signed(cost['high'])})."
        )
    return found


def said(value: float | None, kind: str) -> str:
    """A number of the table."""
    if value is None:
        return "–"
    return percent(value) if kind == "share" else digits(value)


def write(told: Row, shown: Sequence[Row], folder: Path) -> Path:
    """The page as a file."""
    with files.writing(f"the page {folder / FILE}"):
        files.write_whole(folder / FILE, render(told, shown).encode())
    return folder / FILE


_FILTERS: dict[str, Callable[..., Any]] = {
    "percent": percent,
    "digits": digits,
    "signed": signed,
    "said": said,
    "short": lambda x: "–" if x is None else f"{x:.3g}".replace("-", MINUS),
}


def render(told: Row, shown: Sequence[Row]) -> str:
    """The page as text."""
    rates = [{**one, "alt": _alt(one), "shares": _shares(one)} for one in told["win_rates"]]
    return paper.filled(
        "evaluation",
        ("report", "evaluation"),
        _FILTERS,
        count=count,
        alike=alike,
        places=places,
        distance=distance,
        told=told,
        tone=TONES[told["verdict"]["tone"]],
        keys=_keys(told),
        rates=rates,
        rows=measure.rows(told),
        signs=signs(told),
        scatter=_scatter(shown),
        stories=picked(shown, _voice(told)),
        settings={k: v for k, v in told["settings"].items() if v not in (None, [], "")},
    )


def picked(shown: Sequence[Row], voice: str | None) -> list[Row]:
    """The first as they come; of the others the largest gain and loss, said to be that."""
    found: list[Row] = [{**row, "why": "as it came"} for row in shown[: SHOWN - 2]]
    gaps = []
    for place, row in enumerate(shown[SHOWN - 2 :]):
        new, old = (row[side][0]["scores"].get(voice) for side in ("model", "against"))
        if new is not None and old is not None and new != old:
            gaps.append((new - old, place + SHOWN - 2))
    if gaps and (best := max(gaps))[0] > 0:
        found.append({**shown[best[1]], "why": "largest gain of the others"})
    if gaps and (worst := min(gaps))[0] < 0:
        found.append({**shown[worst[1]], "why": "largest loss of the others"})
    return found


def _voice(told: Row) -> str | None:
    return told["scores"][0]["voice"] if told["scores"] else None


def _keys(told: Row) -> list[tuple[str, str, str]]:
    """(label, number, note) of the cards."""
    found = []
    if told["win_rates"]:
        one = told["win_rates"][0]
        ends = f"95% interval {percent(one['low'])} to {percent(one['high'])}"
        found.append((f"Win rate, by the {one['voice']}", percent(one["rate"]), ends))
    for one in told["scores"]:
        change = one["change"]
        if change:
            note = f"95% interval {signed(change['low'])} to {signed(change['high'])}"
            found.append((f"Change by the {one['voice']}", signed(change["value"]), note))
    if told["kl"]:
        found.append(("Distance (KL)", digits(told["kl"]["exact"]["value"]), "nats per answer"))
    if told["tax"]:
        change = told["tax"]["change"]
        note = f"bits per byte, {signed(change['low'])} to {signed(change['high'])}"
        found.append(("Alignment tax", signed(change["value"]), note))
    mine, other = told["style"]["model"], told["style"]["against"]
    found.append(
        ("Length", digits(mine["length"]), f"{told['unit']}; was {digits(other['length'])}")
    )
    return found[:4]


def _shares(one: Row) -> dict[str, float]:
    pairs = one["wins"] + one["ties"] + one["losses"]
    return {key: 100 * one[key] / pairs for key in ("wins", "ties", "losses")}


def _alt(one: Row) -> str:
    return (
        f"{count(one['wins'], 'win')}, {count(one['ties'], 'tie')}, "
        f"{count(one['losses'], 'loss', 'losses')}; win rate {percent(one['rate'])}, 95 percent "
        f"interval {percent(one['low'])} to {percent(one['high'])}"
    )


def _scatter(shown: Sequence[Row]) -> str:
    """Learned reward against the rule; empty where either is missing."""
    sides: list[list[tuple[float, float]]] = []
    for key in ("against", "model"):
        pairs = [
            (answer["scores"].get("rule"), answer["scores"].get("reward"))
            for row in shown
            for answer in row[key]
        ]
        sides.append([(x, y) for x, y in pairs if x is not None and y is not None])
    return scatter(sides[0] + sides[1], len(sides[0])) if all(sides) else ""


def _spread(mean: Row) -> str:
    error = mean["error"]
    return digits(mean["value"]) + (f" ± {digits(error)}" if error is not None else "")
