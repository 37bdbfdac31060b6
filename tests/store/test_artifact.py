"""Artifacts do not change, know where they come from, and are the same wherever they are made."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accord.errors import BadData, CannotWrite, NotFinite, RunMismatch
from accord.store import artifact
from accord.store.artifact import Artifact, finish, lineage, open_artifact, seal
from accord.store.run import Run
from store_fakes import CFG, IDENTITY, Chain

SETTINGS = {"lr": 1e-5, "kl": {"kind": "FixedKL", "beta": 0.05}}


def fill(folder: Path, text: str = "weights") -> None:
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_text(text)
    (folder / "deep" / "config.json").write_text("{}")


def made(folder: Path, text: str = "weights", **told: Any) -> Artifact:
    return finish(
        folder, lambda into: fill(into, text), **{"kind": "policy", "settings": SETTINGS} | told
    )


def test_sealed_folder_tells_all(tmp_path: Path) -> None:
    fill(tmp_path / "ppo")
    one = seal(
        tmp_path / "ppo",
        kind="policy",
        settings=SETTINGS,
        parents=["model:x"],
        data="d" * 64,
        template="t" * 64,
        numbers={"score": 1.5},
    )
    assert set(one.files) == {"model.bin", "deep/config.json"}
    assert one.files["model.bin"]["size"] == 7
    assert (one.kind, one.name, one.parents) == ("policy", "ppo", ("model:x",))
    assert one.settings == SETTINGS
    assert set(one.hashes) == {"settings", "data", "template"}
    assert one.numbers == {"score": 1.5}
    assert one.versions["python"]
    assert open_artifact(tmp_path / "ppo", full=True) == one
    with pytest.raises(CannotWrite, match="sealed already"):
        seal(tmp_path / "ppo", kind="policy", settings=SETTINGS)


def test_id_is_of_the_content_not_of_time_or_place(tmp_path: Path) -> None:
    one = made(tmp_path / "a" / "one")
    time.sleep(1.1)
    two = made(tmp_path / "b" / "two")
    assert one.id == two.id
    assert one.created != two.created
    others = [
        made(tmp_path / "c1", "other weights"),
        made(tmp_path / "c2", kind="reward"),
        made(tmp_path / "c3", settings={"lr": 2e-5}),
        made(tmp_path / "c4", parents=[one]),
        made(tmp_path / "c5", data="d"),
        made(tmp_path / "c6", template="d"),
        made(tmp_path / "c7", numbers={"score": 1.0}),
    ]
    assert len({one.id, *(other.id for other in others)}) == 8


def _longer(folder: Path) -> None:
    (folder / "model.bin").write_text("weights!")


def _same_size(folder: Path) -> None:
    (folder / "model.bin").write_text("Weights")


def _gone(folder: Path) -> None:
    (folder / "deep" / "config.json").unlink()


def _more(folder: Path) -> None:
    (folder / "more").touch()


def _settings(folder: Path) -> None:
    told = json.loads((folder / "artifact.json").read_text())
    told["settings"]["lr"] = 1.0
    (folder / "artifact.json").write_text(json.dumps(told))


def _unsealed(folder: Path) -> None:
    (folder / "artifact.json").unlink()


@pytest.mark.parametrize(
    ("harm", "said", "full"),
    [
        (_longer, "model.bin has 8 bytes, not 7", False),
        (_same_size, "model.bin has another content", True),
        (_gone, "deep/config.json is missing", False),
        (_more, "more was not there", False),
        (_settings, "was changed after it was sealed", False),
        (_unsealed, "No such file", False),
    ],
)
def test_what_was_changed_is_not_opened(
    tmp_path: Path, harm: Callable[[Path], None], said: str, full: bool
) -> None:
    made(tmp_path / "one")
    harm(tmp_path / "one")
    if full:
        open_artifact(tmp_path / "one")  # the quick look sees names and sizes only
    with pytest.raises(BadData, match=said):
        open_artifact(tmp_path / "one", full=full)


def test_made_once(tmp_path: Path) -> None:
    one = made(tmp_path / "one", parents=["x"])

    def never(folder: Path) -> None:
        raise AssertionError("it is there already")

    again = finish(tmp_path / "one", never, kind="policy", settings=dict(SETTINGS), parents=["x"])
    assert again == one
    for told, said in (
        ({"settings": SETTINGS | {"lr": 2e-5}}, "lr was 1e-05 and is now 2e-05"),
        ({"parents": ["y"]}, r'parents was \["x"\] and is now \["y"\]'),
        ({"parents": ["x"], "data": "d"}, "hashes.data was absent and is now 'd'"),
    ):
        with pytest.raises(RunMismatch, match=said):
            made(tmp_path / "one", **{"parents": ["x"]} | told)


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        fill(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        finish(tmp_path / "one", broken, kind="policy", settings={})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "tmp-1-one").mkdir()  # as a crash would leave it
    made(tmp_path / "one")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "novel.txt").write_text("chapter one")
    with pytest.raises(CannotWrite, match="exists and is no artifact"):
        made(tmp_path / "mine")
    assert (tmp_path / "mine" / "novel.txt").exists()
    with pytest.raises(CannotWrite, match="empty"):
        finish(tmp_path / "none", lambda folder: None, kind="policy", settings={})
    with pytest.raises(NotFinite, match=r"numbers.score is nan"):
        made(tmp_path / "nan", numbers={"score": float("nan")})


def test_find_and_lineage(tmp_path: Path) -> None:
    prompts = made(tmp_path / "prompts", "p", kind="prompts")
    pairs = made(tmp_path / "pairs", "c", kind="comparisons", parents=[prompts])
    reward = made(tmp_path / "reward", "r", kind="reward", parents=[pairs, "model:abc"])
    policy = made(tmp_path / "deep" / "ppo", "y", parents=[prompts, reward])
    assert {a.id for a in Artifact.find(tmp_path)} == {
        a.id for a in (prompts, pairs, reward, policy)
    }
    assert str(lineage(policy, tmp_path)).split("\n") == [
        f"policy {policy.short}  {tmp_path / 'deep' / 'ppo'}",
        f"├─ prompts {prompts.short}  {prompts.folder}",
        f"└─ reward {reward.short}  {reward.folder}",
        f"   ├─ comparisons {pairs.short}  {pairs.folder}",
        f"   │  └─ prompts {prompts.short}  {prompts.folder}",
        "   └─ model:abc  (not here)",
    ]
    _longer(tmp_path / "pairs")
    with pytest.warns(UserWarning, match=r"model.bin has 8 bytes, not 1"):
        line = lineage(policy, tmp_path)
    assert f"{pairs.id[:24]}  (not here)" in str(line)


def test_what_many_descend_from_is_told_once(tmp_path: Path) -> None:
    """Each Grow comes from the last policy, each policy from both: told in full, that is 2^g."""
    policy = made(tmp_path / "0", "0", parents=["model"])
    for g in range(1, 31):
        grown = made(tmp_path / f"grown{g}", f"g{g}", kind="scored", parents=[policy])
        policy = made(tmp_path / f"{g}", f"p{g}", parents=[policy, grown])
    lines = str(lineage(policy, tmp_path)).split("\n")
    assert len(lines) == 3 * 30 + 2
    assert sum(line.endswith("(as above)") for line in lines) == 30
    assert lines[-2].startswith("└─ scored")
    assert lines[-1].startswith("   └─ policy")


def test_a_run_finishes_with_an_artifact(tmp_path: Path) -> None:
    run = Run(tmp_path / "ppo", identity=IDENTITY)
    part = run.keep("policy", Chain())
    write = lambda folder: (folder / "state").write_text(part.state) and None  # noqa: E731
    for step in run.steps(CFG):
        part.move(step)
        if step == 1:
            with pytest.raises(RuntimeError, match="is not done: 1 of 4 steps"):
                run.finish(write, kind="policy")
    one = run.finish(write, kind="policy", parents=["x"], numbers={"score": 1.0})
    assert one.folder == tmp_path / "ppo" / "policy"
    assert one.settings == CFG
    assert one.hashes["data"] == IDENTITY["data"]
    again = Run(tmp_path / "ppo", identity=IDENTITY)
    again.keep("policy", Chain())
    assert list(again.steps(CFG)) == []
    assert again.finish(write, kind="policy", parents=["x"]) == one


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match="No space left on device; make room"):
        made(tmp_path / "one")
    assert list(tmp_path.iterdir()) == []
    assert not hasattr(artifact, "pickle")
