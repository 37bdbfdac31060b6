"""A reward that can be checked: does an answer come to the right number?

Made for GSM8K (Cobbe et al. 2021), whose solutions end in `#### 72`; and for any file whose rows
say the right answer.  Numbers are compared as fractions, so 5, 5.0, $5.00 and 10/2 are the same.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from hashlib import sha256

from accord.errors import BadData
from accord.records import Conversation, Prompt, Rollout
from accord.rewards.base import Score
from accord.rewards.reader import Reader

NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>[-+−]?)[$€£]?(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,40})?"
    r"(?P<rest>\.\d{1,40})?(?:\s?/\s?(?P<below>\d{1,40}))?(?![\d])"
)
FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(-?[\d,.]{1,40})\s*\}\s*\{\s*([\d,.]{1,40})\s*\}")
BOX = re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\}){0,200})\}")
MARK = re.compile(r"####|(?:^|\n)\s*A:|answer(?:\s+is)?\s*[:=]|answer\s+is", re.IGNORECASE)
"""after the last of these stands what the solution comes to"""


def final(text: str) -> Fraction | None:
    r"""The number that a solution comes to: in its last \boxed{}; else the first after its last
    mark (####, A:, "the answer is"); else its last number.  None where there is none.
    """
    if boxed := BOX.findall(text):
        return first(boxed[-1])
    *_, last = [None, *MARK.finditer(text)]
    if last is not None and (found := first(text[last.end() :])) is not None:
        return found
    return next(iter(list(_numbers(text))[::-1]), None)


def first(text: str) -> Fraction | None:
    """The first number in a text."""
    return next(_numbers(text), None)


def _numbers(text: str) -> Iterator[Fraction]:
    """Every number that a text writes, in order."""
    plain = FRACTION.sub(r" \1/\2 ", text).replace("\\$", "$").replace("{,}", ",")
    for found in NUMBER.finditer(plain.replace("\\,", "")):
        whole, rest, below = (found[name] or "" for name in ("whole", "rest", "below"))
        if not (whole or rest) or (below and not int(below)):
            continue
        value = Fraction((whole.replace(",", "") or "0") + rest) / int(below or 1)
        yield -value if found["sign"] in ("-", "−") else value


class Numbers:
    """1 for an answer that comes to the right number, 0 for every other: reward=gsm8k.

    BadData where a prompt's right number is not known.
    """

    def __init__(self, reader: Reader, prompts: Sequence[Prompt]):
        self.reader = reader
        known = {prompt.messages: final(prompt.truth) for prompt in prompts}
        lost = [prompt for prompt in prompts if known[prompt.messages] is None]
        if lost or not prompts:
            shown = repr(lost[0].messages[-1].text[:60]) if lost else "there are none"
            raise BadData(
                f"reward=gsm8k must know the right number: {len(lost)} of {len(prompts)} prompts "
                f"come without one ({shown}); give rows with question and answer, or prompt and "
                "truth"
            )
        self.right: Mapping[Conversation, Fraction | None] = known

    @property
    def which(self) -> str:
        """Its name, and SHA-256 of the right numbers."""
        told = sorted(f"{[m.text for m in talk]} {value}" for talk, value in self.right.items())
        return f"gsm8k {sha256(chr(10).join(told).encode()).hexdigest()}"

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        return [
            float(final(said.answer) == self.right[said.talk]) for said in self.reader(rollouts)
        ]
