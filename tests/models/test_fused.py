"""Log-probabilities by chunks are log_softmax, with its gradient."""

import math

import pytest
import torch
from torch import Tensor, nn

from accord.models import fused

N, H, V = 23, 8, 11


@pytest.fixture
def made() -> tuple[nn.Linear, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    head = nn.Linear(H, V, bias=False, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.randn(V, H, generator=rng))
    hidden_NH = torch.randn(N, H, generator=rng, dtype=torch.float64, requires_grad=True)
    return head, hidden_NH, torch.randint(0, V, (N,), generator=rng)


def chunks_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "CHUNK_BYTES", rows * 4 * V)


@pytest.mark.parametrize("rows", [1, 5, 23, 100])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.5])
def test_oracle(made, monkeypatch, rows, temperature):
    head, hidden_NH, ids_N = made
    chunks_of(rows, monkeypatch)
    logp_N, entropy_N = fused.logp_entropy(head, hidden_NH, ids_N, V, temperature)
    all_NV = (head(hidden_NH) / temperature).log_softmax(-1)
    want_N = torch.stack([all_NV[n, i] for n, i in enumerate(ids_N.tolist())])
    entropy = -(all_NV.exp() * all_NV).sum(-1)
    torch.testing.assert_close(logp_N, want_N, atol=1e-12, rtol=0)
    torch.testing.assert_close(entropy_N, entropy, atol=1e-12, rtol=0)
    assert not entropy_N.requires_grad
    assert torch.equal(fused.logp(head, hidden_NH, ids_N, V, temperature), logp_N)


@pytest.mark.parametrize("rows", [1, 5, 22])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_gradients_of_chunks_are_those_of_the_whole(made, monkeypatch, rows, temperature):
    head, hidden_NH, ids_N = made
    price_N = torch.linspace(-1, 1, N, dtype=torch.float64)

    def slopes(value_N: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((value_N * price_N).sum(), [hidden_NH, head.weight])

    all_NV = (head(hidden_NH) / temperature).log_softmax(-1)
    want = slopes(all_NV.gather(1, ids_N[:, None])[:, 0])
    chunks_of(rows, monkeypatch)
    got = slopes(fused.logp(head, hidden_NH, ids_N, V, temperature))
    for mine, other in zip(got, want, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-12, rtol=0)


def test_no_chunk_is_larger_than_said_and_none_is_kept(made, monkeypatch):
    head, hidden_NH, ids_N = made
    sizes: list[int] = []

    def spy(x_NH: Tensor) -> Tensor:
        sizes.append(len(x_NH))
        return head(x_NH)

    chunks_of(10, monkeypatch)
    logp_N = fused.logp(spy, hidden_NH, ids_N, V)
    assert sizes == [10, 10, 3]
    logp_N.sum().backward()
    assert sorted(sizes) == sorted([10, 10, 3] * 2), "the backward pass makes each chunk once more"


def test_nothing_scored():
    head = nn.Linear(H, V)
    logp_N, entropy_N = fused.logp_entropy(
        head, torch.zeros(0, H), torch.zeros(0, dtype=torch.long), V
    )
    assert logp_N.shape == entropy_N.shape == (0,)


def test_a_certain_token_is_certain():
    logits_NV = torch.tensor([[0.0, 200.0, 0.0]])
    logp_N, entropy_N = fused.logp_entropy(lambda x: x, logits_NV, torch.tensor([1]), 3)
    assert logp_N.tolist() == [0.0]
    assert entropy_N.tolist() == [0.0]
    far_N = fused.logp(lambda x: x, logits_NV, torch.tensor([0]), 3)
    assert far_N.tolist() == [-200.0]


@pytest.mark.parametrize("offset", [1000.0, -1000.0, 3e4])
def test_large_logits_cost_no_bits(offset):
    """log softmax does not know a constant; in fp32, beside 1000, only 6e-5 could be told."""
    rng = torch.Generator().manual_seed(0)
    near_NV = torch.randint(-512, 512, (50, 64), generator=rng) / 64  # exact beside the offset
    ids_N = torch.randint(0, 64, (50,), generator=rng)
    logp_N, entropy_N = fused.logp_entropy(lambda x: x, near_NV + offset, ids_N, 64)
    all_NV = near_NV.double().log_softmax(-1)
    want_N = all_NV.gather(1, ids_N[:, None])[:, 0]
    torch.testing.assert_close(logp_N.double(), want_N, atol=3e-6, rtol=0)
    entropy = -(all_NV.exp() * all_NV).sum(-1)
    torch.testing.assert_close(entropy_N.double(), entropy, atol=3e-6, rtol=0)


def test_a_token_that_cannot_be_said_takes_no_part_in_the_entropy():
    logits_NV = torch.tensor([[1.0, -math.inf, 1.0], [-math.inf, 5.0, -math.inf]])
    logp_N, entropy_N = fused.logp_entropy(lambda x: x, logits_NV, torch.tensor([0, 0]), 3)
    assert entropy_N.tolist() == pytest.approx([math.log(2), 0.0], abs=1e-6)
    assert logp_N.tolist() == pytest.approx([-math.log(2), -math.inf], abs=1e-6)
    broken_NV = torch.tensor([[1.0, math.nan, 1.0]])
    said = fused.logp_entropy(lambda x: x, broken_NV, torch.tensor([0]), 3)
    assert all(x.isnan().all() for x in said), "a NaN is not hidden"
