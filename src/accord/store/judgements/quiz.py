"""The quiz before a study: known items first, told at once whether they are right, twice at most.

Who passes is asked the study's items.  Answers of the quiz carry the mark `quiz`; they are kept
like all others, and count for nothing else.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from accord.store.judgements.accounts import locked, may
from accord.store.judgements.audit import note
from accord.store.judgements.counting import practice, standing
from accord.store.judgements.forms import BadAct, StudyConfig
from accord.store.judgements.opening import Store
from accord.store.judgements.studies import config_of, get
from accord.store.judgements.tables import Author, Event, Item, Judgement, Study, User

TRIES = 2
LET_IN = "let in"
State = Literal["none", "asks", "passed", "failed", "short"]


@dataclass(frozen=True)
class Quiz:
    """How far somebody is."""

    state: State
    """none: no quiz for them, or not any more; short: the study has too few known items for one"""
    answered: int = 0
    """in this try"""
    of: int = 0
    right: int = 0
    attempt: int = 1
    """the first try, or the second"""

    @property
    def open(self) -> bool:
        """Whether the study's own items are asked."""
        return self.state in ("none", "passed")


def quiz(store: Store, study_id: int, user_id: int) -> Quiz:
    """Of one annotator in a study."""
    with store.read() as session:
        return stand(session, get(session, study_id), session.get_one(User, user_id))


def stand(session: Session, study: Study, user: User) -> Quiz:
    """The same within a transaction.  Managers and owners have no quiz, nor has who judged here
    before there was one.
    """
    config = config_of(study)
    count = config.quiz.items
    if not count or study.kind in ("rewrite", "chat") or may(user.role, "manage"):
        return Quiz("none")
    if user.kind == "ai" or _judged(session, study.id, user.id):
        return Quiz("none")
    if _let_in(session, study.id, user.id):
        return Quiz("none")
    given = answers(session, study.id, user.id)
    tries = min(TRIES, known(session, study.id, user.id) // count)
    if not tries:
        return Quiz("short", of=count)
    return _marked([_right(one) for one in given], config, tries)


def _marked(right: list[bool], config: StudyConfig, tries: int) -> Quiz:
    count = config.quiz.items
    for attempt in range(tries):
        here = right[attempt * count : (attempt + 1) * count]
        told = Quiz("asks", len(here), count, sum(here), attempt + 1)
        if len(here) < count:
            return told
        if told.right / count >= config.quiz.passes:  # 14 of 25 are 0.56; 0.56 * 25 is above 14
            return Quiz("passed", count, count, told.right, attempt + 1)
    return Quiz("failed", count, count, told.right, tries)


def answers(session: Session, study_id: int, user_id: int) -> list[Judgement]:
    """Acts of the quiz, in order."""
    query = (
        select(Judgement)
        .join(Item, Item.id == Judgement.item_id)
        .where(Item.study_id == study_id, Item.gold.is_not(None), Judgement.user_id == user_id)
        .where(practice(), standing())
        .order_by(Judgement.id)
    )
    return [*session.scalars(query)]


def known(session: Session, study_id: int, user_id: int | None = None) -> int:
    """Known items of a study; of somebody, those that they did not write."""
    query = select(func.count(Item.id)).where(Item.study_id == study_id, Item.gold.is_not(None))
    if user_id is not None:
        wrote = exists().where(Author.item_id == Item.id, Author.user_id == user_id)
        query = query.where(~wrote)
    return session.scalar(query) or 0


def stuck(store: Store, study_id: int) -> list[tuple[User, Quiz]]:
    """Who has begun the quiz and is not through: still at it, or failed."""
    with store.read() as session:
        study = get(session, study_id)
        began = select(Judgement.user_id).join(Item, Item.id == Judgement.item_id)
        began = began.where(Item.study_id == study_id, Item.gold.is_not(None), practice())
        users = select(User).where(User.id.in_(began), User.closed.is_(None))
        users = users.where(User.excluded.is_(None)).order_by(User.id)
        found = [(user, stand(session, study, user)) for user in session.scalars(users)]
    return [(user, one) for user, one in found if not one.open and one.state != "short"]


def warning(store: Store, study_id: int) -> str:
    """What a manager must know of a quiz that cannot be held, or only once; empty where it can."""
    with store.read() as session:
        study = get(session, study_id)
        count, there = config_of(study).quiz.items, known(session, study_id)
    if not count or there >= TRIES * count or study.kind in ("rewrite", "chat"):
        return ""
    if there < count:
        return (
            f"The quiz asks {count} known items, and the study has {there}: nobody can begin. Add "
            f"{TRIES * count - there} known items (with the right answer), or shorten the quiz."
        )
    return (
        f"The quiz asks {count} known items, and the study has {there}: there is no second try. "
        f"Add {TRIES * count - there} for one."
    )


def let_in(store: Store, study_id: int, user_id: int, *, by: int) -> None:
    """Spare somebody the quiz, or what is left of it; the log says who did."""
    with store.write() as session:
        manager = locked(session, by)
        if not may(manager.role, "manage"):
            raise BadAct("only owners and managers let somebody in")
        study, user = get(session, study_id), session.get_one(User, user_id)
        if stand(session, study, user).open:
            return
        note(session, by, LET_IN, study=study.id, user=user.id)


def _judged(session: Session, study_id: int, user_id: int) -> bool:
    """Whether they were ever asked the study's own items, or known ones outside a quiz."""
    own = exists().where(Judgement.user_id == user_id, ~practice())
    own = own.where(Item.id == Judgement.item_id, Item.study_id == study_id)
    return bool(session.scalar(select(own)))


def _let_in(session: Session, study_id: int, user_id: int) -> bool:
    events = session.scalars(select(Event).where(Event.what == LET_IN))
    return any(e.about.get("study") == study_id and e.about.get("user") == user_id for e in events)


def _right(made: Judgement) -> bool:
    return made.act == "judge" and "gold-missed" not in made.marks
