"""Rewards behind HTTP: servers that answer well, late, twice, wrongly, or not at all."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from accord.errors import BadSettings, NoAnswer, RunMismatch
from accord.records import Invalid
from accord.rewards.reader import Reader
from accord.rewards.remote import VLLM, OpenRLHF, Remote, Server
from reward_fakes import answer
from toys import ToySpeller

QUICK = {"pause": 0.01, "tries": 3, "seconds": 2.0, "batch": 2}
SAID = [answer("a", (2, 1)), answer("b", (2, 2, 1)), answer("c", (3, 3, 3)), answer("d", (3, 1))]


class Fake(ThreadingHTTPServer):
    """Answers what `reply(body, number of the request)` says: bytes, or (status, bytes)."""

    daemon_threads = True

    def __init__(self, reply):
        self.seen, self.headers_seen, self.reply = [], [], reply
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/score"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(body)
        self.server.headers_seen.append(dict(self.headers))
        given = self.server.reply(body, len(self.server.seen))
        if given is None:  # closes in mid-sentence
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
            return
        status, said = given if isinstance(given, tuple) else (200, given)
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


def lengths(body, number=0) -> bytes:
    return json.dumps({"scores": [len(a["response"]) for a in body["answers"]]}).encode()


@pytest.fixture
def serve():
    running = []

    def start(reply) -> Fake:
        running.append(Fake(reply))
        return running[-1]

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def remote(fake: Fake, **how) -> Remote:
    return Remote(fake.url, Reader(ToySpeller()), Server(**QUICK | how))


def wanted() -> list[float]:
    return [float(len(said.answer)) for said in Reader(ToySpeller())(SAID)]


def test_scores_come_back_in_order_in_lots(serve):
    fake = serve(lengths)
    assert remote(fake)(SAID) == wanted()
    greeting, *lots = fake.seen
    assert greeting == {"answers": []}
    assert sorted(len(lot["answers"]) for lot in lots) == [2, 2]
    told = {a["finish"] for lot in lots for a in lot["answers"]}
    assert told == {"stop", "length"}
    assert remote(fake)([]) == []


@pytest.mark.parametrize("trouble", [(503, b"busy"), (429, b""), None, (500, b"oops")])
def test_what_passes_by_itself_is_tried_again(serve, trouble):
    fake = serve(lambda body, n: trouble if n in (1, 3) else lengths(body))
    assert remote(fake, at_once=1)(SAID) == wanted()


def test_a_server_that_stays_broken_is_one_sentence(serve):
    fake = serve(lambda body, n: (503, b"no room") if n > 1 else lengths(body))
    judge = remote(fake)
    with pytest.raises(NoAnswer, match=r"no scores after 3 tries \(status 503: 'no room'\)"):
        judge(SAID)


def test_a_server_that_is_not_there_is_one_sentence():
    with pytest.raises(NoAnswer, match="no scores after 2 tries"):
        Remote("http://127.0.0.1:9/", Reader(ToySpeller()), Server(pause=0.01, tries=2))


def test_a_trickle_is_as_late_as_silence(serve):
    def slow(body, n):
        if n > 1:
            time.sleep(0.6)
        return lengths(body)

    judge = remote(serve(slow), seconds=0.2, tries=2)
    with pytest.raises(NoAnswer, match=r"no reply within 0\.2 s"):
        judge(SAID)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"<html>", "cannot be read: '<html>'"),
        (b"[1, 2]", "cannot be read"),
        (b'{"values": [1]}', "cannot be read"),
        (b'{"scores": [1, 2, 3]}', "gave 3 scores for 2 answers"),
        ((404, b"nothing here"), "refused with status 404: 'nothing here'"),
        ((401, b"who are you"), "refused with status 401"),
    ],
)
def test_what_nobody_can_read_ends_the_run(serve, reply, says):
    judge = remote(serve(lambda body, n: lengths(body) if n == 1 else reply))
    with pytest.raises(NoAnswer, match=says):
        judge(SAID[:2])


def test_no_number_is_invalid_and_never_zero(serve):
    told = b'{"scores": [null, NaN, "too long", 1e999]}'
    judge = remote(serve(lambda body, n: told if body["answers"] else b'{"scores": []}'), batch=4)
    given = judge(SAID)
    assert all(isinstance(one, Invalid) for one in given)
    assert [one.reason for one in given if isinstance(one, Invalid)] == [
        "the server gave null",
        "the score is nan",
        "too long",
        "the score is inf",
    ]


def test_openrlhf_servers_get_whole_texts(serve):
    reply = lambda body, n: json.dumps(  # noqa: E731
        {"rewards": [[float(len(q))] for q in body["query"]]}
    ).encode()
    fake = serve(reply)
    judge = remote(fake, speaks=OpenRLHF(), batch=9)
    reader = Reader(ToySpeller())
    assert judge(SAID) == [float(len(reader.whole(r))) for r in SAID]
    assert fake.seen[0]["prompts"] == [one.prompt for one in reader(SAID)]


def test_vllm_rows_are_put_in_order_and_a_label_is_chosen(serve):
    def reply(body, n):
        rows = [{"index": i, "probs": [0.1 * i, 9.0]} for i in range(len(body["input"]))]
        return json.dumps({"data": rows[::-1]}).encode()

    fake = serve(reply)
    judge = remote(fake, speaks=VLLM(model="rm", label=0), batch=9)
    assert judge(SAID) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert fake.seen[0]["model"] == "rm"
    with pytest.raises(NoAnswer, match="cannot be read"):
        remote(fake, speaks=VLLM(), batch=9)(SAID)


def test_a_token_travels_and_is_never_shown(serve, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "s3cret")
    fake = serve(lambda body, n: lengths(body) if n == 1 else (403, b"bad key s3cret"))
    judge = remote(fake, token="JUDGE_KEY")
    assert fake.headers_seen[0]["Authorization"] == "Bearer s3cret"
    with pytest.raises(NoAnswer) as told:
        judge(SAID)
    assert "s3cret" not in str(told.value) + judge.which
    with pytest.raises(BadSettings, match="no variable of that name"):
        remote(fake, token="ABSENT_KEY")
    with pytest.raises(BadSettings, match="would be written into artifacts"):
        Remote("http://me:pw@host/", Reader(ToySpeller()))


def test_another_model_behind_the_same_address_stops_the_run(serve):
    def reply(body, n):
        return json.dumps({"scores": [1.0] * len(body["answers"]), "model": f"rm-{n > 2}"}).encode()

    judge = remote(serve(reply), batch=9)
    assert judge.which.endswith("model rm-False")
    judge(SAID)
    with pytest.raises(RunMismatch, match="answered as 'rm-False' and now as 'rm-True'"):
        judge(SAID)


def test_a_reply_that_nests_without_end_is_one_sentence(serve):
    deep = remote(serve(lambda body, n: lengths(body) if n == 1 else b"[" * 100_000))
    with pytest.raises(NoAnswer, match="cannot be read"):
        deep(SAID)


def test_a_reply_without_end_is_not_read_to_it(serve):
    asked = serve(lambda body, n: lengths(body) if n == 1 else b" " * (4 << 20) + lengths(body))
    with pytest.raises(NoAnswer, match=r"more than 1,179,648 bytes"):
        remote(asked)(SAID[:2])


def test_scores_that_no_float_holds_are_invalid(serve):
    def reply(body, n):
        scores = [10**400, [[1.0] * 1000]][: len(body["answers"])]
        return json.dumps({"scores": scores}).encode()

    large, odd = remote(serve(reply))(SAID[:2])
    assert isinstance(large, Invalid)
    assert isinstance(odd, Invalid)
    assert len(str(odd)) < 400
