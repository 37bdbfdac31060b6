"""MT-Bench (Zheng et al. 2023): questions of two turns or more, answered in a conversation, judged
in pairs; both orders are asked, and where they differ it is a tie.

Any file of the same form will do: {"question_id", "category", "turns": […]}, references and answers
as {"question_id", "choices": [{"turns": […]}]}.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.data.benchmark import objects
from accord.engine.draw import Sampling
from accord.engine.llm import LLM, Ask
from accord.errors import BadData
from accord.evaluate.match import Judged, by_judge
from accord.records import Conversation, Invalid, Message
from accord.rewards.duel import PairJudge

TEMPERATURES = {
    **dict.fromkeys(("writing", "roleplay"), 0.7),
    **dict.fromkeys(("extraction", "math", "coding", "reasoning"), 0.0),
    **dict.fromkeys(("stem", "humanities"), 0.1),
}
"""the benchmark's own, by category"""
OTHER = 0.7
"""of categories it does not know"""
Answer = tuple[str | Invalid, ...]
"""one text for each turn"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, turn by turn."""

    id: str
    category: str
    turns: tuple[str, ...]
    references: tuple[str, ...] = ()
    """answers known to be right, shown to the judge alone"""


@dataclass(frozen=True)
class Part:
    """The verdicts on some of the questions."""

    name: str
    judged: Judged


def questions(path: Path, references: Path | None = None) -> list[Question]:
    """The questions of a file, with the right answers of another; BadData names file and line."""
    right = answers(references) if references else {}
    found: list[Question] = []
    for one in objects(path):
        where, row = one.where, one.row
        turns = row.get("turns")
        if not isinstance(turns, list) or not turns or not all(isinstance(t, str) for t in turns):
            raise BadData(f'{where}: "turns" is no list of texts: {{"turns": ["…", "…"]}}')
        name = str(row.get("question_id", len(found)))
        found.append(
            Question(name, str(row.get("category", "all")), tuple(turns), right.get(name, ()))
        )
    if strange := set(right) - {one.id for one in found}:
        raise BadData(f"{references} answers question {sorted(strange)[0]}, which {path} has not")
    return found


def answers(path: Path) -> dict[str, tuple[str, ...]]:
    """The answers of a file, by question."""
    found: dict[str, tuple[str, ...]] = {}
    for one in objects(path):
        where, row = one.where, one.row
        try:
            turns = row["choices"][0]["turns"]
            found[str(row["question_id"])] = tuple(str(turn) for turn in turns)
        except (LookupError, TypeError):
            raise BadData(
                f'{where}: no answer: {{"question_id": 1, "choices": [{{"turns": ["…"]}}]}}'
            ) from None
    return found


def answered(
    llm: LLM,
    asked: Sequence[Question],
    *,
    longest: int,
    temperature: float | None = None,
    seed: int = 0,
    told: Callable[[int], None] = lambda n: None,
) -> list[Answer]:
    """Turn by turn, each with all that was said before; a turn that failed ends its conversation.

    Without a temperature each category has the benchmark's own.
    """
    said: list[list[str | Invalid]] = [[] for _ in asked]
    for turn in range(max(len(one.turns) for one in asked)):
        groups: dict[float, list[int]] = {}
        for place, one in enumerate(asked):
            if turn < len(one.turns) and not any(isinstance(t, Invalid) for t in said[place]):
                own = TEMPERATURES.get(one.category, OTHER)
                groups.setdefault(own if temperature is None else temperature, []).append(place)
        for warm, places in groups.items():
            asks = [Ask(_talk(asked[p].turns[: turn + 1], said[p]), seed=seed) for p in places]
            heard = llm.say(asks, longest=longest, how=Sampling(warm))
            for place, given in zip(places, heard, strict=True):
                said[place].append(given if isinstance(given, Invalid) else given.text)
            told(len(places))
    return [tuple(few) for few in said]


def judged(
    judge: PairJudge,
    asked: Sequence[Question],
    before: Sequence[Answer],
    after: Sequence[Answer],
    *,
    seed: int = 0,
) -> tuple[list[Part], Mapping[str, int]]:
    """(verdicts on all, on each turn, on each category; why pairs could not be judged).

    A turn that either side did not answer counts for nobody.
    """
    rows, lost = [], dict[str, int]()
    for place, one in enumerate(asked):
        for turn in range(len(one.turns)):
            pair = [side[place][turn : turn + 1] or side[place][-1:] for side in (before, after)]
            bad = [t for few in pair for t in few if isinstance(t, Invalid)]
            if bad or not all(pair):
                why = bad[0].reason if bad else "no answer"
                lost[why] = lost.get(why, 0) + 1
            else:
                rows.append((place, turn))
    if not rows:
        raise BadData(f"no turn has an answer of both sides: {next(iter(lost), 'no answers')}")
    old, new = ([_shown(side[p], t) for p, t in rows] for side in (before, after))
    texts = [_put(asked[p], t) for p, t in rows]
    right = ["\n\n".join(asked[p].references[: t + 1]) for p, t in rows]
    every = by_judge(texts, old, new, judge, references=right, seed=seed)

    most = max(len(one.turns) for one in asked)
    groups = {f"turn {k + 1}": [i for i, (_, t) in enumerate(rows) if t == k] for k in range(most)}
    for i, (place, _) in enumerate(rows):
        groups.setdefault(asked[place].category, []).append(i)
    parts = [Part("all", every)]
    for name, few in groups.items():
        try:
            parts.append(Part(name, every.of(few, seed=seed)))
        except BadData:  # none of them could be judged: told among the reasons
            continue
    return parts, lost


def _talk(turns: Sequence[str], said: Sequence[str | Invalid]) -> Conversation:
    """The conversation up to the last of these turns."""
    made = [Message.of("user", turns[0])]
    for before, turn in zip(said, turns[1:], strict=True):
        made += [Message.of("assistant", str(before)), Message.of("user", turn)]
    return tuple(made)


def _put(one: Question, turn: int) -> str:
    """The question as the judge reads it."""
    if turn == 0:
        return one.turns[0]
    several = "\n\n".join(f"{i}. {text}" for i, text in enumerate(one.turns[: turn + 1], 1))
    return (
        f"{several}\n\n(These were asked one after the other. Judge the answer to the last; those "
        "before it are shown for what it refers to.)"
    )


def _shown(said: Answer, turn: int) -> list[str]:
    texts = [str(text) for text in said[: turn + 1]]
    if turn == 0:
        return texts
    return ["\n\n".join(f"{i}. {text}" for i, text in enumerate(texts, 1))]
