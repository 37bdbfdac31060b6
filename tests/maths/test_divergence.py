"""The estimators of KL against the sum they estimate, and their gradients against its."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.maths.divergence import exact, k1, k2, k3, positive

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)
logits = st.lists(st.floats(-3, 3), min_size=2, max_size=6)
INF = float("inf")


def two(seed=0, shape=(3, 4, 7)):
    draw = torch.Generator().manual_seed(seed)
    pair = torch.randn(2, *shape, dtype=torch.float64, generator=draw)
    return pair.log_softmax(-1)


def test_exact_is_torchs_own():
    logp, ref = two()
    want = torch.nn.functional.kl_div(ref, logp, reduction="none", log_target=True).sum(-1)
    assert exact(logp, ref).shape == (3, 4)
    assert torch.allclose(exact(logp, ref), want, atol=1e-12)


@quick
@given(logits, st.randoms(use_true_random=False))
def test_exact_is_never_negative_and_zero_for_equals(numbers, random):
    logp = torch.tensor(numbers, dtype=torch.float64).log_softmax(-1)
    other = torch.tensor(random.sample(numbers, len(numbers)), dtype=torch.float64).log_softmax(-1)
    assert exact(logp, other) >= -1e-12
    assert exact(logp, logp) == 0


def test_k1_and_k3_are_unbiased_and_k2_is_not():
    """The sum over all that can be sampled, each as often as it is."""
    logp, ref = two()
    kl = exact(logp, ref)
    mean = {k: (logp.exp() * k(logp, ref)).sum(-1) for k in (k1, k2, k3)}
    assert torch.allclose(mean[k1], kl, atol=1e-12)
    assert torch.allclose(mean[k3], kl, atol=1e-12)
    assert not torch.allclose(mean[k2], kl, atol=1e-2)


def test_the_gradient_of_k2_is_that_of_the_kl():
    logits = torch.randn(5, dtype=torch.float64, requires_grad=True)
    ref = two(1, (5,))[1]
    logp = logits.log_softmax(-1)
    want = torch.autograd.grad(exact(logp, ref), logits, retain_graph=True)[0]
    weight = logp.detach().exp()
    for k, right in ((k2, True), (k1, False)):
        got = torch.autograd.grad((weight * k(logp, ref)).sum(), logits, retain_graph=True)[0]
        assert torch.allclose(got, want, atol=1e-12) == right, k
    assert torch.autograd.grad((weight * k1(logp, ref)).sum(), logits)[0].abs().max() < 1e-12


@quick
@given(st.floats(-5, 0), st.floats(-5, 0))
def test_by_definition(a, b):
    logp, ref = torch.tensor([a, b], dtype=torch.float64)
    d = a - b
    assert float(k1(logp, ref)) == pytest.approx(d)
    assert float(k2(logp, ref)) == pytest.approx(d * d / 2)
    assert float(k3(logp, ref)) == pytest.approx(float((ref - logp).exp()) - 1 + d, abs=1e-12)
    assert k2(logp, ref) >= 0
    assert k3(logp, ref) >= 0


def test_k3_keeps_its_digits_near_zero():
    """e⁻ᵈ - 1 + d loses everything in float32 at d = 1e-3; its value is ½ d²."""
    got = float(k3(torch.tensor(-1.0), torch.tensor(-1.0 - 2**-10)))
    assert got == pytest.approx(0.5 * 2**-20, rel=1e-3)


def test_what_is_never_said_costs_nothing_and_hurts_no_gradient():
    logits = torch.tensor([0.0, 1.0, -INF], dtype=torch.float64, requires_grad=True)
    logp = logits.log_softmax(-1)
    for ref in (torch.zeros(3).log_softmax(-1), torch.tensor([0.5, 0.5, 0.0]).log()):
        kl = exact(logp, ref.double())
        want = sum(logp[v].exp() * (logp[v] - ref[v]) for v in (0, 1))
        assert float(kl.detach()) == pytest.approx(float(want.detach()))
        assert torch.autograd.grad(kl, logits, retain_graph=True)[0].isfinite().all()


def test_saying_what_the_reference_never_says_is_infinitely_far():
    half = torch.tensor([0.5, 0.5]).log()
    assert exact(half, torch.tensor([1.0, 0.0]).log()) == INF


def test_positive_charges_one_side_only():
    logp = torch.tensor([-1.0, -2.0, -0.5], dtype=torch.float64)
    ref = torch.tensor([-1.5, -1.0, -0.5], dtype=torch.float64)
    assert positive(logp, ref).tolist() == [0.5, 0.0, 0.0]
    assert positive(logp, ref).sum() > k1(logp, ref).sum(), "biased upwards"
