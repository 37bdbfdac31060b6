"""Small frozen records: what people, judges and policies produce.  Standard library only."""

from accord.records.conversation import (
    Conversation,
    Fact,
    Ids,
    Image,
    Message,
    Prompt,
    Text,
    ask,
    facts,
    untold,
)
from accord.records.feedback import Comparison, Demonstration, Rating
from accord.records.rollout import Invalid, Rollout

__all__ = [
    "Comparison",
    "Conversation",
    "Demonstration",
    "Fact",
    "Ids",
    "Image",
    "Invalid",
    "Message",
    "Prompt",
    "Rating",
    "Rollout",
    "Text",
    "ask",
    "facts",
    "untold",
]
