"""What a model is asked under a constitution, word for word.

Each question is one user message and the words that its answer is opened with, so a pretrained
model reads one text (Bai et al. 2022, the forms of sections 3.1 and 4.1) and a chat model a turn.
"""

import re
from collections.abc import Callable, Sequence
from hashlib import sha256

from accord.data.constitution import Choice, Constitution, Principle, Question, Shot
from accord.records import Conversation, ask

TEMPLATE = "1"
"""of the forms below; part of every record that was made with them"""
OPTIONS = (" (A)", " (B)")
THINK, THEREFORE, ANSWER = "Let's think step by step:", "\n\nSo the answer is:", "The answer is:"
Put = tuple[Conversation, str]
"""the question, and what its answer is opened with"""


def dice(seed: int, *of: object) -> int:
    """A number within 31 bits for each (seed, of), whatever else is drawn."""
    told = "\x00".join(map(str, (seed, *of)))
    return int.from_bytes(sha256(told.encode()).digest()[:4], "little") >> 1


def dialogue(c: Constitution, prompt: Conversation, answer: str | None = None) -> str:
    """Who said what; a system message stands first, as it is."""
    names = {"user": f"{c.user}: ", "assistant": f"{c.assistant}: ", "system": ""}
    turns = [names[one.role] + one.text.strip() for one in prompt]
    said = [] if answer is None else [f"{c.assistant}: {answer.strip()}"]
    return "\n\n".join([*turns, *said])


def to_criticise(c: Constitution, by: Principle, prompt: Conversation, answer: str) -> Put:
    """A critique of an answer."""
    told = f"{dialogue(c, prompt, answer)}\n\nCritiqueRequest: {by.critique}\n\n"
    return ask(_shown(c, _criticised) + told), "Critique:"


def to_revise(
    c: Constitution, by: Principle, prompt: Conversation, answer: str, critique: str | None
) -> Put:
    """A revision of an answer, after its critique; None: without one."""
    told = dialogue(c, prompt, answer)
    if critique is not None:
        told += f"\n\nCritiqueRequest: {by.critique}\n\nCritique: {critique.strip()}"
    shots = _shown(c, _criticised if critique is not None else _revised)
    return ask(f"{shots}{told}\n\nRevisionRequest: {by.revision}\n\n"), "Revision:"


def to_choose(
    c: Constitution,
    by: Question,
    prompt: Conversation,
    answers: tuple[str, str],
    *,
    seed: int,
    think: bool = False,
) -> Put:
    """Which of two answers is better, in the order in which they are shown.

    The examples have their better answer in a place that the seed draws.
    """
    shots = [one for one in c.choices if one.why or not think]
    told = [_chosen(c, one, dice(seed, "shot", n) % 2, think) for n, one in enumerate(shots)]
    put = _options(c, by, dialogue(c, prompt), answers)
    return ask("\n\n".join([*told, put]) + "\n\n"), THINK if think else ANSWER


def concluded(put: Put, thought: str) -> Put:
    """The same question after a chain of thought: what is left to say is the option."""
    return put[0], f"{THINK} {thought.strip()}{THEREFORE}"


def until(c: Constitution, text: str) -> tuple[str, bool]:
    """(What was said, whether more followed): a base model goes on with the next turn or request,
    which is not part of its answer.
    """
    text = text.encode("utf-8", "replace").decode()  # a server may send half of a character
    marks = (c.user, c.assistant, "CritiqueRequest", "Critique", "RevisionRequest", "Revision")
    found = re.search(r"\n\s*(?:" + "|".join(map(re.escape, marks)) + r"):", text)
    return (text[: found.start()], True) if found else (text, False)


def _shown(c: Constitution, as_: Callable[[Constitution, Shot], str]) -> str:
    return "".join(as_(c, shot) + "\n\n" for shot in c.shots)


def _criticised(c: Constitution, shot: Shot) -> str:
    asked = f"CritiqueRequest: {shot.principle.critique}\n\nCritique: {shot.critique}"
    return _pair(c, shot, asked + "\n\n")


def _revised(c: Constitution, shot: Shot) -> str:
    return _pair(c, shot, "")


def _pair(c: Constitution, shot: Shot, between: str) -> str:
    revised = f"RevisionRequest: {shot.principle.revision}\n\nRevision: {shot.revision}"
    return f"{dialogue(c, ask(shot.prompt), shot.answer)}\n\n{between}{revised}"


def _chosen(c: Constitution, one: Choice, swap: int, think: bool) -> str:
    answers = (one.worse, one.better) if swap else (one.better, one.worse)
    better, worse = (OPTIONS[i].strip() for i in ((1, 0) if swap else (0, 1)))
    put = _options(c, one.question, dialogue(c, ask(one.prompt)), answers)
    if not think:
        return f"{put}\n\n{ANSWER} {better}"
    why = one.why.replace("{better}", better).replace("{worse}", worse)
    return f"{put}\n\n{THINK} {why}{THEREFORE} {better}"


def _options(c: Constitution, by: Question, talk: str, answers: Sequence[str]) -> str:
    told = (f"{option} {text.strip()}" for option, text in zip(OPTIONS, answers, strict=True))
    head = f"Consider what was said between {c.user} and {c.assistant}:"
    return "\n".join([head, talk, "", by.text, "Options:", *told])
