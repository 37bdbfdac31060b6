"""Facts and pictures in the store, on both databases."""

from typing import Any

import pytest

from accord.data.dossier import cases, facts_seen
from accord.store.judgements import acts, leases, studies, talk
from accord.store.judgements.forms import Act, NewItem, StudyConfig, Talk, View
from accord.store.judgements.opening import Store
from judgement_fakes import team


@pytest.mark.parametrize("tells", [True, False])
def test_what_a_judge_saw_is_kept(store: Store, tells: bool) -> None:
    (ada,) = team(store, 1)
    told: list[Any] = [{"type": "text", "text": "q"}, {"type": "fact", "text": "it rains"}]
    study = studies.create(store, "s", "pairwise", StudyConfig(view=View(facts=tells)))
    studies.add_items(store, study.id, [NewItem([{"role": "user", "content": told}], ("a", "b"))])
    task = leases.next_task(store, study.id, ada.id)
    assert task is not None
    assert task.messages[0]["content"] == (told if tells else told[:1])
    made = acts.submit(store, ada.id, Act(task.lease_id, task.key, ranks=(0, 1)))
    (case,) = cases(store, study.id)
    assert (case.messages[0]["content"], case.verdicts[0].facts) == (told, tells)
    count = {"shown": int(tells), "hidden": int(not tells)}
    assert facts_seen(store, [made.judgement_id]) == count


def test_a_picture_that_was_taken_back_is_at_hand_until_something_else_is(store: Store) -> None:
    (ada,) = team(store, 1)
    how = Talk(models=("m", "n"), pictures=True)
    study = studies.create(store, "c", "chat", StudyConfig(talk=how))
    chat = talk.open_chat(store, ada.id, study_id=study.id)
    talk.say(store, chat.id, ada.id, "What is it?", ("a.png",))
    assert talk.unsaid(store, chat.id, ada.id) == ()
    assert talk.back(store, chat.id, ada.id) == talk.Back("What is it?", ("a.png",))
    assert talk.unsaid(store, chat.id, ada.id) == ("a.png",)
    assert talk.unsaid(store, chat.id + 1, ada.id) == ()
    talk.say(store, chat.id, ada.id, "Hello")
    talk.back(store, chat.id, ada.id)
    assert talk.unsaid(store, chat.id, ada.id) == ()
