"""From a lease to what its annotator sees: the order of the answers, and the task."""

import hashlib
import secrets
from random import Random
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from accord.store.judgements.counting import standing
from accord.store.judgements.forms import KINDS, Shown, StudyConfig, Task, knows, untold
from accord.store.judgements.tables import (
    Item,
    Judgement,
    Lease,
    Prompt,
    Response,
    Study,
    User,
)


def order_of(study_id: int, item_id: int, user_id: int, count: int) -> tuple[list[int], str]:
    """The order of the answers for this annotator, and the seed it was drawn from.

    The same on every call and in every process; independent between annotators and items.
    """
    told = f"{study_id}/{item_id}/{user_id}".encode()
    seed = hashlib.blake2b(told, digest_size=8).hexdigest()
    return Random(seed).sample(range(count), count), seed


def task_of(session: Session, lease: Lease) -> Task:
    """What the holder of a lease is shown; a key of its own for every rendering."""
    item = session.get_one(Item, lease.item_id)
    study = session.get_one(Study, item.study_id)
    config = StudyConfig.of(study.config)
    found = session.scalars(select(Response).where(Response.id.in_(item.responses)))
    by_id = {one.id: one for one in found}
    answers = [by_id[one] for one in item.responses]
    shown = [
        Shown(place, answers[at].text, "" if config.blind else answers[at].model)
        for place, at in enumerate(lease.order)
    ]
    messages = session.get_one(Prompt, item.prompt_id).messages
    facts = config.view.facts if knows(messages) else None
    return Task(
        study_id=study.id,
        item_id=item.id,
        lease_id=lease.id,
        kind=next(kind for kind in KINDS if kind == study.kind),
        config=config,
        messages=untold(messages) if facts is False else messages,
        answers=tuple(shown),
        key=secrets.token_hex(16),
        draft=lease.draft,
        adjudicates=lease.adjudicates,
        others=_others(session, lease) if lease.adjudicates else (),
        facts=facts,
    )


def _others(session: Session, lease: Lease) -> tuple[dict[str, Any], ...]:
    query = (
        select(Judgement, User)
        .join(User, User.id == Judgement.user_id)
        .where(Judgement.item_id == lease.item_id, Judgement.final.is_(False), standing())
        .where(Judgement.act.in_(("judge", "flag")), User.excluded.is_(None))
        .order_by(Judgement.id)
    )
    rows = session.execute(query)
    return tuple({"who": who.name, "kind": who.kind, **said(j, lease.order)} for j, who in rows)


def said(judgement: Judgement, order: list[int]) -> dict[str, Any]:
    """A judgement as an act over answers in this order of showing."""
    ranks, ratings = judgement.ranks, judgement.ratings
    return {
        "act": judgement.act,
        "ranks": None if ranks is None else [ranks[at] for at in order],
        "both_bad": judgement.both_bad,
        "strength": judgement.strength,
        "ratings": ratings and {axis: [row[at] for at in order] for axis, row in ratings.items()},
        "rewrite": judgement.rewrite,
        "reason": judgement.reason,
        "tags": [*judgement.tags],
        "marks": [*judgement.marks],
        "soft": judgement.soft,
        "ms_total": judgement.ms_total,
    }
