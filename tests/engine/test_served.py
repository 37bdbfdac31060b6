"""A server as one who is asked: every fault it may have, and nothing that is lost by one."""

import math
import re
import time
from email.utils import formatdate
from itertools import count
from pathlib import Path

import pytest

from accord.engine.client import Client, Endpoint
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.engine.served import Served, Speaks
from accord.errors import BadSettings, NoAnswer
from accord.records import Image, Invalid, Message, Text, ask
from llm_fakes import Server, served

QUICK = Endpoint(pause=0.001, tries=3)
FEW = [Ask(ask(f"q{i}"), seed=i) for i in range(6)]


def asker(server: Server, how: Endpoint = QUICK, speaks: Speaks = "chat") -> Served:
    return Served(Client(server.url, how, said.append), speaks)


said: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    said.clear()


def test_answers_come_in_order_with_their_tokens() -> None:
    with served() as server:
        server.speak = lambda body: f"{body['messages'][-1]['content']} {body['seed']}"
        heard = asker(server).say(FEW, longest=7, how=Sampling(0.5, 0.9, 3))
    assert heard == [Spoken(f"q{i} {i}", True, 10, 5) for i in range(6)]
    (body,) = [body for body in server.asked if body["seed"] == 2]
    told = {k: body[k] for k in ("max_tokens", "temperature", "top_p", "top_k", "model")}
    assert told == {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "model": "fake"}


@pytest.mark.parametrize("fault", [429, 500, 503, 524, 529, "prose", "empty", "hang up"])
def test_what_passes_by_itself_is_tried_again(fault: object) -> None:
    with served(lambda n, body: fault if n % 2 == 0 else None) as server:
        heard = asker(server, Endpoint(pause=0.001, tries=20)).say(FEW, longest=5)
    assert [one.text for one in heard if isinstance(one, Spoken)] == [
        f"heard q{i}" for i in range(6)
    ]


@pytest.mark.parametrize(
    ("fault", "why"),
    [(500, "after 3 tries .status 500"), ("prose", "no JSON object: 'I would"), (400, "status 400"),
     ("odd", "no answer"), ("filter", "content_filter")],
)  # fmt: skip
def test_one_that_is_never_answered_is_invalid_and_the_others_are_not(
    fault: object, why: str
) -> None:
    def befalls(_: int, body: dict[str, object]) -> object:
        return fault if "q3" in str(body["messages"]) else None

    with served(befalls) as server:
        heard = asker(server).say([*FEW, *FEW], longest=5)
    bad = [i for i, one in enumerate(heard) if isinstance(one, Invalid)]
    assert bad == [3, 9]
    assert isinstance(heard[3], Invalid)
    assert re.search(why, heard[3].reason), heard[3].reason


def test_a_server_that_is_gone_ends_the_run_and_says_how_to_go_on() -> None:
    with served(lambda n, body: 503 if n > 3 else None) as server:
        with pytest.raises(NoAnswer, match=r"after 3 tries \(status 503.*the same command goes on"):
            asker(server, Endpoint(pause=0.001, tries=3, at_once=1)).say(FEW, longest=5)
        url = server.url
    with pytest.raises(NoAnswer, match="no answer after 2 tries"):
        Served(Client(url, Endpoint(pause=0.001, tries=2))).say(FEW, longest=5)


@pytest.mark.parametrize("status", [301, 401, 402, 403, 404, 405])
def test_what_all_would_meet_ends_it_at_once(status: int) -> None:
    with served(lambda n, body: status) as server:
        with pytest.raises(NoAnswer, match=f"refused with status {status}"):
            asker(server).say(FEW, longest=5)
        assert len(server.asked) == 1


def test_a_slow_one_is_cut_at_its_deadline() -> None:
    with served(lambda n, body: "slow" if "q3" in str(body["messages"]) else None) as server:
        begun = time.monotonic()
        heard = asker(server, Endpoint(seconds=0.2, tries=2, pause=0.001)).say(
            [*FEW, *FEW], longest=5
        )
        assert time.monotonic() - begun < 3
    assert heard[3] == heard[9]
    assert isinstance(heard[3], Invalid)
    assert "no reply within 0.2 s" in heard[3].reason


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for_and_told(as_date: bool) -> None:
    with served(lambda n, body: 429 if n == 1 else None) as server:
        after = formatdate(time.time() + 2, usegmt=True) if as_date else "1"
        server.headers = {"Retry-After": after}
        begun = time.monotonic()
        heard = asker(server).say(FEW[:2], longest=5)
        assert time.monotonic() - begun > 0.9
    assert all(isinstance(one, Spoken) for one in heard)
    with served(lambda n, body: 429) as server:
        server.headers = {"Retry-After": "4000"}
        with pytest.raises(NoAnswer, match="asks to wait 4000 s"):
            asker(server).say(FEW[:2], longest=5)


def test_a_long_wait_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accord.engine.client.LONG", 0.1)
    with served(lambda n, body: 503 if n == 1 else None) as server:
        server.headers = {"Retry-After": "0.2"}
        asker(server).say(FEW[:2], longest=5)
    assert any("waiting 0 s (status 503" in line for line in said)


def test_as_many_are_under_way_as_may_be_and_no_more() -> None:
    with served() as server:
        server.latency = 0.05
        heard = asker(server, Endpoint(at_once=8)).say(
            [Ask(ask(f"q{i}")) for i in range(33)], longest=5
        )
        assert len(heard) == 33
        assert server.most == 8


def test_no_more_begin_in_a_minute_than_may() -> None:
    with served() as server:
        begun = time.monotonic()
        asker(server, Endpoint(at_once=8, per_minute=600)).say(FEW, longest=5)
        assert time.monotonic() - begun > 0.4


def test_who_goes_away_in_the_middle_leaves_nobody_behind() -> None:
    with served() as server:
        server.latency = 0.01
        every = Client(server.url, QUICK).answered(
            ("/chat/completions", {"messages": [{"content": f"{i}"}]}) for i in count()
        )
        next(every)
        every.close()
        asked = len(server.asked)
        time.sleep(0.1)
        assert len(server.asked) == asked


# --- turns that are begun ---


def test_an_answer_that_is_begun_is_continued_where_the_server_can() -> None:
    with served() as server:
        heard = asker(server).say([Ask(ask("q"), "The answer is:")] * 2, longest=5)
    assert [type(one) for one in heard] == [Spoken] * 2
    body = server.asked[1]
    assert body["messages"][-1] == {"role": "assistant", "content": "The answer is:"}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


def test_a_server_that_cannot_is_told_how_to_begin() -> None:
    with served(lambda n, body: 400 if "continue_final_message" in body else None) as server:
        heard = asker(server).say([Ask(ask("q"), "The answer is:")] * 3, longest=5)
    assert [type(one) for one in heard] == [Spoken] * 3
    assert len(server.asked) == 4, "it is tried once"
    assert server.asked[-1]["messages"] == [
        {
            "role": "user",
            "content": 'q\n\nBegin your answer right after these words: "The answer is:"',
        }
    ]
    assert any("does not continue a turn" in line for line in said)


# --- options ---


def test_options_are_read_off_the_likeliest_tokens() -> None:
    with served() as server:
        server.top = lambda body: {
            "A": math.log(0.5),
            " A": math.log(0.1),
            "B": math.log(0.3),
            "(": -3,
        }
        asks = [Ask(ask(f"q{i}"), "The answer is:") for i in range(3)]
        heard = asker(server).weigh(asks, [[" (A)", " (B)"]] * 3)
    for one in heard:
        assert isinstance(one, tuple)
        assert one == pytest.approx((math.log(0.6), math.log(0.3)))
    body = server.asked[0]
    assert body["messages"][-1]["content"] == "The answer is: ("
    assert (body["max_tokens"], body["top_logprobs"]) == (1, 20)


def test_an_option_that_is_not_among_them_is_invalid_and_never_zero() -> None:
    with served(lambda n, body: 400 if "continue_final_message" in body else None) as server:
        server.top = lambda body: {"A": -0.1, "Sorry": -2.0}
        (heard,) = asker(server).weigh([Ask(ask("q"))], [[" (A)", " (B)"]])
    assert isinstance(heard, Invalid)
    assert "' (B)' is not among the 2 likeliest" in heard.reason
    assert server.asked[-1]["messages"][-1]["content"].endswith("nothing else: A, B")


def test_base_models_score_options_whole_by_echo() -> None:
    with served() as server:
        asks = [Ask(ask("Which?"), " It is")] * 2
        heard = asker(server, speaks="completions").weigh(asks, [[" (A)", " (B)"], [" A"]])
    assert heard == [(-2.0, -3.0), (-1.0,)]
    assert {body["prompt"] for body in server.asked} == {
        "Which? It is (A)", "Which? It is (B)", "Which? It is A",
    }  # fmt: skip
    talk = (Message.of("user", "a"), Message.of("assistant", "b"), Message.of("user", "c"))
    with served() as server, pytest.raises(BadSettings, match="speaks=chat"):
        asker(server, speaks="completions").say([Ask(talk)], longest=4)


def test_a_setting_that_the_protocol_lacks_is_refused() -> None:
    with served() as server, pytest.raises(BadSettings, match="min_p"):
        asker(server).say(FEW, longest=4, how=Sampling(min_p=0.1))


def test_a_picture_is_sent_within_the_request(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    seen = Message("user", (Image(str(path)), Text("What is it?")))
    with served() as server:
        (heard,) = asker(server).say([Ask((seen,))], longest=5)
        assert isinstance(heard, Spoken)
        with pytest.raises(BadSettings, match="speaks=chat"):
            asker(server, speaks="completions").say([Ask((seen,))], longest=5)
    (body,) = server.asked
    assert body["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "text", "text": "What is it?"},
    ]
