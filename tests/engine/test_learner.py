"""The one optimizer loop: it adds, it stops at a NaN, and it takes up exactly where it stopped."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from accord.data.rows import Rows, Tokens
from accord.engine.handle import Handle
from accord.engine.learner import Learner, micro_batches
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.errors import BadModel, NotFinite
from accord.maths.losses import Loss, nll
from accord.maths.optim import AdamTF
from accord.maths.weights import weigh
from accord.models.heads import Judge, Speaker
from accord.models.lora import Lora
from accord.models.trunk import Trunk
from tiny import rows, tiny, tiny_policy
from toys import ToySpeller, in_float64

LORA = Lora(r=3)
NAMES = ["ann", "bob", "cem", "dua"]


def imitate(model: Speaker, tokens: Tokens) -> Loss:
    return nll(model(tokens).logp_BT)


def foresee(model: Judge, tokens: Tokens) -> Loss:
    return Loss((model(tokens) - 1) ** 2, {"value": model(tokens).detach()})


def exact(seed: int = 0) -> Policy:
    """In float64, norms included."""
    model = in_float64(tiny(seed=seed).double())
    return Policy(Speaker(Trunk(model, "tiny")), ToySpeller())


def weight_of(tokens: Tokens, by="token") -> Tensor:
    return weigh(tokens.mask_BT, by).double()


def step_of(handle: Handle, few: Rows, w: Tensor, objective, how: Optimizer):
    """(gradients as the optimizer sees them, what was said of the update)."""
    copy = handle.trainable(lr=1e-3, optimizer=how)
    grads: dict[str, Tensor] = {}

    def note(lr: float) -> None:
        grads.update({n: p.grad.clone() for n, p in copy.learner.weights.items()})

    copy.learner.steps.step = note
    return grads, copy.learner.update(few, w, objective)


LOOSE = Optimizer(max_norm=1e9)


@pytest.mark.parametrize("by", ["token", "sequence"])
@pytest.mark.parametrize("part", ["speaker", "judge"])
def test_no_cut_changes_a_gradient(part, by):
    handle = exact() if part == "speaker" else Critic.on(exact())
    objective = imitate if part == "speaker" else foresee
    few = rows()
    order = torch.tensor([2, 0, 3, 1])
    first, seen = step_of(handle, few, weight_of(few, by), objective, LOOSE)
    assert sum(float(g.abs().sum()) for g in first.values()) > 1
    for micro in (1, 6, 7, 14, 20):
        for index in (torch.arange(4), order):
            mixed = few.take(index)
            how = replace(LOOSE, micro_tokens=micro)
            got, said = step_of(handle, mixed, weight_of(mixed, by), objective, how)
            for name, want in first.items():
                torch.testing.assert_close(got[name], want, atol=1e-12, rtol=0)
            assert said == pytest.approx(seen, abs=1e-11)


def test_the_gradient_is_that_of_plain_transformers():
    """-Σ w log π by autograd through transformers' own code, a row at a time."""
    few, w_BT = rows(), weight_of(rows(), "sequence")
    plain = in_float64(tiny(attn="eager").double()).requires_grad_(True)
    total = torch.zeros((), dtype=torch.float64)
    for b, n in enumerate(few.length_B.tolist()):
        ids = few.ids_BT[b, :n]
        logp_TV = plain(ids[None]).logits[0].log_softmax(-1)
        for t in few.mask_BT[b].nonzero()[:, 0].tolist():
            total = total - w_BT[b, t] * logp_TV[t - 1, ids[t]]
    total.backward()
    got, seen = step_of(exact(), few, w_BT, imitate, replace(LOOSE, micro_tokens=8))
    want = dict(plain.named_parameters())
    assert got.keys() == want.keys()
    for name, grad in got.items():
        torch.testing.assert_close(grad, want[name].grad, atol=1e-6, rtol=1e-6)
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in want.values()))
    assert seen == pytest.approx({"loss": float(total.detach()), "grad_norm": norm}, rel=1e-6)


def test_micro_batches_part_the_rows():
    cost_B = torch.tensor([3, 3, 9, 1, 1, 1, 4])
    lots = [lot.tolist() for lot in micro_batches(cost_B, 6)]
    assert lots == [[0, 1], [2], [3, 4, 5], [6]]
    assert [lot.tolist() for lot in micro_batches(cost_B, 1)] == [[i] for i in range(7)]
    assert list(micro_batches(cost_B[:0], 6)) == []


def test_clipping():
    few, w = rows(), weight_of(rows())
    free, seen = step_of(exact(), few, w, imitate, LOOSE)
    norm = seen["grad_norm"]
    held, said = step_of(exact(), few, w, imitate, Optimizer(max_norm=norm / 4))
    assert said["grad_norm"] == pytest.approx(norm), "the norm told is the one before clipping"
    for name, grad in held.items():
        torch.testing.assert_close(grad, free[name] / 4, atol=1e-5 * norm, rtol=1e-5)
    same, _ = step_of(exact(), few, w, imitate, Optimizer(max_norm=norm * 1.01))
    assert all(torch.equal(grad, free[name]) for name, grad in same.items())


@pytest.mark.parametrize(
    "how",
    [
        Optimizer(),
        Optimizer(form="tf", eps=1e-3),
        Optimizer(betas=(0.5, 0.6)),
        Optimizer(eps=0.1),
        Optimizer(weight_decay=0.3),
        Optimizer(max_norm=0.1),
    ],
    ids=str,
)
def test_updates_are_the_optimizers(how):
    """Three updates, one of another lr, against the optimizer fed by hand."""
    policy = exact().trainable(lr=2e-3, optimizer=how)
    twin = exact().trainable(lr=2e-3, optimizer=how)
    params = list(twin.learner.weights.values())
    kind = AdamTF if how.form == "tf" else torch.optim.AdamW
    by_hand = kind(params, 2e-3, how.betas, how.eps, weight_decay=how.weight_decay)
    few, w = rows(), weight_of(rows())
    for lr in (None, 7e-3, None):
        policy.learner.update(few, w, imitate, lr=lr)
        by_hand.param_groups[0]["lr"] = lr or 2e-3
        (imitate(twin.model, few).each * w).sum().backward()
        torch.nn.utils.clip_grad_norm_(params, how.max_norm)
        by_hand.step()
        by_hand.zero_grad()
    for (name, ours), wanted in zip(policy.learner.weights.items(), params, strict=True):
        torch.testing.assert_close(ours, wanted, atol=1e-9, rtol=0, msg=name)
    assert policy.version == policy.learner.version == 3


def test_a_rate_of_zero_moves_nothing_and_is_not_the_default():
    policy = tiny_policy().trainable(lr=1e-2)
    before = policy.logp(rows())
    policy.learner.update(rows(), weigh(rows().mask_BT), imitate, lr=0.0)
    assert torch.equal(policy.logp(rows()), before)
    assert policy.version == 1


def test_watch_is_weighed_like_the_loss():
    few, w = rows(), weight_of(rows())
    critic = Critic.on(exact())
    _, seen = step_of(critic, few, w, foresee, replace(LOOSE, micro_tokens=7))
    value = critic.value(few)
    assert seen["value"] == pytest.approx(float((value * w).sum()), abs=1e-9)
    assert seen["loss"] == pytest.approx(float(((value - 1) ** 2 * w).sum()), abs=1e-9)


def test_weights_must_have_the_shape_of_the_loss():
    policy, square = tiny_policy().trainable(lr=1e-3), rows((1, 1, 1), (2, 2, 2))
    with pytest.raises(ValueError, match=r"weights of shape \(3,\) for numbers of \(3, 3\)"):
        policy.learner.update(square, torch.ones(3), imitate)


# --- what is not finite ---


@dataclass(frozen=True)
class Priced(Rows):
    """Tokens with a price each."""

    tokens: Tokens
    price_BT: Tensor


def pay(model: Speaker, few: Priced) -> Loss:
    return Loss(-model(few.tokens).logp_BT * few.price_BT)


def root(model: Speaker, few: Priced) -> Loss:
    """Finite, but with an infinite slope where the price is nought."""
    return Loss((model(few.tokens).logp_BT * few.price_BT).abs().sqrt())


def priced(row: int | None = None, price: float = float("nan")) -> Priced:
    few = rows()
    price_BT = torch.ones(few.mask_BT.shape)
    if row is not None:
        price_BT[row, few.last_B[row]] = price
    return Priced(few, price_BT)


@pytest.mark.parametrize("micro", [1, 8, 8192])
@pytest.mark.parametrize("price", [float("nan"), float("inf")])
def test_a_nan_stops_before_the_step(tmp_path, micro, price):
    policy = tiny_policy().trainable(lr=0.1, optimizer=Optimizer(micro_tokens=micro))
    learner = policy.learner
    w = weigh(rows().mask_BT)
    learner.update(priced(), w, pay)
    learner.home = tmp_path / "dumps"
    weights = {n: p.detach().clone() for n, p in learner.weights.items()}
    moments = {n: v.clone() for n, v in learner.state()[1].items()}

    order = torch.tensor([3, 1, 2, 0])
    with pytest.raises(NotFinite, match=r"the loss is NaN or infinite at update 1; samples: cem"):
        learner.update(priced(2, price).take(order), w[order], pay, names=NAMES)

    assert all(torch.equal(p, weights[n]) for n, p in learner.weights.items())
    assert all(torch.equal(v, moments[n]) for n, v in learner.state()[1].items())
    assert learner.version == 1
    (file,) = (tmp_path / "dumps").iterdir()
    with safe_open(file, "pt") as dump:
        assert json.loads(dump.metadata()["samples"]) == ["cem"]
        assert dump.get_tensor("tokens.ids_BT").tolist() == rows().ids_BT[2:3].tolist()
        assert dump.get_tensor("tokens.row_B").tolist() == [2]
        assert not dump.get_tensor("price_BT").isfinite().all()


def test_after_a_stop_the_next_update_is_as_if_nothing_had_been():
    one, two = (
        tiny_policy().trainable(lr=0.1, optimizer=Optimizer(micro_tokens=1)) for _ in range(2)
    )
    w = weigh(rows().mask_BT)
    with pytest.raises(NotFinite, match=r"samples: row 3.*nowhere: this run is in memory only"):
        one.learner.update(priced(3), w, pay)
    for policy in (one, two):
        policy.learner.update(priced(), w, pay)
    assert torch.equal(one.logp(rows()), two.logp(rows()))


def test_an_infinite_gradient_of_a_finite_loss_stops_too(tmp_path):
    policy = tiny_policy().trainable(lr=0.1)
    policy.learner.home = tmp_path
    before = policy.logp(rows())
    with pytest.raises(NotFinite, match=r"gradient is NaN or infinite at update 0; .*ann, bob"):
        policy.learner.update(priced(1, 0.0), weigh(rows().mask_BT), root, names=NAMES)
    assert torch.equal(policy.logp(rows()), before)
    assert (tmp_path / "not-finite-update-0.safetensors").is_file()


def test_what_does_not_count_may_be_anything():
    """A NaN in a column of weight zero is neither an error nor a number that spreads."""
    few = rows()
    hole = priced()
    hole.price_BT[~few.mask_BT] = float("nan")
    one, two = (tiny_policy().trainable(lr=0.1) for _ in range(2))
    seen = one.learner.update(hole, weigh(few.mask_BT), pay)
    assert seen == two.learner.update(priced(), weigh(few.mask_BT), pay)
    assert torch.equal(one.logp(few), two.logp(few))


# --- save and load ---


def kinds() -> Iterator[tuple[str, Handle, object]]:
    yield "whole", tiny_policy(), imitate
    yield "tied", tiny_policy("one key head, tied"), imitate
    yield "critic", Critic.on(tiny_policy()), foresee
    yield "adapter", tiny_policy(), imitate
    yield "critic adapter", Critic.on(tiny_policy()), foresee


@pytest.mark.parametrize("form", ["torch", "tf"])
@pytest.mark.parametrize("kind", ["whole", "tied", "critic", "adapter", "critic adapter"])
def test_the_next_update_after_a_resume_is_bit_equal(kind, form, tmp_path):
    def start() -> tuple[Handle, object]:
        _, handle, objective = next(k for k in kinds() if k[0] == kind)
        lora = LORA if "adapter" in kind else None
        how = Optimizer(form=form)
        return handle.trainable(lr=1e-2, lora=lora, optimizer=how), objective

    (one, objective), (two, _) = start(), start()
    w = weigh(rows().mask_BT)
    for _ in range(3):
        one.learner.update(rows(), w, objective)
    if isinstance(one, Critic):
        one.normalise(1.5, -0.25)
    one.save(tmp_path)
    two.learner.update(rows(), w, objective)  # a past that must leave no trace
    two.load(tmp_path)
    assert two.version == 3
    for _ in range(2):
        seen = [h.learner.update(rows(), w, objective, lr=3e-3) for h in (one, two)]
        assert seen[0] == seen[1]
    for (name, a), b in zip(one.learner.weights.items(), two.learner.weights.values(), strict=True):
        assert torch.equal(a, b), name
    assert one.fingerprint == two.fingerprint


def test_without_moments_the_next_update_would_differ(tmp_path):
    """So the test above can fail."""
    one, two = (tiny_policy().trainable(lr=1e-2) for _ in range(2))
    w = weigh(rows().mask_BT)
    for _ in range(3):
        one.learner.update(rows(), w, imitate)
    one.save(tmp_path)
    two.load(tmp_path)
    two.learner.steps.optimizer.state.clear()
    for policy in (one, two):
        policy.learner.update(rows(), w, imitate)
    assert not torch.equal(one.logp(rows()), two.logp(rows()))


def other(kind: str) -> Learner:
    handle: Handle = tiny_policy()
    match kind:
        case "wider":
            return tiny_policy(intermediate_size=64).trainable(lr=1e-2).learner
        case "deeper":
            return tiny_policy(num_hidden_layers=3).trainable(lr=1e-2).learner
        case "critic":
            handle = Critic.on(handle)
        case "adapter":
            return handle.trainable(lr=1e-2, lora=LORA).learner
    return handle.trainable(lr=1e-2).learner


@pytest.mark.parametrize("kind", ["wider", "deeper", "critic", "adapter"])
def test_another_models_state_is_refused(kind, tmp_path):
    learner = other(kind)
    before = {n: w.detach().clone() for n, w in learner.weights.items()}
    tiny_policy(seed=1).trainable(lr=1e-2).save(tmp_path)
    with pytest.raises(BadModel, match=r"the saved weights are of another model: .* differs"):
        learner.load(tmp_path)
    assert all(torch.equal(w, before[n]) for n, w in learner.weights.items())


@pytest.mark.parametrize("file", ["weights.safetensors", "moments.safetensors"])
def test_a_missing_file_is_named(file, tmp_path: Path):
    policy = tiny_policy().trainable(lr=1e-2)
    policy.save(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(BadModel, match=f"{file} is missing"):
        policy.load(tmp_path)
