"""Handles: what is frozen stays, what is copied may change, and each knows which model it is."""

import shutil
from functools import partial

import pytest
import torch

from accord.data.rows import pad
from accord.engine.draw import Sampling
from accord.engine.handle import Handle
from accord.engine.roles import Critic, Policy
from accord.errors import BadModel
from accord.maths.losses import Loss, nll
from accord.maths.weights import weigh
from accord.models.lora import Lora
from accord.store.run import Run
from recipe_fakes import newborn
from tiny import rows, tiny_policy

LORA = Lora(r=3)


def imitate(model, tokens) -> Loss:
    return nll(model(tokens).logp_BT)


def foresee(model, tokens) -> Loss:
    return Loss((model(tokens) - 1) ** 2)


def handle_of(kind: str) -> tuple[Handle, object]:
    policy = tiny_policy()
    return (policy, imitate) if kind == "policy" else (Critic.on(policy), foresee)


def updated(handle: Handle, objective, times: int = 2, lr: float = 0.05, **how) -> Handle:
    copy = handle.trainable(lr=lr, **how)
    copy.kept = True
    for _ in range(times):
        copy.update(rows(), weigh(rows().mask_BT), objective)
    return copy


def said(handle: Handle) -> torch.Tensor:
    return handle.logp(rows()) if isinstance(handle, Policy) else handle.value(rows())


@pytest.mark.parametrize("kind", ["policy", "critic"])
def test_a_frozen_handle_says_what_to_do(kind):
    handle, objective = handle_of(kind)
    with pytest.raises(TypeError, match=r"frozen; train a copy of it: \.trainable\(lr=\.\.\.\)"):
        handle.update(rows(), weigh(rows().mask_BT), objective)
    for verb in (handle.save, handle.load):
        with pytest.raises(TypeError, match="no state to keep"):
            verb("anywhere")


@pytest.mark.parametrize("kind", ["policy", "critic"])
def test_an_unkept_handle_refuses_until_a_run_keeps_it(kind):
    handle, objective = handle_of(kind)
    copy = handle.trainable(lr=0.05)
    with pytest.raises(TypeError, match=r"no run keeps it; say run\.keep\('name', model\)"):
        copy.update(rows(), weigh(rows().mask_BT), objective)
    assert copy.version == 0
    assert torch.equal(said(copy), said(handle))
    Run().keep(kind, copy).update(rows(), weigh(rows().mask_BT), objective)
    assert copy.version == 1


@pytest.mark.parametrize("lora", [None, LORA])
@pytest.mark.parametrize("kind", ["policy", "critic"])
def test_the_one_you_hold_stays(kind, lora):
    handle, objective = handle_of(kind)
    state = {k: v.clone() for k, v in handle.model.seen().items()}
    before = said(handle)
    copy = updated(handle, objective, lora=lora)
    assert (said(copy) - before).abs().max() > 0.05, "it did learn"
    assert torch.equal(said(handle), before)
    now = handle.model.seen()
    assert now.keys() == state.keys()
    assert all(torch.equal(now[k], v) for k, v in state.items())
    assert (handle.version, copy.version) == (0, 2)


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_copy_of_a_copy_stands_alone(lora):
    first = updated(tiny_policy(), imitate, lora=lora)
    before = first.logp(rows())
    second = first.trainable(lr=0.05)
    assert torch.equal(second.logp(rows()), before)
    second.kept = True
    second.update(rows(), weigh(rows().mask_BT), imitate)
    assert torch.equal(first.logp(rows()), before)
    between = second.logp(rows())
    first.update(rows(), weigh(rows().mask_BT), imitate)
    assert torch.equal(second.logp(rows()), between)
    assert not torch.equal(first.logp(rows()), before)


@pytest.mark.parametrize(("lora", "lr"), [(None, 0.05), (LORA, 0.02)])
def test_a_loss_is_really_lowered(lora, lr):
    """A hundred steps on four answers: it must know them by heart."""
    start = tiny_policy()
    policy = updated(start, imitate, times=100, lr=lr, lora=lora)
    assert float(start.logp(rows()).sum()) < -30
    assert float(policy.logp(rows()).sum()) > -1


def test_a_policy_samples_with_the_very_weights_it_trains():
    policy = updated(tiny_policy(), imitate)
    for _ in range(2):
        drawn = policy.sample([(3, 4), (5,)], n=2, longest=6, seed=0)
        assert {r.version for r in drawn} == {policy.version}
        tokens = pad([r.prompt_ids for r in drawn], [r.response_ids for r in drawn])
        sampled = torch.tensor([x for r in drawn for x in r.logp])
        trained = policy.logp(tokens)[tokens.mask_BT]
        torch.testing.assert_close(sampled, trained, atol=1e-4, rtol=0)
        policy.update(rows(), weigh(rows().mask_BT), imitate)


# --- which model it is ---


@pytest.mark.parametrize("lora", [None, LORA])
@pytest.mark.parametrize("kind", ["policy", "critic"])
def test_the_fingerprint_changes_with_the_weights_and_only_then(kind, lora):
    handle, objective = handle_of(kind)
    first = handle.fingerprint
    assert handle_of(kind)[0].fingerprint == first, "the same weights elsewhere"
    copy = updated(handle, objective, times=1, lora=lora)
    assert handle.fingerprint == first, "tenants of its trunk are not the base's affair"
    seen = {first, copy.fingerprint}
    copy.logp(rows()) if kind == "policy" else copy.score(rows())
    assert copy.fingerprint in seen
    copy.update(rows(), weigh(rows().mask_BT), objective, lr=0.0)
    assert copy.fingerprint in seen
    for _, weight in copy.model.learned():
        kept = weight.data.clone()
        weight.data.view(-1)[-1] += 1
        seen.add(copy.fingerprint)
        weight.data.copy_(kept)
    assert len(seen) == 2 + len(list(copy.model.learned()))


def test_a_whole_copy_is_the_same_model_until_it_is_trained():
    policy = tiny_policy()
    copy = policy.trainable(lr=0.1)
    assert copy.fingerprint == policy.fingerprint
    assert Critic.on(policy).trainable(lr=0.1).fingerprint == Critic.on(policy).fingerprint
    assert Critic.on(policy).fingerprint != policy.fingerprint


def test_how_an_adapter_is_scaled_and_what_a_score_is_scaled_by_count():
    policy = tiny_policy()
    one = policy.trainable(lr=0.1, lora=Lora(r=3, alpha=3))
    two = policy.trainable(lr=0.1, lora=Lora(r=3, alpha=6))
    assert one.fingerprint != two.fingerprint
    assert one.trainable(lr=0.1).fingerprint == one.fingerprint, "named otherwise, yet the same"
    critic = Critic.on(policy)
    first = critic.fingerprint
    critic.normalise(2.0, 0.0)
    second = critic.fingerprint
    critic.normalise(2.0, 1.0)
    assert len({first, second, critic.fingerprint}) == 3


# --- the critic ---


def test_normalising_is_an_affine_map_of_every_number():
    critic = Critic.on(tiny_policy())
    score_B, value_BT = critic.score(rows()), critic.value(rows())
    critic.normalise(-2.0, 0.5)
    torch.testing.assert_close(critic.score(rows()), -2 * score_B + 0.5, atol=1e-5, rtol=0)
    want_BT = torch.where(rows().mask_BT, -2 * value_BT + 0.5, 0)
    torch.testing.assert_close(critic.value(rows()), want_BT, atol=1e-5, rtol=0)
    copy = critic.trainable(lr=0.1)
    assert torch.equal(copy.score(rows()), critic.score(rows()))


def test_zeroed_foresees_nothing_and_leaves_the_original():
    critic = Critic.on(tiny_policy())
    critic.normalise(2.0, 0.0)
    before = critic.score(rows())
    zero = critic.zeroed()
    assert zero.value(rows()).abs().max() == 0
    assert torch.equal(critic.score(rows()), before)
    assert zero.model.trunk is critic.model.trunk


def test_training_a_critic_leaves_the_policy_it_sits_on():
    policy = tiny_policy()
    before = policy.logp(rows())
    for lora in (None, LORA):
        updated(Critic.on(policy), foresee, lora=lora)
        assert torch.equal(policy.logp(rows()), before)


# --- asking ---


@pytest.mark.parametrize("lot", [1, 8, 16])
def test_lots_change_no_answer(lot):
    policy, critic = tiny_policy(), Critic.on(tiny_policy())
    asks = [partial(policy.logp, temperature=0.8), critic.score, critic.value]
    wanted = [ask(rows()) for ask in asks]
    policy.scoring.size = critic.scoring.size = lot
    for ask, want in zip(asks, wanted, strict=True):
        torch.testing.assert_close(ask(rows()), want, atol=1e-5, rtol=0)
        assert not ask(rows()).requires_grad


def test_the_number_of_slots_is_handed_on():
    policy = tiny_policy()
    policy.slots = 3
    assert policy.trainable(lr=0.1).slots == 3
    assert policy.trainable(lr=0.1, lora=LORA).slots == 3


def test_opening_sets_slots_and_precision(stories260k):
    policy = Policy.open(stories260k, dtype="bf16", slots=5)
    assert policy.slots == 5
    assert policy.model.trunk.model.dtype == torch.bfloat16
    assert policy.context == 512
    assert policy.version == 0
    assert policy.model.trunk.source == str(stories260k.resolve())
    asked = {"prompts": [(1, 403)], "longest": 5, "seed": 0, "how": Sampling(temperature=0)}
    exact = Policy.open(stories260k).sample(**asked)
    assert policy.sample(**asked)[0].response_ids == exact[0].response_ids


def test_an_adapter_names_the_base_it_was_trained_on(tmp_path):
    """Not what that base was trained from: upon it, the adapter would be another model."""
    base = updated(Policy.open(newborn(tmp_path / "born")), imitate)
    adapter = updated(base, imitate, lora=LORA)
    with pytest.raises(BadModel, match=r"trained and lies in no folder.*base\.lies\(folder\)"):
        adapter.export(tmp_path / "lost")

    base.export(tmp_path / "base")
    adapter.export(tmp_path / "adapter")
    torch.testing.assert_close(said(Policy.open(tmp_path / "adapter")), said(adapter))

    (tmp_path / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(BadModel, match=r"base lay at .*base and lies in no folder.*put it back"):
        adapter.export(tmp_path / "lost")
    base.lies(tmp_path / "elsewhere")
    adapter.export(tmp_path / "again")
    torch.testing.assert_close(said(Policy.open(tmp_path / "again")), said(adapter))

    base.update(rows(), weigh(rows().mask_BT), imitate)  # no longer what was exported
    with pytest.raises(BadModel, match="lies in no folder"):
        adapter.export(tmp_path / "lost")


def test_an_export_elsewhere_does_not_move_the_base(tmp_path):
    policy = Policy.open(newborn(tmp_path / "born"))
    policy.export(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    adapter = updated(policy, imitate, lora=LORA)
    adapter.export(tmp_path / "adapter")
    torch.testing.assert_close(said(Policy.open(tmp_path / "adapter")), said(adapter))
