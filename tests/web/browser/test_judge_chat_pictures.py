"""A picture in a talk, in a real browser: chosen, seen, removed, sent, taken back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from accord.store.judgements.forms import Talk
from accord.web.models_known import register
from browser_fakes import DESK, PHONE, axe, visiting
from judge_fakes import site
from talk_fakes import Server, answering

SIZES = [(DESK, "light"), (PHONE, "dark")]


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as made:
        made.answers = {"gull": "The gull sees red", "tern": "The tern sees it too"}
        yield made


@pytest.mark.parametrize(("size", "scheme"), SIZES, ids=["desk", "phone"])
def test_a_picture_goes_with_what_is_said(
    tmp_path: Path, chromium: Any, server: Server, size: dict[str, int], scheme: str
) -> None:
    Pillow.new("RGB", (640, 480), "red").save(tmp_path / "red.png")
    (tmp_path / "red.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    here = site(tmp_path)
    for name in ("gull", "tern"):
        register(here.store, name, server.url, name)
    study = here.study("chat", 0, talk=Talk(models=("gull", "tern"), pictures=True))
    with visiting(chromium, here, viewport=size, color_scheme=scheme) as visit:
        page = visit.go(f"/studies/{study.id}/judge")
        assert axe(page) == []
        field = page.locator("#talk-picture")
        field.set_input_files(tmp_path / "red.svg")
        page.get_by_text("this file is no picture that can be shown").wait_for()
        field.set_input_files(tmp_path / "red.png")
        shown = page.locator(".talk-shown")
        shown.wait_for()
        assert page.locator("#trouble").is_hidden()
        assert axe(page) == []
        shown.get_by_role("button", name="Remove").click()
        shown.wait_for(state="hidden")
        field.set_input_files(tmp_path / "red.png")
        shown.wait_for()
        page.locator("#talk-text").fill("What is it?")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="A is better").wait_for()
        assert [one["type"] for one in server.asked[0]["messages"][0]["content"]] == [
            "image_url",
            "text",
        ]
        seen = page.locator(".turn-image")
        assert seen.evaluate("(one) => one.decode().then(() => one.naturalWidth)") == 640
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert axe(page) == []
        page.keyboard.press("u")
        page.get_by_text("say it otherwise").wait_for()
        shown.wait_for()
        assert axe(page) == []
        page.locator("#talk-text").fill("What do you see?")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="A is better").wait_for()
        assert server.asked[-1]["messages"][0]["content"][1]["text"] == "What do you see?"
        assert len(server.asked[-1]["messages"][0]["content"]) == 2


def test_what_the_site_refuses_leaves_the_words_in_the_field(
    tmp_path: Path, chromium: Any, server: Server
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    here = site(tmp_path)
    for name in ("gull", "tern"):
        register(here.store, name, server.url, name)
    study = here.study("chat", 0, talk=Talk(models=("gull", "tern"), pictures=True))
    with visiting(chromium, here) as visit:
        page = visit.go(f"/studies/{study.id}/judge")
        page.locator("#talk-picture").set_input_files(tmp_path / "broken.png")
        page.locator("#talk-text").fill("What is it?")
        page.locator(".talk-shown").wait_for()
        page.keyboard.press("Enter")
        page.get_by_text("cannot be read as a picture").wait_for()
        assert page.locator("#talk-text").input_value() == "What is it?"
        assert server.asked == []
