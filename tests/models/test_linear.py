"""Linear layers by oneDNN are linear layers."""

import copy

import pytest
import torch
from torch import Tensor, nn

from accord.errors import BadSettings
from accord.models import linear, products
from accord.models.linear import Linear, faster, plain, quicken

pytestmark = pytest.mark.skipif(not linear.there(), reason="this torch has no oneDNN")


def pair(bias: bool = True, dtype: torch.dtype = torch.float32) -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(0)
    one = nn.Linear(48, 20, bias=bias, dtype=dtype)
    two = copy.deepcopy(one)
    two.__class__ = Linear
    return one, two


def inputs() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(6, 5, 48, generator=rng)
    return {
        "three axes": x,
        "two axes": x[0].clone(),
        "one row": x[0, :1].clone(),
        "a vector": x[0, 0].clone(),
        "no rows": x[:0].flatten(0, 1),
        "a slice": torch.randn(9, 96, generator=rng)[::2, ::2],
        "turned": torch.randn(48, 7, generator=rng).t(),
        "one row seen often": torch.randn(1, 48, generator=rng).expand(8, 48),
    }


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", inputs())
def test_outputs_and_gradients(name, bias):
    """Against float64; torch's own error is the measure of what rounding may do."""
    one, two = pair(bias)
    exact = copy.deepcopy(one).double()
    price = torch.randn(20, generator=torch.Generator().manual_seed(2))

    def ask(layer: nn.Linear, dtype: torch.dtype) -> list[Tensor]:
        x = inputs()[name].detach().to(dtype).requires_grad_()
        y = layer(x)
        (y * price.to(dtype)).sum().backward()
        grads = [x.grad, *(p.grad for p in layer.parameters())]
        return [y.detach(), *(g for g in grads if g is not None)]

    wanted = ask(exact, torch.float64)
    for theirs, ours, want in zip(ask(one, torch.float32), ask(two, torch.float32), wanted):
        assert ours.shape == want.shape
        bound = 4 * (theirs.double() - want).abs().max() if want.numel() else 0.0
        if want.numel():
            assert (ours.double() - want).abs().max() <= bound + 1e-6


def test_a_gradient_that_is_one_number_seen_often():
    """What .sum() sends back has no strides."""
    one, two = pair()
    x = inputs()["three axes"]
    for layer in (one, two):
        layer(x).sum().backward()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_torchs(dtype):
    one, two = pair(dtype=dtype)
    x = inputs()["three axes"].to(dtype)
    assert torch.equal(one(x), two(x))


def test_what_comes_out_may_be_changed_in_place():
    """Some families clip queries and keys so."""
    one, two = pair()
    for layer in (one, two):
        layer(inputs()["three axes"]).clamp_(-0.1, 0.1).square().sum().backward()
    torch.testing.assert_close(one.weight.grad, two.weight.grad, atol=1e-5, rtol=1e-4)


def test_twice_the_same():
    _, layer = pair()
    x = inputs()["three axes"]
    assert torch.equal(layer(x), layer(x))
    with torch.no_grad():
        assert torch.equal(layer(x), layer(x.requires_grad_()).detach())


def test_a_frozen_layer_keeps_no_activations():
    _, layer = pair()
    layer.requires_grad_(False)
    kept: list[tuple[int, ...]] = []
    x = inputs()["two axes"].requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(tuple(t.shape)) or t, lambda t: t
    ):
        layer(x).sum().backward()
    assert tuple(x.shape) not in kept
    assert x.grad is not None


def test_a_copy_is_a_layer_of_its_own():
    _, layer = pair()
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        twin.weight.zero_()
    assert layer.weight.abs().sum() > 0
    assert plain(twin)
    assert not plain(nn.Embedding(2, 2))


class Odd(nn.Linear):
    """A family's own kind."""


def test_only_plain_layers_are_quickened(monkeypatch):
    monkeypatch.setattr(linear, "faster", lambda: True)
    model = nn.Sequential(nn.Linear(2, 2), Odd(2, 2), nn.Embedding(2, 2))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    quicken(model)
    assert [type(m) for m in model] == [Linear, Odd, nn.Embedding]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    monkeypatch.setattr(linear, "faster", lambda: False)
    other = nn.Sequential(nn.Linear(2, 2))
    quicken(other)
    assert type(other[0]) is nn.Linear


@pytest.mark.parametrize(("wish", "want"), [("torch", False), ("onednn", True)])
def test_the_switch(monkeypatch, wish, want):
    monkeypatch.setenv(linear.SWITCH, wish)
    assert faster.__wrapped__() is want


@pytest.mark.parametrize(
    ("says", "width", "want"),
    [
        ("vendor_id : AuthenticAMD", "AVX512", True),
        ("vendor_id : AuthenticAMD", "AVX2", False),
        ("vendor_id : GenuineIntel", "AVX512", False),
        (None, "AVX512", False),
    ],
)
def test_where_it_is_faster(monkeypatch, tmp_path, says, width, want):
    monkeypatch.delenv(linear.SWITCH, raising=False)
    file = tmp_path / "cpuinfo"
    if says:
        file.write_text(says)
    monkeypatch.setattr(linear, "_CPU", file)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: width)
    assert faster.__wrapped__() is want


def test_an_odd_wish_is_refused(monkeypatch):
    monkeypatch.setenv(linear.SWITCH, "mkl")
    with pytest.raises(BadSettings, match="ACCORD_PRODUCTS=mkl: say torch or onednn"):
        faster.__wrapped__()


@pytest.fixture
def anew():
    """What was found out about this processor is forgotten, before and after."""
    faster.cache_clear()
    yield
    faster.cache_clear()


@pytest.mark.parametrize(
    ("wish", "fast", "want"),
    [
        ("torch", True, {torch.float32: False, torch.bfloat16: False}),
        ("onednn", False, {torch.float32: True, torch.bfloat16: True}),
        ("", True, {torch.float32: True, torch.bfloat16: True}),
        ("", False, {torch.float32: False, torch.bfloat16: True}),
    ],
)
@pytest.mark.parametrize("pack", [False, True])
def test_decoding_multiplies_as_the_switch_says(
    monkeypatch, tmp_path, anew, wish, fast, want, pack
):
    """And so do the layers: one function decides for both."""
    monkeypatch.setenv(linear.SWITCH, wish)
    (tmp_path / "cpuinfo").write_text("AuthenticAMD" if fast else "GenuineIntel")
    monkeypatch.setattr(linear, "_CPU", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    times, calls = linear.times, []
    monkeypatch.setattr(linear, "times", lambda *a: calls.append(a) or times(*a))
    for dtype, onednn in want.items():
        layer = nn.Sequential(nn.Linear(48, 20, dtype=dtype)).requires_grad_(False)
        x = inputs()["two axes"].to(dtype)
        calls.clear()
        products.product([layer[0]], pack)(x)
        assert bool(calls) is onednn is linear.chosen(layer[0].weight)
        if dtype is torch.float32:
            quicken(layer)
            assert (type(layer[0]) is Linear) is onednn


def test_under_autocast_it_is_torchs_layer():
    one, two = pair()
    x = inputs()["three axes"].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = two(x), one(x)
    assert ours.dtype is theirs.dtype is torch.bfloat16
    assert torch.equal(ours, theirs)
    for y, layer in ((ours, two), (theirs, one)):
        y.sum().backward()
        assert layer.weight.grad is not None
    assert torch.equal(one.weight.grad, two.weight.grad)
