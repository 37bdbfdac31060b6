"""You as the demo's judge: the site opens on the demo's own pairs and waits for your verdicts."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from accord.data import judged
from accord.demo.me import Me
from accord.demo.panel import Agreement, Pair
from accord.errors import BadData
from accord.records import Comparison
from accord.records.plain import messages
from accord.store.judgements import people, studies
from accord.store.judgements.forms import NewItem, StudyConfig
from accord.store.judgements.opening import Store, open_store
from accord.store.judgements.resolve import Filters
from accord.store.judgements.tables import Item, Judgement
from accord.web import serving
from accord.web.beside import beside

STUDY = "the demo's pairs"
LOOK_S = 0.5
SIGN_S = 60.0
"""seconds between two signs of life"""
NAME = "you"


def ask_you(
    me: Me, out: Path, pairs: Sequence[Pair], question: str, tell: Callable[[str], None]
) -> list[Comparison]:
    """Your verdicts on the pairs, when there are as many as wanted; kept in `<out>/accord.db`.

    Called again it goes on with those that were given before.
    """
    store = open_store(out / "accord.db")
    try:
        study = _study(store, pairs, question)
        user = next((u for u in people.users(store) if u.role == "owner"), None)
        user = user or people.add(store, NAME, "owner")
        wanted = min(me.wanted, len(pairs))
        if not _enough(store, study, wanted, len(pairs)):
            with beside(store, user, out, me.port) as link:
                _invite(me, link, wanted, tell)
                _wait(store, study, wanted, len(pairs), tell)
        said = judged.gather(store, STUDY, "comparisons", Filters(ties="keep")).records
    finally:
        store.close()
    if not said:
        raise BadData("you compared no two of them, so there is nothing to learn from")
    return list(said)


def _study(store: Store, pairs: Sequence[Pair], question: str) -> int:
    there = [row.study for row in studies.studies(store) if row.study.name == STUDY]
    config = StudyConfig(question=question, verdicts=("tie",), reason="optional")
    made = there[0] if there else studies.create(store, STUDY, "pairwise", config)
    items = (NewItem(messages(one.prompt), one.answers, source=one.id) for one in pairs)
    studies.add_items(store, made.id, items)
    return int(made.id)


def _invite(me: Me, link: str, wanted: int, tell: Callable[[str], None]) -> None:
    tell(f"The site is at {link}")
    shown = me.open and serving.show(link)
    how = "It is in your browser" if shown else "Open that link: it logs you in, once"
    tell(f"{how}. Choose in {wanted} pairs which you like better; then the demo goes on by itself.")


def _wait(store: Store, study: int, wanted: int, count: int, tell: Callable[[str], None]) -> None:
    said, before = time.monotonic(), 0
    while not _enough(store, study, wanted, count):
        time.sleep(LOOK_S)
        done = _judged(store, study)[0]
        if done // 5 > before // 5 or (done > before and time.monotonic() - said > SIGN_S):
            tell(f"{done} of {wanted} judged")
            said, before = time.monotonic(), done
    tell("Thank you: that is enough to learn from. The site closes, and the demo goes on.")


def _enough(store: Store, study: int, wanted: int, count: int) -> bool:
    verdicts, acts = _judged(store, study)
    return verdicts >= wanted or acts >= count


def _judged(store: Store, study: int) -> tuple[int, int]:
    """(verdicts, acts of every kind) that stand."""
    with store.read() as session:
        query = session.query(Judgement.id, Judgement.act, Judgement.supersedes)
        query = query.join(Item, Item.id == Judgement.item_id)
        rows = query.filter(Item.study_id == study).all()
    gone = {row.supersedes for row in rows}
    stand = [row.act for row in rows if row.act != "withdraw" and row.id not in gone]
    return stand.count("judge"), len(stand)


def seen(pairs: Sequence[Pair], said: Sequence[Comparison]) -> Agreement:
    """Your verdicts from outside: how often they are the rule's, which you were not told."""
    truth = {frozenset(pair.answers): pair for pair in pairs}
    right = []
    for one in said:
        pair = truth[frozenset(one.responses)]
        worth = dict(zip(pair.answers, pair.truth, strict=True))
        first, second = (worth[text] for text in one.responses)
        if first != second:
            right.append(one.ranks == ((0, 1) if first > second else (1, 0)))
    ties = sum(one.tie for one in said)
    share = sum(right) / len(right) if right else None
    return Agreement(NAME, None, len(said), ties, share, None)
