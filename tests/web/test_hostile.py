"""What strangers and models write is shown, and does nothing."""

from pathlib import Path

import pytest

from accord.store.judgements import acts, leases, people, studies
from accord.store.judgements.forms import Act, NewItem, StudyConfig
from accord.web.render import markdown
from site_fakes import Site, site

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "</textarea><script>alert(1)</script>",
)
LIVE = ("<script>alert", "<img src=x", "<svg/onload", ">49<")
PAGES = ["/", "/people", "/log", "/account", "/studies/1", "/studies/1/edit", "/studies/1/people"]
PAGES += ["/studies/1/judge", "/studies/1/progress", "/studies/1/adjudicate", "/lineage"]


def planted(here: Site, text: str) -> None:
    """The text in every field that a person, a model or a program can fill."""
    store, owner = here.store, here.users["owner"].id
    config = StudyConfig(
        question=text, guidelines=text, leaks=(text,), axes=(text,), reason="optional", overlap=2
    )
    made = studies.create(store, text[:100], "pairwise", config)
    turns = [{"role": "system", "content": text}, {"role": "user", "content": text}]
    items = [NewItem(turns, (text, f"{text} {n}"), models=(text, text), source=text) for n in "12"]
    studies.add_items(store, made.id, items, by=owner)
    user = people.add(store, text[:100], "annotator")
    task = leases.next_task(store, made.id, user.id)
    assert task is not None
    acts.submit(store, user.id, Act(task.lease_id, task.key, ranks=(0, 1), reason=text))
    other = leases.next_task(store, made.id, user.id)
    assert other is not None
    acts.submit(store, user.id, Act(other.lease_id, other.key, act="flag", reason=text))
    people.invite(store, "annotator", note=text)
    people.new_token(store, owner, text, ["read"])
    people.use_link(store, people.one_time_link(store, owner), text)  # the browser's name


@pytest.mark.parametrize("text", PAYLOADS)
def test_no_field_becomes_a_part_of_the_page(tmp_path: Path, text: str) -> None:
    with site(tmp_path) as here:
        planted(here, text)
        client, seen = here.client("owner"), 0
        person = people.user(here.store, text[:100]).id
        for path in [*PAGES, f"/people/{person}"]:
            answer = client.get(path)
            if answer.status_code == 404:
                continue  # a page of a part that is not here
            assert answer.status_code < 400, (path, answer.text[-400:])
            for live in LIVE:
                assert live not in answer.text, (path, live)
            seen += "alert(1)" in answer.text or "7*7" in answer.text
        assert seen >= 6
        given = {"kind": "pairwise", "question": text, "guidelines": text, "name": text}
        for path in ("/studies/preview", "/studies/new"):
            answer = client.post(path, data=given)
            assert not any(live in answer.text for live in LIVE)
        failed = here.client().post("/login", data={"name": text, "password": "x", "next": text})
        assert not any(live in failed.text for live in LIVE)
        lost = here.client("owner").get(f"/people/{text}")
        assert not any(live in lost.text for live in LIVE)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("**bold** and *it*", "<p><strong>bold</strong> and <em>it</em></p>"),
        ("<b>raw</b>", "<p>&lt;b&gt;raw&lt;/b&gt;</p>"),
        ("![x](https://evil.example/x.png)", "<p></p>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("[x](data:text/html,hi)", "<p>[x](data:text/html,hi)</p>"),
        ("`<i>`", "<p><code>&lt;i&gt;</code></p>"),
        ("| a |\n|-|\n| b |", "<table>"),
        ("~~no~~", "<s>no</s>"),
        ("```python\nx < 1\n```", '<code class="language-python">x &lt; 1'),
    ],
)
def test_markdown_is_shown_and_loads_nothing(given: str, made: str) -> None:
    assert made in markdown(given)


def test_links_in_markdown_tell_nobody_where_they_were_clicked() -> None:
    told = markdown("[here](https://example.org/x)")
    assert 'href="https://example.org/x"' in told
    assert 'rel="noopener noreferrer nofollow"' in told
    assert 'target="_blank"' in told


def test_what_is_uploaded_is_no_page_either(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.jsonl"
    with site(tmp_path) as here:
        study = here.study(items=0)
        for content in (b"{", b'{"prompt": "<img src=x>", "chosen": "a", "rejected": "b"}\n'):
            files = {"file": (name, content)}
            answer = here.client("owner").post(f"/studies/{study}/items", files=files)
            assert "<img src=x" not in answer.text
