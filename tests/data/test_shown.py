"""How a reward model is shown an answer."""

import pytest

import seeing
from accord.data.shown import Answer, Case, Request, plain, read
from accord.errors import BadData, BadModel
from accord.records import Fact, Image, Message, Text, ask
from accord.text.tokenizer import Speller

FACTS = ("a red circle", "a blue star", "nothing else", "two things")


@pytest.fixture(scope="module")
def speller(tmp_path_factory):
    return Speller.load(seeing.folder(tmp_path_factory.mktemp("model")))


@pytest.fixture
def talk(tmp_path):
    path = seeing.picture(tmp_path / "a.png")
    return (Message("user", (Image(path), Text("What is there?"), *map(Fact, FACTS))),)


def whole(laid):
    return [(*laid[0], *rest) for rest in laid[1]]


def test_facts_are_shown_to_the_judge_and_never_to_the_policy(speller, talk):
    (laid,) = Request().many(speller, [Case(talk, ("A star.", "A cat."), "1")])
    for ids, answer in zip(whole(laid), ("A star.", "A cat."), strict=True):
        said = speller.decode(ids)
        assert answer in said
        assert all(said.count(f"- {fact}") == 1 for fact in FACTS)
        assert said.endswith(Request().opening)
    assert not any(fact in speller.decode(speller.prompt_ids(talk)) for fact in FACTS)


def test_the_prompt_with_its_picture_is_shared(speller, talk):
    (laid,) = Request().many(speller, [Case(talk, ("A star.", "A cat."), "1")])
    prompt = speller.prompt_ids(talk)
    assert laid[0][: len(prompt) - 2] == prompt[:-2]
    assert sum(i < 0 for i in laid[0]) == 4
    assert not any(i < 0 for rest in laid[1] for i in rest)


def test_the_order_of_facts_hangs_on_the_row_alone(speller, talk):
    cases = [Case(talk, ("A star.",), str(n)) for n in range(30)]
    laid = Request().many(speller, cases)
    told = {tuple(sorted(FACTS, key=speller.decode(ids).index)) for x in laid for ids in whole(x)}
    assert len(told) > 10
    assert Request().many(speller, cases[::-1])[::-1] == laid


def test_without_a_visit_the_order_is_that_of_the_words(speller, talk):
    still = Request().many(speller, [Case(talk, ("A star.", "A cat."))])
    assert Request().many(speller, [Case(talk, ("A star.", "A cat."))]) == still
    moved = (Message("user", (Image(talk[0].images[0].path), *talk[0].content[1:])),)
    assert Request().asks(moved) == Request().asks(talk)
    drawn = {Request().asks(ask(f"What, {n}?") + talk) for n in range(20)}
    assert len(drawn) > 5, "it is not that of the file, where the first may be the weightiest"


def test_without_facts_it_asks_the_same_and_shows_none(speller, talk):
    bare = Request(facts=False)
    (laid,) = bare.many(speller, [Case(talk, ("A star.",), "1")])
    said = speller.decode(whole(laid)[0])
    assert not any(fact in said for fact in FACTS)
    assert said.endswith(bare.opening)


def test_a_prompt_without_facts_is_told_and_the_others_go_on(speller, talk):
    cases = [Case(ask("Hi"), ("a", "b"), "1"), Case(talk, ("a", "b"), "2")]
    first, second = Request().many(speller, cases)
    assert isinstance(first, BadData)
    assert "has no facts" in str(first)
    assert second == Request().many(speller, cases[1:])[0]


def test_answers_that_begin_alike_keep_a_token_of_their_own(speller, talk):
    (laid,) = Request().many(speller, [Case(talk, ("same", "same"), "1")])
    assert [len(rest) for rest in laid[1]] == [1, 1]


def test_a_base_model_reads_it_as_one_text(tmp_path):
    speller = Speller.load(seeing.folder(tmp_path / "m", template=None))
    talk = (Message("user", (Text("Once"), Fact("it rains"))),)
    (laid,) = Request().many(speller, [Case(talk, (" upon a time",), "1")])
    said = speller.decode(whole(laid)[0])
    assert said.startswith("Once upon a time\nHow good")
    assert "- it rains" in said


def test_it_is_kept_as_json():
    for shown in (Answer(), Request(facts=False, opening="So")):
        assert read(plain(shown)) == shown
    with pytest.raises(BadModel, match="cannot be read"):
        read({"kind": "Reqest"})
    with pytest.raises(BadModel, match="has no place"):
        read({"kind": "Request", "request": "How good?"})
