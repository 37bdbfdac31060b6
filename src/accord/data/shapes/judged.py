"""Rows of judgements as their sources publish them: scores, trees, and annotation tools."""

from collections.abc import Iterator
from typing import Any

from accord.data.pieces import (
    Flaw,
    Row,
    answer,
    filled,
    finite,
    listed,
    message,
    name_of,
    question,
    ranked_by,
    unpacked,
    whole,
    words,
    yes,
)
from accord.data.shapes.base import Graded, Made, Shape, ask_prompt, by_score, compared
from accord.data.shapes.plain import ask_instruction, instructed
from accord.data.shapes.votes import WINNERS
from accord.records import Comparison, Conversation, Prompt, ask

# --- scores of several answers ---

ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")


def _ultrafeedback(row: Row, name: str) -> Iterator[Made | Flaw]:
    """UltraFeedback (Cui et al. 2023): ranked by the mean of the aspects' ratings.

    Its `overall_score` is known to hold errors, and is not looked at.
    """
    texts, scores, parts = [], [], []
    for i, one in enumerate(listed(row["completions"], "completions")):
        try:
            text, score = _aspects(one, f"completions[{i}]")
        except Flaw as flaw:
            parts.append(flaw)
            continue
        texts.append(text)
        scores.append(score)
        if one.get("custom_system_prompt"):
            parts.append(
                Flaw("system prompt of one answer", f"completions[{i}] had one of its own")
            )
    if len(texts) < 2:
        raise parts[0] if parts else Flaw("no answer", "key 'completions' holds fewer than two")
    yield compared(row, name, instructed(row), tuple(texts), ranked_by(scores), judge="gpt-4")
    yield from parts


def _aspects(one: object, key: str) -> tuple[str, float]:
    if not isinstance(one, dict) or not isinstance(notes := one.get("annotations"), dict):
        raise Flaw("wrong type", f"key {key!r} needs 'response' and 'annotations'")
    told = [note for aspect in ASPECTS if isinstance(note := notes.get(aspect), dict)]
    given = [note.get("Rating") for note in told if note.get("Rating") not in (None, "N/A")]
    if not given:
        raise Flaw("answer without a rating", f"key {key!r} has no aspect that was rated")
    scores = [finite(value, f"{key}.Rating") for value in given]
    return filled(one.get("response"), f"{key}.response"), sum(scores) / len(scores)


def _generations(row: Row, name: str) -> Comparison:
    texts = [filled(one, "generations") for one in listed(row["generations"], "generations")]
    scores = [finite(one, "ratings") for one in listed(row["ratings"], "ratings")]
    if len(texts) < 2 or len(texts) != len(scores):
        raise Flaw("wrong type", f"{len(scores)} ratings of {len(texts)} generations")
    strength = abs(scores[0] - scores[1]) or None if len(texts) == 2 else None
    return compared(row, name, instructed(row), tuple(texts), ranked_by(scores), strength=strength)


def _helpful(row: Row, name: str) -> Graded:
    prompt = question(row["prompt"], "prompt")
    score = finite(row["helpfulness"], "helpfulness")
    return Graded(prompt, answer(row["response"], "response", prompt), score, name)


def _helpsteer3(row: Row, name: str) -> Iterator[Made | Flaw]:
    """HelpSteer3 (Wang et al. 2025): below 0 the first is better; each annotator judges alone."""
    prompt = question(row["context"], "context")
    told = tuple(answer(row[key], key, prompt) for key in ("response1", "response2"))
    single = listed(row.get("individual_preference") or [], "individual_preference")
    if not single:
        yield _signed(row, name, prompt, told, row["overall_preference"], {})
    for i, one in enumerate(single):
        try:
            if not isinstance(one, dict):
                raise Flaw("wrong type", f"individual_preference[{i}] is no object")
            why = words(one.get("reasoning") or "", "reasoning")
            more = {"judge": f"annotator-{i + 1}", "why": why}
            yield _signed(row, f"{name}#{i + 1}", prompt, told, one.get("score"), more)
        except Flaw as flaw:
            yield flaw


def _helpsteer2(row: Row, name: str) -> Comparison:
    prompt = question(row["prompt"], "prompt")
    told = tuple(answer(row[key], key, prompt) for key in ("response_1", "response_2"))
    more = {"why": words(row.get("preference_elaboration", ""), "preference_elaboration")}
    return _signed(row, name, prompt, told, row["preference_strength"], more)


def _signed(
    row: Row, name: str, prompt: Conversation, told: Any, value: object, more: dict[str, Any]
) -> Comparison:
    ranks, strength = by_score(0, finite(value, "preference"))
    return compared(row, name, prompt, told, ranks, **({"strength": strength} | more))


def _context(row: Row, name: str) -> Prompt:
    return Prompt(question(row["context"], "context"), name)


def _solutions(row: Row) -> dict[str, Any]:
    return {k: v for k, v in row.items() if isinstance(v, dict) and "is_correct" in v}


def _graded(row: Row, name: str) -> Comparison:
    """GSM8K's solutions of several models (Cobbe et al. 2021): right above wrong."""
    told = _solutions(row)
    texts = tuple(filled(one.get("solution"), key) for key, one in told.items())
    if len(texts) < 2:
        raise Flaw("no answer", "fewer than two solutions")
    ranks = ranked_by([float(yes(one["is_correct"], key)) for key, one in told.items()])
    return compared(row, name, ask(words(row["question"], "question")), texts, ranks)


def _summaries(row: Row, name: str) -> Comparison:
    """Summaries of Reddit posts and news (Stiennon et al. 2020), asked as its appendix B does."""
    info, told = unpacked(row["info"]), listed(row["summaries"], "summaries")
    if not isinstance(info, dict) or not all(isinstance(one, dict) for one in told):
        raise Flaw("wrong type", "keys 'info' and 'summaries' must hold objects")
    choice = whole(row["choice"], "choice")
    if len(told) != 2 or choice not in (0, 1):
        raise Flaw("wrong type", f"choice {choice} of {len(told)} summaries; it must be of two")
    if info.get("post"):
        names = {"subreddit": "SUBREDDIT: r/", "title": "TITLE: ", "post": "POST: "}
        said = [start + words(info.get(key) or "", key) for key, start in names.items()]
    else:
        said = ["Article: " + filled(info.get("article"), "info.article")]
    texts = tuple(filled(one.get("text"), "summaries.text").strip() for one in told)
    extra = unpacked(row.get("extra", {}))
    sure = extra.get("confidence") if isinstance(extra, dict) else None
    return compared(
        row,
        name,
        ask("\n".join([*said, "TL;DR:"])),
        texts,
        (choice, 1 - choice),
        judge=name_of(row.get("worker", "human"), "worker"),
        why="" if sure is None else f"confidence {finite(sure, 'extra.confidence'):g}",
    )


# --- trees ---


def _tree(row: Row, name: str) -> Iterator[Made | Flaw]:
    """Open-Assistant (Köpf et al. 2023): every set of replies that people ranked, 0 the best."""
    waiting: list[tuple[Any, Conversation]] = [(row["prompt"], ())]
    while waiting:
        node, before = waiting.pop()
        if not isinstance(node, dict) or not isinstance(node.get("replies", []), list):
            raise Flaw("wrong type", "a message of a tree needs 'role', 'text' and 'replies'")
        talk = (*before, message({"role": node.get("role"), "content": node.get("text")}, "text"))
        replies = [one for one in node.get("replies", []) if isinstance(one, dict)]
        human = [one for one in replies if not one.get("synthetic") and not one.get("deleted")]
        if len(human) < len(replies):
            yield Flaw("synthetic or deleted reply", f"under message {node.get('message_id')}")
        waiting += [(one, talk) for one in reversed(human)]
        judged = [one for one in human if one.get("rank") is not None]
        if len(human) > 1 and len(judged) < 2:
            yield Flaw("replies nobody ranked", f"under message {node.get('message_id')}")
        if len(judged) >= 2:
            yield _replies(row, str(node.get("message_id") or name), talk, judged)


def _replies(row: Row, name: str, talk: Conversation, judged: list[Any]) -> Made | Flaw:
    try:
        texts = tuple(filled(one.get("text"), "text") for one in judged)
        ranks = tuple(whole(one["rank"], "rank") for one in judged)
        return compared({}, words(name, "message_id"), talk, texts, ranks)
    except Flaw as flaw:
        return flaw


# --- annotation tools ---


def _argilla(row: Row, name: str) -> Iterator[Made | Flaw]:
    """Argilla's records: `fields`, and `responses` of each user to each question."""
    fields, given = unpacked(row["fields"]), unpacked(row["responses"])
    if not isinstance(fields, dict) or not isinstance(given, dict):
        raise Flaw("wrong type", "keys 'fields' and 'responses' must hold objects")
    prompt = next((k for k in ("prompt", "instruction", "question") if k in fields), None)
    if prompt is None:
        raise Flaw("missing key", "key 'fields' has no 'prompt', 'instruction' or 'question'")
    asked = question(fields[prompt], f"fields.{prompt}")
    keys = [key for key in fields if key != prompt and isinstance(fields[key], str)]
    said = [one for many in given.values() for one in listed(many, "responses")]
    for i, one in enumerate(said, 1):
        try:
            if not isinstance(one, dict) or one.get("status", "submitted") != "submitted":
                raise Flaw("not submitted", f"response {i} is no submitted one")
            texts, ranks = _chosen(fields, keys, one.get("value"))
            judge = name_of(one.get("user_id") or "human", "user_id")
            yield compared({}, f"{name}#{i}", asked, texts, ranks, judge=judge)
        except Flaw as flaw:
            yield flaw


def _chosen(
    fields: dict[str, Any], keys: list[str], value: object
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """A ranking [{value, rank}], or the one field that was preferred."""
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        names = [str(one.get("value")).replace("-", "") for one in value]
        by_name = {key.replace("-", ""): key for key in keys}
        if len(names) < 2 or any(name not in by_name for name in names):
            raise Flaw("unknown winner", f"a ranking of {names}; the answers are {keys}")
        texts = tuple(filled(fields[by_name[name]], by_name[name]) for name in names)
        places = [whole(one.get("rank"), "rank") for one in value]
        return texts, ranked_by([-place for place in places])  # it counts from 1
    if not isinstance(value, str) or (value not in keys and value != "tie") or len(keys) < 2:
        raise Flaw("unknown winner", f"{str(value)[:60]!r} is none of the answers {keys}")
    texts = tuple(filled(fields[key], key) for key in keys)
    return texts, tuple(int(value not in (key, "tie")) for key in keys)


def _label_studio(row: Row, name: str) -> Iterator[Made | Flaw]:
    """Label Studio's tasks: `data`, and in each annotation the side that was selected."""
    data = unpacked(row["data"])
    if not isinstance(data, dict) or not {"prompt", "answer1", "answer2"} <= set(data):
        raise Flaw("missing key", "key 'data' needs 'prompt', 'answer1' and 'answer2'")
    prompt = question(data["prompt"], "data.prompt")
    told = tuple(answer(data[key], f"data.{key}", prompt) for key in ("answer1", "answer2"))
    for i, one in enumerate(listed(row["annotations"], "annotations"), 1):
        try:
            yield _annotation(f"{name}#{i}", prompt, told, one)
        except Flaw as flaw:
            yield flaw


def _annotation(name: str, prompt: Conversation, told: Any, one: object) -> Comparison:
    match one:
        case {"was_cancelled": True}:
            raise Flaw("not submitted", "an annotation was cancelled")
        case {"result": [{"value": {"selected": str(side)}}, *_], **rest} if (
            side.lower() in WINNERS
        ):
            by = rest.get("completed_by", "human")
            judge = name_of(by.get("id", "human") if isinstance(by, dict) else by, "completed_by")
            return compared({}, name, prompt, told, WINNERS[side.lower()], judge=judge)
    raise Flaw("unknown winner", "an annotation selects neither left nor right")


SHAPES = (
    Shape(
        "UltraFeedback",
        "comparisons",
        ("instruction", "completions"),
        _ultrafeedback,
        asks=ask_instruction,
    ),
    Shape(
        "distilabel generations with ratings",
        "comparisons",
        ("instruction", "generations", "ratings"),
        _generations,
        asks=ask_instruction,
    ),
    Shape(
        "HelpSteer3, each annotator's preference",
        "comparisons",
        ("context", "response1", "response2", "overall_preference"),
        _helpsteer3,
        asks=_context,
    ),
    Shape(
        "HelpSteer2 preferences",
        "comparisons",
        ("prompt", "response_1", "response_2", "preference_strength"),
        _helpsteer2,
        asks=ask_prompt,
    ),
    Shape(
        "HelpSteer ratings, answers to one prompt side by side",
        "comparisons",
        ("prompt", "response", "helpfulness"),
        _helpful,
        asks=ask_prompt,
    ),
    Shape(
        "solutions marked right or wrong",
        "comparisons",
        ("question",),
        _graded,
        lambda row: bool(_solutions(row)),
        asks=ask_instruction,
        placed=True,  # by the model that wrote it
    ),
    Shape("TL;DR summaries", "comparisons", ("info", "summaries", "choice"), _summaries),
    Shape(
        "Open-Assistant trees",
        "comparisons",
        ("message_tree_id", "prompt"),
        _tree,
        named=False,
        placed=True,  # by rank
    ),
    Shape("Argilla records", "comparisons", ("fields", "responses"), _argilla),
    Shape("Label Studio tasks", "comparisons", ("data", "annotations"), _label_studio),
)
