"""The house rules hold; and each rule, shown a planted breach, finds it."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from accord.config import MAX_FIELDS, Settings
from house_rules import (
    HOMES,
    Rule,
    circle,
    documented,
    floors,
    imports,
    libraries,
    safe,
    sizes,
    style,
)

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

NO_TORCH = ("accord", "accord.errors", "accord.records", "accord.config", "accord.store")
NO_TORCH += ("accord.web.app", "accord.web.serving", "accord.data.sources")


def python_files(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


SOURCE_RULES: list[Rule] = [floors, libraries, documented, safe]
PYTHON_RULES: list[Rule] = [sizes, style]


def complaints(rule: Rule, files: list[Path], base: Path) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{said}"
        for path in files
        for said in rule(ast.parse(path.read_text()), path.relative_to(base).as_posix())
    ]


@pytest.mark.parametrize("rule", SOURCE_RULES, ids=lambda rule: rule.__name__)
def test_source(rule: Rule) -> None:
    found = complaints(rule, python_files("src"), SRC / "accord")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("rule", PYTHON_RULES, ids=lambda rule: rule.__name__)
def test_python(rule: Rule) -> None:
    files = python_files("src", "tests", "scripts", "benchmarks", "tools")
    found = complaints(rule, files, ROOT)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (floors, "maths/x.py", "import accord.store"),
        (floors, "store/x.py", "def f():\n    from accord import models"),
        (floors, "text/x.py", "from accord.store.run import Run"),
        (floors, "data/x.py", "from . import y"),
        (floors, "attic/x.py", ""),
        (libraries, "records/x.py", "import torch"),
        (libraries, "store/x.py", "def f():\n    import torch.utils"),
        (libraries, "engine/x.py", "from transformers import AutoModel"),
        (libraries, "engine/x.py", "def f():\n    import ray"),
        (libraries, "store/logs.py", "import wandb"),
        (libraries, "cli.py", "import requests"),
        (documented, "cli.py", "x = 1"),
        (documented, "cli.py", '"""."""\ndef f(): ...'),
        (documented, "cli.py", '"""."""\nclass C: ...'),
        (documented, "cli.py", '"""."""\nclass C:\n "."\n def f(x):\n  """.\n\n  Args:\n  """'),
        (safe, "cli.py", "import pickle"),
        (safe, "cli.py", "from torch import load"),
        (safe, "cli.py", "torch.load(x)"),
        (safe, "cli.py", "np.load(x, allow_pickle=True)"),
        (safe, "cli.py", "AutoModel.from_pretrained(x, trust_remote_code=True)"),
        (safe, "cli.py", "try:\n    f()\nexcept Exception:\n    pass"),
        (safe, "cli.py", "try:\n    f()\nexcept:\n    raise"),
        (sizes, "cli.py", "def f():\n" + "    x = 1\n" * 59),
        (sizes, "cli.py", "class C:\n async def f(self, a, b, c, d, e, *f, g, h, **i): ..."),
        (style, "cli.py", "from torch import *"),
        (style, "cli.py", "from __future__ import annotations"),
    ],
)
def test_a_planted_breach_is_found(rule: Rule, path: str, text: str) -> None:
    assert list(rule(ast.parse(text), path)), f"{rule.__name__} missed it"


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (floors, "cli.py", "from accord.recipes import ppo\nimport accord.errors"),
        (libraries, "store/logs.py", "import json\ndef f():\n    import wandb"),
        (libraries, "engine/ray.py", "import ray"),
        (documented, "cli.py", '"""."""\ndef _f(): ...'),
        (safe, "cli.py", "try:\n    f()\nexcept Exception as e:\n    raise E from e"),
        (safe, "cli.py", "f(trust_remote_code=trust)\nsafetensors.torch.load(x)"),
        (sizes, "cli.py", "def f(self, a, b, c, d, *, e, f, g, h):\n" + "    x = 1\n" * 58),
    ],
)
def test_what_is_allowed_is_let_through(rule: Rule, path: str, text: str) -> None:
    assert list(rule(ast.parse(text), path)) == []


def test_no_file_is_too_long() -> None:
    count = {p.relative_to(ROOT): p.read_text().count("\n") for p in python_files("src", "tests")}
    assert {path: lines for path, lines in count.items() if lines > 400} == {}


def test_a_method_fits_on_a_few_screens() -> None:
    recipes = [p for p in python_files("src/accord/recipes") if "\ndef train(" in p.read_text()]
    assert len(recipes) >= 3
    assert [p.name for p in recipes if p.read_text().count("\n") >= 200] == []


# --- circles ---


def test_no_import_goes_in_a_circle() -> None:
    def module(path: Path) -> str:
        return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")

    trees = {module(p): ast.parse(p.read_text()) for p in python_files("src")}
    edges = {
        name: {
            target
            for full, _, _ in imports(tree)
            if (target := full if full in trees else full.rpartition(".")[0]) in trees
        }
        for name, tree in trees.items()
    }
    assert len(edges) > 5
    assert circle(edges) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


# --- what importing does ---


@pytest.mark.parametrize("name", NO_TORCH)
def test_these_never_bring_torch(name: str) -> None:
    code = f"import sys, {name}; print(*({{'torch', 'transformers'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(SRC)}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", f"importing {name} loads {done.stdout}"


def test_only_who_has_an_adapter_imports_peft() -> None:
    code = "import sys, accord.recipes.jobs; print(*({'peft', 'bitsandbytes'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(SRC)}
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def modules(missing: list[str]) -> Iterator[str]:
    """Imports every module of accord; those that stop at an absent extra are noted in `missing`."""
    import accord

    for found in pkgutil.walk_packages(accord.__path__, "accord."):
        if found.name.endswith("__main__"):
            continue
        try:
            yield importlib.import_module(found.name).__name__
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in HOMES:
                raise
            missing.append(found.name)


def test_everything_imports_without_extras() -> None:
    missing: list[str] = []
    assert len(list(modules(missing))) > 5
    at_home = [path.removesuffix(".py").rstrip("/") for home in HOMES.values() for path in home]
    homes = tuple(f"accord.{path.replace('/', '.')}" for path in at_home)
    assert [name for name in missing if not name.startswith(homes)] == []


def test_settings_are_few_and_teach() -> None:
    list(modules([]))
    for kind in descendants(Settings):
        assert 1 <= len(kind.model_fields) <= MAX_FIELDS, kind
        silent = [row.name for row in kind.fields() if not row.help]
        assert silent == [], f"{kind.__name__} has fields without help"


def descendants(kind: type) -> Iterator[type]:
    for sub in kind.__subclasses__():
        if sub.__module__.startswith("accord."):
            yield sub
        yield from descendants(sub)


def test_public_names_are_few_and_documented() -> None:
    import accord

    assert len(accord.__all__) <= 20
    for name in accord.__all__:
        thing = getattr(accord, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            said = inspect.getdoc(thing) or ""
            assert said, name
            assert not (is_dataclass(thing) and said.startswith(f"{name}(")), name


# --- what is written down ---


def tracked() -> list[Path]:
    """Files that are, or would be, in the repository."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [path for name in done.stdout.split("\0") if (path := ROOT / name).is_file()]


UNWANTED = {
    "a path of somebody's machine": r"(?<![\w.])/(work|home|root|Users)/\w",
    "a registry's address": r"\b(pypi|pythonhosted|npmjs|anaconda)\.(org|com)\b|pytorch\.org/whl",
    "a note to self": r"\b(TODO|FIXME|XXX)\b",
}


@pytest.mark.parametrize("what", UNWANTED)
def test_nothing_unwanted_is_written_anywhere(what: str) -> None:
    pattern, found = re.compile(UNWANTED[what]), []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if path.name in ("tokenizer.json", "vocab.json", Path(__file__).name):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert not found, "\n".join(found)


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = project["dependencies"] + [name for extra in extras.values() for name in extra]
    pins = {
        line.split("==")[0]
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    assert {"postgres", "vision", "control", "cluster", "dev"} <= set(extras)
    assert [name for name in asked if re.split(r"[<>=\[]", name)[0] not in pins] == []
