"""A study for people as a command: prompts in, answers sampled, pairs chosen, a site to judge on.

Below `out`, in a folder of the study's: each model's answers, written as they come.  The same
command again asks no model twice, and puts no item into the study twice.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from accord.config import Settings, digest, plain
from accord.config.limits import Count, UpTo1
from accord.data import sources
from accord.data.columns import SplitFacts
from accord.data.offers import Offer, Offers, read_offers
from accord.data.pictured import UNSEEN
from accord.data.pictures import data_url
from accord.data.studies import opened, parts
from accord.data.tally import Tally
from accord.engine.client import Client, Endpoint
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings
from accord.evaluate.answers import LETTERS, Asking, given, sampled, spelled
from accord.recipes.choosing import Choose, Scores, items
from accord.recipes.endpoint import asked
from accord.recipes.job import Desk
from accord.recipes.stage import Place, room_for
from accord.records import Invalid, Prompt
from accord.records.plain import messages
from accord.rewards.choose import Choice
from accord.rewards.foreign import Reading
from accord.rewards.guard import Guard
from accord.rewards.reader import Reader
from accord.rewards.remote import Server as RewardServer
from accord.store import artifact
from accord.store.judgements import quiz, studies
from accord.store.judgements.forms import Kind, NewItem, StudyConfig, conversation, known_of
from accord.store.judgements.opening import Store
from accord.store.judgements.pictures import brought, found, home
from accord.store.judgements.studies import Added

WEB = ("http://", "https://")


class LabelJob(Settings):
    """Open a study: whose answers people are asked about, and which of them."""

    study: str = "accord.db#answers"
    """where it is kept and what it is called: STORE#NAME, the store a file or a PostgreSQL URL; a
    name alone is a study of accord.db"""
    kind: Kind = "pairwise"
    """pairwise: which of two; rank: all answers to a prompt in order; rate: each on a scale;
    rewrite: each as it should be; chat: a conversation that people lead themselves"""
    data: Path | None = None
    """prompts, or prompts with answers: a file, folder or hub id; any shape of docs/data.md"""
    model: tuple[str, ...] = ()
    """who answers the prompts, comma-separated: folders, hub ids, or servers that speak OpenAI's
    protocol (http://host:8000/v1, or http://host:8000/v1#NAME where it serves several)"""
    out: Path = Path("runs/label")
    """where answers are written as they come; the same command again goes on from there"""
    n: Count = 2
    """answers of each model to each prompt"""
    longest: Count = 200
    """the most tokens an answer may have"""
    how: Sampling = Sampling()
    """temperature, top_p, top_k"""
    seed: int = 0
    """of the answers, and of which are shown"""
    dtype: Literal["fp32", "bf16", "int8", "int4"] = "fp32"
    """precision of matrix products, of models in folders"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled, for models in folders"""
    http: Endpoint = Endpoint()
    """how servers are spoken to"""
    choose: Choose = Choose()
    """which answers become items"""
    reward: tuple[str, ...] = ()
    """reward models (folders), servers or functions, comma-separated: pairs are asked about that
    they are least sure of; none: pairs by chance"""
    gold: Path | None = None
    """comparisons or ratings that are known to be right, shown among the others as a check"""
    files: SplitFacts = SplitFacts()
    """how data= is read; of gold= the pictures and facts"""
    limit: UpTo1 = 0.05
    """share of rows that may be unusable before nothing is asked"""
    site: bool = True
    """open the site when the study is ready; false: another process serves it, as `accord serve`"""
    port: int = Field(default=8080, ge=0, le=65535)
    """of the site; 0: one that is free"""


@dataclass(frozen=True)
class Labelled:
    """A study that is ready to be judged."""

    store: str
    study_id: int
    name: str
    items: int
    """that wait, and were there before"""
    added: Added
    serve: bool
    how: dict[str, Any]
    """of the site"""


def run_label(desk: Desk, job: LabelJob, cfg: StudyConfig) -> Labelled:
    """accord label"""
    cfg.fit(job.kind)
    _sensible(job, cfg)
    place = Place(job.out, job.seed, tell=desk.tell, limit=job.limit)
    where, name = parts(job.study)
    made: list[NewItem] = []
    if job.data is not None:  # read, before a study is made that stays empty
        given = _offers(place, job, job.data)
        gold = _gold(place, job) if job.gold else []
        offers = _answered(desk, job, given.rows)
        tally = Tally()
        scored = _scored(desk, job, offers) if job.reward else None
        made = items(offers, job.kind, job.choose, job.seed, tally, scored)
        if tally.dropped or tally.noted:
            desk.tell("\n".join(_lines(tally)))
        if not made:
            raise BadData(f"{job.data}: no prompt has the answers that kind={job.kind} asks about")
        made = _seeded(job, made) + gold
    store, _ = opened(job.study, make=True)
    made = _with_pictures(desk, job, made, home(store))
    study = _study(desk, store, name, job.kind, cfg)
    added = studies.add_items(store, study.id, made)
    for why in added.refused[:3]:
        desk.tell(f"refused: {why}")
    known = f", {added.known} were there" if added.known else ""
    desk.tell(f"study {name!r}: {added.new} new items{known}")
    if short := quiz.warning(store, study.id):
        desk.tell(short)
    row = next(one for one in studies.studies(store) if one.study.id == study.id)
    store.close()
    return Labelled(where, study.id, name, row.items, added, job.site, {"port": job.port})


def _with_pictures(desk: Desk, job: LabelJob, made: Sequence[NewItem], home: Path) -> list[NewItem]:
    """The items with their pictures in the folder of the site; one without them is dropped."""
    tally, shown = Tally(), []
    for one in made:
        try:
            for said in found(conversation(one.messages), home):
                for image in said.images:
                    data_url(image.path)
            shown.append(replace(one, messages=brought(one.messages, home)))
            tally.keep()
        except BadData as error:
            tally.drop("no picture that can be shown", f"{one.source}: {error}")
    if tally.dropped:
        desk.tell("\n".join(tally.lines("items")))
        tally.check(job.limit)
    return shown


def _sensible(job: LabelJob, cfg: StudyConfig) -> None:
    if cfg.quiz.items and job.kind in ("rewrite", "chat"):
        raise BadSettings(
            f"kind={job.kind}: nothing is known to be right there, so there is no quiz; leave "
            "quiz.items out"
        )
    if cfg.talk.pictures and job.kind != "chat":
        raise BadSettings(f"kind={job.kind}: nobody talks there; leave talk.pictures out")
    if job.kind == "chat":
        if job.data or job.model or job.gold or job.reward:
            raise BadSettings(
                "kind=chat: people begin the conversations themselves, with models that the site "
                "runs: say talk.models=NAME,NAME, and leave data, model, reward and gold out"
            )
        return
    job.http.secret()  # one that is missing is missed now, not after hours of answers
    if job.data is None:
        raise BadSettings("there is nothing to ask about: say data=FILE, prompts or answers")
    if job.reward and job.kind != "pairwise":
        raise BadSettings(f"reward= chooses pairs, and kind={job.kind} has none: leave it out")
    if len(set(job.model)) < len(job.model):
        raise BadSettings(f"model={','.join(job.model)}: a model stands there twice")
    if job.gold and job.kind == "rewrite":
        raise BadSettings("kind=rewrite: no rewriting is the right one; leave gold= out")
    if job.how.temperature == 0 and job.n > 1 and job.model:
        raise BadSettings(f"how.temperature=0 gives {job.n} times the same answer: say n=1")


def _study(desk: Desk, store: Store, name: str, kind: Kind, cfg: StudyConfig) -> Any:
    """The study of that name, made or as it is there, with these settings."""
    there = next((row.study for row in studies.studies(store) if row.study.name == name), None)
    if there is None:
        return studies.create(store, name, kind, cfg)
    if there.kind != kind:
        raise BadSettings(f"study {name!r} is there already, and is of kind {there.kind}")
    if studies.config_of(there) != cfg:
        desk.tell(f"study {name!r} has other settings from now on")
        studies.revise(store, there.id, cfg)
    return there


# --- what is shown ---


def _offers(place: Place, job: LabelJob, path: Path) -> Offers:
    found = read_offers(path, **job.files.how())
    if found.rows:
        answers = sum(len(one.texts) for one in found.rows)
        ready = f" with {answers} answers" if answers else ""
        place.tell(f"{path}: {len(found.rows)} prompts{ready} ({found.shape})")
    place.check(found.tally, str(path))
    if found.unseen:
        place.tell(f"{path}: {UNSEEN}")
    if not job.model and not any(one.texts for one in found.rows):
        raise BadSettings(f"{path} holds prompts without answers: say who answers them, model=…")
    return found


def _answered(desk: Desk, job: LabelJob, offers: Sequence[Offer]) -> list[Offer]:
    """Offers with what every model said to them beside what was there."""
    prompts = [Prompt(one.prompt, one.id) for one in offers]
    made = list(offers)
    folder = job.out / _slug(parts(job.study)[1])
    for name in job.model:
        file = folder / f"{_slug(_called(name))}-{digest(name)[:8]}.jsonl"
        asking = Asking(job.longest, job.n, job.how, job.seed)
        total = job.n * len(prompts)
        with desk.count(_called(name), total, "answers") as watch:
            if name.startswith(WEB):
                by, texts = _heard(desk, name, job, prompts, file, asking, watch)
            else:
                by, texts = _drawn(desk, name, job, prompts, file, asking, watch)
        made = [_more(one, texts.get(i, ()), by) for i, one in enumerate(made)]
    return made


def _more(one: Offer, texts: Sequence[str], by: str) -> Offer:
    models = one.models or ("",) * len(one.texts)
    return replace(one, texts=(*one.texts, *texts), models=(*models, *(by for _ in texts)))


def _slug(name: str) -> str:
    """A name that a file can have."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "study"


def _called(name: str) -> str:
    return name.partition("#")[2] or name if name.startswith(WEB) else Path(name).name or name


def _heard(
    desk: Desk, url: str, job: LabelJob, prompts: Sequence[Prompt], file: Path, asking: Asking,
    watch: Any,
) -> tuple[str, dict[int, list[str]]]:  # fmt: skip
    """(name, prompt -> answers) of a server."""
    client = Client(url, job.http, desk.tell)
    heard = asked(client, prompts, file, asking, watch=watch)
    return client.model, {i: [one.text for one in few] for i, few in enumerate(heard)}


def _drawn(
    desk: Desk, name: str, job: LabelJob, prompts: Sequence[Prompt], file: Path, asking: Asking,
    watch: Any,
) -> tuple[str, dict[int, list[str]]]:  # fmt: skip
    """(name, prompt -> answers) of a model in a folder."""
    policy = Policy.open(name, dtype=job.dtype, template=job.template)
    tally = Tally()
    ids = spelled(prompts, policy.speller, room_for(job.longest, policy), tally)
    Place(job.out, tell=desk.tell, limit=job.limit).check(tally, f"prompts for {name}")
    side = sampled(name, policy, ids, file, asking, watch=watch)
    born = artifact.origin(policy.source) if policy.source else None
    texts = dict(zip(ids, side.texts, strict=True))
    return born.id if born else _called(name), texts


def _seeded(job: LabelJob, made: list[NewItem]) -> list[NewItem]:
    """With how the answers were drawn, where models of ours drew them."""
    if not job.model:
        return made
    how = {**plain(job.how), "longest": job.longest, "seed": job.seed}
    how.pop("kind", None)
    return [replace(one, sampling=how) for one in made]


def _scored(desk: Desk, job: LabelJob, offers: Sequence[Offer]) -> list[Scores]:
    """What each reward says of each answer, offer by offer."""
    prompts = [Prompt(one.prompt, one.id) for one in offers]
    reader = Reader(LETTERS, prompts)
    choice = Choice(reader, "fp32", Guard(), Reading(), RewardServer())
    said: list[list[list[float | None]]] = [[] for _ in offers]
    for word in job.reward:
        reward = choice.of([word])
        with desk.count(f"{_called(word)} scores", len(offers), "prompts") as watch:
            for i, one in enumerate(offers):
                few: list[float | None] = []
                if count := len(one.texts):
                    side = given(word, [prompts[i]], {one.prompt: one.texts}, LETTERS, count)
                    few = [None if isinstance(s, Invalid) else float(s) for s in reward(side.said)]
                said[i].append(few)
                watch(1)
    return list(said)


# --- what is known to be right ---


def _gold(place: Place, job: LabelJob) -> list[NewItem]:
    """Items with their verdicts, from a file of comparisons (of ratings, for kind=rate)."""
    assert job.gold is not None
    if job.kind == "rate":
        raise BadSettings(
            "kind=rate: known ratings come through the site's API, not here; leave gold= out"
        )
    found = sources.read(job.gold, "comparisons", beside=job.files.beside())
    place.check(found.tally, str(job.gold))
    made = []
    for one in found.records:
        if job.kind == "pairwise" and (len(one.responses) != 2 or one.tie):
            place.tell(f"{job.gold}: {one.id}: no pair with a better answer; left out")
            continue
        gold = known_of(one)
        made.append(NewItem(messages(one.prompt), one.responses, gold=gold, source=one.id))
    if not made:
        raise BadData(f"{job.gold}: nothing in it can be known to be right in this study")
    place.tell(f"{job.gold}: {len(made)} items whose verdict is known")
    return made


def _lines(tally: Tally) -> list[str]:
    lines = tally.lines("prompts") if tally.dropped else []
    if tally.noted and not tally.dropped:
        lines = [f"{tally.noted.total()} answers left out"]
        lines += [f"{count:>7}  {reason}" for reason, count in tally.noted.most_common()]
    return lines
