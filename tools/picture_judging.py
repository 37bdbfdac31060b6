"""Pictures of the judging pages for the docs: PYTHONPATH=src:tests python tools/picture_judging.py

Needs chromium.  Every page is drawn in a store of its own, with made-up people and answers.
"""

import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import select

from accord.store.judgements import acts, leases, studies
from accord.store.judgements.forms import Act, Kind, NewItem, Quiz, StudyConfig, Talk
from accord.store.judgements.pictures import home
from accord.store.judgements.tables import Judgement
from accord.web.models_known import register
from accord.worlds.scenes.captions import captions, facts
from accord.worlds.scenes.drawing import draw as draw_scene
from accord.worlds.scenes.mistakes import mistaken
from accord.worlds.scenes.things import scene
from browser_fakes import browser, visiting
from judge_fakes import Site, site
from talk_fakes import answering

GOOD = """Learning to juggle is mostly about **rhythm**. Here is a way to begin:

1. Take *one* ball and throw it from hand to hand, to the height of your eyes.
2. When that is boring, take two. Throw the second when the first is at its highest.
3. Only then add the third.

Do not walk forward while you throw. Ten minutes a day are better than an hour on Sunday."""
FAIR = """Just buy three balls and throw them. It takes practice, so take ten minutes a day.

First throw one ball from hand to hand, to the height of your eyes. When that is easy, take two. \
Throw the second when the first is at its highest. Most people need two weeks until the third \
ball stays in the air, so be patient with your hands."""
POOR = "No. It is too late."
SHORT = "Begin with scarves: they fall slowly, and your eyes have time. Change to balls later."
ASK = (
    "I have always wanted to learn to juggle. My hands are slow, and I am forty-five. "
    "Is it too late, and how do I begin?"
)
RULES = (
    "**Helpful** first: does it do what was asked?\n\n- Honest: no invented facts.\n"
    "- A longer answer is *not* a better one."
)
SIZES = {"light": (1280, 800), "dark": (1280, 800), "phone": (390, 844)}
PAGES = (
    ("pair", "judge", "", ("light", "dark", "phone")),
    ("differences", "judge", "v v", ("light",)),
    ("rank", "judge", "2 4 1 3", ("light",)),
    ("rate", "judge", "6 5 7 3", ("light",)),
    ("rewrite", "judge", "", ("light",)),
    ("chat", "judge", "", ("light", "dark", "phone")),
    ("shown", "judge", "", ("light", "dark", "phone")),
    ("keys", "judge", "?", ("light",)),
    ("quiz", "judge", "1", ("light", "dark", "phone")),
    ("facts", "judge", "", ("light", "dark", "phone")),
    ("adjudicate", "adjudicate", "", ("light",)),
    ("progress", "progress", "", ("light", "dark")),
)


def make(here: Site, name: str, kind: Kind, texts: tuple[str, ...], **config: Any) -> int:
    """A study of forty prompts."""
    made = studies.create(here.store, name, kind, StudyConfig(guidelines=RULES, **config))
    asked = ([{"role": "user", "content": ASK + " " * number}] for number in range(40))
    items = [NewItem(one, texts[:: (-1) ** place]) for place, one in enumerate(asked) if texts]
    studies.add_items(here.store, made.id, items)
    return made.id


def judged(here: Site, study: int) -> None:
    """Four people, one of whom looks at the left answer first of all."""
    lot = random.Random(1)
    crowd = (("Ana", 0.95, 0.0), ("Bo", 0.9, 0.0), ("Chen", 0.8, 0.6), ("Dila", 0.95, 0.0))
    for name, skill, left in crowd * 20:
        user = here.user(name, "annotator")
        task = leases.next_task(here.store, study, user.id)
        if task is None:
            continue
        good = next(one.place for one in task.answers if one.text == GOOD)
        pick = good if lot.random() < skill else 1 - good
        pick = 0 if lot.random() < left else pick
        act = Act(
            task.lease_id,
            task.key,
            ranks=(0, 0) if lot.random() > 0.95 else (pick, 1 - pick),
            ms_total=int(lot.lognormvariate(9.2, 0.6)),
            reason="It says how to begin." if lot.random() > 0.6 else "",
        )
        acts.submit(here.store, user.id, act)
    with here.store.write() as session:  # over two weeks, as people do it
        for one in session.scalars(select(Judgement)):
            one.created -= timedelta(days=int(lot.triangular(0, 13, 4)))


def quizzed(here: Site, verdicts: tuple[Any, ...]) -> int:
    """A study that begins with known items."""
    study = make(
        here, "Begin here", "pairwise", (GOOD, FAIR), verdicts=verdicts, quiz=Quiz(items=5)
    )
    why = "The other one does not say how to begin."
    known = [
        NewItem([{"role": "user", "content": ASK + "." * n}], (GOOD, POOR), gold=gold)
        for n in range(1, 11)
        for gold in [{"ranks": [0, 1], "why": why}]
    ]
    studies.add_items(here.store, study, known)
    return study


def known(here: Site) -> int:
    """A study of a picture of which the truth is known."""
    drawn = scene(seed=0, index=3)
    folder = home(here.store)
    folder.mkdir(parents=True, exist_ok=True)
    draw_scene(drawn, side=256).save(folder / "scene.png")
    parts = [{"type": "image", "path": "scene.png"}, {"type": "text", "text": "What is there?"}]
    parts += [{"type": "fact", "text": fact} for fact in facts(drawn)]
    wrong = mistaken(drawn, random.Random(0))
    texts = (captions(drawn, n=1)[0], captions(wrong, n=1)[0])
    made = studies.create(
        here.store, "What is in the picture", "pairwise",
        StudyConfig(question="Which answer says what is there?"),
    )  # fmt: skip
    studies.add_items(here.store, made.id, [NewItem([{"role": "user", "content": parts}], texts)])
    return made.id


def places(here: Site) -> Iterator[tuple[str, int]]:
    """Each picture's study."""
    both: tuple[Any, ...] = ("tie", "both_bad")
    done = make(here, "Helpful answers, March", "pairwise", (GOOD, FAIR), verdicts=both, overlap=2)
    judged(here, done)
    pair = make(here, "Helpful answers, April", "pairwise", (GOOD, FAIR), verdicts=both)
    yield from dict.fromkeys(("adjudicate", "progress"), done).items()
    yield from dict.fromkeys(("pair", "differences", "keys"), pair).items()
    yield "quiz", quizzed(here, both)
    yield "facts", known(here)
    yield (
        "shown",
        make(
            here,
            "Show them something",
            "chat",
            (),
            talk=Talk(models=("gull", "tern"), pictures=True),
        ),
    )
    yield "rank", make(here, "Four answers", "rank", (GOOD, FAIR, POOR, SHORT), verdicts=both)
    yield "rate", make(here, "Three axes", "rate", (GOOD, FAIR))
    yield "rewrite", make(here, "As it should have been", "rewrite", (SHORT,))
    yield (
        "chat",
        make(here, "Talk to both", "chat", (), talk=Talk(models=("gull", "tern")), verdicts=both),
    )


def draw(page: Any, name: str, keys: str) -> None:
    """Brings a page to where it is worth a picture."""
    page.wait_for_timeout(200)
    if name == "rewrite":
        page.locator("#rewrite").fill(
            SHORT.replace("scarves", "thin scarves").replace(" later", "")
        )
    if name == "chat" and page.locator("#talk-text").count():
        page.locator("#talk-text").fill(ASK)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="A is better").wait_for()
    if name == "shown":
        into = BytesIO()
        draw_scene(scene(seed=0, index=3), side=256).save(into, "PNG")
        file = {"name": "scene.png", "mimeType": "image/png", "buffer": into.getvalue()}
        page.locator("#talk-picture").set_input_files(file)
        page.locator(".talk-shown").wait_for()
        page.locator("#talk-text").fill("What is in this picture?")
    for key in keys.split():
        page.keyboard.press(key)
    page.wait_for_timeout(300 if name in ("keys", "quiz", "facts", "shown") else 5000)


def main(folder: Path) -> None:
    """All pictures into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    here = site(Path(tempfile.mkdtemp()))
    with answering() as server, browser() as chromium:
        server.answers = {"gull": GOOD, "tern": FAIR}
        for name in server.answers:
            register(here.store, name, server.url, name)
        where = dict(places(here))
        for name, page, keys, modes in PAGES:
            for mode in modes:
                width, height = SIZES[mode]
                size = {"viewport": {"width": width, "height": height}}
                scheme = "dark" if mode == "dark" else "light"
                who = (f"Eve {mode}", "annotator") if name == "quiz" else ("maria", "owner")
                with visiting(chromium, here, who, color_scheme=scheme, **size) as visit:
                    here.app.state.stop.clear()
                    visit.go(f"/studies/{where[name]}/{page}")
                    visit.page.evaluate("localStorage.clear()")
                    visit.page.reload()
                    visit.page.evaluate(
                        "document.querySelector('#guidelines')?.removeAttribute('open')"
                    )
                    draw(visit.page, name, keys)
                    path = folder / f"judge-{name}-{mode}.png"
                    visit.page.screenshot(
                        path=path, full_page=name == "progress" and mode != "phone"
                    )
                    Image.open(path).quantize(128, dither=Image.Dither.NONE).save(
                        path, optimize=True
                    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/site"))
