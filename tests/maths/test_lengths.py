"""Win rates at equal length: on simulated judges whose taste is known, and by a slow definition."""

import random
from statistics import fmean

import pytest
import torch
import torch.nn.functional as F

from accord.maths import lengths
from accord.maths.intervals import wilson
from accord.maths.lengths import controlled, fit


def simulated(count: int, theta: float, phi: float, longer: float, *, seed: int = 0, n: int = 1):
    """Verdicts of a judge who likes the second by θ, and length by φ; it is so much longer, in
    deviations; (points, gaps), n to a prompt.
    """
    rng = random.Random(seed)
    gaps = [[50 * (longer + rng.gauss(0, 1)) for _ in range(n)] for _ in range(count)]
    rate = torch.sigmoid(theta + phi * torch.tanh(torch.tensor(gaps) / 50))
    return [[float(rng.random() < p) for p in few] for few in rate.tolist()], gaps


def flat(rows) -> list[float]:
    return [x for few in rows for x in few]


@pytest.mark.parametrize(("theta", "phi"), [(0.0, 2.0), (0.6, -1.5), (-0.8, 1.0), (0.5, 0.0)])
def test_what_a_judge_really_thinks_is_found(theta, phi):
    points, gaps = simulated(4000, theta, phi, longer=1.0)
    found = controlled(points, gaps)
    assert found
    true = float(torch.sigmoid(torch.tensor(theta)))
    assert found.rate == pytest.approx(true, abs=0.04)
    assert found.slope == pytest.approx(phi, abs=0.25)
    assert found.low < true < found.high
    if abs(phi) > 0.5:
        raw = fmean(flat(points))
        assert (raw - true) * phi > 0, "the raw rate errs to the side of the length"
        assert abs(raw - true) > 0.1


def test_of_equal_lengths_it_is_the_raw_rate():
    points = [[1.0], [0.0], [0.5], [1.0], [1.0, None]]
    found = controlled(points, [[0.0], [0.0], [0.0], [0.0], [0.0, 3.0]])
    assert found
    assert found.rate == pytest.approx(0.7)
    assert found.slope == 0


def test_changing_sides_changes_the_side():
    points, gaps = simulated(200, 0.3, 1.0, longer=0.5)
    one = controlled(points, gaps)
    other = controlled(
        [[1 - p for p in few] for few in points], [[-g for g in few] for few in gaps]
    )
    assert one
    assert other
    assert other.rate == pytest.approx(1 - one.rate)
    assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low))
    assert other.slope == pytest.approx(one.slope)


def test_the_unit_of_length_does_not_matter_and_a_prompt_counts_once():
    points, gaps = simulated(60, 0.2, 1.0, longer=0.5)
    one = controlled(points, gaps)
    assert one == controlled(points, [[g * 4 for g in few] for few in gaps])
    twice = controlled([few * 2 for few in points], [few * 2 for few in gaps])
    assert one
    assert twice
    assert (twice.rate, twice.low, twice.high) == pytest.approx((one.rate, one.low, one.high))


def test_it_is_the_minimum_of_its_loss():
    """Found again by walking down the gradient, with weights."""
    points, gaps = simulated(80, 0.4, 1.5, longer=0.3, seed=4)
    point_N, x_N = (torch.tensor(flat(x), dtype=torch.float64) for x in (points, gaps))
    x_N = (x_N / 50).tanh()
    weight_N = torch.rand(80, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (theta,), (phi,) = fit(point_N, x_N, weight_N[None])
    both = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    walk = torch.optim.LBFGS([both], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15)

    def loss():
        walk.zero_grad()
        z_N = both[0] + both[1] * x_N
        each_N = F.binary_cross_entropy_with_logits(z_N, point_N, reduction="none")
        total = (weight_N * each_N).sum() + both[1] ** 2 / 2
        total.backward()
        return total

    walk.step(loss)
    assert [float(theta), float(phi)] == pytest.approx(both.tolist(), abs=1e-6)


def test_an_interval_holds_the_truth_as_often_as_it_says():
    """Two answers to a prompt that agree: as many prompts, not answers, are witnesses."""
    inside = 0
    for seed in range(100):
        points, gaps = simulated(120, 0.5, 1.0, longer=0.7, seed=seed)
        found = controlled([few * 2 for few in points], [few * 2 for few in gaps], draws=200)
        assert found
        inside += found.low < 0.6225 < found.high
    assert 88 <= inside <= 99


def test_what_length_explains_wholly_stays_finite():
    """The longer one always wins: at equal length nobody is ahead, and φ has an end."""
    gaps = [[10.0 * (1 if i % 2 else -1) * (1 + i % 5)] for i in range(100)]
    found = controlled([[float(few[0] > 0)] for few in gaps], gaps)
    assert found
    assert found.rate == pytest.approx(0.5, abs=0.05)
    assert 3 < found.slope < 20


def test_where_all_are_won_so_they_are():
    found = controlled([[1.0]] * 50, [[float(i)] for i in range(50)])
    assert found
    assert found.rate > 0.999
    assert (found.low, found.high) == wilson(1.0, 50), "no draw can tell how sure that is"
    lost = controlled([[0.0, 0.0]] * 9, [[1.0, 2.0]] * 9)
    assert lost
    assert lost.rate < 0.001
    assert (lost.low, lost.high) == wilson(0.0, 9)


def test_where_nothing_tells_there_is_no_number():
    assert controlled([[None], []], [[1.0], []]) is None
    assert controlled([[1.0], [0.0]], [[5.0], [5.0]]) is None


def test_the_seed_throws_the_dice():
    points, gaps = simulated(50, 0.2, 1.0, longer=0.5)
    first, same, other = (controlled(points, gaps, seed=seed) for seed in (0, 0, 1))
    assert first == same != other
    assert lengths.PRIOR == 1
