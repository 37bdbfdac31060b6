"""Coming in and going out: sessions, links, passwords, tokens."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from accord.store.judgements import people
from accord.store.judgements.opening import now
from accord.store.judgements.tables import Invite, Login
from accord.web import security
from accord.web.security import COOKIE, local
from site_fakes import PASSWORD, Site, site


def enter(here: Site, **data: str):
    return here.client().post("/login", data={"name": "owner", "password": PASSWORD} | data)


def test_a_password_lets_in_and_the_cookie_is_guarded(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        people.set_password(here.store, here.users["owner"].id, PASSWORD)
        for wrong in ({"password": "not this one"}, {"name": "nobody"}, {"password": ""}):
            answer = enter(here, **wrong)
            assert answer.status_code == 401
            assert "do not go together" in answer.text
            assert "set-cookie" not in answer.headers
        answer = enter(here)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie
        secure = here.client(base_url="https://testserver")
        answer = secure.post("/login", data={"name": "owner", "password": PASSWORD})
        assert "Secure" in answer.headers["set-cookie"]


def test_a_session_is_never_the_one_that_was_brought(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        people.set_password(here.store, here.users["owner"].id, PASSWORD)
        client = here.client()
        client.cookies.set(COOKIE, "planted")
        planted = client.post("/login", data={"name": "owner", "password": PASSWORD})
        token = planted.headers["set-cookie"].partition(f"{COOKIE}=")[2].partition(";")[0]
        assert token != "planted"
        assert people.session_user(here.store, "planted") is None
        # and logging in again ends the session before it
        again = here.client()
        again.cookies.set(COOKIE, token)
        assert again.post("/login", data={"name": "owner", "password": PASSWORD}).status_code == 303
        assert people.session_user(here.store, token) is None


@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        ("/people", "/people"),
        ("/people?x=1", "/people?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/x\\..\\evil", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("\n//evil.example", "/"),
        ("evil.example", "/"),
        ("", "/"),
        (None, "/"),
    ],
)
def test_the_login_leads_nowhere_else(tmp_path: Path, asked: str | None, goes: str) -> None:
    assert local(asked) == goes
    with site(tmp_path) as here:
        given = {} if asked is None else {"next": asked}
        answer = here.client("owner").get("/login", params=given)
        assert answer.headers["location"] == goes


def test_logging_out_ends_the_session_in_the_store(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        client = here.client("owner")
        token = client.cookies[COOKIE]
        assert client.get("/logout").status_code == 405  # a picture elsewhere logs nobody out
        assert client.post("/logout").headers["location"] == "/login"
        assert people.session_user(here.store, token) is None


def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        client = here.client()
        codes = [client.post(f"/in/guess{n}").status_code for n in range(12)]
        assert codes == [403] * 10 + [429] * 2
        limited = client.post("/login", data={"name": "owner", "password": PASSWORD})
        assert limited.status_code == 429
        assert "wait a minute" in limited.text


def test_a_login_link_works_once_and_not_for_long(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        link = people.one_time_link(here.store, here.users["owner"].id)
        far = here.client(base_url="http://testserver")
        shown = far.get(f"/in/{link}")  # a preview of the link does not use it up
        assert "set-cookie" not in shown.headers
        assert far.post(f"/in/{link}").status_code == 303
        assert far.get("/people").status_code == 200
        again = here.client().post(f"/in/{link}")
        assert again.status_code == 403
        assert "used already" in again.text
        late = people.one_time_link(here.store, here.users["owner"].id)
        with here.store.write() as session:
            for one in session.scalars(select(Invite)):
                one.expires = now() - timedelta(seconds=1)
        assert here.client().post(f"/in/{late}").status_code == 403
        near = here.client(base_url="http://127.0.0.1:8080")
        link = people.one_time_link(here.store, here.users["owner"].id)
        forged = near.get(f"/in/{link}", headers={"sec-fetch-site": "cross-site"})
        assert "set-cookie" not in forged.headers
        assert near.get(f"/in/{link}").status_code == 303


def test_an_invitation_makes_one_account(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        token = people.invite(here.store, "annotator", by=here.users["owner"].id)
        guest = here.client()
        assert "You are invited" in guest.get(f"/join/{token}").text
        taken = guest.post(f"/join/{token}", data={"name": "owner"})
        assert taken.status_code == 400
        short = guest.post(f"/join/{token}", data={"name": "Mia", "password": "short"})
        assert "at least 8" in short.text
        empty = guest.post(f"/join/{token}", data={"name": "  "})
        assert empty.status_code == 400
        assert guest.post(f"/join/{token}", data={"name": "Mia"}).status_code == 303
        assert "Mia" in guest.get("/").text
        assert people.user(here.store, "Mia").role == "annotator"
        assert here.client().get(f"/join/{token}").status_code == 403
        assert here.client().post(f"/join/{token}", data={"name": "Eve"}).status_code == 403
        link = people.one_time_link(here.store, here.users["owner"].id)
        assert here.client().post(f"/join/{link}", data={"name": "Eve"}).status_code == 403


def test_a_new_password_ends_every_other_session(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        one, other = here.client("owner"), here.client("owner")
        assert one.post("/account/password", data={"new": "short"}).status_code == 400
        answer = one.post("/account/password", data={"new": PASSWORD})
        assert answer.headers["location"] == "/account?said=password"
        assert one.get("/account").status_code == 200
        assert other.get("/account").status_code == 303
        wrong = one.post("/account/password", data={"now_": "no", "new": "another one"})
        assert "not your password" in wrong.text
        right = one.post("/account/password", data={"now_": PASSWORD, "new": "another one"})
        assert right.status_code == 303
        assert people.login(here.store, "owner", "another one", "") is not None


def test_sessions_are_listed_and_ended(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        one, other = here.client("owner"), here.client("owner")
        text = one.get("/account").text
        assert text.count("An unknown browser") == 2
        assert text.count("this browser") == 1
        with here.store.read() as session:
            hashes = {row.hash for row in session.scalars(select(Login))}
        theirs = next(h for h in hashes if h in text)
        mine = here.client("viewer")
        mine.post("/account/logout-one", data={"hash": theirs})  # not theirs to end
        assert other.get("/account").status_code == 200
        one.post("/account/logout-one", data={"hash": theirs})
        assert other.get("/account").status_code == 303
        assert one.post("/account/logout-all").headers["location"] == "/login"
        assert one.get("/account").status_code == 303


def test_preferences_are_kept_and_say_how_pages_look(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        client, owner = here.client("owner"), here.users["owner"].id
        people.set_prefs(here.store, owner, {"keys": {"skip": "x"}})
        assert 'data-theme="auto"' in client.get("/").text
        client.post("/account/prefs", data={"theme": "light", "plain": "yes"})
        told = people.user(here.store, owner).prefs
        assert told == {
            "keys": {"skip": "x"},
            "theme": "light",
            "view": "plain",
            "shortcuts": False,
        }
        assert 'data-theme="light"' in client.get("/").text
        client.post("/account/prefs", data={"theme": '"><script>', "shortcuts": "yes"})
        assert people.user(here.store, owner).prefs["theme"] == "auto"


def test_a_note_after_a_redirect_cannot_be_made_up(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        client = here.client("owner")
        assert "Saved." in client.get("/account?said=saved").text
        assert "call this number" not in client.get("/account?said=call this number").text


def test_a_token_is_shown_once_and_can_be_taken_back(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        client = here.client("annotator")
        assert client.post("/account/tokens", data={"name": "x"}).status_code == 400
        too_much = client.post("/account/tokens", data={"name": "x", "scopes": ["manage"]})
        assert too_much.status_code == 400
        assert client.post("/account/tokens", data={"scopes": ["all"]}).status_code == 400
        made = client.post("/account/tokens", data={"name": "script", "scopes": ["read", "judge"]})
        token = made.text.partition('id="token-value"')[2].partition('value="')[2].partition('"')[0]
        assert token.startswith("accord_")
        assert token not in client.get("/account").text
        found = people.token_user(here.store, token)
        assert found is not None
        number = people.tokens(here.store, here.users["annotator"].id)[0].id
        other = here.client("owner")
        assert other.post(f"/account/tokens/{number}/revoke").status_code == 404
        assert client.post(f"/account/tokens/{number}/revoke").status_code == 303
        assert people.token_user(here.store, token) is None


def test_the_page_of_the_account_offers_what_the_role_allows(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        assert 'value="manage"' in here.client("manager").get("/account").text
        assert 'value="manage"' not in here.client("annotator").get("/account").text
        assert 'value="judge"' not in here.client("viewer").get("/account").text


def test_the_caller_is_the_limit_of_its_own(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        client = here.client()
        client.headers["authorization"] = "Bearer wrong"
        codes = [client.get("/api/v1/me").status_code for _ in range(security.GUESSES.count + 1)]
        assert set(codes[:-1]) == {401}
        assert codes[-1] == 429
