"""The verb `endpoint`: its settings, and what it says where it cannot begin."""

import asyncio
import socket

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.errors import BadSettings, CannotWrite
from accord.serve import endpoint
from accord.serve.endpoint import KEY, Endpoint, listen
from served import chat_folder


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)


def test_names_of_models():
    assert Endpoint(model="a/b").named() == {"a/b": "a/b"}
    assert Endpoint(model="a/b", name="x").named() == {"x": "a/b"}
    several = Endpoint(models=("before=a/b", "after=c=d"))
    assert several.named() == {"before": "a/b", "after": "c=d"}


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({}, "give model="),
        ({"model": "a", "models": ("b=c",)}, "give model="),
        ({"models": ("b=c",), "name": "x"}, "name= goes with model="),
        ({"models": ("bc",)}, "each is NAME=FOLDER"),
        ({"models": ("=c",)}, "each is NAME=FOLDER"),
        ({"models": ("b=c", "b=d")}, "stands there twice"),
    ],
)
def test_names_that_are_none(told, says):
    with pytest.raises(BadSettings, match=says):
        Endpoint(**told).named()


@pytest.mark.parametrize(
    ("host", "private"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_whom_others_can_reach_wants_a_key(monkeypatch, host, private):
    assert Endpoint(model="m", host=host).private == private
    if private:
        assert Endpoint(model="m", host=host).key() is None
    else:
        with pytest.raises(BadSettings, match="can be reached by others: give api_key="):
            Endpoint(model="m", host=host).key()
    assert Endpoint(model="m", host=host, api_key="k").key() == "k"
    monkeypatch.setenv(KEY, "from outside")
    assert Endpoint(model="m", host=host).key() == "from outside"
    assert Endpoint(model="m", host=host, api_key="k").key() == "k"


def test_a_host_is_an_address():
    with pytest.raises(BadSettings, match="is no address"):
        Endpoint(model="m", host="example").key()


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CannotWrite, match="cannot be had"):
            listen("127.0.0.1", taken.getsockname()[1])
    free = listen("127.0.0.1", 0)
    assert free.getsockname()[1] > 0
    free.close()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "give model="),
        (("model=m", "port=70000"), 2, "port"),
        (("model=m", "host=0.0.0.0"), 2, "give api_key="),
        (("model=nowhere/at/all", "port=0"), 4, "no such folder"),
        (("model=@", "port=0", "context=513"), 2, "reads at most 512"),
    ],
)
def test_a_mistake_is_a_sentence(words, code, says, tmp_path):
    if "model=@" in words:
        chat_folder(tmp_path / "m")
    words = [word.replace("@", str(tmp_path / "m")) for word in words]
    done = CliRunner().invoke(cli.app, ["endpoint", *words])
    assert done.exit_code == code, done.stderr
    assert says in done.stderr


def test_every_setting_reaches_the_model_or_the_server(tmp_path, monkeypatch):
    folder = chat_folder(tmp_path / "m")
    seen: dict = {}

    def run(server, sockets):
        seen.update(
            lineup=server.lineup,
            idle=server.idle,
            config=server.config,
            port=sockets[0].getsockname()[1],
        )
        monkeypatch.setattr(seen["config"], "app", None)

    monkeypatch.setattr(endpoint.Server, "run", run)
    built: dict = {}

    def build(lineup, key, hosts):
        built.update(key=key, hosts=hosts)

    monkeypatch.setattr("accord.serve.app.build", build)

    def start(**told) -> None:
        cfg = Endpoint(model=str(folder), port=0, **told)
        endpoint.serve(cfg, cfg.named(), cfg.key(), door, lambda said: None)

    with listen("127.0.0.1", 0) as door:
        start()
        plain = seen["lineup"].engines[str(folder)]
        assert (plain.stream.room, plain.waiting, plain.longest) == (512, 256, None)
        assert seen["idle"] is None
        assert built["key"] is None
        assert "localhost" in built["hosts"]
        start(slots=3, queue=7, context=100, longest=9, idle=5, hosts=("box",), name="n")
        other = seen["lineup"].engines["n"]
        assert (other.stream.slots, other.stream.room) == (3, 100)
        assert (other.waiting, other.longest, seen["idle"]) == (7, 9, 5)
        assert "box" in built["hosts"]
        start(dtype="bf16", template="turns", api_key="k")
        third = seen["lineup"].engines[str(folder)]
        assert str(third.policy.model.trunk.model.dtype) == "torch.bfloat16"
        assert third.policy.speller.fingerprint != plain.policy.speller.fingerprint
        assert built == {"key": "k", "hosts": None}


def test_an_idle_server_ends_and_a_busy_one_does_not():
    class Lineup:
        touched, load = 0.0, 0

    async def ends(load: int, idle: float | None) -> bool:
        config = endpoint.uvicorn.Config("x:y", ws="none")
        server = endpoint.Server(config, Lineup(), idle)
        server.lineup.load = load
        return await server.on_tick(1)

    assert asyncio.run(ends(0, 1.0))
    assert not asyncio.run(ends(2, 1.0))
    assert not asyncio.run(ends(0, None))
