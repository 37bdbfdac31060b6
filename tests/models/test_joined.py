"""A language model and a tower become a plain folder that sees, and that transformers reads."""

import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

import seeing
from accord.data.rows import pad
from accord.engine.roles import Policy
from accord.errors import BadModel
from accord.models.joined import join
from accord.text.images import spans
from recipe_fakes import newborn

SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
SIZE = {"height": 16, "width": 16}


def tower(folder, kind="clip"):
    if kind == "clip":
        CLIPVisionModel(CLIPVisionConfig(**SHAPE)).save_pretrained(folder)
        CLIPImageProcessorPil(size=SIZE, do_center_crop=False).save_pretrained(folder)
    else:
        SiglipVisionModel(SiglipVisionConfig(**SHAPE)).save_pretrained(folder)
        SiglipImageProcessorPil(size=SIZE).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_it_sees_with_one_and_speaks_as_the_other(kind, tmp_path):
    words, eyes = newborn(tmp_path / "words"), tower(tmp_path / "eyes", kind)
    join(words, eyes, tmp_path / "both")
    both, alone = Policy.open(tmp_path / "both"), Policy.open(words)
    state = both.model.trunk.model.state_dict()
    for name, weight in alone.model.trunk.model.model.layers.state_dict().items():
        assert torch.equal(weight, state[f"model.language_model.layers.{name}"]), name
    ids = both.speller.prompt_ids(seeing.about(seeing.picture(tmp_path / "a.png")))
    assert [span.places for span in spans(ids)] == [4]
    said = both.sample([ids], longest=5, seed=0)
    scored = both.logp(pad([ids], [said[0].response_ids]))
    assert scored.sum() == pytest.approx(sum(said[0].logp), abs=1e-4)
    theirs = AutoModelForImageTextToText.from_pretrained(tmp_path / "both")
    assert theirs.config.text_config.vocab_size == both.speller.vocab
    assert AutoProcessor.from_pretrained(tmp_path / "both").image_token == "<image>"


def test_the_same_seed_gives_the_same_model(tmp_path):
    words, eyes = newborn(tmp_path / "words"), tower(tmp_path / "eyes")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        join(words, eyes, tmp_path / name, seed=seed)
    a, b, c = (Policy.open(tmp_path / name).fingerprint for name in "abc")
    assert a == b != c


def test_what_is_no_tower_is_refused(tmp_path):
    words, eyes = newborn(tmp_path / "words"), tower(tmp_path / "eyes")
    with pytest.raises(BadModel, match="llama is no tower"):
        join(words, words, tmp_path / "both")
    (eyes / "preprocessor_config.json").unlink()
    with pytest.raises(BadModel, match=r"no preprocessor_config\.json"):
        join(words, eyes, tmp_path / "both")
