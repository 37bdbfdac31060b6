"""GGUF files: the weights they hold, the text they spell, and what is refused."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from accord.engine.roles import Policy
from accord.errors import BadModel, CannotWrite, MissingExtra
from accord.models import gguf
from accord.models.load import load
from accord.models.lora import Lora
from accord.records import Message, ask
from accord.text.tokenizer import Speller
from gguf_fakes import KINDS, SPECIAL, WORDS, factors, model, words, write

library = pytest.importorskip("gguf", reason="the extra gguf is not installed")
IDS = torch.tensor([[5, 17, 60, 33, 9, 9, 71, 4, 88, 12]])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))


def logits(found) -> torch.Tensor:
    with torch.no_grad():
        return found(input_ids=IDS, use_cache=False).logits


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_model_that_was_written(tmp_path, kind):
    """Every weight, under its own name and in its own order of rows; so every logit too."""
    source = model(kind)
    folder = gguf.as_folder(write(tmp_path / "m.gguf", source))
    found = AutoModelForCausalLM.from_pretrained(folder)
    given, got = source.state_dict(), found.state_dict()
    assert given.keys() == got.keys()
    assert [key for key in given if not torch.equal(given[key], got[key])] == []
    torch.testing.assert_close(logits(found), logits(source), atol=1e-5, rtol=1e-5)
    assert found.config.tie_word_embeddings == source.config.tie_word_embeddings


@pytest.mark.parametrize(("types", "dtype"), [("F16", torch.float16), ("BF16", torch.bfloat16)])
def test_16_bits_stay_as_they_are(tmp_path, types, dtype):
    source = model("llama")
    folder = gguf.as_folder(write(tmp_path / "m.gguf", source, types))
    found = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert found.dtype == dtype
    want = source.model.layers[1].self_attn.q_proj.weight.to(dtype)
    assert torch.equal(found.model.layers[1].self_attn.q_proj.weight, want)


@pytest.mark.parametrize("types", ["Q8_0", "Q4_1", "Q4_0"])
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_quantised_weights_are_those_that_transformers_reads(tmp_path, types, kind):
    """transformers' own dequantising load is the oracle, bit for bit."""
    write(tmp_path / "m.gguf", model(kind), types)
    found = AutoModelForCausalLM.from_pretrained(gguf.as_folder(tmp_path))
    own = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", dtype=torch.float32)
    want = {key: value for key, value in own.state_dict().items() if "quant" not in key}
    got = found.state_dict()
    assert [key for key in got if not torch.equal(got[key], want[key])] == []
    assert torch.equal(logits(found), logits(own))


def test_quantised_weights_are_near(tmp_path):
    """Q8_0: 32 weights share a scale, their largest / 127 in fp16; none is off by over half of it
    and, at 127 steps, the rounding of the scale (2^-11).
    """
    source = model("llama")
    folder = gguf.as_folder(write(tmp_path / "m.gguf", source, "Q8_0"))
    was = source.model.layers[0].mlp.up_proj.weight.detach()
    now = load(folder).model.layers[0].mlp.up_proj.weight
    step = was.view(-1, 32).abs().amax(1, keepdim=True) / 127
    assert bool(((now - was).view(-1, 32).abs() <= step * (0.5 + 127 / 2048)).all())
    assert not torch.equal(now, was)


def test_shards_hold_the_same(tmp_path, monkeypatch):
    source = model("llama")
    monkeypatch.setattr(gguf, "SHARD", 40_000)
    folder = gguf.as_folder(write(tmp_path / "m.gguf", source))
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(folder)), logits(source))


def test_a_policy_opens_trains_and_returns(tmp_path):
    """From a folder with one file; its adapter names the plain folder as its base."""
    write(tmp_path / "m.gguf", model("llama"), "Q8_0")
    policy = Policy.open(tmp_path)
    asked = [policy.speller.prompt_ids(ask("hello 12"))]
    said = policy.sample(asked, longest=6, seed=3)
    learner = policy.trainable(lr=1e-3, lora=Lora(r=2))
    for name, weight in learner.model.learned():
        weight.data.fill_(0.05 if "lora_B" in name else 0.02)
    learner.export(tmp_path / "adapter")
    again = Policy.open(tmp_path / "adapter")
    assert again.sample(asked, longest=6, seed=3) == learner.sample(asked, longest=6, seed=3)
    assert again.sample(asked, longest=6, seed=3) != said
    policy.trainable(lr=1e-3).export(tmp_path / "whole")
    assert Policy.open(tmp_path / "whole").sample(asked, longest=6, seed=3) == said


# --- text ---


def test_words_of_a_chat_model(tmp_path):
    """Control tokens are whole, digits stand alone though a merge would join them, pad is end."""
    folder = gguf.as_folder(write(tmp_path / "m.gguf", model("llama")))
    speller = Speller.load(folder)
    text = "<|im_start|>user\nhe 12<|im_end|>\n<|im_start|>assistant\n"
    names = [WORDS[i] for i in speller.prompt_ids(ask("he 12"))]
    assert names == [
        *("<|im_start|>", *"user", "Ċ", "he", "Ġ", "1", "2", "<|im_end|>", "Ċ"),
        *("<|im_start|>", *"assistant", "Ċ"),
    ]
    assert speller.render((Message.of("user", "he 12"),)) == text
    assert speller.ends == {2}
    assert speller.end == speller.pad == 2
    assert speller.head == ()
    assert AutoTokenizer.from_pretrained(folder).tokenize("12 hel") == ["1", "2", "Ġhe", "l"]


@pytest.mark.parametrize(
    ("pre", "text", "want"),
    [
        ("gpt-2", "he 12", ["he", "Ġ", "12"]),
        ("smollm", "he 12", ["he", "Ġ", "1", "2"]),
        ("qwen2", "he 12", ["he", "Ġ", "1", "2"]),
        ("llama-bpe", "he 12", ["he", "Ġ", "12"]),
        ("smollm", "xhel", ["x", "hel"]),
    ],
)
def test_text_is_cut_as_the_file_says(tmp_path, pre, text, want):
    said = {"tokenizer.ggml.pre": pre}
    folder = gguf.as_folder(write(tmp_path / "m.gguf", model("llama"), said=said))
    assert AutoTokenizer.from_pretrained(folder).tokenize(text) == want


def test_two_ends(tmp_path):
    said = {"tokenizer.ggml.eot_token_id": 0}
    folder = gguf.as_folder(write(tmp_path / "m.gguf", model("llama"), said=said))
    assert Speller.load(folder).ends == {0, 2}


def test_sentencepiece_with_scores(tmp_path, stories260k):
    """The unit model's own tokenizer through GGUF's list of pieces and scores."""
    own = AutoTokenizer.from_pretrained(stories260k)
    size = len(own)
    pieces = own.convert_ids_to_tokens(range(size))
    source = model("llama", vocab_size=size)
    said = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.merges": None,
        "tokenizer.ggml.pre": None,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": [-float(i) for i in range(size)],
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * (size - 259),
    }
    folder = gguf.as_folder(write(tmp_path / "m.gguf", source, said=said))
    found = AutoTokenizer.from_pretrained(folder)
    text = "Once upon a time, Lily saw a big dog. “Wow!”"
    assert found.encode(text) == own.encode(text)
    assert found.decode(found.encode(text), skip_special_tokens=True) == text


# --- the cache ---


def test_the_second_time_nothing_is_written(tmp_path):
    file = write(tmp_path / "m.gguf", model("llama"))
    folder = gguf.as_folder(file)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    moved = shutil.copy(file, tmp_path / "other.gguf")
    assert gguf.as_folder(moved) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    assert gguf.as_folder(write(tmp_path / "n.gguf", model("llama", seed=1))) != folder


def test_a_damaged_cache_is_made_again(tmp_path):
    file = write(tmp_path / "m.gguf", model("llama"))
    folder = gguf.as_folder(file)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-9])
    with pytest.warns(UserWarning, match="made again"):
        gguf.as_folder(file)
    assert (folder / "model.safetensors").read_bytes() == whole


def test_a_conversion_that_was_killed_leaves_nothing(tmp_path, monkeypatch):
    file = write(tmp_path / "m.gguf", model("llama"))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gguf.Words, "tokenizer", die)
        with pytest.raises(KeyboardInterrupt):
            gguf.as_folder(file)
    left = tmp_path / "cache/gguf"
    assert [path.suffix for path in left.iterdir()] == [".lock"]
    draft = left / f"tmp-1-{next(left.iterdir()).stem}"  # of a process that could not clean up
    draft.mkdir()
    (draft / "model.safetensors").write_bytes(b"half")
    folder = gguf.as_folder(file)
    assert not draft.exists()
    assert (folder / "artifact.json").is_file()


def test_two_at_once_make_one_folder(tmp_path, monkeypatch):
    """The lock belongs to an open file: threads exclude each other as processes do."""
    file = write(tmp_path / "m.gguf", model("llama"))
    made, write_one = [], gguf.File.write
    monkeypatch.setattr(gguf.File, "write", lambda *a: (made.append(1), write_one(*a)))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(gguf.as_folder, [file, file]))
    assert found[0] == found[1]
    assert made == [1]
    assert sorted(p.suffix for p in (tmp_path / "cache/gguf").iterdir()) == ["", ".lock"]


def test_where_the_cache_is(tmp_path, monkeypatch):
    assert gguf.cache() == tmp_path / "cache"
    monkeypatch.delenv("ACCORD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert gguf.cache() == tmp_path / "accord"
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match="ACCORD_CACHE=FOLDER"):
        gguf.as_folder(write(tmp_path / "m.gguf", model("llama")))


# --- refusals ---


def test_what_is_no_gguf_is_passed_on(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "m.gguf").write_bytes(b"beside a model")
    assert gguf.as_folder(tmp_path) == tmp_path
    assert gguf.as_folder("owner/name") == "owner/name"


def test_which_file(tmp_path):
    with pytest.raises(BadModel, match=r"gone\.gguf: there is no such file"):
        gguf.as_folder(tmp_path / "gone.gguf")
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(BadModel, match=r"2 GGUF files \(a\.gguf, b\.gguf\); name one"):
        gguf.as_folder(tmp_path)


def test_a_part_of_a_split_file(tmp_path):
    part = write(tmp_path / "m-00001-of-00003.gguf", model("llama"))
    with pytest.raises(BadModel, match="one part of a split file"):
        gguf.as_folder(part)


def test_damaged_files(tmp_path):
    """Cut short anywhere, a file is one sentence."""
    whole = write(tmp_path / "m.gguf", model("llama"), "Q8_0").read_bytes()
    cut = tmp_path / "cut.gguf"
    for size in (0, 3, 11, 40, 200, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:size])
        with pytest.raises(BadModel, match=r"cut\.gguf: .*copy or download it anew") as caught:
            gguf.as_folder(cut)
        assert "\n" not in str(caught.value)
    cut.write_bytes(b"no magic here, but long enough to read " * 9)
    with pytest.raises(BadModel, match="not a GGUF file"):
        gguf.as_folder(cut)


REFUSED = [
    ({"general.architecture": "mamba"}, "the architecture 'mamba' is not one"),
    ({"tokenizer.ggml.pre": "tekken"}, "cuts text in the way 'tekken'"),
    ({"tokenizer.ggml.model": "t5"}, "its tokenizer, 't5'"),
    ({"llama.rope.scaling.type": "yarn"}, r"rotary embeddings \(yarn\)"),
    ({"llama.rope.dimension_count": 8}, "8 of 16 dimensions rotated"),
    ({"llama.embedding_length": 32}, "has shape .* its settings ask for"),
    ({"llama.block_count": 1}, "no place in transformers' llama"),
    ({"llama.block_count": 3}, "is missing; the file is not complete"),
]


@pytest.mark.parametrize(("said", "why"), REFUSED)
def test_refusals_name_what_is_wrong(tmp_path, said, why, monkeypatch):
    file = gguf.File(write(tmp_path / "m.gguf", model("llama")))
    told = file.said | said
    monkeypatch.setattr(library.ReaderField, "contents", lambda field: told.get(field.name))
    fields = library.GGUFReader.__init__

    def more(self, *args, **kwargs):
        fields(self, *args, **kwargs)
        spare = next(iter(self.fields.values()))
        for name in said.keys() - self.fields.keys():
            self.fields[name] = spare._replace(name=name)

    monkeypatch.setattr(library.GGUFReader, "__init__", more)
    with pytest.raises(BadModel, match=why):
        gguf.as_folder(tmp_path / "m.gguf")


def test_a_missing_tensor(tmp_path):
    file = write(tmp_path / "m.gguf", model("llama"), leave_out=("blk.1.ffn_up.weight",))
    with pytest.raises(BadModel, match=r"blk\.1\.ffn_up\.weight is missing"):
        gguf.as_folder(file)


def test_settings_that_mean_something_else_are_named(tmp_path):
    said = {"llama.logit_scale": 0.5}
    file = write(tmp_path / "m.gguf", model("llama"), said=said)
    with pytest.warns(UserWarning, match=r"llama\.logit_scale not understood"):
        gguf.as_folder(file)


def test_rope_factors_that_are_not_llamas(tmp_path, monkeypatch):
    odd = model("llama, stretched")
    monkeypatch.setattr("gguf_fakes.factors", lambda config: factors(config) ** 0.5)
    with pytest.raises(BadModel, match=r"not those of Llama 3\.1"):
        gguf.as_folder(write(tmp_path / "m.gguf", odd))


def test_without_the_library(tmp_path, monkeypatch):
    file = write(tmp_path / "m.gguf", model("llama"))
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtra, match=r"\.\[gguf\]"):
        gguf.as_folder(file)


def test_the_fake_words_are_sound():
    assert len(words()["tokenizer.ggml.token_type"]) == len(WORDS) == len({*WORDS})
    assert WORDS[:3] == list(SPECIAL)
