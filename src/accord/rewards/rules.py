"""Rewards that are rules: a function of what was asked and what was said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from accord.errors import BadSettings
from accord.records import Invalid, Rollout
from accord.rewards.base import Score
from accord.text.tokenizer import Speller

Judge = Callable[[str, str, bool], float]
"""(prompt text, answer text, whether the answer ended itself) -> score"""


@dataclass(frozen=True)
class Rule:
    """A plain Python function as a reward.  An exception makes that one answer invalid."""

    judge: Judge
    speller: Speller
    file: Path | None = None
    """where it is written, if that is known"""

    @classmethod
    def at(cls, spec: str, speller: Speller) -> "Rule":
        """The function at `file.py:function`.  Its file is run: your code, on your word."""
        path, name = _parts(spec)
        made = spec_from_file_location(f"rule_{path.stem}", path)
        if made is None or made.loader is None:
            raise BadSettings(f"rule={spec}: {path} is not a Python file (*.py)")
        module = module_from_spec(made)
        try:
            made.loader.exec_module(module)
        except Exception as error:
            raise BadSettings(f"rule={spec}: {path} does not run ({error!r})") from error
        found = getattr(module, name, None)
        if not callable(found):
            there = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            has = ", ".join(there) or "none"
            raise BadSettings(f"rule={spec}: {path} has no function {name!r}; it has {has}")
        return cls(found, speller, path)

    @property
    def which(self) -> str:
        """Which rule this is: its name, and SHA-256 of the file it stands in."""
        code = getattr(self.judge, "__code__", None)
        file = self.file or Path(code.co_filename if code else "")
        told = sha256(file.read_bytes()).hexdigest() if file.is_file() else "of no file"
        return f"rule {getattr(self.judge, '__name__', type(self.judge).__name__)} {told}"

    def __call__(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """One score per rollout."""
        return [self._one(rollout) for rollout in rollouts]

    def _one(self, rollout: Rollout) -> Score:
        asked = self.speller.decode(rollout.prompt_ids)
        try:
            return float(self.judge(asked, self.speller.text(rollout), rollout.finish == "stop"))
        except Exception as error:  # noqa: BLE001  a user's rule may fail in any way
            return Invalid(f"{type(error).__name__}: {error}")


def _parts(spec: str) -> tuple[Path, str]:
    file, colon, name = spec.rpartition(":")
    if not colon or not name.isidentifier():
        raise BadSettings(f"rule={spec}: write it as file.py:function")
    if not Path(file).is_file():
        raise BadSettings(f"rule={spec}: there is no file {file}")
    return Path(file), name
