"""Who waits, who leaves, and what breaks."""

import asyncio
import json
import socket
import subprocess
import sys
import time

import httpx
import openai
import pytest

from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.errors import BadSettings
from accord.serve.engine import Engine, Order
from accord.serve.wrong import Wrong
from served import KEY, Served, chat_folder, serving

LONG = {"model": "m", "prompt": "there", "max_tokens": 480, "temperature": 1.5}


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> Policy:
    policy = Policy.open(chat_folder(tmp_path_factory.mktemp("m")))
    policy.speller.ends = frozenset({1 << 30})  # answers go on until they are stopped
    return policy


@pytest.fixture
def there(policy):
    with serving([Engine("m", policy, slots=4, waiting=6)]) as one:
        yield one


def ids(policy) -> tuple[int, ...]:
    return policy.speller.opening("there")


async def heard(engine: Engine, order: Order) -> list:
    line = engine.ask(order)
    try:
        return [piece async for piece in line.pieces()]
    finally:
        line.close()


def begun(there: Served, count: int = 1) -> None:
    """Until so many answers are being written."""
    until = time.monotonic() + 10
    while there.engine.stream.seats.active < count:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_stream_that_is_closed_frees_its_seat(there):
    with there.client.completions.create(**LONG, stream=True, n=4) as stream:
        next(iter(stream))
        begun(there, 4)
        assert there.lineup.load == 4
    assert there.rested(5)
    assert there.engine.stream.seats.active == 0
    assert there.post("completions", LONG | {"max_tokens": 3}).status_code == 200


def test_a_client_that_waits_for_the_whole_and_hangs_up_frees_its_seat(there):
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{there.url}/completions",
            json=LONG | {"n": 4, "max_tokens": 480},
            headers={"authorization": f"Bearer {KEY}"},
            timeout=httpx.Timeout(5, read=0.05),
        )
    assert there.rested(5)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_is_killed_frees_its_seat(there, stream):
    """By SIGKILL, in the middle of its answer."""
    body = json.dumps(LONG | {"n": 4, "stream": stream})
    code = (
        "import sys, urllib.request as u;"
        f"r = u.Request(sys.argv[1], sys.argv[2].encode(), {{'authorization': 'Bearer {KEY}',"
        "'content-type': 'application/json'});"
        "print('begun', flush=True); a = u.urlopen(r); a.readline(); a.read()"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", code, f"{there.url}/completions", body], stdout=subprocess.PIPE
    )
    assert client.stdout is not None
    client.stdout.readline()
    begun(there, 4)
    steps = there.engine.stream.steps
    client.kill()
    client.wait()
    client.stdout.close()
    assert there.rested(5)
    assert there.engine.stream.steps < steps + 470, "given up, not written to the end"


def test_a_connection_that_is_dropped_frees_its_seat(there):
    host, port = "127.0.0.1", int(there.url.split(":")[2].split("/")[0])
    body = json.dumps(LONG | {"stream": True}).encode()
    with socket.create_connection((host, port)) as raw:
        raw.sendall(
            b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            + f"authorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        begun(there)
    assert there.rested(5)


def test_beyond_the_queue_clients_are_told_to_come_again(there):
    with there.client.completions.create(**LONG, stream=True, n=10) as stream:
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as caught:
            there.client.completions.create(model="m", prompt="there")
        assert caught.value.code == "queue_full"
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
        assert "10 answers are under way, and at most 10 may be" in caught.value.message
    assert there.rested()
    assert there.post("completions", LONG | {"max_tokens": 2}).status_code == 200
    refused = there.post("completions", LONG | {"n": 11})
    assert refused.status_code == 400
    assert "at most 10" in refused.json()["error"]["message"]


def test_who_waits_is_answered_in_turn_and_gets_the_same(there, policy):
    """Ten answers on four seats, of other lengths."""

    async def all_at_once():
        orders = [Order((ids(policy),), i, longest=3 + i) for i in range(10)]
        return await asyncio.gather(*(heard(there.engine, order) for order in orders))

    for i, pieces in enumerate(asyncio.run(all_at_once())):
        want = policy.sample([ids(policy)], longest=3 + i, seed=i)[0]
        assert "".join(piece.text for piece in pieces) == policy.speller.text(want)
        assert sum(piece.count for piece in pieces) == 3 + i
    assert there.lineup.load == 0


def test_a_prompt_without_room_says_the_numbers(there):
    answer = there.post("completions", LONG | {"prompt": [5] * 512})
    assert answer.status_code == 413
    error = answer.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "512 tokens" in error["message"]
    assert "at most 512" in error["message"]
    assert there.post("completions", LONG | {"prompt": [5] * 511}).status_code == 200


def test_a_model_that_breaks_says_so_and_goes_on(there, policy, monkeypatch):
    head = policy.model.trunk.head.weight
    kept = head.data.clone()
    step = there.engine.stream.step
    for error, status, says in (
        (MemoryError(), 503, "out of memory"),
        (RuntimeError("a kernel failed"), 500, "a kernel failed"),
    ):

        def failing(error=error):
            raise error

        monkeypatch.setattr(there.engine.stream, "step", failing)
        answer = there.post("completions", LONG)
        assert answer.status_code == status
        assert says in answer.json()["error"]["message"]
        with pytest.raises(openai.APIError, match=says):
            list(there.client.completions.create(**LONG, stream=True))
        monkeypatch.setattr(there.engine.stream, "step", step)
        assert there.lineup.load == 0
    assert (head.data == kept).all()
    assert there.post("completions", LONG | {"max_tokens": 3}).status_code == 200


def test_logits_that_are_no_numbers_are_an_error_of_the_model(there, policy):
    weight = policy.model.trunk.model.get_input_embeddings().weight
    kept = weight.data.clone()
    try:
        weight.data[:] = float("nan")
        answer = there.post("completions", LONG)
    finally:
        weight.data[:] = kept
    assert answer.status_code == 500
    assert "weights have diverged" in answer.json()["error"]["message"]
    assert there.post("completions", LONG | {"max_tokens": 3}).status_code == 200


def test_closing_ends_what_is_under_way_with_an_error(policy):
    with serving([Engine("m", policy, slots=4)]) as there:
        stream = iter(there.client.completions.create(**LONG, stream=True, n=2))
        next(stream)
        there.engine.close()
        with pytest.raises(openai.APIError, match="shutting down"):
            list(stream)
        answer = there.post("completions", LONG)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"


def test_a_server_that_is_told_to_end_does_not_wait_for_streams(policy):
    with serving([Engine("m", policy, slots=4)]) as there:
        stream = there.client.completions.create(**LONG, stream=True)
        next(iter(stream))
        began = time.monotonic()
    assert time.monotonic() - began < 2.5
    stream.close()


def test_an_engine_by_itself(policy):
    """Events of one answer: text that is certain, tokens, one end."""
    engine = Engine("m", policy, slots=2, longest=7)
    try:
        order = Order((ids(policy),), 3, 2, Sampling(0.5), longest=9, best=1, reads=True)
        pieces = asyncio.run(heard(engine, order))
        first, rest = pieces[0], pieces[1:]
        assert first.prompt
        assert len(first.tokens) == len(ids(policy)) - 1
        assert [sum(p.count for p in rest if p.index == k) for k in (0, 1)] == [7, 7]
        assert sorted(p.index for p in rest if p.finish) == [0, 1]
        assert all(len(p.tokens) == 1 and len(p.tokens[0][1].best) == 1 for p in rest)
        with pytest.raises(Wrong, match="513 tokens"):
            asyncio.run(heard(engine, Order(((5,) * 513,), 0)))
    finally:
        engine.close()


def test_a_context_beyond_the_models_is_refused(policy):
    with pytest.raises(BadSettings, match="reads at most 512"):
        Engine("m", policy, room=513)
    engine = Engine("m", policy, room=20, slots=2)
    engine.close()
    assert engine.stream.room == 20
