"""What the page and the terminal show of an evaluation, and that it cannot run."""

import copy
import re
from typing import Any

import pytest

from accord.evaluate.answers import LETTERS, Side, given
from accord.evaluate.evaluationpage import lines, picked, render, samples, signs
from accord.evaluate.measure import Bout, Scored, plain, rows, tell, verdict
from accord.evaluate.perplexity import Perplexity, tax
from accord.maths.lengths import controlled
from accord.records import Invalid, Prompt, ask

NASTY = "<script>alert(1)</script> [bold]"


def side(name: str, texts: list[str]) -> Side:
    prompts = [Prompt(ask(f"{NASTY} {i}")) for i in range(len(texts))]
    said = {p.messages: [text] for p, text in zip(prompts, texts, strict=True)}
    return given(name, prompts, said, LETTERS, 1)


def bout(**more: Any) -> Bout:
    """Twenty prompts; the model wins fifteen and loses five by the rule."""
    old = [f"{NASTY} said {i}" for i in range(20)]
    new = [f"{NASTY} was answered {i} times" for i in range(20)]
    base: dict[str, Any] = {
        "against": side("base", old),
        "model": side("mine", new),
        "prompts": [f"{NASTY} {i}" for i in range(20)],
        "scored": [
            Scored("rule", "r.py:f", [0.0] * 20, [1.0] * 15 + [-1.0] * 5),
            Scored("reward", "rm", [float(i % 3) for i in range(20)], [5.0 + i for i in range(20)]),
        ],
        "unit": "characters",
    }
    return Bout(**(base | more))


def test_a_whole_evaluation_is_told() -> None:
    found = bout(
        judge=lambda duels: [0.0 if "said" in d.first else 1.0 for d in duels],
        judge_name="j.py:f",
        tax=tax(*(Perplexity((x, x + 1), (5, 6), (9, 9), (10, 9)) for x in (9.0, 14.0))),
        no_kl="nobody asked",
    )
    told = tell(found)
    assert [one["voice"] for one in told["win_rates"]] == ["judge", "rule", "reward"]
    assert told["win_rates"][0]["rate"] == 1.0
    assert told["win_rates"][1]["rate"] == 0.75
    assert told["verdict"]["tone"] == "better"
    assert told["watch"]["learned"]["low"] > 0
    assert "Alignment tax" in signs(told)[-1]
    text = "\n".join(lines(told))
    for word in ("by judge", "by rule", "75%", "bits per byte", "nobody asked", "half would be"):
        assert word in text
    page = render({**told, "settings": {"n": 1, "rule": None}}, samples(found))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r'(src|href)="http', page)
    assert "StrictUndefined" not in page
    for word in ("mine", "base", "15</b> won by the model", "Learned against true", "Side by side"):
        assert word in page


def _wordy(count: int) -> Bout:
    """Of every pair the longer answer wins, and the model's are longer in three of four."""
    old = [f"said {'so ' * 5}{i}" for i in range(count)]
    new = [f"said {'so ' * ((1, 9, 12, 15)[i % 4])}{i}" for i in range(count)]
    scores = [[float(len(text)) for text in texts] for texts in (old, new)]
    return bout(
        against=side("base", old),
        model=side("mine", new),
        prompts=[str(i) for i in range(count)],
        scored=[Scored("rule", "r.py:f", *scores)],
        judge=lambda duels: [float(len(d.first) > len(d.second)) for d in duels],
    )


def test_a_win_rate_at_equal_length_stands_beside_the_raw_one() -> None:
    found = _wordy(60)
    told = tell(found)
    for one in told["win_rates"]:
        assert one["rate"] == 0.75
        assert one["equal_length"]["low"] < one["equal_length"]["rate"] < one["low"]
        assert one["equal_length"]["rate"] == pytest.approx(0.5, abs=0.15)
        assert one["equal_length"]["slope"] > 2
    said = "the longer of two answers is preferred"
    assert "\n".join(lines(told)).count(said) == 2
    page = render({**told, "settings": {}}, samples(found))
    assert page.count("Length-controlled: at equal length") == 2
    assert page.count(said) == 2


def test_of_few_prompts_no_rate_at_equal_length_is_told() -> None:
    told = tell(_wordy(28))
    assert [one["equal_length"] for one in told["win_rates"]] == [None, None]
    assert "equal length" not in "\n".join(lines(told))


def test_lengths_are_in_characters_and_as_many_as_there_are_answers() -> None:
    """The answers' own texts, pair by pair, by the seed of the evaluation."""
    found = _wordy(40)
    texts = zip(found.against.texts, found.model.texts, strict=True)
    gaps = [[float(len(new[0]) - len(old[0]))] for old, new in texts]
    points = [[float(few[0] > 0)] for few in gaps]
    want = controlled(points, gaps, seed=found.seed)
    assert tell(found)["win_rates"][1]["equal_length"] == plain(want)


def test_why_pairs_could_not_be_judged_is_said_where_one_looks_first() -> None:
    def shy(duels: list[Any]) -> list[Any]:
        return [Invalid("no [verdict]") if d.first.endswith(" 0") else 1.0 for d in duels]

    found = bout(judge=shy, judge_name="j.py:f")
    (line,) = [line for line in lines(tell(found)) if "by judge" in line]
    assert r"not judged, most often: no \[verdict]" in line


def test_the_table_has_a_number_for_either_side() -> None:
    table = rows(tell(bout()))
    assert table[0][:4] == ("Score by the rule", "number", 0.5, 0.0)
    lengths = next(row for row in table if row[0] == "Length")
    assert lengths[2] > lengths[3]
    assert lengths[4] == "characters, the mean"


def _told(**more: Any) -> dict[str, Any]:
    told = copy.deepcopy(tell(bout()))
    told["win_rates"][0] |= more
    return told


@pytest.mark.parametrize(
    ("more", "tone", "says"),
    [
        ({}, "better", "better than chance"),
        ({"low": 0.4}, "unclear", "no clear difference"),
        ({"low": 0.2, "high": 0.4}, "worse", "worse than chance"),
        ({"invalid": 9}, "unclear", "9 pairs could not be judged"),
        ({"prompts": 9}, "unclear", "too few"),
    ],
)
def test_verdicts(more, tone, says) -> None:
    found = verdict(_told(**more))
    assert found["tone"] == tone
    assert says in found["sentence"]


def test_a_rule_that_falls_while_the_reward_rises_is_over_optimised() -> None:
    found = bout()
    worse = [Scored("rule", "r", [0.0] * 20, [-1.0] * 20), found.scored[1]]
    told = tell(bout(scored=worse))
    assert told["verdict"]["tone"] == "over-optimised"
    assert "was pleased, not people" in signs(told)[0]


def test_scores_that_are_none_stay_none() -> None:
    bad = [Invalid("?"), *[1.0] * 19]
    told = tell(bout(scored=[Scored("rule", "r", [0.0] * 20, bad)]))
    assert told["scores"][0]["model"]["invalid"] == 1
    assert told["win_rates"][0]["invalid"] == 1
    assert "1 without a score" in rows(told)[0][4]
    shown = samples(bout(scored=[Scored("rule", "r", [0.0] * 20, bad)]))
    assert shown[0]["model"][0]["scores"] == {"rule": None}
    assert plain({"x": [float("nan"), float("inf"), 1.0]}) == {"x": [None, None, 1.0]}


def test_what_is_shown_flatters_nobody() -> None:
    found = picked(samples(bout()), "rule")
    assert [row["why"] for row in found] == [
        *["as it came"] * 4,
        "largest gain of the others",
        "largest loss of the others",
    ]
    assert len(picked(samples(bout()), None)) == 4
