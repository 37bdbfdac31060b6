"""Adam in both forms: the definition, what sets them apart, and their state."""

import math

import pytest
import torch

from accord.maths.optim import AdamTF, adam

HOW = {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}


def slowly(theta, grads, form, lr, betas, eps, weight_decay):
    m = v = 0.0
    for t, g in enumerate(grads, 1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        theta -= lr * weight_decay * theta
        bias1, bias2 = 1 - betas[0] ** t, 1 - betas[1] ** t
        if form == "tf":
            theta -= lr * math.sqrt(bias2) / bias1 * m / (math.sqrt(v) + eps)
        else:
            theta -= lr * (m / bias1) / (math.sqrt(v / bias2) + eps)
    return theta


def walk(optimizer, theta, grads):
    for g in grads:
        theta.grad = torch.full_like(theta, g)
        optimizer.step()
    return theta.detach()


def one(start=0.5):
    return torch.nn.Parameter(torch.full((2, 3), start, dtype=torch.float64))


@pytest.mark.parametrize("form", ["tf", "torch"])
def test_by_definition(form):
    grads = [0.003, -0.001, 0.0, 2.0, -0.5]
    theta = one()
    got = walk(adam([theta], form, **HOW), theta, grads)
    want = slowly(0.5, grads, form, **HOW)
    assert torch.allclose(got, torch.full_like(got, want), rtol=0, atol=1e-12)


def test_the_forms_differ_most_at_the_first_small_step():
    steps = {}
    for form in ("tf", "torch"):
        theta = one(0.0)
        walk(adam([theta], form, lr=1e-5, eps=1e-5), theta, [1e-6])
        steps[form] = -float(theta.detach()[0, 0])
    assert steps["torch"] / steps["tf"] == pytest.approx(28.8389, rel=1e-4)


def test_without_eps_the_forms_are_one():
    ends = []
    for form in ("tf", "torch"):
        theta = one()
        ends.append(walk(adam([theta], form, lr=0.01, eps=0.0), theta, [0.3, -0.2, 0.1]))
    assert torch.allclose(*ends, atol=1e-12)


@pytest.mark.parametrize("form", ["tf", "torch"])
def test_the_first_step_goes_downhill_by_about_lr(form):
    theta = one()
    got = walk(adam([theta], form, lr=0.01), theta, [3.0])
    assert torch.allclose(got, torch.full_like(got, 0.49), atol=1e-6)


def test_decay_alone_shrinks():
    theta = one()
    got = walk(adam([theta], "tf", lr=0.1, weight_decay=0.5), theta, [0.0])
    assert torch.allclose(got, torch.full_like(got, 0.5 * 0.95))


@pytest.mark.parametrize("form", ["tf", "torch"])
def test_the_learning_rate_is_read_at_each_step(form):
    theta = one()
    optimizer = adam([theta], form, lr=0.01)
    optimizer.param_groups[0]["lr"] = 0.0
    assert torch.equal(walk(optimizer, theta, [1.0]), one().detach())


def test_parameters_without_a_gradient_stay_and_get_no_state():
    theta, idle = one(), one()
    optimizer = AdamTF([theta, idle], lr=0.1, weight_decay=0.5)
    walk(optimizer, theta, [1.0])
    assert torch.equal(idle.detach(), one().detach())
    assert idle not in optimizer.state


@pytest.mark.parametrize("form", ["tf", "torch"])
def test_state_taken_over_continues_the_same_walk(form):
    whole, half = one(), one()
    walk(adam([whole], form, **HOW), whole, [0.1, -0.2, 0.3, 0.4])
    first = adam([half], form, **HOW)
    walk(first, half, [0.1, -0.2])
    second = adam([half], form, **HOW)
    second.state[half].update({k: v.clone() for k, v in first.state[half].items()})
    assert torch.equal(walk(second, half, [0.3, 0.4]), whole.detach())


def test_state_is_tensors_of_torchs_names():
    theta = one()
    states = []
    for form in ("tf", "torch"):
        optimizer = adam([theta], form, lr=0.1)
        walk(optimizer, theta, [1.0])
        states.append({k: (v.shape, v.dtype) for k, v in optimizer.state[theta].items()})
    assert states[0] == states[1]


def test_a_closure_is_refused():
    with pytest.raises(TypeError, match="closure"):
        AdamTF([one()], lr=0.1).step(lambda: 0.0)
