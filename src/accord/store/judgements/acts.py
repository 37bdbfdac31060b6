"""Acts: a verdict, a skip, a flag, taking the last one back; and the opinions of AI judges.

Nothing is ever changed or removed: what takes a judgement back is a judgement too.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from accord.store.judgements import quiz
from accord.store.judgements.accounts import locked
from accord.store.judgements.audit import note
from accord.store.judgements.counting import PRACTICE, recount, settled, standing
from accord.store.judgements.forms import (
    KINDS,
    Act,
    BadAct,
    Gone,
    NotThere,
    Receipt,
    StudyConfig,
    Task,
    knows,
)
from accord.store.judgements.leases import extend, hold
from accord.store.judgements.opening import Store, now
from accord.store.judgements.showing import said, task_of
from accord.store.judgements.studies import config_of
from accord.store.judgements.tables import Item, Judgement, Lease, Prompt, Response, Study, User
from accord.store.judgements.verdicts import (
    STRAIGHT,
    Verdict,
    best,
    dense,
    leaks,
    missed,
    pattern,
    verdict,
)


@dataclass(frozen=True)
class Opinion:
    """What an AI judge says of an item; everything in the item's own order."""

    soft: float | None = None
    """its probability that the first of two answers is the better one"""
    ranks: tuple[int, ...] | None = None
    """left out where `soft` says it"""
    both_bad: bool = False
    ratings: Mapping[str, tuple[int, ...]] | None = None
    reason: str = ""
    shown: tuple[int, ...] | None = None
    """the order in which it read them; None: both, or all"""
    origin: dict[str, Any] = field(default_factory=dict)
    """model, principle, template version, seed: the same origin judges an item once"""


def submit(store: Store, user_id: int, act: Act) -> Receipt:
    """Store what a page sent, once: sent again with the same key, the first receipt returns.

    BadAct where it does not fit its study, Gone where the lease is over.
    """
    with store.write() as session:
        locked(session, user_id)
        return submitted(session, user_id, act)


def submitted(session: Session, user_id: int, act: Act) -> Receipt:
    """The same within a transaction that holds the user's row."""
    if found := known(session, user_id, act):
        return found
    lease = hold(session, act.lease_id, user_id)
    item = session.get_one(Item, lease.item_id)
    study = session.get_one(Study, item.study_id)
    config = config_of(study)
    kind = next(kind for kind in KINDS if kind == study.kind)
    given = verdict(act, kind, config, lease.order)
    texts = _answers(session, item)
    made = _judgement(act, given, lease)
    made.marks = _marks(session, act, made, item, config, [one.text for one in texts])
    if knows(session.get_one(Prompt, item.prompt_id).messages):
        made.origin = {"facts": config.view.facts if act.facts is None else act.facts}
    user = session.get_one(User, user_id)
    stands = quiz.stand(session, study, user)
    if item.gold is None and not lease.adjudicates and not stands.open:
        raise BadAct("this study begins with a quiz now: load the page again")
    practice = item.gold is not None and stands.state == "asks"
    if practice:
        made.marks = [*made.marks, PRACTICE]
    session.add(made)
    lease.state, lease.draft = "done", None
    session.flush()
    recount(session, Item.id == item.id)
    note(session, user_id, act.act, study=study.id, item=item.id, judgement=made.id)
    return _receipt(made, item, config, texts, False)


def _receipt(
    made: Judgement, item: Item, config: StudyConfig, texts: list[Response], again: bool
) -> Receipt:
    told = Receipt(made.id, again, _revealed(config, made, texts))
    if PRACTICE not in made.marks:
        return told
    right = made.act == "judge" and "gold-missed" not in made.marks
    return replace(told, right=right, why=best(item.gold, made.shown))


def known(session: Session, user_id: int, act: Act) -> Receipt | None:
    """The receipt of an act that came before with this key."""
    found = session.scalars(
        select(Judgement).where(Judgement.key == _key(user_id, act.key))
    ).first()
    if found is None:
        return None
    if act.lease_id and found.lease_id != act.lease_id:
        raise BadAct("this page's key belongs to another item; load the page again")
    item = session.get_one(Item, found.item_id)
    config = config_of(session.get_one(Study, item.study_id))
    return _receipt(found, item, config, _answers(session, item), True)


def _key(user_id: int, key: str) -> str:
    """Nobody can use up a key of somebody else."""
    return hashlib.blake2b(f"{user_id}/{key}".encode(), digest_size=32).hexdigest()


def _answers(session: Session, item: Item) -> list[Response]:
    found = session.scalars(select(Response).where(Response.id.in_(item.responses)))
    by_id = {one.id: one for one in found}
    return [by_id[one] for one in item.responses]


def _judgement(act: Act, given: Verdict, lease: Lease) -> Judgement:
    return Judgement(
        item_id=lease.item_id,
        user_id=lease.user_id,
        lease_id=lease.id,
        key=_key(lease.user_id, act.key),
        act=act.act,
        final=lease.adjudicates,
        shown=[*lease.order],
        ranks=None if given.ranks is None else [*given.ranks],
        both_bad=given.both_bad,
        strength=given.strength,
        ratings=given.ratings,
        rewrite=given.rewrite,
        reason=act.reason.strip(),
        tags=[*act.tags],
        created=now(),
        ms_total=act.ms_total,
        ms_visible=act.ms_visible,
        ms_first=act.ms_first,
    )


def _revealed(config: StudyConfig, made: Judgement, answers: list[Response]) -> tuple[str, ...]:
    if not config.reveal or made.act != "judge":
        return ()
    return tuple(answers[at].model for at in made.shown)


def _marks(
    session: Session,
    act: Act,
    made: Judgement,
    item: Item,
    config: StudyConfig,
    texts: list[str],
) -> list[str]:
    """What the site noticed: fast, straight, leak, gold-missed."""
    if made.act != "judge":
        return []
    marks = []
    if act.ms_total is not None and act.ms_total < 1000 * config.shortest_s:
        marks.append("fast")
    if not made.final and _straight(session, made, item):
        marks.append("straight")
    if leaks(config.leaks, texts):
        marks.append("leak")
    ranks = None if made.ranks is None else tuple(made.ranks)
    given = Verdict(ranks, made.both_bad, ratings=made.ratings)
    if item.gold is not None and missed(item.gold, given):
        marks.append("gold-missed")
    return marks


def _straight(session: Session, made: Judgement, item: Item) -> bool:
    """Whether this is the tenth verdict in a row that says the same places."""
    mine = pattern(made.shown, made.ranks, made.both_bad, made.ratings)
    columns = (Judgement.shown, Judgement.ranks, Judgement.both_bad, Judgement.ratings)
    query = (
        select(*columns)
        .join(Item, Item.id == Judgement.item_id)
        .where(Judgement.user_id == made.user_id, Item.study_id == item.study_id)
        .where(Judgement.act == "judge", Judgement.final.is_(False), standing())
        .order_by(Judgement.id.desc())
        .limit(STRAIGHT - 1)
    )
    before = [pattern(*row) for row in session.execute(query)] if mine else []
    return len(before) == STRAIGHT - 1 and {*before} == {mine}


# --- taking back ---


def undo(store: Store, user_id: int, study_id: int) -> Task | None:
    """Take this annotator's last act in a study back; its task again, with what was said as draft.

    None where there is none.  BadAct where the models were revealed by it, or an adjudicator has
    settled the item since.
    """
    with store.write() as session:
        user = locked(session, user_id)
        last = last_act(session, user_id, study_id)
        if last is None or last.lease_id is None or user.excluded is not None:
            return None
        return task_of(session, taken_back(session, last))


def taken_back(session: Session, last: Judgement) -> Lease:
    """The lease of an act that is superseded from now on: it runs again, with what was said as its
    draft.  For a transaction that holds the user's row.
    """
    lock = select(Item).where(Item.id == last.item_id).with_for_update()
    item = session.scalars(lock).one()
    config = config_of(session.get_one(Study, item.study_id))
    if config.reveal and last.act == "judge":
        raise BadAct("the models' names have been shown: this verdict stands")
    if PRACTICE in last.marks:
        raise BadAct("whether it was right has been said: answers of the quiz stand")
    closed = select(Item.id).where(Item.id == item.id, settled())
    if not last.final and session.scalar(closed) is not None:
        raise BadAct("an adjudicator has settled this item since: it stays as it is")
    session.add(_withdrawal(last))
    lease = session.get_one(Lease, last.lease_id)
    lease.state, lease.issued = "active", now()
    lease.draft = said(last, lease.order)
    extend(lease, config)
    session.flush()
    recount(session, Item.id == item.id)
    note(session, last.user_id, "undo", study=item.study_id, item=item.id, judgement=last.id)
    return lease


def last_act(session: Session, user_id: int, study_id: int) -> Judgement | None:
    """What somebody did last in a study and did not take back."""
    query = (
        select(Judgement)
        .join(Item, Item.id == Judgement.item_id)
        .where(Judgement.user_id == user_id, Item.study_id == study_id, standing())
        .order_by(Judgement.id.desc())
    )
    return session.scalars(query.limit(1)).first()


def _withdrawal(last: Judgement) -> Judgement:
    return Judgement(
        item_id=last.item_id,
        user_id=last.user_id,
        lease_id=last.lease_id,
        key=f"withdraw/{last.id}",
        act="withdraw",
        final=last.final,
        shown=[*last.shown],
        created=now(),
        supersedes=last.id,
    )


# --- AI judges ---


def put_ai(store: Store, study_id: int, user_id: int, item_id: int, opinion: Opinion) -> Receipt:
    """An AI judge's opinion of an item, marked as one; the overlap counts people only.

    The same origin is stored once per item; another one's opinion takes the earlier one back.
    """
    with store.write() as session:
        user = locked(session, user_id)
        if user.kind != "ai":
            raise BadAct(f"{user.name} is a person; opinions are put by AI judges")
        lock = select(Item).where(Item.id == item_id).with_for_update()
        item = session.scalars(lock).first()
        if item is None or item.study_id != study_id:
            raise NotThere(f"there is no item {item_id} in study {study_id}")
        if user.excluded is not None:
            raise Gone("this judge is excluded")
        study = session.get_one(Study, study_id)
        made = _opinion(opinion, item, study, user_id)
        known = session.scalars(select(Judgement).where(Judgement.key == made.key)).first()
        if known is not None:
            return Receipt(known.id, True)
        mine = select(Judgement).where(Judgement.user_id == user_id, standing())
        for old in session.scalars(mine.where(Judgement.item_id == item_id)):
            session.add(_withdrawal(old))
        session.add(made)
        session.flush()
        note(session, user_id, "opinion", study=study_id, item=item_id, judgement=made.id)
        return Receipt(made.id, False)


def _opinion(opinion: Opinion, item: Item, study: Study, user_id: int) -> Judgement:
    count, config = len(item.responses), config_of(study)
    kind = next(kind for kind in KINDS if kind == study.kind)
    ranks, soft = opinion.ranks, opinion.soft
    if soft is not None:
        if count != 2 or not 0 <= soft <= 1:
            raise BadAct(f"soft = {soft} of {count} answers; it is a probability, for two")
        ranks = ranks or ((0, 0) if soft == 0.5 else (0, 1) if soft > 0.5 else (1, 0))
        if (soft - 0.5) * (ranks[0] - ranks[1]) > 0:
            raise BadAct(f"soft = {soft}, but the ranks {ranks} say otherwise")
    act = Act(0, "ai", ranks=ranks, both_bad=opinion.both_bad, reason=opinion.reason)
    if opinion.ratings is not None:
        act = Act(0, "ai", ratings=dict(opinion.ratings), reason=opinion.reason)
    easy = config.model_copy(update={"verdicts": ("tie", "both_bad"), "reason": "optional"})
    given = verdict(act, kind, easy, range(count))
    shown = range(count) if opinion.shown is None else opinion.shown
    if sorted(shown) != [*range(count)]:
        raise BadAct(f"shown = {opinion.shown} is no order of {count} answers")
    key = hashlib.blake2b(
        repr((user_id, item.id, sorted(opinion.origin.items()))).encode(), digest_size=32
    ).hexdigest()
    marks = []
    if item.gold is not None and missed(item.gold, given):
        marks.append("gold-missed")
    return Judgement(
        item_id=item.id,
        user_id=user_id,
        lease_id=None,
        key=key,
        act="judge",
        shown=[*shown],
        ranks=None if given.ranks is None else [*dense(given.ranks)],
        both_bad=given.both_bad,
        ratings=given.ratings,
        reason=opinion.reason,
        marks=marks,
        soft=soft,
        origin=opinion.origin,
        created=now(),
    )
