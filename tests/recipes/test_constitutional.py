"""Revising and comparing under a constitution, by a model that keeps its rule to the letter."""

import json
import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from accord.data.constitution import read_constitution
from accord.data.principled import to_choose
from accord.data.rows import pad
from accord.data.sources import read
from accord.engine.llm import Spoken
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings, RunMismatch
from accord.maths.feedback import by_place, clamped, preferred, unswapped
from accord.maths.preference import BradleyTerry, Compared
from accord.recipes.constitutional import Constitutional, compare, revise
from accord.recipes.constitutional_job import Given, mixed, walk
from accord.recipes.constitutional_stages import compare_stage, revise_stage
from accord.recipes.ppo import PPO
from accord.recipes.revising import Revise
from accord.recipes.reward import RewardModel
from accord.recipes.sft import SFT
from accord.recipes.stage import Place
from accord.recipes.weighing import Feedback, Label, Pair, Thought
from accord.records import Comparison, Invalid, Prompt, ask
from constitution_fakes import RULES, Odd, RuleLLM, Whole, shown
from toys import toy_policy

STORYTELLER = Path(str(files("accord") / "demo" / "storyteller"))
PROMPTS = [Prompt(ask(text), name) for name, text in zip("uvwx", ("a", "ab", "d", "cb"))]
FIRSTS = ["ddd", "bd", "a", "dcd"]
ANSWERS = [("d", "a"), ("ab", "dd"), ("a", "b"), ("d", "dd")]
PAIRS = [Pair(p.id, p.messages, two) for p, two in zip(PROMPTS, ANSWERS)]


@pytest.fixture
def c(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return read_constitution(path)


def texts(made, place: int) -> list:
    return [one.text for one in sorted(made, key=lambda r: r.round) if one.place == place]


# --- the numbers of the spec ---


def test_labels_as_computed_elsewhere():
    q = preferred(-1.2, -2.3)
    assert q == pytest.approx(0.7502601056, abs=1e-10)
    assert clamped(q, 0.4, 0.6) == 0.6
    assert preferred(-2.3, -1.2) == pytest.approx(1 - q)
    assert preferred(-1000.0, -3.0) == 0.0
    assert preferred(-math.inf, -3.0) == 0.0
    with pytest.raises(ValueError, match="neither option"):
        preferred(-math.inf, -math.inf)


@pytest.mark.parametrize(("q", "loss"), [(0.7502601056, 0.5989469314), (0.6, 0.6740769842)])
def test_the_preference_model_honours_soft_labels(q, loss):
    told = BradleyTerry()(
        Compared(
            torch.tensor([[0.5, 0.0]], dtype=torch.float64),
            torch.ones(1, 2, dtype=torch.bool),
            torch.tensor([[0, 1]]),
            torch.tensor([math.nan]),
            torch.tensor([q], dtype=torch.float64),
        )
    )
    assert float(told.each) == pytest.approx(loss, abs=1e-9)


def test_what_place_alone_decides_falls_out():
    assert unswapped(0.9, 0.9) == pytest.approx(0.5)
    assert by_place(0.9, 0.9) == pytest.approx(0.4)
    assert unswapped(0.8, 0.2) == pytest.approx(0.8)
    assert by_place(0.8, 0.2) == pytest.approx(0.0)


# --- revisions ---


def test_each_round_revises_what_the_last_one_made(c):
    llm, heard = RuleLLM(), []
    made = revise(
        Revise(rounds=3), c, llm, PROMPTS, FIRSTS, told=lambda n, few: heard.append((n, len(few)))
    )
    assert texts(made, 0) == ["add", "aad", "aaa"]
    assert texts(made, 3) == ["acd", "aca", "aca"]
    assert texts(made, 2) == ["a", "a", "a"]
    assert [one.changed for one in made if one.place == 3] == [True, True, False]
    assert heard == [(1, 4), (2, 4), (3, 4)]
    assert llm.calls == 6, "a critique and a revision of all prompts side by side, each round"
    assert {one.critique for one in made if one.place == 0} == {
        f"there is {n} of it" for n in (3, 2, 1)
    }


def test_principles_are_drawn_for_each_round_and_prompt_alone(c):
    many = [Prompt(ask("a"), str(i)) for i in range(300)]
    made = revise(Revise(rounds=2), c, RuleLLM(), many, ["d"] * 300)
    first = [one.principle for one in made if one.round == 1]
    second = [one.principle for one in made if one.round == 2]
    assert all(70 < first.count(name) < 130 for name in "123")
    same = sum(a == b for a, b in zip(first, second))
    assert 70 < same < 130, "independent of the round before"
    alone = revise(Revise(rounds=2), c, RuleLLM(), many[7:8], ["d"])
    assert [(o.principle, o.seed) for o in alone] == [
        (o.principle, o.seed) for o in made if o.place == 7
    ], "whatever else is revised beside it"
    other = revise(Revise(rounds=1), c, RuleLLM(), many, ["d"] * 300, seed=1)
    assert [one.principle for one in other] != first


def test_without_critiques_there_are_none(c):
    llm = RuleLLM()
    made = revise(Revise(rounds=2, skip_critique=True), c, llm, PROMPTS, FIRSTS)
    assert texts(made, 0) == ["add", "aad"]
    assert llm.calls == 2
    assert not any("Critique" in one.messages[0].text for one in llm.asked)


def test_a_failed_round_is_counted_and_the_next_goes_on_from_the_last_good_answer(c):
    bad = {
        ("Critique:", "ddd"): Invalid("server is down"),
        ("Revision:", "bd"): Spoken("  ", True),
        ("Revision:", "dcd"): Spoken(" dc", False),
        ("Critique:", "cc"): Spoken("\n\nHuman: and", False),
        ("Revision:", "a"): Invalid("too long"),
    }
    seen: set = set()

    def once(one):
        text = one.messages[0].text
        answer = next(w for w in ("ddd", "bd", "dcd", "cc", "a") if f"Assistant: {w}\n" in text)
        key = (one.opened, answer)
        return None if key in seen or key not in bad else (seen.add(key), bad[key])[1]

    more = [*PROMPTS, Prompt(ask("b"), "y")]
    made = revise(Revise(rounds=2), c, Odd(once), more, [*FIRSTS, "cc"])
    assert texts(made, 4) == [Invalid("critique: empty"), "cc"]
    assert texts(made, 0) == [Invalid("critique: server is down"), "add"]
    assert texts(made, 1) == [Invalid("revision: empty"), "ba"]
    assert texts(made, 2) == [Invalid("revision: too long"), "a"]
    assert texts(made, 3) == [Invalid("revision: cut at longest="), "acd"]
    assert not any(one.changed for one in made if isinstance(one.text, Invalid))


def test_a_base_model_that_goes_on_with_the_next_turn_has_ended(c):
    def goes_on(one):
        return Spoken(" ab\n\nHuman: more", False) if one.opened == "Revision:" else None

    made = revise(Revise(rounds=1), c, Odd(goes_on), PROMPTS[:1], [" ddd"])
    assert texts(made, 0) == [" ab"], "and begins with a space, as the answer before"


# --- comparisons ---


def test_a_label_is_the_mean_of_both_orders(c):
    even, biased = RuleLLM(), RuleLLM(bias=2.0)
    fair = compare(Feedback(), c, even, PAIRS)
    assert fair[0].q == pytest.approx(preferred(-2.0, -1.0))
    assert fair[1].q == pytest.approx(preferred(-1.0, -3.0))
    assert fair[2].q == 0.5
    assert all(one.place == pytest.approx(0) for one in fair)
    swapped = compare(Feedback(), c, biased, PAIRS)
    assert swapped[2].q == pytest.approx(0.5), "a judge who looks at the place says nothing"
    assert swapped[2].place == pytest.approx(preferred(2.0, 0.0) - 0.5)
    naive = compare(Feedback(swap=False), c, biased, PAIRS)
    assert naive[2].q == pytest.approx(preferred(2.0, 0.0))
    assert naive[2].place is None
    assert even.asked[0].opened == "The answer is:"
    assert (shown(even.asked[0]), shown(even.asked[1])) == (("d", "a"), ("a", "d"))


def test_labels_are_averaged_over_the_principles_that_are_asked(c):
    def picky(one):
        two = shown(one)
        return (
            (-1.0 - two[0].count("d"), -1.0)
            if "Say no d." in one.messages[0].text
            else (-1.0, -1.0)
        )

    llm = RuleLLM()
    llm.weight = picky
    (label,) = compare(Feedback(principles=9), c, llm, PAIRS[:1])
    assert label.principles == ("1", "2", "3")
    assert len(llm.asked) == 6
    mean = (unswapped(preferred(-2.0, -1.0), preferred(-1.0, -1.0)) + 0.5 + 0.5) / 3
    assert label.q == pytest.approx(mean)
    drawn = [compare(Feedback(), c, RuleLLM(), PAIRS, seed=s)[0].principles for s in range(60)]
    assert {one for (one,) in drawn} == {"1", "2", "3"}


def test_a_chain_of_thought_is_held_near_even(c):
    llm = RuleLLM(slope=50.0)
    (sure,) = compare(Feedback(), c, llm, PAIRS[:1])
    assert sure.q < 1e-9
    (label,) = compare(Feedback(think=Thought(n=3, temperature=0.5)), c, llm, PAIRS[:1])
    assert label.q == pytest.approx(0.4)
    assert llm.how[-1].temperature == 0.5
    chains = [one for one in llm.asked if one.opened == "Let's think step by step:"]
    assert len(chains) == len({one.seed for one in chains}) == 6, "3 of each order, other dice each"
    last = llm.asked[-1].opened
    assert last.startswith("Let's think step by step: there is")
    assert last.endswith("\n\nSo the answer is:")
    (wide,) = compare(Feedback(think=Thought(low=0.1, high=0.9)), c, llm, PAIRS[:1])
    assert wide.q == pytest.approx(0.1)


def test_chains_that_fail_are_left_out_and_all_failed_is_invalid(c):
    lost = iter([Invalid("busy"), None] * 2)
    (label,) = compare(Feedback(think=Thought(n=2)), c, Odd(lambda a: next(lost)), PAIRS[:1])
    assert isinstance(label, Label)
    none = Odd(lambda one: Spoken(" ", True))
    (label,) = compare(Feedback(think=Thought(n=2)), c, none, PAIRS[:1])
    assert label == Invalid("chain of thought: empty")


def test_one_order_alone_is_no_label(c):
    llm = RuleLLM()
    llm.weight = lambda one: (
        Invalid("no log-probabilities") if shown(one)[0] == "a" else (-1.0, -2.0)
    )
    assert compare(Feedback(), c, llm, PAIRS[:1]) == [Invalid("no log-probabilities")]
    llm.weight = lambda one: (-math.inf, -math.inf)
    assert compare(Feedback(), c, llm, PAIRS[:1]) == [Invalid("neither option has any probability")]


def test_hard_labels_are_the_likelier_side(c):
    labels = compare(Feedback(labels="hard"), c, RuleLLM(), PAIRS)
    assert [one.q for one in labels] == [0.0, 1.0, 0.5, 1.0]


def test_a_label_does_not_hang_on_what_is_beside_it(c):
    together = compare(Feedback(principles=2), c, RuleLLM(bias=0.3), PAIRS)
    alone = [compare(Feedback(principles=2), c, RuleLLM(bias=0.3), [one])[0] for one in PAIRS]
    assert together == alone


# --- as stages: what lies on the disk ---


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
