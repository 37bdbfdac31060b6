"""The page for people who come from TRL: our side of its tables exists, and is as it says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from accord import cli
from accord.verbs import VERBS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "migration.md").read_text()
NEEDED = {
    "sft": ("model=m", "data=d"),
    "reward": ("model=m", "data=d"),
    "ppo": ("model=m", "prompts=p", "reward=r"),
    "grpo": ("model=m", "prompts=p", "reward=r"),
}
NOT_OURS = {"key=value", "metrics.jsonl", "--preset file.yaml", "trackio"}
CLASSES = {"Absolute", "positive", "groups/no_signal", "gsm8k", "get_soft_overlong_punishment"}


def cells(section: str) -> Iterator[tuple[str, str]]:
    """(TRL, Accord) of each row of a section's table."""
    part = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    for line in re.findall(r"^\| (?!-|TRL)(.*) \|$", part, re.M):
        theirs, ours, *more = line.split(" | ")
        yield theirs, " ".join([ours, *more])


def shown(command: str, *words: str) -> dict[str, object]:
    done = CliRunner().invoke(cli.app, [command, "--show", *NEEDED[command], *words])
    return yaml.safe_load(done.stdout) if done.exit_code == 0 else {}


SAID = [
    word
    for section in ("Commands and flags", "PPO", "GRPO and RLOO")
    for _, ours in cells(section)
    for word in re.findall(r"`([^`]+)`", ours)
    if not word.startswith("accord ") and word not in NOT_OURS | CLASSES
]


@pytest.fixture(scope="module")
def names() -> set[str]:
    """Of all settings."""
    kinds = {kind for verb in VERBS.values() for kind in verb.classes()}
    return {row.name for kind in kinds for row in kind.fields()}


def test_the_tables_are_read() -> None:
    assert len(SAID) > 50
    assert len(list(cells("Metrics"))) > 10


@pytest.mark.parametrize("word", dict.fromkeys(SAID))
def test_a_setting_exists(word: str, names: set[str]) -> None:
    keys = [part.partition("=")[0] for part in word.split()]
    assert set(keys) <= names
    if "=" in word:
        assert any(shown(command, *word.split()) for command in NEEDED), word


def test_a_number_is_logged_under_its_name() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src/accord").rglob("*.py"))
    measured = (ROOT / "src/accord/recipes/reward.py").read_text()
    seen = 0
    for theirs, ours in cells("Metrics"):
        names = re.findall(r"`([^`]+)`", theirs if ours == "the same" else ours)
        for name in names:
            last = name.removeprefix("eval/")
            known = f'"{name}"' in source or f"{name}=" in source
            assert known or (name != last and f'"{last}"' in measured), name
            seen += 1
    assert seen > 15


def test_our_defaults_are_as_it_says() -> None:
    sft, reward, ppo, grpo = (shown(command) for command in NEEDED)
    lr = [f"{one['lr']:.0e}".replace("e-0", "e-") for one in (sft, reward, ppo)]
    assert f"`lr` ({', '.join(lr)})" in PAGE
    assert (sft["epochs"], reward["epochs"]) == (1, 1)
    assert sft["longest"] == reward["longest"] == 1024
    assert ppo["longest"] == 128
    assert [one["schedule"]["kind"] for one in (sft, reward, ppo)] == ["Cosine", "Cosine", "Linear"]  # type: ignore[index]
    betas = [one["optimizer"]["betas"] for one in (sft, reward, ppo)]  # type: ignore[index]
    assert betas == [[0.9, 0.95], [0.9, 0.95], [0.9, 0.999]]
    assert (sft["dtype"], sft["seed"], sft["loss_on"]) == ("fp32", 0, "response")
    lora = shown("sft", "lora=Lora")["lora"]
    assert (lora["r"], lora["alpha"]) == (16, 32)  # type: ignore[index]
    assert (ppo["kl"], ppo["epochs"], ppo["minibatches"]) == (
        {"kind": "FixedKL", "beta": 0.05, "by": "k1"},
        4,
        1,
    )
    assert ppo["clip"] == {"kind": "Clip", "eps": 0.2, "eps_value": 0.2, "stop_kl": None}
    assert ppo["gae"] == {"kind": "GAE", "gamma": 1.0, "lam": 0.95}
    assert (ppo["temperature"], ppo["whiten"]) == (1, "advantages")
    assert (grpo["group"], grpo["longest"], grpo["weigh_by"]) == (8, 128, "sequence")
    assert grpo["baseline"] == {"kind": "GroupMean", "scale": True}
    assert grpo["loss"] == {
        "kind": "Surrogate",
        "ratio": "token",
        "low": 0.2,
        "high": 0.2,
        "dual": None,
    }
