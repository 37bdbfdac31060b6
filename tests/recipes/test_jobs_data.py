"""The commands read whatever people have, and say what they read."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from accord.config import read
from accord.data import exporting, importing
from accord.data.beside import Beside
from accord.data.offers import read_offers
from accord.data.pictured import UNSEEN
from accord.data.shown import Request
from accord.errors import BadData, BadSettings
from accord.recipes import job as job_of
from accord.recipes import jobs
from accord.recipes.job import Desk
from accord.recipes.jobs import PPOJob, RewardJob, SampleJob, SFTJob
from accord.recipes.reward import RewardModel
from accord.records import Comparison, Demonstration, Image, Prompt, ask, facts
from accord.verbs import DATA, VERBS

ROW = {"question": "Hi", "good": "Yes", "bad": "No"}
WORDS = ["columns.prompt=question", "columns.chosen=good", "columns.rejected=bad"]


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each stage is given, instead of a model that learns from it."""
    seen: list[Any] = []
    monkeypatch.setattr(jobs, "opened", lambda job: SimpleNamespace(speller=None))
    for name in ("sft_stage", "reward_stage"):
        monkeypatch.setattr(jobs, name, lambda p, c, s, rows, parents: seen.append([*rows]))
    return seen


@pytest.mark.parametrize(
    ("command", "record", "said"),
    [
        (
            "reward",
            Comparison.pair(ask("Hi"), "Yes", "No", id="a:1"),
            "1 comparisons (TRL preference, explicit prompt)",
        ),
        (
            "sft",
            Demonstration(ask("Hi"), "Yes", id="a:1"),
            "1 demonstrations (TRL preference, explicit prompt: the best answers)",
        ),
    ],
)
def test_columns_are_mapped_and_the_shape_is_said(
    command: str, record: Any, said: str, staged: list[Any], tmp_path: Path
) -> None:
    path, told = tmp_path / "a.jsonl", []
    path.write_text(json.dumps(ROW))
    desk = Desk((), told.append)
    kind, run = {"sft": (SFTJob, jobs.run_sft), "reward": (RewardJob, jobs.run_reward)}[command]
    given = ["model=m", f"data={path}", f"out={tmp_path / 'run'}", *WORDS]
    run(desk, read(kind, words=given), None)  # type: ignore[arg-type, operator]
    assert staged == [[record]]
    assert told == [f"{path}: {said}"]


def test_a_split_of_a_folder(staged: list[Any], tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": name, "response": "a"}))
    for split in ("test", "train"):
        words = ["model=m", f"data={tmp_path}", f"out={tmp_path / 'run'}", f"split={split}"]
        jobs.run_sft(Desk((), str), read(SFTJob, words=words), None)  # type: ignore[arg-type]
        assert staged.pop()[0].prompt == ask(split)


def test_rows_of_another_kind_stop_the_command(staged: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "Hi"}))
    words = ["model=m", f"data={path}", f"out={tmp_path / 'run'}"]
    with pytest.raises(BadData, match=r"its rows are prompts.*accord ppo prompts="):
        jobs.run_reward(Desk((), str), read(RewardJob, words=words), RewardModel())
    assert staged == []


def test_what_was_left_out_of_kept_rows_is_told(tmp_path: Path) -> None:
    path, told = tmp_path / "a.jsonl", []
    path.write_text(json.dumps({"question_id": 1, "turns": ["Hi", "And?"]}))
    job = read(PPOJob, words=["model=m", f"prompts={path}", f"out={tmp_path / 'run'}"])
    place = Desk((), told.append).place(job)
    assert job_of.read(place, job, path, "prompts") == [Prompt(ask("Hi"), "a:1")]
    assert "later turns" in told[1]


def test_of_a_file_without_a_good_row_only_the_error_is_told(tmp_path: Path) -> None:
    path, told = tmp_path / "a.jsonl", []
    path.write_text('{"prompt": 3}\n{"x": 1}\n')
    words = ["model=m", f"data={path}", f"out={tmp_path / 'run'}"]
    with pytest.raises(BadData, match=r"0 of 2 rows kept.*\n.*missing key"):
        jobs.run_reward(Desk((), told.append), read(RewardJob, words=words), RewardModel())
    assert told == []


def test_what_does_not_hold_for_ptx_data_is_said(tmp_path: Path) -> None:
    path, told = tmp_path / "a.jsonl", []
    path.write_text('{"text": "One day."}\n')
    words = ["model=m", "prompts=p.jsonl", f"ptx_data={path}", "columns.prompt=q", "split=test"]
    place = Desk((), told.append).place(read(PPOJob, words=words))
    assert len(jobs._texts(place, read(PPOJob, words=words), path)) == 1
    assert (
        told[0] == f"ptx_data={path} is read without columns.prompt, split: they speak of prompts="
    )
    assert len(told) == 2


BLIND = {"demo", "eyes", "control", "serve", "endpoint", "plan"}
"""commands that read no rows"""
ALONE = {"sft", "dpo", "sample"}
"""commands in which nobody judges"""
BELOW = ("elo", "rewards")


def test_whoever_reads_rows_is_told_where_pictures_lie_and_who_judges_what_is_known() -> None:
    verbs = {name: verb for name, verb in VERBS.items() if name not in BLIND}
    verbs |= {f"data {name}": verb for name, verb in DATA.items()}
    verbs |= {f"evaluate {name}": VERBS["evaluate"].below[name] for name in BELOW}
    for name, verb in verbs.items():
        keys = {row.name for kind in verb.classes() for row in kind.fields()}
        assert "images" in keys, name
        assert ("facts" in keys) is (name not in ALONE), name


def beside(home: Path) -> tuple[str, str]:
    (home / "coco").mkdir()
    (home / "captions.json").write_text('{"7.jpg": ["a cat"]}')
    return f"images={home}/coco", f"facts={home}/captions.json"


def test_rows_come_with_pictures_and_facts_from_elsewhere(
    staged: list[Any], tmp_path: Path
) -> None:
    path, told = tmp_path / "a.jsonl", []
    row = {"image": "7.jpg", "prompt": "Hi", "chosen": "Yes", "rejected": "No"}
    path.write_text(json.dumps(row))
    words = ["model=m", f"data={path}", f"out={tmp_path / 'run'}", *beside(tmp_path)]
    shown = RewardModel(shown=Request())
    jobs.run_reward(Desk((), told.append), read(RewardJob, words=words), shown)
    ((one,),) = staged
    assert one.prompt[0].images == (Image(str(tmp_path / "coco/7.jpg")),)
    assert facts(one.prompt) == ("a cat",)
    assert "change nothing" not in "".join(told)
    assert "changes nothing" not in "".join(told)
    plain = RewardModel()
    jobs.run_reward(Desk((), told.append), read(RewardJob, words=words), plain)
    assert told[-1].startswith("facts= changes nothing: shown=Answer shows none")
    staged.clear()
    path.write_text(json.dumps({**row, "image": None}))
    jobs.run_reward(Desk((), told.append), read(RewardJob, words=words), shown)
    assert told[-1] == f"{path}: no row shows a picture: images= and facts= change nothing there"
    path.write_text(json.dumps({**row, "image": "8.jpg"}))
    with pytest.raises(BadData, match=r"no facts of its picture[^$]*no entry '8\.jpg'"):
        jobs.run_reward(Desk((), told.append), read(RewardJob, words=words), shown)


def test_commands_without_a_place_say_too_that_nobody_needs_a_folder(tmp_path: Path) -> None:
    path, told = tmp_path / "a.jsonl", []
    path.write_text(json.dumps({"prompt": "Hi", "responses": ["a", "b"]}))
    folder, known = beside(tmp_path)
    job = read(SampleJob, words=["model=m", f"prompts={path}", folder])
    jobs.questions(Desk((), told.append), job)
    assert told == [f"{path}: {UNSEEN}"]
    for given in (path, tmp_path / "b.jsonl"):
        given.write_text(json.dumps({"prompt": "Hi", "responses": ["a", "b"]}))
        assert read_offers(given, beside=Beside.of(tmp_path / "coco")).unseen
        assert not read_offers(given).unseen
        given.write_text(json.dumps({"prompt": "Hi", "chosen": "a", "rejected": "b"}))
        assert read_offers(given, beside=Beside.of(tmp_path / "coco")).unseen
    words = [f"data={path}", f"out={tmp_path / 'out.jsonl'}", folder, known]
    lines = [*exporting.run(read(exporting.Export, words=words)).lines()]
    assert f"{path}: {UNSEEN}" in lines
    words = [f"data={path}", f"study={tmp_path / 'a.db'}#s", folder]
    assert f"{path}: {UNSEEN}" in "\n".join(
        importing.run(read(importing.Import, words=words)).lines()
    )


def test_texts_to_remember_have_their_pictures_there_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"image": "7.jpg", "prompt": "Hi", "response": "a"}))
    job = read(PPOJob, words=["model=m", "prompts=p.jsonl", *beside(tmp_path)])
    (one,) = jobs._texts(Desk((), str).place(job), job, path)
    assert one.prompt[0].images == (Image(str(tmp_path / "coco/7.jpg")),)


def test_one_question_has_no_file_to_find_pictures_for(tmp_path: Path) -> None:
    job = read(SampleJob, words=["model=m", "prompt=Hi", beside(tmp_path)[0], "split=test"])
    with pytest.raises(BadSettings, match="images, split: said of files"):
        jobs.questions(Desk((), str), job)


def test_a_study_is_read_without_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = job_of.sources.Tally()
    tally.keep()
    nothing = SimpleNamespace(records=[], tally=tally, unseen=False)
    monkeypatch.setattr(job_of.judged, "take", lambda *given: nothing)
    told: list[str] = []
    job = read(RewardJob, words=["model=m", "data=accord.db#s", *beside(tmp_path)])
    job_of.read(Desk((), told.append).place(job), job, job.data, "comparisons")
    assert "accord.db#s is read without images, facts" in told[0]
