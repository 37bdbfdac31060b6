"""Roles, invitations, lists of people, excluding, and the log."""

from pathlib import Path

import pytest

from accord.store import artifact
from accord.store.judgements import acts, leases, people
from accord.store.judgements.forms import Act
from accord.store.judgements.opening import now
from accord.store.judgements.tables import Export
from site_fakes import ROLES, Site, site

MANAGED = ["/people", "/people/1", "/log", "/studies/new", "/studies/1/edit", "/studies/1/people"]


@pytest.mark.parametrize(
    ("path", "roles"),
    [
        ("/", "owner manager annotator viewer"),
        ("/account", "owner manager annotator viewer"),
        ("/studies/1", "owner manager annotator viewer"),
        *((path, "owner manager") for path in MANAGED),
    ],
)
def test_who_sees_what(tmp_path: Path, path: str, roles: str) -> None:
    with site(tmp_path) as here:
        here.study()
        for role in ROLES:
            wanted = 200 if role in roles.split() else 403
            assert here.client(role).get(path).status_code == wanted, role
        assert here.client().get(path).status_code == 303


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/people/invite", {"role": "annotator"}),
        ("/people/uninvite", {"hash": "x"}),
        ("/people/4/exclude", {}),
        ("/people/4/include", {}),
        ("/people/4/role", {"role": "annotator"}),
        ("/people/4/link", {}),
        ("/people/4/close", {}),
        ("/people/4/open", {}),
        ("/sample", {}),
        ("/studies/new", {}),
        ("/studies/preview", {}),
        ("/studies/1/edit", {}),
        ("/studies/1/status", {"status": "paused"}),
        ("/studies/1/people", {}),
        ("/studies/1/invite", {}),
    ],
)
def test_who_may_change_what(tmp_path: Path, path: str, data: dict[str, str]) -> None:
    with site(tmp_path) as here:
        here.study()
        for role in ("annotator", "viewer"):
            assert here.client(role).post(path, data=data).status_code == 403, role
        assert here.client().post(path, data=data).status_code == 303  # to the login
        assert here.client("manager").post(path, data=data).status_code in (200, 303, 400)


def number(here: Site, role: str) -> int:
    return here.users[role].id


def test_a_manager_does_not_rise_nor_touch_an_owner(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        manager, owner = here.client("manager"), here.client("owner")
        for path in ("exclude", "close", "link"):
            assert manager.post(f"/people/{number(here, 'owner')}/{path}").status_code == 403
        own = f"/people/{number(here, 'manager')}/role"
        assert manager.post(own, data={"role": "owner"}).status_code == 403
        assert manager.post("/people/invite", data={"role": "manager"}).status_code == 403
        assert manager.post("/people/invite", data={"role": "owner"}).status_code == 400
        theirs = f"/people/{number(here, 'viewer')}/role"
        assert manager.post(theirs, data={"role": "manager"}).status_code == 403
        assert manager.post(theirs, data={"role": "annotator"}).status_code == 303
        assert owner.post(theirs, data={"role": "manager"}).status_code == 303
        assert people.user(here.store, "viewer").role == "manager"
        last = owner.post(f"/people/{number(here, 'owner')}/role", data={"role": "viewer"})
        assert (last.status_code, "last owner" in last.text) == (400, True)
        csv = {"file": ("p.csv", b"name,role\nZoe,owner\n")}
        assert manager.post("/people/csv", files=csv).status_code == 403
        assert owner.post(theirs, data={"role": "king"}).status_code == 400
        assert owner.get("/people/77").status_code == 404


def test_a_link_is_shown_once_listed_and_withdrawn(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        here.app.state.cfg = here.app.state.cfg.__class__(url="https://site.example.org/")
        owner = here.client("owner")
        data = {"role": "annotator", "uses": "3", "days": "2", "note": "the night shift"}
        made = owner.post("/people/invite", data=data).text
        token = made.partition("https://site.example.org/join/")[2].partition('"')[0]
        found = people.open_invite(here.store, token)
        assert found is not None
        assert (found.left, found.role) == (3, "annotator")
        listed = owner.get("/people").text
        assert "the night shift" in listed
        assert token not in listed
        owner.post("/people/uninvite", data={"hash": found.hash})
        assert people.open_invite(here.store, token) is None
        for wrong in ({"uses": "0"}, {"days": "0"}, {"days": "1000"}, {"uses": "many"}):
            assert owner.post("/people/invite", data=data | wrong).status_code == 422


def test_a_list_of_people_makes_accounts_or_none(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        owner = here.client("owner")

        def send(raw: bytes):
            return owner.post("/people/csv", files={"file": ("people.csv", raw)})

        made = send(b"name,role,email\nZoe,annotator,zoe@example.org\nYann,manager,\n").text
        assert "Zoe" in made
        links = [part.partition('"')[0] for part in made.split("http://testserver/in/")[1:]]
        assert len(links) == 2
        zoe = here.client()
        assert zoe.post(f"/in/{links[0]}").status_code == 303
        assert "Zoe" in zoe.get("/account").text
        before = len(people.users(here.store))
        assert send(b"name,role\nUma,annotator\nXaver,king\n").status_code == 400
        assert send(b"\xff\xfe\x00").status_code == 400
        assert send(b"x" * (2 << 20)).status_code == 400
        assert len(people.users(here.store)) == before


def test_excluding_says_which_models_are_affected(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        study = here.study()
        who = number(here, "annotator")
        task = leases.next_task(here.store, study, who)
        assert task is not None
        act = Act(lease_id=task.lease_id, key=task.key, ranks=(0, 1))
        receipt = acts.submit(here.store, who, act)
        made = [_artifact(tmp_path, "comparisons", data="d1g35t")]
        made.append(_artifact(tmp_path, "reward", made[0]))
        made.append(_artifact(tmp_path, "policy", made[1]))
        other = _artifact(tmp_path, "policy-of-others")
        with here.store.write() as session:
            held = {"study_id": study, "filters": {}, "path": "", "user_id": None, "at": now()}
            session.add(Export(judgements=[receipt.judgement_id], digest="d1g35t", **held))
        page = here.client("owner").get(f"/people/{who}").text
        assert "2 models learned from them" in page
        assert made[2].short in page
        assert other.short not in page
        assert "No model that is known here" in here.client("owner").get("/people/4").text
        here.client("owner").post(f"/people/{who}/exclude")
        assert people.user(here.store, who).excluded is not None
        assert "do not count" in here.client("owner").get(f"/people/{who}").text
        assert here.client("owner").post(f"/people/{who}/include").status_code == 303
        assert people.user(here.store, who).excluded is None


def _artifact(folder: Path, name: str, *parents: artifact.Artifact, data: str | None = None):
    place = folder / "runs" / name
    place.mkdir(parents=True)
    (place / "x.txt").write_text(name)
    kind = name.partition("-")[0]
    return artifact.seal(place, kind=kind, settings={}, parents=parents, data=data)


def test_a_closed_account_cannot_come_in(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        viewer, who = here.client("viewer"), number(here, "viewer")
        assert viewer.get("/").status_code == 200
        owner = here.client("owner")
        owner.post(f"/people/{who}/close")
        assert viewer.get("/").status_code == 303
        owner.post(f"/people/{who}/open")
        page = owner.post(f"/people/{who}/link").text
        link = page.partition("http://testserver/in/")[2].partition('"')[0]
        assert here.client().post(f"/in/{link}").status_code == 303


def test_the_log_tells_who_did_what(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        owner = here.client("owner")
        owner.post("/people/4/role", data={"role": "annotator"})
        page = owner.get("/log").text
        assert "role changed" in page or "role" in page
        events = people.events(here.store, limit=1000)
        oldest = events[-1]
        assert owner.get(f"/log?before={oldest.id}").text.count("<td") == 0
        only = owner.get("/log", params={"what": "logged in"}).text
        assert only.count("<tr>") == 1 + sum(e.what == "logged in" for e in events)
        assert owner.get("/log?before=x").status_code == 422
