"""What revising, comparing and the whole way leave on the disk, and what they teach."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from accord.data.constitution import read_constitution
from accord.data.principled import to_choose
from accord.data.rows import pad
from accord.data.sources import read
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings, RunMismatch
from accord.maths.feedback import preferred, unswapped
from accord.recipes.constitutional import Constitutional
from accord.recipes.constitutional_job import Given, agreement, mixed, walk
from accord.recipes.constitutional_stages import compare_stage, revise_stage
from accord.recipes.ppo import PPO
from accord.recipes.revising import Revise
from accord.recipes.reward import RewardModel
from accord.recipes.sft import SFT
from accord.recipes.stage import Place
from accord.recipes.weighing import Feedback, Thought
from accord.records import Comparison, Invalid, Prompt, ask
from constitution_fakes import RULES, Odd, RuleLLM, Whole
from toys import toy_policy

STORYTELLER = Path(str(files("accord") / "demo" / "storyteller"))


@pytest.fixture
def c(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return read_constitution(path)


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def many(n: int = 24) -> list[Prompt]:
    words = ["abcd"[i % 4] + "abcd"[i // 4 % 4] + "abcd"[i // 16] for i in range(n)]
    return [Prompt(ask(word), f"p{i}") for i, word in enumerate(words)]


def test_every_revision_becomes_a_demonstration_that_says_where_it_is_from(c, tmp_path):
    told = []
    place, cfg = Place(tmp_path, seed=5, tell=told.append, limit=0.95), Revise(rounds=2, longest=3)
    llm = RuleLLM()
    given = (many(), many(40)[24:])
    made = revise_stage(place, cfg, c, llm, toy_policy(), *given)
    lines = rows(tmp_path / "revisions" / "demonstrations.jsonl")
    revised = [one for one in lines if one["round"]]
    assert {one["round"] for one in revised} == {1, 2}, "not the last revision alone"
    for one in revised:
        assert one["principle"] in ("1", "2", "3")
        assert (one["template"], one["author"]) == ("1", "rule")
        assert one["seed"] >= 0
    found = read(tmp_path / "revisions" / "demonstrations.jsonl", "demonstrations")
    assert found.records == made.records
    assert len(found.records) == len(lines)
    trace = rows(tmp_path / "revisions" / "rounds.jsonl")
    assert all(len(one["rounds"]) == 2 and one["answer"] for one in trace)
    numbers = made.artifact.numbers
    assert numbers["demonstrations"] == len(lines)
    assert {f"round/{n}/{what}" for n in (1, 2) for what in ("words", "changed", "failed")} < set(
        numbers
    )
    assert any(f"round 2: {len(trace)} of {len(trace)} revisions" in line for line in told)
    parents = made.artifact.parents
    assert "rule" in parents
    assert c.fingerprint in parents
    calls = llm.calls
    again = revise_stage(place, cfg, c, llm, toy_policy(), *given)
    assert again.artifact == made.artifact
    assert llm.calls == calls, "nothing is asked again"
    with pytest.raises(RunMismatch, match="rounds was 2 and is now 3"):
        revise_stage(place, Revise(rounds=3, longest=3), c, llm, toy_policy(), *given)


def test_too_many_failures_stop_the_stage_and_say_why(c, tmp_path):
    down = Odd(lambda one: Invalid("server is down"))
    with pytest.raises(BadData, match="critique: server is down"):
        revise_stage(Place(tmp_path), Revise(longest=3), c, down, toy_policy(), many())
    assert not (tmp_path / "revisions").exists()


def test_reasons_that_differ_in_a_number_are_one(c, tmp_path):
    n = iter(range(400, 900))
    full = Odd(lambda one: Invalid(f"{next(n)} tokens are too many"))
    with pytest.raises(BadData) as error:
        revise_stage(Place(tmp_path), Revise(rounds=1, longest=3), c, full, toy_policy(), many())
    said = str(error.value)
    assert said.count("critique: N tokens are too many") == 1
    assert "/r1: critique: 4" in said


def test_revisions_that_change_nothing_can_be_left_out(c, tmp_path):
    counts = {}
    for how in ("keep", "drop"):
        cfg = Revise(rounds=2, longest=3, unchanged=how)
        made = revise_stage(
            Place(tmp_path / how, limit=0.9), cfg, c, RuleLLM(), toy_policy(), many()
        )
        lines = rows(tmp_path / how / "revisions" / "demonstrations.jsonl")
        counts[how] = len(lines), len(made.records)
    assert counts["drop"] < counts["keep"]


def test_labels_become_comparisons_that_reward_learning_reads(c, tmp_path):
    place = Place(tmp_path, seed=5, limit=0.9)
    made = compare_stage(
        place, Feedback(longest=3, principles=2), c, RuleLLM(bias=1.0), toy_policy(), many()
    )
    lines = rows(tmp_path / "labels" / "comparisons.jsonl")
    found = read(tmp_path / "labels" / "comparisons.jsonl", "comparisons")
    assert found.records == made.records
    assert not found.tally.dropped
    for one, said in zip(made.records, lines, strict=True):
        fewer = one.responses[0].count("d") - one.responses[1].count("d")
        assert (one.p_first < 0.5) == (fewer > 0) or fewer == 0
        assert one.p_first not in (0.0, 1.0), "a soft label"
        assert len(said["principles"]) == 2
        assert (said["template"], said["judge"]) == ("1", "rule")
        assert said["place"] > 0
    assert made.artifact.numbers["place"] > 0.05
    answers = rows(tmp_path / "answers" / "answers.jsonl")
    same = sum(one["answers"][0] == one["answers"][1] for one in answers)
    assert made.artifact.numbers["same"] == same
    by_id = {one["id"]: one["answers"] for one in answers}
    for one in made.records:
        assert list(one.responses) == by_id[one.id], "two samples, no original against a revision"


def test_limits_and_a_judge_that_leans_are_warned_of(c, tmp_path):
    def told(name: str, bias: float, **more) -> str:
        said: list[str] = []
        cfg = Feedback(longest=3, **{"think": Thought(), **more})
        place = Place(tmp_path / name, limit=0.9, tell=said.append)
        compare_stage(place, cfg, c, RuleLLM(bias=bias), toy_policy(), many())
        return "\n".join(said)

    assert "held at the same limit" in told("leans", 20.0)
    assert "limit" not in told("fair", 0.0)
    assert "limit" not in told("one order", 20.0, swap=False)
    assert "limit" not in told("no thought", 20.0, think=None)
    assert "limit" not in told("wide", 1.0, think=Thought(low=0.0, high=1.0))


def test_a_share_of_people_s_comparisons():
    ours = [Comparison(ask(str(i)), ("a", "b"), (0, 1), judge="llm") for i in range(30)]
    theirs = [Comparison(ask(str(i)), ("a", "b"), (0, 1)) for i in range(20)]
    place = Place("nowhere")
    assert len(mixed(ours, theirs, None, place)) == 50
    half = mixed(ours, theirs, 0.5, place)
    assert sum(one.judge == "human" for one in half) == 20
    assert len(half) == 40
    few = mixed(ours, theirs, 0.25, place)
    assert [sum(one.judge == who for one in few) for who in ("llm", "human")] == [30, 10]
    assert mixed(ours, theirs, 0.0, place) == ours
    assert mixed(ours[:4], theirs, 0.1, place) == ours[:4], "less than one of people's"
    assert mixed(ours, [], 0.1, place) == ours, "all of people's were held out"


ALL = Constitutional(
    revise=Revise(rounds=2, longest=3),
    sft=SFT(batch=8, epochs=4.0, lr=1e-2, held_out=0.2),
    compare=Feedback(longest=3, principles=3),
    reward=RewardModel(batch=8, epochs=6.0, lr=1e-2, held_out=0.2),
    ppo=PPO(steps=12, batch=32, longest=3, epochs=2, lr=1e-2, lr_critic=1e-2),
    held_out=0.25,
)


def slips(rollouts) -> list[float]:
    return [-float(r.response_ids.count(5)) for r in rollouts]


def test_the_whole_way_teaches_the_rule(c, tmp_path):
    llm, start = RuleLLM(slope=3.0), toy_policy()
    given = Given(many(48), many(60)[48:])
    place = Place(tmp_path, limit=0.9)
    made = walk(place, ALL, c, llm, start, start, given, gold=slips)
    assert (tmp_path / "report" / "report.html").is_file()
    asks = [start.speller.prompt_ids(p.messages) for p in many(48)]
    score = []
    for policy in (start, made.sl.handle, made.policy.handle):
        said = policy.sample(asks, n=8, longest=3, seed=9)
        score.append(sum(slips(said)) / len(said))
    assert score[1] > score[0] + 0.1, "the supervised stage"
    assert score[2] > score[1], "then the RL stage"
    assert score[2] > 0.5 * score[0]
    assert "Preference model" in (tmp_path / "report" / "report.html").read_text()
    every = made.labels.records
    people = [replace(one, judge="people", p_first=None, ranks=one.ranks[::-1]) for one in every]
    half = ALL.reward.model_copy(update={"held_out": 0.6})
    told = agreement(half, made.reward.handle, [*every, *people], llm.which, 0)
    assert 0 < told["AI labels held out"] == told["people's held out"] < len(every)
    assert told["agrees with AI labels"] > 0.5
    assert told["agrees with AI labels"] + told["agrees with people's"] == pytest.approx(1)
    assert "agrees with people's" not in agreement(half, made.reward.handle, every, llm.which, 0)
    assert made.reward.artifact.parents[1] == made.labels.artifact.id
    assert made.labels.artifact.parents[0] != made.revisions.artifact.parents[0]


def test_what_a_later_stage_would_lack_is_said_first(c, tmp_path):
    start, place, llm = toy_policy(), Place(tmp_path), RuleLLM()
    short = replace(c, compare=())
    with pytest.raises(BadSettings, match="add 'compare' to it"):
        walk(place, ALL, short, llm, start, start, Given(many()))
    half = ALL.model_copy(update={"compare": Feedback(helpful=0.5)})
    with pytest.raises(BadSettings, match=r"give comparisons=FILE"):
        walk(place, half, c, llm, start, start, Given(many()))
    with pytest.raises(BadSettings, match=r"none of 1 prompts can be kept for the report"):
        walk(place, ALL, c, llm, start, start, Given(many()[:1]))
    assert not llm.calls


# --- a real model ---


def test_a_real_model_answers_is_revised_and_weighs_whole_options(tmp_path):
    story = Policy.open(STORYTELLER)
    c, llm = read_constitution("stories"), Whole(story)
    openings = ("One day, Tom ran to the tree", "Lily was playing", "The dog barked at", "Ben and")
    asked = [Prompt(ask(text), str(i)) for i, text in enumerate(openings)]
    place = Place(tmp_path, limit=0.99)
    revised = revise_stage(
        place.below("revise"), Revise(rounds=1, longest=60), c, llm, story, asked * 3
    )
    assert revised.records
    assert all(one.response.strip() and "Request" not in one.response for one in revised.records)
    told = compare_stage(place.below("compare"), Feedback(longest=20), c, llm, story, asked)
    assert all(0 <= one.p_first <= 1 for one in told.records)
    spell = story.speller
    pair = told.records[0]
    rows_ = rows(tmp_path / "compare" / "labels" / "comparisons.jsonl")
    (name,) = rows_[0]["principles"]
    (by,) = (one for one in c.compare if one.id == name)
    q = []
    for two in (pair.responses, pair.responses[::-1]):
        put = to_choose(c, by, pair.prompt, two, seed=rows_[0]["seed"])
        ids = (*spell.prompt_ids(put[0]), *llm.bare(put[1]))
        logp = []
        for option in (" (A)", " (B)"):
            end = llm.bare(option)
            assert len(end) > 1, "an option is several tokens here"
            logp.append(sum(story.logp(pad([ids], [end])).double().flatten().tolist()))
        q.append(preferred(*logp))
    assert pair.p_first == pytest.approx(unswapped(*q), abs=1e-5)
