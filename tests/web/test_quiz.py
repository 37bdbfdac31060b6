"""The quiz on its pages: practice is told, failing is told kindly, a manager lets in."""

from pathlib import Path

from accord.store.judgements import quiz, studies
from accord.store.judgements.forms import NewItem, Quiz
from judge_fakes import Site, shown, site


def with_quiz(here: Site, there: int = 2, items: int = 1) -> int:
    study = here.study("pairwise", 2, quiz=Quiz(items=items, passes=1.0))
    gold = {"ranks": [0, 1], "why": "It answers."}
    known = [
        NewItem([{"role": "user", "content": f"known {n}"}], ("good", "bad"), gold=gold)
        for n in range(there)
    ]
    assert studies.add_items(here.store, study.id, known).refused == []
    return study.id


def answer(client, study: int, right: bool) -> str:
    """Judge the item before one, and the sentence about it."""
    text = client.get(f"/studies/{study}/judge").text
    first = text.index(">good<") < text.index(">bad<")
    verdict = "first" if first == right else "second"
    fields = {name: shown(text, name) for name in ("lease", "key", "answers")}
    done = client.post(f"/studies/{study}/judge", data={**fields, "verdict": verdict})
    assert done.status_code == 303, done.text
    return client.get(done.headers["location"]).text


def test_practice_is_told_and_passed(tmp_path: Path) -> None:
    here = site(tmp_path)
    study = with_quiz(here)
    ben = here.client("ben", "annotator")
    text = ben.get(f"/studies/{study}/judge").text
    assert "Practice, 1 of 1" in text
    assert "100 % must be right" in text
    after = answer(ben, study, right=True)
    assert "That was right. The known answer" in after
    assert "from now on it counts" in after
    assert "It answers." in after
    assert "Practice" not in after


def test_failing_twice_is_told_kindly_and_a_manager_lets_in(tmp_path: Path) -> None:
    here = site(tmp_path)
    study = with_quiz(here)
    ben = here.client("ben", "annotator")
    again = answer(ben, study, right=False)
    assert "That was not right." in again
    assert "second try" in again
    assert "counts" not in again
    after = answer(ben, study, right=False)
    assert "That was the practice" in after
    assert "A manager of the study can let you in." in after
    assert "done-mark" not in after, "no tick"
    undone = ben.post(f"/studies/{study}/judge/undo")
    assert "answers+of+the+quiz+stand" in undone.headers["location"]
    mia = here.client("mia", "manager")
    page = mia.get(f"/studies/{study}/progress").text
    assert "In the quiz" in page
    assert "0 of 1 right in the last of 2 tries" in page
    path = f"/studies/{study}/progress/let-in/{here.users['ben'].id}"
    assert ben.post(path).status_code == 403
    assert mia.post(f"/studies/{study}/progress/let-in/99").status_code == 404
    assert mia.post(path).status_code == 303
    assert quiz.quiz(here.store, study, here.users["ben"].id).open
    assert "In the quiz" not in mia.get(f"/studies/{study}/progress").text
    assert 'name="lease"' in ben.get(f"/studies/{study}/judge").text


def test_too_few_known_items_are_told_where_the_study_is_made(tmp_path: Path) -> None:
    here = site(tmp_path)
    study = with_quiz(here, there=1, items=2)
    mia, ben = here.client("mia", "manager"), here.client("ben", "annotator")
    for page in ("", "/progress"):
        assert "nobody can begin" in mia.get(f"/studies/{study}{page}").text
        assert "nobody can begin" not in ben.get(f"/studies/{study}{page}").text
    assert "Not ready yet" in ben.get(f"/studies/{study}/judge").text


def test_the_form_has_it(tmp_path: Path) -> None:
    here = site(tmp_path)
    mia = here.client("mia", "manager")
    text = mia.get("/studies/new?kind=pairwise").text
    assert 'name="quiz.items"' in text
