"""What pages send back becomes acts; what they should not have let through is refused in words."""

from dataclasses import asdict

import pytest

from accord.errors import BadData
from accord.store.judgements.forms import Kind, StudyConfig, View
from accord.web.judging_form import LONGEST, fields_of, read_act, read_draft

BASE = {"lease": "7", "key": "k"}
PLAIN = StudyConfig(verdicts=("tie", "both_bad"))


@pytest.mark.parametrize(
    ("verdict", "ranks", "bad"),
    [
        ("first", (0, 1), False),
        ("second", (1, 0), False),
        ("tie", (0, 0), False),
        ("bad", None, True),
    ],
)
def test_a_pair(verdict: str, ranks: tuple[int, ...] | None, bad: bool) -> None:
    act = read_act({**BASE, "verdict": verdict, "ms_total": "1200"}, "pairwise", PLAIN)
    assert (act.ranks, act.both_bad, act.strength) == (ranks, bad, None)
    assert (act.lease_id, act.key, act.act, act.ms_total) == (7, "k", "judge", 1200)


def test_a_strength_belongs_to_a_preference_alone() -> None:
    config = StudyConfig(verdicts=("tie", "strength"))
    fields = {**BASE, "verdict": "first", "strength": "3"}
    assert read_act(fields, "pairwise", config).strength == 3
    assert read_act({**fields, "verdict": "tie"}, "pairwise", config).strength is None
    with pytest.raises(BadData, match="how much better"):
        read_act({**fields, "strength": ""}, "pairwise", config)


@pytest.mark.parametrize(
    ("places", "ranks"),
    [("312", (2, 0, 1)), ("111", (0, 0, 0)), ("313", (1, 0, 1)), ("229", (0, 0, 1))],
)
def test_places_become_ranks_from_nought_without_holes(places: str, ranks: tuple[int, ...]) -> None:
    fields = {f"rank_{place}": rank for place, rank in enumerate(places)}
    assert read_act({**BASE, **fields}, "rank", PLAIN).ranks == ranks


def test_all_bad_needs_no_places() -> None:
    act = read_act({**BASE, "rank_0": "", "rank_1": "", "rank_2": "", "bad": "1"}, "rank", PLAIN)
    assert (act.ranks, act.both_bad) == (None, True)


def test_ratings_by_axis_and_place() -> None:
    config = StudyConfig(axes=("helpful", "honest"))
    numbers = {"rate_helpful_0": "7", "rate_helpful_1": "1", "rate_honest_0": "4"}
    fields = {**BASE, "answers": "2", **numbers, "rate_honest_1": "5"}
    assert read_act(fields, "rate", config).ratings == {"helpful": (7, 1), "honest": (4, 5)}
    with pytest.raises(BadData, match="'honest' of answer B"):
        read_act({**fields, "rate_honest_1": ""}, "rate", config)


def test_a_rewrite_keeps_its_lines() -> None:
    assert read_act({**BASE, "rewrite": "one\r\ntwo"}, "rewrite", PLAIN).rewrite == "one\ntwo"


def test_skips_and_reports_need_no_verdict_and_carry_why() -> None:
    strict = StudyConfig(reason="required", view=View(read_all=True))
    skip = read_act({**BASE, "act": "skip", "skip_tag": "too long"}, "pairwise", strict)
    assert (skip.act, skip.tags, skip.ranks) == ("skip", ("too long",), None)
    flag = read_act({**BASE, "act": "flag", "flag_tag": "x", "skip_tag": "y"}, "pairwise", strict)
    assert (flag.act, flag.tags) == ("flag", ("x",))


@pytest.mark.parametrize(
    ("fields", "kind", "config", "said"),
    [
        ({"verdict": "first", "lease": ""}, "pairwise", PLAIN, "without its item"),
        ({"verdict": "first", "key": ""}, "pairwise", PLAIN, "without its item"),
        ({"verdict": "third"}, "pairwise", PLAIN, "choose one"),
        ({"act": "delete"}, "pairwise", PLAIN, "'delete' is not"),
        ({"verdict": "tie", "ms_total": "-1"}, "pairwise", PLAIN, "ms_total is no whole"),
        ({"verdict": "tie"}, "pairwise", StudyConfig(reason="required"), "asks why"),
        ({"verdict": "tie"}, "pairwise", StudyConfig(view=View(read_all=True)), "scroll all"),
        ({"verdict": "tie", "reason": "x" * (LONGEST + 1)}, "pairwise", PLAIN, "longer than"),
        ({"rank_0": "1", "rank_1": ""}, "rank", PLAIN, "B has none"),
        ({"rewrite": " \n"}, "rewrite", PLAIN, "is empty"),
    ],
)
def test_what_is_refused(
    fields: dict[str, str], kind: Kind, config: StudyConfig, said: str
) -> None:
    with pytest.raises(BadData, match=said):
        read_act({**BASE, **fields}, kind, config)


def test_a_draft_is_what_was_chosen_and_nothing_else() -> None:
    fields = {**BASE, "reason": "so", "rank_0": "1", "rate_helpful_1": "3", "act": "skip"}
    fields |= {"verdict": "", "evil": "x", "view": "plain"}
    assert read_draft(fields) == {"reason": "so", "rank_0": "1", "rate_helpful_1": "3"}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("pairwise", {"verdict": "second", "strength": "2", "reason": "so"}),
        ("pairwise", {"verdict": "tie"}),
        ("pairwise", {"verdict": "bad"}),
        ("rank", {"rank_0": "2", "rank_1": "1", "rank_2": "2"}),
        ("rate", {"rate_helpful_0": "7", "rate_helpful_1": "1", "answers": "2"}),
        ("rewrite", {"rewrite": "better", "as_is": "1"}),
    ],
)
def test_what_is_taken_back_fills_the_page_as_it_was(kind: Kind, fields: dict[str, str]) -> None:
    config = StudyConfig(verdicts=("tie", "both_bad", "strength"), axes=("helpful",))
    said = asdict(read_act({**BASE, **fields}, kind, config))
    again = {**BASE, "answers": fields.get("answers", ""), **fields_of(said)}
    assert asdict(read_act(again, kind, config)) == said
