"""Talk and comparison in a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from accord.store import artifact
from accord.store.judgements.opening import open_store
from accord.store.judgements.tables import Judgement
from accord.web.app import SiteConfig, build
from accord.web.models_known import register
from browser_fakes import PHONE, Visit, axe, visiting
from endpoint_fakes import Endpoint, endpoint
from judge_fakes import Site


@contextmanager
def talking(tmp_path: Path, chromium: Any, **options: Any) -> Iterator[tuple[Visit, Endpoint]]:
    """A site with two models at a server of its own, and one sealed policy."""
    store = open_store(tmp_path / "site")
    folder = tmp_path / "runs" / "policy"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    artifact.seal(folder, kind="policy", settings={}, parents=["a rule 12"])
    site = Site(store, build(store, SiteConfig(runs=tmp_path / "runs")))
    site.user()
    with endpoint() as there:
        for name in ("left", "right"):
            register(store, name, there.url, name)
        with visiting(chromium, site, **options) as visit:
            yield visit, there
    store.close()


@pytest.fixture
def both(tmp_path: Path, chromium: Any) -> Iterator[tuple[Visit, Endpoint]]:
    with talking(tmp_path, chromium) as made:
        yield made


def chat(visit: Visit) -> Any:
    page = visit.go("/models")
    page.locator(".model", has_text="left").get_by_role("button", name="Chat").click()
    page.wait_for_url("**/chat/*")
    return page


def test_an_answer_comes_piece_by_piece(both: tuple[Visit, Endpoint]) -> None:
    visit, there = both
    page = chat(visit)
    there.gate.clear()
    page.keyboard.type("hello")  # the field has the focus
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn-user >> text=hello")
    page.wait_for_selector(".turn-assistant >> text=**left**")
    assert page.locator("[data-stop]").is_visible()
    there.gate.set()
    page.wait_for_selector(".turn-assistant strong >> text=left")
    assert "heard hello" in page.locator(".turn-assistant .said").inner_text()
    assert page.locator("[data-send]").is_visible()
    page.reload()
    assert "heard hello" in page.locator(".turn-assistant .said").inner_text()


def test_stop_again_and_edit(both: tuple[Visit, Endpoint]) -> None:
    visit, there = both
    page = chat(visit)
    there.gate.clear()
    page.fill("#say", "one")
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector(".turn-assistant >> text=**left**")
    with page.expect_response("**/stop"):  # else the answer may be over before it is stopped
        page.locator("[data-stop]").click()
    there.gate.set()
    page.wait_for_selector("text=stopped")
    page.get_by_role("button", name="Again").click()
    page.wait_for_selector(".turn-assistant >> text=heard one")
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Your message, changed").fill("two")
    page.locator(".edit").get_by_role("button", name="Send").click()
    page.wait_for_selector(".turn-assistant >> text=heard two")
    assert page.locator(".turn").count() == 2


def test_a_page_loaded_in_the_middle_hears_the_rest(both: tuple[Visit, Endpoint]) -> None:
    visit, there = both
    page = chat(visit)
    there.gate.clear()
    page.fill("#say", "one")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn-assistant >> text=**left**")
    page.reload()
    page.wait_for_selector(".turn-assistant >> text=**left**")
    there.gate.set()
    page.wait_for_selector(".turn-assistant strong >> text=left")


def pair(visit: Visit) -> Any:
    page = visit.go("/compare")
    page.select_option("#f-left", "left")
    page.select_option("#f-right", "right")
    page.get_by_role("button", name="Begin").click()
    page.wait_for_url("**/chat/*")
    return page


def test_compare_vote_by_key_and_see_the_names(both: tuple[Visit, Endpoint]) -> None:
    visit, _ = both
    page = pair(visit)
    page.fill("#say", "12")  # digits that are written are no verdict
    page.keyboard.press("Enter")
    page.locator("[data-vote]").wait_for()
    assert page.locator(".turn-user").inner_text().endswith("12")
    assert "Answer A" in page.locator(".pane-a h2").inner_text()
    page.keyboard.press("1")
    page.locator("[data-reveal]").wait_for()
    names = [page.locator(f".pane-{one} [data-name]").inner_text() for one in "ab"]
    assert sorted(names) == ["left", "right"]
    assert page.locator("[data-revealed]").inner_text() == (
        f"You preferred {names[0]} to {names[1]}."
    )
    assert "preferred" in page.evaluate(
        "getComputedStyle(document.querySelector('.pane-a h2'), '::after').content"
    )
    assert not page.locator("[data-vote]").is_visible()
    page.keyboard.press("2")  # locked
    with visit.site.store.read() as session:
        judged = session.scalars(select(Judgement)).one()
    assert judged.ranks
    assert judged.shown[0] == judged.ranks.index(0)
    assert judged.ms_total is not None
    page.set_default_timeout(60_000)  # the first look at it brings pandas, which takes a while
    visit.go("/leaderboard")
    assert "1 verdict " in page.locator("main").inner_text()


def test_axe_finds_nothing_and_nothing_is_wider_than_a_phone(tmp_path: Path, chromium: Any) -> None:
    for options in ({}, {"color_scheme": "dark"}, {"viewport": PHONE}):
        name = "-".join(map(str, options)) or "plain"
        with talking(tmp_path / name, chromium, **options) as (visit, _):
            page = chat(visit)
            page.fill("#say", "hello")
            page.keyboard.press("Enter")
            page.wait_for_selector(".turn-assistant strong")
            assert axe(page) == []
            page = pair(visit)
            page.fill("#say", "hello")
            page.keyboard.press("Enter")
            page.locator("[data-vote]").wait_for()
            assert axe(page) == []
            page.get_by_role("button", name="Tie").click()
            page.locator("[data-reveal]").wait_for()
            assert axe(page) == []
            found = artifact.Artifact.find(tmp_path / name / "runs")[0].id
            paths = ("/models", "/models/policy", "/compare", "/leaderboard", "/lineage")
            for path in (*paths, f"/lineage/{found}"):
                page = visit.go(path)
                assert axe(page) == [], path
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= page.viewport_size["width"], path
