"""The files that people really have, with their exact counts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from accord.data.sources import Kind, Read, read, read_comparisons, read_demonstrations
from accord.errors import BadData
from accord.records import Comparison

Find = Callable[[str], Path]


def pairs(found: Read[Comparison]) -> int:
    return sum(len(list(one.pairs())) for one in found.records)


@pytest.mark.parametrize(
    ("name", "kind", "count", "shape"),
    [
        ("gsm8k/test.jsonl", "demonstrations", 1319, "questions and answers"),
        ("self-instruct/seed_tasks.jsonl", "demonstrations", 175, "self-instruct seeds"),
        ("pope/coco_pope_random.json", "prompts", 3000, "questions about pictures"),
        ("pope/coco_pope_popular.json", "prompts", 3000, "questions about pictures"),
        ("pope/coco_pope_adversarial.json", "prompts", 3000, "questions about pictures"),
        ("llava-bench/qa90_questions.jsonl", "prompts", 90, "questions about pictures"),
        ("mmhal/mmhal-bench_answer_template.json", "prompts", 96, "questions about pictures"),
        ("mt-bench/question.jsonl", "prompts", 80, "MT-Bench questions, their first turns"),
    ],
)
def test_files_without_defects(shared: Find, name: str, kind: Kind, count: int, shape: str) -> None:
    found = read(shared(f"data/{name}"))
    assert (found.kind, len(found.records), found.shape) == (kind, count, shape)
    assert (found.tally.kept, found.tally.total) == (count, count)
    assert len({one.id for one in found.records}) == count
    if name.startswith("mt-bench"):
        assert found.tally.noted == {"later turns": 80}


def test_the_defects_of_hh_rlhf(shared: Find) -> None:
    path = shared("data/hh-rlhf/harmless-base-test.jsonl.gz")
    found = read(path)
    assert found.shape == "hh-rlhf transcripts"
    defects = {"prompts differ": 4, "empty answer": 4, "turns do not alternate": 5}
    assert (found.tally.total, found.tally.dropped) == (2312, defects)
    shown, tally = read_demonstrations(path)
    assert (len(shown), tally.dropped) == (2299, defects)
    assert [one.response for one in shown] == [one.responses[0] for one in found.records]


def test_the_trees_of_open_assistant(shared: Find) -> None:
    found = read(shared("data/oasst/en_100_tree.jsonl"))
    assert (found.kind, found.shape) == ("comparisons", "Open-Assistant trees")
    assert (len(found.records), pairs(found)) == (207, 732)
    assert found.tally.check().kept == 95
    assert found.tally.dropped == {"synthetic or deleted reply": 5}
    assert found.tally.noted == {"replies nobody ranked": 48}
    assert all(min(one.ranks) == 0 for one in found.records)
    assert all(one.prompt[-1].role == "user" for one in found.records)


def test_the_solutions_of_gsm8k(shared: Find) -> None:
    found = read(shared("data/gsm8k/example_model_solutions.jsonl"))
    assert (len(found.records), pairs(found)) == (1319, 2429)
    assert {len(one.responses) for one in found.records} == {4}


def test_the_votes_of_llmfao(shared: Find) -> None:
    path = shared("data/llmfao/llmfao.csv")
    found, tally = read_comparisons(path)
    assert (len(found), tally.dropped) == (8931, {})
    assert sum(one.tie for one in found) == 3471
    assert len({one.judge for one in found}) == 124
    assert len({name for one in found for name in one.responses}) == 59
    assert found[0].id == "llmfao.csv:2"
    assert "without their answers" in read(path).shape


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("gsm8k/test.jsonl", "comparisons", "rows are demonstrations.*accord sft data="),
        ("mt-bench/judge_prompts.jsonl", None, "(?s)in a shape that is known.*'prompt_template'"),
        ("llmfao/llmfao-golden.csv", None, "(?s)413 dropped.*'algorithm', 'item', 'score'"),
        ("llmfao/codings.csv", None, "two columns have the same name"),
        ("tinystories/tinystories_sample.txt", "prompts", "(?s)shape|not JSON"),
    ],
)
def test_files_that_hold_something_else(
    shared: Find, name: str, kind: Kind | None, said: str
) -> None:
    with pytest.raises(BadData, match=said):
        read(shared(f"data/{name}"), kind).tally.check()
