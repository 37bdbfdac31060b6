"""Preferences between segments: against the definition, and by sign."""

import math

import pytest
import torch

from accord.maths.segments import disagreement, prefer


def some(seed=0, shape=(5, 2, 4, 3)):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def slowly(reward_BKTE, q_B, noise):
    """-log of the mixture, one comparison and one member at a time."""
    B, _, T, E = reward_BKTE.shape
    out = torch.zeros(B, E, dtype=torch.float64)
    for b in range(B):
        for e in range(E):
            first = math.exp(sum(float(reward_BKTE[b, 0, t, e]) for t in range(T)))
            second = math.exp(sum(float(reward_BKTE[b, 1, t, e]) for t in range(T)))
            p = (1 - noise) * first / (first + second) + noise / 2
            out[b, e] = -q_B[b] * math.log(p) - (1 - q_B[b]) * math.log(1 - p)
    return out


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_it_is_its_definition(noise):
    q_B = torch.tensor([1.0, 0.0, 0.5, 0.3, 1.0])
    loss = prefer(some(), q_B, noise=noise)
    torch.testing.assert_close(loss.each, slowly(some(), q_B.double(), noise), rtol=1e-9, atol=0)
    assert loss.each.shape == loss.watch["rewards/accuracies"].shape == (5, 3)


def test_segments_that_are_alike_cost_log_two():
    same = some()[:, :1].expand(-1, 2, -1, -1)
    for q in (0.0, 0.5, 1.0):
        each = prefer(same, torch.full((5,), q), noise=0.1).each
        torch.testing.assert_close(each, torch.full((5, 3), math.log(2)).double())


def test_a_judge_may_err_however_wide_the_gap():
    """No label costs more than the coin does; without a coin the loss stays finite."""
    reward = torch.zeros(1, 2, 4, 1, dtype=torch.float64)
    reward[0, 0] = 1e3
    assert float(prefer(reward, torch.zeros(1), noise=0.1).each) == pytest.approx(-math.log(0.05))
    wide = reward.clone().requires_grad_()
    loss = prefer(wide, torch.ones(1), noise=0.0).each
    loss.sum().backward()
    assert float(loss.detach()) == 0
    assert wide.grad.isfinite().all()


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_what_was_preferred_gains_at_every_step_alike(noise):
    reward = some().requires_grad_()
    prefer(reward, torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0]), noise=noise).each.sum().backward()
    sign = torch.tensor([-1.0, 1.0, -1.0, 1.0, -1.0]).double()[:, None, None]
    assert (reward.grad[:, 0] * sign > 0).all()
    torch.testing.assert_close(reward.grad[:, 0], -reward.grad[:, 1])
    torch.testing.assert_close(reward.grad[:, :, :1].expand_as(reward), reward.grad)


def test_accuracy_counts_ties_by_half():
    reward = torch.tensor([[[[1.0, 0.0, -1.0]], [[0.0, 0.0, 0.0]]]] * 3)
    q_B = torch.tensor([1.0, 0.0, 0.5])
    told = prefer(reward, q_B, noise=0.1).watch["rewards/accuracies"]
    assert told.tolist() == [[1.0, 0.5, 0.0], [0.0, 0.5, 1.0], [0.5, 0.5, 0.5]]


def test_disagreement_is_of_the_preference():
    """Members that all prefer the same by far agree, whatever their units."""
    reward = torch.zeros(3, 2, 1, 2, dtype=torch.float64)
    reward[0, 0, 0] = torch.tensor([50.0, 500.0])
    reward[1, 0, 0] = torch.tensor([-2.0, 2.0])
    p = 1 / (1 + math.exp(-2))
    want = [0.0, (p - 0.5) ** 2, 0.0]
    torch.testing.assert_close(disagreement(reward), torch.tensor(want).double())
    one = some()
    torch.testing.assert_close(disagreement(one), disagreement(one.flip(-1)))
    torch.testing.assert_close(disagreement(one), disagreement(one.flip(1)))
