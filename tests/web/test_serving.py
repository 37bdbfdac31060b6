"""The command `serve`: what it refuses, whom it lets in, and how it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from accord.errors import BadSettings, CannotWrite
from accord.store.judgements import people, studies
from accord.store.judgements.opening import open_store
from accord.web import serving
from accord.web.serving import Serve
from processes import PROGRAM, served


def test_from_an_empty_folder_to_a_page_without_torch(tmp_path: Path) -> None:
    with served(tmp_path / "new") as (process, link, torch):
        assert torch == "False"
        assert (tmp_path / "new" / "accord.db").exists()
        with httpx.Client(headers={"accept": "text/html"}, timeout=20) as browser:
            entered = browser.get(link, follow_redirects=True)
            assert "Try it with sample pairs" in entered.text
            base = link.partition("/in/")[0]
            again = httpx.get(link, headers={"accept": "text/html"}, timeout=20)
            assert again.status_code == 403
            begun = browser.post(f"{base}/sample")
            assert begun.status_code == 303
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "down\n"
    store = open_store(tmp_path / "new")
    assert [row.items > 20 for row in studies.studies(store)] == [True]
    store.close()


def test_it_ends_at_once_while_a_stream_is_open(tmp_path: Path) -> None:
    """A generator that waits on `stop` ends when the signal comes; the process with it."""
    program = PROGRAM.replace("print(link", "streams()\n    print(link").replace(
        "def ready", STREAM + "\ndef ready"
    )
    src = str(Path(serving.__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": src},
    )
    try:
        assert process.stdout is not None
        base = process.stdout.readline().split()[0].partition("/in/")[0]
        begun = threading.Event()

        def listen() -> None:
            with contextlib.suppress(httpx.HTTPError), httpx.stream("GET", f"{base}/s") as stream:
                for _ in stream.iter_text():
                    begun.set()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        assert begun.wait(20)
        at = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert time.monotonic() - at < serving.GRACE_S
        thread.join(10)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


STREAM = """
from accord.web import serving
from starlette.responses import StreamingResponse

def streams():
    app = held[0]

    def lines():
        yield "here\\n"
        app.state.stop.wait()

    app.add_route("/s", lambda request: StreamingResponse(lines(), media_type="text/plain"))

held = []
build = serving.build
serving.build = lambda *given: held.append(build(*given)) or held[0]
"""


def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **given: Any) -> dict[str, Any]:
    """What `run` would serve, without serving it."""
    seen: dict[str, Any] = {}

    def serve(app: Any, room: socket.socket, link: str, ready: Any) -> None:
        told = {"host": room.getsockname()[0], "cfg": app.state.cfg, "workers": app.state.workers}
        seen.update(told, link=link, names=[one.name for one in people.users(app.state.store)])

    monkeypatch.setattr(serving, "_serve", serve)
    started = given.pop("started", None)
    serving.run(Serve(**{"where": str(tmp_path), "port": 0, **given}), started)
    return seen


def test_others_come_in_only_past_an_owner_with_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACCORD_PASSWORD", raising=False)
    for host in ("0.0.0.0", "::", "192.168.1.1"):
        with pytest.raises(BadSettings, match="no owner has a password yet"):
            quick(tmp_path, monkeypatch, host=host)
    store = open_store(tmp_path)
    people.set_password(store, people.users(store)[0].id, "correct horse")
    told = quick(tmp_path, monkeypatch, host="0.0.0.0")
    assert told["host"] == "0.0.0.0"
    assert "/in/" not in told["link"]  # no way past the password is printed
    people.set_role(store, people.add(store, "Zoe", "owner").id, "owner")
    people.close_account(store, people.users(store)[0].id)
    store.close()
    with pytest.raises(BadSettings, match="no owner has a password"):
        quick(tmp_path, monkeypatch, host="0.0.0.0")


def test_the_first_owner_and_their_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCORD_PASSWORD", "correct horse")
    told = quick(tmp_path, monkeypatch, owner="Ada", host="0.0.0.0")
    assert told["names"] == ["Ada"]
    store = open_store(tmp_path)
    assert people.login(store, "Ada", "correct horse") is not None
    monkeypatch.setenv("ACCORD_PASSWORD", "another password")
    quick(tmp_path, monkeypatch)
    assert people.login(store, "Ada", "another password") is None  # hers stays
    with pytest.raises(BadSettings, match="Bob is no owner of this store; there is Ada"):
        quick(tmp_path, monkeypatch, owner="Bob")
    store.close()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"host": "example.org"}, "is no address"),
        ({"where": "mysql://x/y"}, "SQLite or PostgreSQL"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], says: str
) -> None:
    with pytest.raises(BadSettings, match=says):
        quick(tmp_path, monkeypatch, **given)


def test_a_port_that_is_taken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotWrite, match=r"port=0 takes a free one"):
            quick(tmp_path, monkeypatch, port=port)


def test_the_other_settings_reach_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Workers:
        closed = False

        def close(self) -> None:
            self.closed = True

    made: list[Workers] = []

    def start() -> Workers:
        made.append(Workers())
        return made[-1]

    told = quick(
        tmp_path,
        monkeypatch,
        started=start,
        runs=Path("elsewhere"),
        hosts=("site.example.org",),
        url="https://site.example.org/",
        sample=True,
    )
    assert told["cfg"].runs == Path("elsewhere")
    assert "site.example.org" in told["cfg"].hosts
    assert told["cfg"].url == "https://site.example.org"
    assert told["cfg"].where == str(tmp_path)
    assert told["link"].startswith("https://site.example.org/in/")
    assert told["workers"] is made[0]
    assert made[0].closed
    assert quick(tmp_path, monkeypatch, started=start, workers=False)["workers"] is None
    store = open_store(tmp_path)
    assert len(studies.studies(store)) == 1
    store.close()


def test_a_browser_is_opened_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(serving.webbrowser, "open", lambda link: bool(opened.append(link)) or True)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(serving.sys, "platform", "linux")
    assert not serving.show("x")
    monkeypatch.setenv("DISPLAY", ":0")
    assert serving.show("x")
    assert opened == ["x"]


def test_the_site_never_brings_torch() -> None:
    src = str(Path(serving.__file__).parents[2])
    code = (
        "import sys, pkgutil, importlib, accord.web\n"
        "for one in pkgutil.walk_packages(accord.web.__path__, 'accord.web.'):\n"
        "    importlib.import_module(one.name)\n"
        "print(*({'torch', 'transformers', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": src}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
