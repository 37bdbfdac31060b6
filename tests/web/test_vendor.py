"""What is not ours lies in static/vendor, with where it comes from; and the wheel has it all."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from accord.web.render import HERE, STATIC

VENDOR = STATIC / "vendor"


def test_what_is_vendored_is_what_was_published() -> None:
    locked = json.loads((VENDOR / "vendor.lock").read_text())
    listed = set()
    for one in locked:
        assert set(one) == {"name", "version", "licence", "integrity", "files"}
        assert one["integrity"].startswith("sha512-")
        assert any("LICENSE" in name for name in one["files"]), one["name"]
        for name, about in one["files"].items():
            listed.add(name)
            made = hashlib.sha256((VENDOR / name).read_bytes()).hexdigest()
            assert made == about["sha256"], name
    there = {path.name for path in VENDOR.iterdir()} - {"vendor.lock"}
    assert there == listed


def test_no_script_or_style_loads_from_elsewhere() -> None:
    for path in [*STATIC.rglob("*.js"), *STATIC.rglob("*.css")]:
        if path.parent == VENDOR:
            continue
        text = path.read_text()
        for word in ("http://", "https://", "@import", "eval(", "new Function"):
            assert word not in text.replace("http://www.w3.org/", ""), (path.name, word)


def files() -> set[str]:
    """What the site needs beside Python, as a wheel names it."""
    found = {*(HERE / "templates").rglob("*"), *STATIC.rglob("*"), *(HERE / "sample").rglob("*")}
    return {path.relative_to(HERE.parents[1]).as_posix() for path in found if path.is_file()}


def test_git_leaves_nothing_of_it_out(root: Path) -> None:
    paths = [f"src/{name}" for name in sorted(files())]
    done = subprocess.run(["git", "check-ignore", *paths], cwd=root, capture_output=True, text=True)
    if done.returncode == 128:
        pytest.skip("not a git checkout")
    assert done.stdout == ""


def test_the_wheel_holds_it(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        assert files() - set(opened.namelist()) == set()
