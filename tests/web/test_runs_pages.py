"""The pages of runs, and their numbers, as a browser is given them."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from accord.web.runs import follow, watching
from accord.web.runs_alerts import Rules
from accord.web.runs_find import Finder
from accord.web.runs_live import MOST, Stream
from accord.web.runs_pictures import sparkline
from accord.web.runs_series import Shelf
from watch_fakes import numbers, shown, site, write_lines, write_run


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with site(tmp_path, tmp_path / "none") as (client, _, _):
        said = client.get("/runs").text
    assert "No run yet" in said
    assert "out=" in said


def test_the_list_tells_how_each_is_getting_on(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "whole", 4)
    write_run(tmp_path / "runs" / "deep" / "broken-off", 8, stop=4)
    write_run(tmp_path / "runs" / "nan", 8, stop=4)
    (tmp_path / "runs" / "nan" / "not-finite").mkdir()
    with site(tmp_path, tmp_path / "runs") as (client, app, _):
        found = {run.name: run for run in watching(app).finder.runs()}
        assert {name: run.status for name, run in found.items()} == {
            "whole": "done",
            "deep/broken-off": "stopped",
            "nan": "failed",
        }
        assert found["whole"].step == 4
        assert found["whole"].course == (-1.0, -0.9, -0.8, -0.7)
        said = client.get("/runs").text
        assert "/runs/deep/broken-off" in said
        assert "<polyline" in said
        few = client.get("/runs", params={"q": "deep"}).text
        assert "broken-off" in few
        assert "/runs/whole" not in few
        assert "/runs/nan" in client.get("/runs", params={"status": "failed"}).text
        assert client.get("/runs", params={"q": "zebra"}).text.count("Nothing fits") == 1


def test_a_run_that_is_written_is_running(tmp_path: Path) -> None:
    from accord.store.run import Run

    run = Run(tmp_path / "now")
    for step in run.steps({"lr": 1}, 3):
        run.log(step, loss=1.0)
        if step == 1:
            found = Finder(tmp_path).get("now")
            assert found
            assert found.status == "running"
            assert found.writer.startswith("process")
    found = Finder(tmp_path).get("now")
    assert found
    assert found.status == "done"


@pytest.mark.parametrize("name", ["../secret", "/etc", "a/../../secret", "", "none"])
def test_names_that_lead_elsewhere_find_nothing(tmp_path: Path, name: str) -> None:
    write_run(tmp_path / "secret", 2)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "way-out").symlink_to(tmp_path / "secret")
    assert Finder(tmp_path / "runs").get(name) is None
    assert Finder(tmp_path / "runs").get("way-out") is None


def test_a_run_has_charts_alerts_and_a_table(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", 12)
    with site(tmp_path, tmp_path / "runs") as (client, _, _):
        client.post("/runs/-/rules", data={"kl_most": "0.5", "window": "2"})
        said = client.get("/runs/a").text
        assert "KL passed the limit of 0.5" in said
        assert 'id="numbers"' in said
        assert "objective/kl" in said
        assert client.get("/runs/b").status_code == 404
        settings = client.get("/runs/a/settings").text
        assert "lr" in settings


def test_series_are_pictures_with_a_mark_to_go_on_from(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", 6)
    write_run(tmp_path / "runs" / "b", 3)
    with site(tmp_path, tmp_path / "runs") as (client, _, _):
        ask = {"run": ["a", "b"], "metric": ["objective/kl", "none"], "width": 16}
        told = client.get("/runs/-/series", params=ask).json()
        part = client.get("/runs/-/series", params={**ask, "low": 2, "high": 3}).json()
        assert client.get("/runs/-/series", params={**ask, "width": 1}).status_code == 422
    assert [run["name"] for run in told["runs"]] == ["a", "b"]
    steps, values = told["runs"][0]["metrics"]["objective/kl"]
    assert steps == list(range(6))
    assert values == pytest.approx([0.1 * i for i in range(6)])
    assert "none" not in told["runs"][0]["metrics"]
    assert part["runs"][0]["metrics"]["objective/kl"][0] == [2, 3]
    assert told["mark"].count("~") == 1


def test_a_stream_tells_what_is_new_and_no_more(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    write_run(root / "a", 3)
    finder, shelf = Finder(root), Shelf()
    found = finder.get("a")
    assert found
    stream = Stream([found], finder, shelf, shelf.get(root / "a").mark)
    first = list(stream.poll(Rules()))
    assert [one.event for one in first] == ["samples", "state"], "samples since the page was made"
    assert first[0].data["step"] == 2
    assert first[1].data["status"] == "done"
    assert list(stream.poll(Rules())) == []
    write_lines(root / "a" / "metrics.jsonl", [{"step": 3, **numbers(3), "bad": float("nan")}])
    write_lines(root / "a" / "samples.jsonl", shown_at(3))
    news = {one.event: one for one in stream.poll(Rules())}
    assert news["rows"].data["rows"][0]["step"] == 3
    assert news["rows"].data["rows"][0]["bad"] is None
    assert news["samples"].data["samples"][0]["response"] == "answer 0 of step 3"
    json.dumps([one.data for one in news.values()], allow_nan=False)
    again = Stream([found], finder, shelf, stream.mark)
    write_lines(root / "a" / "metrics.jsonl", [{"step": 4, **numbers(4)}])
    rows = [one for one in again.poll(Rules()) if one.event == "rows"]
    assert [row["step"] for one in rows for row in one.data["rows"]] == [4]


def test_samples_of_a_step_that_come_in_pieces_are_shown_together(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", 3)
    finder, shelf = Finder(tmp_path / "runs"), Shelf()
    found = finder.get("a")
    assert found
    stream = Stream([found], finder, shelf, shelf.get(found.folder).mark)
    seen = []
    for few in (shown_at(3)[:1], shown_at(3)[1:], shown_at(4)[:2]):
        write_lines(found.folder / "samples.jsonl", few)
        (news,) = [one for one in stream.poll(Rules()) if one.event == "samples"]
        seen.append([sample["response"] for sample in news.data["samples"]])
    whole = [f"answer {i} of step 3" for i in range(3)]
    assert seen == [whole[:1], whole, ["answer 0 of step 4", "answer 1 of step 4"]]


def shown_at(step: int) -> list[dict[str, object]]:
    return [{"step": step, **one} for one in shown(step)]


def test_who_is_far_behind_or_saw_what_was_cut_fetches_all_again(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    write_run(root / "a", 3)
    finder, shelf = Finder(root), Shelf()
    found = finder.get("a")
    assert found
    path = root / "a" / "metrics.jsonl"
    stream = Stream([found], finder, shelf, shelf.get(root / "a").mark)
    write_lines(path, [{"step": i, "x": 1.0} for i in range(3, 2 * MOST)])
    assert next(one.event for one in stream.poll(Rules())) == "again"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert "again" in [one.event for one in stream.poll(Rules())]
    write_lines(path, [{"step": 2, "x": 1.0}])
    assert "rows" in [one.event for one in stream.poll(Rules())]


def test_the_stream_ends_when_the_site_goes_down(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    write_run(root / "a", 3)
    finder = Finder(root)
    found = finder.get("a")
    assert found
    stop = threading.Event()

    async def watch() -> list[str]:
        seen = []
        async for event in follow(Stream([found], finder, Shelf()), Rules, stop):
            seen.append(str(event.event))
            stop.set()
        return seen

    with ThreadPoolExecutor(1) as pool:  # a browser's loop may be running in this thread
        assert pool.submit(asyncio.run, watch()).result(20) == ["samples", "state"]


def test_compare_overlays_and_says_what_differs(tmp_path: Path) -> None:
    for name, lr in (("a", 0.1), ("b", 0.2)):
        write_run(tmp_path / "runs" / name, 3, lr=lr)
    with site(tmp_path, tmp_path / "runs") as (client, _, _):
        said = client.get("/runs/compare", params={"run": ["a", "b"]}).text
        assert "What differs" in said
        assert "0.2" in said
        write_run(tmp_path / "runs" / "c", 4, lr=0.1)
        assert "alike" in client.get("/runs/compare", params={"run": ["a", "c"]}).text
        chosen = client.get("/runs/compare").text
        assert "/runs/a" in chosen
        assert "/runs/b" in chosen


def test_rules_are_kept_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    with site(tmp_path, tmp_path / "runs") as (client, _app, _):
        bad = client.post("/runs/-/rules", data={"kl_most": "-3", "window": "5"})
        assert bad.status_code == 422
        assert 'aria-invalid="true"' in bad.text
        good = client.post("/runs/-/rules", data={"kl_most": "none", "window": "3"})
        assert good.status_code == 200
        kept = json.loads((tmp_path / "runs" / "alerts.json").read_text())
        assert kept["kl_most"] is None
        assert kept["window"] == 3
        (tmp_path / "runs" / "alerts.json").write_text('{"kl_most": "much"}')
        assert "mend it" in client.get("/runs/-/rules").text


def test_everybody_reads_managers_set_rules_and_strangers_log_in(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", 3)
    with site(tmp_path, tmp_path / "runs", "annotator") as (client, _, _):
        assert client.get("/runs/a").status_code == 200
        assert client.post("/runs/-/rules", data={"window": "3"}).status_code == 403
        client.cookies.clear()
        for path in ("/runs", "/runs/a", "/runs/a/samples", "/runs/compare", "/runs/-/rules"):
            answer = client.get(path, follow_redirects=False)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login")
        for path in ("/runs/-/series?run=a", "/runs/-/events?run=a", "/runs/a/events"):
            assert client.get(path, headers={"accept": "*/*"}).status_code == 401


def test_names_and_answers_are_text(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    write_run(tmp_path / "runs" / "a", 2, note=bad)
    line = {"step": 2, "prompt": bad, "response": bad, "score": 1, "finish": bad}
    write_lines(tmp_path / "runs" / "a" / "samples.jsonl", [line])
    write_lines(tmp_path / "runs" / "a" / "metrics.jsonl", [{"step": 2, f"x/{bad}": 1.0}])
    with site(tmp_path, tmp_path / "runs") as (client, _, _):
        for path in ("/runs/a", "/runs/a/samples", "/runs/a/settings", "/runs/compare?run=a"):
            said = client.get(path)
            assert said.status_code == 200
            assert bad not in said.text


def test_a_sparkline_lies_within_its_picture() -> None:
    points = [tuple(map(float, p.split(","))) for p in sparkline([3.0, 1.0, 2.0]).split()]
    assert points == [(2.0, 2.0), (60.0, 30.0), (118.0, 16.0)]
    assert sparkline([1.0]) == ""
    assert "16.0" in sparkline([1.0, 1.0])
