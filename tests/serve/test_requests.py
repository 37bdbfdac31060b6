"""What an endpoint refuses: in one sentence, naming the field, never with a 500."""

import json
import random

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from starlette.testclient import TestClient

from accord.engine.roles import Policy
from accord.serve.app import Lineup, build
from accord.serve.asked import ChatAsked, TextAsked
from accord.serve.engine import Engine
from served import chat_folder

CHAT = {"model": "m", "messages": [{"role": "user", "content": "there"}], "max_tokens": 2}
TEXT = {"model": "m", "prompt": "there", "max_tokens": 2}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    engine = Engine("m", Policy.open(chat_folder(tmp_path_factory.mktemp("m"))), longest=40)
    yield build(Lineup([engine]), hosts=("testserver",))
    engine.close()


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app, raise_server_exceptions=False) as one:
        yield one


def told(client, path: str, body, status: int = 400):
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def user(**more):
    return {"messages": [{"role": "user", "content": "x", **more}]}


@pytest.mark.parametrize(
    ("more", "param", "says"),
    [
        ({"model": 3}, "model", "valid string"),
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": "there"}, "messages", "valid list"),
        (user(role="tool"), "messages[0].role", "'system', 'developer', 'user' or 'assistant'"),
        (user(name="Ann"), "messages[0].name", "unknown field"),
        (user(content=None), "messages[0].content", "required"),
        (user(content=[]), "messages[0].content", "valid string"),
        (user(content=[{"type": "audio"}]), "messages[0].content[0]", "text and image_url"),
        (user(content=[{"type": "image_url"}]), "messages[0].content[0]", "a picture is"),
        (user(content="a \ud800"), "messages", "half a character"),
        ({"n": 0}, "n", "greater than or equal to 1"),
        ({"n": 129}, "n", "less than or equal to 128"),
        ({"temperature": -0.1}, "temperature", "greater than"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"top_p": 1.01}, "top_p", "less than"),
        ({"top_k": -1}, "top_k", "greater than"),
        ({"min_p": 2}, "min_p", "less than"),
        ({"seed": 1 << 64}, "seed", "less than"),
        ({"seed": "many"}, "seed", "integer"),
        ({"stop": ""}, "stop", "at least 1"),
        ({"stop": ["a"] * 17}, "stop", ""),
        ({"max_tokens": 0}, "max_tokens", "greater than"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, None, "differ"),
        ({"top_logprobs": 2}, None, "goes with logprobs=true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "less than"),
        ({"stream_options": {"include_usage": True}}, None, "goes with stream=true"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "not offered"),
        ({"presence_penalty": -1}, "presence_penalty", "not offered"),
        ({"logit_bias": {"5": 100}}, "logit_bias", "not offered"),
        ({"response_format": {"type": "json_object"}}, "response_format", "plain text"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "plain text"),
        ({"tools": [{"type": "function"}]}, "tools", "returns text"),
        ({"functions": [{}]}, "functions", "returns text"),
        ({"tool_choice": "required"}, "tool_choice", "not offered"),
        ({"modalities": ["text", "audio"]}, "modalities", "only text"),
        ({"store": True}, "store", "nothing is stored"),
        ({"service_tier": "flex"}, "service_tier", "no service tiers"),
        ({"reasoning_effort": "high"}, "reasoning_effort", "unknown field"),
        ({"web_search_options": {}}, "web_search_options", "unknown field"),
        ({"echo": True}, "echo", "unknown field"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_a_chat_that_is_refused(client, more, param, says):
    body = json.dumps(CHAT | more)
    answer = client.post(
        "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
    )
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["param"] == param
    assert says in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("more", "param", "says"),
    [
        ({"prompt": []}, "prompt", ""),
        ({"prompt": [[]]}, "prompt", ""),
        ({"prompt": [1, "a"]}, "prompt", ""),
        ({"prompt": [-1]}, "prompt", ""),
        ({"prompt": [100000]}, "prompt", "beyond this model's vocabulary"),
        ({"prompt": {"a": 1}}, "prompt", ""),
        ({"max_tokens": 0}, None, "goes with echo=true"),
        ({"best_of": 4}, None, "best_of is not offered"),
        ({"suffix": "end"}, "suffix", "writes forward"),
        ({"logprobs": 21}, "logprobs", "less than"),
        ({"messages": []}, "messages", "unknown field"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_a_text_that_is_refused(client, more, param, says):
    error = told(client, "completions", TEXT | more)
    assert error["param"] == param
    assert says in error["message"]


def test_values_that_mean_nothing_are_let_through(client):
    """Clients send them; so are labels that change nothing."""
    idle = {
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "user": "u",
        "stop": None,
        "seed": None,
        "stream": None,
    }
    assert client.post("/v1/completions", json=TEXT | idle | {"best_of": 1}).status_code == 200
    idle |= {
        "response_format": {"type": "text"},
        "modalities": ["text"],
        "store": False,
        "service_tier": "auto",
        "tools": [],
        "tool_choice": "none",
        "metadata": {"run": "1"},
        "safety_identifier": "s",
        "top_logprobs": None,
    }
    assert client.post("/v1/chat/completions", json=CHAT | idle).status_code == 200


def test_every_field_is_heard_or_refused_by_a_test():
    """A new field must be thought of here, or in test_client."""
    heard = {"model", "n", "stream", "stream_options", "temperature", "top_p", "top_k", "min_p"}
    heard |= {"seed", "stop", "logprobs", "top_logprobs", "max_tokens", "max_completion_tokens"}
    heard |= {"messages", "prompt", "echo"}
    labels = {"user", "metadata", "safety_identifier"}
    refused = {"frequency_penalty", "presence_penalty", "logit_bias", "response_format", "tools"}
    refused |= {"functions", "tool_choice", "modalities", "store", "service_tier"}
    refused |= {"best_of", "suffix"}
    fields = {*ChatAsked.model_fields, *TextAsked.model_fields}
    assert fields == heard | labels | refused


def test_both_names_of_the_limit_are_heard_and_the_endpoints_own_limit(client):
    for body, most in (
        (CHAT | {"max_tokens": 3, "temperature": 0}, 3),
        (CHAT | {"max_tokens": None, "max_completion_tokens": 4, "temperature": 0}, 4),
        (CHAT | {"max_tokens": None, "seed": 3}, 40),
        (CHAT | {"max_tokens": 300, "seed": 3}, 40),
    ):
        said = client.post("/v1/chat/completions", json=body).json()
        assert said["usage"]["completion_tokens"] <= most
        if said["choices"][0]["finish_reason"] == "length":
            assert said["usage"]["completion_tokens"] == most


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"", "application/json", "JSON object"),
        (b"{", "application/json", "no JSON"),
        (b"[]", "application/json", "JSON object"),
        (b"\xff\xfe{}", "application/json", ""),
        (b"[" * 100_000, "application/json", ""),
        (b'{"seed": ' + b"9" * 10_000 + b"}", "application/json", ""),
        (b"{}", "text/plain", "application/json"),
        (b"model=m", "application/x-www-form-urlencoded", "application/json"),
    ],
)
def test_bodies_that_are_no_requests(client, path, content, kind, says):
    answer = client.post(f"/v1/{path}", content=content, headers={"content-type": kind})
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


def test_a_body_that_is_too_large(client):
    body = b'{"model": "' + b"m" * (17 << 20) + b'"}'
    for content in (body, iter([body[: 9 << 20], body[9 << 20 :]])):  # said beforehand, or not
        answer = client.post(
            "/v1/completions", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413
        assert "request is" in answer.json()["error"]["message"]


def test_errors_say_back_what_no_encoding_can_write(client):
    answer = client.post(
        "/v1/completions",
        content=b'{"model": "\\ud800", "prompt": "x"}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 404
    assert "there is no model" in answer.json()["error"]["message"]
    error = told(client, "completions", TEXT | {"\x00{}": 1})
    assert "unknown field" in error["message"]


def test_other_addresses_and_methods(client):
    assert client.get("/").status_code == 404
    assert client.get("/v1/embeddings").json()["error"]["type"] == "not_found_error"
    answer = client.get("/v1/completions")
    assert answer.status_code == 405
    assert answer.json()["error"]["message"]
    assert client.options("/v1/completions").status_code == 405, "no page may ask from elsewhere"


def test_without_a_key_only_its_own_name_opens(client):
    for host, status in (("testserver", 200), ("TESTSERVER:80", 200), ("evil.example", 400)):
        assert client.get("/v1/models", headers={"host": host}).status_code == status


def test_garbage_is_never_a_500(client):
    """Good requests with a field or two replaced by something else."""
    dice = random.Random(0)
    pool = [None, True, -1, 0, 1, 2.5, 1e308, 10**30, "", "x", "\ud800", "\x00", [], [[]], {}]
    pool += [[1], [[1, 2]], ["a", "b"], {"type": "text"}, [{"role": "user"}], [None], "é" * 300]
    for _ in range(400):
        path, good = dice.choice([("chat/completions", CHAT), ("completions", TEXT)])
        model = ChatAsked if good is CHAT else TextAsked
        fields = dice.choices([*model.model_fields, "odd"], k=dice.randrange(1, 4))
        body = {**good, **{name: dice.choice(pool) for name in fields}}
        answer = client.post(
            f"/v1/{path}",
            content=json.dumps(body),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code in (200, 400, 404, 413), (body, answer.text)
        if answer.status_code != 200:
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_schemathesis_finds_no_server_error(app):
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)

    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        count += 1
        _run(operation)
    assert count == 5


def _run(operation) -> None:
    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def each(case):
        body = case.body if isinstance(case.body, dict) else {}
        if body.get("max_tokens", 1) not in (0, 1, 2):
            case.body = body | {"max_tokens": 2, "n": 1}
        case.call_and_validate(checks=[not_a_server_error])

    given(case=operation.as_strategy())(each)()
