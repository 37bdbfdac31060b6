"""The demo of Fact-RLHF at a size of seconds: the whole way, twice, and its page."""

import json
import random
import shlex

import pytest

from accord.demo.factual_page import Arm, pieces
from accord.demo.sights import Asked, Gallery, Seen, compared
from accord.errors import BadSettings
from accord.models.card import read as card
from accord.recipes.job import Desk
from accord.shows import load
from accord.store.judgements.opening import open_store
from accord.verbs import VERBS
from accord.worlds.scenes.captions import placed
from accord.worlds.scenes.mistakes import mistaken
from accord.worlds.scenes.questions import place
from accord.worlds.scenes.things import scene
from people_fakes import judge_all, someone

TINY = (
    "method=fact-rlhf",
    "answered=24",
    "compared=16",
    "drawn=6",
    "repeats=2",
    "tests=6",
    "reward.epochs=1",
    "reward.batch=4",
    "ppo.steps=2",
    "ppo.batch=4",
    "ppo.longest=12",
    "imitate.held_out=0",
)


def go(out, *words):
    said = []
    given = VERBS["demo"].read(None, [*TINY, f"out={out}", *words])
    return load(VERBS["demo"].work)(Desk((), said.append), *given), said


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("facts")
    return out, *go(out)


def test_the_whole_way_and_the_same_again(done):
    out, made, said = done
    told = json.loads((made.page.folder / "factual.json").read_text())
    assert [arm["name"] for arm in told["arms"]] == ["after SFT", "plain RLHF", "Fact-RLHF"]
    assert [len(arm["wrong"]) for arm in told["arms"]] == [1, 2, 2]
    assert card(out / "fact-rlhf-0" / "reward" / "reward").shown.facts
    assert not card(out / "plain-0" / "reward" / "reward").shown.facts
    again, heard = go(out)
    assert again.page.id == made.page.id
    assert sum("nothing to do" in line for line in heard) == 1 + 2 * 2 * 2
    assert any("of which 50% are wrong" in line for line in said)


def test_its_page_shows_the_pictures_and_says_that_nobody_judged(done):
    _, made, _ = done
    page = made.path.read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "simulated" in page
    assert "http" not in page.replace("http-equiv", "")
    assert any("with a false claim" in line for line in made.lines())


def test_its_last_line_opens_the_pairs_to_people_with_their_pictures(done, monkeypatch):
    out, made, _ = done
    monkeypatch.chdir(out.parent)
    _, verb, *words = shlex.split(made.lines()[-1])
    given = VERBS[verb].read(None, [*words, f"out={out}-label", "site=false"])
    asked = load(VERBS[verb].work)(Desk((), print), *given)
    pairs = (out / "judged" / "comparisons.jsonl").read_text().splitlines()
    store = open_store(out / "people.db")
    judged = judge_all(store, 1, someone(store, "ada"), len)
    store.close()
    assert asked is not None
    assert judged == len(pairs) == len(list((out / "files").glob("*.png")))


def test_settings_of_other_methods_are_refused(tmp_path):
    for words, says in (
        (("model=smollm2",), "change nothing in it"),
        (("noise=2",), "change nothing in it"),
        (("judge=me",), "judge=me"),
    ):
        with pytest.raises(BadSettings, match=says):
            go(tmp_path, *words)
    with pytest.raises(BadSettings, match="are of method=fact-rlhf"):
        load(VERBS["demo"].work)(Desk((), print), *VERBS["demo"].read(None, ["answered=3"]))


# --- what is counted ---


def test_what_a_description_says_is_counted():
    view = scene(1, 3)
    from accord.worlds.scenes.captions import plainly

    true = Seen.of(view, plainly(view, random.Random(0)))
    assert (true.false, true.told) == (0, 1.0)
    wrong = Seen.of(view, plainly(mistaken(view, random.Random(0)), random.Random(0)))
    assert wrong.false > 0
    assert wrong.told < 1
    assert Seen.of(view, "").told == 0


def test_of_a_question_only_the_thing_asked_about_is_right():
    for n in range(30):
        asked = Asked.of(scene(1, n))
        other = next(one for one in asked.scene.things if one != asked.thing)
        assert Seen.of(asked.alone, place(asked.thing, random.Random(n)).answer).false == 0
        assert Seen.of(asked.alone, place(other, random.Random(n)).answer).false > 0
        assert asked == Asked.of(scene(1, n)), "always the same"
        assert asked.question == f"What is {placed(asked.thing)}?"


def test_imitated_answers_are_wrong_as_often_as_said(tmp_path):
    every = [Asked.of(scene(1, n)) for n in range(200)]
    for share in (0.0, 0.5, 1.0):
        told = Gallery(tmp_path).answered(every, share, 0)
        pairs = zip(every, told, strict=True)
        wrong = sum(Seen.of(asked.alone, one.response).false > 0 for asked, one in pairs)
        assert wrong / 200 == pytest.approx(share, abs=0.1)


def test_the_annotator_likes_what_is_so_and_then_what_tells_more(tmp_path):
    asked = Asked.of(scene(1, 3))
    talk = Gallery(tmp_path).talk(asked)
    good = place(asked.thing, random.Random(0)).answer
    bad = place(mistaken(asked.alone, random.Random(0)).things[0], random.Random(0)).answer
    vague = f"There is a {asked.thing.shape}."
    never, always = (compared(asked, talk, (good, bad), e, random.Random(0)) for e in (0.0, 1.0))
    assert (never.ranks, always.ranks) == ((0, 1), (1, 0))
    assert compared(asked, talk, (vague, good), 0.0, random.Random(0)).ranks == (1, 0)
    assert compared(asked, talk, (vague, bad), 0.0, random.Random(0)).ranks == (0, 1)
    assert compared(asked, talk, (good, good), 0.0, random.Random(0)) is None
    assert compared(asked, talk, (good, ""), 0.0, random.Random(0)) is None
    assert len(list(talk[0].facts)) == 1


def test_false_words_are_marked_and_nothing_is_lost():
    view = scene(1, 3)
    text = "There is a big white rabbit at the top left. I see a small boat."
    found = pieces(view, text)
    assert "".join(piece for piece, _ in found) == text
    assert ("big white rabbit", True) in found


def test_a_mean_over_seeds_is_of_means():
    said = [[Seen(1, 2, 0.5, 4), Seen(0, 2, 1.0, 6)], [Seen(0, 0, 0.0, 0), Seen(0, 4, 1.0, 8)]]
    arm = Arm("a", said, [])
    assert arm.of("wrong") == [0.5, 0.0]
    assert arm.of("share") == [0.25, 0.0]
    assert arm.of("words") == [5.0, 4.0]
