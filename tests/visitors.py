"""Somebody with a browser: reads the judging pages and sends their forms, over HTTP."""

import html
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from accord.store.judgements import people
from accord.store.judgements.opening import Store
from accord.web.beside import beside

LONGEST_S = 180
IN_PLACE = {"x-part": "1"}
"""as the page's script asks: the next item comes with the answer"""
PLAIN = re.compile(r'<div class="plain as-plain"[^>]*>(.*?)</div>', re.DOTALL)


class Visitor:
    """Comes in by a link, and judges what the pages show by its text alone."""

    def __init__(self, link: str, like: Callable[[str], float], lean: float = 0.0):
        self.like, self.lean, self.count = like, lean, 0
        root = re.match(r"https?://[^/]+", link)
        assert root is not None
        self.http = httpx.Client(base_url=root[0], follow_redirects=True, timeout=30)
        came = self.http.get(link)
        assert came.status_code == 200, came.text[:200]

    def judge(self, study_id: int, most: int = 1000) -> int:
        """Pairs, one page after the other, until there are no more; how many."""
        address = f"/studies/{study_id}/judge"
        page = self.http.get(address)
        done = 0
        while done < most and (form := read(page.text)) is not None:
            first, second = (self.like(text) for text in form["texts"])
            first += self.lean  # towards what stands left
            said = "tie" if first == second else "first" if first > second else "second"
            fields = {"lease": form["lease"], "key": form["key"], "answers": "2"}
            sent = {**fields, "verdict": said, "ms_total": "4000", "ms_visible": "3900"}
            page = self.http.post(address, data=sent, headers=IN_PLACE)
            assert page.status_code == 200, page.text[:300]
            done += 1
        self.count += done
        return done

    def close(self) -> None:
        """Away."""
        self.http.close()


def read(page: str) -> dict[str, Any] | None:
    """Lease, key and the texts of the answers on a page; None where nothing is left to judge."""
    lease = re.search(r'name="lease" value="(\d+)"', page)
    key = re.search(r'name="key" value="([^"]+)"', page)
    if lease is None or key is None:
        return None
    texts = [html.unescape(text) for text in PLAIN.findall(page)]
    return {"lease": lease[1], "key": key[1], "texts": texts[-2:]}


@dataclass(frozen=True)
class Person:
    """How a simulated annotator judges."""

    like: Callable[[str], float]
    """what a text is worth to them, each time anew"""
    lean: float = 0.0
    """what standing on the left is worth to them"""


@contextmanager
def crowd(
    store: Store, study_id: int, persons: Mapping[str, Person], runs: Path
) -> Iterator[httpx.Client]:
    """A site on which annotators of these names judge a study to its end, at once, each in a
    browser of their own; and then the browser of its owner.
    """
    owner = people.add(store, "owner", "owner")
    users = {name: people.add(store, name, "annotator").id for name in persons}
    with beside(store, owner, runs) as door:
        root = door.partition("/in/")[0]

        def work(name: str) -> None:
            link, one = people.one_time_link(store, users[name]), persons[name]
            visitor = Visitor(f"{root}/in/{link}", one.like, one.lean)
            visitor.judge(study_id)
            visitor.close()

        with ThreadPoolExecutor(len(persons)) as pool:
            for job in [pool.submit(work, name) for name in persons]:
                job.result()
        with httpx.Client(base_url=root, follow_redirects=True, timeout=30) as browser:
            browser.headers["accept"] = "text/html"
            assert browser.get(door).status_code == 200
            yield browser


class Waiting(threading.Thread):
    """Waits until a command prints a link, then comes in and judges."""

    def __init__(self, said: list[str], like: Callable[[str], float], study_id: int = 1):
        super().__init__(daemon=True)
        self.said, self.like, self.study_id = said, like, study_id
        self.stop = threading.Event()
        self.wrong: BaseException | None = None
        self.gone: httpx.HTTPError | None = None

    def run(self) -> None:
        try:
            while not self.stop.wait(0.02):
                links = [m for line in self.said if (m := re.search(r"http://\S+/in/\S+", line))]
                if links:
                    visitor = Visitor(links[0][0], self.like)
                    visitor.judge(self.study_id)
                    visitor.close()
                    return
        except httpx.HTTPError as error:  # the site closed when it had enough, if it did
            self.gone = error
        except BaseException as error:
            self.wrong = error
            raise

    def __enter__(self) -> "Waiting":
        signal.signal(signal.SIGALRM, self.late)
        signal.alarm(LONGEST_S)
        self.start()
        return self

    def late(self, *_: object) -> None:
        """Who waits for a person that does not come would wait forever."""
        raise TimeoutError(f"{LONGEST_S} s, and still waited for: {self.wrong or self.gone!r}")

    def __exit__(self, *_: object) -> None:
        signal.alarm(0)
        self.stop.set()
        self.join(30)
        assert self.wrong is None
