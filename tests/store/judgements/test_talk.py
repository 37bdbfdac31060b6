"""Conversations: turns, two answers that wait, and choices that are judgements."""

import itertools

import pytest
from sqlalchemy import select

from accord.errors import BadSettings
from accord.store.judgements import acts, leases, resolve, studies, talk
from accord.store.judgements.forms import Act, BadAct, NotThere, StudyConfig
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Item, Lease
from accord.store.judgements.talk import Answer
from judgement_fakes import held, team

TWO = [Answer("hi", "old", {"seed": 1}), Answer("hey", "new", {"seed": 2})]


def arena(store: Store) -> int:
    study = studies.create(
        store, "chat", "chat", StudyConfig(models=("old", "new"), verdicts=("tie", "both_bad"))
    )
    return study.id


def test_a_talk_with_one_model(store: Store) -> None:
    one, two = team(store, 2)
    chat = talk.open_chat(store, one.id, ("m",))
    talk.say(store, chat.id, one.id, "Hello")
    with pytest.raises(BadAct, match="no answer yet"):
        talk.say(store, chat.id, one.id, "Hello?")
    talk.answered(store, chat.id, one.id, "Hi")
    with pytest.raises(BadAct, match="no message that waits"):
        talk.answered(store, chat.id, one.id, "Hi again")
    found = talk.chat(store, chat.id, one.id)
    assert [(m["role"], m["content"]) for m in found.messages] == [
        ("user", "Hello"),
        ("assistant", "Hi"),
    ]
    assert [row.id for row in talk.chats(store, one.id)] == [chat.id]
    assert talk.chats(store, two.id) == []
    with pytest.raises(NotThere, match="of yours"):
        talk.say(store, chat.id, two.id, "mine?")
    with pytest.raises(BadAct, match="1 to"):
        talk.say(store, chat.id, one.id, " ")


def test_a_choice_is_a_judgement_and_the_talk_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = itertools.count()  # four turns of a chance seed are on one side in 1 of 8
    monkeypatch.setattr(talk.secrets, "token_hex", lambda size: f"{next(count):0{2 * size}x}")
    (one,) = team(store, 1)
    study_id = arena(store)
    chat = talk.open_chat(store, one.id, study_id=study_id)
    assert (chat.models, chat.blind) == (["old", "new"], True)
    texts = []
    for turn in range(4):
        talk.say(store, chat.id, one.id, f"say {turn}")
        now = talk.offer(store, chat.id, one.id, TWO)
        assert now.pending is not None
        with pytest.raises(BadAct, match="choose first"):
            talk.say(store, chat.id, one.id, "and")
        order = now.pending["order"]
        ranks = (0, 1) if order[0] == 1 else (1, 0)  # the new model's, wherever it stands
        act = Act(0, now.pending["key"], ranks=ranks)
        first = talk.choose(store, chat.id, one.id, act)
        again = talk.choose(store, chat.id, one.id, act)
        assert (again.judgement_id, again.repeated) == (first.judgement_id, True)
        texts.append(talk.chat(store, chat.id, one.id).messages[-1]["content"])
    assert texts == ["hey"] * 4
    made = resolve.records(store, study_id)
    assert [row.ranks for row in made.comparisons] == [(1, 0)] * 4
    assert [len(row.prompt) for row in made.comparisons] == [1, 3, 5, 7]
    assert resolve.leaderboard_games(store, [study_id]).games == [("old", "new", "y")] * 4
    with store.read() as session:
        orders = {tuple(row.order) for row in session.scalars(select(Lease))}
        assert {item.open for item in session.scalars(select(Item))} == {False}
    assert orders == {(0, 1), (1, 0)}, "sides change"


def test_the_talk_goes_on_as_one_likes(store: Store) -> None:
    (one,) = team(store, 1)
    chat = talk.open_chat(store, one.id, study_id=arena(store))

    def turn(go_on: int | None, **verdict: object) -> list[str]:
        if not chat_now().messages or chat_now().messages[-1]["role"] == "assistant":
            talk.say(store, chat.id, one.id, "go")
        now = talk.offer(store, chat.id, one.id, TWO)
        assert now.pending is not None
        act = Act(0, now.pending["key"], **verdict)  # type: ignore[arg-type]
        talk.choose(store, chat.id, one.id, act, go_on=go_on)
        shown = [now.pending["answers"][at]["text"] for at in now.pending["order"]]
        return [chat_now().messages[-1]["content"], *shown]

    def chat_now() -> object:
        return talk.chat(store, chat.id, one.id)

    last, *shown = turn(None, ranks=(0, 0))
    assert last == shown[0]
    last, *shown = turn(1, ranks=(0, 1))
    assert last == shown[1], "against one's own verdict too"
    assert turn(None, both_bad=True)[0] == "go", "new answers are wanted"
    assert turn(None, act="skip")[0] == "go"
    last, *shown = turn(0, both_bad=True)
    assert last == shown[0]


def test_two_alike_answers_are_no_choice(lite: Store) -> None:
    (one,) = team(lite, 1)
    chat = talk.open_chat(lite, one.id, study_id=arena(lite))
    talk.say(lite, chat.id, one.id, "go")
    now = talk.offer(lite, chat.id, one.id, [Answer("hi", "old"), Answer("hi", "new")])
    assert (now.pending, now.messages[-1]["content"]) == (None, "hi")


def test_names_that_were_shown_end_the_comparing(store: Store) -> None:
    (one,) = team(store, 1)
    study = talk.arena(store)
    assert talk.arena(store).id == study.id
    chat = talk.open_chat(store, one.id, ("old", "new"), study_id=study.id)
    talk.say(store, chat.id, one.id, "go")
    now = talk.offer(store, chat.id, one.id, TWO)
    assert now.pending is not None
    receipt = talk.choose(store, chat.id, one.id, Act(0, now.pending["key"], ranks=(0, 1)))
    assert {*receipt.models} == {"old", "new"}
    assert talk.chat(store, chat.id, one.id).blind is False
    talk.say(store, chat.id, one.id, "more")
    with pytest.raises(BadAct, match="open a new chat"):
        talk.offer(store, chat.id, one.id, TWO)
    with pytest.raises(BadAct, match="stands"):
        acts.undo(store, one.id, study.id)


def test_others_may_judge_a_turn_where_the_overlap_asks(lite: Store) -> None:
    one, two = team(lite, 2)
    study = studies.create(lite, "c", "chat", StudyConfig(models=("m",), overlap=2))
    chat = talk.open_chat(lite, one.id, study_id=study.id)
    assert chat.models == ["m", "m"]
    talk.say(lite, chat.id, one.id, "go")
    now = talk.offer(lite, chat.id, one.id, [Answer("x", "m"), Answer("y", "m")])
    assert now.pending is not None
    talk.choose(lite, chat.id, one.id, Act(0, now.pending["key"], ranks=(0, 1)))
    assert leases.next_task(lite, study.id, one.id) is None
    task = leases.next_task(lite, study.id, two.id)
    assert task is not None
    assert {answer.text for answer in task.answers} == {"x", "y"}


def test_what_makes_no_sense_is_refused(lite: Store) -> None:
    (one,) = team(lite, 1)
    pairs = held(lite)
    with pytest.raises(BadSettings, match="need a study"):
        talk.open_chat(lite, one.id, ("a", "b"))
    with pytest.raises(BadSettings, match="kind pairwise"):
        talk.open_chat(lite, one.id, study_id=pairs.id)
    with pytest.raises(BadSettings, match="0 models"):
        talk.open_chat(lite, one.id)
    single = talk.open_chat(lite, one.id, ("m",))
    talk.say(lite, single.id, one.id, "go")
    with pytest.raises(BadAct, match="with one model"):
        talk.offer(lite, single.id, one.id, TWO)
    chat = talk.open_chat(lite, one.id, study_id=arena(lite))
    talk.say(lite, chat.id, one.id, "go")
    with pytest.raises(BadAct, match="1 answers"):
        talk.offer(lite, chat.id, one.id, TWO[:1])
    with pytest.raises(BadAct, match="no answers wait"):
        talk.choose(lite, chat.id, one.id, Act(0, "k", ranks=(0, 1)))
    talk.offer(lite, chat.id, one.id, TWO)
    with pytest.raises(BadAct, match="replaced"):
        talk.choose(lite, chat.id, one.id, Act(0, "k", ranks=(0, 1)))
    with pytest.raises(BadAct, match="no lease"):
        talk.choose(lite, chat.id, one.id, Act(3, "k", ranks=(0, 1)))
