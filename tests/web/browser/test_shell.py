"""The general pages in a real browser: from an empty folder to a judgement, every page by axe."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accord.store.judgements import people, studies
from accord.store.judgements.tables import Judgement
from accord.web import security
from browser_fakes import DESK, PHONE, axe, listening
from site_fakes import PASSWORD, Site, site

PAGES = ["/", "/people", "/people/1", "/log", "/account", "/studies/new", "/studies/1"]
PAGES += ["/studies/1/edit", "/studies/1/people"]
UNDER_WAY = "#preview-state:not(:empty)"
"""there until the preview of a study has come; nothing else on these pages is fetched later on"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


class Visit:
    """A tab that notes what goes wrong."""

    def __init__(self, context: Any, url: str):
        self.page, self.url = context.new_page(), url
        self.page.set_default_timeout(8000)
        self.wrong: list[str] = []
        note = self.wrong.append
        self.page.on("console", lambda said: said.type == "error" and note(said.text))
        self.page.on("pageerror", lambda error: note(str(error)))
        self.page.on("request", lambda one: one.url.startswith(url) or note(one.url))

    def go(self, path: str) -> Any:
        self.page.goto(self.url + path)
        return self.page


def entered(chromium: Any, here: Site, url: str, **options: Any) -> Any:
    """A context that the owner is logged in with."""
    context = chromium.new_context(**{"viewport": DESK, **options})
    link = people.one_time_link(here.store, here.users["owner"].id)
    token = people.use_link(here.store, link)
    context.add_cookies([{"name": security.COOKIE, "value": token, "url": url}])
    return context


def in_sight(tab: Any) -> bool:
    """Whether it lies within the row that it is scrolled in."""
    return tab.evaluate("""one => {
      const [own, row] = [one, one.parentElement].map((each) => each.getBoundingClientRect());
      return own.left >= row.left - 1 && own.right <= row.right + 1;
    }""")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"color_scheme": "dark"},
        {"viewport": PHONE},
        {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"},
    ],
    ids=["light", "dark", "phone", "small"],
)
def test_every_page_is_sound(chromium: Any, here: Site, options: dict[str, Any]) -> None:
    here.study(guidelines="Be **kind**.")
    people.invite(here.store, "annotator", note="a note")
    with listening(here.app) as url:
        context = entered(chromium, here, url, **options)
        visit = Visit(context, url)
        for path in PAGES:
            page = visit.go(path)
            page.locator(UNDER_WAY).wait_for(state="detached")
            assert axe(page) == [], path
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= page.viewport_size["width"], path
            tab = page.locator(".tabs [aria-current]")
            assert tab.count() == 0 or in_sight(tab), path
        assert visit.wrong == []
        stranger = chromium.new_context(**{"viewport": DESK, **options})
        door = Visit(stranger, url)
        token = people.invite(here.store, "annotator")
        for path in ("/login", f"/join/{token}"):
            assert axe(door.go(path)) == [], path
        assert door.wrong == []
        context.close()
        stranger.close()


def test_from_an_empty_site_to_the_first_judgement(chromium: Any, here: Site) -> None:
    with listening(here.app) as url:
        context = chromium.new_context(viewport=DESK)
        visit = Visit(context, url)
        link = people.one_time_link(here.store, here.users["owner"].id)
        page = visit.go(f"/in/{link}")
        page.get_by_role("button", name="Try it with sample pairs").click()
        page.wait_for_url("**/studies/1/judge**")
        page.get_by_role("button", name="A is better").wait_for()
        page.keyboard.press("1")
        page.get_by_text("1 judged by you").first.wait_for()
        with here.store.read() as session:
            (made,) = session.query(Judgement).all()
        assert made.ranks is not None
        assert [made.ranks[at] for at in made.shown] == [0, 1]
        assert visit.wrong == []
        context.close()


def test_the_preview_follows_the_form(chromium: Any, here: Site) -> None:
    with listening(here.app) as url:
        context = entered(chromium, here, url)
        visit = Visit(context, url)
        page = visit.go("/studies/new")
        preview = page.locator("#preview")
        preview.get_by_text("Choose the most helpful and honest response").wait_for()
        page.get_by_label("Question", exact=True).fill("Which is <kinder>?")
        preview.get_by_text("Which is <kinder>?").wait_for()
        assert not page.get_by_label("Axes", exact=True).is_visible()
        page.get_by_role("radio", name="Ratings").check()
        assert page.get_by_label("Axes", exact=True).is_visible()
        page.get_by_label("Axes", exact=True).fill("polite")
        preview.get_by_text("polite").first.wait_for()
        talk = page.get_by_role("heading", name="Who is talked to")
        assert not talk.is_visible(), "of a chat alone"
        page.get_by_label("Highest rating").fill("99")
        preview.get_by_text("1 field still wrong").wait_for()
        page.get_by_role("button", name="Open the study").click()
        page.get_by_text("Look at 2 fields below").wait_for()  # the rating, and the name
        page.get_by_label("Highest rating").fill("5")
        page.get_by_label("Name", exact=True).fill("Politeness")
        page.get_by_role("button", name="Open the study").click()
        page.get_by_role("heading", name="Politeness").wait_for()
        made = studies.config_of(studies.study(here.store, "Politeness"))
        assert (made.axes, made.scale, made.question) == (("polite",), 5, "Which is <kinder>?")
        # the 400 of the first try is in the console, as browsers do; nothing else is
        assert [said for said in visit.wrong if "400" not in said] == []
        context.close()


def test_by_keyboard_and_on_the_phone(chromium: Any, here: Site) -> None:
    people.set_password(here.store, here.users["owner"].id, PASSWORD)
    with listening(here.app) as url:
        context = chromium.new_context(viewport=PHONE)
        visit = Visit(context, url)
        page = visit.go("/people")
        assert page.url.endswith("/login?next=%2Fpeople")
        page.keyboard.type("owner")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/people")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the menu
        page.locator("#side").get_by_role("link", name="Log", exact=True).click()
        page.wait_for_url("**/log")
        assert visit.wrong == []
        context.close()


def test_a_theme_that_was_chosen_wins_over_the_device(chromium: Any, here: Site) -> None:
    with listening(here.app) as url:
        context = entered(chromium, here, url, color_scheme="light")
        visit = Visit(context, url)
        page = visit.go("/account")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("radio", name="Dark").check()
        page.get_by_role("button", name="Save").click()
        page.locator(".toast", has_text="Saved.").wait_for()
        assert "said=" not in page.url  # a reload does not say it again
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        assert visit.wrong == []
        context.close()
