"""How far one is, and what is said when nothing is left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, func, select

from accord.store.judgements.counting import practice, standing
from accord.store.judgements.opening import Store
from accord.store.judgements.progress import disputed
from accord.store.judgements.quiz import Quiz
from accord.store.judgements.tables import Author, Item, Judgement, Lease, Study, User
from accord.web.judging_keys import keys_of

USES = {
    "pairwise": "Choices become comparisons: a reward model learns from them what people prefer, "
    "and a policy learns from the reward model.",
    "rank": "Each order becomes comparisons between its answers, counted together per prompt.",
    "rate": "Ratings show where answers fall short, and become comparisons where they differ.",
    "rewrite": "What you wrote becomes a demonstration: a model is trained to answer like it.",
    "chat": "Each choice becomes a comparison between the two models, with the talk before it.",
}


@dataclass(frozen=True)
class Mine:
    """How many a person has judged in a study, and how many are left for them."""

    mine: int
    left: int | None


@dataclass(frozen=True)
class End:
    """The last page."""

    title: str
    said: str
    next: str
    facts: tuple[tuple[str, str], ...] = ()
    undo: bool = False
    tick: bool = True
    """whether one stands above: not where somebody failed, or must wait"""


def progress(store: Store, study: Study, user: User, adjudicates: bool) -> Mine:
    """How far this person is: what they judged, and what is open and was not seen by them."""
    mine = select(func.count(Judgement.id)).join(Item, Item.id == Judgement.item_id)
    mine = mine.where(Item.study_id == study.id, Judgement.user_id == user.id, standing())
    mine = mine.where(Judgement.act == "judge", Judgement.final.is_(adjudicates), ~practice())
    seen = exists().where(
        Lease.item_id == Item.id,
        Lease.user_id == user.id,
        Lease.state == "done",
        Lease.adjudicates.is_(False),
    )
    wrote = exists().where(Author.item_id == Item.id, Author.user_id == user.id)
    left = select(func.count(Item.id)).where(Item.study_id == study.id, Item.open.is_(True))
    left = left.where(Item.gold.is_(None), ~seen, ~wrote)
    with store.read() as session:
        count = session.scalar(mine) or 0
        if study.kind == "chat":
            return Mine(count, None)
        if adjudicates:
            return Mine(count, len(disputed(store, study.id)))
        return Mine(count, session.scalar(left) or 0)


def bare(prefs: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's frame needs where there is no item."""
    return {"keys": keys_of(prefs), "kind": "done"}


def end(study: Study, mine: Mine, adjudicates: bool, quiz: Quiz = Quiz("none")) -> End:
    """Why there is no item, in words, and what happens with what was judged."""
    undo = mine.mine > 0
    facts = (("judged by you", str(mine.mine)),) if mine.mine else ()
    if adjudicates:
        said = "Nobody disagrees about anything that is still open."
        return End("Nothing is disputed", said, "New disagreements will appear here.", facts, undo)
    if study.status != "open":
        title = f"This study is {study.status}"
        return End(title, "What was judged is kept.", USES[study.kind], facts)
    if quiz.state == "failed":
        said = (
            f"{quiz.right} of {quiz.of} practice items were right, and this study asks for more. "
            "Thank you for trying: such questions are hard to see alike."
        )
        return End(
            "That was the practice", said, "A manager of the study can let you in.", tick=False
        )
    if quiz.state == "short":
        said = "It begins with practice items, and there are too few of them yet."
        return End(
            "Not ready yet", said, "Come back a little later; the manager sees why.", tick=False
        )
    if not mine.mine:
        said = "Either all items are taken by others, or none has been added yet."
        return End("Nothing to judge just now", said, "Come back a little later.")
    said = "That was the last one for you in this study. Every one of them counts."
    return End("Thank you", said, USES[study.kind], facts, undo)
