"""Odd folders as judges and revisers: the right answer, or one sentence about what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from accord.data.constitution import read_constitution
from accord.engine.calls import Calls
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.errors import BadModel
from accord.recipes.revising import Revise, round_of
from accord.records import Invalid, Prompt, ask
from accord.rewards.asking import open_llm
from accord.rewards.duel import Duel
from accord.rewards.judge.opinions import pair_judge
from recipe_fakes import END, newborn

ROOM = {"max_position_embeddings": 4096}
DUELS = [Duel("Lily and Tom", "ran home.", "sat down."), Duel("Tom", "sat.", "ran home.")]
C = read_constitution("stories")


def edit(file: Path, **more: Any) -> None:
    """Other values in a file of JSON."""
    file.write_text(json.dumps(json.loads(file.read_text()) | more))


def made(folder: Path, **config: Any) -> Path:
    """A model without a chat template and without a pad token."""
    newborn(folder)
    edit(folder / "config.json", **{**ROOM, **config})
    return folder


def revised(llm: Calls) -> list[str | Invalid]:
    """One round of critique and revision."""
    prompts = [Prompt(ask("Once there was a boy."), "a"), Prompt(ask("Tom sat."), "b")]
    cfg = Revise(longest=4, how=Sampling(0))
    return [one.text for one in round_of(cfg, C, llm, prompts, [" He fell.", " He ran."], 1, 0)]


def test_without_a_template_and_a_pad_token_or_with_pad_that_is_the_end(tmp_path: Path) -> None:
    bare = made(tmp_path / "bare")
    told = json.loads((bare / "tokenizer_config.json").read_text())
    assert "pad_token" not in told
    assert "chat_template" not in told
    alike = made(tmp_path / "alike", pad_token_id=1)
    edit(alike / "tokenizer_config.json", pad_token=END)
    bent, revisions, said = [], [], []
    for folder in (bare, alike):
        bent.append(pair_judge(str(folder), None)(DUELS))
        llm = open_llm(str(folder), None)
        revisions.append(revised(llm))
        said.append(llm.say([Ask(ask("Tom")), Ask(ask("Lily and Tom sat"))], longest=6))
        # side by side as alone: what pads the shorter one is neither read nor scored
        alone = [pair_judge(str(folder), None)([one])[0] for one in DUELS]
        assert alone == pytest.approx(bent[-1], abs=1e-5)
    assert bent[0] == bent[1]
    assert all(isinstance(one, float) and 0 < one < 1 for one in bent[0])
    assert revisions[0] == revisions[1]
    assert said[0] == said[1]
    assert all(isinstance(one, Spoken) for one in said[0])


def test_what_is_longer_than_its_context_is_invalid_and_says_what_to_do(tmp_path: Path) -> None:
    small = made(tmp_path / "small", max_position_embeddings=8)
    for one in pair_judge(str(small), None)(DUELS):
        assert isinstance(one, Invalid)
        assert "the model has room for 8" in one.reason
        assert "one that reads more" in one.reason
    for text in revised(open_llm(str(small), None)):
        assert isinstance(text, Invalid)
        assert text.reason.startswith("critique: ")
        assert "the model has room for 8" in text.reason


def classifier(folder: Path, tied: bool) -> Path:
    """A trunk with a head that scores, saved as classifiers are."""
    made(folder, architectures=["LlamaForSequenceClassification"], tie_word_embeddings=tied)
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] = weights.pop("lm_head.weight")[:1].clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize("tied", [False, True])
def test_a_classifier_is_refused_also_where_its_embedding_would_do_as_a_head(
    tied: bool, tmp_path: Path
) -> None:
    folder = classifier(tmp_path / "scores", tied)
    for opened in (lambda: pair_judge(str(folder), None), lambda: open_llm(str(folder), None)):
        with pytest.raises(BadModel, match=rf"^{folder}: .*is a classifier .*reward=FOLDER"):
            opened()


@pytest.mark.parametrize(
    ("gone", "why"),
    [
        ("*", "the folder has no config.json; give a"),
        ("*.safetensors", "holds no weights; save the model as safetensors"),
        ("tokenizer*", "no tokenizer in this folder"),
    ],
)
def test_a_folder_that_lacks_something_is_one_sentence(gone: str, why: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "model")
    for file in folder.glob(gone):
        file.unlink()
    for opened in (lambda: pair_judge(str(folder), None), lambda: open_llm(str(folder), None)):
        with pytest.raises(BadModel, match=rf"^{folder}: .*{why}"):
            opened()
