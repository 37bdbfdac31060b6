"""Weights sum to one where they say so, and who adds up decides nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.maths.weights import even, weigh

MASK = torch.tensor(
    [
        [0, 1, 1, 1],
        [0, 0, 1, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
    ],
    dtype=torch.bool,
)
masks = st.integers(1, 5).flatmap(
    lambda T: st.lists(st.lists(st.booleans(), min_size=T, max_size=T), min_size=1, max_size=5)
)
quick = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_token_by_hand():
    assert torch.allclose(weigh(MASK), MASK / 6)


def test_sequence_by_hand():
    length_B1 = torch.tensor([[3], [1], [2], [1]])
    assert torch.allclose(weigh(MASK, "sequence"), MASK / length_B1 / 3)


def test_constant_by_hand():
    assert torch.allclose(weigh(MASK, "constant", longest=10), MASK / 40)


def test_constant_does_not_see_the_padding():
    wide = torch.cat([MASK, torch.zeros(4, 7, dtype=torch.bool)], 1)
    narrow = weigh(MASK, "constant", longest=10)
    assert torch.equal(weigh(wide, "constant", longest=10)[:, :4], narrow)


def test_longest_belongs_to_constant_alone():
    with pytest.raises(ValueError, match="constant"):
        weigh(MASK, "constant")
    with pytest.raises(ValueError, match="constant"):
        weigh(MASK, "token", longest=4)


def test_the_default_is_by_token_in_the_default_dtype():
    assert torch.equal(weigh(MASK), weigh(MASK, "token"))
    assert weigh(MASK).dtype == even(3).dtype == torch.float64
    torch.set_default_dtype(torch.float32)
    assert weigh(MASK).dtype == torch.float32


@quick
@given(masks, st.sampled_from(["token", "sequence"]))
def test_weights_sum_to_one_over_the_mask_alone(mask, by):
    mask_BT = torch.tensor(mask)
    w_BT = weigh(mask_BT, by)
    assert float(w_BT.sum()) == pytest.approx(float(mask_BT.any()))
    assert not w_BT[~mask_BT].any()
    assert (w_BT[mask_BT] > 0).all()


@pytest.mark.parametrize("by", ["token", "sequence"])
def test_an_empty_batch_weighs_nothing(by):
    assert torch.equal(weigh(MASK[3:], by), torch.zeros(1, 4))


def test_sequences_weigh_alike_whatever_their_length():
    assert torch.allclose(weigh(MASK, "sequence").sum(1), torch.tensor([1, 1, 1, 0]) / 3)


def test_even():
    assert torch.equal(even(4), torch.tensor([0.25] * 4))
