"""People of whom we know how they judge, on the real pages: what the site finds out about them."""

import math
import random
import re
from collections.abc import Callable, Iterator
from itertools import combinations

import httpx
import pytest

from accord.store.judgements import progress, studies
from accord.store.judgements.forms import NewItem, StudyConfig
from accord.store.judgements.opening import Store, open_store
from visitors import Person, crowd

STRENGTHS = {"gull": 1.2, "tern": 0.0, "wren": -1.2}
"""model -> what its answers are worth: gull beats tern with logistic(1.2), and so on"""
QUESTIONS = 20
PLACE = re.compile(
    r'class="wrap">(\w+)</th>\s*<td class="num">(\d+)</td>.*?muted">(\d+) to (\d+)<', re.DOTALL
)


def likes(noise: float, name: str) -> Callable[[str], float]:
    """Strength and a Gumbel number: choices between two follow Bradley and Terry."""
    dice = random.Random(name)

    def worth(text: str) -> float:
        return STRENGTHS[text.split()[0]] - noise * math.log(-math.log(dice.random()))

    return worth


CROWD = {
    "ada": Person(likes(1.0, "ada")),
    "ben": Person(likes(1.0, "ben")),
    "cleo": Person(likes(20.0, "cleo")),
    "dan": Person(likes(1.0, "dan"), lean=2.0),
}
"""cleo throws dice, dan leans to the left"""


def study(store: Store) -> int:
    """Every two models on every question, all for each annotator; names hidden from them."""
    made = studies.create(store, "birds", "pairwise", StudyConfig(overlap=len(CROWD)))
    items = [
        NewItem([{"role": "user", "content": f"question {n}"}], (f"{a} {n}", f"{b} {n}"), (a, b))
        for n in range(QUESTIONS)
        for a, b in combinations(STRENGTHS, 2)
    ]
    assert studies.add_items(store, made.id, items).new == len(items)
    return made.id


def board(owner: httpx.Client) -> dict[str, list[float]]:
    """model -> strength, and the ends of its interval, from the points on the leaderboard."""
    found = PLACE.findall(owner.get("/leaderboard").text)
    return {name: [(float(one) - 1000) * math.log(10) / 400 for one in few] for name, *few in found}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, int, httpx.Client]]:
    """The study once all have judged it, and the owner's browser."""
    folder = tmp_path_factory.mktemp("crowd")
    store = open_store(folder)
    number = study(store)
    with crowd(store, number, CROWD, folder) as owner:
        yield store, number, owner
    store.close()


Judged = tuple[Store, int, httpx.Client]


def test_who_leans_and_who_throws_dice_is_found_out(judged: Judged) -> None:
    store, number, owner = judged
    rows = {one.user.name: one for one in progress.annotators(store, number)}
    assert {one.count for one in rows.values()} == {3 * QUESTIONS}
    sides = {name: one.left_share for name, one in rows.items() if one.left_share}
    assert sides["dan"].low > 0.6
    assert all(sides[name].low < 0.5 < sides[name].high for name in ("ada", "ben", "cleo"))
    agree = {name: one.agreement or 0 for name, one in rows.items()}
    assert agree["cleo"] == min(agree.values()) < min(agree["ada"], agree["ben"]) - 0.1
    page = owner.get(f"/studies/{number}/progress").text
    assert "The answer shown first is favoured." in page
    row = page[page.rindex(">dan<") :].partition("</tr>")[0]
    assert f"{100 * sides['dan'].value:.0f} %" in row


def test_without_them_the_true_strengths_come_out(judged: Judged) -> None:
    store, number, owner = judged
    page, before = f"/studies/{number}/progress", board(owner)
    low, high = before["gull"][1:]
    assert high < STRENGTHS["gull"], "dice and leaning make all models look alike"
    rows = {one.user.name: one.user.id for one in progress.annotators(store, number)}
    try:
        for name in ("cleo", "dan"):
            assert owner.post(f"{page}/exclude/{rows[name]}").status_code == 200
        after = board(owner)
        assert [*after] == [*STRENGTHS], "the strongest first"
        for name, (_, low, high) in after.items():
            assert low <= STRENGTHS[name] <= high, name
        assert "No sign that the place decides" in owner.get(page).text
    finally:
        for name in ("cleo", "dan"):
            owner.post(f"{page}/include/{rows[name]}")
