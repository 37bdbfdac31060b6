"""Judges: what they are asked, what is read of it, and that a failure is never a number."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

import seeing
from accord.engine.draw import Sampling
from accord.engine.llm import Ask
from accord.engine.roles import Policy
from accord.errors import BadSettings
from accord.records import Fact, Image, Invalid, Message, Prompt, Rollout, Text, ask
from accord.rewards.asking import Asked, open_llm
from accord.rewards.base import Score
from accord.rewards.duel import Duel
from accord.rewards.judge import verdict
from accord.rewards.judge.card import Judging, judging
from accord.rewards.judge.opinions import Grader, LLMJudge, pair_judge
from accord.rewards.reader import Reader
from accord.text.tokenizer import Speller
from llm_fakes import FakeLLM, served
from recipe_fakes import newborn

DUELS = [Duel("Which sea?", "The Baltic.", "No idea."), Duel("2+2?", "5", "4", reference="four")]


def card(**more: Any) -> Judging:
    return Judging(llm="fake", **more)


def odds(ask: Ask, options: Any) -> list[float]:
    """Likes the first when it is asked about the sea, else the second twice as much."""
    return [-1.0, -3.0] if "sea" in ask.messages[0].text else [-2.0, -2.0 + math.log(2)]


# --- pairs ---


def test_the_label_is_the_share_of_the_options_probability() -> None:
    fake = FakeLLM(weigh=odds)
    given = LLMJudge(fake, card())(DUELS)
    assert given == pytest.approx([1 / (1 + math.exp(-2)), 1 / 3])
    first = fake.asked[0]
    told = first.messages[0].text
    assert first.opened == "The better answer is"
    assert told.index("Which sea?") < told.index("The Baltic.") < told.index("No idea.")
    assert "An answer known to be right" not in told
    assert "four" in fake.asked[1].messages[0].text


@pytest.mark.parametrize(
    ("how", "says", "want"),
    [
        ("text", "A names one. [[A]]", 1.0),
        ("text", "Both bad. [[C]]", 0.5),
        ("text", "I will not say.", "no verdict in 'I will not say.'"),
        ("text", "[[A]] or [[B]]", "several verdicts"),
        ("json", 'Well: {"why": "x {y}", "better": "B"} so', 0.0),
        ("json", '{"better": "tie"}', 0.5),
        ("json", '{"better": "both"}', "no 'better'"),
        ("json", '{"better": ', "no 'better'"),
        ("json", "[" * 3000, "no 'better'"),
        ("json", "", "no 'better'"),
    ],
)
def test_a_written_verdict_is_read_or_invalid(how: str, says: str, want: Any) -> None:
    (given,) = LLMJudge(FakeLLM(speak=lambda _: says), card(verdict=how))(DUELS[:1])
    if isinstance(want, str):
        assert isinstance(given, Invalid)
        assert want in given.reason
    else:
        assert given == want


def test_what_the_model_could_not_say_is_invalid() -> None:
    (given,) = LLMJudge(FakeLLM(speak=lambda _: "!it was down"), card(verdict="text"))(DUELS[:1])
    assert given == Invalid("it was down")
    nothing = FakeLLM(weigh=lambda a, o: [-math.inf, -math.inf])
    (given,) = LLMJudge(nothing, card())(DUELS[:1])
    assert isinstance(given, Invalid)


def test_several_verdicts_are_averaged_and_each_has_its_own_dice() -> None:
    says = {0: "[[A]]", 1: "[[B]]", 2: "?", 3: "[[A]]"}
    fake = FakeLLM(speak=lambda one: says[one.seed])
    (given,) = LLMJudge(fake, card(verdict="text", n=4, temperature=1.0))(DUELS[:1])
    assert given == pytest.approx(2 / 3), "of those that can be read"
    other = FakeLLM(speak=lambda one: "[[A]]")
    LLMJudge(other, card(verdict="text", n=4, temperature=1.0, seed=1))(DUELS[:1])
    assert not {one.seed for one in fake.asked} & {one.seed for one in other.asked}


def test_a_chain_of_thought_stands_before_the_options() -> None:
    fake = FakeLLM(speak=lambda one: f" {one.seed}: the Baltic is one.", weigh=odds)
    given = LLMJudge(fake, card(think=True, n=2, temperature=1.0))(DUELS[:1])
    assert given == pytest.approx([1 / (1 + math.exp(-2))])
    assert [bool(one.opened) for one in fake.asked] == [True] * 4
    assert fake.asked[-1].opened.endswith("1: the Baltic is one.\n\nSo the answer is")


# --- one answer ---


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return Policy.open(newborn(tmp_path_factory.mktemp("judge") / "model"))


def grades(policy: Policy, llm: FakeLLM, how: Judging, *answers: str) -> list[Score]:
    speller, prompt = policy.speller, Prompt(ask("once"), "0")
    ids = speller.prompt_ids(prompt.messages)
    spelled = [speller.response_ids(text) for text in answers]
    said = [
        Rollout(str(i), ids, one, (0.0,) * len(one), 0, "stop") for i, one in enumerate(spelled)
    ]
    return Grader(llm, how, Reader(speller, [prompt]))(said)


def test_who_grades_sees_the_pictures_and_the_facts_of_the_prompt(tmp_path: Path) -> None:
    path = seeing.picture(tmp_path / "red.png")
    speller = Speller.load(seeing.folder(tmp_path / "m"))
    talk = (Message("user", (Image(path), Text("What is it?"), Fact("it is {red}"))),)
    ids, said = speller.prompt_ids(talk), speller.response_ids("A cat.")
    rollout = Rollout("0", ids, said, (0.0,) * len(said), 0, "stop")
    reader = Reader(speller, [Prompt(talk, "0")])
    for how in (card(verdict="text"), card(verdict="text", criteria=("Is it so?",))):
        fake = FakeLLM(speak=lambda _: "[[4]]")
        Grader(fake, how, reader)([rollout])
        (told,) = fake.asked[0].messages
        assert [image.path for image in told.images] == [path]
        assert told.text.startswith("=== What is known to be so ===\n- it is {red}\n\nHere is a")
        assert not told.facts


def test_a_grade_is_its_mean_over_the_odds(policy: Policy) -> None:
    fake = FakeLLM(weigh=lambda _, options: [math.log(p) for p in (0.1, 0.2, 0.3, 0.4)])
    given = grades(policy, fake, card(most=4), "the cat", "a dog")
    assert given == pytest.approx([3.0, 3.0])
    assert "the cat" in fake.asked[0].messages[0].text
    assert "from 1 (bad) to 4" in fake.asked[0].messages[0].text


@pytest.mark.parametrize(
    ("how", "says", "want"),
    [
        ("text", "Fine. [[4]]", 4.0),
        ("text", "[[11]]", "11 is no grade from 1 to 5"),
        ("text", "[[4]] no, [[5]]", "several verdicts"),
        ("text", "4", "no verdict"),
        ("json", '{"why": "", "grade": 3.5}', 3.5),
        ("json", '{"grade": "4"}', 4.0),
        ("json", '{"grade": true}', "no grade"),
        ("json", '{"grade": "high"}', "no grade"),
        ("json", '{"grade": NaN}', "no grade"),
    ],
)
def test_a_written_grade_is_read_or_invalid(policy: Policy, how: str, says: str, want: Any) -> None:
    (given,) = grades(policy, FakeLLM(speak=lambda _: says), card(verdict=how), "the cat")
    if isinstance(want, str):
        assert isinstance(given, Invalid)
        assert want in given.reason
    else:
        assert given == want


def test_criteria_are_asked_one_by_one_and_weighed(policy: Policy) -> None:
    criteria = ("2*Is a cat in it?", "-1*Is it sad?")
    fake = FakeLLM(speak=lambda one: "[[yes]]" if "a cat" in one.messages[0].text else "[[no]]")
    how = card(verdict="text", criteria=criteria)
    assert grades(policy, fake, how, "the cat") == [1.0]
    sad = FakeLLM(speak=lambda _: "[[yes]]")
    assert grades(policy, sad, how, "the cat") == [0.5]
    half = FakeLLM(speak=lambda one: "[[yes]]" if "a cat" in one.messages[0].text else "hm")
    (given,) = grades(policy, half, how, "the cat")
    assert isinstance(given, Invalid)
    assert given.reason.startswith("'Is it sad?': no verdict")
    likely = FakeLLM(weigh=lambda *_: [math.log(0.8), math.log(0.2)])
    assert grades(policy, likely, card(criteria=criteria), "the cat") == pytest.approx([0.4])
    soft = FakeLLM(speak=lambda _: '{"why": "", "answer": "Yes"}')
    assert grades(policy, soft, card(verdict="json", criteria=criteria), "the cat") == [0.5]


# --- the card ---


def test_a_card_is_a_file_and_a_model_alone_is_one_too(tmp_path: Path) -> None:
    file = tmp_path / "kind.yaml"
    file.write_text(
        "llm: http://localhost:1/v1#m\ncounts: kindness\nverdict: json\nmost: 7\n"
        "criteria:\n  - Is it kind?\n  - -1*Is it rude?\n"
        "asked:\n  speaks: completions\n  http:\n    at_once: 9\n  budget:\n    tokens: 5\n"
    )
    found = judging(str(file))
    assert (found.counts, found.verdict, found.most) == ("kindness", "json", 7)
    assert found.criteria == ("Is it kind?", "-1*Is it rude?")
    assert (found.asked.http.at_once, found.asked.budget.tokens) == (9, 5)
    assert judging("some/folder") == Judging(llm="some/folder")
    file.write_text("llm: x\nverdikt: json\n")
    with pytest.raises(BadSettings, match="verdict"):
        judging(str(file))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"n": 3, "verdict": "text"}, "temperature 0"),
        ({"n": 3, "temperature": 1.0}, "no dice"),
        ({"most": 10}, "at most 9"),
        ({"think": True, "verdict": "json"}, "leave think out"),
    ],
)
def test_settings_that_contradict_are_refused(more: dict[str, Any], why: str) -> None:
    with pytest.raises(BadSettings, match=why):
        card(**more).fits()


def test_who_judges_is_known_by_all_that_decides() -> None:
    kinds = [card(), card(counts="x"), card(verdict="text"), card(most=4), card(seed=1)]
    assert len({LLMJudge(FakeLLM(), one).which for one in kinds}) == 5
    assert LLMJudge(FakeLLM(which="x"), card()).which != LLMJudge(FakeLLM(), card()).which


def test_what_counts_and_how_it_writes_reach_the_model() -> None:
    class Told(FakeLLM):
        def say(self, asks: Any, *, longest: int, how: Sampling = Sampling()) -> Any:
            self.told = (longest, how.temperature)
            return super().say(asks, longest=longest, how=how)

    llm = Told(speak=lambda _: "[[A]]")
    LLMJudge(llm, card(verdict="text", counts="it rhymes", longest=7, temperature=0.5))(DUELS)
    assert llm.told == (7, 0.5)
    assert all("What counts: it rhymes." in one.messages[0].text for one in llm.asked)


def test_how_a_folder_is_opened_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def opened(word: str, **more: Any) -> Any:
        seen.update(more, word=word)
        raise BadSettings("far enough")

    monkeypatch.setattr(Policy, "open", opened)
    for how in (Asked(), Asked(dtype="bf16", template="turns")):
        with pytest.raises(BadSettings, match="far enough"):
            open_llm("some/folder", None, how)
        assert seen == {"word": "some/folder", "dtype": how.dtype, "template": how.template}


def test_a_server_judges_and_is_asked_once(tmp_path: Path) -> None:
    with served() as server:
        server.top = lambda body: {"A": math.log(0.6), "B": math.log(0.2)}
        first = pair_judge(server.url, tmp_path)(DUELS)
        again = pair_judge(server.url, tmp_path)(DUELS)
        assert first == again == pytest.approx([0.75, 0.75])
        assert len(server.asked) == 2
    (file,) = tmp_path.iterdir()
    assert [len(json.loads(line)["logp"]) for line in file.read_text().splitlines()] == [2, 2]


def test_marks_are_read_by_their_own_words() -> None:
    assert verdict.decided("so: [[YES]]") == 1.0
    assert verdict.parsed("[[ B ]]") == 0.0
    assert verdict.graded("[[2]] … [[2]]", 5) == 2.0
