"""A language model as one more annotator of a study, marked as what it is.

Every item is asked both ways round, its label is soft, and it counts where `judged.ai=keep` or
`only` says so: never among people by itself, and never towards an item's overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accord.config import Settings
from accord.config.limits import UpTo1
from accord.data.studies import opened
from accord.data.tally import Tally
from accord.errors import BadSettings
from accord.evaluate.answers import LETTERS
from accord.maths.feedback import unswapped
from accord.recipes.job import Desk
from accord.recipes.judging import CALLS
from accord.recipes.stage import Place
from accord.records import Invalid, facts, untold
from accord.rewards.base import Score
from accord.rewards.duel import Duel, PairJudge, both_ways
from accord.rewards.judge.opinions import pair_judge
from accord.store.judgements import acts, people, resolve, studies
from accord.store.judgements.acts import Opinion
from accord.store.judgements.merging import Asked
from accord.store.judgements.opening import Store
from accord.store.judgements.pictures import found, home
from accord.store.lock import held


class AnnotateJob(Settings):
    """Who judges, and what."""

    study: str
    """STORE#STUDY of kind pairwise, as accord.db#answers"""
    judge: str
    """a language model (a folder, a hub id, a server), or its card, judge.yaml"""
    name: str | None = None
    """of its account on the site; none: the model's or the card's own"""
    out: Path = Path("runs/annotate")
    """where what it said is kept; the same command again asks only about what is new"""
    limit: UpTo1 = 0.05
    """share of items that may be left without a verdict"""


@dataclass(frozen=True)
class Annotated:
    """What was said."""

    name: str
    new: int
    known: int
    """opinions that were there"""

    def lines(self) -> list[str]:
        """For people."""
        known = f", {self.known} were there" if self.known else ""
        return [
            f"{self.name}: {self.new} new opinions{known}",
            "they are left out unless judged.ai=keep, or only, takes them in",
        ]


def run_annotate(desk: Desk, job: AnnotateJob) -> Annotated:
    """accord judge annotate"""
    with held(job.out):
        store, called = opened(job.study)
        try:
            return _annotated(desk, job, store, called)
        finally:
            store.close()


def _annotated(desk: Desk, job: AnnotateJob, store: Store, called: str) -> Annotated:
    study = studies.study(store, called)
    if study.kind != "pairwise":
        raise BadSettings(
            f"{job.study} is a study of kind {study.kind}; a judge compares two answers: pairwise"
        )
    judge = pair_judge(job.judge, job.out / CALLS, desk.tell)
    name = job.name or Path(job.judge).stem or job.judge
    user_id = _account(store, name)
    tells = studies.config_of(study).view.facts
    every = [
        replace(item, prompt=found(item.prompt, home(store)))
        for item in resolve.items(store, study.id)
    ]
    shown = [one if tells else replace(one, prompt=untold(one.prompt)) for one in every]
    tally, new, known = Tally(), 0, 0
    for item, soft in zip(every, softened(judge, shown), strict=True):
        if isinstance(soft, Invalid):
            tally.drop(soft.reason, f"item {item.id}")
            continue
        tally.keep()
        told = {"facts": tells} if facts(item.prompt) else {}
        origin = {"judge": judge.which, "both ways": True, **told}
        made = acts.put_ai(store, study.id, user_id, item.id, Opinion(soft=soft, origin=origin))
        new, known = new + (not made.repeated), known + made.repeated
    Place(job.out, tell=desk.tell, limit=job.limit).check(tally, "items")
    return Annotated(name, new, known)


def softened(judge: PairJudge, every: Sequence[Asked]) -> list[Score]:
    """q = (q_AB + 1 - q_BA) / 2 of each item; Invalid where either way cannot be read."""
    duels = []
    for item in every:
        first, second = item.texts
        duels.append(Duel(LETTERS.render(item.prompt), first, second, talk=item.prompt))
    return [
        one if isinstance(one, Invalid) else other if isinstance(other, Invalid)
        else unswapped(one, other)
        for one, other in both_ways(judge, duels)
    ]  # fmt: skip


def _account(store: Store, name: str) -> int:
    """Its account, made the first time; BadSettings where a person has the name."""
    for user in people.users(store):
        if user.name.lower() == name.lower():
            if user.kind != "ai":
                raise BadSettings(f"{name!r} is a person of this site: say another, name=…")
            return int(user.id)
    return int(people.add(store, name, "annotator", kind="ai").id)
