"""A disk that is full in the middle: the page says so, and nothing acknowledged is lost."""

from pathlib import Path
from typing import Any

from sqlalchemy import event

from judge_fakes import shown, site


def test_a_full_disk_is_told_and_can_be_mended(tmp_path: Path) -> None:
    here = site(tmp_path)
    study = here.study("pairwise", reason="optional")
    client, address = here.client(), f"/studies/{study.id}/judge"

    def send(reason: str) -> Any:
        text = client.get(address).text
        hidden = {name: shown(text, name) for name in ("lease", "key", "answers")}
        form = hidden | {"verdict": "first", "reason": reason}
        return lambda: client.post(address, data=form)

    assert send("short")().status_code == 303
    again = send("long " * 3000)
    full = [True]

    @event.listens_for(here.store.engine, "begin")
    def small(connection: Any) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() if full[0] else 10**6
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    answer = again()
    assert answer.status_code == 503
    assert "database or disk is full" in answer.text
    assert "This was not kept" in answer.text
    assert len(here.judgements()) == 1
    full[0] = False
    assert again().status_code == 303
    assert [len(one.reason) > 10 for one in here.judgements()] == [False, True]
    here.store.close()
