"""From a policy back to each judgement and annotator; whom leaving out affects which models."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI

from accord.store import artifact
from accord.store.judgements import acts, leases, people, resolve, studies
from accord.store.judgements.forms import Act, NewItem, StudyConfig
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import User
from accord.web.lineage import affected, ancestors, exports_of
from accord.web.lineage_layout import HEIGHT, WIDTH, Box, layout
from accord.web.models_known import sealed
from watch_fakes import site


def judged(store: Store, name: str, *who: User, items: int = 4) -> resolve.Resolved:
    """A study, and what these people say of all its items."""
    study = studies.create(store, name, "pairwise", StudyConfig(overlap=len(who), gold_rate=0.0))
    asks = [
        NewItem([{"role": "user", "content": f"{name} {i}"}], (f"good {i}", f"bad {i}"))
        for i in range(items)
    ]
    studies.add_items(store, study.id, asks)
    for user in who:
        while task := leases.next_task(store, study.id, user.id):
            ranks = (0, 1) if task.answers[0].text.startswith("good") else (1, 0)
            act = Act(task.lease_id, task.key, ranks=ranks, reason="kind", ms_total=9000)
            acts.submit(store, user.id, act)
    found = resolve.records(store, study.id)
    resolve.handed_out(store, study.id, resolve.Filters(), found, "", None)
    return found


def seal(folder: Path, kind: str, *parents: Any, data: str | None = None) -> artifact.Artifact:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(str(folder.name))
    settings = {"name": folder.name}
    return artifact.seal(folder, kind=kind, settings=settings, parents=parents, data=data)


def world(app: FastAPI, root: Path) -> dict[str, Any]:
    """grace and edsger judge stories, barbara judges jokes; a policy from each, one from rules."""
    store: Store = app.state.store
    names = ("Grace", "Edsger", "Barbara")
    grace, edsger, barbara = (people.add(store, name, "annotator") for name in names)
    stories = judged(store, "Stories", grace, edsger)
    jokes = judged(store, "Jokes", barbara)
    taken = seal(root / "stories", "comparisons", data=stories.digest)
    reward = seal(root / "reward", "reward", taken, "start 1234")
    first = seal(root / "first", "policy", "start 1234", reward)
    second = seal(root / "second", "policy", seal(root / "jokes", "comparisons", data=jokes.digest))
    third = seal(root / "third", "policy", first, second)
    ruled = seal(root / "ruled", "policy", "rule rule abc")
    everyone = {"grace": grace, "edsger": edsger, "barbara": barbara}
    policies = {"first": first, "second": second, "third": third, "ruled": ruled}
    return {**everyone, **policies, "reward": reward, "stories": stories}


def test_the_way_back_is_found(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with site(tmp_path, root) as (client, app, store):
        made = world(app, root)
        known = {one.id: one for one in sealed(app).all()}
        behind = ancestors(made["first"], known)
        assert [one.name for one in behind] == ["first", "reward", "stories"]
        (export,) = exports_of(store, behind)
        assert export.judgements == made["stories"].judgement_ids
        assert len(export.judgements) == 8
        said = client.get(f"/lineage/{made['first'].id}").text
        assert "by 8 judgements of 2 people" in said
        assert "Grace" in said
        assert "Edsger" in said
        assert "Barbara" not in said
        assert "Stories 0" in said
        assert "A &gt; B" in said
        assert "start" in said
        listed = client.get("/lineage").text
        assert all(made[name].id in listed for name in ("first", "reward", "ruled"))


def test_excluding_somebody_affects_what_learned_from_them(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with site(tmp_path, root) as (client, app, store):
        made = world(app, root)
        ids = [made[name].id for name in ("grace", "barbara")]
        told = affected(store, ids, sealed(app).all())
        names = {one: {a.name for a in few} for one, few in told.items()}
        assert names == {ids[0]: {"first", "third"}, ids[1]: {"second", "third"}}
        people.exclude(store, ids[0], None)
        said = client.get(f"/lineage/{made['third'].id}").text
        assert "excluded" in said
        assert "2 models" in said


def test_judgements_are_paged_and_filtered_by_person(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with site(tmp_path, root) as (client, _app, store):
        ada = people.add(store, "Grace", "annotator")
        many = judged(store, "Many", ada, items=45)
        made = seal(root / "p", "policy", data=many.digest)
        first = client.get(f"/lineage/{made.id}").text
        assert "Page 1 of 3" in first
        last = client.get(f"/lineage/{made.id}", params={"number": 9, "who": ada.id}).text
        assert "Page 3 of 3" in last
        assert client.get(f"/lineage/{made.id}", params={"who": 999}).status_code == 200


def test_names_are_for_managers(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with site(tmp_path, root, "viewer") as (client, app, _):
        made = world(app, root)
        said = client.get(f"/lineage/{made['first'].id}").text
        assert "Grace" not in said
        assert made["grace"].pseudonym in said
        assert "Every judgement" not in said, "what others said is for managers"
        assert "Your judgements" not in said
        asked = client.get(f"/lineage/{made['first'].id}?who={made['grace'].id}").text
        assert "Your judgements" not in asked


def test_what_no_person_judged_says_so(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with site(tmp_path, root) as (client, app, _):
        made = world(app, root)
        assert "No judgement" in client.get(f"/lineage/{made['ruled'].id}").text
        assert client.get("/lineage/none").status_code == 404
    with site(tmp_path / "empty", tmp_path / "none") as (client, _, _):
        assert "Nothing is sealed yet" in client.get("/lineage").text


def test_the_picture_has_no_two_boxes_in_one_place_and_flows_one_way() -> None:
    names = [f"{i}" for i in range(12)]
    edges = [(names[i], names[j]) for i in range(12) for j in range(i + 1, 12) if (i * j) % 3 == 1]
    made = layout([Box(name, "", name) for name in names], [*edges, ("0", "gone"), ("3", "3")])
    place = {box.id: (box.x, box.y) for box in made.boxes}
    assert all(place[a][0] > place[b][0] for a, b in edges)
    for one in made.boxes:
        assert 0 <= one.x <= made.width - WIDTH
        assert 0 <= one.y <= made.height - HEIGHT
        for other in made.boxes:
            apart = abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT
            assert one is other or apart
    assert len(made.lines) == len(edges)


def test_a_line_that_a_longer_way_says_is_marked() -> None:
    boxes = [Box(name, "", name) for name in "abc"]
    made = layout(boxes, [("a", "b"), ("b", "c"), ("a", "c")])
    assert [longer for _, longer in made.lines] == [False, False, True]
    assert layout([], []).lines == []
