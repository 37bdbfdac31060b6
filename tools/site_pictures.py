"""Takes the pictures of docs/site.md: every page, light beside dark, and some as on a phone.

    python tools/site_pictures.py RUNS

RUNS is a folder of training runs, for the pages that show them.  The people are simulated: programs
that prefer the longer story, three times out of four.
"""

import contextlib
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from accord.store.judgements import acts, leases, people, studies
from accord.store.judgements.forms import Act, StudyConfig, Task
from accord.store.judgements.opening import Store, open_store
from accord.web import home, security
from accord.web.app import SiteConfig, build

OUT = Path(__file__).resolve().parents[1] / "docs" / "site"
SCREEN, PHONE = (1280, 860), (390, 844)
PEOPLE = ("Maria", "Kofi", "Yuki", "Ines", "Tom")
PAGES = {
    "home": "/",
    "judge": "/studies/1/judge",
    "rank": "/studies/2/judge",
    "rate": "/studies/3/judge",
    "rewrite": "/studies/4/judge",
    "progress": "/studies/1/progress",
    "adjudicate": "/studies/1/adjudicate",
    "study": "/studies/new",
    "set-up": "/studies/1",
    "members": "/studies/1/people",
    "export": "/studies/1/export",
    "people": "/people",
    "person": "/people/2",
    "account": "/account",
    "log": "/log",
    "runs": "/runs",
    "run": "/runs/ppo",
    "models": "/models",
    "compare": "/compare",
    "leaderboard": "/leaderboard",
    "lineage": "/lineage",
}
SMALL = ("home", "judge", "rate", "run")


def fill(store: Store) -> str:
    """Studies, people and what they said; a login of the owner."""
    owner = people.add(store, "Ada", "owner", password="for the pictures")
    first = home.add_sample(store, owner)
    config = studies.config_of(studies.study(store, first))
    verdicts = ("tie", "both_bad", "strength")
    config = config.model_copy(update={"overlap": 3, "verdicts": verdicts})
    studies.revise(store, first, config, by=owner.id)
    items = home.sample_items()
    for kind in ("rank", "rate", "rewrite"):
        made = studies.create(store, f"Stories: {kind}", kind, StudyConfig(), by=owner.id)
        few = [one if kind != "rewrite" else _single(one) for one in items]
        studies.add_items(store, made.id, few, by=owner.id)
    lot = random.Random(0)
    rivals = studies.create(store, "Before and after", "pairwise", StudyConfig(overlap=3), owner.id)
    both = [replace(one, models=("before", "after")) for one in items]
    studies.add_items(store, rivals.id, both, by=owner.id)
    for name in PEOPLE:
        user = people.add(store, name, "manager" if name == "Ines" else "annotator")
        for study in [first] * 18 + [rivals.id] * 12:
            task = leases.next_task(store, study, user.id)
            if task is not None:
                acts.submit(store, user.id, _act(task, lot))
    people.invite(store, "annotator", uses=20, note="the reading group", by=owner.id)
    token = people.use_link(store, people.one_time_link(store, owner.id), "Firefox/ on Linux")
    assert token is not None
    return token


def _single(item: Any) -> Any:
    return replace(item, answers=item.answers[:1], models=item.models[:1])


def _act(task: Task, lot: random.Random) -> Act:
    sizes = [len(one.text) for one in task.answers]
    better = sizes.index(max(sizes))
    if lot.random() < 0.25:
        better = 1 - better
    ranks = (0, 0) if lot.random() < 0.1 else (better, 1 - better)
    taken = int(lot.lognormvariate(9.2, 0.5))
    reason = lot.choice(("", "", "", "it ends well", "more happens in it"))
    strength = lot.choice((1, 2, 3)) if "strength" in task.config.verdicts else None
    return Act(
        task.lease_id,
        task.key,
        ranks=ranks,
        reason=reason,
        strength=strength if ranks != (0, 0) else None,
        ms_total=taken,
        ms_visible=taken,
        ms_first=taken // 2,
    )


@contextlib.contextmanager
def listening(app: Any) -> Iterator[str]:
    """The address of the site, until the end."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        app.state.stop.set()
        server.should_exit = True
        thread.join(10)


def shot(browser: Any, url: str, path: str, token: str, theme: str, size: tuple[int, int]) -> Any:
    """One page as an image."""
    view = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=view, color_scheme=theme, reduced_motion="reduce")
    context.add_cookies([{"name": security.COOKIE, "value": token, "url": url}])
    page = context.new_page()
    answer = page.goto(url + path)
    assert answer is not None
    assert answer.status == 200, (path, answer.status)
    page.wait_for_timeout(1200)
    made = Image.open(BytesIO(page.screenshot())).convert("RGB")
    context.close()
    return made


def beside(left: Any, right: Any, height: int, out: Path) -> None:
    """Two images side by side, with few colours: a picture for a page."""
    both = [one.resize((round(one.width * height / one.height), height)) for one in (left, right)]
    sheet = Image.new("RGB", (both[0].width + both[1].width, height))
    sheet.paste(both[0], (0, 0))
    sheet.paste(both[1], (both[0].width, 0))
    sheet.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        out, optimize=True
    )


def main() -> None:
    """All of them."""
    runs = Path(sys.argv[1]).resolve()
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("runs").symlink_to(runs)
        store = open_store("accord.db")
        token = fill(store)
        with listening(build(store, SiteConfig(url=""))) as url, sync_playwright() as play:
            chromium = shutil.which("chromium") or shutil.which("chromium-browser")
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for name, path in PAGES.items():
                if len(sys.argv) > 2 and name not in sys.argv[2:]:
                    continue
                two = [shot(browser, url, path, token, one, SCREEN) for one in ("light", "dark")]
                beside(two[0], two[1], 600, OUT / f"{name}.png")
                if name in SMALL:
                    two = [shot(browser, url, path, token, one, PHONE) for one in ("light", "dark")]
                    beside(two[0], two[1], 720, OUT / f"{name}-phone.png")
                print(name, flush=True)
            browser.close()
        store.close()
        os.chdir("/")


if __name__ == "__main__":
    main()
