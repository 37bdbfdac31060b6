"""What a check can find, how bad it is, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from accord.data.check.texts import excerpt

Severity = Literal["error", "warning", "note"]
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Worry:
    """Something to look for."""

    severity: Severity
    """error: training or measuring goes wrong; warning: probably; note: worth knowing"""
    title: str
    todo: str


@dataclass(frozen=True, slots=True)
class Example:
    """Where something was found, and how it reads."""

    id: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found."""

    key: str
    count: int
    of: int
    unit: str
    """what is counted: rows, answers, prompts, …"""
    examples: tuple[Example, ...] = ()
    detail: str = ""
    """the numbers that a count does not hold"""
    severity: Severity = "note"
    title: str = ""
    todo: str = ""


WORRIES: dict[str, Worry] = {
    "dropped": Worry(
        "warning",
        "Rows that cannot be used",
        "Mend them at the source, or take them out.",
    ),
    "unread-labels": Worry(
        "warning",
        "Keys that look like answers or labels, and are not read",
        "If they are, say what they are called, as columns.chosen=NAME, or rename them: what is "
        "listed here is left out.",
    ),
    "no-picture": Worry(
        "error",
        "Rows whose picture is not there",
        "Say where they lie, images=FOLDER, or put the files where the rows say: a relative path "
        "counts from that folder, else from the rows' file. Training drops such rows.",
    ),
    "end-not-trained": Worry(
        "error",
        "Answers end with a token that the model's configs do not call an end",
        "A server that goes by them would not stop. Add the id to eos_token_id in "
        "generation_config.json, or use the template that the model was made for.",
    ),
    "mostly-ties": Worry(
        "warning",
        "Most judgements are ties",
        "A tie teaches little. Let people judge answers that differ more, or sharpen the question.",
    ),
    "context-unknown": Worry(
        "note",
        "The model's config states no context length",
        "Say longest=… so that rows that are too long are found.",
    ),
    "too-long": Worry(
        "warning",
        "Longer than the model may read",
        "Training drops them and never cuts them. Shorten or split them, or train a model with a "
        "longer context.",
    ),
    "no-room": Worry(
        "error",
        "The prompt alone leaves no room for an answer",
        "Shorten these prompts; no setting can save them with this model.",
    ),
    "repeated-rows": Worry(
        "warning",
        "The same row again",
        "Keep one of each, else it counts several times. Several judges of one pair are no "
        "repetition: give each a name (judge).",
    ),
    "prompt-variants": Worry(
        "warning",
        "Prompts that differ only in spacing or case",
        "Write them alike. A split by prompt takes them for different ones, and each side may get "
        "one.",
    ),
    "near-prompts": Worry(
        "note",
        "Prompts nearly equal to an earlier one",
        "Drop them, or split by hand so that one group stays on one side.",
    ),
    "leak-exact": Worry(
        "error",
        "Test prompts that are in this file too",
        "Take them out of this file: a model is not to be measured on what it has seen.",
    ),
    "leak-near": Worry(
        "warning",
        "Test prompts with a near twin in this file",
        "Read the examples. Take out what is the same question in other words.",
    ),
    "same-answers": Worry(
        "warning",
        "Preferred answers that equal the other but for spacing or case",
        "They teach only spacing. Drop these pairs unless that is what you want to teach.",
    ),
    "ending-space": Worry(
        "warning",
        "Answers that end with white space",
        "Strip them: the model learns to write it before it stops.",
    ),
    "leading-space": Worry(
        "warning",
        "Answers that begin unlike the others: with white space, or without",
        "Make them alike. For plain prompts the space belongs to the answer (' a time'); with a "
        "chat template it does not.",
    ),
    "control-text": Worry(
        "warning",
        "Control tokens written out as text",
        "Remove them. Accord spells them as plain text, other tools may take them for the real "
        "thing.",
    ),
    "wordless": Worry(
        "warning",
        "Answers without a letter or a digit",
        "Drop those that are no answers.",
    ),
    "mojibake": Worry(
        "warning",
        "Text that was decoded wrongly",
        "Read the source again as what it is (mostly UTF-8), and drop what cannot be mended.",
    ),
    "invisible": Worry(
        "note",
        "Control or invisible characters",
        "Remove them unless they are meant: they cost tokens and nobody sees them.",
    ),
    "html": Worry(
        "note",
        "Remnants of HTML",
        "Take out tags and entities (html.unescape), unless the model is to write HTML.",
    ),
    "repeated-answers": Worry(
        "warning",
        "The same answer to many prompts",
        "Boilerplate is learned first. Drop all but a few of each.",
    ),
    "same-beginning": Worry(
        "note",
        "Answers that begin with the same words",
        "If the model should not always begin so, rewrite some, or drop the words.",
    ),
    "refusals": Worry(
        "note",
        "Answers that look like refusals",
        "Some are right. Read them: a model that sees many learns to refuse what it could do.",
    ),
    "position-bias": Worry(
        "warning",
        "The place of an answer goes with being preferred",
        "Show answers in random order, and ask some pairs in both orders.",
    ),
    "length-bias": Worry(
        "warning",
        "Longer answers are preferred",
        "A reward model will pay for length. Balance the pairs, or watch length while training.",
    ),
    "shortness-bias": Worry(
        "note",
        "Shorter answers are preferred",
        "A reward model will pay for shortness. Watch length while training.",
    ),
    "contradictions": Worry(
        "warning",
        "The same two answers, judged both ways",
        "Several judges may differ: merge their votes into one soft label (p_first). One judge "
        "who differs from themself was guessing.",
    ),
    "low-agreement": Worry(
        "warning",
        "Judges hardly agree beyond chance",
        "Sharpen the guidelines, and read where judges differ, before anything is trained.",
    ),
    "odd-judges": Worry(
        "warning",
        "Judges who agree with the others less than is usual",
        "Read their judgements; leave them out if they were guessing.",
    ),
    "cycles": Worry(
        "note",
        "Preferences that go in a circle",
        "No score can satisfy a circle: these answers are about equally good, or judged by "
        "different measures.",
    ),
}


def finding(
    key: str,
    hits: Iterable[tuple[str, str]],
    of: int,
    unit: str,
    *,
    detail: str = "",
    severity: Severity | None = None,
    examples: int = EXAMPLES,
    count: int | None = None,
) -> list[Finding]:
    """One finding of all hits, (row, text) each; none where there are none."""
    hits = list(hits)
    worry = WORRIES[key]
    if not hits and not count:
        return []
    shown = tuple(Example(id, excerpt(text)) for id, text in hits[:examples])
    return [
        Finding(
            key,
            len(hits) if count is None else count,
            of,
            unit,
            shown,
            detail,
            severity or worry.severity,
            worry.title,
            worry.todo,
        )
    ]
