"""The quiz in a real browser, by keys alone, on a phone, in the dark."""

from pathlib import Path
from typing import Any

from accord.store.judgements import studies
from accord.store.judgements.forms import NewItem, Quiz
from browser_fakes import PHONE, Visit, axe, visiting
from judge_fakes import Site, site


def quizzed(here: Site) -> int:
    study = here.study("pairwise", 2, quiz=Quiz(items=2, passes=1.0))
    gold = {"ranks": [0, 1], "why": "The other one says nothing."}
    known = [
        NewItem([{"role": "user", "content": f"Known {n}"}], ("It is good.", "No."), gold=gold)
        for n in range(4)
    ]
    assert studies.add_items(here.store, study.id, known).refused == []
    return study.id


def right(visit: Visit) -> str:
    """The key of the known answer, as it is shown now."""
    text = visit.page.locator("#task").inner_text()
    return "1" if text.index("It is good.") < text.index("No.") else "2"


def test_practice_by_keys(tmp_path: Path, chromium: Any) -> None:
    here = site(tmp_path)
    study = quizzed(here)
    with visiting(chromium, here, ("ben", "annotator")) as ben:
        page = ben.go(f"/studies/{study}/judge")
        assert axe(page) == []
        page.get_by_text("Practice, 1 of 2.").wait_for()
        page.keyboard.press(right(ben))
        page.get_by_text("That was right. The known answer").first.wait_for()
        page.get_by_text("Practice, 2 of 2.").wait_for()
        page.keyboard.press("u")
        page.get_by_text("answers of the quiz stand").first.wait_for()
        page.get_by_text("Practice, 2 of 2.").wait_for()
        page.keyboard.press("2" if right(ben) == "1" else "1")
        page.get_by_text("second try").wait_for()
        for _ in range(2):
            page.keyboard.press(right(ben))
            page.wait_for_timeout(400)
        page.locator("#task").wait_for()
        assert "Practice" not in page.locator("#task").inner_text()


def test_failing_and_being_let_in(tmp_path: Path, chromium: Any) -> None:
    here = site(tmp_path)
    study = quizzed(here)
    dark = {"color_scheme": "dark"}
    with visiting(chromium, here, ("ben", "annotator"), viewport=PHONE, **dark) as ben:
        page = ben.go(f"/studies/{study}/judge")
        for told in ("Practice, 2 of 2.", "second try", "2 of 2, second try", "was the practice"):
            page.keyboard.press("2" if right(ben) == "1" else "1")
            page.get_by_text(told).wait_for()
        assert axe(page) == []
        with visiting(chromium, here, ("mia", "manager"), **dark) as mia:
            there = mia.go(f"/studies/{study}/progress")
            assert axe(there) == []
            there.get_by_role("button", name="Let in").click()
            there.get_by_role("button", name="Let in").wait_for(state="detached")
        page.reload()
        page.locator("#task[data-lease]").wait_for()
        assert "Practice" not in page.locator("#task").inner_text()


def test_on_a_phone_in_the_dark(tmp_path: Path, chromium: Any) -> None:
    here = site(tmp_path)
    study = quizzed(here)
    with visiting(chromium, here, ("ada", "annotator"), viewport=PHONE, color_scheme="dark") as ada:
        page = ada.go(f"/studies/{study}/judge")
        page.get_by_text("Practice, 1 of 2.").wait_for()
        assert axe(page) == []
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390
