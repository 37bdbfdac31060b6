"""Progress, agreement and annotators as pages, and what happens when one is left out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from accord.maths.intervals import Estimate
from accord.store.judgements import leases
from accord.store.judgements.acts import submit
from accord.store.judgements.agreement import Agreement
from accord.store.judgements.forms import Act
from accord.web import progress
from judge_fakes import TEXTS, Site, site


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    made = site(tmp_path)
    yield made
    made.store.close()


def judge(here: Site, study: int, name: str, wants: str, **more: object) -> None:
    """One verdict: for the answer that begins so."""
    user = here.user(name, "annotator")
    task = leases.next_task(here.store, study, user.id)
    assert task is not None
    ranks = tuple(int(not shown.text.startswith(wants)) for shown in task.answers)
    submit(here.store, user.id, Act(task.lease_id, task.key, ranks=ranks, ms_total=4200, **more))  # type: ignore[arg-type]


def test_an_empty_study_says_why_nothing_is_known(here: Site) -> None:
    study = here.study("pairwise")
    text = here.client().get(f"/studies/{study.id}/progress").text
    assert "Nothing has been judged yet." in text
    assert "Nobody has judged yet" in text
    assert "0 / 3" in text


def test_numbers_of_a_study_and_an_annotator_left_out(here: Site) -> None:
    study = here.study("pairwise", 3, overlap=2)
    first, second = TEXTS[0][:8], TEXTS[1][:8]
    for name, says in (("ann", (first, second, first)), ("ben", (first, second, second))):
        for wants in says:
            judge(here, study.id, name, wants)
    client, address = here.client(), f"/studies/{study.id}/progress"
    text = client.get(address).text
    assert "3 / 3" in text
    assert "4.2 s" in text
    assert "67 % of the cases" in text
    assert "Decide what is disputed (1)" in text
    ben = here.user("ben").id
    assert client.post(f"{address}/exclude/{ben}").status_code == 303
    text = client.get(address).text
    assert "excluded" in text
    assert "0 / 3" in text
    assert "No item was judged by two people" in text
    client.post(f"{address}/include/{ben}")
    assert "3 / 3" in client.get(address).text
    tom = here.client("tom", "annotator")
    assert tom.post(f"{address}/exclude/{ben}").status_code == 403


def test_an_adjudicator_sees_what_was_said_and_decides(here: Site) -> None:
    study = here.study("pairwise", 1, overlap=2)
    judge(here, study.id, "ann", TEXTS[0][:8], reason="it has rhythm")
    judge(here, study.id, "ben", TEXTS[1][:8])
    client, address = here.client(), f"/studies/{study.id}/adjudicate"
    text = client.get(address).text
    assert "What the others said" in text
    assert "it has rhythm" in text
    assert "A is better" in text
    assert "B is better" in text
    lease, key = (
        text.split(f'name="{name}" value="')[1].split('"')[0] for name in ("lease", "key")
    )
    client.post(address, data={"lease": lease, "key": key, "verdict": "first"})
    assert [one.final for one in here.judgements()] == [False, False, True]
    assert "Nothing is disputed" in client.get(address).text
    assert "Decide what is disputed<" in client.get(f"/studies/{study.id}/progress").text


def agreement(
    alpha: float | None, low: float | None = None, high: float | None = None
) -> Agreement:
    why = "" if alpha is not None else "Nothing has been judged yet."
    return Agreement(alpha, low, high, "nominal", why, None, [], None, 0, 12)


@pytest.mark.parametrize(
    ("alpha", "words"),
    [(0.85, "build on"), (0.7, "tentative"), (0.3, "less than one would"), (-0.1, "by chance")],
)
def test_alpha_in_words(alpha: float, words: str) -> None:
    said = progress.alpha_words(agreement(alpha, alpha - 0.1, alpha + 0.1))
    assert words in said.words
    assert said.range.endswith("over 12 items")


def test_what_is_undefined_is_said_and_not_drawn() -> None:
    said = progress.alpha_words(agreement(None))
    assert (said.words, said.span) == ("Nothing has been judged yet.", None)
    assert "undefined" in progress.alpha_words(agreement(0.5)).range


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate(0.7, 0.6, 0.8), "shown first is favoured"),
        (Estimate(0.3, 0.2, 0.4), "shown last is favoured"),
        (Estimate(0.55, 0.45, 0.65), "No sign"),
    ],
)
def test_a_place_that_wins_too_often_is_told(estimate: Estimate, words: str) -> None:
    found = progress.place_words(estimate, 80)
    assert found is not None
    assert words in found.words


@pytest.mark.parametrize(("value", "text"), [(4.24, "4.2 s"), (75.4, "75 s"), (600.0, "10 min")])
def test_times_as_people_say_them(value: float, text: str) -> None:
    assert progress.seconds(value) == text
