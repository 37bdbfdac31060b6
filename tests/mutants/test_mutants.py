"""The maths tests catch every planted bug."""

import collections
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mutants.planted import MUTANTS
from mutants.run import MATHS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.module}: {m.bug}")
def test_it_can_be_planted(mutant):
    """Its text stands in the source exactly once: no refactoring makes a bug void unnoticed."""
    source = (MATHS / f"{mutant.module}.py").read_text()
    assert source.count(mutant.old) == 1
    assert mutant.old != mutant.new


def test_every_module_has_bugs_planted_and_none_twice():
    modules = {path.stem for path in MATHS.glob("*.py")} - {"__init__"}
    count = collections.Counter(m.module for m in MUTANTS)
    assert set(count) == modules
    assert min(count.values()) >= 7
    assert len({(m.module, m.old, m.new) for m in MUTANTS}) == len(MUTANTS)


def test_every_planted_bug_is_caught():
    run = Path(__file__).with_name("run.py")
    done = subprocess.run([sys.executable, str(run)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
