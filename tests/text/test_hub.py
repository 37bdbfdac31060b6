"""Hub ids: one look whether the hub is there, then the cache; and never a wait in the dark."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from accord.engine.roles import Policy
from accord.errors import BadModel
from accord.text import hub
from tiny import folder as model_folder
from tongues import folder as text_folder

NAME = "nobody/tale"
REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """A server that answers every question in one way, and remembers the questions."""

    def __init__(self, status: int, headers: dict[str, str] | None = None):
        self.asked: list[str] = []
        asked = self.asked

        class Answer(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                asked.append(f"{self.command} {self.path}")
                self.send_response(status)
                for key, value in (headers or {}).items():
                    self.send_header(key, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD

            def log_message(self, *told: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def at(monkeypatch, url: str) -> None:
    """The hub lies there."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty cache, and the hub's own settings as if nobody had set any."""
    hub._snapshot.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    at(monkeypatch, "http://127.0.0.1:9")  # nobody listens there
    yield tmp_path / "hub"
    hub._snapshot.cache_clear()


def stored(cache: Path) -> Path:
    """A whole model in the cache, as a download leaves it."""
    home = cache / f"models--{NAME.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(REVISION)
    place = home / "snapshots" / REVISION
    model_folder(place, vocab_size=500)
    told = json.loads((place / "config.json").read_text())
    return text_folder(place, config=told)


def test_what_is_a_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    assert hub.is_hub_id("owner/name-1.5_b")
    for word in ("gpt2", "./owner/name", "/owner/name", "a/b/c", "models/typo", Path("owner/name")):
        assert not hub.is_hub_id(word)
        assert hub.folder(word) == Path(word)


@pytest.mark.parametrize("offline", [True, False])
def test_a_cached_model_opens_without_the_hub(cache, monkeypatch, capfd, offline):
    place = stored(cache)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    assert hub.folder(NAME) == place
    capfd.readouterr()
    policy = Policy.open(NAME)
    assert policy.model.trunk.source == NAME, "what an adapter will name as its base"
    assert len(policy.sample([(5, 6)], longest=3, seed=0)[0].response_ids) > 0
    assert "etry" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("offline", "said"),
    [
        (True, "not in the cache of downloaded models, and HF_HUB_OFFLINE is set"),
        (False, r"not in the cache.*the hub cannot be reached \(ConnectError\)"),
    ],
)
def test_an_unknown_model_without_the_hub(cache, monkeypatch, capfd, offline, said):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    for opens in (Policy.open, hub.folder):
        with pytest.raises(BadModel, match=said) as caught:
            opens(NAME)
        assert str(caught.value).startswith(NAME)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (404, {"X-Error-Code": "RepoNotFound"}, r"no such model.*error 404"),
        (401, {"X-Error-Code": "RepoNotFound"}, r"no such model, or not for you \(error 401"),
        (403, {"X-Error-Code": "GatedRepo"}, r"not for you \(error 403\).*hf auth login"),
        (503, {}, "not in the cache.*the hub answers with error 503"),
    ],
)
def test_the_hub_is_asked_once(cache, monkeypatch, capfd, status, headers, said):
    there = Hub(status, headers)
    at(monkeypatch, there.url)
    with pytest.raises(BadModel, match=said):
        hub.folder(NAME)
    there.close()
    assert there.asked == [f"HEAD /{NAME}/resolve/main/config.json"]
    assert capfd.readouterr().err == ""


def test_a_hub_that_ails_leaves_the_cache(cache, monkeypatch):
    place, there = stored(cache), Hub(500)
    at(monkeypatch, there.url)
    assert hub.folder(NAME) == place
    assert hub.folder(NAME) == place
    there.close()
    assert len(there.asked) == 1, "for the length of a process an id stays what it was"
