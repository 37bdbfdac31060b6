"""Advantages against their definitions, the identities between them, and what a mask must hide."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.maths.advantages import (
    GAE,
    BatchMean,
    BatchNorm,
    GroupMean,
    LeaveOneOut,
    flat,
    gae,
    whiten,
)

quick = settings(max_examples=50, deadline=None, derandomize=True, database=None)
share = st.floats(0, 1)
seeds = st.integers(0, 10_000)
NAN = float("nan")


def noise(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=draw)


def some(*shape, seed=0):
    """A mask with True and False in any order."""
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=draw) < 0.6


def everything(x):
    return torch.ones_like(x, dtype=torch.bool)


# --- gae ---


def gae_slowly(reward, value, mask, gamma, lam, after):
    """Σ_l (γλ)^l δ_{t+l} over the tokens in the mask, as if there were no others."""
    at = [t for t, real in enumerate(mask) if real]
    values = [value[t] for t in at] + [after]
    delta = [reward[t] + gamma * values[i + 1] - values[i] for i, t in enumerate(at)]
    adv = [0.0] * len(mask)
    for i, t in enumerate(at):
        adv[t] = sum((gamma * lam) ** (j - i) * delta[j] for j in range(i, len(at)))
    return adv


@quick
@given(seeds, st.integers(1, 7), share, share, st.booleans())
def test_gae_by_definition(seed, T, gamma, lam, cut):
    r, v, mask = noise(3, T, seed=seed), noise(3, T, seed=seed + 1), some(3, T, seed=seed)
    after_B = noise(3, seed=seed + 2) if cut else None
    got = gae(r, v, mask, gamma=gamma, lam=lam, bootstrap_B=after_B)
    for b in range(3):
        row = r[b].tolist(), v[b].tolist(), mask[b].tolist()
        after = float(after_B[b]) if cut else 0.0
        assert got[b].tolist() == pytest.approx(gae_slowly(*row, gamma, lam, after))


def test_gae_with_lambda_one_is_return_minus_value():
    r, v = noise(2, 6), noise(2, 6, seed=1)
    to_go = r.flip(1).cumsum(1).flip(1)
    assert torch.allclose(gae(r, v, everything(r), gamma=1.0, lam=1.0), to_go - v)


def test_gae_with_lambda_zero_is_the_one_step_error():
    r, v = noise(2, 6), noise(2, 6, seed=1)
    after = torch.cat([v[:, 1:], torch.zeros(2, 1)], 1)
    assert torch.allclose(gae(r, v, everything(r), gamma=0.9, lam=0.0), r + 0.9 * after - v)


def test_a_perfect_critic_leaves_no_advantage():
    r = noise(2, 6)
    v = r.flip(1).cumsum(1).flip(1)
    for lam in (0.0, 0.5, 1.0):
        assert gae(r, v, everything(r), gamma=1.0, lam=lam).abs().max() < 1e-12


def test_gae_looks_ahead_only():
    r, v = noise(1, 6), noise(1, 6, seed=1)
    before = gae(r, v, everything(r), gamma=0.9, lam=0.9)
    r[0, 2] += 1
    moved = gae(r, v, everything(r), gamma=0.9, lam=0.9) - before
    assert moved[0].tolist() == pytest.approx([0.81**2, 0.81, 1, 0, 0, 0])


def test_gae_never_sees_what_is_masked():
    """A prompt before and padding after, full of NaN, change not a bit."""
    r, v = noise(2, 3), noise(2, 3, seed=1)
    want = gae(r, v, everything(r), gamma=0.9, lam=0.8)
    hidden = torch.full((2, 2), NAN, dtype=torch.float64)
    wide = [torch.cat([hidden, x, hidden], 1) for x in (r, v)]
    mask = torch.tensor([[0, 0, 1, 1, 1, 0, 0]] * 2, dtype=torch.bool)
    got = gae(*wide, mask, gamma=0.9, lam=0.8)
    assert torch.equal(got[:, 2:5], want)
    assert not got[~mask].any()


def test_a_cut_episode_goes_on_at_its_bootstrap_value():
    """Cutting where the next value is known equals going on with a critic that is right."""
    r, v = noise(1, 6), noise(1, 6, seed=1)
    whole = gae(r, v, everything(r), gamma=0.9, lam=0.0)
    cut = gae(r[:, :4], v[:, :4], everything(r[:, :4]), gamma=0.9, lam=0.0, bootstrap_B=v[:, 4])
    assert torch.allclose(cut, whole[:, :4])
    by = GAE(gamma=0.9, lam=0.0)(r[:, :4], v[:, :4], everything(r[:, :4]), v[:, 4])
    assert torch.equal(by, cut)


# --- whiten ---


def test_whiten_by_definition():
    x, mask = noise(4, 5), some(4, 5)
    real = x[mask].tolist()
    mean = sum(real) / len(real)
    var = sum((one - mean) ** 2 for one in real) / len(real)
    want = torch.where(mask, (x - mean) / (var + 1e-8) ** 0.5, 0.0)
    assert torch.allclose(whiten(x, mask), want, atol=1e-12)
    kept = whiten(x, mask, shift_mean=False)
    assert torch.allclose(kept, torch.where(mask, want + mean, 0.0), atol=1e-12)


def test_whitened_has_mean_zero_and_population_variance_one():
    x, mask = 3 + 5 * noise(4, 5), some(4, 5)
    white = whiten(x, mask)[mask]
    assert white.mean().abs() < 1e-12
    assert float(white.var(correction=0)) == pytest.approx(1, abs=1e-6)


def test_rewards_that_keep_their_mean_keep_it():
    x, mask = 3 + 5 * noise(4, 5), some(4, 5)
    assert float(whiten(x, mask, shift_mean=False)[mask].mean()) == pytest.approx(
        float(x[mask].mean())
    )


def test_whiten_never_sees_what_is_masked():
    x, mask = noise(4, 5), some(4, 5)
    got = whiten(torch.where(mask, x, NAN), mask)
    assert torch.equal(got, whiten(x, mask))
    assert not got[~mask].any()


@pytest.mark.parametrize("mask", [[[1, 1, 1]], [[0, 1, 0]], [[0, 0, 0]]])
def test_what_does_not_vary_whitens_to_zero(mask):
    same = torch.full((1, 3), 7.0)
    assert torch.equal(whiten(same, torch.tensor(mask, dtype=torch.bool)), torch.zeros(1, 3))


# --- group baselines ---

BASELINES = [
    LeaveOneOut(),
    GroupMean(),
    GroupMean(scale=False),
    BatchMean(),
    BatchNorm(),
    BatchNorm(baseline=True),
]


def whole(baseline, score, real=None):
    """Both moments of it, for answers of one token each."""
    adv = baseline(score, real)
    return baseline.lay(adv, everything(score) if real is None else real)


def test_leave_one_out_by_definition():
    score = noise(3, 5)
    for p, group in enumerate(score.tolist()):
        for g, own in enumerate(group):
            others = group[:g] + group[g + 1 :]
            assert float(LeaveOneOut()(score)[p, g]) == pytest.approx(own - sum(others) / 4)


def test_group_mean_by_definition():
    score = noise(3, 5)
    for p, group in enumerate(score.tolist()):
        mean = sum(group) / 5
        std = (sum((one - mean) ** 2 for one in group) / 4) ** 0.5
        want = [(one - mean) / (std + 1e-4) for one in group]
        assert GroupMean()(score)[p].tolist() == pytest.approx(want, rel=1e-12)
        assert GroupMean(scale=False)(score)[p].tolist() == pytest.approx(
            [one - mean for one in group]
        )


@pytest.mark.parametrize("G", [2, 3, 8])
def test_leave_one_out_is_the_centred_score_by_g_over_g_less_one(G):
    score = noise(4, G)
    centred = GroupMean(scale=False)(score)
    assert torch.allclose(LeaveOneOut()(score), centred * G / (G - 1))


def test_leave_one_out_of_two_is_the_difference():
    assert LeaveOneOut()(torch.tensor([[3.0, 1.0]])).tolist() == [[2, -2]]


def test_reinforce_plus_plus_is_whitening_of_the_batch():
    score = noise(3, 4)
    assert torch.allclose(whole(BatchNorm(), score), whiten(score, everything(score)))
    centred = score - score.mean(1, keepdim=True)
    white = whiten(centred, everything(score))
    assert torch.allclose(whole(BatchNorm(baseline=True), score), white)
    two = torch.tensor([[1.0], [3.0]])
    assert whole(BatchNorm(), two).flatten().tolist() == pytest.approx([-1, 1])


@quick
@given(seeds, st.sampled_from(BASELINES), st.floats(-5, 5))
def test_a_constant_added_to_all_scores_changes_nothing(seed, baseline, shift):
    score = noise(3, 4, seed=seed)
    assert torch.allclose(whole(baseline, score + shift), whole(baseline, score), atol=1e-9)


@quick
@given(seeds, st.sampled_from(BASELINES))
def test_within_a_group_the_order_of_scores_is_kept(seed, baseline):
    score = noise(3, 4, seed=seed)
    assert torch.equal(whole(baseline, score).argsort(1), score.argsort(1))


@pytest.mark.parametrize("baseline", BASELINES)
def test_advantages_sum_to_zero_where_they_are_centred(baseline):
    adv = whole(baseline, noise(3, 4))
    by_group = baseline.groups
    assert (adv.sum(1) if by_group else adv.sum()).abs().max() < 1e-9


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_prompt_s_own_difficulty_counts_only_without_a_group_baseline(baseline):
    score = noise(3, 4)
    easier = score + torch.tensor([[0.0], [5.0], [0.0]])
    same = torch.allclose(whole(baseline, score), whole(baseline, easier), atol=1e-9)
    assert same == baseline.groups
    assert baseline.groups == (baseline not in (BatchNorm(), BatchMean()))


@pytest.mark.parametrize("baseline", [b for b in BASELINES if b.groups])
def test_equal_scores_teach_nothing_and_groups_of_one_are_refused(baseline):
    assert not baseline(torch.full((2, 3), 4.0)).any()
    with pytest.raises(ValueError, match="at least 2"):
        baseline(torch.ones(3, 1))


def test_only_grpo_forgets_the_scale():
    score = noise(3, 4)
    for baseline in BASELINES:
        grown = whole(baseline, 10 * score) / whole(baseline, score)
        by = 10 if baseline in (LeaveOneOut(), GroupMean(scale=False), BatchMean()) else 1
        assert torch.allclose(grown, torch.full_like(grown, by), rtol=1e-2)


def test_batch_mean_by_definition():
    score = noise(2, 3)
    every = score.flatten().tolist()
    for i, got in enumerate(BatchMean()(score).flatten().tolist()):
        others = every[:i] + every[i + 1 :]
        assert got == pytest.approx(every[i] - sum(others) / 5)
    with pytest.raises(ValueError, match="at least 2"):
        BatchMean()(torch.ones(1, 1))


@quick
@given(seeds, st.sampled_from(BASELINES))
def test_an_answer_without_a_score_is_as_if_it_were_not_there(seed, baseline):
    """Ragged groups, NaN where nothing is known: each is what it would be alone, or beside."""
    score = noise(3, 4, seed=seed)
    real = torch.ones(3, 4, dtype=torch.bool)
    real[1, 2] = real[2, 0] = real[2, 1] = real[2, 3] = False
    got = whole(baseline, torch.where(real, score, NAN), real)
    assert not got[~real].any()
    if baseline.groups and baseline != BatchNorm(baseline=True):
        few = score[1][real[1]][None]
        assert torch.allclose(got[1][real[1]], baseline(few)[0])
        assert not got[2].any(), "one answer alone has nobody to be compared with"
    else:
        centred = score[:2] - torch.where(real, score, 0.0)[:2].sum(1, True) / real[:2].sum(1, True)
        shift = baseline == BatchNorm(baseline=True)
        kept = torch.cat([(centred if shift else score[:2])[real[:2]], score[2, 2:3] * (not shift)])
        want = whole(BatchMean() if baseline == BatchMean() else BatchNorm(), kept[:, None])
        assert torch.allclose(got[real], want[:, 0])


def test_a_flat_group_teaches_exactly_nothing():
    """Sums of tenths are rounded: what is left of a mean would be divided by 1e-4."""
    tenth = torch.full((1, 7), 0.1)
    assert (tenth - tenth.sum(1, keepdim=True) / 7).any(), "else this shows nothing"
    for baseline in BASELINES:
        if baseline.groups:
            assert not baseline(tenth).any()


def test_flat_groups():
    score = torch.tensor([[1.0, 1.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    real = torch.tensor([[1, 1], [1, 1], [1, 0], [0, 0]], dtype=torch.bool)
    assert flat(score, real).tolist() == [True, False, True, True]


# --- all ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_gradient_flows_and_dtypes_are_kept(dtype):
    x = torch.randn(3, 4, dtype=dtype, requires_grad=True)
    made = [gae(x, x, everything(x), gamma=1.0, lam=0.9), whiten(x, everything(x))]
    made += [whole(baseline, x) for baseline in BASELINES]
    made += [baseline(x) for baseline in BASELINES if type(baseline) is not BatchNorm]
    for adv in made:
        assert not adv.requires_grad
        assert (adv.dtype, adv.shape) == (dtype, x.shape)


def test_gae_as_an_option_is_the_function():
    torch.manual_seed(0)
    reward, value = torch.randn(3, 5), torch.randn(3, 5)
    mask = torch.arange(5) < torch.tensor([[5], [3], [1]])
    want = gae(reward, value, mask, gamma=0.9, lam=0.3)
    assert torch.equal(GAE(gamma=0.9, lam=0.3)(reward, value, mask), want)
    for bad in ({"gamma": 1.1}, {"lam": -0.1}):
        with pytest.raises(ValueError, match="from 0 to 1"):
            GAE(**bad)
