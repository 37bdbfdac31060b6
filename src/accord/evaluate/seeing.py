"""Questions about pictures: how a model is asked, and answers that are there already."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.data.benchmark import distinct, objects
from accord.data.pictures import all_there
from accord.engine.draw import Sampling
from accord.engine.llm import LLM, Ask
from accord.errors import BadData
from accord.records import Image, Invalid, Message, Prompt, Text

GREEDY = Sampling(temperature=0.0)
Reply = str | Invalid


@dataclass(frozen=True, slots=True)
class Look:
    """One question about one picture."""

    id: str
    question: str
    image: str
    """the picture's file, below the folder of pictures"""
    where: str
    """file:line, for errors"""


def put(look: Look, images: Path) -> Prompt:
    """The question as a prompt: the picture first, as models that see are trained."""
    parts = (Image(str(images / look.image)), Text(look.question))
    return Prompt((Message("user", parts),), look.id)


def prompts(looks: Sequence[Look], images: Path) -> list[Prompt]:
    """All questions; BadData that tells of every picture that is missing, before any is asked."""
    all_there([(look.where, images / look.image) for look in looks])
    return [put(look, images) for look in looks]


def replies(llm: LLM, asked: Sequence[Prompt], longest: int) -> list[Reply]:
    """The likeliest answer to each; Invalid where there is none."""
    heard = llm.say([Ask(one.messages) for one in asked], longest=longest, how=GREEDY)
    return [one if isinstance(one, Invalid) else one.text for one in heard]


def ready(path: Path, looks: Sequence[Look]) -> list[Reply]:
    """Answers of a file, {"question_id": …, "text": …} a row, or in a benchmark's own form; one
    that is not in it is Invalid.
    """
    rows = objects(path)
    names = [row.text("question_id", "id", "index", "image_id") for row in rows]
    distinct(list(zip(names, (row.where for row in rows), strict=True)))
    texts = [row.text("text", "answer", "model_answer") for row in rows]
    given = dict(zip(names, texts, strict=True))
    if not any(text.strip() for text in texts):
        raise BadData(f"{path}: every answer is empty; is it the benchmark's unfilled template?")
    known = {look.id for look in looks}
    for name, row in zip(names, rows, strict=True):
        if name not in known:
            raise row.bad(f"it answers question {name!r}, which is not asked")
    return [given[look.id] if look.id in given else Invalid("no answer") for look in looks]
