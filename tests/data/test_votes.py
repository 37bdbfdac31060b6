"""Votes on conversations that do not go the same way."""

import json
from dataclasses import replace
from pathlib import Path

from accord.data.sources import read
from accord.data.votes import vote
from accord.records import Comparison, Message, ask

USER = {"role": "user", "content": "Hi"}
BOT = {"role": "assistant", "content": "Yes"}
OTHER = {"role": "assistant", "content": "No"}


def test_conversations_that_part_are_counted_and_serve_as_prompts(tmp_path: Path) -> None:
    more = [{"role": "user", "content": "And?"}, {"role": "assistant", "content": "So."}]
    apart = {
        "conversation_a": [USER, BOT, *more],
        "conversation_b": [USER, OTHER, *more],
    }
    late = {
        "conversation_a": [USER, BOT, more[0], BOT],
        "conversation_b": [USER, BOT, more[0], OTHER],
    }
    columns = {"prompt": '["Hi", "And?"]', "response_a": '["a", "b"]', "response_b": '["c", "d"]'}
    won = {"winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0}
    path = tmp_path / "a.jsonl"
    rows = [{**apart, "winner": "model_a"}, {**late, "winner": "model_a"}, {**columns, **won}]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = read(path, "comparisons")
    assert [(len(one.prompt), one.id) for one in found.records] == [(3, "a:2")]
    assert found.tally.dropped == {"each model had a conversation of its own": 2}
    assert "a.jsonl:1: they go different ways" in found.tally.lines()[2]
    asked = read(path, "prompts")
    assert [one.messages for one in asked.records] == [
        ask("Hi"),
        (*ask("Hi"), Message.of("assistant", "Yes"), *ask("And?")),
        ask("Hi"),
    ]
    assert not asked.tally.dropped


def test_merged_judges_who_agree_keep_how_much() -> None:
    def judged(ranks: tuple[int, int], strength: float | None) -> Comparison:
        return Comparison(ask("Hi"), ("a", "b"), ranks, strength=strength)

    def merged(*few: Comparison) -> float | None:
        return vote(few)[0].strength

    assert merged(judged((0, 1), 3.0), judged((0, 1), 3.0)) == 3.0
    swapped = replace(judged((1, 0), 2.0), responses=("b", "a"))
    assert merged(judged((0, 1), 3.0), swapped) == 2.5
    assert merged(judged((0, 1), 3.0), judged((1, 0), 3.0)) is None
    assert merged(judged((0, 1), 3.0), judged((0, 1), None)) is None
    assert merged(judged((0, 1), 3.0), judged((0, 0), 3.0)) is None
