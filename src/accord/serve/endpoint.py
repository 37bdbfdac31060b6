"""The verb `endpoint`: models behind the OpenAI protocol, in a process of their own."""

import ipaddress
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any, Literal

import uvicorn
from pydantic import Field

from accord.config import Settings
from accord.config.limits import Above0, Count
from accord.errors import BadSettings, CannotWrite

KEY = "ACCORD_API_KEY"
"""environment: the key, where it should not stand in a list of processes"""
GRACE_S = 3
"""seconds for connections to end"""
TICK_S = 0.1


class Endpoint(Settings):
    """An OpenAI-compatible endpoint of one model, or several."""

    model: str | None = None
    """a folder (Hugging Face, or PEFT adapter), a GGUF file or a hub id"""
    name: str | None = None
    """what clients call it; none: as `model` is written"""
    models: tuple[str, ...] = ()
    """or several, each name=folder, comma-separated: before=path/to/a,after=path/to/b"""
    host: str = "127.0.0.1"
    """the address to listen at; any but this machine's own wants a key"""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0: one that is free"""
    api_key: str | None = None
    """what clients must send; none: what ACCORD_API_KEY says, or nothing is asked for"""
    hosts: tuple[str, ...] = ()
    """names the endpoint goes by, beside localhost and its address, where there is no key"""
    slots: Count | None = None
    """answers of a model that are written at once; none: as many as there is memory for"""
    queue: Annotated[int, Field(ge=0)] = 256
    """answers of a model that may wait for a slot; beyond, clients are told to come again"""
    context: Count | None = None
    """the most tokens of a prompt with its answer; none: the model's own limit, at most 4096"""
    longest: Count | None = None
    """the most tokens of any answer; none: what the context leaves"""
    dtype: Literal["fp32", "bf16", "int8", "int4"] = "fp32"
    """precision of matrix products; int8 and int4: quantised weights"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled; auto: the model's own chat template, or plain without one"""
    idle: Above0 | None = None
    """seconds without a request after which it ends; none: never"""
    attached: bool = False
    """end when standard input does: for a program that starts it"""

    def named(self) -> dict[str, str]:
        """Names and folders of the models; BadSettings where there is none, or one twice."""
        if (self.model is None) == (not self.models):
            raise BadSettings("give model=FOLDER, or models=NAME=FOLDER,NAME=FOLDER")
        if self.model is not None:
            return {self.name or self.model: self.model}
        if self.name is not None:
            raise BadSettings("name= goes with model=; models= say their own")
        pairs = [one.partition("=") for one in self.models]
        if any(not name or not folder for name, _, folder in pairs):
            raise BadSettings(f"models={','.join(self.models)}: each is NAME=FOLDER")
        if len(named := {name: folder for name, _, folder in pairs}) < len(pairs):
            raise BadSettings(f"models={','.join(self.models)}: a name stands there twice")
        return named

    def key(self) -> str | None:
        """What clients must have; BadSettings where others could come in without one."""
        key = self.api_key or os.environ.get(KEY) or None
        if key is None and not self.private:
            raise BadSettings(
                f"host={self.host} can be reached by others: give api_key=…, or {KEY} in the "
                "environment"
            )
        return key

    @property
    def private(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            raise BadSettings(
                f"host={self.host} is no address; 127.0.0.1 is this machine alone, 0.0.0.0 is all"
            ) from None


class Server(uvicorn.Server):
    """Ends answers when it is told to end, tells when it is up, and ends by itself when idle."""

    def __init__(self, config: uvicorn.Config, lineup: Any, idle: float | None):
        super().__init__(config)
        self.lineup, self.idle = lineup, idle
        self.ready: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """And say so."""
        await super().startup(sockets)
        self.ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came: nothing is waited for that would never end."""
        self.end()

    def end(self) -> None:
        """From any thread."""
        self.should_exit = True
        threading.Thread(target=self.lineup.close, daemon=True).start()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        quiet = time.monotonic() - self.lineup.touched
        if self.idle is not None and quiet > self.idle and not self.lineup.load:
            return True
        return await super().on_tick(counter)


def run(desk: Any, cfg: Endpoint) -> None:
    """accord endpoint: serve until a signal."""
    named, key = cfg.named(), cfg.key()
    door = listen(cfg.host, cfg.port)  # before the models: a taken port costs no minute
    with door:
        serve(cfg, named, key, door, desk.tell)


def serve(
    cfg: Endpoint,
    named: dict[str, str],
    key: str | None,
    door: socket.socket,
    tell: Callable[[str], None],
) -> None:
    """Open the models, then the door."""
    from accord.serve.app import Lineup, build

    lineup = Lineup([engine(cfg, name, folder) for name, folder in named.items()])
    port = door.getsockname()[1]
    url = f"http://{f'[{cfg.host}]' if ':' in cfg.host else cfg.host}:{port}/v1"
    hosts = (cfg.host, f"[{cfg.host}]", "localhost", "127.0.0.1", "[::1]", *cfg.hosts)
    app = build(lineup, key, None if key else hosts)
    config = uvicorn.Config(
        app, log_level="warning", timeout_graceful_shutdown=GRACE_S, ws="none", server_header=False
    )
    server = Server(config, lineup, cfg.idle)

    def ready() -> None:
        print(url, flush=True)
        for one in lineup.engines.values():
            tell(f"{one.name}: {one.stream.slots} answers at once, {one.stream.room} tokens each")
        tell("Ctrl+C ends it" if key else "no key is asked for; Ctrl+C ends it")

    server.ready = ready
    if cfg.attached:
        threading.Thread(target=_until_alone, args=(server,), daemon=True).start()
    try:
        server.run(sockets=[door])
    finally:
        lineup.close()


def engine(cfg: Endpoint, name: str, folder: str) -> Any:
    """One model, opened; BadSettings where it cannot be as large as was asked."""
    from accord.engine.roles import Policy
    from accord.serve.engine import Engine

    policy = Policy.open(folder, dtype=cfg.dtype, template=cfg.template)
    return Engine(
        name,
        policy,
        slots=cfg.slots,
        room=cfg.context,
        waiting=cfg.queue,
        longest=cfg.longest,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound, not yet answered at; CannotWrite where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
    except OSError as error:
        door.close()
        raise CannotWrite(f"port {port} of {host} cannot be had ({error}): try port=0") from None
    return door


def _until_alone(server: Server) -> None:
    sys.stdin.buffer.read()
    server.end()
