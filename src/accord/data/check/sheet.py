"""A file's rows as the checks see them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from accord.data.check.finding import EXAMPLES
from accord.data.check.reading import Kind
from accord.data.check.texts import length, plain
from accord.data.tally import Tally
from accord.records import Conversation, Ids, Message

PromptKey = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Line:
    """One row: a prompt with its answers, and the record that it is."""

    id: str
    prompt: Conversation
    answers: tuple[str, ...]
    record: Any
    ids: tuple[Ids, tuple[Ids, ...]] | None = None
    """of prompt and answers, where there is a model"""

    @classmethod
    def of(cls, record: Any) -> "Line":
        """A record of any kind."""
        prompt = record.messages if hasattr(record, "messages") else record.prompt
        answers = getattr(record, "responses", None)
        if answers is None:
            answers = (record.response,) if hasattr(record, "response") else ()
        return cls(record.id, prompt, answers, record)

    def called(self) -> list[str]:
        """Its name, once for each answer (or once), with what that answer is among several."""
        ranks = getattr(self.record, "ranks", (0,))
        if len(ranks) < 2:
            return [self.id]
        if len(set(ranks)) == 1:
            return [f"{self.id}, tied" for _ in ranks]
        best, pair = min(ranks), len(ranks) == 2
        others = [
            "other" if pair else f"place {1 + sum(r < rank for r in ranks)}" for rank in ranks
        ]
        names = ["preferred" if rank == best else other for rank, other in zip(ranks, others)]
        return [f"{self.id}, {name}" for name in names]

    @property
    def asked(self) -> str:
        """The prompt without what the system says, which many rows share."""
        said = [m.text for m in self.prompt if m.role != "system"]
        return "\n".join(said or [m.text for m in self.prompt])

    @cached_property
    def key(self) -> PromptKey:
        """The same for prompts that differ in spacing or case alone; pictures are part of one."""
        return tuple((m.role, plain(m.text), *_pictures(m)) for m in self.prompt)

    @cached_property
    def pictures(self) -> tuple[str, ...]:
        """What the prompt shows, in order."""
        return tuple(path for m in self.prompt for path in _pictures(m))

    @cached_property
    def sizes(self) -> tuple[int, tuple[int, ...]]:
        """Lengths of prompt and answers: tokens with an answer's end, or words without a model."""
        if self.ids is not None:
            return len(self.ids[0]), tuple(map(len, self.ids[1]))
        return sum(length(m.text) for m in self.prompt), tuple(map(length, self.answers))

    @property
    def size(self) -> int:
        """Of the prompt and its longest answer: what must fit."""
        prompt, answers = self.sizes
        return prompt + max(answers, default=0)


def _pictures(message: Message) -> list[str]:
    return [image.path for image in message.images]


@dataclass(frozen=True)
class Sheet:
    """All of it."""

    lines: Sequence[Line]
    kind: Kind
    tally: Tally = field(default_factory=Tally)
    """of the reader, and of what cannot be spelled"""
    sorted: bool = False
    """whether the place of an answer is that of its shape, as `chosen` is, and tells of no judge"""
    examples: int = EXAMPLES
    """shown of each finding"""
    unit: str = "words"
    """what lengths are counted in: words, or tokens where there is a model"""
    limit: int | None = None
    """the most units a row may have"""
    controls: tuple[str, ...] = ()
    """the model's control tokens, as text"""
    ends: frozenset[int] = frozenset()
    """the ids that the model's configs call an end"""
    chat: bool = False
    """whether a chat template spells the rows, which strips and joins answers itself"""
    shape: str = ""
    """how the rows look, in a few words"""
    ignored: tuple[str, ...] = ()
    """keys of the first rows that nothing was made of"""

    @cached_property
    def answers(self) -> list[tuple[str, str]]:
        """(row, answer), one by one."""
        return [(line.id, text) for line in self.lines for text in line.answers]

    @cached_property
    def first_of(self) -> dict[PromptKey, Line]:
        """Every prompt once, spacing and case apart: the first row that has it."""
        first: dict[PromptKey, Line] = {}
        for line in self.lines:
            first.setdefault(line.key, line)
        return first

    @cached_property
    def useless(self) -> list[Line]:
        """Rows that are read and still cannot be trained on: they do not fit."""
        return [line for line in self.lines if self.limit and not self.fits(line)]

    def fits(self, line: Line) -> bool:
        """Whether a row, with an end where nothing is answered yet, is within the limit."""
        wanted = line.size if line.answers else line.size + 2
        return self.limit is None or wanted <= self.limit

    def cramped(self, line: Line) -> bool:
        """Whether the prompt alone leaves no room for one token and an end."""
        return self.limit is not None and line.sizes[0] + 2 > self.limit

    def pairs(self) -> Iterator[tuple[Line, int, int]]:
        """(row, better answer, worse answer) for every two answers of which one is preferred."""
        if self.kind == "comparisons":
            for line in self.lines:
                for better, worse in line.record.pairs():
                    yield line, better, worse
