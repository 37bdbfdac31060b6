"""Drawing: inverse cumulative probability, exact log-probabilities, and a stream per answer."""

import math

import pytest
import torch
from torch import Tensor

from accord.engine.draw import Sampling, cut, draw, key, uniform
from accord.errors import BadSettings

HOWS = [
    Sampling(),
    Sampling(temperature=0.6),
    Sampling(temperature=1.8),
    Sampling(top_k=5),
    Sampling(top_p=0.7),
    Sampling(temperature=0.8, top_k=40, top_p=0.9),
    Sampling(temperature=0.9, top_p=0.95, min_p=0.1),
    Sampling(top_p=1e-9),
    Sampling(top_k=1),
]


def logits(V: int, seed: int = 0) -> Tensor:
    return torch.randn(V, generator=torch.Generator().manual_seed(seed)) * 2


def wanted(logits_V: Tensor, how: Sampling) -> Tensor:
    """The distribution by its definition, slowly, in float64."""
    x = (logits_V.double() / how.temperature).tolist()
    order = sorted(range(len(x)), key=lambda i: -x[i])
    kept = order[: how.top_k] if how.top_k else order
    total = sum(math.exp(x[i]) for i in kept)
    nucleus, reached = [], 0.0
    for i in kept:
        if reached >= how.top_p:
            break
        nucleus.append(i)
        reached += math.exp(x[i]) / total
    nucleus = [i for i in nucleus if math.exp(x[i] - max(x)) >= how.min_p]
    p_V = torch.zeros(len(x), dtype=torch.float64)
    for i in nucleus:
        p_V[i] = math.exp(x[i])
    return p_V / p_V.sum()


def drawn(logits_V: Tensor, u_B: Tensor, how: Sampling) -> tuple[Tensor, Tensor]:
    return draw(logits_V.expand(len(u_B), -1).clone(), u_B, how)


@pytest.mark.parametrize("how", HOWS, ids=str)
@pytest.mark.parametrize("V", [7, 64, 65, 300])
def test_an_even_grid_of_u_gives_every_token_its_exact_share(how, V):
    n = 20000
    p_V = wanted(logits(V), how)
    ids_B, logp_B = drawn(logits(V), (torch.arange(n).double() + 0.5) / n, how)
    share_V = torch.bincount(ids_B, minlength=V) / n
    assert float((share_V - p_V).abs().max()) <= 1.01 / n
    assert (ids_B.diff() >= 0).all(), "the inverse of a cumulative sum never falls"
    torch.testing.assert_close(logp_B.double(), p_V[ids_B].log(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("how", HOWS[:7], ids=str)
def test_chi_square(how):
    """A sum of (seen - expected)² / expected far beyond its degrees of freedom is no accident."""
    n, V = 50000, 130
    u_B = torch.rand(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected_V = n * wanted(logits(V), how)
    seen_V = torch.bincount(drawn(logits(V), u_B, how)[0], minlength=V)
    assert seen_V[expected_V == 0].sum() == 0
    often = expected_V >= 5
    chi = float(((seen_V - expected_V)[often] ** 2 / expected_V[often]).sum())
    free = int(often.sum()) - 1
    assert chi < free + 5 * math.sqrt(2 * free)


def test_rows_have_their_own_distributions():
    both_BV = torch.stack([logits(70, 1), logits(70, 2)])
    u_B = torch.tensor([0.3, 0.8], dtype=torch.float64)
    ids_B, logp_B = draw(both_BV.clone(), u_B, Sampling(top_p=0.9))
    for b in range(2):
        one, logp = draw(both_BV[b : b + 1].clone(), u_B[b : b + 1], Sampling(top_p=0.9))
        assert (ids_B[b], logp_B[b]) == (one[0], logp[0])


def test_impossible_tokens_are_never_drawn_even_at_the_ends():
    ends_B = torch.tensor([0.0, 2.0**-53, 0.5, 1 - 2.0**-53], dtype=torch.float64)
    for V in (3, 66, 200):
        logits_V = torch.full((V,), -float("inf"))
        logits_V[[1, V // 2, V - 2]] = torch.tensor([0.3, -1.0, 0.2])[: len({1, V // 2, V - 2})]
        ids_B, logp_B = drawn(logits_V, ends_B, Sampling())
        assert ids_B[0] == 1
        assert ids_B[-1] == V - 2
        assert torch.isfinite(logits_V[ids_B]).all()
        assert torch.isfinite(logp_B).all()


@pytest.mark.parametrize("V", [40, 64, 100])
def test_rounding_never_draws_past_the_last_token(V):
    """Where a block's sum in float32 exceeds the sum of its terms, the goal may lie beyond them."""
    logits_BV = torch.randn(2000, V, generator=torch.Generator().manual_seed(0))
    ids_B, logp_B = draw(logits_BV, torch.full((2000,), 1 - 2.0**-53).double(), Sampling())
    assert set(ids_B.tolist()) == {V - 1}
    assert torch.isfinite(logp_B).all()


def test_the_tail_of_a_large_vocabulary_keeps_its_share():
    """In one float32 cumulative sum of 128k terms the last half would lose whole per mille."""
    V, n = 128_000, 257
    ids_B, _ = drawn(torch.zeros(V), (torch.arange(n).double() + 0.5) / n, Sampling())
    want_B = ((torch.arange(n).double() + 0.5) / n * V).floor()
    assert (ids_B - want_B).abs().max() <= 1


def test_greedy_takes_the_likeliest_and_is_certain():
    ids_B, logp_B = drawn(logits(50), torch.rand(3, dtype=torch.float64), Sampling(temperature=0))
    assert ids_B.tolist() == [int(logits(50).argmax())] * 3
    assert logp_B.tolist() == [0.0] * 3
    assert logp_B.dtype == torch.float32


@pytest.mark.parametrize("how", [Sampling(temperature=0), *HOWS], ids=str)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_never_a_certainty(how, bad):
    spoilt = logits(70)
    spoilt[11] = bad
    _, logp_B = draw(torch.stack([logits(70), spoilt]), torch.full((2,), 0.5).double(), how)
    assert torch.isfinite(logp_B[0])
    assert not torch.isfinite(logp_B[1])


def test_cut_keeps_the_smallest_sufficient_set():
    p_V = torch.tensor([0.1, 0.4, 0.2, 0.3])

    def kept(**how) -> list[int]:
        return torch.isfinite(cut(p_V.log()[None], Sampling(**how))[0]).nonzero()[:, 0].tolist()

    assert kept() == [0, 1, 2, 3]
    assert kept(top_k=2) == [1, 3]
    assert kept(top_k=9) == [0, 1, 2, 3]
    assert kept(top_p=0.39) == [1]
    assert kept(top_p=0.6) == [1, 3]
    assert kept(top_p=0.8) == [1, 2, 3]
    assert kept(min_p=0.6) == [1, 3]
    assert kept(min_p=0.76) == [1]
    assert kept(min_p=1) == [1]
    assert kept(top_k=3, min_p=0.1) == [1, 2, 3]
    assert kept(top_k=2, top_p=0.5) == [1]  # of what top-k left, 0.4 is four sevenths


def test_of_equals_top_k_keeps_exactly_k():
    def kept(logits: list[float], k: int) -> list[int]:
        x = cut(torch.tensor([logits, logits[::-1]]), Sampling(top_k=k))
        return [row.isfinite().nonzero()[:, 0].tolist() for row in x]

    assert kept([0.0] * 5, 2) == [[0, 1], [0, 1]]
    assert kept([1.0, 3.0, 1.0, 2.0, 1.0], 3) == [[0, 1, 3], [0, 1, 3]]
    assert kept([0.0, 4.0, 4.0, 4.0], 3) == [[1, 2, 3], [0, 1, 2]]
    assert kept([0.0, -math.inf, -math.inf], 2) == [[0], [2]]
    assert cut(torch.tensor([[1.0, math.nan, 0.0]]), Sampling(top_k=1)).isnan().any()


def test_settings():
    for bad in ({"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}, {"top_k": -1}):
        with pytest.raises(BadSettings, match="top_p"):
            Sampling(**bad)
    for bad in (-0.1, 1.1):
        with pytest.raises(BadSettings, match="min_p"):
            Sampling(min_p=bad)
    assert Sampling(temperature=0.5).full
    assert not Sampling(min_p=0.1).full
    assert not Sampling(top_k=3).full
    assert not Sampling(top_p=0.9).full
    assert not Sampling(temperature=0).full


# --- the streams ---


def test_golden_splitmix64():
    """The first outputs for seed 1234567, as published with the generator."""
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    got_B = uniform(torch.full((5,), 1234567), torch.arange(5))
    assert got_B.tolist() == [(x >> 11) * 2.0**-53 for x in published]


def test_by_its_definition_for_any_key():
    def slow(seed: int, place: int) -> float:
        z = (seed + (place + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53

    keys = [key(s, n) for s in range(20) for n in ("a", "b/0")] + [0, -1, 2**63 - 1, -(2**63)]
    for place in (0, 1, 77, 4095):
        got_B = uniform(torch.tensor(keys), torch.full((len(keys),), place))
        assert got_B.tolist() == [slow(k % 2**64, place) for k in keys]


@pytest.mark.parametrize("along", ["places", "samples", "seeds"])
def test_uniform_and_independent(along):
    n, bins = 20000, 100
    if along == "places":
        u_B = uniform(torch.full((n,), key(0, "0/0")), torch.arange(n))
    else:
        names = [(i, "0/0") if along == "seeds" else (0, f"{i}/0") for i in range(n)]
        u_B = uniform(torch.tensor([key(*name) for name in names]), torch.zeros(n).long())
    assert u_B.min() >= 0
    assert u_B.max() < 1
    count = torch.bincount((u_B * bins).long(), minlength=bins).double()
    chi = float(((count - n / bins) ** 2 / (n / bins)).sum())
    assert abs(chi - (bins - 1)) < 5 * math.sqrt(2 * (bins - 1))
    x = u_B - 0.5
    assert abs(float((x[1:] * x[:-1]).mean() * 12)) < 5 / math.sqrt(n)


def test_key_depends_on_seed_and_name():
    keys = {key(s, n) for s in range(10) for n in ("0/0", "0/1", "1/0", "")}
    assert len(keys) == 40
    assert key(3, "0/0") == key(3, "0/0")
    assert key(1, "1/0") != key(11, "/0"), "seed and name are parted"
    assert all(-(2**63) <= k < 2**63 for k in keys)
