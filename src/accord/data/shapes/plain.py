"""Rows as Accord writes them, as TRL trains on them, and as most instruction sets come."""

from collections.abc import Iterator
from typing import Any

from accord.data.pieces import (
    TURN,
    Flaw,
    Row,
    answer,
    conversation,
    filled,
    last,
    listed,
    number,
    question,
    turns,
    under,
    unpacked,
    whole,
    words,
    yes,
)
from accord.data.shapes.base import (
    Kind,
    Shape,
    ask_prompt,
    by_score,
    compared,
    soft_label,
    truth,
)
from accord.records import (
    Comparison,
    Conversation,
    Demonstration,
    Image,
    Message,
    Prompt,
    Rating,
    Text,
    ask,
)

# --- prompts and demonstrations ---


def _asked_in(row: Row, name: str) -> Prompt:
    return Prompt(question(row["messages"], "messages"), name)


def _demonstration(row: Row, name: str) -> Demonstration:
    key = "response" if "response" in row else "completion"
    prompt = question(row["prompt"], "prompt")
    return Demonstration(prompt, answer(row[key], key, prompt), _author(row), name)


def _messages(row: Row, name: str) -> Demonstration:
    return _dialogue(conversation(row["messages"], "messages"), "messages", row, name)


def _sharegpt(row: Row, name: str) -> Demonstration:
    talk = conversation(listed(row["conversations"], "conversations"), "conversations")
    return _dialogue(under(row.get("system"), "system", talk), "conversations", row, name)


def _dialogue(talk: Conversation, key: str, row: Row, name: str) -> Demonstration:
    if row.get("tools") not in (None, "", [], "[]"):
        raise Flaw("tool calls", "key 'tools' offers tools, which a record cannot hold")
    prompt, response = last(talk, key)
    if not prompt:
        raise Flaw("no prompt", f"key {key!r} holds the answer alone")
    return Demonstration(prompt, response, _author(row), name)


def _author(row: Row) -> str:
    return words(row.get("author") or "human", "author")


def _waits(row: Row) -> bool:
    """Whether the messages end with somebody who is not the assistant."""
    told = unpacked(row["messages"])
    if not isinstance(told, list) or not told or not isinstance(told[-1], dict):
        return isinstance(told, str)
    return told[-1].get("role", told[-1].get("from")) in ("user", "human", "prompter", "system")


# --- instructions: alpaca and its kin ---


def instructed(row: Row) -> Conversation:
    """The prompt of a row with instruction, input, system and history, as far as it has them."""
    key = next(k for k in ("instruction", "question", "query", "input") if k in row)
    asked = words(row[key], key)
    if key != "input" and row.get("input", "") != "":
        asked += "\n\n" + words(row["input"], "input")
    if not asked.strip():
        raise Flaw("empty prompt", f"key {key!r} is empty")
    before: list[Message] = []
    for turn in listed(row.get("history", []) or [], "history"):
        if not isinstance(turn, list) or len(turn) != 2:
            raise Flaw("wrong type", "key 'history' must hold pairs of question and answer")
        before.append(Message.of("user", words(turn[0], "history")))
        before.append(Message.of("assistant", words(turn[1], "history")))
    return under(row.get("system"), "system", (*before, *ask(asked)))


def _instruction(row: Row, name: str) -> Demonstration:
    key = next(k for k in ("output", "response", "answer") if k in row)
    return Demonstration(instructed(row), filled(row[key], key), _author(row), name)


def ask_instruction(row: Row, name: str) -> Prompt:
    """The prompt of an instruction alone."""
    return Prompt(instructed(row), name, truth(row))


def _seed(row: Row, name: str) -> list[Demonstration]:
    """Self-instruct (Wang et al. 2022): one instruction, and inputs with their outputs."""
    told = [one for one in listed(row["instances"], "instances") if isinstance(one, dict)]
    if not told:
        raise Flaw("no answer", "key 'instances' holds nothing")
    return [
        _instruction(
            {"instruction": row["instruction"], "output": "", **one},
            name if len(told) == 1 else f"{name}#{i}",
        )
        for i, one in enumerate(told)
    ]


def _pictured(row: Row, name: str) -> Prompt:
    image = next(key for key in ("image", "image_src") if key in row)
    text = next(key for key in ("question", "text") if key in row)
    parts = (Image(words(row[image], image)), Text(words(row[text], text)))
    return Prompt((Message("user", parts),), name)


def _first_turn(row: Row, name: str) -> Iterator[Prompt | Flaw]:
    told = listed(row["turns"], "turns")
    yield Prompt(ask(filled(told[0] if told else "", "turns[0]")), name)
    if len(told) > 1:
        yield Flaw("later turns", "they follow on an answer that is not there yet")


# --- comparisons ---


def _ranked(row: Row, name: str) -> Comparison:
    prompt = question(row["prompt"], "prompt")
    told = listed(row["responses"], "responses")
    if len(told) < 2:
        raise Flaw("wrong type", "key 'responses' must be a list of two answers or more")
    responses = tuple(answer(one, f"responses[{i}]", prompt) for i, one in enumerate(told))
    ranks = unpacked(row.get("ranks"))
    if ranks in (None, ""):
        p = soft_label(row, len(responses))
        ranks = [0, 0] if p == 0.5 else [0, 1] if p is not None and p > 0.5 else [1, 0]
    if not isinstance(ranks, list):
        raise Flaw("wrong type", "key 'ranks' must be a list of whole numbers, 0 for the best")
    places = tuple(whole(place, "ranks") for place in ranks)
    if len(places) != len(responses):
        raise Flaw("wrong type", f"key 'ranks' has {len(places)} for {len(responses)} responses")
    return compared(row, name, prompt, responses, places)


SCORES = (("score_chosen", "score_rejected"), ("chosen_rating", "rejected_rating"))


def paired(row: Row, name: str, prompt: Conversation, chosen: str | None = None) -> Comparison:
    """chosen and rejected, with their scores where the row has them (equal scores are a tie)."""
    first = answer(row["chosen"], "chosen", prompt) if chosen is None else chosen
    responses = (first, answer(row["rejected"], "rejected", prompt))
    own = number(row, "strength", "margin")
    if own is not None and own < 0:
        raise Flaw("label contradicts itself", f"the margin is {own:g}: 'rejected' would be better")
    for good, bad in SCORES:
        scores = number(row, good), number(row, bad)
        if scores[0] is not None and scores[1] is not None:
            ranks, strength = by_score(scores[0], scores[1])
            if ranks == (1, 0):
                raise Flaw("label contradicts itself", f"{good} is below {bad}")
            strength = strength if own is None else own
            return compared(row, name, prompt, responses, ranks, strength=strength)
    return compared(row, name, prompt, responses, (0, 1))


def _pair(row: Row, name: str) -> Comparison:
    return paired(row, name, question(row["prompt"], "prompt"))


def _instructed_pair(row: Row, name: str) -> Comparison:
    return paired(row, name, instructed(row))


def _sharegpt_pair(row: Row, name: str) -> Comparison:
    talk = question(listed(row["conversations"], "conversations"), "conversations")
    return paired(row, name, under(row.get("system"), "system", talk))


def _whole_pair(row: Row, name: str) -> Comparison:
    """Two whole conversations that differ in the last turn alone."""
    first = conversation(row["chosen"], "chosen")
    second = conversation(row["rejected"], "rejected")
    if first[:-1] != second[:-1] or not first[:-1]:
        raise Flaw("prompts differ", "'chosen' and 'rejected' do not answer the same prompt")
    last(second, "rejected")
    return paired(row, name, first[:-1], last(first, "chosen")[1])


def _transcripts(row: Row, name: str) -> Comparison:
    """Of hh-rlhf (Bai et al. 2022): split where the assistant speaks last in `chosen`."""
    chosen, rejected = words(row["chosen"], "chosen"), words(row["rejected"], "rejected")
    before, mark, _ = chosen.rpartition("\n\nAssistant:")
    if not mark:
        raise Flaw("not a transcript", "key 'chosen' has neither a prompt nor '\\n\\nAssistant:'")
    if not rejected.startswith(before + mark):
        raise Flaw("prompts differ", "'rejected' does not begin with the prompt of 'chosen'")
    answers = [text[len(before + mark) :] for text in (chosen, rejected)]
    for said, key in zip(answers, ("chosen", "rejected"), strict=True):
        filled(said, key)
        if TURN.search(said):
            raise Flaw("turns do not alternate", f"key {key!r}: one side speaks twice in a row")
    prompt = turns(before, "chosen")
    if prompt[-1].role != "user":
        raise Flaw("turns do not alternate", "key 'chosen': the assistant speaks twice in a row")
    return compared(row, name, prompt, tuple(said.strip() for said in answers), (0, 1))


def _are_texts(row: Row) -> bool:
    pair = (row["chosen"], row["rejected"])
    return all(isinstance(one, str) and isinstance(unpacked(one), str) for one in pair)


# --- ratings ---


def _rating(row: Row, name: str) -> Rating:
    response = "response" if "response" in row else "completion"
    good = "good" if "good" in row else "label"
    prompt = question(row["prompt"], "prompt")
    told = (answer(row[response], response, prompt), yes(row[good], good))
    judge, why = words(row.get("judge") or "human", "judge"), words(row.get("why", ""), "why")
    return Rating(prompt, *told, judge=judge, why=why, id=name)


def _tagged(row: Row, name: str) -> Rating:
    good = yes(row["kto_tag"], "kto_tag")
    return Rating(instructed(row), filled(row["output"], "output"), good, id=name)


def _steps(row: Row, name: str) -> Rating:
    raise Flaw("steps, not answers", "its labels rate the steps of one answer, not whole answers")


# --- the tables, the most telling first ---


def _of(said: str, kind: Kind, keys: str, make: Any, asks: Any = ask_prompt) -> Shape:
    placed = "chosen" in keys.split()
    return Shape(said, kind, tuple(keys.split()), make, asks=asks, placed=placed)


COMPARISONS = (
    _of("Accord comparisons", "comparisons", "prompt responses ranks", _ranked),
    _of("Accord comparisons", "comparisons", "prompt responses p_first", _ranked),
    _of(
        "UltraFeedback, binarized",
        "comparisons",
        "prompt chosen rejected score_chosen score_rejected",
        _pair,
    ),
    _of(
        "distilabel preferences",
        "comparisons",
        "prompt chosen rejected chosen_rating rejected_rating",
        _pair,
    ),
    _of("TRL preference, explicit prompt", "comparisons", "prompt chosen rejected", _pair),
    _of(
        "ShareGPT preferences", "comparisons", "conversations chosen rejected", _sharegpt_pair, None
    ),
    *(
        _of(
            "instructions with chosen and rejected",
            "comparisons",
            f"{key} chosen rejected",
            _instructed_pair,
            ask_instruction,
        )
        for key in ("instruction", "question", "input")
    ),
    Shape(
        "hh-rlhf transcripts",
        "comparisons",
        ("chosen", "rejected"),
        _transcripts,
        _are_texts,
        placed=True,
    ),
    _of("TRL preference, implicit prompt", "comparisons", "chosen rejected", _whole_pair, None),
)
RATINGS = (
    _of("Accord ratings", "ratings", "prompt response good", _rating),
    _of("TRL unpaired", "ratings", "prompt completion label", _rating),
    _of("alpaca with kto_tag", "ratings", "instruction output kto_tag", _tagged, ask_instruction),
    _of("TRL stepwise", "ratings", "prompt completions labels", _steps),
)
DEMONSTRATIONS = (
    _of("prompt and response", "demonstrations", "prompt response", _demonstration),
    _of("TRL prompt-completion", "demonstrations", "prompt completion", _demonstration),
    _of("self-instruct seeds", "demonstrations", "instruction instances", _seed, None),
    *(
        _of("alpaca instructions", "demonstrations", keys, _instruction, ask_instruction)
        for keys in ("instruction output", "instruction response")
    ),
    _of(
        "questions and answers", "demonstrations", "question answer", _instruction, ask_instruction
    ),
    Shape("ShareGPT conversations", "demonstrations", ("conversations",), _sharegpt),
)
PROMPTS = (
    Shape("prompts", "prompts", ("prompt",), ask_prompt),
    Shape("messages that wait for an answer", "prompts", ("messages",), _asked_in, _waits),
    Shape("messages", "demonstrations", ("messages",), _messages),
    *(
        Shape("questions about pictures", "prompts", tuple(keys.split()), _pictured)
        for keys in ("image text question_id", "image_src question")
    ),
    Shape(
        "MT-Bench questions, their first turns", "prompts", ("question_id", "turns"), _first_turn
    ),
)
