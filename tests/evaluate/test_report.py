"""The page: whole with everything and with almost nothing, alone in the world, and safe to open."""

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from accord.errors import CannotWrite
from accord.evaluate.outcome import Answer, compare
from accord.evaluate.report import Judge, Report, Story, marked, pick, render, write
from accord.evaluate.tell import Subject
from accord.records import Invalid
from report_fakes import ANIMAL, STORIES, history, outcome, report

VOID = {"meta", "br", "hr", "img", "input", "link", "wbr", "col", "source", "area", "base", "embed"}
HOSTILE = "<script>alert(1)</script><img src=x onerror='a()'> & \"quoted\" </p></main> {{ 7 * 7 }}"


class Page(HTMLParser):
    """What a browser would see: tags that close, ids, headings, what would be loaded, and words."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


def answer(true: Any = 0.0, text: str = "a dog", **more: Any) -> Answer:
    return Answer(**{"prompt": "p", "ended": True, "length": 2} | more, text=text, true=true)


def bare() -> Report:
    return Report(title="Small", outcome=compare([answer(0.0)], [answer(1.0)]))


def harsh() -> Report:
    told = [answer(i, HOSTILE, prompt=HOSTILE) for i in (0.0, 1.0)]
    return Report(
        title=HOSTILE,
        subtitle=HOSTILE,
        outcome=compare(told[:1], told[1:]),
        notes=(HOSTILE,),
        stories=(Story(told[0], told[1], HOSTILE),),
        highlight=re.compile("script"),
        panel=(Judge(HOSTILE, None, 3, 0, None, None),),
        reward_model={"<b>": 0.5},
        method={HOSTILE: {HOSTILE: HOSTILE}},
        made=HOSTILE,
    )


@pytest.fixture(scope="module")
def full() -> str:
    return render(report())


@pytest.fixture(scope="module", params=["full", "bare", "harsh"])
def page(request: pytest.FixtureRequest, full: str) -> str:
    other = {"bare": bare, "harsh": harsh}
    return full if request.param == "full" else render(other[request.param]())


def test_everything_is_there(full: str) -> None:
    seen, given = Page(full), report()
    for stage in given.stages:
        assert stage.text in seen.text
    for file in given.files:
        assert file.path in seen.text
    for one in given.next:
        assert one.command in seen.text
    assert len(seen.all("article")) == len(given.stories)
    assert len(seen.all("svg")) == len(given.curves) + 1
    sections = {s["id"] for s in seen.all("section") if "id" in s}
    assert sections == {
        "result", "stories", "way", "training", "reward", "judges", "next", "files", "method",
    }  # fmt: skip
    assert "simulated" in seen.text
    assert "None" not in seen.text
    assert "nan" not in seen.text.split()


def test_almost_nothing_is_a_page_too() -> None:
    seen = Page(render(bare()))
    assert [s.get("id") for s in seen.all("section")] == [None, "result"]
    assert "judged 1 pair:" in seen.text
    assert seen.all("svg") == []
    assert not re.search(r"\bNone\b|\bnan\b|not measured", seen.text)


def test_the_page_stands_alone(page: str) -> None:
    """Nothing is loaded and nothing runs, so it can be mailed, printed and opened anywhere."""
    seen = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {
        tag for tag, _ in seen.tags
    }
    for _, attrs in seen.tags:
        for name, value in attrs.items():
            assert not name.startswith("on"), name
            if name in {"src", "href", "xlink:href", "srcset", "action", "data"}:
                assert value.startswith("#"), value
    policy = [m for m in seen.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0]["content"].startswith("default-src 'none'")
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert len(style) == 1
    assert "@import" not in style[0]
    addresses = re.findall(r"(?:https?:)?//\w[^\s\"'<]*", page)
    assert addresses == []
    assert all(inside.startswith("#") for inside in re.findall(r"url\(([^)]*)\)", page))


def test_ids_are_single_and_what_points_finds(page: str) -> None:
    seen = Page(page)
    ids = [attrs["id"] for _, attrs in seen.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = [attrs["aria-labelledby"] for _, attrs in seen.tags if "aria-labelledby" in attrs]
    used = re.findall(r"(?:url\(|href=\")#([^\")]+)", page)
    assert set(named + used) <= set(ids)


def test_model_text_is_text() -> None:
    source = render(harsh())
    seen = Page(source)
    assert "<script" not in source
    assert source.count("49") == source.count("49", source.index("<style>"), source.index("</st"))
    assert seen.text.count("alert(1)") >= 8
    assert [m for _, m in seen.tags if "onerror" in m] == []
    assert "<mark>script</mark>" in source


def test_headings_go_down_one_level_at_a_time(page: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(page).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_pictures_are_told_in_words(full: str) -> None:
    seen = Page(full)
    pictures = [attrs for _, attrs in seen.tags if attrs.get("role") == "img"]
    assert len(pictures) == len(seen.all("svg")) + 1  # the bar of wins is made of boxes
    assert all(len(attrs["aria-label"]) > 40 for attrs in pictures)
    assert all(attrs.get("aria-hidden") == "true" for attrs in seen.all("svg"))
    found = report().outcome.wins
    bar = pictures[0]["aria-label"]
    assert bar.startswith(f"{found.wins} wins, {found.ties} ties, {found.losses} losses")
    assert seen.all("html")[0]["lang"] == "en"
    assert all(th.get("scope") in {"row", "col"} for th in seen.all("th"))


def colours(css: str, start: int = 0) -> dict[str, str]:
    block = css[css.index(":root {", start) :].split("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def light(colour: str) -> float:
    """Relative luminance, WCAG 2.1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read(full: str, dark: bool) -> None:
    """4.5 to 1 at least, in both colour schemes (WCAG 2.1, 1.4.3)."""
    found = colours(full)
    if dark:
        found |= colours(full, full.index("prefers-color-scheme"))
    grounds = {
        "paper": ("ink", "soft", "muted", "before", "after", "bad"),
        "raised": ("ink", "muted"),
        "after-soft": ("ink", "soft", "after"),
        "warn-soft": ("ink", "soft", "before"),
        "bad-soft": ("ink", "soft", "bad"),
    }
    for ground, texts in grounds.items():
        for text in texts:
            assert contrast(found[ground], found[text]) >= 4.5, (ground, text)


def test_each_tone_has_its_own_name_on_the_page() -> None:
    seen = {
        Page(render(Report(title="t", outcome=found))).text.split(" Small")[0]: tone
        for found, tone in (
            (outcome(0.79), "Improved"),
            (outcome(0.38), "No clear change"),
            (outcome(0.5, turn=0.5), "Over-optimised"),
            (outcome(0.79, kl_target=3.0), "Strayed far"),
        )
    }
    for text, tone in seen.items():
        assert f"report t {tone} " in text


def test_unmeasured_curves_are_named() -> None:
    rows = [{"step": i, "objective/scores": float(i)} for i in range(9)]
    text = Page(render(replace(report(), history=rows))).text
    assert "Not measured in this run: True rule, Distance from the start (KL), Length" in text
    empty = Page(render(replace(report(), history=[{"step": 0}])))
    assert "training-title" in [h.get("id") for h in empty.all("h2")]


def test_unjudged_pairs_are_shown() -> None:
    lost = answer(Invalid("asleep"))
    found = compare([answer(0.0)] * 3, [answer(1.0), lost, answer(1.0)])
    told = Report(title="t", outcome=found, stories=(Story(answer(0.0), lost),))
    seen = Page(render(told))
    assert "1 not judged" in seen.text
    assert "rule invalid" in seen.text
    assert "better by the rule" not in seen.text
    bar = next(attrs for _, attrs in seen.tags if attrs.get("role") == "img")
    assert bar["aria-label"].endswith("1 pair not judged")


def test_people_are_not_said_to_be_programs() -> None:
    people = (Judge("ada", None, 20, 1, None, 0.8),)
    text = Page(render(replace(report(), panel=people, notes=()))).text
    assert "simulated" not in text.lower()
    assert "coin" not in text


def ladder(*changes: float) -> tuple[list[Answer], list[Answer]]:
    prompts = [str(i) for i in range(len(changes))]
    before = [answer(5.0, prompt=p) for p in prompts]
    return before, [answer(5.0 + c, prompt=p) for p, c in zip(prompts, changes, strict=True)]


def test_answers_do_not_continue_a_beginning(full: str) -> None:
    assert "The same beginning, continued by the model as it was" in Page(full).text
    page = Page(render(report(subject=Subject()))).text
    assert "The same prompt, answered by the model as it was" in page
    assert "continued" not in page


def test_where_no_rule_is_known_none_is_named() -> None:
    story = Story(answer(-0.25, "a"), answer(0.5, "b"), "as it came")
    said = replace(report(stories=(story,)), subject=Subject(mark="score"))
    page = Page(render(said)).text
    assert "score −0.25" in page
    assert "better by the score" in page
    assert "better by the rule" not in page


def test_pick_shows_losses_too() -> None:
    found = pick(*ladder(1, 1, 0, 2, -1, 3, -4, 0), n=4)
    assert [(s.before.prompt, s.why) for s in found] == [
        ("0", "as it came"),
        ("1", "as it came"),
        ("5", "largest gain of the others"),
        ("6", "largest loss of the others"),
    ]


def test_pick_invents_neither_gain_nor_loss() -> None:
    assert [s.why for s in pick(*ladder(0, 0, 1, 2), n=3)][1:] == ["largest gain of the others"]
    assert [s.why for s in pick(*ladder(0, 0, -1, -2), n=3)][1:] == ["largest loss of the others"]
    assert [s.before.prompt for s in pick(*ladder(0, 0, 0), n=5)] == ["0", "1", "2"]
    before, after = ladder(1, 1, 1, 1)
    unjudged = [after[0], *(replace(a, true=Invalid("no")) for a in after[1:])]
    assert len(pick(before, unjudged, n=3)) == 1
    for n in (1, 2):
        assert len(pick(*ladder(1, 2, 3, -4), n=n)) == n


@pytest.mark.parametrize("text", ["a dog, a cat", "dog", "", "nothing here", "dogdog cat"])
def test_marking_loses_no_letter(text: str) -> None:
    pieces = marked(text, ANIMAL)
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, found in pieces if found] == ANIMAL.findall(text)
    assert "".join(p for p, _ in marked(text, re.compile("x*"))) == text


def test_it_is_written_whole_or_not_at_all(tmp_path: Path, full: str) -> None:
    path = write(report(), tmp_path / "deep" / "run")
    assert path == tmp_path / "deep" / "run" / "report.html"
    assert path.read_text(encoding="utf-8") == full
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match="report"):
        write(report(), tmp_path / "file")


def test_same_report_same_bytes(full: str) -> None:
    assert render(report(history=history(), subject=STORIES)) == full
