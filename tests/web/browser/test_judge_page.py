"""The judging pages as they look and behave: phones, the dark, axe, and a line that breaks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accord.store.judgements import people
from accord.store.judgements.acts import submit
from accord.store.judgements.forms import Act, Kind, NewItem, View
from accord.store.judgements.leases import next_task
from accord.store.judgements.people import logout_all
from accord.store.judgements.studies import add_items
from accord.web.security import COOKIE
from browser_fakes import PHONE, Visit, axe, visiting
from judge_fakes import ASK, LONG, TEXTS, shown, site

KINDS: tuple[Kind, ...] = ("pairwise", "rank", "rate", "rewrite")


@pytest.fixture
def visit(tmp_path: Path, chromium: Any) -> Iterator[Visit]:
    with visiting(chromium, site(tmp_path)) as made:
        yield made


def long_pair(visit: Visit, **config: Any) -> str:
    """The address of a study with an answer that does not fit a screen."""
    study = visit.site.study("pairwise", 0, shuffle=False, **config)
    for number in range(2):
        ask = [{"role": "user", "content": f"How do I juggle? ({number})"}]
        add_items(visit.site.store, study.id, [NewItem(ask, (LONG, "Short."))])
    return f"/studies/{study.id}/judge"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(tmp_path: Path, chromium: Any, kind: Kind, dark: bool) -> None:
    scheme = "dark" if dark else "light"
    with visiting(chromium, site(tmp_path), color_scheme=scheme) as visit:
        verdicts = ("tie", "both_bad", "strength") if dark else ("tie", "both_bad")
        study = visit.site.study(kind, 2, verdicts=verdicts, guidelines="**Be kind.**")
        page = visit.go(f"/studies/{study.id}/judge")
        assert axe(page) == []
        page.keyboard.press("?")
        page.locator("#help[open]").wait_for()
        assert axe(page) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_phone_shows_all_of_it_without_scrolling_sideways(
    tmp_path: Path, chromium: Any, kind: Kind
) -> None:
    with visiting(chromium, site(tmp_path), viewport=PHONE, has_touch=True) as visit:
        study = visit.site.study(kind, 2, verdicts=("tie", "both_bad"), axes=("helpful", "honest"))
        page = visit.go(f"/studies/{study.id}/judge")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        small = page.evaluate(
            """[...document.querySelectorAll("#task button, #task label, #task select")]
                 .filter((one) => one.offsetParent && !one.classList.contains("sr-only"))
                 .map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
                 .filter(([, box]) => box.width && (box.height < 24 || box.width < 24))
                 .map(([text]) => text)"""
        )
        assert small == []
        assert axe(page) == []


def test_on_a_phone_a_stands_above_b_and_the_verdict_is_in_reach(
    tmp_path: Path, chromium: Any
) -> None:
    with visiting(chromium, site(tmp_path), viewport=PHONE, has_touch=True) as visit:
        page = visit.go(long_pair(visit))
        first, second = (page.locator(f'.pane[data-place="{place}"]') for place in (0, 1))
        assert first.bounding_box()["y"] + 50 < second.bounding_box()["y"]
        button = page.get_by_role("button", name="B is better")
        assert button.bounding_box()["y"] + button.bounding_box()["height"] <= PHONE["height"]
        button.tap()
        page.get_by_text("1 judged by you").first.wait_for()


def test_long_answers_are_collapsed_alike_and_shown_whole_on_demand(visit: Visit) -> None:
    page = visit.go(long_pair(visit))
    text = page.locator(".pane-text").first
    assert text.evaluate("(one) => one.scrollHeight > one.clientHeight")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(100)
    assert text.evaluate("(one) => one.scrollTop") > 50
    page.keyboard.press("e")
    assert text.evaluate("(one) => one.scrollHeight <= one.clientHeight + 1")


def test_both_are_to_be_read_to_their_ends(visit: Visit) -> None:
    page = visit.go(long_pair(visit, view=View(read_all=True)))
    page.keyboard.press("1")
    assert "Scroll every answer" in page.locator("#status").inner_text()
    assert visit.site.judgements() == []
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    page.locator("#read-first").wait_for(state="hidden")
    page.keyboard.press("1")
    page.get_by_text("1 judged by you").first.wait_for()


def test_a_line_that_breaks_loses_nothing(visit: Visit) -> None:
    study = visit.site.study("pairwise", 3)
    page = visit.go(f"/studies/{study.id}/judge")
    page.context.set_offline(True)
    page.keyboard.press("2")
    page.get_by_text("No connection").wait_for()
    page.keyboard.press("2")  # the same once more: counts once
    assert visit.site.judgements() == []
    page.context.set_offline(False)
    page.get_by_text("1 judged by you").first.wait_for()
    assert page.locator("#trouble").is_hidden()
    assert len(visit.site.judgements()) == 1
    visit.wrong[:] = [one for one in visit.wrong if "ERR_INTERNET_DISCONNECTED" not in one]


def test_a_verdict_that_could_not_be_sent_is_sent_at_the_next_visit(visit: Visit) -> None:
    study = visit.site.study("pairwise", 3)
    page = visit.go(f"/studies/{study.id}/judge")
    page.context.set_offline(True)
    page.keyboard.press("2")
    page.get_by_text("No connection").wait_for()
    page.goto("about:blank")
    page.context.set_offline(False)
    visit.go(f"/studies/{study.id}/judge")
    page.get_by_text("1 judged by you").first.wait_for()
    (made,) = visit.site.judgements()
    assert [made.ranks[at] for at in made.shown] == [1, 0]
    visit.wrong[:] = [one for one in visit.wrong if "ERR_INTERNET_DISCONNECTED" not in one]


def test_an_answer_that_got_lost_on_its_way_back_counts_once(visit: Visit) -> None:
    study = visit.site.study("pairwise", 3)
    page = visit.go(f"/studies/{study.id}/judge")
    lost: list[Any] = []

    def once(route: Any) -> None:
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch())  # the site has it; the page never hears of it
            route.abort()
        else:
            route.continue_()

    page.route("**/judge", once)
    page.keyboard.press("1")
    page.get_by_text("1 judged by you").first.wait_for()
    assert lost
    assert len(visit.site.judgements()) == 1
    visit.wrong[:] = [one for one in visit.wrong if "ERR_FAILED" not in one]


def test_what_is_written_is_kept_while_one_is_away(visit: Visit) -> None:
    study = visit.site.study("rewrite", 2)
    page = visit.go(f"/studies/{study.id}/judge")
    with page.expect_response("**/beat"):
        page.locator("#rewrite").fill("Half a sentence")
    page.goto("about:blank")
    visit.go(f"/studies/{study.id}/judge")
    assert page.locator("#rewrite").input_value() == "Half a sentence"
    page.keyboard.press("s")  # a skip loses nothing either
    page.get_by_text("Skipped").wait_for()


def test_a_lease_that_is_gone_is_told_and_what_was_written_is_shown(visit: Visit) -> None:
    study = visit.site.study("rewrite", 3, lease_minutes=0.02)
    page = visit.go(f"/studies/{study.id}/judge")
    tom = visit.site.client("tom", "annotator")
    page.route("**/beat", lambda route: route.abort())
    page.locator("#rewrite").fill("My own words")
    page.wait_for_timeout(1500)
    text = tom.get(f"/studies/{study.id}/judge").text
    fields = {"lease": shown(text, "lease"), "key": shown(text, "key"), "rewrite": "Tom's"}
    assert tom.post(f"/studies/{study.id}/judge", data=fields).status_code == 303
    page.unroute("**/beat")
    page.get_by_text("given to somebody else").wait_for()
    assert "My own words" in page.locator("#trouble").inner_text()
    visit.wrong[:] = [one for one in visit.wrong if "ERR_FAILED" not in one and "409" not in one]


def test_without_scripts_a_phone_judges_too(tmp_path: Path, chromium: Any) -> None:
    options = {"viewport": PHONE, "java_script_enabled": False}
    with visiting(chromium, site(tmp_path), **options) as visit:
        study = visit.site.study("pairwise", 2)
        page = visit.go(f"/studies/{study.id}/judge")
        page.get_by_text("Plain", exact=True).click()
        assert page.locator(".pane .as-plain").first.is_visible()
        page.get_by_role("button", name="A is better").click()
        page.get_by_text("Saved").wait_for()
        assert len(visit.site.judgements()) == 1


def test_a_login_that_ran_out_loses_no_verdict(visit: Visit) -> None:
    study = visit.site.study("pairwise", 3)
    page = visit.go(f"/studies/{study.id}/judge")
    logout_all(visit.site.store, visit.site.user().id)
    page.keyboard.press("2")
    page.get_by_text("You are logged out").wait_for()
    assert visit.site.judgements() == []
    cookie = {"name": COOKIE, "value": visit.site.token(), "url": visit.url}
    page.context.add_cookies([cookie])  # as logging in in another tab does
    page.get_by_text("1 judged by you").first.wait_for()
    assert len(visit.site.judgements()) == 1


def test_guidelines_are_open_until_they_were_seen(visit: Visit) -> None:
    study = visit.site.study("pairwise", 3, guidelines="Be *kind*.")
    page = visit.go(f"/studies/{study.id}/judge")
    assert page.get_by_text("Be kind.").is_visible()
    visit.go(f"/studies/{study.id}/judge")
    assert page.get_by_text("Be kind.").is_hidden()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_at_the_end_on_progress_and_among_disputes(
    tmp_path: Path, chromium: Any, dark: bool
) -> None:
    scheme = "dark" if dark else "light"
    with visiting(chromium, site(tmp_path), color_scheme=scheme) as visit:
        study = visit.site.study("pairwise", 1, overlap=2)
        for name, verdict in (("ann", (0, 1)), ("ben", (1, 0))):
            user = visit.site.user(name, "annotator")
            task = next_task(visit.site.store, study.id, user.id)
            assert task is not None
            ranks = verdict if task.answers[0].text == TEXTS[0] else verdict[::-1]
            act = Act(task.lease_id, task.key, ranks=ranks, ms_total=900)
            submit(visit.site.store, user.id, act)
        page = visit.go(f"/studies/{study.id}/progress")
        assert axe(page) == []
        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        visit.go(f"/studies/{study.id}/adjudicate")
        assert page.get_by_text("What the others said").is_visible()
        assert axe(page) == []
        page.keyboard.press("1")
        page.get_by_text("Nothing is disputed").wait_for()
        assert axe(page) == []


def test_a_verdict_that_is_refused_for_good_is_not_sent_forever(visit: Visit) -> None:
    study = visit.site.study("pairwise", shuffle=False)
    people.add(visit.site.store, "Another", "owner")
    page = visit.go(f"/studies/{study.id}/judge")
    people.set_role(visit.site.store, visit.site.user().id, "viewer")
    page.keyboard.press("1")
    page.get_by_text("the role viewer does not allow this").wait_for()
    people.set_role(visit.site.store, visit.site.user().id, "owner")
    page.reload()
    page.get_by_text(ASK.split(".")[0]).first.wait_for()
    assert visit.site.judgements() == []
    visit.wrong[:] = [one for one in visit.wrong if "403" not in one]
