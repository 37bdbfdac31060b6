"""Evaluation as a command: two models, or answers that stand in files, before the same judges."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from accord.config import Settings, plain
from accord.config.limits import Count, UpTo1
from accord.data import judged, sources
from accord.data.columns import Facts
from accord.data.comparisons import fingerprint
from accord.data.studies import is_study
from accord.data.tally import Tally
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings
from accord.evaluate import evaluationpage, measure
from accord.evaluate.answers import LETTERS, Asking, Side, by_prompt, given, sampled, spelled
from accord.evaluate.frontier import Distance, distance
from accord.evaluate.perplexity import Tax, perplexity, read_texts, tax
from accord.recipes.job import Desk, told
from accord.recipes.judging import CALLS, Bench, Rewards, compares
from accord.recipes.stage import Place, room_for
from accord.records import Conversation, Demonstration, Prompt
from accord.rewards.base import Reward, Score, which
from accord.rewards.duel import PairJudge
from accord.rewards.foreign import Reading
from accord.rewards.guard import Guard
from accord.rewards.remote import Server
from accord.rewards.rules import called, parts
from accord.store import artifact, files
from accord.store.artifact import Artifact
from accord.store.judgements.resolve import Filters
from accord.store.lock import held
from accord.text.tokenizer import Speller

NUMBERS = "evaluation.json"


class EvaluateJob(Settings):
    """Hold a model's answers against those of another, or against a file's."""

    model: str
    """a model (folder, GGUF file or hub id), or a file of its answers: prompt and response"""
    against: str
    """the baseline: likewise a model, or a file of answers, such as references"""
    prompts: Path | None = None
    """prompts: a file, folder or hub id, or STORE#STUDY; none: those of a file of answers"""
    out: Path = Path("runs/evaluate")
    """where answers and results are kept; the same command again goes on from there"""
    reward: tuple[str, ...] = ()
    """a learned reward: what training followed.  A folder, a server (http://…), file.py:function,
    or tokens; several are added up, with weights: FOLDER,0.5*rules.py:polite"""
    rule: str | None = None
    """file.py:function(prompt, answer, ended) -> number: what is really wanted"""
    judge: str | None = None
    """who sees both answers, each pair both ways: a language model (a folder, a server, or its
    card, judge.yaml), or file.py:function(prompt, first, second) -> how likely the first wins"""
    ensemble: tuple[str, ...] = ()
    """two or more reward models, comma-separated: how far they differ is watched"""
    text: Path | None = None
    """plain text, or JSON lines with text, that nobody trained on: the alignment tax"""
    n: Count = 1
    """answers to each prompt"""
    longest: Count = 200
    """the most tokens an answer may have"""
    how: Sampling = Sampling()
    """temperature, top_p, top_k, min_p; KL is measured where nothing is cut and nothing greedy"""
    seed: int = 0
    """of the answers, the same dice for both models, and of the intervals"""
    dtype: Literal["fp32", "bf16", "int8", "int4"] = "fp32"
    """precision of matrix products; int8 and int4: quantised weights"""
    template: Literal["auto", "plain", "turns", "chat"] = "auto"
    """how conversations are spelled; auto: each model's own chat template, or plain without one"""
    files: Facts = Facts()
    """how files are read"""
    limit: UpTo1 = 0.05
    """share of prompts that may be unusable before the job refuses to begin"""
    guard: Guard = Guard()
    """how functions are kept from harming the run"""
    classifier: Reading = Reading()
    """how a reward model made elsewhere is read"""
    http: Server = Server()
    """how a reward server is spoken to"""

    @property
    def rewards(self) -> Rewards:
        """What the other commands call the same."""
        said: dict[str, Any] = {
            name: getattr(self, name) for name in ("guard", "classifier", "http")
        }
        return Rewards(reward=self.reward, rule=self.rule, **said)


@dataclass(frozen=True)
class Evaluated:
    """What came out, and where it lies."""

    told: dict[str, Any]
    artifact: Artifact


@dataclass(frozen=True)
class Party:
    """One of the two: a model, or the answers of a file."""

    word: str
    policy: Policy | None
    said: dict[Conversation, list[str]]

    @property
    def name(self) -> str:
        """The end of its path, for people."""
        parts = Path(self.word).parts[-2:]
        return "/".join(parts) if Path(self.word).exists() else self.word

    @property
    def id(self) -> Artifact | str:
        """What it is, wherever it lies."""
        if self.policy is None:
            every = (Demonstration(t, text) for t, texts in self.said.items() for text in texts)
            return fingerprint(every)
        made = artifact.origin(self.policy.source) if self.policy.source else None
        return made or self.policy.fingerprint


def run_evaluate(desk: Desk, job: EvaluateJob) -> Evaluated:
    """accord evaluate"""
    _sane(job)
    with held(job.out):
        return _evaluated(desk, job)


def _evaluated(desk: Desk, job: EvaluateJob) -> Evaluated:
    place = Place(job.out, job.seed, sinks=desk.view, tell=desk.tell, limit=job.limit)
    parties = [_party(place, job, word) for word in (job.against, job.model)]
    _heard(place, job, parties)
    prompts = _prompts(place, job, parties)
    asked, kept = _asked(place, job, parties, prompts)
    benches = _benches(job, parties, kept)
    judge = compares(job.judge, job.guard, job.out / CALLS, desk.tell) if job.judge else None
    texts = _texts(job.text) if job.text else []

    def make(folder: Path) -> None:
        sides = _sides(desk, job, parties, asked, kept)
        bout = _bout(job, parties, sides, benches, judge, kept)
        kl, why = _kl(job, parties, bout)
        bout = replace(bout, kl=kl, no_kl=why, tax=_tax(job, parties, texts))
        numbers = {**measure.tell(bout), "settings": plain(job)}
        (folder / NUMBERS).write_bytes(files.dump(numbers))
        shown = evaluationpage.samples(bout)
        (folder / "answers.jsonl").write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in shown), encoding="utf-8"
        )
        evaluationpage.write(numbers, shown, folder)

    names = which(*(b.reward for b in benches), *(b.gold for b in benches))
    parents = [party.id for party in reversed(parties)] + list(dict.fromkeys(names))
    parents += [judge.which] if judge else []
    parents += [known for word in job.ensemble if (known := _known(word))]
    about: dict[str, Any] = {
        "kind": "evaluation",
        "settings": {k: v for k, v in plain(job).items() if k != "out"},
        "parents": parents,
        "data": fingerprint([*kept, *(Demonstration((), text) for text in texts)]),
    }
    folder = job.out / "report"
    if artifact.made(folder, **about):
        desk.tell(f"{folder} was made from just this before: nothing to do")
    made = artifact.finish(folder, make, **about)
    return Evaluated(files.read_json(folder / NUMBERS), made)


def _known(word: str) -> str:
    """What a reward of the ensemble is known by, where that is told without opening it."""
    name = word.rpartition("*")[2]
    if ".py:" in name:
        path, function = parts(name)
        return called(function, path)
    made = artifact.origin(name)
    return made.id if made else ""


def _sane(job: EvaluateJob) -> None:
    if not (job.reward or job.rule or job.judge or job.ensemble or job.text):
        raise BadSettings(
            "nothing to evaluate by: say reward=FOLDER, rule=file.py:function, "
            "judge=FOLDER, judge=file.py:function, or text=FILE"
        )
    if len(job.ensemble) == 1:
        raise BadSettings("ensemble holds one reward model: name two or more, or leave it out")


def _heard(place: Place, job: EvaluateJob, parties: Sequence[Party]) -> None:
    """Refuse, or say, what nothing reads where a side is a file."""
    filed = [party.word for party in parties if party.policy is None]
    if filed and job.text:
        raise BadSettings(f"text= is read by models, and {filed[0]} is a file: leave it out")
    if len(filed) == len(parties):
        fresh = EvaluateJob(model="", against="")
        keys = ("longest", "how", "dtype", "template")
        idle = [key for key in keys if getattr(job, key) != getattr(fresh, key)]
        if idle:
            place.tell(f"no model answers, both sides are files: {', '.join(idle)} change nothing")


def _party(place: Place, job: EvaluateJob, word: str) -> Party:
    path = Path(word).expanduser()
    if path.is_file() and path.suffix != ".gguf":
        found = sources.read(path, "demonstrations", **job.files.how())
        return Party(word, None, by_prompt(told(place, path, found)))
    return Party(word, Policy.open(word, dtype=job.dtype, template=job.template), {})


def _prompts(place: Place, job: EvaluateJob, parties: Sequence[Party]) -> list[Prompt]:
    """Those of the file, or of the first party that is a file; each conversation once."""
    if job.prompts is not None:
        if is_study(job.prompts):
            found = judged.take(place.out, job.prompts, "prompts", Filters(), place.tell)
        else:
            found = sources.read(job.prompts, "prompts", **job.files.how())
        prompts: Sequence[Prompt] = told(place, job.prompts, found)
    else:
        talks = next((party.said for party in parties if party.said), None)
        if talks is None:
            raise BadSettings("two models answer prompts: say which, prompts=FILE")
        prompts = [Prompt(talk, str(i)) for i, talk in enumerate(talks)]
    once = {prompt.messages: prompt for prompt in reversed(prompts)}
    kept = list(reversed(once.values()))
    if len(kept) < len(prompts):
        place.tell(f"{len(prompts) - len(kept)} prompts come twice; each is asked once")
    if not kept:
        raise BadData("there is no prompt to answer")
    return kept


def _asked(
    place: Place, job: EvaluateJob, parties: Sequence[Party], prompts: Sequence[Prompt]
) -> tuple[list[dict[int, Any]], list[Prompt]]:
    """Of either party, the ids of every prompt that both can answer; and those prompts."""
    usable = []
    for party in parties:
        tally = Tally()
        if party.policy is not None:
            room = room_for(job.longest, party.policy)
            ids: dict[int, Any] = spelled(prompts, party.policy.speller, room, tally)
        else:
            ids = {i: None for i, p in enumerate(prompts) if p.messages in party.said}
            for i, prompt in enumerate(prompts):
                name = prompt.id or str(i)
                if i in ids:
                    tally.keep()
                else:
                    tally.drop("no answer in the file", f"prompt {name!r}: not in {party.word}")
            _unused(place, party, prompts, job.n)
        place.check(tally, f"prompts for {party.word}")
        usable.append(ids)
    both = [i for i in range(len(prompts)) if all(i in ids for ids in usable)]
    if not both:
        raise BadData("there is no prompt that both sides answer")
    return [{i: ids[i] for i in both} for ids in usable], [prompts[i] for i in both]


def _unused(place: Place, party: Party, prompts: Sequence[Prompt], n: int) -> None:
    more = sum(max(0, len(party.said.get(p.messages, ())) - n) for p in prompts)
    if more:
        place.tell(f"{party.word}: {more} answers beyond the first {n} to a prompt are not read")


def _speller(parties: Sequence[Party], mine: Party) -> Speller:
    """Its own; of a file, the other's, so that lengths are counted alike."""
    for party in (mine, *parties):
        if party.policy is not None:
            return party.policy.speller
    return LETTERS


def _benches(job: EvaluateJob, parties: Sequence[Party], kept: Sequence[Prompt]) -> list[Bench]:
    """Who judges either side; the same for both where they spell alike."""
    if not (job.reward or job.rule):
        return []
    spellers = [_speller(parties, party) for party in parties]
    more: dict[str, Any] = {"dtype": job.dtype, "keep": job.out / CALLS}
    first = Bench.of(job.rewards, spellers[0], kept, **more)
    if spellers[0].fingerprint == spellers[1].fingerprint:
        return [first, first]
    return [first, Bench.of(job.rewards, spellers[1], kept, **more)]


def _sides(
    desk: Desk,
    job: EvaluateJob,
    parties: Sequence[Party],
    asked: Sequence[dict[int, Any]],
    kept: Sequence[Prompt],
) -> list[Side]:
    sides = []
    for key, party, ids in zip(("against", "model"), parties, asked, strict=True):
        if party.policy is None:
            texts = {talk: few[: job.n] for talk, few in party.said.items()}
            sides.append(given(party.name, kept, texts, _speller(parties, party), job.n))
            continue
        with desk.count(key, job.n * len(ids), "answers") as watch:
            side = sampled(
                party.name,
                party.policy,
                ids,
                job.out / f"answers-{key}.jsonl",
                Asking(job.longest, job.n, job.how, job.seed),
                watch=watch,
            )
        sides.append(side)
    return sides


def _bout(
    job: EvaluateJob,
    parties: Sequence[Party],
    sides: Sequence[Side],
    benches: Sequence[Bench],
    judge: PairJudge | None,
    kept: Sequence[Prompt],
) -> measure.Bout:
    scored = []
    for voice in ("rule", "reward"):
        word = job.rule if voice == "rule" else ",".join(job.reward)
        if not word:
            continue
        by = [b.gold if voice == "rule" and b.gold else b.reward for b in benches]
        scores = [score(side.said) for score, side in zip(by, sides, strict=True)]
        scored.append(measure.Scored(voice, word, *scores))  # type: ignore[arg-type]
    return measure.Bout(
        sides[0],
        sides[1],
        [sides[1].speller.decode(one.prompt_ids) for one in sides[1].said[:: job.n]],
        scored,
        judge,
        job.judge or "",
        _members(job, parties, sides, kept),
        unit="characters" if sides[1].speller is LETTERS else "tokens",
        seed=job.seed,
        talks=[one.messages for one in kept],
    )


def _members(
    job: EvaluateJob, parties: Sequence[Party], sides: Sequence[Side], kept: Sequence[Prompt]
) -> tuple[list[list[Score]], list[list[Score]]]:
    """Of every reward model of the ensemble, one after the other, on either side."""
    found: tuple[list[list[Score]], list[list[Score]]] = [], []
    for word in job.ensemble:
        said = EvaluateJob(**{**_fields(job), "reward": (word,), "rule": None})
        by: list[Reward] = [bench.reward for bench in _benches(said, parties, kept)]
        for scores, reward, side in zip(found, by, sides, strict=True):
            scores.append(reward(side.said))
    return found


def _fields(job: EvaluateJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in EvaluateJob.model_fields}


def _kl(
    job: EvaluateJob, parties: Sequence[Party], bout: measure.Bout
) -> tuple[Distance | None, str]:
    against, model = (party.policy for party in parties)
    if against is None or model is None:
        return None, "KL is between two models, and here answers stand in a file"
    if against.speller.fingerprint != model.speller.fingerprint:
        return None, "the two models have other tokenizers or templates"
    if not job.how.full:
        return None, "answers were drawn greedily, or cut (top_p, top_k, min_p)"
    return distance(model, against, bout.model.said, job.how.temperature), ""


def _tax(job: EvaluateJob, parties: Sequence[Party], texts: Sequence[str]) -> Tax | None:
    if not texts:
        return None
    before, after = (perplexity(party.policy, texts) for party in parties if party.policy)
    return tax(before, after, seed=job.seed)


def _texts(path: Path) -> list[str]:
    if path.suffix in (".txt", ".md", ""):
        return read_texts(path)
    return [one.response for one in sources.read_texts(path).records if not one.prompt]
