"""How far one is, and what is said when nothing is left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accord.store.judgements import studies
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Study, User
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


def progress(store: Store, study: Study, user: User, adjudicates: bool) -> Mine:
    """How far this person is."""
    row = next((one for one in studies.studies(store, user) if one.study.id == study.id), None)
    if row is None:
        return Mine(0, None)
    left = None if adjudicates or study.kind == "chat" else row.open
    return Mine(row.mine, left)


def bare(prefs: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's frame needs where there is no item."""
    return {"keys": keys_of(prefs), "kind": "done"}


def end(study: Study, mine: Mine, adjudicates: bool) -> End:
    """Why there is no item, in words, and what happens with what was judged."""
    undo = mine.mine > 0
    facts = (("judged by you", str(mine.mine)),) if mine.mine else ()
    if adjudicates:
        said = "Nobody disagrees about anything that is still open."
        return End("Nothing is disputed", said, "New disagreements will appear here.", facts, undo)
    if study.status != "open":
        title = f"This study is {study.status}"
        return End(title, "What was judged is kept.", USES[study.kind], facts)
    if not mine.mine:
        said = "Either all items are taken by others, or none has been added yet."
        return End("Nothing to judge just now", said, "Come back a little later.")
    said = "That was the last one for you in this study. Every one of them counts."
    return End("Thank you", said, USES[study.kind], facts, undo)
