"""The best there is, against golden points and against everybody else; laws found again."""

import math
import random

import pytest
import torch

from accord.maths.divergence import exact
from accord.maths.frontier import Law, law, optimum

REF, REWARD = torch.tensor([0.7, 0.2, 0.1]).double(), torch.tensor([0.0, 1.0, 2.0]).double()


@pytest.mark.parametrize(
    ("beta", "reward", "kl"),
    [
        (5, 0.496263, 0.009903),
        (1, 1.019624, 0.335234),
        (0.5, 1.623206, 1.213325),
        (0.1, 1.999909, 2.301586),
    ],
)
def test_golden_points(beta: float, reward: float, kl: float) -> None:
    assert optimum(REF, REWARD, beta) == pytest.approx((reward, kl), abs=1e-6)


def test_nobody_lies_above_it() -> None:
    draw = torch.Generator().manual_seed(0)
    for beta in (0.1, 0.7, 3.0):
        top, kl = optimum(REF, REWARD, beta)
        best = top - beta * kl
        assert best == pytest.approx(beta * float((REF * (REWARD / beta).exp()).sum().log()))
        for _ in range(200):
            logp = torch.randn(3, dtype=torch.float64, generator=draw).mul(2).log_softmax(0)
            own = float(logp.exp() @ REWARD) - beta * float(exact(logp, REF.log()))
            assert own <= best + 1e-12


def test_what_the_start_never_says_is_never_best() -> None:
    ref = torch.tensor([0.5, 0.5, 0.0]).double()
    reward, kl = optimum(ref, REWARD, 0.01)
    assert reward == pytest.approx(1.0, abs=1e-9)
    assert kl == pytest.approx(math.log(2), abs=1e-9)


@pytest.mark.parametrize("form", ["bon", "rl"])
def test_a_law_is_found_again(form) -> None:
    true = Law(form, 0.9, 0.11, 1.0)
    d = [0.0, 0.4, 1.1, 2.0, 3.3, 5.0]
    found = law(d, [true(x) for x in d], form)
    assert (found.alpha, found.beta) == pytest.approx((0.9, 0.11))
    assert found.explained == pytest.approx(1.0)
    assert found.form == form


def test_laws_by_hand() -> None:
    assert Law("bon", 2.0, 0.5, 1.0)(3.0) == 3.0 * (2.0 - 1.5)
    assert Law("rl", 2.0, 0.5, 1.0)(3.0) == pytest.approx(3.0 * (2.0 - 0.5 * math.log(3.0)))
    assert Law("rl", 2.0, 0.5, 1.0)(0.0) == 0.0


@pytest.mark.parametrize("form", ["bon", "rl"])
def test_the_peak_is_where_it_is_highest(form) -> None:
    one = Law(form, 0.9, 0.3, 1.0)
    d, top = one.peak
    assert one(d) == top
    assert one(d * 1.01) < top > one(d * 0.99)


def test_no_peak_where_nothing_turns() -> None:
    assert Law("bon", 1.0, -0.1, 1.0).peak is None
    assert Law("bon", 1.0, 0.0, 1.0).peak is None
    assert Law("rl", -1.0, 0.1, 1.0).peak is None
    assert Law("rl", 1.0, 1e-9, 1.0).peak is None


def test_least_squares_against_torch() -> None:
    rng = random.Random(1)
    d = [0.5 * i for i in range(1, 12)]
    y = [x * (0.8 - 0.1 * x) + rng.gauss(0, 0.3) for x in d]
    found = law(d, y, "bon")
    columns = torch.tensor([[x, -x * x] for x in d], dtype=torch.float64)
    want = torch.linalg.lstsq(columns, torch.tensor(y, dtype=torch.float64)[:, None]).solution[:, 0]
    assert [found.alpha, found.beta] == pytest.approx(want.tolist())
    rest = torch.tensor(y, dtype=torch.float64) - columns @ want
    share = 1 - float(rest.square().sum()) / sum(v * v for v in y)
    assert found.explained == pytest.approx(share)
    assert found.explained < 1


def test_two_points_are_no_law() -> None:
    with pytest.raises(ValueError, match="three distances"):
        law([0.0, 1.0, 2.0, 2.0], [0, 1, 1, 1], "rl")
    assert law([1, 2, 3], [0, 0, 0], "bon").explained == 1.0
