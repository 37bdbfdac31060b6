"""Every family of tests/families.py computes, writes, trains and is saved as by its own code."""

import json
from pathlib import Path

import peft
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from accord.data.rows import pad
from accord.engine.draw import Sampling
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.maths.losses import nll
from accord.maths.weights import weigh
from accord.models.attention import Packed
from accord.models.forms import CHECKED
from accord.models.heads import Speaker
from accord.models.load import fingerprint, load
from accord.models.lora import Lora
from accord.models.trunk import Trunk, flatten_ids
from families import FORMS, MORE
from tiny import folder, plain_logits, ragged, rows, tiny, tiny_policy
from toys import ToySpeller

ENDS = [1, 7, 21, 50, 66, 81]
SEQS = ragged((9, 3, 14, 1, 4, 20))
"""shorter than the windows, as long as they are, and longer"""
every = pytest.mark.parametrize("family", FORMS)


def flat(trunk: Trunk, seqs: list[tuple[int, ...]]) -> list[Tensor]:
    lengths = [len(ids) for ids in seqs]
    hidden_NH = trunk(flatten_ids(seqs, Packed(lengths), trunk.device))
    return list(trunk.logits(hidden_NH).split(lengths))


def alone(model: PreTrainedModel, ids: tuple[int, ...]) -> Tensor:
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def near(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=5e-5, rtol=2e-4)


@every
def test_packed_is_padded_is_alone(family):
    with torch.no_grad():
        ours, plain = flat(Trunk(tiny(family)), SEQS), tiny(family, attn="eager")
        for ids, mine, padded in zip(SEQS, ours, plain_logits(plain, SEQS), strict=True):
            assert padded.std() > 0.1, "logits without contrast would agree with anything"
            near(mine, padded)
            near(mine, alone(plain, ids))


@every
def test_gradients_are_those_of_its_own_code(family):
    ours = tiny(family).requires_grad_(True)
    plain = tiny(family, attn="eager").requires_grad_(True)
    prices = [torch.linspace(-1, 1, len(ids) * 97).view(len(ids), 97) for ids in SEQS]
    mine = [(x * p).sum() for x, p in zip(flat(Trunk(ours), SEQS), prices, strict=True)]
    torch.stack(mine).sum().backward()
    for ids, price in zip(SEQS, prices, strict=True):
        (alone(plain, ids) * price).sum().backward()
    wanted = {name: w.grad for name, w in plain.named_parameters() if w.grad is not None}
    found = {name: w.grad for name, w in ours.named_parameters() if w.grad is not None}
    assert found.keys() == wanted.keys()
    assert len(wanted) > 10
    typical = torch.stack([g.norm() for g in wanted.values()]).median()
    for name, grad in wanted.items():  # a bias of keys has no gradient but rounding
        assert float((found[name] - grad).norm() / (grad.norm() + typical / 100)) < 1e-3, name


@every
def test_greedy_is_generate(family):
    """Prompts on both sides of the window; several ends; slots that are refilled."""
    plain, policy = tiny(family, attn="eager"), tiny_policy(family, ends=frozenset(ENDS))
    policy.slots, prompts = 3, ragged((3, 9, 1, 5, 12))
    said = policy.sample(prompts, longest=10, seed=0, how=Sampling(temperature=0))
    for prompt, answer in zip(prompts, said, strict=True):
        wanted = plain.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=10,
            eos_token_id=ENDS,
            pad_token_id=0,
        )
        assert list(answer.response_ids) == wanted[0, len(prompt) :].tolist()


@every
def test_log_probs_of_sampler_trainer_and_plain_code_agree(family):
    policy, plain = tiny_policy(family), tiny(family, attn="eager")
    said = policy.sample(ragged((3, 9, 5)), n=2, longest=8, seed=1)
    tokens = pad([r.prompt_ids for r in said], [r.response_ids for r in said])
    for rollout, ours_T, mask_T in zip(said, policy.logp(tokens), tokens.mask_BT, strict=True):
        ids = (*rollout.prompt_ids, *rollout.response_ids)
        with torch.no_grad():
            all_TV = alone(plain, ids).log_softmax(-1)
        wanted = [float(all_TV[t - 1, ids[t]]) for t in range(len(rollout.prompt_ids), len(ids))]
        assert ours_T[mask_T].tolist() == pytest.approx(wanted, abs=2e-4)
        assert list(rollout.logp) == pytest.approx(wanted, abs=2e-4)


@every
def test_saved_and_loaded(family, tmp_path):
    """Trained whole, exported, read by transformers: equal logits, equal weights, tied if tied."""
    policy = Policy(Speaker(Trunk(load(folder(tmp_path / "start", family)))), ToySpeller())
    policy = policy.trainable(lr=1e-3)
    rng = torch.Generator().manual_seed(0)
    for _, weight in policy.model.learned():
        weight.data.add_(torch.randn(weight.shape, generator=rng) * 0.02)
    policy.export(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    own = policy.model.trunk.model
    assert fingerprint(plain.state_dict()) == fingerprint(own.state_dict())
    assert plain.config.tie_word_embeddings == own.config.tie_word_embeddings
    tied = plain.get_output_embeddings().weight is plain.get_input_embeddings().weight
    assert tied == own.config.tie_word_embeddings
    with torch.no_grad():
        for mine, other in zip(flat(policy.model.trunk, SEQS), plain_logits(plain, SEQS)):
            near(mine, other)


@every
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft's own
def test_an_adapter_learns_and_peft_reads_it(family, tmp_path):
    policy = tiny_policy(family)
    before = policy.logp(rows())
    adapter = policy.trainable(lr=0.02, lora=Lora(r=4))
    adapter.kept = True
    assert torch.equal(adapter.logp(rows()), before), "new, it changes nothing"
    weight = weigh(rows().mask_BT)
    for _ in range(6):
        adapter.update(rows(), weight, lambda model, tokens: nll(model(tokens).logp_BT))
    gain = ((adapter.logp(rows()) - before) * weight).sum()
    assert float(gain) > 0.1
    assert torch.equal(policy.logp(rows()), before), "the base stays as it was"
    adapter.export(tmp_path)
    plain = peft.PeftModel.from_pretrained(tiny(family, attn="eager"), str(tmp_path)).eval()
    with torch.no_grad():
        hidden_NH = adapter.model.trunk(
            flatten_ids(SEQS, Packed([len(ids) for ids in SEQS]), torch.device("cpu")),
            adapter.model.using,
        )
    near(adapter.model.trunk.logits(hidden_NH), torch.cat(plain_logits(plain, SEQS)))


@every
def test_a_judge_reads_the_last_token(family):
    critic, tokens = Critic.on(tiny_policy(family), seed=3), rows()
    body, head = tiny(family, attn="eager").get_decoder(), critic.model.head
    for b, length in enumerate(tokens.length_B.tolist()):
        with torch.no_grad():
            hidden = body(tokens.ids_BT[b : b + 1, :length], use_cache=False).last_hidden_state
            wanted = float(head(hidden[0, -1]))
        assert float(critic.score(tokens)[b]) == pytest.approx(wanted, abs=1e-4)


def shaky(path: Path) -> None:
    """All that is random in training, switched on."""
    told = json.loads((path / "config.json").read_text())
    keys = ("dropout", "pdrop", "layerdrop", "input_jitter_noise")
    more = {k: 0.5 for k in told if any(word in k for word in keys)}
    if told["model_type"] == "mixtral":
        more["router_jitter_noise"] = 0.5
    (path / "config.json").write_text(json.dumps(told | more))


@every
def test_nothing_is_random_in_training(family, tmp_path):
    """Activations are recomputed, so its layers are in training mode."""
    shaky(folder(tmp_path, family))
    start = Policy(Speaker(Trunk(load(tmp_path))), ToySpeller())
    policy = start.trainable(lr=1e-3, optimizer=Optimizer(recompute=True))
    assert torch.equal(policy.logp(rows()), start.logp(rows()))
    runs: list[int] = []
    layers = [m for m in policy.model.trunk.model.modules() if m.training]
    assert len(layers) == policy.model.trunk.model.config.num_hidden_layers
    for layer in layers:
        part = next(m for m in layer.modules() if not list(m.children()))
        part.register_forward_pre_hook(lambda *_: runs.append(1))
    policy.model(rows()).logp_BT.sum().backward()
    assert len(runs) == 2 * len(layers), "each layer runs once more in the backward pass"


@every
def test_a_bf16_copy_says_exactly_what_its_reference_says(family, tmp_path):
    start = Policy(Speaker(Trunk(load(folder(tmp_path, family), dtype="bf16"))), ToySpeller())
    policy = start.trainable(lr=1e-3, optimizer=Optimizer(recompute=True))
    assert torch.equal(policy.logp(rows()), start.logp(rows()))
    policy.model(rows()).logp_BT.sum().backward()
    learning = [w.grad for _, w in policy.model.learned() if w.grad is not None]
    assert {grad.dtype for grad in learning} == {torch.float32}


def test_the_checked_families_are_these():
    assert {form.kind for form in FORMS.values()} == CHECKED
    assert not MORE.keys() - FORMS.keys()


def test_the_page_lists_them(root):
    """docs/models.md shows the table of this test, row by row and nothing else."""
    page = (root / "docs" / "models.md").read_text().splitlines()
    start = page.index("| family | `model_type` | what its tiny model has |") + 2
    wanted = [f"| {name} | `{form.kind}` | {form.ways} |" for name, form in FORMS.items()]
    assert page[start : start + len(wanted)] == wanted
    assert page[start + len(wanted)] == ""
