"""Every shape of row that people have, and the record it becomes."""

import json
from pathlib import Path
from typing import Any

import pytest

from accord.data.sources import Kind, read
from accord.errors import BadData
from accord.records import (
    Comparison,
    Demonstration,
    Image,
    Message,
    Prompt,
    Rating,
    Text,
    ask,
)

USER = {"role": "user", "content": "Hi"}
BOT = {"role": "assistant", "content": "Yes"}
OTHER = {"role": "assistant", "content": "No"}
HUMAN, GPT = {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes"}
PAIR = {"prompt": "Hi", "chosen": "Yes", "rejected": "No"}
SHOWN = Demonstration(ask("Hi"), "Yes", id="f:1")
BETTER = Comparison.pair(ask("Hi"), "Yes", "No", id="f:1")
BRIEF = Message.of("system", "Be brief.")


def made(path: Path, *rows: Any, kind: Kind | None = None, **more: Any) -> Any:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return read(path, kind, **more)


def compared(ranks: tuple[int, ...], **more: Any) -> Comparison:
    return Comparison(ask("Hi"), ("Yes", "No"), ranks, **({"id": "f:1"} | more))


def rated(text: str, *ratings: str) -> dict[str, Any]:
    aspects = ("honesty", "helpfulness")
    return {
        "response": text,
        "annotations": {k: {"Rating": r} for k, r in zip(aspects, ratings, strict=True)},
    }


HELP3 = {"context": [USER], "response1": "Yes", "response2": "No", "overall_preference": -2}
ARENA = {"conversation_a": [USER, BOT], "conversation_b": [USER, OTHER], "judge": "u7"}
VOTE = {"prompt": "Hi", "left": "Yes", "right": "No", "worker": 3}
SUMMARY: dict[str, Any] = {
    "info": {"post": "Hi", "title": "T", "subreddit": "r"},
    "summaries": [{"text": " No"}, {"text": " Yes"}],
    "choice": 1,
    "worker": "w",
    "extra": {"confidence": 7},
}
ARGILLA = {
    "fields": {"prompt": "Hi", "response-1": "Yes", "response-2": "No"},
    "responses": {
        "ranking": [
            {
                "user_id": "u1",
                "value": [
                    {"value": "response-2", "rank": 1},
                    {"value": "response-1", "rank": 2},
                ],
            }
        ]
    },
}
STUDIO = {
    "data": {"prompt": "Hi", "answer1": "Yes", "answer2": "No"},
    "annotations": [
        {
            "completed_by": {"id": 4, "email": "ada@example.org"},
            "result": [{"value": {"selected": "left"}}],
        },
    ],
}


@pytest.mark.parametrize(
    ("row", "shape", "record"),
    [
        ({"prompt": "Hi"}, "prompts", Prompt(ask("Hi"), "f:1")),
        ({"messages": [USER]}, "messages that wait", Prompt(ask("Hi"), "f:1")),
        ({"messages": [USER, BOT]}, "messages", SHOWN),
        ({"prompt": [USER], "completion": [BOT]}, "TRL prompt-completion", SHOWN),
        ({"prompt": "Hi", "response": "Yes"}, "prompt and response", SHOWN),
        ({"conversations": [HUMAN, GPT]}, "ShareGPT conversations", SHOWN),
        ({"instruction": "Hi", "input": "", "output": "Yes"}, "alpaca instructions", SHOWN),
        ({"instruction": "Hi", "instances": [{"output": "Yes"}]}, "self-instruct", SHOWN),
        ({"question": "Hi", "answer": "Yes"}, "questions and answers", SHOWN),
        (PAIR, "TRL preference, explicit prompt", BETTER),
        ({"prompt": [USER], "chosen": [BOT], "rejected": [OTHER]}, "TRL preference", BETTER),
        (
            {"chosen": [USER, BOT], "rejected": [USER, OTHER]},
            "TRL preference, implicit prompt",
            BETTER,
        ),
        (
            {
                "chosen": "\n\nHuman: Hi\n\nAssistant: Yes",
                "rejected": "\n\nHuman: Hi\n\nAssistant: No",
            },
            "hh-rlhf transcripts",
            BETTER,
        ),
        (
            {"conversations": [HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": "No"}},
            "ShareGPT preferences",
            BETTER,
        ),
        (
            {"instruction": "Hi", "chosen": "Yes", "rejected": "No"},
            "instructions with chosen",
            BETTER,
        ),
        (
            {**PAIR, "chosen": [USER, BOT], "score_chosen": 8.0, "score_rejected": 5.5},
            "UltraFeedback, binarized",
            compared((0, 1), strength=2.5),
        ),
        (
            {**PAIR, "chosen_rating": 4, "rejected_rating": 4},
            "distilabel preferences",
            compared((0, 0)),
        ),
        (
            {
                "instruction": "Hi",
                "completions": [rated("a", "2", "3"), rated("b", "5", "N/A"), rated("c", "2", "3")],
            },
            "UltraFeedback",
            Comparison(ask("Hi"), ("a", "b", "c"), (1, 0, 1), judge="gpt-4", id="f:1"),
        ),
        (
            {"instruction": "Hi", "generations": ["Yes", "No"], "ratings": [5, 3]},
            "distilabel generations",
            compared((0, 1), strength=2),
        ),
        (HELP3, "HelpSteer3", compared((0, 1), strength=2)),
        (
            {
                "prompt": "Hi",
                "response_1": "Yes",
                "response_2": "No",
                "preference_strength": 1,
                "preference_elaboration": "shorter",
            },
            "HelpSteer2 preferences",
            compared((1, 0), strength=1, why="shorter"),
        ),
        ({**ARENA, "winner": "model_a"}, "LMArena votes", compared((0, 1), judge="u7")),
        (
            {**ARENA, "conversation_a": json.dumps([USER, BOT]), "winner": "tie (bothbad)"},
            "LMArena votes",
            compared((0, 0), judge="u7", why="both bad"),
        ),
        (
            {
                "prompt": '["Hi"]',
                "response_a": '["Yes"]',
                "response_b": '["No"]',
                "winner_model_a": 0,
                "winner_model_b": 1,
                "winner_tie": 0,
            },
            "LMArena votes, a column",
            compared((1, 0)),
        ),
        ({**VOTE, "winner": "right"}, "A/B votes", compared((1, 0), judge="3")),
        (
            SUMMARY,
            "TL;DR summaries",
            Comparison(
                ask("SUBREDDIT: r/r\nTITLE: T\nPOST: Hi\nTL;DR:"),
                ("No", "Yes"),
                (1, 0),
                judge="w",
                why="confidence 7",
                id="f:1",
            ),
        ),
        (
            ARGILLA,
            "Argilla records",
            Comparison(ask("Hi"), ("No", "Yes"), (0, 1), judge="u1", id="f:1#1"),
        ),
        (STUDIO, "Label Studio tasks", compared((0, 1), judge="4", id="f:1#1")),
        ({"prompt": "Hi", "completion": "Yes", "label": False}, "TRL unpaired", None),
        (
            {"question_id": 1, "image": "a.jpg", "text": "What?"},
            "questions about pictures",
            Prompt((Message("user", (Image("a.jpg"), Text("What?"))),), "f:1"),
        ),
        ({"question_id": 1, "turns": ["Hi", "And?"]}, "MT-Bench", Prompt(ask("Hi"), "f:1")),
    ],
)
def test_a_row_is_known_by_its_shape(row: Any, shape: str, record: Any, tmp_path: Path) -> None:
    found = made(tmp_path / "f.jsonl", row)
    assert found.shape.startswith(shape)
    record = record or Rating(ask("Hi"), "Yes", False, id="f:1")
    assert list(found.records) == [record]
    assert found.kind == f"{type(record).__name__.lower()}s"
    assert found.tally.kept == 1


def test_everyone_s_judgement_in_helpsteer3(tmp_path: Path) -> None:
    each = [{"score": -3, "reasoning": "kind"}, {"score": 0}, {"score": 1}, {"score": "x"}]
    found = made(tmp_path / "f.jsonl", {**HELP3, "individual_preference": each})
    assert [(c.judge, c.ranks, c.strength, c.why) for c in found.records] == [
        ("annotator-1", (0, 1), 3, "kind"),
        ("annotator-2", (0, 0), None, ""),
        ("annotator-3", (1, 0), 1, ""),
    ]
    assert len({c.id for c in found.records}) == 3
    assert (found.tally.kept, found.tally.noted) == (1, {"wrong type": 1})


def test_helpsteer_scores_stand_beside_each_other(tmp_path: Path) -> None:
    rows = [
        {"prompt": p, "response": r, "helpfulness": h, "verbosity": 2}
        for p, r, h in [("a", "x", 1), ("a", "y", 4), ("b", "x", 2), ("c", "x", 3), ("c", "y", 3)]
    ]
    found = made(tmp_path / "f.jsonl", *rows)
    assert [(c.prompt, c.ranks, c.strength) for c in found.records] == [
        (ask("a"), (1, 0), 3),
        (ask("c"), (0, 0), None),
    ]
    assert (found.tally.kept, found.tally.dropped) == (4, {"rated alone": 1})
    best = read(tmp_path / "f.jsonl", "demonstrations")
    assert [(d.response, d.id) for d in best.records] == [("y", "f:1")]
    assert best.tally.dropped == {"rated alone": 1, "no answer stands out": 2}


def test_trees_give_every_ranked_group_without_the_synthetic(tmp_path: Path) -> None:
    def reply(name: str, rank: int | None, role: str = "assistant", *more: Any) -> dict[str, Any]:
        return {"message_id": name, "text": name, "role": role, "rank": rank, "replies": [*more]}

    deep = reply("q", None, "prompter", reply("c", 1), reply("d", 0), reply("e", 1))
    robot = {**reply("z", 2), "synthetic": True}
    tree = reply("root", None, "prompter", reply("a", 0, "assistant", deep), reply("b", 1), robot)
    found = made(tmp_path / "f.jsonl", {"message_tree_id": "t", "prompt": tree})
    talk = (*ask("root"), Message.of("assistant", "a"), *ask("q"))
    assert list(found.records) == [
        Comparison(ask("root"), ("a", "b"), (0, 1), id="root"),
        Comparison(talk, ("c", "d", "e"), (1, 0, 1), id="q"),
    ]
    assert found.tally.noted == {"synthetic or deleted reply": 1}


# --- what serves as what ---


@pytest.mark.parametrize(
    ("row", "kind", "records", "said"),
    [
        (PAIR, "prompts", [Prompt(ask("Hi"), "f:1")], "explicit prompt: the prompts alone"),
        (PAIR, "demonstrations", [SHOWN], "explicit prompt: the best answers"),
        (
            PAIR,
            "ratings",
            [
                Rating(ask("Hi"), "Yes", True, id="f:1/0"),
                Rating(ask("Hi"), "No", False, id="f:1/1"),
            ],
            "best answers good, others not",
        ),
        ({"messages": [USER, BOT]}, "prompts", [Prompt(ask("Hi"), "f:1")], "the prompts alone"),
        (
            {"prompt": "Hi", "response": "Yes", "good": True},
            "demonstrations",
            [SHOWN],
            "Accord ratings: the good answers",
        ),
        ({**PAIR, "chosen": ""}, "prompts", [Prompt(ask("Hi"), "f:1")], "the prompts alone"),
    ],
)
def test_one_kind_serves_as_another(
    row: Any, kind: Kind, records: Any, said: str, tmp_path: Path
) -> None:
    found = made(tmp_path / "f.jsonl", row, kind=kind)
    assert list(found.records) == records
    assert found.shape.endswith(said)


def test_a_tie_and_a_bad_answer_are_no_demonstrations(tmp_path: Path) -> None:
    tie = {"prompt": "Hi", "responses": ["a", "b"], "ranks": [0, 0]}
    bad = {"prompt": "Hi", "response": "x", "good": False}
    found = made(tmp_path / "f.jsonl", tie, bad, PAIR, kind="demonstrations")
    assert [d.response for d in found.records] == ["Yes"]
    assert found.tally.dropped == {"no answer stands out": 1, "not a good answer": 1}


@pytest.mark.parametrize(
    ("row", "kind", "said"),
    [
        ({"prompt": "Hi"}, "comparisons", r"its rows are prompts \(prompts\).*accord ppo prompts="),
        ({"messages": [USER, BOT]}, "comparisons", "demonstrations.*accord sft data="),
        ({"question": "Hi", "answer": "Yes"}, "ratings", "not ratings; accord sft data="),
        ({"prompt": "Hi", "response": "a", "good": True}, "comparisons", "rows are ratings"),
        ({"prompt": "Hi"}, "demonstrations", "not demonstrations"),
    ],
)
def test_rows_of_another_kind_say_what_fits(
    row: Any, kind: Kind, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadData, match=said):
        made(tmp_path / "f.jsonl", row, kind=kind)


def test_each_row_of_a_mixed_file_is_read_by_its_own_shape(tmp_path: Path) -> None:
    ours = {"prompt": "Hi", "responses": ["Yes", "No"], "ranks": [0, 1]}
    found = made(tmp_path / "f.jsonl", PAIR, ours, PAIR)
    assert len(found.records) == 3
    assert found.shape == (
        "TRL preference, explicit prompt (2 of 3 rows; also 1 Accord comparisons)"
    )


# --- what a record cannot hold is counted ---


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": [USER, {**BOT, "tool_calls": [{}]}, BOT]}, "tool calls"),
        ({"messages": [USER, {"role": "tool", "content": "4"}, BOT]}, "tool calls"),
        ({"messages": [USER, BOT], "tools": [{"name": "f"}]}, "tool calls"),
        ({"messages": [USER, {**BOT, "thinking": "hm"}]}, "thinking"),
        ({"messages": [{**USER, "role": "ghost"}, BOT]}, "unknown role"),
        ({"conversations": [{**HUMAN, "from": "Alice"}, GPT]}, "unknown role"),
        (
            {**ARENA, "conversation_b": [BOT, USER, OTHER], "winner": "model_a"},
            "each model had a conversation of its own",
        ),
        ({**ARENA, "winner": "model_c"}, "unknown winner"),
        ({"prompt": "Hi", "completions": ["a"], "labels": [True]}, "steps, not answers"),
        ({**PAIR, "score_chosen": 1, "score_rejected": 2}, "label contradicts itself"),
        ({"prompt": "Hi", "completion": "Yes", "label": "maybe"}, "wrong type"),
        ({**STUDIO, "annotations": []}, "nothing judged"),
        ({**STUDIO, "annotations": [{"was_cancelled": True, "result": []}]}, "not submitted"),
        ({**SUMMARY, "choice": 2}, "wrong type"),
    ],
)
def test_what_cannot_be_carried_over(row: Any, reason: str, tmp_path: Path) -> None:
    found = made(tmp_path / "f.jsonl", row, {**row, "id": "x"})
    assert found.records == []
    assert found.tally.dropped == {reason: 2}


@pytest.mark.parametrize(
    ("said", "role"),
    [("human", "user"), ("gpt", "assistant"), ("prompter", "user"), ("developer", "system")],
)
def test_what_others_call_the_roles(said: str, role: Any, tmp_path: Path) -> None:
    found = made(tmp_path / "f.jsonl", {"messages": [{**USER, "role": said}, USER]}, kind="prompts")
    assert found.records[0].messages[0] == Message.of(role, "Hi")


def test_instructions_with_all_their_parts(tmp_path: Path) -> None:
    row = {
        "instruction": "Add.",
        "input": "1 2",
        "output": "3",
        "system": "Be brief.",
        "history": [["Hi", "Yes"]],
    }
    found = made(tmp_path / "f.jsonl", row, {**row, "kto_tag": True})
    prompt = (BRIEF, *ask("Hi"), Message.of("assistant", "Yes"), *ask("Add.\n\n1 2"))
    assert found.records[0].prompt == prompt
    assert read(tmp_path / "f.jsonl", "ratings").records == [Rating(prompt, "3", True, id="f:2")]


def test_an_e_mail_address_becomes_a_pseudonym(tmp_path: Path) -> None:
    (one,) = made(tmp_path / "f.jsonl", {**ARENA, "judge": "a@b.org", "winner": "tie"}).records
    assert one.judge.startswith("judge-")
    assert "@" not in one.judge


# --- columns ---


def test_columns_have_our_names_where_theirs_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    row = {"question": "Hi", "good": "Yes", "bad": "No"}
    names = {"prompt": "question", "chosen": "good", "rejected": "bad"}
    assert list(made(path, row, columns=names).records) == [BETTER]
    with pytest.raises(BadData, match="no row has a column 'goood'; the columns are question, g"):
        read(path, columns={**names, "chosen": "goood"})
