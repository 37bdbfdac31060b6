"""All samples are kept in reach: by step, by prompt across steps, by words, best and worst."""

from pathlib import Path

from accord.web.runs_samples import Samples, prompt_sum
from watch_fakes import shown, site, write_lines, write_run


def write(path: Path, steps: int, first: int = 0) -> None:
    rows = [{"step": s, **one} for s in range(first, steps) for one in shown(s)]
    write_lines(path, rows)


def test_steps_and_prompts_that_come_again(tmp_path: Path) -> None:
    write(tmp_path / "samples.jsonl", 5)
    index = Samples(tmp_path / "samples.jsonl").refresh()
    assert len(index) == 15
    assert index.turns() == list(range(5))
    assert index.returning() == [(prompt_sum("Once upon a time"), 5)]
    one = index.page(step=3).samples[1]
    assert (one.prompt, one.response) == ("Prompt 3-1", "answer 1 of step 3")
    assert (one.score, one.kl, one.finish) == (0.0, 0.5, "eos")
    across = index.page(prompt=prompt_sum("Once upon a time"))
    assert [one.step for one in across.samples] == list(range(5))


def test_pages_words_and_order(tmp_path: Path) -> None:
    write(tmp_path / "samples.jsonl", 10)
    index = Samples(tmp_path / "samples.jsonl").refresh()
    first, last = index.page(per=8), index.page(per=8, page=99)
    assert (first.total, first.pages, len(first.samples)) == (30, 4, 8)
    assert (last.page, len(last.samples)) == (4, 6)
    found = index.page(words="OF STEP 7")
    assert {one.step for one in found.samples} == {7}
    best = [one.score for one in index.page(step=2, sort="best").samples]
    assert best == [1.0, 0.0, -1.0]
    assert [one.score for one in index.page(step=2, sort="worst").samples] == best[::-1]
    assert index.page(words="zebra").total == 0


def test_it_grows_and_is_cut_back(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    write(path, 3)
    index = Samples(path).refresh()
    write(path, 5, first=3)
    assert index.refresh().turns() == list(range(5))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:6]))
    assert index.refresh().turns() == [0, 1]


def test_a_file_cut_under_its_index_shows_fewer_and_breaks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    write(path, 3)
    index = Samples(path).refresh()
    path.write_text("")
    assert index.page().samples == []


def test_messages_missing_fields_and_odd_values(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    rows = [
        {"step": 0, "prompt": [{"role": "user", "content": "Hi"}], "response": None},
        {"step": 1, "response": "x", "score": float("nan"), "depth": 0.12345, "tags": ["a"]},
        {"response": "no step"},
    ]
    write_lines(path, rows)
    first, second = Samples(path).refresh().page().samples
    assert first.prompt == "user: Hi"
    assert (first.response, first.score) == ("", None)
    assert second.score is None
    assert second.more == {"depth": "0.1235", "tags": '["a"]'}


def test_the_page_of_samples(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", 5)
    with site(tmp_path, tmp_path / "runs") as (client, _, _):
        last = client.get("/runs/a/samples").text
        assert "answer 0 of step 4" in last
        assert "reward -1" in last
        assert "KL 0.5" in last
        assert 'max="4"' in last
        near = client.get("/runs/a/samples", params={"step": 99, "bare": True}).text
        assert "answer 0 of step 4" in near
        assert "<html" not in near
        one = prompt_sum("Once upon a time")
        across = client.get("/runs/a/samples", params={"prompt": one}).text
        assert all(f"answer 0 of step {step}" in across for step in range(5))
        assert "step 3" in client.get("/runs/a/samples", params={"q": "of step 3"}).text


def test_a_run_without_samples_says_why(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", 2)
    (tmp_path / "runs" / "a" / "samples.jsonl").unlink()
    with site(tmp_path, tmp_path / "runs") as (client, _, _):
        assert "This run wrote none" in client.get("/runs/a/samples").text


def test_a_form_in_which_nothing_was_chosen(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", 3)
    with site(tmp_path, tmp_path / "runs") as (client, _, _):
        said = client.get("/runs/a/samples?q=&prompt=&sort=best")
        assert said.status_code == 200
        body = said.text[said.text.index("data-page") :]
        assert body.index("answer 2 of step 2") < body.index("answer 0 of step 2")
        assert client.get("/runs/a/samples?sort=odd").status_code == 422
