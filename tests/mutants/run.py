"""Plants each bug in turn and runs the tests of its module; says who was not caught.

    python tests/mutants/run.py

One process with torch and pytest loaded forks a child per bug, so that a hundred take seconds.  In
the child the package's own source is read, changed and imported; nothing on disk is touched.
"""

import gc
import importlib.abc
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MATHS = ROOT / "src" / "accord" / "maths"


class Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports accord.maths.<module> from a changed source."""

    def __init__(self, module: str, old: str, new: str):
        self.name = f"accord.maths.{module}"
        self.file = MATHS / f"{module}.py"
        self.source = self.file.read_text().replace(old, new)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Found here if it is the one."""
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed source."""
        exec(compile(self.source, str(self.file), "exec"), module.__dict__)


def outcome(module: str, old: str = "", new: str = "") -> int:
    """pytest's exit code for the tests of one module with one bug in it: 1 means caught."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 99
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        sys.meta_path.insert(0, Planted(module, old, new))
        test = ROOT / "tests" / "maths" / f"test_{module}.py"
        # plain: hypothesis is loaded already, too late for pytest to rewrite its asserts
        code = pytest.main(
            [str(test), "-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider"]
        )
    finally:
        os._exit(code)  # whatever happens, a child must not go on as its parent


def main() -> None:
    """A line of JSON: what was expected of each bug, and of none, and did not happen."""
    os.chdir(ROOT)
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # loaded once for all children; _dynamo is what optimizers load at their first step
    import torch._dynamo
    from hypothesis import Phase, settings
    from planted import MUTANTS

    torch.set_num_threads(1)
    settings.register_profile("found is enough", phases=[Phase.explicit, Phase.generate])
    settings.load_profile("found is enough")
    gc.freeze()  # else each collection in a child walks, and copies, all of its parent's objects
    wrong = []
    for module in sorted({m.module for m in MUTANTS}):
        if code := outcome(module):
            wrong.append(f"{module}: its tests end with {code} without any bug")
    for m in MUTANTS:
        if (code := outcome(m.module, m.old, m.new)) != 1:
            why = "its tests pass" if code == 0 else f"its tests end with {code}, not 1"
            wrong.append(f"{m.module}: {m.bug}: {why}")
    print(json.dumps(wrong))


if __name__ == "__main__":
    main()
