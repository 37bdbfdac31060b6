"""Accounts, ways in, and the log of who did what."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from accord.errors import BadData, BadSettings
from accord.store.judgements import people, studies
from accord.store.judgements.forms import NotThere, StudyConfig
from accord.store.judgements.opening import Store, now
from accord.store.judgements.tables import Invite, Login
from judgement_fakes import PASSWORD, held, team


def test_a_login_lasts_until_it_is_ended(store: Store) -> None:
    ada = people.add(store, "Ada", "owner", password=PASSWORD)
    token = people.login(store, "Ada", PASSWORD, "browser")
    other = people.login(store, "Ada", PASSWORD, "phone")
    assert token
    assert other
    found = people.session_user(store, token)
    assert found is not None
    assert found.id == ada.id
    assert {one.agent for one in people.logins(store, ada.id)} == {"browser", "phone"}
    people.logout(store, token)
    assert people.session_user(store, token) is None
    assert people.session_user(store, other) is not None
    people.logout_all(store, ada.id)
    assert people.session_user(store, other) is None


@pytest.mark.parametrize(
    ("name", "password"), [("Ada", "wrong horse"), ("Bob", PASSWORD), ("Cleo", PASSWORD)]
)
def test_a_wrong_name_or_password_logs_nobody_in(lite: Store, name: str, password: str) -> None:
    people.add(lite, "Ada", "owner", password=PASSWORD)
    people.add(lite, "Cleo", "annotator")
    assert people.login(lite, name, password) is None


def test_an_old_login_is_over_and_a_used_one_lives_on(lite: Store) -> None:
    ada = people.add(lite, "Ada", "owner")
    token = people.use_link(lite, people.one_time_link(lite, ada.id))
    assert token

    def age(**values: timedelta) -> None:
        with lite.write() as session:
            row = {name: now() + by for name, by in values.items()}
            session.execute(update(Login).values(**row))

    age(seen=-timedelta(hours=1), expires=timedelta(minutes=1))
    assert people.session_user(lite, token) is not None
    assert people.logins(lite, ada.id)[0].expires > now() + timedelta(days=13)
    age(expires=-timedelta(seconds=1))
    assert people.session_user(lite, token) is None


def test_no_secret_is_kept(lite: Store) -> None:
    ada = people.add(lite, "Ada", "owner", password=PASSWORD)
    secrets = [
        PASSWORD,
        people.login(lite, "Ada", PASSWORD) or "",
        people.invite(lite, "viewer"),
        people.one_time_link(lite, ada.id),
        people.new_token(lite, ada.id, "ci", ["read"]),
    ]
    with lite.engine.connect() as connection:
        told = ""
        for table in ("user", "login", "invite", "token", "event"):
            told += str([*connection.exec_driver_sql(f'SELECT * FROM "{table}"')])
    assert [one for one in secrets if one in told] == []
    assert "argon2id" in told


def test_names_and_passwords_that_do_not_do(lite: Store) -> None:
    people.add(lite, "Ada  L", "owner")
    for name, says in (("ada l", "taken"), (" ", "1 to 120"), ("x" * 121, "1 to 120")):
        with pytest.raises(BadSettings, match=says):
            people.add(lite, name, "viewer")
    with pytest.raises(BadSettings, match="at least 8"):
        people.add(lite, "Bob", "viewer", password="short")
    with pytest.raises(BadSettings, match="no role"):
        people.add(lite, "Bob", "king")
    with pytest.raises(BadSettings, match="person or of an ai"):
        people.add(lite, "Bob", "viewer", kind="cat")
    with pytest.raises(NotThere):
        people.user(lite, "Bob")


def test_roles_may_what_those_after_them_may() -> None:
    acts = ("read", "judge", "manage", "own")
    told = {
        role: "".join(what[0] for what in acts if people.may(role, what)) for role in people.ROLES
    }
    assert told == {"owner": "rjmo", "manager": "rjm", "annotator": "rj", "viewer": "r"}


def test_the_last_owner_stays(store: Store) -> None:
    ada = people.add(store, "Ada", "owner")
    with pytest.raises(BadSettings, match="last owner"):
        people.set_role(store, ada.id, "viewer")
    with pytest.raises(BadSettings, match="last owner"):
        people.close_account(store, ada.id)
    bob = people.add(store, "Bob", "owner")
    assert people.owners(store) == 2
    people.close_account(store, ada.id, bob.id)
    assert people.owners(store) == 1


def test_a_closed_account_is_out_of_everything(store: Store) -> None:
    people.add(store, "Ada", "owner")
    bob = people.add(store, "Bob", "annotator", password=PASSWORD)
    token, key = (
        people.login(store, "Bob", PASSWORD),
        people.new_token(store, bob.id, "x", ["read"]),
    )
    link = people.one_time_link(store, bob.id)
    people.close_account(store, bob.id)
    assert people.session_user(store, token or "") is None
    assert people.token_user(store, key) is None
    assert people.use_link(store, link) is None
    assert people.login(store, "Bob", PASSWORD) is None
    people.open_account(store, bob.id)
    assert people.login(store, "Bob", PASSWORD)
    assert people.token_user(store, key) is None, "keys stay revoked"


def test_a_new_password_logs_out_everywhere(lite: Store) -> None:
    ada = people.add(lite, "Ada", "owner", password=PASSWORD)
    token = people.login(lite, "Ada", PASSWORD) or ""
    people.set_password(lite, ada.id, "another one")
    assert people.session_user(lite, token) is None
    assert people.login(lite, "Ada", PASSWORD) is None
    assert people.login(lite, "Ada", "another one")


def test_an_invite_is_used_as_often_as_it_says(store: Store) -> None:
    study = held(store, everyone=False)
    token = people.invite(store, "annotator", study_id=study.id, uses=2, note="team b")
    assert people.open_invite(store, token)
    first = people.accept(store, token, "One")
    with pytest.raises(BadSettings, match="taken"):
        people.accept(store, token, "One")
    people.accept(store, token, "Two", PASSWORD)
    assert people.open_invite(store, token) is None
    with pytest.raises(BadSettings, match="run out"):
        people.accept(store, token, "Three")
    assert [one.name for one in studies.members(store, study.id)] == ["One", "Two"]
    assert first.role == "annotator"
    assert first.pseudonym.startswith("annotator-")


def test_an_invite_runs_out_or_is_revoked(lite: Store) -> None:
    old, revoked = people.invite(lite, "viewer"), people.invite(lite, "viewer")
    assert len(people.invites(lite)) == 2
    with lite.write() as session:
        gone = now() - timedelta(seconds=1)
        session.execute(update(Invite).values(expires=gone).where(Invite.left == 1))
    assert people.invites(lite) == []
    assert people.open_invite(lite, old) is None
    fresh = people.invite(lite, "viewer")
    people.revoke_invite(lite, people.invites(lite)[0].hash)
    assert people.open_invite(lite, fresh) is None
    assert people.open_invite(lite, revoked) is None
    with pytest.raises(BadSettings, match="not 'owner'"):
        people.invite(lite, "owner")


def test_a_one_time_link_is_for_one_person_once(lite: Store) -> None:
    ada = people.add(lite, "Ada", "owner")
    link = people.one_time_link(lite, ada.id)
    assert people.open_invite(lite, link) is None, "it makes no account"
    token = people.use_link(lite, link)
    assert token
    found = people.session_user(lite, token)
    assert found is not None
    assert found.id == ada.id
    assert people.use_link(lite, link) is None
    assert people.use_link(lite, people.invite(lite, "viewer")) is None


def test_people_come_from_a_csv_all_or_none(store: Store) -> None:
    studies.create(store, "s", "pairwise", StudyConfig(everyone=False))
    text = "\ufeffname,role,email,study\nAnn,,ann@x.org,s\nBen,manager,,\n"
    made = people.people_from_csv(store, text)
    assert [(user.name, user.role, user.email) for user, _ in made] == [
        ("Ann", "annotator", "ann@x.org"),
        ("Ben", "manager", None),
    ]
    assert people.use_link(store, made[0][1])
    assert [one.name for one in studies.members(store, 1)] == ["Ann"]
    for bad, says in (
        ("name\nCid\nAnn\n", "line 3: the name 'Ann' is taken"),
        ("name,role\nCid,king\n", "line 2: 'king' is no role"),
        ("name,study\nCid,t\n", "line 2: there is no study"),
        ("who\nCid\n", "no column 'name'"),
        ("name,age\nCid,3\n", "mean nothing here: age"),
    ):
        with pytest.raises(BadData, match=says):
            people.people_from_csv(store, bad)
    assert [one.name for one in people.users(store)] == ["Ann", "Ben"]


def test_tokens_carry_scopes_and_are_revoked(store: Store) -> None:
    ada = people.add(store, "Ada", "owner")
    key = people.new_token(store, ada.id, "ci", ["runs", "read", "read"])
    found = people.token_user(store, key)
    assert found is not None
    assert (found[0].id, found[1]) == (ada.id, {"read", "runs"})
    (row,) = people.tokens(store, ada.id)
    assert row.used is not None
    with pytest.raises(NotThere):
        people.revoke_token(store, ada.id + 1, row.id)
    people.revoke_token(store, ada.id, row.id)
    assert people.token_user(store, key) is None
    assert people.tokens(store, ada.id) == []
    for scopes, says in ((["all"], "no scope"), ([], "at least one")):
        with pytest.raises(BadSettings, match=says):
            people.new_token(store, ada.id, "x", scopes)


def test_preferences_and_address(lite: Store) -> None:
    (one,) = team(lite, 1)
    people.set_prefs(lite, one.id, {"theme": "dark"})
    people.set_email(lite, one.id, "a@b.org")
    found = people.user(lite, one.id)
    assert (found.prefs, found.email) == ({"theme": "dark"}, "a@b.org")
    with pytest.raises(BadSettings, match="no e-mail"):
        people.set_email(lite, one.id, "nobody")


def test_the_log_tells_who_did_what(store: Store) -> None:
    ada = people.add(store, "Ada", "owner")
    bob = people.add(store, "Bob", "annotator", by=ada.id)
    people.exclude(store, bob.id, ada.id)
    people.include(store, bob.id, ada.id)
    told = people.events(store)
    assert [one.what for one in told] == ["included", "excluded", "account made", "account made"]
    assert [one.user_id for one in told] == [ada.id, ada.id, ada.id, None]
    assert told[1].about == {"user": bob.id, "opened": 0}
    assert people.events(store, what="excluded", limit=1)[0].id == told[1].id
    assert [one.id for one in people.events(store, user_id=ada.id, before=told[1].id)] == [
        told[2].id
    ]
