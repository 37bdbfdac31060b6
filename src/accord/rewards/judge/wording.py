"""What a judge is asked, in words of our own.  A change of a word is a new version."""

import json
from typing import Any

from accord.records import Conversation, Message, Text, ask, facts

VERSION = "judge-1"
PAIR = (" (A)", " (B)")
YES = (" yes", " no")
CONCLUDE = "\n\nSo the answer is"

_TWO = """\
Here is a request, and two answers to it by different writers. Decide which answer is better.
What counts: {counts}.

=== Request ===
{prompt}
{reference}
=== Answer A ===
{first}

=== Answer B ===
{second}

=== Your task ===
"""
_ONE = """\
Here is a request, and an answer to it.

=== Request ===
{prompt}

=== Answer ===
{answer}

=== Your task ===
"""
_REFERENCE = """
=== An answer known to be right ===
{reference}
"""
_HOW = {
    ("pair", "odds"): "Say which answer is better.\nOptions:\n (A) Answer A\n (B) Answer B",
    ("pair", "text"): (
        "Say in a few sentences what tells them apart. Then write your verdict on a last line: "
        "[[A]] if answer A is better, [[B]] if answer B is better, [[C]] if neither is."
    ),
    ("pair", "json"): (
        "Reply with one JSON object and nothing else: "
        '{{"why": "what tells them apart", "better": "A", "B" or "tie"}}'
    ),
    ("grade", "odds"): "Grade the answer from 1 (bad) to {most} (as good as can be).\n{what}",
    ("grade", "text"): (
        "Grade the answer from 1 (bad) to {most} (as good as can be).\n{what}\n"
        "Say in a few sentences why. Then write the grade on a last line, as in [[3]]."
    ),
    ("grade", "json"): (
        "Grade the answer from 1 (bad) to {most} (as good as can be).\n{what}\n"
        'Reply with one JSON object and nothing else: {{"why": "…", "grade": 3}}'
    ),
    ("yes", "odds"): "Answer yes or no: {asks}",
    ("yes", "text"): (
        "{asks}\nSay in a sentence why. Then write [[yes]] or [[no]] on a last line."
    ),
    ("yes", "json"): (
        "{asks}\nReply with one JSON object and nothing else: "
        '{{"why": "…", "answer": "yes" or "no"}}'
    ),
}
_VERDICT: dict[str, dict[str, Any]] = {
    "pair": {"better": {"type": "string", "enum": ["A", "B", "tie"]}},
    "yes": {"answer": {"type": "string", "enum": ["yes", "no"]}},
}
_SEEN = """\
=== What is known to be so ===
{facts}

"""
OPENED = {"pair": "The better answer is", "grade": "Grade:", "yes": "Answer:"}
THINK = "Let us compare before we decide."


def two(
    prompt: str, first: str, second: str, counts: str, verdict: str, reference: str = ""
) -> Conversation:
    """Which of two answers is better."""
    right = _REFERENCE.format(reference=reference) if reference else ""
    told = _TWO.format(counts=counts, prompt=prompt, first=first, second=second, reference=right)
    return ask(told + _HOW["pair", verdict].format())


def grade(prompt: str, answer: str, counts: str, verdict: str, most: int) -> Conversation:
    """How good one answer is."""
    how = _HOW["grade", verdict].format(most=most, what=f"What counts: {counts}.")
    return ask(_ONE.format(prompt=prompt, answer=answer) + how)


def form(kind: str, how: str, most: int = 0) -> str:
    """What a server is to hold a verdict to, as response_format has it; "" for nothing.

    Why comes first, as it is asked for in words: what is written first decides what follows.
    """
    if how == "none":
        return ""
    told: dict[str, Any] = {"type": how}
    if how == "json_schema":
        grades = {"grade": {"type": "integer", "enum": [*range(1, most + 1)]}}
        keys = {"why": {"type": "string"}} | (grades if kind == "grade" else _VERDICT[kind])
        shape = {
            "type": "object",
            "properties": keys,
            "required": [*keys],
            "additionalProperties": False,
        }
        told[how] = {"name": "verdict", "strict": True, "schema": shape}
    return json.dumps(told)


def yes(prompt: str, answer: str, asks: str, verdict: str) -> Conversation:
    """Whether something is so of one answer."""
    how = _HOW["yes", verdict].format(asks=asks)
    return ask(_ONE.format(prompt=prompt, answer=answer) + how)


def seen(asked: Conversation, talk: Conversation) -> Conversation:
    """The question with what the prompt holds beside its words: pictures, and facts for judges."""
    shown = [image for message in talk for image in message.images]
    known = "\n".join(f"- {fact}" for fact in facts(talk))
    if not shown and not known:
        return asked
    told = (_SEEN.format(facts=known) if known else "") + asked[0].text
    return (Message(asked[0].role, (*shown, Text(told))), *asked[1:])
