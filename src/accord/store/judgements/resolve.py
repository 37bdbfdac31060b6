"""From judgements to what recipes learn from, and to games between models."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import combinations
from typing import Literal

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from accord.config import Settings, digest, plain
from accord.errors import BadSettings
from accord.records import Comparison, Demonstration, Rating
from accord.store.judgements.audit import note
from accord.store.judgements.counting import settled
from accord.store.judgements.forms import conversation
from accord.store.judgements.merging import (
    Asked,
    Ballot,
    Labels,
    Made,
    Marks,
    Ties,
    merge,
    rate,
)
from accord.store.judgements.opening import Store, now
from accord.store.judgements.studies import config_of, get
from accord.store.judgements.tables import Export, Item, Judgement, Prompt, Response, Study
from accord.store.judgements.votes import Vote, agree, by_item, votes


class Filters(Settings):
    """Which judgements count, and how several of one item become labels."""

    labels: Labels = "majority"
    """several annotators of an item: their majority, a soft label (two answers), or every one"""
    ties: Ties = "drop"
    """no answer stands out: left out, kept as the soft label ½ (two answers), or kept as a tie"""
    agreement: float = Field(default=0.0, ge=0, le=1)
    """items on which a smaller share of the annotators agree are left out"""
    least: int = Field(default=1, ge=1)
    """judgements an item needs, unless it was settled by an adjudicator"""
    flagged: Literal["drop", "keep"] = "drop"
    """items that somebody flagged and nobody has settled"""
    fast: Literal["drop", "keep"] = "keep"
    """verdicts that took less than the study's shortest time"""
    straight: Literal["drop", "keep"] = "keep"
    """verdicts that said the same place for the tenth time in a row, or more"""
    leaks: Literal["drop", "keep"] = "drop"
    """verdicts on an answer that betrays its model"""
    people: tuple[str, ...] = ()
    """only these annotators, by pseudonym; empty: all"""
    ai: Literal["drop", "keep", "only"] = "drop"
    """opinions of AI judges"""
    since: str = ""
    """only verdicts from this day (UTC) on, as 2026-11-30"""
    final_only: bool = False
    """only what an adjudicator settled"""
    axes: Literal["mean", "each"] = "mean"
    """ratings become one comparison by their mean, or one for each axis"""


@dataclass(frozen=True)
class Resolved:
    """Records, and where they come from."""

    comparisons: list[Comparison]
    ratings: list[Rating]
    demonstrations: list[Demonstration]
    judgement_ids: list[int]
    """of all that is in them"""
    digest: str
    """sha256 of the records"""
    told: dict[str, int]
    """what was left out, and why: a phrase -> how many"""


@dataclass(frozen=True)
class Games:
    """Verdicts between models, for `ranking.table`."""

    games: list[tuple[str, str, Literal["x", "y", "tie"]]]
    """in the order in which they were judged"""
    units: list[int]
    """the prompt of each: drawn again together"""
    left: list[Literal["x", "y"]]
    """which of the two was shown first: what an analysis with a term for places needs"""
    judgement_ids: list[int]
    told: dict[str, int]


def records(store: Store, study_id: int, filters: Filters | None = None) -> Resolved:
    """What a study's judgements say, in the order of its items.

    An adjudicator's verdict outweighs all others of its item.  Judgements of excluded annotators,
    ones taken back, and known items (gold) are never among them.
    """
    filters = filters or Filters()
    made = Made([], [], Counter(), set())
    demonstrations: list[Demonstration] = []
    with store.read() as session:
        study = get(session, study_id)
        middle = (1 + config_of(study).scale) / 2
        kept = _kept(session, study_id, filters, made.told)
        asked = _asked(session, [*kept])
    for item_id, few in kept.items():
        item = asked[item_id]
        if study.kind == "rewrite":
            demonstrations += [_demonstration(item, one) for one in few]
            made.used.update(one.judgement.id for one in few)
        elif study.kind == "rate":
            _rated(item, few, filters, middle, made)
        else:
            _soft_for_two(item, filters)
            merge(item, [_ballot(one) for one in few], filters.labels, filters.ties, made)
    every = [*made.comparisons, *made.ratings, *demonstrations]
    return Resolved(
        made.comparisons,
        made.ratings,
        demonstrations,
        sorted(made.used),
        digest(every),
        {what: count for what, count in made.told.items() if count},
    )


def leaderboard_games(
    store: Store, study_ids: Sequence[int] | None = None, filters: Filters | None = None
) -> Games:
    """Every verdict between answers of two named models: of pairwise, rank and chat studies, of all
    where none is named.  A ranking is a game of every two; 'both bad' is a tie.
    """
    filters = filters or Filters()
    told: Counter[str] = Counter()
    found: list[tuple[Vote, Asked]] = []
    with store.read() as session:
        for study_id in study_ids if study_ids is not None else _comparing(session):
            kept = _kept(session, get(session, study_id).id, filters, told)
            asked = _asked(session, [*kept])
            found += [(one, asked[item_id]) for item_id, few in kept.items() for one in few]
    games = Games([], [], [], [], {})
    for vote, item in sorted(found, key=lambda pair: pair[0].judgement.id):
        judged = vote.judgement
        if judged.ranks is None and not judged.both_bad:
            continue
        for i, j in combinations(range(len(item.models)), 2):
            a, b = item.models[i], item.models[j]
            if not a or not b or a == b:
                told["pairs without two different models"] += 1
                continue
            better = 0 if judged.ranks is None else judged.ranks[j] - judged.ranks[i]
            games.games.append((a, b, "x" if better > 0 else "y" if better < 0 else "tie"))
            games.units.append(item.prompt_id)
            games.left.append("x" if judged.shown.index(i) < judged.shown.index(j) else "y")
            games.judgement_ids.append(judged.id)
    games.told.update((what, count) for what, count in told.items() if count)
    return games


# --- which count ---


def _kept(
    session: Session, study_id: int, filters: Filters, told: Counter[str]
) -> dict[int, list[Vote]]:
    """The votes that count, by item, in the order of the items."""
    acts = votes(session, study_id, acts=("judge", "flag"), excluded=True)
    over = {*session.scalars(select(Item.id).where(Item.study_id == study_id, settled()))}
    start = _day(filters.since)
    kept: dict[int, list[Vote]] = {}
    for item_id, every in by_item(acts).items():
        mine = [one for one in every if one.user.excluded is None]
        told["judgements of excluded annotators"] += len(every) - len(mine)
        finals = [one for one in mine if one.judgement.final]
        if item_id in over:
            outweighed = sum(one.judgement.act == "judge" for one in mine) - len(finals)
            told["judgements outweighed by an adjudicator"] += max(outweighed, 0)
            mine = finals[-1:]
            if mine and mine[0].judgement.act == "flag":
                told["items thrown out by an adjudicator"] += 1
                continue
        elif filters.final_only:
            told["items that nobody has settled"] += 1
            continue
        elif any(one.judgement.act == "flag" for one in mine) and filters.flagged == "drop":
            told["flagged items"] += 1
            continue
        few = [one for one in mine if not _why_not(one, filters, start, told)]
        if not few or (item_id not in over and not _enough(few, filters, told)):
            continue
        kept[item_id] = few
    return kept


def _why_not(vote: Vote, filters: Filters, start: datetime | None, told: Counter[str]) -> str:
    """Why one vote is left out; empty where it counts."""
    judged = vote.judgement
    why = ""
    if judged.act != "judge":
        return "an act of another kind"
    if vote.gold:
        why = "judgements on known items"
    elif vote.ai and filters.ai == "drop":
        why = "opinions of AI judges"
    elif not vote.ai and filters.ai == "only":
        why = "judgements of people"
    elif filters.people and vote.user.pseudonym not in filters.people:
        why = "judgements of other annotators"
    elif start is not None and judged.created < start:
        why = "judgements before " + filters.since
    else:
        drops = {"fast": filters.fast, "straight": filters.straight, "leak": filters.leaks}
        marks = [mark for mark in judged.marks if drops.get(mark) == "drop"]
        why = f"judgements marked {marks[0]}" if marks else ""
    if why:
        told[why] += 1
    return why


def _enough(few: Sequence[Vote], filters: Filters, told: Counter[str]) -> bool:
    if len(few) < filters.least:
        told[f"items with fewer than {filters.least} judgements"] += 1
        return False
    share = agree(few)
    if share is not None and share < filters.agreement:
        told[f"items on which fewer than {filters.agreement:g} agree"] += 1
        return False
    return True


def _day(since: str) -> datetime | None:
    if not since:
        return None
    try:
        return datetime.combine(date.fromisoformat(since), time(), UTC)
    except ValueError:
        raise BadSettings(f"since = {since!r}, expected a day such as 2026-11-30") from None


def _comparing(session: Session) -> list[int]:
    kinds = ("pairwise", "rank", "chat")
    return [*session.scalars(select(Study.id).where(Study.kind.in_(kinds)).order_by(Study.id))]


def items(store: Store, study_id: int) -> list[Asked]:
    """Every item of a study, known ones (gold) among them, in order."""
    with store.read() as session:
        ids = session.scalars(select(Item.id).where(Item.study_id == study_id).order_by(Item.id))
        return [*_asked(session, [*ids]).values()]


# --- as ballots ---


def _asked(session: Session, item_ids: Sequence[int]) -> dict[int, Asked]:
    found: dict[int, Asked] = {}
    for start in range(0, len(item_ids), 500):
        few = item_ids[start : start + 500]
        query = select(Item, Prompt).join(Prompt, Prompt.id == Item.prompt_id)
        rows = [*session.execute(query.where(Item.id.in_(few)))]
        ids = {one for item, _ in rows for one in item.responses}
        answers = {
            one.id: one for one in session.scalars(select(Response).where(Response.id.in_(ids)))
        }
        for item, prompt in rows:
            texts = tuple(answers[one].text for one in item.responses)
            models = tuple(answers[one].model for one in item.responses)
            talk = conversation(prompt.messages)
            found[item.id] = Asked(item.id, prompt.id, talk, texts, models, item.gold is not None)
    return found


def _ballot(vote: Vote) -> Ballot:
    judged = vote.judgement
    return Ballot(
        judged.id,
        vote.user.pseudonym,
        tuple(judged.ranks or ()),
        judged.both_bad,
        judged.strength,
        judged.soft,
        judged.reason,
    )


def _rated(item: Asked, few: Sequence[Vote], filters: Filters, middle: float, made: Made) -> None:
    marks = [
        Marks(one.judgement.id, one.user.pseudonym, one.judgement.ratings, one.judgement.reason)
        for one in few
        if one.judgement.ratings
    ]
    if not marks:
        return
    rate(item, marks, filters.labels, middle, made)
    if len(item.texts) < 2:
        return
    _soft_for_two(item, filters)
    by_axis: dict[str, list[Ballot]] = defaultdict(list)
    for one in marks:
        for ballot in one.ballots(each=filters.axes == "each"):
            by_axis[ballot.axis].append(ballot)
    for ballots in by_axis.values():
        merge(item, ballots, filters.labels, filters.ties, made)


def _soft_for_two(item: Asked, filters: Filters) -> None:
    if filters.labels == "soft" and len(item.texts) > 2:
        raise BadSettings(
            f"labels = soft is for two answers; item {item.id} has {len(item.texts)}: choose "
            "majority or every"
        )


def _demonstration(item: Asked, vote: Vote) -> Demonstration:
    name = f"item-{item.id}/{vote.judgement.id}"
    text = vote.judgement.rewrite or ""
    return Demonstration(item.prompt, text, author=vote.user.pseudonym, id=name)


# --- what left the house ---


def handed_out(
    store: Store, study_id: int, filters: Filters, resolved: Resolved, path: str, by: int | None
) -> Export:
    """Note that these records were given to a run, or written to a file at `path`."""
    with store.write() as session:
        made = Export(
            at=now(),
            user_id=by,
            study_id=study_id,
            filters=plain(filters),
            judgements=resolved.judgement_ids,
            digest=resolved.digest,
            path=path,
        )
        session.add(made)
        session.flush()
        n = len(resolved.judgement_ids)
        note(session, by, "exported", study=study_id, export=made.id, n=n, path=path)
    return made


def exports(
    store: Store,
    *,
    study_id: int | None = None,
    digest: str | None = None,
    user_id: int | None = None,
) -> list[Export]:
    """What left the house, the latest first: of a study, with a digest, with a judgement of
    somebody in it.
    """
    query = select(Export).order_by(Export.id.desc())
    if study_id is not None:
        query = query.where(Export.study_id == study_id)
    if digest is not None:
        query = query.where(Export.digest == digest)
    with store.read() as session:
        found = [*session.scalars(query)]
        if user_id is None:
            return found
        mine = {*session.scalars(select(Judgement.id).where(Judgement.user_id == user_id))}
    return [one for one in found if mine.intersection(one.judgements)]


def contributors(store: Store, export_id: int) -> dict[int, int]:
    """Who is in an export: account -> how many of its judgements."""
    with store.read() as session:
        ids = session.get_one(Export, export_id).judgements
        counts: Counter[int] = Counter()
        for start in range(0, len(ids), 500):
            few = select(Judgement.user_id).where(Judgement.id.in_(ids[start : start + 500]))
            counts.update(session.scalars(few))
    return dict(counts)
