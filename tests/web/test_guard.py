"""What stands before every request, with forged headers."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from accord.web import app as application
from accord.web import security
from accord.web.guard import HEADERS
from site_fakes import site


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),  # another port of this machine, a sister domain
        ({"sec-fetch-site": "cross-site", "origin": "http://testserver"}, 403),
        ({"sec-fetch-site": "nonsense"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://testserver:81"}, 403),
        ({"origin": "http://testserver.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "none"}, 303),
        ({"origin": "http://testserver"}, 303),
        ({}, 303),  # no browser
    ],
)
def test_only_our_own_pages_change_something(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    with site(tmp_path) as here:
        client = here.client("owner")
        answer = client.post("/account/prefs", data={"theme": "dark"}, headers=headers)
        assert answer.status_code == status
        looked = client.get("/account", headers=headers)
        assert looked.status_code == 200
        assert ('data-theme="dark"' in looked.text) == (status == 303)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("", 400),
        ("evil.example:80@localhost", 200),  # the host of that is localhost
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:8080", 200),
        ("192.168.1.20", 200),
        ("[::1]:8080", 200),
        ("testserver", 200),
        ("[::1", 400),
    ],
)
def test_a_foreign_name_for_this_machine_is_refused(tmp_path: Path, host: str, status: int) -> None:
    with site(tmp_path) as here:
        assert here.client().get("/login", headers={"host": host}).status_code == status


def test_every_answer_is_framed(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        client = here.client("owner")
        client.headers["accept"] = "text/html"
        for path in ("/", "/login", "/nowhere", "/static/x/accord.css", "/api/v1/me"):
            answer = client.get(path)
            for name, value in HEADERS.items():
                assert answer.headers[name] == value, (path, name)
        foreign = client.get("/", headers={"host": "evil.example"})
        assert foreign.headers["x-content-type-options"] == "nosniff"
        assert client.get("/").headers["cache-control"] == "no-store"
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


def test_no_template_needs_what_the_policy_forbids() -> None:
    folder = Path(application.__file__).parent / "templates"
    pages = list(folder.rglob("*.html"))
    assert len(pages) > 10
    for path in pages:
        text = path.read_text()
        assert " style=" not in text, path
        assert " onclick=" not in text, path
        assert "<script>" not in text, path
        assert "|safe" not in text, path
        assert not re.search(r"""(src|href|action|data)=["']?(https?:)?//""", text), path


def test_static_files_are_kept_and_stay_inside(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        client = here.client()
        page = client.get("/login").text
        sheet = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        answer = client.get(sheet)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith("text/css")
        old = client.get("/static/0000/accord.css")
        assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
        for path in ("/static/x/../app.py", "/static/x/%2e%2e/app.py", "/static/..%2fapp.py"):
            assert client.get(path).status_code == 404, path


def test_a_body_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "BODY", 1000)
    with site(tmp_path) as here:
        client = here.client("owner")
        assert client.post("/account/prefs", content=b"x" * 1001).status_code == 413
        read = {"content-type": "application/x-www-form-urlencoded"}
        parts = (b"x" * 100 for _ in range(11))  # of a length that nobody tells beforehand
        pieces = client.post("/account/prefs", content=parts, headers=read)
        assert pieces.status_code == 413


def test_a_limit_counts_each_key_alone_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    at = [0.0]
    monkeypatch.setattr(security.time, "monotonic", lambda: at[0])
    limit = security.Limit(2, 10.0)
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]
    assert limit.allows("b")
    at[0] = 10.0
    assert limit.allows("a")
    for key in range(10_002):
        limit.allows(key)
    at[0] = 21.0
    limit.allows("late")
    assert len(limit._seen) == 1


def test_an_error_is_a_page_for_people_and_a_sentence_for_programs(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        client = here.client("owner", raise_server_exceptions=False)

        @here.app.get("/breaks")
        def breaks() -> None:
            raise RuntimeError("the secret of the house")

        page = client.get("/breaks")
        assert page.status_code == 500
        assert "Something broke here" in page.text
        assert "secret" not in page.text
        plain = client.get("/breaks", headers={"accept": "application/json"})
        assert plain.json() == {"detail": plain.json()["detail"]}
        assert "secret" not in plain.text
        assert "There is nothing here" in client.get("/nowhere").text
        assert "not yours to see" in here.client("annotator").get("/people").text
        assert "too large" not in client.get("/studies/99999999999999999999").text


def test_who_is_not_logged_in_is_sent_to_the_login_and_back(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        stranger = here.client()
        answer = stranger.get("/people?x=1&y=//evil.example")
        assert answer.status_code == 303
        assert (
            answer.headers["location"] == "/login?next=%2Fpeople%3Fx%3D1%26y%3D%2F%2Fevil.example"
        )
        program = TestClient(here.app, headers={"accept": "application/json"})
        assert program.get("/people").status_code == 401
