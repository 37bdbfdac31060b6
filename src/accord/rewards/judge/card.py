"""A judge as a file: who is asked, what counts, and how its verdict is read.

    llm: http://localhost:8000/v1#qwen
    counts: The better answer is true, says no more than it knows, and is kind.
    verdict: json

A folder, a hub id or an address alone is a judge too, with all defaults.
"""

from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Literal

from pydantic import Field

from accord.config import Settings, digest, plain, read
from accord.config.limits import Count
from accord.engine.calls import Calls
from accord.errors import BadSettings
from accord.rewards.asking import WEB, Asked, open_llm
from accord.rewards.judge.wording import VERSION

HELPFUL = (
    "the better answer does what was asked, is true and to the point, and leaves nothing important "
    "out; length, tone and layout count for nothing by themselves"
)
SUFFIXES = (".yaml", ".yml")


class Judging(Settings):
    """What a judge is asked, and how its verdict is read."""

    llm: str
    """who judges: a folder, a GGUF file, a hub id, or a server (http://host/v1#NAME)"""
    counts: str = HELPFUL
    """what counts, as one would tell a person"""
    verdict: Literal["odds", "text", "json"] = "odds"
    """odds: how likely the model finds each option, a soft label; text: a mark such as [[A]] in
    what it writes; json: an object {"why": …, "better": …}"""
    response_format: Literal["none", "json_object", "json_schema"] = "none"
    """json: what a server is to hold the answer to, beside asking for it in words: any JSON object,
    or one with just these keys. Servers differ in what they take; none: words alone"""
    think: bool = False
    """odds: a chain of thought is written first; text and json always say why"""
    n: Count = 1
    """verdicts that are averaged, each with dice of its own: with temperature above 0"""
    temperature: float = Field(default=0.0, ge=0)
    """of what is written"""
    longest: Count = 256
    """the most tokens that are written"""
    most: int = Field(default=5, ge=2, le=100)
    """the best grade of one answer; the worst is 1"""
    criteria: tuple[str, ...] = ()
    """of one answer, in place of a grade: questions whose answer is yes or no, each yes counting 1,
    or what stands before it: -0.5*Is it rude?"""
    seed: int = 0
    """of the dice"""
    asked: Asked = field(default_factory=Asked)
    """how the model is spoken to, and what that may cost"""

    @property
    def name(self) -> str:
        """All that decides a verdict, beside the model."""
        told = {k: v for k, v in plain(self).items() if k not in ("llm", "asked")}
        if self.response_format == "none":  # as verdicts were named before there was such a setting
            del told["response_format"]
        return f"{VERSION} {digest(told)[:12]}"

    def fits(self) -> "Judging":
        """BadSettings where settings contradict each other."""
        if self.n > 1 and self.temperature == 0 and (self.verdict != "odds" or self.think):
            raise BadSettings(
                f"n={self.n} verdicts at temperature 0 are one verdict {self.n} times: n=1, or "
                "temperature=1"
            )
        if self.n > 1 and self.verdict == "odds" and not self.think:
            raise BadSettings("verdict=odds without think has no dice: n=1")
        if self.verdict == "odds" and self.most > 9 and not self.criteria:
            raise BadSettings(
                f"most={self.most}: verdict=odds tells grades apart by their first sign: at most 9"
            )
        self._formed()
        if self.think and self.verdict != "odds":
            raise BadSettings(f"verdict={self.verdict} says why by itself: leave think out")
        return self

    def _formed(self) -> None:
        """BadSettings where nobody could hold the answer to the form that is asked for."""
        form = f"response_format={self.response_format}"
        if self.response_format == "none":
            return
        if self.verdict != "json":
            raise BadSettings(f"{form} is of verdict=json, and this is verdict={self.verdict}")
        if not self.llm.startswith(WEB) or self.asked.speaks != "chat":
            raise BadSettings(
                f"{form} is sent to a server that speaks chat; with a folder, or "
                "speaks=completions, leave it out"
            )


def judging(word: str) -> Judging:
    """What a word names: a YAML file, or a model by itself."""
    if word.endswith(SUFFIXES):
        path = Path(word).expanduser()
        if not path.is_file():
            raise BadSettings(f"{word}: there is no such judge card; docs/judges.md shows one")
        return read(Judging, path).fits()
    return Judging(llm=word)


def listened(
    card: Judging, keep: Path | None, tell: Callable[[str], None] = lambda _: None
) -> Calls:
    """The model of a card; what it says is kept in `keep/judge-….jsonl`."""
    file = keep / f"judge-{digest(card.llm)[:8]}.jsonl" if keep else None
    return open_llm(card.llm, file, card.asked, tell)
