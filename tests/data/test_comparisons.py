from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tongues
from accord.data.comparisons import (
    LOT,
    Spelled,
    fingerprint,
    spell_demonstrations,
    spell_pairs,
    split,
    without,
)
from accord.data.sources import read_comparisons
from accord.records import Comparison, Demonstration, Fact, Message, Prompt, Text, ask
from accord.text.tokenizer import Speller


@pytest.fixture(scope="module")
def speller(tmp_path_factory: pytest.TempPathFactory) -> Speller:
    folder = tongues.folder(tmp_path_factory.mktemp("chat"), template=tongues.LLAMA2)
    return Speller.load(folder)


def test_a_comparison_keeps_all_it_says(speller: Speller) -> None:
    one = Comparison(ask("Tell"), ("x y", "the end", "no"), (1, 0, 1), strength=2.0, id="a")
    two = Comparison(ask("Tell"), ("x", "y"), (0, 1), p_first=0.7)
    rows, tally = spell_pairs([one, two], speller, 100)
    assert (tally.kept, tally.total) == (2, 2)
    prompt = speller.prompt_ids(ask("Tell"))
    answers = tuple(speller.response_ids(text) for text in one.responses)
    assert rows[0] == Spelled(prompt, answers, (1, 0, 1), 2.0, None, "a")
    assert rows[1].p_first == 0.7
    assert all(ids[-1] == speller.end for row in rows for ids in row.response_ids)


def test_too_long_is_dropped_never_cut(speller: Speller) -> None:
    rows = [Comparison.pair(ask("a"), "c", "b" * n, id=f"n{n}") for n in range(1, 30)]
    whole = {row.id: row for row in spell_pairs(rows, speller)[0]}
    length = {
        name: len(row.prompt_ids) + max(map(len, row.response_ids)) for name, row in whole.items()
    }
    limit = length["n15"]
    kept, tally = spell_pairs(rows, speller, limit)
    assert [row.id for row in kept] == [name for name, long in length.items() if long <= limit]
    assert all(row == whole[row.id] for row in kept)
    assert tally.dropped == {f"more than {limit} tokens": len(rows) - len(kept)}
    assert tally.examples[f"more than {limit} tokens"][0].startswith("n")
    again, _ = spell_demonstrations([Demonstration(ask("a"), "b" * 15, id="d")], speller, limit)
    assert again[0].response_ids == whole["n15"].response_ids[1:]
    assert spell_demonstrations([Demonstration(ask("a"), "b" * 99)], speller, limit)[0] == []


def test_what_the_template_refuses_is_counted(speller: Speller) -> None:
    twice = (*ask("one"), *ask("two"))
    rows, tally = spell_pairs(
        [Comparison.pair(twice, "x", "y", id="bad"), Comparison.pair(ask("a"), "x", "y")], speller
    )
    assert len(rows) == 1
    assert tally.dropped == {"cannot be spelled": 1}
    assert tally.examples["cannot be spelled"][0].startswith("bad: the chat template refuses")


def test_lots_do_not_show(speller: Speller) -> None:
    demos = [Demonstration(ask(f"q{i}"), f"a{i}", id=str(i)) for i in range(LOT + 5)]
    rows, tally = spell_demonstrations(demos, speller)
    assert tally.kept == len(demos)
    assert [row.id for row in rows] == [d.id for d in demos]
    assert [speller.text(row.response_ids[0]) for row in rows] == [d.response for d in demos]
    assert all((row.ranks, row.strength, row.p_first) == ((0,), None, None) for row in rows)


def pairs(prompts: int, each: int = 3) -> list[Comparison]:
    return [
        Comparison.pair(ask(f"prompt {i}"), f"good {j}", "bad", id=f"{i}/{j}")
        for j in range(each)
        for i in range(prompts)
    ]


def test_split_is_by_prompt_and_near_its_share() -> None:
    items = pairs(1000)
    train, held = split(items, 0.1)
    assert {c.prompt for c in train}.isdisjoint({c.prompt for c in held})
    assert len(train) + len(held) == len(items)
    assert len(held) % 3 == 0
    assert 0.07 < len(held) / len(items) < 0.13
    assert [c for c in items if c in held] == held
    assert split(items, 0.1) == (train, held)
    assert split(items, 0.1, seed=1)[1] != held
    assert split(items, 0) == (items, [])


def test_more_data_moves_no_prompt_across() -> None:
    _, few = split(pairs(300), 0.2)
    _, many = split(pairs(600), 0.2)
    mine = {c.prompt for c in pairs(300)}
    assert {c.prompt for c in few} == {c.prompt for c in many} & mine


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_small_sets_have_both_sides(share: float) -> None:
    assert all(split(pairs(2), share))
    assert split(pairs(1), share)[0] or split(pairs(1), share)[1]
    assert split([], share) == ([], [])
    with pytest.raises(ValueError, match="share"):
        split(pairs(2), 1.0)


def test_split_of_anything_with_a_prompt() -> None:
    rows = [Spelled((i,), ((1,),), (0,), None, None, str(i)) for i in range(50)]
    prompts = [Prompt(ask(str(i)), str(i)) for i in range(50)]
    assert all(split(rows, 0.2))
    assert all(split(prompts, 0.2))
    assert split([1, 2, 3, 4], 0.5, key=lambda n: n % 2)[0] in ([1, 3], [2, 4])
    with pytest.raises(TypeError, match="int has no prompt"):
        split([1, 2], 0.5)


def test_fingerprint_is_of_what_is_said() -> None:
    items: list[Any] = [*pairs(2), Demonstration(ask("a"), "b")]
    same = fingerprint(items)
    assert fingerprint(replace(item, id="other") for item in items) == same
    assert fingerprint(items[::-1]) != same
    assert fingerprint(items[1:]) != same
    assert fingerprint([replace(items[0], strength=1.0), *items[1:]]) != same
    assert fingerprint([]) != same
    assert fingerprint([Prompt(ask("a"))]) != fingerprint([Prompt(ask("b"))])


def test_hh_rlhf_is_spelled_whole(shared: Callable[[str], Path], stories260k: Path) -> None:
    found, _ = read_comparisons(shared("data/hh-rlhf/harmless-base-test.jsonl.gz"))
    few = found[:200]
    speller = Speller.load(stories260k, template="turns")
    rows, tally = spell_pairs(few, speller)
    assert tally.kept == 200
    for row, comparison in zip(rows, few, strict=True):
        assert row.prompt_ids[0] == 1
        assert speller.decode(row.prompt_ids).endswith("\n\nAssistant:")
        assert tuple(speller.text(ids) for ids in row.response_ids) == comparison.responses


def test_what_is_known_of_a_prompt_makes_it_no_other_prompt() -> None:
    """One that is held out is not learned from in another file, whose rows have no facts, or
    others."""

    def asked(n: int, *facts: str) -> tuple[Message, ...]:
        return (Message("user", (Text(f"q{n}"), *map(Fact, facts))),)

    prompts = [Prompt(asked(n, f"{n} is known")) for n in range(20)]
    learn, tests = split(prompts, 0.3)
    assert [one.messages[0].text for one in tests] == [
        one.messages[0].text for one in split([Prompt(ask(f"q{n}")) for n in range(20)], 0.3)[1]
    ]
    few = [Demonstration(asked(n, *more), "a") for n in range(20) for more in ((), ("else",))]
    left = {one.prompt[0].text for one in without(few, tests)}
    assert left == {one.messages[0].text for one in learn}
