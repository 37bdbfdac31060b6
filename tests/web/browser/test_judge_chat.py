"""A chat study in a real browser: talk, two answers as they come, choose, go on."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accord.store.judgements import talk
from accord.store.judgements.forms import Talk
from accord.web.models_known import register
from browser_fakes import PHONE, Visit, axe, visiting
from judge_fakes import site
from talk_fakes import Server, answering


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as made:
        made.answers = {"gull": "The gull knows a long answer", "tern": "The tern a short one"}
        yield made


@pytest.fixture
def visit(tmp_path: Path, chromium: Any, server: Server) -> Iterator[Visit]:
    with visiting(chromium, talking(tmp_path, server)) as made:
        yield made


def talking(folder: Path, server: Server) -> Any:
    made = site(folder)
    for name in ("gull", "tern"):
        register(made.store, name, server.url, name)
    return made


def test_a_talk_goes_on_with_the_chosen_answer(visit: Visit, server: Server) -> None:
    server.pause = 0.05
    study = visit.site.study(
        "chat", 0, talk=Talk(models=("gull", "tern")), verdicts=("tie", "both_bad")
    )
    page = visit.go(f"/studies/{study.id}/judge")
    assert axe(page) == []
    page.keyboard.type("Hello")  # the field has the focus: no key is a shortcut here
    page.keyboard.press("Enter")
    page.locator("[data-stream]").filter(has_text="The").first.wait_for()
    page.get_by_role("button", name="A is better").wait_for()
    assert axe(page) == []
    first = page.locator(".pane .as-rendered").first.inner_text()
    assert "gull" not in page.locator(".pane-top").first.inner_text()
    page.keyboard.press("1")
    page.get_by_text("1 judged by you").first.wait_for()
    assert first in page.locator(".conversation").inner_text()
    (made,) = visit.site.judgements()
    assert made.ranks is not None
    assert [made.ranks[at] for at in made.shown] == [0, 1]
    assert (made.ms_total or 0) > 0
    page.keyboard.type("Go on")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="B is better").wait_for()
    heard = [one["content"].strip() for one in server.asked[-1]["messages"]]
    assert heard == ["Hello", first.strip(), "Go on"]
    page.keyboard.press("9")
    page.get_by_text("2 judged by you").first.wait_for()
    page.get_by_text("Your last message has no answers yet").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="B is better").wait_for()
    assert [one.both_bad for one in visit.site.judgements()] == [False, True]


def test_u_takes_the_choice_back_and_then_what_was_said(visit: Visit, server: Server) -> None:
    study = visit.site.study("chat", 0, talk=Talk(models=("gull", "tern")))
    page = visit.go(f"/studies/{study.id}/judge")
    page.keyboard.type("Helo")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="A is better").wait_for()
    page.keyboard.press("1")
    page.get_by_role("button", name="Take the last step back").click()
    page.get_by_text("Taken back.").wait_for()
    page.get_by_role("button", name="B is better").wait_for()
    assert axe(page) == []
    page.keyboard.press("u")
    page.get_by_text("say it otherwise").wait_for()
    field = page.locator("#talk-text")
    assert field.input_value() == "Helo"
    assert field.evaluate("one => one === document.activeElement")
    field.fill("Hello")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="B is better").wait_for()
    page.keyboard.press("2")
    page.get_by_text("1 judged by you").first.wait_for()
    assert [one.act for one in visit.site.judgements()] == ["judge", "withdraw", "judge"]
    assert server.asked[-1]["messages"][-1]["content"] == "Hello"


class Slow:
    """Starts a model folder, and takes its time."""

    def __init__(self, url: str):
        self.address = url

    def url(self, folder: str) -> tuple[str, str]:
        time.sleep(1.6)
        return self.address, ""


def test_a_folder_that_starts_slowly_is_waited_for(visit: Visit, server: Server) -> None:
    visit.site.app.state.workers = Slow(server.url)
    study = visit.site.study("chat", 0, talk=Talk(models=("storyteller", "gull")))
    page = visit.go(f"/studies/{study.id}/judge")
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    page.get_by_text("A model is being started").wait_for()
    page.get_by_role("button", name="A is better").wait_for()
    assert page.locator("#trouble").is_hidden()


def test_going_away_in_the_middle_loses_nothing(visit: Visit, server: Server) -> None:
    server.pause = 0.1
    study = visit.site.study("chat", 0, talk=Talk(models=("gull", "tern")))
    page = visit.go(f"/studies/{study.id}/judge")
    page.locator("#talk-text").fill("Hello")
    page.get_by_role("button", name="Send").click()
    page.locator("[data-stream]").filter(has_text="The").first.wait_for()
    page.goto("about:blank")
    visit.go(f"/studies/{study.id}/judge")
    page.get_by_role("button", name="A is better").wait_for()


def test_a_model_that_is_not_there_is_told_and_can_be_asked_again(
    visit: Visit, server: Server
) -> None:
    study = visit.site.study("chat", 0, talk=Talk(models=("gull", "tern")))
    server.status = 500
    page = visit.go(f"/studies/{study.id}/judge")
    page.locator("#talk-text").fill("Hello")
    page.keyboard.press("Enter")
    page.get_by_text("a model answered 500").wait_for()  # and not which one
    server.status = 200
    page.get_by_role("button", name="Ask the models again").click()
    page.get_by_role("button", name="A is better").wait_for()


def test_it_can_be_stopped_and_begun_anew(visit: Visit, server: Server) -> None:
    server.pause = 0.3
    server.answers = {"gull": "The " * 200, "tern": "The one " * 100}
    study = visit.site.study("chat", 0, talk=Talk(models=("gull", "tern")))
    page = visit.go(f"/studies/{study.id}/judge")
    page.locator("#talk-text").fill("Hello")
    page.keyboard.press("Enter")
    for stream in page.locator("[data-stream]").all():
        stream.filter(has_text="The").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="A is better").wait_for()
    page.keyboard.press("1")
    page.get_by_role("button", name="New conversation").click()
    page.get_by_placeholder("Ask something").wait_for()
    assert len(talk.chats(visit.site.store, visit.site.user().id)) == 2


def test_a_phone_talks_too(tmp_path: Path, chromium: Any, server: Server) -> None:
    here = talking(tmp_path, server)
    with visiting(chromium, here, viewport=PHONE, has_touch=True, color_scheme="dark") as visit:
        study = visit.site.study("chat", 0, talk=Talk(models=("gull", "tern")))
        page = visit.go(f"/studies/{study.id}/judge")
        page.locator("#talk-text").fill("Hello")
        page.get_by_role("button", name="Send").tap()
        page.get_by_role("button", name="A is better").tap()
        page.get_by_text("1 judged by you").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert axe(page) == []
