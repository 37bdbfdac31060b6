"""Judging by keyboard alone, in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accord.store.judgements.tables import Judgement
from browser_fakes import Visit, visiting
from judge_fakes import site


@pytest.fixture
def visit(tmp_path: Path, chromium: Any) -> Iterator[Visit]:
    with visiting(chromium, site(tmp_path)) as made:
        yield made


def said(visit: Visit) -> list[Any]:
    """What was judged, by the places shown."""

    def words(one: Judgement) -> Any:
        if one.act != "judge":
            return one.act
        if one.both_bad:
            return "both bad"
        return [one.ranks[at] for at in one.shown] if one.ranks else one.rewrite or one.ratings

    return [words(one) for one in visit.site.judgements()]


def judged(visit: Visit, count: int) -> None:
    """Waits until the page has said so."""
    visit.page.get_by_text(f"{count} judged by you").first.wait_for()


def test_pairs_one_key_each(visit: Visit) -> None:
    study = visit.site.study("pairwise", 5, verdicts=("tie", "both_bad"))
    page = visit.go(f"/studies/{study.id}/judge")
    for count, key in enumerate("1209", 1):
        page.keyboard.press(key)
        judged(visit, count)
        assert page.evaluate("document.activeElement.id") == "heading"
    assert said(visit) == [[0, 1], [1, 0], [0, 0], "both bad"]
    times = [(one.ms_total, one.ms_visible, one.ms_first) for one in visit.site.judgements()]
    assert all(total and total >= seen > 0 and first <= total for total, seen, first in times)
    assert "Saved" in page.locator("#status").inner_text()


def test_undo_and_skip_and_report(visit: Visit) -> None:
    study = visit.site.study("pairwise", 3)
    page = visit.go(f"/studies/{study.id}/judge")
    page.keyboard.press("1")
    judged(visit, 1)
    page.keyboard.press("u")
    page.get_by_text("Taken back").wait_for()
    page.keyboard.press("2")
    judged(visit, 1)
    page.keyboard.press("s")
    page.get_by_text("Skipped").wait_for()
    page.keyboard.press("f")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_text("Reported").wait_for()
    assert said(visit) == [[0, 1], "withdraw", [1, 0], "skip", "flag"]
    assert visit.site.judgements()[-1].tags == ["dangerous"]


def test_keys_pressed_while_it_sends_are_neither_lost_nor_doubled(visit: Visit) -> None:
    study = visit.site.study("pairwise", 6)
    page = visit.go(f"/studies/{study.id}/judge")
    page.evaluate(
        """for (const key of ["1", "1", "2", "0"])
             document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }))"""
    )
    judged(visit, 3)
    page.wait_for_timeout(300)
    assert said(visit) == [[0, 1], [1, 0], [0, 0]]


def test_a_strength_and_a_needed_reason(visit: Visit) -> None:
    study = visit.site.study("pairwise", 2, verdicts=("tie", "strength"), reason="required")
    page = visit.go(f"/studies/{study.id}/judge")
    page.keyboard.press("Enter")
    assert "Choose a verdict" in page.locator("#status").inner_text()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    assert "how much" in page.locator("#status").inner_text()
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    assert "asks why" in page.locator("#status").inner_text()
    page.keyboard.type("1 is a number, s is a letter")  # in the field: no shortcut fires
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # twice: counts once
    judged(visit, 1)
    (made,) = visit.site.judgements()
    assert (said(visit), made.strength) == ([[1, 0]], 3)
    assert made.reason == "1 is a number, s is a letter"


def test_ratings_by_digits(visit: Visit) -> None:
    study = visit.site.study("rate", 2, axes=("helpful", "honest"), shuffle=False)
    page = visit.go(f"/studies/{study.id}/judge")
    page.keyboard.type("761")
    page.keyboard.press("Enter")
    assert "honest of answer B is missing" in page.locator("#status").inner_text()
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    judged(visit, 1)
    assert said(visit) == [{"helpful": [7, 1], "honest": [6, 2]}]


def test_a_ranking_by_digits_buttons_and_drag(visit: Visit) -> None:
    study = visit.site.study("rank", 3, shuffle=False)
    page = visit.go(f"/studies/{study.id}/judge")
    page.keyboard.type("3142")
    page.keyboard.press("Enter")
    judged(visit, 1)
    for letter in "BDAC":
        page.get_by_role("button", name=f"Answer {letter}: worse").click()
    page.get_by_role("button", name="Answer A: as good as").click()
    page.get_by_role("button", name="Answer C: better").click()
    page.keyboard.press("Enter")  # on a button that moves: moves once more, and sends nothing
    page.locator("#heading").focus()
    page.keyboard.press("Enter")
    judged(visit, 2)
    for letter in "ABCD":
        page.get_by_role("button", name=f"Answer {letter}: worse").click()
    row = page.locator('.board-row[data-place="3"]')
    row.drag_to(page.locator('.board-row[data-place="0"]'), target_position={"x": 200, "y": 4})
    page.locator("#heading").focus()
    page.keyboard.press("Enter")
    judged(visit, 3)
    assert said(visit) == [[2, 0, 3, 1], [2, 1, 0, 2], [1, 2, 3, 0]]


def test_a_rewrite_with_its_changes(visit: Visit) -> None:
    study = visit.site.study("rewrite", 2)
    page = visit.go(f"/studies/{study.id}/judge")
    page.keyboard.press("Enter")
    assert "changed nothing" in page.locator("#status").inner_text()
    field = page.locator("#rewrite")
    field.fill(field.input_value().replace("Take one ball", "Throw one ball"))
    assert page.locator("#changes del").inner_text() == "Take"
    assert page.locator("#changes ins").inner_text() == "Throw"
    field.focus()
    page.keyboard.press("Control+Enter")
    judged(visit, 1)
    assert "Throw one ball" in said(visit)[0]


def test_arrows_and_ways_of_showing(visit: Visit) -> None:
    study = visit.site.study("pairwise", 2)
    page = visit.go(f"/studies/{study.id}/judge")
    active = page.locator(".pane.is-active .letter")
    assert active.inner_text() == "A"
    page.keyboard.press("ArrowRight")
    assert active.inner_text() == "B"
    assert page.locator(".pane .as-rendered").first.is_visible()
    page.keyboard.press("v")
    assert page.locator(".pane .as-plain").first.is_visible()
    page.keyboard.press("v")
    assert page.locator(".pane mark.own").first.is_visible()
    page.keyboard.press("l")
    assert page.locator("#layout-stack").is_checked()
    page.keyboard.press("1")
    judged(visit, 1)
    assert page.locator("#view-diff").is_checked()  # stays as chosen


def test_keys_can_be_changed_and_switched_off(visit: Visit) -> None:
    study = visit.site.study("pairwise", 3)
    page = visit.go(f"/studies/{study.id}/judge")
    page.keyboard.press("?")
    page.locator('.key-field[name="first"]').press("a")
    page.get_by_role("button", name="Keep").click()
    page.locator('[aria-keyshortcuts="a"]').wait_for()
    page.locator("dialog[open]").wait_for(state="detached")
    page.keyboard.press("1")
    page.keyboard.press("a")
    judged(visit, 1)
    page.keyboard.press("?")
    page.get_by_text("Keys are on").click()
    page.get_by_role("button", name="Keep").click()
    page.locator("[aria-keyshortcuts]").first.wait_for(state="detached")
    page.keyboard.press("a")
    page.get_by_role("button", name="B is better").click()
    judged(visit, 2)
    assert said(visit) == [[0, 1], [1, 0]]
