"""Judgements leave through the site: made by its API, read back by our own readers."""

import json
from pathlib import Path
from typing import Any

import pytest

from accord.data import sources
from accord.store.judgements import resolve, studies
from accord.web import handing
from accord.web.handing import NAMES, Wanted
from site_fakes import Site, site


def judged(here: Site, kind: Any = "pairwise", **config: Any) -> int:
    """A study whose three items an annotator judged through the API: the best is "one"."""
    number = here.study(kind, items=3, **config)
    judge = here.program("annotator", "judge")
    while task := judge.post(f"/api/v1/studies/{number}/next").json():
        texts = [one["text"] for one in task["answers"]]
        act: dict[str, Any] = {"lease_id": task["lease_id"], "key": task["key"]}
        if kind == "rate":
            axes = ("helpful", "honest", "harmless")
            act["ratings"] = {axis: [7 if text == "one" else 2 for text in texts] for axis in axes}
        elif kind == "rewrite":
            act["rewrite"] = "better"
        else:
            act["ranks"] = [0 if text == "one" else 1 for text in texts]
        told = judge.post("/api/v1/judgements", json=act)
        assert told.status_code == 200, told.text
    return number


@pytest.mark.parametrize("kind", ["pairwise", "rank", "rate", "rewrite"])
def test_every_form_that_is_offered_can_be_had(tmp_path: Path, kind: str) -> None:
    with site(tmp_path) as here:
        number = judged(here, kind)
        study, owner = studies.study(here.store, number), here.client("owner")
        forms = handing.fitting(study)
        assert len(forms) >= 4
        page = owner.get(f"/studies/{number}/export").text
        empty = []
        for name, said in forms:
            assert f'value="{name}"' in page, said
            answer = owner.post(f"/studies/{number}/export", data={"to": name})
            if answer.status_code == 400:
                empty.append(name)
                assert "no judgement to hand out" in answer.text
                continue
            assert answer.headers["content-disposition"].startswith("attachment")
            rows = [json.loads(line) for line in answer.text.splitlines()]
            assert len(rows) == int(answer.headers["x-accord-rows"]) >= 1, name
        assert "accord" not in empty
        assert "study" not in empty
        assert len(empty) < len(forms) / 2, empty


def test_what_is_read_back_is_what_was_judged(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        number = judged(here)
        program = here.program("manager", "read")
        for to in ("accord", "trl_explicit", "trl_implicit", "ultrafeedback_binarized"):
            answer = program.get(f"/api/v1/studies/{number}/export", params={"to": to})
            path = tmp_path / f"{to}.jsonl"
            path.write_bytes(answer.content)
            records, tally = sources.read_comparisons(path)
            assert tally.kept == 3
            for one in records:
                best = one.responses[one.ranks.index(0)]
                assert (best, len(set(one.ranks))) == ("one", 2), to
        exports = resolve.exports(here.store, study_id=number)
        assert len(exports) == 4
        assert {len(one.judgements) for one in exports} == {3}
        assert exports[0].digest == answer.headers["x-accord-digest"]
        assert "Handed out before" in here.client("owner").get(f"/studies/{number}/export").text
        assert "annotator@" not in answer.text
        assert '"annotator"' not in answer.text  # the account's name


@pytest.mark.parametrize(
    ("changed", "count"),
    [
        ({}, 3),
        ({"least": "2"}, None),
        ({"agreement": "1"}, 3),
        ({"labels": "every"}, 3),
        ({"labels": "soft"}, 3),
        ({"ties": "keep"}, 3),
        ({"flagged": "keep"}, 3),
        ({"straight": "drop"}, 3),
        ({"leaks": "keep"}, 3),
        ({"fast": "drop"}, None),
        ({"ai": "only"}, None),
        ({"ai": "keep"}, 3),
        ({"since": "2999-01-01"}, None),
        ({"final_only": "true"}, None),
        ({"to": "nothing"}, None),
        ({"agreement": "2"}, 422),
        ({"unknown": "1"}, 422),
    ],
)
def test_each_filter_reaches_the_store(
    tmp_path: Path, changed: dict[str, str], count: int | None
) -> None:
    name = next(iter(changed), "to")
    if name in Wanted.model_fields and name != "to" and count != 422:
        value = Wanted.model_validate(changed)
        assert getattr(value.filters(), name) == getattr(value, name)
        assert getattr(value, name) != Wanted.model_fields[name].default
    with site(tmp_path) as here:
        number = judged(here)
        if changed == {"fast": "drop"}:
            _make_fast(here)
        program = here.program("manager", "read")
        answer = program.get(f"/api/v1/studies/{number}/export", params=changed)
        if count == 422:
            assert answer.status_code == 422
        elif count is None:
            assert answer.status_code == 400, answer.text
        else:
            assert len(answer.text.splitlines()) == count


def _make_fast(here: Site) -> None:
    from sqlalchemy import update

    from accord.store.judgements.tables import Judgement

    with here.store.write() as session:
        session.execute(update(Judgement).values(marks=["fast"]))


def test_only_managers_take_judgements_along(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        number = judged(here)
        for role, status in (("annotator", 403), ("viewer", 403), ("manager", 200)):
            assert here.client(role).get(f"/studies/{number}/export").status_code == status
            assert here.client(role).post(f"/studies/{number}/export").status_code == status
            answer = here.program(role, "read").get(f"/api/v1/studies/{number}/export")
            assert answer.status_code == status
        assert set(NAMES) >= {
            name for name, _ in handing.fitting(studies.study(here.store, number))
        }
