"""Facts beside a prompt in a real browser: folded, scrolled, by keyboard, on a phone."""

from pathlib import Path
from typing import Any

import pytest

from accord.store.judgements.forms import NewItem
from accord.store.judgements.studies import add_items
from browser_fakes import DESK, PHONE, axe, visiting
from judge_fakes import TEXTS, Site, site


def asked(here: Site, *facts: str) -> str:
    """The address of a study of one prompt with facts."""
    study = here.study("pairwise", 0)
    parts = [{"type": "text", "text": "What is it?"}]
    parts += [{"type": "fact", "text": fact} for fact in facts]
    add_items(here.store, study.id, [NewItem([{"role": "user", "content": parts}], TEXTS[:2])])
    return f"/studies/{study.id}/judge"


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_many_fold_and_long_ones_scroll(
    tmp_path: Path, chromium: Any, scheme: str, size: dict[str, int]
) -> None:
    with visiting(chromium, site(tmp_path), color_scheme=scheme, viewport=size) as visit:
        many = [f"fact {n} {'of-a-very-long-name ' * 6}{'x' * 90}" for n in range(12)]
        page = visit.go(asked(visit.site, *many))
        box = page.locator(".known")
        assert box.get_by_text("fact 5 ").is_visible()
        assert not box.get_by_text("fact 6 ").is_visible()
        assert axe(page) == []
        box.locator("summary").focus()
        page.keyboard.press("Enter")
        assert box.get_by_text("fact 11 ").is_visible()
        assert box.evaluate("(one) => one.scrollHeight > one.clientHeight")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert axe(page) == []
        page.locator("#show-all").evaluate("(one) => one.click()")
        assert box.evaluate("(one) => one.scrollHeight <= one.clientHeight + 1")


def test_they_stand_beside_the_prompt_and_below_it_on_a_phone(
    tmp_path: Path, chromium: Any
) -> None:
    with visiting(chromium, site(tmp_path)) as visit:
        page = visit.go(asked(visit.site, "it is red"))
        talk, told = (page.locator(one).bounding_box() for one in (".conversation", ".known"))
        assert talk["y"] == told["y"]
        assert talk["x"] + talk["width"] < told["x"]
        page.set_viewport_size(PHONE)
        talk, told = (page.locator(one).bounding_box() for one in (".conversation", ".known"))
        assert talk["y"] + talk["height"] < told["y"]
        page.keyboard.press("1")
        page.get_by_text("1 judged by you").first.wait_for()
    assert visit.site.judgements()[0].origin == {"facts": True}
