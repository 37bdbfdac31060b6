"""The commands read whatever people have, and say what they read."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from accord.config import read
from accord.errors import BadData
from accord.recipes import job as job_of
from accord.recipes import jobs
from accord.recipes.job import Desk
from accord.recipes.jobs import PPOJob, RewardJob, SFTJob
from accord.records import Comparison, Demonstration, Prompt, ask

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
        jobs.run_reward(Desk((), str), read(RewardJob, words=words), None)  # type: ignore[arg-type]
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
        jobs.run_reward(Desk((), told.append), read(RewardJob, words=words), None)  # type: ignore[arg-type]
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
