"""The wheel alone, without the source tree beside it: from an empty folder to a judgement."""

import os
import re
import signal
import site
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from accord.store.judgements import progress
from accord.store.judgements.opening import open_store

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has what Accord needs, and Accord from its wheel only."""
    built, home = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("empty")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    venv.create(home, symlinks=True)
    (packages,) = (home / "lib").glob("*/site-packages")
    # a folder named here is searched, but what its own .pth files name (our source tree) is not
    (packages / "needs.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(packages)
    return home / "bin" / "python"


@contextmanager
def serving(python: Path, folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`accord serve` in a folder, and the link it tells."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(python), "-m", "accord", "serve", "port=0", "open=false", "owner=maria"]
    process = subprocess.Popen(
        command, cwd=folder, env=env | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+/in/\S+", process.stdout.readline())
        assert found, process.stdout.read()
        yield found[0], process
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_from_an_empty_folder_to_a_judgement_that_outlives_a_kill(
    python: Path, tmp_path: Path, chromium: Any
) -> None:
    where = "import accord; print(accord.__file__)"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    told = subprocess.run([str(python), "-c", where], capture_output=True, text=True, env=env)
    assert Path(told.stdout.strip()).is_relative_to(python.parents[1]), told
    with serving(python, tmp_path) as (link, process):
        page = chromium.new_context().new_page()
        page.set_default_timeout(20_000)
        page.goto(link)
        page.get_by_role("button", name="Try it with sample pairs").click()
        page.get_by_text("0 judged by you").first.wait_for()
        page.get_by_role("button", name="A is better").click()
        page.get_by_text("1 judged by you").first.wait_for()
        process.send_signal(signal.SIGKILL)
        process.wait()
    store = open_store(tmp_path / "accord.db")
    assert progress.study_progress(store, 1).judgements == 1
    store.close()
    with serving(python, tmp_path) as (link, _):
        page.goto(link)
        page.goto(link.split("/in/")[0] + "/studies/1/judge")
        page.get_by_text("1 judged by you").first.wait_for()
    page.context.close()
