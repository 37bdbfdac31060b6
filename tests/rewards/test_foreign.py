"""Classifiers made elsewhere, held against transformers' own code; and rewards chosen by words."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from accord.engine.roles import Critic, Policy
from accord.errors import BadModel, BadSettings
from accord.models.classifier import Classifier, Read
from accord.records import Invalid, Prompt, Rollout, ask
from accord.rewards.base import Sum
from accord.rewards.choose import Choice
from accord.rewards.foreign import Foreign, Reading
from accord.rewards.guard import Guard, Guarded
from accord.rewards.learned import Learned
from accord.rewards.reader import Reader
from accord.rewards.remote import Server
from recipe_fakes import VOCAB, newborn

SMALL = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
GPT2 = {"vocab_size": VOCAB, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
KINDS = {
    "llama": SMALL | {"num_key_value_heads": 1},
    "qwen2": SMALL | {"num_key_value_heads": 1},
    "gpt_neox": SMALL,
    "gpt2": GPT2 | {"initializer_range": 0.3, "eos_token_id": 1, "pad_token_id": 1},
    "bert": SMALL | {"type_vocab_size": 2, "pad_token_id": 1},
}
DECODERS = [kind for kind in KINDS if kind != "bert"]
PROMPTS = ("Lily and Tom", "the dog")
ANSWERS = (" sat on a mat.", " ran home.", " was sad.")


def made(folder: Path, kind: str, labels: int = 1) -> Path:
    """A random classifier of a family, with the newborn's tokenizer."""
    newborn(folder)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    config = AutoConfig.for_model(kind, num_labels=labels, **KINDS[kind])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> Policy:
    return Policy.open(newborn(tmp_path_factory.mktemp("policy")), template="plain")


def rollouts(policy: Policy) -> list[Rollout]:
    told = []
    for prompt in PROMPTS:
        ids, answers = policy.speller.many([(ask(prompt), ANSWERS)])[0]
        told += [
            Rollout(f"{prompt}/{k}", ids, a, (0.0,) * len(a), 0, "stop")
            for k, a in enumerate(answers)
        ]
    return told


def theirs(folder: Path, texts: list[str], end: bool) -> torch.Tensor:
    """One at a time, without padding, by transformers alone."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    spell = AutoTokenizer.from_pretrained(folder)
    out = []
    for text in texts:
        ids = spell(text)["input_ids"]
        ids = [*ids, 1] if end and ids[-1] != 1 else ids
        model.config.pad_token_id = None  # a single row needs none, and its last token is read
        with torch.no_grad():
            out.append(model(input_ids=torch.tensor([ids])).logits[0])
    return torch.stack(out)


@pytest.mark.parametrize("kind", DECODERS)
def test_decoders_score_the_last_token_whatever_pads(tmp_path, policy, kind):
    """pad = end here: where transformers looks for the last non-pad id, it would look before it."""
    folder = made(tmp_path, kind)
    foreign = Foreign.open(folder, Reader(policy.speller))
    given = foreign(rollouts(policy))
    texts = [p + a for p in PROMPTS for a in ANSWERS]
    want = theirs(folder, texts, end=True)[:, 0]
    torch.testing.assert_close(torch.tensor(given), want, atol=1e-5, rtol=1e-4)
    assert float(want.std()) > 1e-3
    alone = [foreign([one])[0] for one in rollouts(policy)]
    assert alone == pytest.approx(given, abs=1e-5)


def test_encoders_read_pairs_and_padding_does_not_move_them(tmp_path, policy):
    folder = made(tmp_path, "bert")
    foreign = Foreign.open(folder, Reader(policy.speller))
    assert foreign.how.text == "pair"
    given = foreign(rollouts(policy))
    alone = [foreign([one])[0] for one in rollouts(policy)]
    assert alone == pytest.approx(given, abs=1e-4)
    assert len(set(given)) == len(given)


def test_a_label_is_scored_by_its_log_odds(tmp_path, policy):
    folder = made(tmp_path, "llama", labels=3)
    reader = Reader(policy.speller)
    with pytest.raises(BadSettings, match="has 3 labels; say which one is wanted"):
        Foreign.open(folder, reader)
    with pytest.raises(BadSettings, match="label=LOVE"):
        Foreign.open(folder, reader, Reading(label="LOVE"))
    said = rollouts(policy)
    texts = [p + a for p in PROMPTS for a in ANSWERS]
    p_N = theirs(folder, texts, end=True).softmax(-1)[:, 1]
    odds = Foreign.open(folder, reader, Reading(label="LABEL_1"))(said)
    torch.testing.assert_close(torch.tensor(odds), torch.logit(p_N), atol=1e-4, rtol=1e-4)
    share = Foreign.open(folder, reader, Reading(label="1", score="probability"))(said)
    torch.testing.assert_close(torch.tensor(share), p_N, atol=1e-5, rtol=1e-4)


def test_what_does_not_fit_is_invalid_never_cut(tmp_path, policy):
    foreign = Foreign.open(made(tmp_path, "llama"), Reader(policy.speller))
    ids = policy.speller.prompt_ids(ask("the dog"))
    long = Rollout("long", ids, (20,) * 90, (0.0,) * 90, 0, "length")
    given = foreign([long, rollouts(policy)[0]])
    assert isinstance(given[0], Invalid)
    assert "the reward model reads 64" in given[0].reason
    assert isinstance(given[1], float)


def test_folders_that_cannot_judge_are_refused(tmp_path, policy):
    with pytest.raises(BadModel, match="config cannot be read"):
        Classifier.open(tmp_path)
    folder = made(tmp_path / "a", "llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadModel, match="safetensors"):
        Classifier.open(folder)
    headless = newborn(tmp_path / "b")  # a language model: its head would be random
    with pytest.raises(BadModel, match=r"weights? (is|are) missing"):
        Classifier.open(headless)


def test_logits_do_not_depend_on_the_lot(tmp_path, monkeypatch):
    told = Classifier.open(made(tmp_path, "qwen2"))
    texts = [Read((5, 6, 7)), Read((9,)), Read((4, 5, 6, 7, 8, 9, 10))]
    want = told.logits(texts)
    monkeypatch.setattr("accord.models.classifier.LOT", 7)
    torch.testing.assert_close(told.logits(texts), want, atol=1e-5, rtol=0)


# --- chosen by words ---


@pytest.fixture
def choice(policy) -> Choice:
    reader = Reader(policy.speller, [Prompt(ask(p)) for p in PROMPTS])
    return Choice(reader, "fp32", Guard(), Reading(), Server(tries=1))


def test_words_choose_and_weigh(tmp_path, policy, choice):
    Critic.on(policy).export(tmp_path / "ours")
    folder = made(tmp_path / "theirs", "llama")
    rule = tmp_path / "rules.py"
    rule.write_text("def short(prompt, answer, ended):\n    return -len(answer)\n")
    assert isinstance(choice.one(str(tmp_path / "ours")), Learned)
    assert isinstance(choice.one(str(folder)), Foreign)
    assert isinstance(choice.one(f"{rule}:short"), Guarded)
    said = rollouts(policy)
    whole = choice.of([str(folder), f"0.5*{rule}:short", "-0.01*tokens"])
    assert isinstance(whole, Sum)
    judged = choice.one(str(folder))(said)
    want = [
        s - 0.5 * len(policy.speller.text(r)) - 0.01 * len(r.response_ids)
        for s, r in zip(judged, said, strict=True)
    ]
    assert whole(said) == pytest.approx(want, abs=1e-5)


def test_words_that_choose_nothing_say_why(tmp_path, choice):
    with pytest.raises(BadSettings, match="no such folder; a reward is a folder"):
        choice.one(str(tmp_path / "nowhere"))
    newborn(tmp_path / "lm")
    with pytest.raises(BadModel, match="it holds LlamaForCausalLM"):
        choice.one(str(tmp_path / "lm"))
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"r": 1}))
    with pytest.raises(BadModel, match="merge it into its classifier"):
        choice.one(str(tmp_path / "adapter"))
