"""All that a study holds, as plain values: items, their answers and writers, and what each said.

Annotators are pseudonyms here; names and addresses never leave the store.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Item, Judgement, Prompt, Response, User

LOT = 500
"""items read at once"""
SAID: tuple[str, ...] = (
    "ranks",
    "ratings",
    "rewrite",
    "both_bad",
    "strength",
    "reason",
    "tags",
    "marks",
    "shown",
)
SAID += ("soft", "final", "ms_total", "ms_visible")
"""of a judgement, as the store has it"""


@dataclass(frozen=True)
class Written:
    """One answer."""

    text: str
    model: str
    sampling: dict[str, Any]
    reward: float | None


@dataclass(frozen=True)
class Verdict:
    """One act of judgement that stands."""

    id: int
    by: str
    """pseudonym"""
    ai: bool
    excluded: bool
    """the annotator's judgements do not count any more"""
    ranks: list[int] | None
    ratings: dict[str, list[int]] | None
    rewrite: str | None
    both_bad: bool
    strength: int | None
    reason: str
    tags: list[str]
    marks: list[str]
    shown: list[int]
    soft: float | None
    final: bool
    at: str
    """UTC, ISO 8601"""
    ms_total: int | None
    ms_visible: int | None
    facts: bool | None
    """whether they were shown what is known of the prompt; None: nothing is, or nobody noted it"""


@dataclass(frozen=True)
class Case:
    """One item with all that was said about it."""

    id: int
    messages: list[dict[str, Any]]
    source: str
    answers: list[Written]
    gold: dict[str, Any] | None
    propensity: float | None
    verdicts: list[Verdict] = field(default_factory=list)


def cases(
    store: Store,
    study_id: int,
    only: Collection[int] | None = None,
    *,
    items: Collection[int] | None = None,
    after: int = 0,
) -> Iterator[Case]:
    """Every item of a study in order, with its judgements that were not taken back.

    `only` are the ids of the judgements wanted; items that then have none are left out.  `items`:
    these alone; `after`: those with higher numbers alone.
    """
    wanted = None if only is None else frozenset(only)
    last = after
    while True:
        with store.read() as session:
            query = session.query(Item, Prompt).join(Prompt, Prompt.id == Item.prompt_id)
            query = query.filter(Item.study_id == study_id, Item.id > last)
            if items is not None:
                query = query.filter(Item.id.in_(items))
            rows = query.order_by(Item.id).limit(LOT).all()
            if not rows:
                return
            ids = [item.id for item, _ in rows]
            answers = _answers(session, [i for item, _ in rows for i in item.responses])
            said = _verdicts(session, ids)
        last = ids[-1]
        for item, prompt in rows:
            few = [v for v in said.get(item.id, ()) if wanted is None or v.id in wanted]
            if few or wanted is None:
                texts = [answers[i] for i in item.responses]
                told = (prompt.messages, prompt.source, texts, item.gold, item.propensity, few)
                yield Case(item.id, *told)


def prompts(store: Store, study_id: int) -> list[tuple[list[dict[str, Any]], str]]:
    """(messages, source) of every different prompt of a study, in order; of gold items none."""
    found: dict[int, tuple[list[dict[str, Any]], str]] = {}
    with store.read() as session:
        query = session.query(Item.id, Prompt).join(Prompt, Prompt.id == Item.prompt_id)
        query = query.filter(Item.study_id == study_id, Item.gold.is_(None))
        for _, one in query.order_by(Item.id):
            found.setdefault(one.id, (one.messages, one.source))
    return list(found.values())


def annotators(store: Store, judgement_ids: Collection[int]) -> dict[str, list[int]]:
    """Pseudonym -> the ids of the judgements that are theirs."""
    found: dict[str, list[int]] = {}
    ids = sorted(judgement_ids)
    with store.read() as session:
        for start in range(0, len(ids), LOT):
            query = session.query(Judgement.id, User.pseudonym)
            query = query.join(User, User.id == Judgement.user_id)
            few = query.filter(Judgement.id.in_(ids[start : start + LOT])).order_by(Judgement.id)
            for number, name in few:
                found.setdefault(name, []).append(number)
    return found


def facts_seen(store: Store, judgement_ids: Collection[int]) -> dict[str, int]:
    """How many of these judgements were made with what is known of the prompt shown, and hidden;
    the others are of prompts of which nothing is, or were made before that was noted.
    """
    ids, found = sorted(judgement_ids), {"shown": 0, "hidden": 0}
    with store.read() as session:
        for start in range(0, len(ids), LOT):
            query = session.query(Judgement.origin).filter(
                Judgement.id.in_(ids[start : start + LOT])
            )
            for (origin,) in query:
                if (told := origin.get("facts")) is not None:
                    found["shown" if told else "hidden"] += 1
    return found


def _answers(session: Any, ids: Collection[int]) -> dict[int, Written]:
    rows = session.query(Response).filter(Response.id.in_(set(ids)))
    return {one.id: Written(one.text, one.model, one.sampling, one.reward) for one in rows}


def _verdicts(session: Any, ids: Collection[int]) -> dict[int, list[Verdict]]:
    query = session.query(Judgement, User).join(User, User.id == Judgement.user_id)
    rows = query.filter(Judgement.item_id.in_(ids)).order_by(Judgement.id).all()
    gone = {one.supersedes for one, _ in rows}
    found: dict[int, list[Verdict]] = {}
    for one, user in rows:
        if one.act != "judge" or one.id in gone:
            continue
        made = Verdict(
            id=one.id,
            by=user.pseudonym,
            ai=user.kind == "ai",
            excluded=user.excluded is not None,
            at=one.created.isoformat(),
            facts=one.origin.get("facts"),
            **{name: getattr(one, name) for name in SAID},
        )
        found.setdefault(one.item_id, []).append(made)
    return found
