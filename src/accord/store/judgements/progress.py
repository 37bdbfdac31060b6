"""How far a study is, how its annotators do, and which items need an adjudicator."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accord.maths.intervals import Estimate, proportion
from accord.store.judgements.counting import settled
from accord.store.judgements.opening import Store, now
from accord.store.judgements.studies import config_of, get
from accord.store.judgements.tables import Item, Lease, User
from accord.store.judgements.votes import Vote, agree, by_item, places, table, votes


@dataclass(frozen=True)
class Progress:
    """Counts of a study; known items (gold) are not among the items."""

    items: int
    done: int
    open: int
    judgements: int
    """verdicts of people that count, on known items too"""
    skipped: int
    flagged: int
    """items that somebody flagged and nobody has settled"""
    per_day: list[tuple[date, int]]
    """verdicts of each day (UTC) from the first on, empty days left out"""
    mine: int
    """verdicts of the one who looks"""
    ai: int
    """opinions of AI judges"""


@dataclass(frozen=True)
class AnnotatorRow:
    """One annotator in one study; excluded ones are here too."""

    user: User
    count: int
    """verdicts"""
    skipped: int
    median_s: float | None
    """of their times, by the page's clock"""
    gold_right: int
    gold_n: int
    agreement: float | None
    """share of the others' verdicts on the same things that were the same (ratings: the same
    number)"""
    agreement_n: int
    left_share: Estimate | None
    """how often the answer shown first was found better than the last, of those that differ"""
    left_n: int
    tie_share: float | None
    """of the verdicts that compare; None where nothing was compared"""
    marks: dict[str, int] = field(default_factory=dict)
    """fast, straight, leak, gold-missed: how often"""


@dataclass(frozen=True)
class Disputed:
    """An item for the adjudicators."""

    item_id: int
    why: str
    """disagreement | flagged"""
    agree: float | None
    """what `votes.agree` says of it"""


def study_progress(store: Store, study_id: int, user_id: int | None = None) -> Progress:
    """The counts, and those of one annotator."""
    with store.read() as session:
        get(session, study_id)
        items = select(func.count(), func.count().filter(Item.open.is_(True)))
        items = items.select_from(Item).where(Item.study_id == study_id, Item.gold.is_(None))
        count, is_open = session.execute(items).one()
        acts = votes(session, study_id, acts=("judge", "skip", "flag"))
        verdicts = [one for one in acts if one.judgement.act == "judge"]
        flags = {one.judgement.item_id for one in acts if one.judgement.act == "flag"}
        flagged = len(flags - _settled(session, study_id))
    people = [one for one in verdicts if not one.ai]
    days = Counter(one.judgement.created.date() for one in people)
    return Progress(
        items=count,
        done=count - is_open,
        open=is_open,
        judgements=len(people),
        skipped=sum(one.judgement.act == "skip" for one in acts),
        flagged=flagged,
        per_day=sorted(days.items()),
        mine=sum(one.user.id == user_id for one in verdicts),
        ai=len(verdicts) - len(people),
    )


def annotators(store: Store, study_id: int) -> list[AnnotatorRow]:
    """A row for each who judged or skipped, most verdicts first."""
    with store.read() as session:
        get(session, study_id)
        acts = votes(session, study_id, acts=("judge", "skip"), excluded=True)
    theirs: dict[int, list[Vote]] = defaultdict(list)
    for one in acts:
        theirs[one.user.id].append(one)
    verdicts = [one for one in acts if one.judgement.act == "judge" and not one.judgement.final]
    same, met = _alike([one for one in verdicts if one.user.excluded is None], verdicts)
    rows = [_row(few, same[who], met[who]) for who, few in theirs.items()]
    return sorted(rows, key=lambda row: (-row.count, row.user.name))


def _alike(
    others: Sequence[Vote], all_of_them: Sequence[Vote]
) -> tuple[Counter[int], Counter[int]]:
    """Of each annotator: how often another's verdict was the same, and how often there was one."""
    same: Counter[int] = Counter()
    met: Counter[int] = Counter()
    by_others = table(others)
    for unit, said in table(all_of_them).items():
        for who, value in said.items():
            for other, theirs in by_others.get(unit, {}).items():
                if other != who:
                    met[who] += 1
                    same[who] += value == theirs
    return same, met


def _row(acts: Sequence[Vote], same: int, met: int) -> AnnotatorRow:
    few = [one for one in acts if one.judgement.act == "judge"]
    times = [one.judgement.ms_total for one in few if one.judgement.ms_total is not None]
    sides = [pair for one in few if (pair := places(one.judgement)) is not None]
    left, right = sum(a > b for a, b in sides), sum(a < b for a, b in sides)
    compared = [one.judgement for one in few if one.judgement.ranks or one.judgement.both_bad]
    ties = sum(len({*one.ranks}) == 1 for one in compared if one.ranks)
    gold = [one for one in few if one.gold and not one.judgement.final]
    return AnnotatorRow(
        user=acts[0].user,
        count=len(few),
        skipped=len(acts) - len(few),
        median_s=median(times) / 1000 if times else None,
        gold_right=sum("gold-missed" not in one.judgement.marks for one in gold),
        gold_n=len(gold),
        agreement=same / met if met else None,
        agreement_n=met,
        left_share=proportion(left, left + right) if left + right else None,
        left_n=left + right,
        tie_share=ties / len(compared) if compared else None,
        marks=dict(Counter(mark for one in few for mark in one.judgement.marks)),
    )


def disputed(store: Store, study_id: int) -> list[Disputed]:
    """Items that nobody has settled: flagged ones, and those judged by all who were asked on which
    fewer agree than the study's `agree_below`; the least agreed first.
    """
    with store.read() as session:
        config = config_of(get(session, study_id))
        acts = votes(session, study_id, acts=("judge", "flag"))
        over = _settled(session, study_id)
        waiting = select(Item.id).where(Item.study_id == study_id, Item.open.is_(True))
        still_open = {*session.scalars(waiting)}
    flags: list[Disputed] = []
    found: list[Disputed] = []
    for item_id, few in by_item(one for one in acts if not one.gold and not one.ai).items():
        if item_id in over:
            continue
        share = agree([one for one in few if one.judgement.act == "judge"])
        if any(one.judgement.act == "flag" for one in few):
            flags.append(Disputed(item_id, "flagged", share))
        elif share is not None and share < config.agree_below and item_id not in still_open:
            found.append(Disputed(item_id, "disagreement", share))
    return sorted(found, key=lambda one: (one.agree or 0.0, one.item_id)) + flags


def running(store: Store, study_id: int) -> list[tuple[User, Lease]]:
    """Who has which item before them right now."""
    query = (
        select(User, Lease)
        .join(Lease, Lease.user_id == User.id)
        .join(Item, Item.id == Lease.item_id)
        .where(Item.study_id == study_id, Lease.state == "active", Lease.expires > now())
        .order_by(Lease.issued)
    )
    with store.read() as session:
        return [(user, lease) for user, lease in session.execute(query)]


def _settled(session: Session, study_id: int) -> set[int]:
    return {*session.scalars(select(Item.id).where(Item.study_id == study_id, settled()))}
