"""What is written for others is read back as it was."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accord.data import export
from accord.data.sources import read
from accord.data.writing import write_rows
from accord.records import Comparison, Demonstration, Message, Prompt, Rating, ask

TALK = (
    Message.of("system", "Be brief."),
    *ask("Hi"),
    Message.of("assistant", "Ho"),
    *ask('[{"role": "x"}]'),
)
PAIRS = [
    Comparison(TALK, (" a\n", "b"), (0, 1), strength=2.5, judge="ada", why="kind", id="1"),
    Comparison.pair(ask("Hi, 'you'"), 'é"\r\n,;', "b", id="2"),
]
TIE = Comparison(ask("x"), ("a", "b"), (0, 0), id="3")
THREE = Comparison(ask("x"), ("a", "b", "c"), (1, 0, 1), id="4")
ENDINGS = ["jsonl", "jsonl.gz", "json", "csv", "csv.gz", "tsv", "parquet"]
MAKERS = [export.trl_explicit, export.trl_implicit, export.ultrafeedback_binarized]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_comparisons_come_back(make: Any, ending: str, tmp_path: Path) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    rows, tally = make(PAIRS)
    write_rows(tmp_path / f"a.{ending}", rows)
    found = read(tmp_path / f"a.{ending}")
    without = [PAIRS[0], replace(PAIRS[1], strength=1.0)]
    assert list(found.records) == (without if make is export.ultrafeedback_binarized else PAIRS)
    names = ["TRL preference, explicit prompt", "TRL preference, implicit prompt"]
    assert found.shape == [*names, "UltraFeedback, binarized"][MAKERS.index(make)]
    assert (tally.kept, tally.total) == (2, 2)


@pytest.mark.parametrize("ending", ENDINGS)
def test_single_answers_prompts_and_demonstrations_come_back(ending: str, tmp_path: Path) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    made: list[tuple[Any, list[Any], str]] = [
        (
            export.trl_unpaired,
            [Rating(TALK, "a", True, id="1"), Rating(ask("b"), "c", False, id="2")],
            "TRL unpaired",
        ),
        (export.trl_prompts, [Prompt(TALK, "1"), Prompt(ask("b"), "2")], "prompts"),
        (
            export.trl_messages,
            [Demonstration(TALK, "a", id="1"), Demonstration(ask("b"), " c", id="2")],
            "messages",
        ),
    ]
    for number, (make, records, shape) in enumerate(made):
        path = tmp_path / f"{number}.{ending}"
        write_rows(path, make(records))
        found = read(path)
        assert (list(found.records), found.shape) == (records, shape)


def test_a_tie_is_left_out_or_written_in_both_orders(tmp_path: Path) -> None:
    rows, tally = export.trl_explicit([TIE, PAIRS[0]])
    assert [row["id"] for row in rows] == ["1"]
    assert (tally.kept, tally.dropped) == (1, {"tie": 1})
    rows, tally = export.trl_explicit([TIE], ties="both")
    texts = [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows]
    assert texts == [("a", "b"), ("b", "a")]
    assert tally.kept == 1
    rows, _ = export.ultrafeedback_binarized([TIE], ties="both")
    write_rows(tmp_path / "a.jsonl", rows)
    assert [one.ranks for one in read(tmp_path / "a.jsonl").records] == [(0, 0), (0, 0)]


def test_a_ranking_becomes_pairs_of_one_group() -> None:
    rows, tally = export.trl_explicit([THREE])
    assert [(row["group"], row["id"]) for row in rows] == [("4", "4/1>0"), ("4", "4/1>2")]
    rows, _ = export.trl_explicit([THREE], ties="both")
    assert len({row["id"] for row in rows}) == len(rows) == 4
    assert tally.kept == 1


def test_the_worse_answer_first_turns_its_soft_label() -> None:
    one = Comparison(ask("x"), ("a", "b"), (1, 0), p_first=0.25, id="5")
    ((row,), _) = export.trl_explicit([one])
    assert (row["chosen"][0]["content"], row["p_first"]) == ("b", 0.75)
