"""Log-probabilities by chunks are log_softmax, with its gradient."""

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
