"""Revisions and AI labels as stages: prompts in, sealed records out, each with where it is from.

Below `out` of a stage: `answers/` and what is made of them, `revisions/` or `labels/`.  Each is an
artifact; what a model was asked for them is kept by `accord.engine.calls`, and not asked again.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accord.config import Settings, plain
from accord.data.comparisons import fingerprint
from accord.data.constitution import Constitution
from accord.data.principled import TEMPLATE
from accord.data.sources import read
from accord.data.tally import Tally
from accord.data.writing import row, talk, write_rows
from accord.engine.draw import Sampling
from accord.engine.llm import LLM
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings
from accord.evaluate.textspage import write
from accord.recipes.common import spell_prompts
from accord.recipes.constitutional import compare, revise
from accord.recipes.constitutional_page import rounds_page
from accord.recipes.revising import Revise, Revision
from accord.recipes.stage import Place, room_for
from accord.recipes.weighing import Feedback, Label, Pair, levelled
from accord.records import Comparison, Demonstration, Invalid, Prompt
from accord.store import artifact
from accord.store.artifact import Artifact

ANSWERS, DEMONSTRATIONS, ROUNDS, COMPARISONS = (
    f"{name}.jsonl" for name in ("answers", "demonstrations", "rounds", "comparisons")
)


@dataclass(frozen=True)
class Answers:
    """What a policy said to prompts: n texts each, and whether each came to its end."""

    prompts: Sequence[Prompt]
    texts: Sequence[tuple[str, ...]]
    ended: Sequence[tuple[bool, ...]]
    artifact: Artifact | None


@dataclass(frozen=True)
class Written:
    """Records that a stage made, and the artifact that they lie in."""

    records: Sequence[Any]
    artifact: Artifact


def answers_stage(
    place: Place,
    policy: Policy,
    prompts: Sequence[Prompt],
    n: int,
    longest: int,
    how: Sampling,
    parents: Sequence[Artifact | str] = (),
) -> Answers:
    """n answers of a policy to each prompt that fits, as `<out>/answers`."""
    if not prompts:
        return Answers((), (), (), None)
    named = _named(prompts)
    asked, tally = spell_prompts(named, policy.speller, room_for(longest, policy))
    place.check(tally, "prompts")
    by_name = {one.id: one for one in named}
    kept = [by_name[one.id] for one in asked]
    folder = place.out / "answers"
    told = _told("answers", place, {"n": n, "longest": longest, "how": plain(how)}, prompts)
    told |= {"parents": [origin(policy), *parents], "template": policy.speller.fingerprint}

    def fill(into: Path) -> None:
        said = policy.sample(
            [one.ids for one in asked],
            n=n,
            longest=longest,
            seed=place.seed,
            how=how,
            names=[one.id for one in asked],
        )
        rows = (
            {
                "id": one.id,
                "prompt": talk(one.messages),
                "answers": [policy.speller.text(r) for r in said[i * n : (i + 1) * n]],
                "ended": [r.finish == "stop" for r in said[i * n : (i + 1) * n]],
            }
            for i, one in enumerate(kept)
        )
        write_rows(into / ANSWERS, rows)

    made = artifact.finish(folder, fill, **told)
    rows = _lines(folder / ANSWERS)
    texts = [tuple(one["answers"]) for one in rows]
    return Answers(kept, texts, [tuple(one["ended"]) for one in rows], made)


def revise_stage(
    place: Place,
    cfg: Revise,
    c: Constitution,
    llm: LLM,
    policy: Policy,
    prompts: Sequence[Prompt],
    helpful: Sequence[Prompt] = (),
    *,
    parents: Sequence[Artifact] = (),
) -> Written:
    """All revisions, and helpful answers, as demonstrations in `<out>/revisions`."""
    if not c.revise:
        raise BadSettings(
            f"the constitution {c.name!r} has no principle to revise by: add 'revise'"
        )
    how = (cfg.longest, cfg.how, parents)
    first = answers_stage(place, policy, prompts, 1, *how)
    beside = answers_stage(place.below("helpful"), policy, helpful, cfg.helpful, *how)
    made_of = [a.artifact for a in (first, beside) if a.artifact]
    told = _told("revisions", place, cfg, [*prompts, *helpful])
    told |= {"parents": [*made_of, llm.which, c.fingerprint], "template": TEMPLATE}
    folder = place.out / "revisions"
    there = artifact.made(folder, **told)
    if there is None:
        tally = Tally()
        prompts, begun = _begun(first, tally)

        def heard(n: int, made: list[Revision]) -> None:
            good = sum(isinstance(one.text, str) for one in made)
            changed = sum(one.changed for one in made)
            place.tell(f"round {n}: {good} of {len(made)} revisions, {changed} changed something")

        every = revise(cfg, c, llm, prompts, begun, seed=place.seed, told=heard)
        rows = [*_revisions(cfg, prompts, every, tally, llm.which)]
        place.check(tally, "revisions")
        rows += _helpful(place, beside, origin(policy))
        if not rows:
            raise BadData("not one revision can be learned from; rounds.jsonl would be empty")
        numbers = _rounds(begun, every) | {"demonstrations": float(len(rows))}

        def fill(into: Path) -> None:
            write_rows(into / DEMONSTRATIONS, rows)
            trace = [*_trace(prompts, begun, every)]
            write_rows(into / ROUNDS, trace)
            write(rounds_page(c.name, numbers, trace), into / "rounds.html")

        there = artifact.finish(folder, fill, numbers=numbers, **told)
    else:
        place.tell(f"{folder} was made from just this before: nothing to do")
    found = read(folder / DEMONSTRATIONS, "demonstrations")
    return Written(found.records, there)


def compare_stage(
    place: Place,
    cfg: Feedback,
    c: Constitution,
    llm: LLM,
    policy: Policy,
    prompts: Sequence[Prompt],
    *,
    parents: Sequence[Artifact] = (),
) -> Written:
    """Two answers of a policy to each prompt, labelled, as comparisons in `<out>/labels`."""
    if not c.compare:
        raise BadSettings(
            f"the constitution {c.name!r} has no principle to compare by: add 'compare'"
        )
    said = answers_stage(place, policy, prompts, 2, cfg.longest, cfg.how, parents)
    told = _told("labels", place, cfg, prompts)
    told |= {
        "parents": [*([said.artifact] if said.artifact else []), llm.which, c.fingerprint],
        "template": TEMPLATE,
    }
    folder = place.out / "labels"
    there = artifact.made(folder, **told)
    if there is None:
        tally = Tally()
        pairs = [*_pairs(said, tally)]
        labels = compare(cfg, c, llm, pairs, seed=place.seed)
        rows = [*_labels(pairs, labels, tally, llm.which)]
        place.check(tally, "comparisons")
        if not rows:
            raise BadData("not one pair of answers has a label: there is nothing to learn from")
        good = [one for one in labels if not isinstance(one, Invalid)]
        if cost := levelled(cfg, good):
            place.tell(f"warning: {cost}")
        numbers = _sureness(good) | {"same": float(tally.noted.total())}
        there = artifact.finish(
            folder, lambda into: write_rows(into / COMPARISONS, rows), numbers=numbers, **told
        )
    else:
        place.tell(f"{folder} was made from just this before: nothing to do")
    return Written(read(folder / COMPARISONS, "comparisons").records, there)


def origin(policy: Policy) -> Artifact | str:
    """The artifact that a policy was opened from, or what its weights are."""
    found = artifact.origin(policy.source) if policy.source else None
    return found or policy.fingerprint


def _named(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Each with an id of its own."""
    seen: set[str] = set()
    named = []
    for i, one in enumerate(prompts):
        own = one.id or str(i)
        own = f"{own}#{i}" if own in seen else own
        seen.add(own)
        named.append(replace(one, id=own))
    return named


def _told(kind: str, place: Place, cfg: Any, prompts: Sequence[Prompt]) -> dict[str, Any]:
    settings = plain(cfg) if isinstance(cfg, Settings) else cfg
    settings = {**settings, "seed": place.seed}
    return {"kind": kind, "settings": settings, "data": fingerprint(prompts)}


def _begun(first: Answers, tally: Tally) -> tuple[list[Prompt], list[str]]:
    """The prompts that were answered, and the answers."""
    kept = [(p, few[0]) for p, few in zip(first.prompts, first.texts, strict=True)]
    for prompt, text in kept:
        if not text.strip():
            tally.drop("empty answer, nothing to revise", prompt.id)
    good = [(prompt, text) for prompt, text in kept if text.strip()]
    return [prompt for prompt, _ in good], [text for _, text in good]


def _revisions(
    cfg: Revise, prompts: Sequence[Prompt], every: Sequence[Revision], tally: Tally, who: str
) -> Iterable[dict[str, Any]]:
    """Every revision as a demonstration, with all that made it."""
    for one in every:
        prompt, name = prompts[one.place], f"{prompts[one.place].id}/r{one.round}"
        if isinstance(one.text, Invalid):
            _lost(tally, one.text, name)
            continue
        if not one.changed and cfg.unchanged == "drop":
            tally.note("revision that changes nothing, left out", name)
            continue
        tally.keep()
        shown = Demonstration(prompt.messages, one.text, author=who, id=name)
        yield row(shown) | {
            "round": one.round,
            "principle": one.principle,
            "template": TEMPLATE,
            "seed": one.seed,
        }


def _helpful(place: Place, said: Answers, who: Artifact | str) -> list[dict[str, Any]]:
    """Helpful answers as demonstrations; those that were cut are dropped and counted."""
    tally, rows = Tally(), []
    for prompt, texts, ended in zip(said.prompts, said.texts, said.ended, strict=True):
        for k, (text, whole) in enumerate(zip(texts, ended, strict=True)):
            name = f"{prompt.id}/h{k}"
            if not whole or not text.strip():
                tally.drop("empty" if whole else "cut at revise.longest=", name)
                continue
            tally.keep()
            author = who if isinstance(who, str) else who.id
            shown = Demonstration(prompt.messages, text, author=author, id=name)
            rows.append(row(shown) | {"round": 0, "seed": place.seed})
    if said.prompts:
        place.check(tally, "helpful answers")
    return rows


def _trace(
    prompts: Sequence[Prompt], begun: Sequence[str], every: Sequence[Revision]
) -> Iterable[dict[str, Any]]:
    """What was said in each round, prompt by prompt, for people to read."""
    by_place: dict[int, list[Revision]] = {}
    for one in every:
        by_place.setdefault(one.place, []).append(one)
    for i, prompt in enumerate(prompts):
        rounds: list[Mapping[str, Any]] = [
            {
                "round": one.round,
                "principle": one.principle,
                "critique": one.critique,
                "text": None if isinstance(one.text, Invalid) else one.text,
                "failed": one.text.reason if isinstance(one.text, Invalid) else None,
            }
            for one in by_place.get(i, [])
        ]
        yield {
            "id": prompt.id,
            "prompt": talk(prompt.messages),
            "answer": begun[i],
            "rounds": rounds,
        }


def _rounds(begun: Sequence[str], every: Sequence[Revision]) -> dict[str, float]:
    """Of each round: share that changed something, words, share that failed."""
    numbers = {"round/0/words": _mean([float(len(text.split())) for text in begun])}
    for n in sorted({one.round for one in every}):
        few = [one for one in every if one.round == n]
        good = [one.text for one in few if isinstance(one.text, str)]
        numbers[f"round/{n}/words"] = _mean([float(len(text.split())) for text in good])
        changed = [one for one in few if one.changed and isinstance(one.text, str)]
        numbers[f"round/{n}/changed"] = len(changed) / max(1, len(good))
        numbers[f"round/{n}/failed"] = 1 - len(good) / len(few)
    return numbers


def _pairs(said: Answers, tally: Tally) -> Iterable[Pair]:
    for prompt, texts in zip(said.prompts, said.texts, strict=True):
        if texts[0].strip() == texts[1].strip():
            tally.note("both answers are the same, not compared", prompt.id)
        elif not all(text.strip() for text in texts):
            tally.drop("empty answer", prompt.id)
        else:
            yield Pair(prompt.id, prompt.messages, (texts[0], texts[1]))


def _labels(
    pairs: Sequence[Pair], labels: Sequence[Label | Invalid], tally: Tally, who: str
) -> Iterable[dict[str, Any]]:
    """Every label as a comparison, with all that made it."""
    for pair, label in zip(pairs, labels, strict=True):
        if isinstance(label, Invalid):
            _lost(tally, label, pair.name)
            continue
        tally.keep()
        ranks = (int(label.q < 0.5), int(label.q > 0.5))
        judged = Comparison(
            pair.prompt, pair.answers, ranks, judge=who, p_first=label.q, id=pair.name
        )
        yield row(judged) | {
            "principles": list(label.principles),
            "template": TEMPLATE,
            "seed": label.seed,
            "place": label.place,
        }


def _lost(tally: Tally, why: Invalid, name: str) -> None:
    """Reasons that differ in a number alone are one."""
    kind = re.sub(r"\d+", "N", why.reason)
    tally.drop(kind, name if kind == why.reason else f"{name}: {why.reason}")


def _sureness(labels: Sequence[Label]) -> dict[str, float]:
    """How sure the labels are, and what place alone would have decided."""
    places = [one.place for one in labels if one.place is not None]
    told = {
        "labels": float(len(labels)),
        "p_first": _mean([one.q for one in labels]),
        "sureness": _mean([abs(2 * one.q - 1) for one in labels]),
    }
    return told | ({"place": _mean(places)} if places else {})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:  # its lines end in \n; a text may hold other breaks
        return [json.loads(line) for line in file]
