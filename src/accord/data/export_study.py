"""A study as rows of other tools and published sets: who wrote each answer, and who said what.

What one judge said is a row where the form is of votes; a row of all judges where it is of items.
Annotators are pseudonyms.  `study` is our own form, which holds everything.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from hashlib import sha256
from statistics import mean
from typing import Any

from accord.data.dossier import Case, Verdict
from accord.data.pieces import Flaw
from accord.data.tally import Tally

Row = dict[str, Any]
Rows = Callable[[Case], Iterator[Row]]
"""an item as rows; Flaw where the form has no place for it"""
STRENGTH = 3
"""the highest; scores of HelpSteer3 go from -3 to 3"""
AXES = {"helpful": "helpfulness", "honest": "honesty", "harmless": "harmlessness"}
"""of ours, as UltraFeedback calls them; others keep their names"""


def rows_of(form: str, cases: Iterator[Case], tally: Tally) -> Iterator[Row]:
    """Every row of a form; the tally counts items."""
    for case in cases:
        try:
            made = list(STUDY_FORMS[form](case))
            if not made:
                raise Flaw("nothing judged", "no judgement of it can be said so")
        except Flaw as flaw:
            tally.drop(flaw.reason, f"item {case.id}: {flaw.detail}")
            continue
        tally.keep()
        yield from made


# --- pieces ---


def _text(case: Case) -> str:
    """The prompt, where it is one message of the user's."""
    one = case.messages[0]
    if len(case.messages) != 1 or one["role"] != "user" or not isinstance(one["content"], str):
        raise Flaw("a conversation", "this form has room for a single question of the user's")
    return str(one["content"])


def _two(case: Case) -> tuple[str, str]:
    if len(case.answers) != 2:
        raise Flaw("not a pair", f"it has {len(case.answers)} answers; this form has two")
    return case.answers[0].text, case.answers[1].text


def _ranked(case: Case) -> list[Verdict]:
    """Verdicts that place the answers; of one that calls all bad, all share a place."""
    bad = [0] * len(case.answers)
    said = [replace(one, ranks=bad) if one.both_bad else one for one in case.verdicts]
    return [one for one in said if one.ranks is not None]


def _side(one: Verdict) -> int:
    """-1: the first is better; 1: the second; 0: neither."""
    assert one.ranks is not None
    return (one.ranks[0] > one.ranks[1]) - (one.ranks[0] < one.ranks[1])


def _signed(one: Verdict) -> int:
    """From -3, the first is much better, to 3; without a strength 1."""
    return _side(one) * (one.strength or 1)


def _mean_ranks(case: Case) -> list[float]:
    said = [one.ranks for one in _ranked(case) if one.ranks is not None]
    if not said:
        raise Flaw("nothing judged", "nobody has compared its answers")
    return [mean(ranks[i] for ranks in said) for i in range(len(case.answers))]


def _mean_ratings(case: Case) -> dict[str, list[float]]:
    """axis -> the mean rating of each answer; a comparison rates by how many stand behind one."""
    rated = [one.ratings for one in case.verdicts if one.ratings]
    if not rated:
        worst = len(case.answers) - 1
        return {"preference": [worst - place for place in _mean_ranks(case)]}
    axes = list(dict.fromkeys(axis for one in rated for axis in one))
    return {
        axis: [mean(one[axis][i] for one in rated if axis in one) for i in range(len(case.answers))]
        for axis in axes
    }


def _scores(case: Case) -> list[float]:
    ratings = _mean_ratings(case)
    return [mean(told[i] for told in ratings.values()) for i in range(len(case.answers))]


def _models(case: Case) -> list[str]:
    return [one.model or "unknown" for one in case.answers]


def _said(case: Case, i: int) -> list[Row]:
    return [*case.messages, {"role": "assistant", "content": case.answers[i].text}]


def _name(case: Case) -> str:
    return f"item-{case.id}"


# --- forms of items ---


def _study(case: Case) -> Iterator[Row]:
    """Everything."""
    told = asdict(case)
    told["prompt"] = told.pop("messages")
    told["responses"] = told.pop("answers")
    yield {**told, "id": _name(case)}


def _helpsteer3(case: Case) -> Iterator[Row]:
    first, second = _two(case)
    said = _ranked(case)
    if not said:
        raise Flaw("nothing judged", "nobody has compared its answers")
    single = [{"score": _signed(one), "reasoning": one.reason, "annotator": one.by} for one in said]
    yield {
        "id": _name(case),
        "context": case.messages,
        "response1": first,
        "response2": second,
        "overall_preference": round(mean(_signed(one) for one in said)),
        "individual_preference": single,
    }


def _ultrafeedback(case: Case) -> Iterator[Row]:
    ratings = _mean_ratings(case)
    why = "\n".join(filter(None, (one.reason for one in case.verdicts)))
    if "preference" in ratings:
        raise Flaw("not rated", "this form is of ratings on axes; comparisons have none")
    completions = [
        {
            "model": _models(case)[i],
            "response": one.text,
            "annotations": {
                AXES.get(axis, axis): {"Rating": f"{told[i]:g}", "Rationale": why}
                for axis, told in ratings.items()
            },
        }
        for i, one in enumerate(case.answers)
    ]
    yield {
        "id": _name(case),
        "source": case.source,
        "instruction": _text(case),
        "models": _models(case),
        "completions": completions,
    }


def _distilabel(case: Case) -> Iterator[Row]:
    """Its generations with ratings, and of these the highest against the lowest."""
    scores, names, texts = _scores(case), _models(case), [one.text for one in case.answers]
    best, worst = scores.index(max(scores)), scores.index(min(scores))
    row: Row = {
        "id": _name(case),
        "instruction": _text(case),
        "generations": texts,
        "generation_models": names,
        "ratings": scores,
    }
    if scores[best] > scores[worst]:
        for word, i in (("chosen", best), ("rejected", worst)):
            row |= {word: _said(case, i), f"{word}_model": names[i], f"{word}_rating": scores[i]}
    yield row


def _tulu(case: Case) -> Iterator[Row]:
    """Answers with their models, and nothing of what was said of them."""
    pairs = zip(_models(case), case.answers, strict=True)
    told = [{"model": model, "completion": one.text} for model, one in pairs]
    yield {"id": _name(case), "prompt": case.messages, "completions": told}


def _oasst(case: Case) -> Iterator[Row]:
    places = _mean_ranks(case)
    order = sorted(set(places))
    replies = [
        {
            "message_id": f"{_name(case)}-{i}",
            "role": "assistant",
            "text": one.text,
            "rank": order.index(places[i]),
            "model_name": _models(case)[i],
            "review_result": True,
            "replies": [],
        }
        for i, one in enumerate(case.answers)
    ]
    node: list[Row] = replies
    for depth, told in reversed(list(enumerate(case.messages))):
        if told["role"] == "system" or not isinstance(told["content"], str):
            raise Flaw("system message or picture", "a tree holds texts of user and assistant")
        role = "prompter" if told["role"] == "user" else "assistant"
        last = depth == len(case.messages) - 1
        name = _name(case) if last else f"{_name(case)}-turn-{depth}"
        node = [{"message_id": name, "role": role, "text": told["content"], "replies": node}]
    yield {"message_tree_id": _name(case), "prompt": node[0]}


def _argilla(case: Case) -> Iterator[Row]:
    fields: Row = {"prompt": _text(case)}
    keys = [f"response-{i + 1}" for i in range(len(case.answers))]
    fields |= {key: one.text for key, one in zip(keys, case.answers, strict=True)}
    said = [
        {
            "user_id": one.by,
            "status": "submitted",
            "value": [
                {"value": key, "rank": place + 1}
                for key, place in zip(keys, one.ranks or (), strict=True)
            ],
        }
        for one in _ranked(case)
    ]
    if not said:
        raise Flaw("nothing judged", "nobody has compared its answers")
    yield {"id": _name(case), "fields": fields, "responses": {"ranking": said}}


def _label_studio(case: Case) -> Iterator[Row]:
    first, second = _two(case)
    sides = {-1: "left", 1: "right", 0: "tie"}
    said = [
        {
            "completed_by": one.by,
            "lead_time": None if one.ms_total is None else one.ms_total / 1000,
            "was_cancelled": False,
            "result": [
                {"type": "pairwise", "from_name": "pair", "value": {"selected": sides[_side(one)]}}
            ],
        }
        for one in _ranked(case)
    ]
    if not said:
        raise Flaw("nothing judged", "nobody has compared its answers")
    data = {"prompt": case.messages, "answer1": first, "answer2": second}
    yield {"id": _name(case), "data": data, "annotations": said}


# --- forms of votes ---


def _lmarena(case: Case) -> Iterator[Row]:
    _two(case)
    names = _models(case)
    for one in _ranked(case):
        tie = "tie (bothbad)" if one.both_bad else "tie"
        yield {
            "question_id": f"{_name(case)}#{one.id}",
            "model_a": names[0],
            "model_b": names[1],
            "winner": {-1: "model_a", 1: "model_b", 0: tie}[_side(one)],
            "judge": one.by,
            "conversation_a": _said(case, 0),
            "conversation_b": _said(case, 1),
            "turn": sum(told["role"] == "user" for told in case.messages),
            "tstamp": datetime.fromisoformat(one.at).timestamp(),
        }


HEADS = ("SUBREDDIT: r/", "TITLE: ", "POST: ")


def _tldr(case: Case) -> Iterator[Row]:
    """Summaries; a prompt in the form of the paper's comes apart into its pieces."""
    texts, names, asked = _two(case), _models(case), _text(case)
    for one in _ranked(case):
        if not _side(one):
            continue
        yield {
            "info": _post(asked) | {"id": sha256(asked.encode()).hexdigest()[:12]},
            "summaries": [
                {"text": text, "policy": name, "note": ""}
                for text, name in zip(texts, names, strict=True)
            ],
            "choice": int(_side(one) > 0),
            "worker": one.by,
            "batch": _name(case),
            "split": "train",
            "extra": {} if one.strength is None else {"confidence": one.strength},
        }


def _post(asked: str) -> Row:
    lines = asked.removesuffix("TL;DR:").rstrip("\n").split("\n", 2)
    if len(lines) == 3 and all(map(str.startswith, lines, HEADS)):
        told = [line.removeprefix(head) for line, head in zip(lines, HEADS, strict=True)]
        return dict(zip(("subreddit", "title", "post"), told, strict=True))
    if asked.startswith("Article: "):
        return {"article": asked.removeprefix("Article: ").removesuffix("\nTL;DR:")}
    raise Flaw("no post", "its prompt is not in the form of a post to be summarised")


STUDY_FORMS: Mapping[str, Rows] = {
    "study": _study,
    "helpsteer3": _helpsteer3,
    "ultrafeedback": _ultrafeedback,
    "distilabel": _distilabel,
    "lmarena": _lmarena,
    "oasst": _oasst,
    "tldr": _tldr,
    "argilla": _argilla,
    "label_studio": _label_studio,
    "tulu_completions": _tulu,
}
