"""Perplexity against plain sums, whatever the windows; and against the same model's loss."""

import math
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

from accord.engine.roles import Policy
from accord.errors import BadData
from accord.evaluate.perplexity import Perplexity, cut, perplexity, read_texts, tax
from recipe_fakes import newborn

TEXTS = ["Lily sat on a mat.", "Tom ran home. Tom was sad.", "äß saw the sun — twice"]


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return Policy.open(newborn(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def plain(policy):
    """The same weights in transformers' own hands."""
    return AutoModelForCausalLM.from_pretrained(policy.source).eval()


def summed(plain, policy, text: str) -> float:
    """-log p of all tokens but the first, in one go."""
    ids = policy.speller.text_ids(text)[:-1]
    ids = ids if policy.speller.head else (policy.speller.end, *ids)
    with torch.no_grad():
        said = plain(input_ids=torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
    return -sum(float(said[t - 1, ids[t]]) for t in range(1, len(ids)))


def test_it_is_the_plain_sum(policy, plain) -> None:
    found = perplexity(policy, TEXTS)
    assert list(found.nats) == pytest.approx([summed(plain, policy, t) for t in TEXTS], rel=1e-4)
    assert found.characters == tuple(map(len, TEXTS))
    assert found.bytes[2] == len(TEXTS[2].encode()) > found.characters[2]
    assert found.total == pytest.approx(sum(found.nats))
    assert found.per_token == pytest.approx(math.exp(found.total / sum(found.tokens)))
    assert found.per_character == pytest.approx(math.exp(found.total / sum(found.characters)))
    assert found.bits_per_byte == pytest.approx(found.total / sum(found.bytes) / math.log(2))


def test_every_token_counts_and_the_end_does_not(policy) -> None:
    speller = policy.speller
    for text, count in zip(TEXTS, perplexity(policy, TEXTS).tokens, strict=True):
        assert count == len(speller.text_ids(text)) - 1 - len(speller.head)


@pytest.mark.parametrize("length", [2, 7, 8, 9, 12, 13, 50])
@pytest.mark.parametrize("context", [2, 7, 8])
@pytest.mark.parametrize("head", [0, 1])
def test_windows_score_each_token_once_with_room_before_it(length, context, head) -> None:
    ids = tuple(range(length))
    found = cut(ids, context, head)
    assert [i for _, scored in found for i in scored] == list(ids[1:])
    for before, scored in found:
        assert before
        assert len(before) + len(scored) <= context
        assert (*before, *scored) == ids[before[0] : scored[-1] + 1]
        assert before[0] == 0 or len(before) >= context // 2


def test_a_long_text_is_not_cut_off(policy) -> None:
    text = " ".join(TEXTS[:2] * 8)
    assert len(policy.speller.text_ids(text)) > policy.context
    found = perplexity(policy, [text])
    assert found.tokens[0] == len(policy.speller.text_ids(text)) - 1 - len(policy.speller.head)
    assert found.characters[0] == len(text)


def test_uniform_is_the_logarithm_of_the_vocabulary(policy) -> None:
    flat = Policy.open(policy.source)
    flat.model.trunk.model.get_output_embeddings().weight.zero_()
    size = flat.model.trunk.model.config.vocab_size
    assert perplexity(flat, TEXTS).per_token == pytest.approx(size, rel=1e-5)


def test_without_a_beginning_the_first_token_counts_after_an_end(policy) -> None:
    """A tokenizer that puts nothing in front, as GPT-2's: texts follow an end."""
    speller, seen = policy.speller, []
    bare = SimpleNamespace(
        head=(), end=speller.end, text_ids=lambda text: speller.text_ids(text)[len(speller.head) :]
    )

    def logp(tokens):
        seen.append(tokens)
        return torch.zeros(tokens.mask_BT.shape)

    found = perplexity(SimpleNamespace(speller=bare, context=64, logp=logp), TEXTS[:1])
    assert seen[0].ids_BT[0, 0] == speller.end
    assert found.tokens[0] == int(seen[0].mask_BT.sum()) == len(bare.text_ids(TEXTS[0])) - 1


def test_tax_is_of_bytes_and_by_text(policy, tmp_path) -> None:
    before = perplexity(policy, TEXTS)
    other = perplexity(Policy.open(newborn(tmp_path, seed=5)), TEXTS)
    found = tax(before, other)
    assert found.change.value == pytest.approx(other.bits_per_byte - before.bits_per_byte)
    assert found.change.low <= found.change.value <= found.change.high
    none = tax(before, before).change
    assert (none.value, none.low, none.high) == (0, 0, 0)
    with pytest.raises(BadData, match="the same texts"):
        tax(before, perplexity(policy, TEXTS[:2]))


def test_infinite_surprise_is_no_crash() -> None:
    assert Perplexity((1e6,), (3,), (3,), (3,)).per_token == math.inf


def test_texts_of_a_file(tmp_path) -> None:
    path = tmp_path / "held-out.txt"
    path.write_text("one\n\n\n\ntwo\n\nthree")
    assert read_texts(path, size=9) == ["one\n\ntwo", "three"]
    assert read_texts(path, size=3) == ["one", "two", "three"]
    assert "".join(read_texts(path)).replace("\n", "") == "onetwothree"
    path.write_text("\n \n")
    with pytest.raises(BadData, match="holds no text"):
        read_texts(path)
    with pytest.raises(BadData, match="cannot be read"):
        read_texts(tmp_path / "nowhere.txt")


def test_an_empty_text_is_refused(policy) -> None:
    with pytest.raises(BadData, match="empty"):
        perplexity(policy, ["a", ""])
