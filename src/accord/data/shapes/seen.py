"""Rows about pictures, as their sources publish them: LLaVA-RLHF, NLVR."""

from accord.data.pieces import (
    Flaw,
    Row,
    conversation,
    filled,
    listed,
    number,
    question,
    whole,
    words,
)
from accord.data.shapes.base import Shape, compared
from accord.records import Comparison, Fact, Message, Prompt, Text


def _llava_pair(row: Row, name: str) -> Comparison:
    """LLaVA-RLHF's (Sun et al. 2023): the better of two outputs by its number."""
    talk = question(listed(row["conversations"], "conversations"), "conversations")
    texts = tuple(_value(row[key], key) for key in ("output_1", "output_2"))
    best = whole(row["preference"], "preference")
    if best not in (1, 2):
        raise Flaw("wrong type", f"key 'preference' is {best}; it is 1 or 2")
    return compared(row, name, talk, texts, (0, 1) if best == 1 else (1, 0))


def _value(told: object, key: str) -> str:
    return filled(told.get("value") if isinstance(told, dict) else told, key)


TRUE = {2: "A", 3: "B", 4: "C", 5: "D", 6: "no", 7: "yes"}
"""LLaVA-RLHF's caption_type -> the right answer; 1: none is known"""


def _llava_prompt(row: Row, name: str) -> Prompt:
    """LLaVA-RLHF's prompts: the first turn, what is right, and what length costs."""
    talk = conversation(listed(row["conversations"], "conversations"), "conversations")
    kind = whole(row["caption_type"], "caption_type")
    if kind not in range(1, 8):
        raise Flaw("wrong type", f"key 'caption_type' is {kind}; it is 1 to 7")
    price = number(row, "length_bonus")
    return Prompt(talk[:1], name, TRUE.get(kind, ""), 1.0 if price is None else price)


SIZES = {10: "small", 20: "middling", 30: "big"}
BLUE = "#0099ff"
"""what NLVR calls that colour"""


def _nlvr(row: Row, name: str) -> Prompt:
    """NLVR's (Suhr et al. 2017): a sentence about a picture of three boxes, true or false; what is
    in the boxes becomes facts.
    """
    said = words(row["label"], "label").lower()
    if said not in ("true", "false"):
        raise Flaw("wrong type", f"key 'label' is {said!r}; it is true or false")
    boxes = listed(row["boxes"] if "boxes" in row else row["structured_rep"], "boxes")
    facts = [
        Fact(f"{_drawn(one)} in box {place}")
        for place, box in enumerate(boxes, 1)
        for one in listed(box, "boxes")
    ]
    text = Text(f"{words(row['sentence'], 'sentence')} Is that true?")
    return Prompt((Message("user", (text, *facts)),), name, "yes" if said == "true" else "no")


def _drawn(one: object) -> str:
    if not isinstance(one, dict):
        raise Flaw(
            "wrong type", "key 'boxes' holds lists of things, each with type, color and size"
        )
    colour = words(one.get("color"), "color").lower().replace(BLUE, "blue")
    size = SIZES.get(whole(one.get("size"), "size"), "")
    return f"a {size} {colour} {words(one.get('type'), 'type')}".replace("  ", " ")


SHAPES = (
    Shape(
        "LLaVA-RLHF preferences",
        "comparisons",
        ("conversations", "output_1", "output_2", "preference"),
        _llava_pair,
    ),
    Shape("LLaVA-RLHF prompts", "prompts", ("conversations", "caption_type"), _llava_prompt),
    *(
        Shape("NLVR statements", "prompts", ("sentence", "label", key), _nlvr)
        for key in ("boxes", "structured_rep")
    ),
)
