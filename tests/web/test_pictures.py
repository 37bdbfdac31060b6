"""Pictures come from one folder, and nothing else does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from accord.store.judgements.forms import NewItem
from accord.store.judgements.studies import add_items
from judge_fakes import Site, site

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 16


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    made = site(tmp_path / "site")
    (tmp_path / "site" / "files").mkdir()
    (tmp_path / "site" / "files" / "cat.png").write_bytes(PNG)
    (tmp_path / "site" / "files" / "page.png").write_text("<svg onload=alert(1)>")
    (tmp_path / "secret.png").write_bytes(PNG)
    yield made
    made.store.close()


def ask(here: Site, path: str, **config: bool) -> int:
    study = here.study("pairwise", 0, **config)
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image", "path": path}]
    added = add_items(
        here.store, study.id, [NewItem([{"role": "user", "content": parts}], ("a", "b"))]
    )
    assert added.new == 1
    return study.id


def address(text: str) -> str:
    return text.split('class="turn-image" src="')[1].split('"')[0]


def test_a_picture_of_a_message_is_shown(here: Site) -> None:
    study, client = ask(here, "cat.png"), here.client()
    answer = client.get(address(client.get(f"/studies/{study}/judge").text))
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["../secret.png", "../accord.db", "page.png", "gone.png", "https://spy.test/x.png"]
)
def test_what_lies_elsewhere_or_is_no_picture_is_not(here: Site, path: str) -> None:
    study, client = ask(here, path), here.client()
    text = client.get(f"/studies/{study}/judge").text
    assert "spy.test" not in text
    assert client.get(address(text)).status_code == 404


def test_only_who_takes_part_sees_it(here: Site) -> None:
    study = ask(here, "cat.png", everyone=False)
    text = here.client().get(f"/studies/{study}/judge").text
    assert here.client("tom", "annotator").get(address(text)).status_code == 404
