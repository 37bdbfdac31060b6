"""Rewards that are rules: a function of what was asked and what was said."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from accord.errors import BadSettings
from accord.records import Invalid, Rollout
from accord.rewards import worker
from accord.rewards.base import Score
from accord.text.tokenizer import Speller

Judge = Callable[[str, str, bool], float]
"""(prompt text, answer text, whether the answer ended itself) -> score"""


@dataclass(frozen=True)
class Rule:
    """A plain Python function as a reward, in this very process.

    An exception makes that one answer invalid.  One that may hang or crash wants `Guarded`.
    """

    judge: Judge
    speller: Speller
    file: Path | None = None
    """where it is written, if that is known"""

    @classmethod
    def at(cls, spec: str, speller: Speller) -> "Rule":
        """The function at `file.py:function`.  Its file is run: your code, on your word."""
        path, name = parts(spec)
        try:
            return cls(worker.find(str(path), name), speller, path)
        except worker.Unusable as error:
            raise BadSettings(f"rule={spec}: {error}") from error

    @property
    def which(self) -> str:
        """Which rule this is: its name, and SHA-256 of the file it stands in."""
        code = getattr(self.judge, "__code__", None)
        file = self.file or Path(code.co_filename if code else "")
        return called(getattr(self.judge, "__name__", type(self.judge).__name__), file)

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        return [self._one(rollout) for rollout in rollouts]

    def _one(self, rollout: Rollout) -> Score:
        asked = self.speller.decode(rollout.prompt_ids)
        try:
            said = self.judge(asked, self.speller.text(rollout), rollout.finish == "stop")
            return worker.number(said)
        except Exception as error:  # noqa: BLE001  a user's rule may fail in any way
            return Invalid(f"{type(error).__name__}: {error}")


def called(name: str, file: Path) -> str:
    """What a rule is known by: its name, and SHA-256 of the file it stands in."""
    told = sha256(file.read_bytes()).hexdigest() if file.is_file() else "of no file"
    return f"rule {name} {told}"


def meaning(spec: str) -> str:
    """The first paragraph of the docstring of the function at `file.py:function`, on one line; the
    file is not run.  Empty where there is none.
    """
    path, name = parts(spec)
    try:
        found = [one for one in ast.walk(ast.parse(path.read_bytes())) if _named(one, name)]
    except (SyntaxError, ValueError):
        return ""
    told = ast.get_docstring(found[-1]) if found else None  # type: ignore[arg-type]
    return " ".join((told or "").split("\n\n")[0].split())


def _named(one: ast.AST, name: str) -> bool:
    return isinstance(one, ast.FunctionDef) and one.name == name


def parts(spec: str) -> tuple[Path, str]:
    """File and function of `file.py:function`; BadSettings where it is not that."""
    file, colon, name = spec.rpartition(":")
    if not colon or not name.isidentifier():
        raise BadSettings(f"rule={spec}: write it as file.py:function")
    if not Path(file).is_file():
        raise BadSettings(f"rule={spec}: there is no file {file}")
    return Path(file), name
