"""Conversations: turns, two answers that wait, and choices that are judgements."""

import itertools

import pytest
from sqlalchemy import select, update

from accord.errors import BadSettings
from accord.store.judgements import acts, leases, resolve, studies, talk
from accord.store.judgements.forms import Act, BadAct, NotThere, StudyConfig, Talk
from accord.store.judgements.opening import Store
from accord.store.judgements.opening import now as opened
from accord.store.judgements.tables import Item, Judgement, Lease
from accord.store.judgements.talk import Answer
from judgement_fakes import held, team

TWO = [Answer("hi", "old", {"seed": 1}), Answer("hey", "new", {"seed": 2})]


def arena(store: Store) -> int:
    study = studies.create(
        store,
        "chat",
        "chat",
        StudyConfig(talk=Talk(models=("old", "new")), verdicts=("tie", "both_bad")),
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
    study = studies.create(lite, "c", "chat", StudyConfig(talk=Talk(models=("m",)), overlap=2))
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


# --- taking back ---


def turn(store: Store, chat_id: int, user_id: int, text: str, **verdict: object) -> None:
    """Something said, and a choice."""
    talk.say(store, chat_id, user_id, text)
    asked_again(store, chat_id, user_id, **verdict)


def asked_again(store: Store, chat_id: int, user_id: int, **verdict: object) -> None:
    now = talk.offer(store, chat_id, user_id, TWO)
    assert now.pending is not None
    talk.choose(store, chat_id, user_id, Act(0, now.pending["key"], **verdict))  # type: ignore[arg-type]


def texts(store: Store, chat_id: int, user_id: int) -> list[str]:
    return [one["content"] for one in talk.chat(store, chat_id, user_id).messages]


def deeds(store: Store) -> list[tuple[str, int | None]]:
    with store.read() as session:
        rows = session.scalars(select(Judgement).order_by(Judgement.id))
        return [(one.act, one.supersedes) for one in rows]


def test_a_choice_is_taken_back_and_made_otherwise(store: Store) -> None:
    (one,) = team(store, 1)
    study_id = arena(store)
    chat = talk.open_chat(store, one.id, study_id=study_id)
    turn(store, chat.id, one.id, "go", ranks=(0, 1), reason="kinder")
    before = texts(store, chat.id, one.id)
    assert talk.back(store, chat.id, one.id) == talk.Back()
    now = talk.chat(store, chat.id, one.id)
    assert now.pending is not None
    assert texts(store, chat.id, one.id) == ["go"]
    assert {answer["text"] for answer in now.pending["answers"]} == {"hi", "hey"}
    assert [answer["sampling"] for answer in now.pending["answers"]] == [{"seed": 1}, {"seed": 2}]
    assert now.pending["draft"]["reason"] == "kinder"
    assert deeds(store) == [("judge", None), ("withdraw", 1)]
    talk.choose(store, chat.id, one.id, Act(0, now.pending["key"], ranks=(1, 0)))
    assert texts(store, chat.id, one.id)[1] != before[1]
    assert deeds(store) == [("judge", None), ("withdraw", 1), ("judge", None)]
    with store.read() as session:
        first, _, last = session.scalars(select(Judgement).order_by(Judgement.id))
        assert (first.item_id, first.lease_id) == (last.item_id, last.lease_id), "no second item"
        assert first.ranks != last.ranks
    assert studies.studies(store)[0].open == 0


def test_step_by_step_to_the_beginning(store: Store) -> None:
    (one,) = team(store, 1)
    chat = talk.open_chat(store, one.id, study_id=arena(store))
    turn(store, chat.id, one.id, "first", ranks=(0, 1))
    turn(store, chat.id, one.id, "second", both_bad=True)
    asked_again(store, chat.id, one.id, ranks=(0, 1))
    talk.say(store, chat.id, one.id, "third")
    talk.offer(store, chat.id, one.id, TWO)
    seen = []
    while (step := talk.back(store, chat.id, one.id)) is not None:
        now = talk.chat(store, chat.id, one.id)
        seen.append((step.said, len(now.messages), now.pending is not None))
    assert seen == [
        ("third", 4, False),  # what was said, and its answers that nobody chose from
        ("", 3, True),  # the second choice after "second"
        ("", 3, False),  # asked once more
        ("", 3, True),  # both bad
        ("second", 2, False),
        ("", 1, True),
        ("first", 0, False),
    ]
    assert [act for act, _ in deeds(store)] == ["judge"] * 3 + ["withdraw"] * 3
    assert {over for _, over in deeds(store)} == {None, 1, 2, 3}
    assert studies.studies(store)[0].open == 0, "what was taken back is asked of nobody"


def test_what_others_asked_is_not_ones_own_talk(lite: Store) -> None:
    one, two = team(lite, 2)
    study = studies.create(lite, "c", "chat", StudyConfig(talk=Talk(models=("m",)), overlap=2))
    mine, theirs = (talk.open_chat(lite, who.id, study_id=study.id) for who in (one, two))
    turn(lite, theirs.id, two.id, "theirs", ranks=(0, 1))
    turn(lite, mine.id, one.id, "mine", ranks=(0, 1))
    task = leases.next_task(lite, study.id, one.id)
    assert task is not None
    acts.submit(lite, one.id, Act(task.lease_id, task.key, ranks=(0, 1)))
    assert talk.back(lite, mine.id, one.id) is None, "the last act was on what another had said"
    assert acts.undo(lite, one.id, study.id) is not None
    assert talk.back(lite, mine.id, one.id) == talk.Back()
    with pytest.raises(NotThere, match="of yours"):
        talk.back(lite, mine.id, two.id)


def test_answers_whose_place_was_given_on_are_judged_as_an_item_of_their_own(lite: Store) -> None:
    one, two = team(lite, 2)
    study = studies.create(lite, "c", "chat", StudyConfig(talk=Talk(models=("m",))))
    chat = talk.open_chat(lite, one.id, study_id=study.id)
    turn(lite, chat.id, one.id, "go", ranks=(0, 1))
    assert talk.back(lite, chat.id, one.id) == talk.Back()
    with lite.write() as session:
        session.execute(update(Lease).values(expires=opened()))
    task = leases.next_task(lite, study.id, two.id)
    assert task is not None
    acts.submit(lite, two.id, Act(task.lease_id, task.key, ranks=(0, 1)))
    now = talk.chat(lite, chat.id, one.id)
    assert now.pending is not None
    talk.choose(lite, chat.id, one.id, Act(0, now.pending["key"], ranks=(0, 1)))
    with lite.read() as session:
        assert len(session.scalars(select(Item)).all()) == 2


def test_a_verdict_that_stands_is_not_taken_back(lite: Store) -> None:
    (one,) = team(lite, 1)
    chat = talk.open_chat(lite, one.id, ("old", "new"), study_id=talk.arena(lite).id)
    turn(lite, chat.id, one.id, "go", ranks=(0, 1))
    with pytest.raises(BadAct, match="stands"):
        talk.back(lite, chat.id, one.id)
    single = talk.open_chat(lite, one.id, ("m",))
    talk.say(lite, single.id, one.id, "go")
    assert talk.back(lite, single.id, one.id) is None
