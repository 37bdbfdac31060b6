"""Runs in a real browser: charts that grow, samples by the slider, a stream that rests unseen."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from accord.store.judgements.opening import open_store
from accord.web.app import SiteConfig, build
from browser_fakes import PHONE, Visit, axe, visiting
from judge_fakes import Site
from watch_fakes import numbers, shown, write_lines, write_run

COUNT = """
const Before = window.EventSource;
window.streams = 0;
window.EventSource = class extends Before {
  constructor(...given) { super(...given); window.streams += 1; window.last = given[0]; }
  close() { if (this.readyState !== 2) window.streams -= 1; super.close(); }
};
"""
"""counts the streams that are open"""


@contextmanager
def watching(tmp_path: Path, chromium: Any, **options: Any) -> Iterator[Visit]:
    """A site over two runs: `a` is done, `b` broke off."""
    root = tmp_path / "runs"
    write_run(root / "a", 8)
    write_run(root / "b", 12, stop=8, lr=0.2)
    store = open_store(tmp_path / "site")
    made = Site(store, build(store, SiteConfig(runs=root)))
    with visiting(chromium, made, **options) as visit:
        yield visit
    store.close()


@pytest.fixture
def visit(tmp_path: Path, chromium: Any) -> Iterator[Visit]:
    with watching(tmp_path, chromium) as made:
        yield made


def grown(page: Any, points: int) -> None:
    """Waits until the reward's chart has so many points."""
    page.wait_for_selector(f'#chart-objective-scores[data-points="{points}"]')


def test_a_chart_grows_while_a_run_is_written(visit: Visit, tmp_path: Path) -> None:
    page = visit.go("/runs/b")
    grown(page, 8)
    folder = tmp_path / "runs" / "b"
    for step in (8, 9):
        write_lines(folder / "metrics.jsonl", [{"step": step, **numbers(step)}])
        write_lines(folder / "samples.jsonl", [{"step": step, **one} for one in shown(step)])
    grown(page, 10)
    card = page.locator("#chart-objective-scores")
    assert float(card.get_attribute("data-last")) == pytest.approx(-0.1)
    assert card.locator(".chart-now").inner_text() == "-0.1"
    assert "at step 9" in card.locator("[role=img]").get_attribute("aria-label")
    page.wait_for_selector("text=answer 0 of step 9")
    page.wait_for_function("document.querySelector('[data-step]').textContent === '10'")
    page.locator("#numbers summary").click()
    assert page.locator('[data-last="objective/scores"]').inner_text() == "-0.1"


def test_a_chart_follows_a_run_that_goes_on_from_its_commit(visit: Visit, tmp_path: Path) -> None:
    page = visit.go("/runs/b")
    grown(page, 8)
    path = tmp_path / "runs" / "b" / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
    grown(page, 5)
    write_lines(path, [{"step": 5, **numbers(5)}])
    grown(page, 6)


def test_an_alert_appears_where_it_happens(visit: Visit, tmp_path: Path) -> None:
    page = visit.go("/runs/b")
    grown(page, 8)
    assert page.locator("[data-alerts] .note").count() == 0
    rows = [{"step": step, **numbers(step), "objective/kl": 99.0} for step in range(8, 14)]
    write_lines(tmp_path / "runs" / "b" / "metrics.jsonl", rows)
    note = page.locator("[data-alerts] .note-bad")
    note.wait_for()
    assert "KL passed the limit" in note.inner_text()


def test_metrics_are_picked_and_remembered(visit: Visit) -> None:
    page = visit.go("/runs/a")
    grown(page, 8)
    page.locator("summary", has_text="Metrics").click()
    page.locator('[data-metric][value="step_time"]').check()
    page.locator('[data-metric][value="objective/kl"]').uncheck()
    page.wait_for_selector("#chart-step_time[data-points='8']")
    assert page.locator("#chart-objective-kl").count() == 0
    page.reload()
    page.wait_for_selector("#chart-step_time[data-points='8']")
    assert page.locator("#chart-objective-kl").count() == 0


def test_smoothing_and_zoom(visit: Visit) -> None:
    page = visit.go("/runs/a")
    grown(page, 8)
    page.locator("#smooth").fill("0.5")
    assert page.locator("#smooth-said").inner_text() == "0.50"
    page.locator("#log").check()
    over = page.locator("#chart-objective-scores .u-over")
    box = over.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 40, steps=4)
    page.mouse.up()
    grown(page, 4)  # steps 2 to 5
    over.dblclick()
    grown(page, 8)


def test_runs_in_one_picture(visit: Visit) -> None:
    page = visit.go("/runs")
    page.get_by_label("Compare a").check()
    page.get_by_label("Compare b").check()
    page.get_by_role("button", name="Compare the chosen").click()
    page.wait_for_url("**/runs/compare?run=*&run=*")
    room = page.locator("#chart-objective-scores [role=img]")
    room.locator("canvas").wait_for()
    said = room.get_attribute("aria-label")
    assert "a: -0.3 at step 7" in said
    assert "b: -0.3 at step 7" in said
    assert page.locator("text=What differs").count() == 1


def test_the_slider_walks_the_steps(visit: Visit) -> None:
    page = visit.go("/runs/a/samples")
    assert page.locator(".say").first.inner_text().startswith("Step 7")
    page.locator("#turn").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("text=answer 0 of step 6")
    page.get_by_label("Step before").click()
    page.wait_for_selector("text=answer 0 of step 5")
    assert "step=5" in page.url
    assert page.locator("text=answer 0 of step 7").count() == 0
    page.select_option("#prompt", index=1)
    page.get_by_role("button", name="Show").click()
    page.wait_for_selector("text=One prompt at every step")
    assert page.locator(".say").count() == 8


def test_a_hidden_tab_has_no_stream_and_goes_on_where_it_was(visit: Visit, tmp_path: Path) -> None:
    visit.page.add_init_script(COUNT)
    page = visit.go("/runs/b")
    grown(page, 8)
    page.wait_for_function("window.streams === 1")
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    hide += "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(hide % "true")
    page.wait_for_function("window.streams === 0")
    rows = [{"step": step, **numbers(step)} for step in (8, 9)]
    write_lines(tmp_path / "runs" / "b" / "metrics.jsonl", rows)
    page.evaluate(hide % "false")
    page.wait_for_function("window.streams === 1")
    assert "after=" in page.evaluate("window.last")
    grown(page, 10)


PAGES = ("/runs", "/runs/a", "/runs/a/samples", "/runs/a/settings", "/runs/-/rules")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(tmp_path: Path, chromium: Any, scheme: str) -> None:
    with watching(tmp_path, chromium, color_scheme=scheme) as visit:
        for path in (*PAGES, "/runs/compare?run=a&run=b"):
            page = visit.go(path)
            if "compare" in path or path == "/runs/a":
                page.locator("#chart-objective-scores canvas").wait_for()
            assert axe(page) == [], path


def test_nothing_is_wider_than_a_phone(tmp_path: Path, chromium: Any) -> None:
    with watching(tmp_path, chromium, viewport=PHONE) as visit:
        for path in (*PAGES, "/runs/compare?run=a&run=b"):
            page = visit.go(path)
            page.wait_for_timeout(100)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= PHONE["width"], path


def test_a_run_that_begins_under_ones_eyes(visit: Visit, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    (root / "new").mkdir()
    shutil.copy(root / "a" / "run.json", root / "new" / "run.json")
    page = visit.go("/runs/new")
    assert "No step is over yet" in page.locator("main").inner_text()
    page.wait_for_timeout(700)
    write_lines(root / "new" / "metrics.jsonl", [{"step": 0, **numbers(0)}])
    page.wait_for_selector("#chart-objective-scores")
