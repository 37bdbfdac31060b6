"""Models over the OpenAI protocol: pieces, ends, and what goes wrong, in one sentence."""

import threading
from collections.abc import Iterator

import pytest

from accord.errors import BadData, NoAnswer
from accord.web import talking
from accord.web.talking import Said, Voice, Wish, spoken, stream, together
from endpoint_fakes import endpoint
from talk_fakes import Server, answering

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as made:
        yield made


def test_an_answer_piece_by_piece(server: Server) -> None:
    voice = Voice(server.url, "gull", "secret")
    wish = Wish(temperature=0.5, longest=7, seed=3)
    pieces = [*stream(voice, HELLO, wish, threading.Event())]
    assert pieces == [("gull ", ""), ("heard ", ""), ("Hello ", ""), ("", "stop")]
    (asked,) = server.asked
    assert asked["authorization"] == "Bearer secret"
    assert (asked["temperature"], asked["max_tokens"], asked["seed"]) == (0.5, 7, 3)
    assert asked["messages"] == HELLO


def test_two_at_once_are_not_mixed_up(server: Server) -> None:
    server.pause = 0.01
    voices = [Voice(server.url, "gull"), Voice(server.url, "tern")]
    found = [*together(voices, HELLO, [Wish(), Wish()], threading.Event())]
    said = ["".join(one.text for one in found if one.place == place) for place in (0, 1)]
    assert said == ["gull heard Hello ", "tern heard Hello "]
    assert [one.end for one in found if one.end] == ["stop", "stop"]


def test_one_that_fails_does_not_silence_the_other(server: Server) -> None:
    voices = [Voice("http://127.0.0.1:9/v1", "x", name="The lost one"), Voice(server.url, "tern")]
    found = [*together(voices, HELLO, [Wish(), Wish()], threading.Event())]
    (wrong,) = [one.wrong for one in found if one.wrong]
    assert "The lost one cannot be reached" in wrong
    assert Said(1, "", "stop") in found


def test_what_a_server_refuses_is_told_in_its_own_words(server: Server) -> None:
    server.status = 404
    with pytest.raises(NoAnswer, match="gull answered 404: no such model"):
        list(stream(Voice(server.url, "gull"), HELLO, Wish(), threading.Event()))


def test_an_answer_that_breaks_off_says_so(server: Server) -> None:
    server.cut = True
    *_, last = stream(Voice(server.url, "gull"), HELLO, Wish(), threading.Event())
    assert last == ("", "cut")


def test_stopped_it_ends_at_the_next_piece(server: Server) -> None:
    stop = threading.Event()
    server.answers["gull"], server.pause = "a b c d e f g h", 0.02
    pieces = []
    for piece in stream(Voice(server.url, "gull"), HELLO, Wish(), stop):
        pieces.append(piece)
        stop.set()
    assert pieces == [("a ", ""), ("", "cut")]


def test_odd_signs_within_a_piece_end_no_line() -> None:
    odd = "a\u2028b\u0085c\x1cd\x0be\u2029f\U0001f9ea\ufeff"
    with endpoint(lambda body: [odd]) as there:
        pieces = [*stream(Voice(there.url, "m"), HELLO, Wish(), threading.Event())]
    assert pieces == [(odd, ""), ("", "stop")]


def test_an_answer_without_an_end_is_ended() -> None:
    with endpoint(lambda body: ["x" * 90_000] * 9) as there:
        pieces = [*stream(Voice(there.url, "m"), HELLO, Wish(), threading.Event())]
    assert sum(len(text) for text, _ in pieces) == talking.LONGEST
    assert pieces[-1] == ("", "length")


def test_a_line_without_an_end_is_not_waited_for() -> None:
    with endpoint(lambda body: ["x" * 2_000_000]) as there:  # noqa: SIM117
        with pytest.raises(NoAnswer, match="without an end of a line"):
            list(stream(Voice(there.url, "m"), HELLO, Wish(), threading.Event()))


def test_pictures_are_not_left_out_in_silence() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert spoken([{"role": "user", "content": parts}]) == [{"role": "user", "content": "ab"}]
    with pytest.raises(BadData, match="a picture cannot be sent"):
        spoken([{"role": "user", "content": [{"type": "image", "path": "x.png"}]}])
