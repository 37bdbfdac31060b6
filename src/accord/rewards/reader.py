"""Rollouts as text, for judges that spell otherwise than the policy, or not at all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from accord.errors import BadData
from accord.records import Conversation, Ids, Prompt, Rollout, ask, facts
from accord.records.plain import messages
from accord.text.tokenizer import Speller


@dataclass(frozen=True, slots=True)
class Said:
    """What was asked and what was said to it."""

    prompt: str
    """the prompt as the policy read it, without control tokens"""
    talk: Conversation
    """the same, message by message"""
    answer: str
    """the words alone, without their end; a space in front is part of them"""
    ended: bool
    """it ended itself; else it was cut at the limit"""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation as JSON, without the answer: content is text, or where there is more,
        parts: pictures by their paths, and facts.
        """
        return messages(self.talk)


class Reader:
    """Reads a policy's rollouts back.

    Ids alone do not say who spoke where, so the reader is told the prompts it will meet.  One that
    it was not told is taken for a single user message, if that spells to the very same ids.  Facts
    are none of a policy's ids: BadData where two prompts have other ones, and are else the same
    (of one without an id, which is a pair's that a judge is checked by, the other's are read).
    """

    def __init__(self, speller: Speller, prompts: Iterable[Prompt] = ()):
        self.speller = speller
        given = [*prompts]
        spelled = speller.many([(prompt.messages, ()) for prompt in given])
        told: dict[Ids, Prompt] = {}
        for prompt, row in zip(given, spelled, strict=True):
            if isinstance(row, BadData):
                continue
            other = told.setdefault(row[0], prompt)
            before, now = facts(other.messages), facts(prompt.messages)
            if now and not before:
                told[row[0]] = prompt
            elif now and sorted(now) != sorted(before) and other.id and prompt.id:
                raise BadData(
                    f"prompts {other.id} and {prompt.id} are the same to the policy and have other "
                    "facts, so a judge could not know which to read: give both rows the same ones"
                )
        self._talks: dict[Ids, Conversation] = {ids: one.messages for ids, one in told.items()}

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Said]:
        """One text per rollout, in order."""
        return [
            Said(
                self.speller.decode(rollout.prompt_ids),
                self.talk(rollout.prompt_ids),
                self.speller.text(rollout),
                rollout.finish == "stop",
            )
            for rollout in rollouts
        ]

    def talk(self, ids: Ids) -> Conversation:
        """The conversation that a prompt's ids spell; BadData where nobody knows."""
        if ids not in self._talks:
            self._talks[ids] = self._alone(ids)
        return self._talks[ids]

    def whole(self, rollout: Rollout) -> str:
        """Prompt and answer with all control tokens but those that every text begins with."""
        head, ids = self.speller.head, (*rollout.prompt_ids, *rollout.response_ids)
        bare = ids[len(head) :] if ids[: len(head)] == head else ids
        return self.speller.decode(bare, special=True)

    @property
    def plain(self) -> bool:
        """Whether the policy reads one message as it stands, without a template around it."""
        try:
            return self.speller.render(ask("a")) == "a"
        except BadData:
            return False

    def _alone(self, ids: Ids) -> Conversation:
        talk = ask(self.speller.decode(ids))
        row = self.speller.many([(talk, ())])[0]
        if isinstance(row, BadData) or row[0] != ids:
            raise BadData(
                "the reward must know who said what in a prompt, and was not told this one: "
                f"{talk[0].text[:60]!r}; give its reader the prompts (Reader(speller, prompts))"
            )
        return talk
