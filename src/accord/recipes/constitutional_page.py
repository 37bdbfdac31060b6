"""The revisions of a run as a page: numbers by round, and the first answers with their rounds."""

from collections.abc import Mapping, Sequence
from typing import Any

from accord.evaluate.textspage import Page, Part
from accord.evaluate.words import percent

SHOWN = 20
"""prompts whose rounds are shown"""


def rounds_page(
    name: str, numbers: Mapping[str, float], traces: Sequence[Mapping[str, Any]]
) -> Page:
    """`traces` are the lines of rounds.jsonl."""
    last = max((int(key.split("/")[1]) for key in numbers if key.startswith("round/")), default=0)
    rows = [("0: as answered", "", "", f"{numbers['round/0/words']:.1f}")]
    for n in range(1, last + 1):
        told = {key: numbers[f"round/{n}/{key}"] for key in ("changed", "failed", "words")}
        changed, failed = percent(told["changed"]), percent(told["failed"])
        rows.append((str(n), changed, failed, f"{told['words']:.1f}"))
    return Page(
        "revisions",
        f"Revised under {name}",
        f"{len(traces)} prompts, {int(numbers['demonstrations'])} demonstrations. The rounds of "
        f"the first {min(SHOWN, len(traces))} prompts, as they were written.",
        [_part(one) for one in traces[:SHOWN]],
        columns=("round", "changed something", "failed", "words"),
        rows=rows,
    )


def _part(one: Mapping[str, Any]) -> Part:
    texts = [("Asked", _words(one["prompt"])), ("Answered", one["answer"])]
    for told in one["rounds"]:
        head = f"Round {told['round']}, principle {told['principle']}"
        if told["critique"]:
            texts.append((f"{head}: critique", told["critique"]))
        failed = f"(none: {told['failed']})"
        texts.append((f"{head}: revision", failed if told["text"] is None else told["text"]))
    return Part(f"Prompt {one['id']}", texts)


def _words(prompt: Any) -> str:
    """A prompt as it is written down: its text, or its messages."""
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(f"{one['role']}: {one['content']}" for one in prompt)
