"""Where the optimizer's state lives, and how wide it is."""

import builtins
import copy
from dataclasses import replace

import pytest
import torch
from tests.tiny import tiny_policy
from torch import Tensor, nn

from accord.data.rows import Tokens
from accord.engine.steps import Optimizer, Steps
from accord.errors import MissingExtra
from accord.maths.losses import Loss
from accord.maths.weights import weigh
from accord.models.heads import Speaker
from accord.models.lora import Lora

SIZE = 128, 64
"""enough numbers for eight bits: small tensors keep their floats"""


def weights(seed: int = 0) -> dict[str, nn.Parameter]:
    rng = torch.Generator().manual_seed(seed)
    return {
        "large": nn.Parameter(torch.randn(*SIZE, generator=rng)),
        "small": nn.Parameter(torch.randn(8, generator=rng)),
    }


def pull(mine: dict[str, nn.Parameter], seed: int) -> None:
    """A gradient that is partly signal, partly noise."""
    rng = torch.Generator().manual_seed(seed)
    for w in mine.values():
        w.grad = w.detach() + 0.1 * torch.randn(w.shape, generator=rng)


def walk(steps: Steps, count: int, first: int = 0) -> dict[str, Tensor]:
    for number in range(first, first + count):
        pull(steps.weights, number)
        steps.step(1e-2)
        steps.forget()
    return {name: w.detach().clone() for name, w in steps.weights.items()}


HOWS = {
    "plain": Optimizer(),
    "tf": Optimizer(form="tf"),
    "eight bits": Optimizer(bits=8),
    "offload": Optimizer(offload=True),
    "both": Optimizer(bits=8, offload=True),
}


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
def test_a_state_taken_up_goes_on_bit_equal(how):
    one = Steps(weights(), how, 1e-2)
    walk(one, 3)
    two = Steps(weights(seed=1), how, 1e-2)
    walk(two, 1)  # a past that must leave no trace
    for mine, other in zip(two.weights.values(), one.weights.values(), strict=True):
        mine.data.copy_(other)
    two.restore({k: v.clone() for k, v in one.state().items()})
    after = walk(one, 3, 3), walk(two, 3, 3)
    for name in after[0]:
        assert torch.equal(after[0][name], after[1][name]), name


def test_eight_bits_take_a_quarter():
    wide, narrow = (Steps(weights(), Optimizer(bits=b), 1e-2) for b in (32, 8))
    walk(wide, 1)
    walk(narrow, 1)

    def size(steps: Steps) -> int:
        return sum(v.nbytes for k, v in steps.state().items() if k.startswith("large|"))

    numbers = SIZE[0] * SIZE[1]
    assert size(wide) == pytest.approx(8 * numbers, rel=0.01)
    # a scale per block of 256 and two maps of 256 floats come on top
    assert size(narrow) == pytest.approx(2 * numbers + 2 * 4 * numbers / 256 + 2048, rel=0.01)
    kept = narrow.state()["small|state1"]
    assert kept.dtype is torch.float32, "a small tensor keeps its floats"


def test_eight_bits_walk_the_same_way():
    """Beside Adam all along: not exactly, but within a tenth of the way that was gone."""
    start = weights()
    plain, eight = (Steps(copy.deepcopy(start), Optimizer(bits=b), 1e-2) for b in (32, 8))
    for lap in range(5):
        a, b = walk(plain, 20, 20 * lap), walk(eight, 20, 20 * lap)
        assert not torch.equal(a["large"], b["large"])
        gone = (a["large"] - start["large"]).norm()
        assert (a["large"] - b["large"]).norm() < 0.1 * gone
        assert torch.equal(a["small"], b["small"]) or torch.allclose(a["small"], b["small"])


@pytest.mark.parametrize("form", ["torch", "tf"])
def test_a_step_taken_elsewhere_is_the_same_step(form):
    """The weights here, their twins where the optimizer works: on a machine without a second
    device the place is forced, so that copies really travel."""
    how = Optimizer(form=form, weight_decay=0.1)
    here = Steps(weights(), how, 1e-2)
    there = _moved(Steps(weights(), replace(how, offload=True), 1e-2))
    for count in (2, 3):
        a, b = walk(here, count), walk(there, count)
        for name in a:
            assert torch.equal(a[name], b[name]), name
    assert all(twin.grad is None for twin in there._twins.values()), "no second gradient stays"
    fresh = _moved(Steps(weights(seed=3), replace(how, offload=True), 1e-2))
    for mine, other in zip(fresh.weights.values(), there.weights.values(), strict=True):
        mine.data.copy_(other)
    fresh.restore({k: v.clone() for k, v in there.state().items()})
    a, b = walk(here, 2), walk(fresh, 2)
    assert all(torch.equal(a[name], b[name]) for name in a)


def _moved(steps: Steps) -> Steps:
    """As if the weights were on a GPU: every twin is another tensor than its weight."""
    made = {name: nn.Parameter(w.detach().clone()) for name, w in steps.weights.items()}
    for group in steps.optimizer.param_groups:
        group["params"] = list(made.values())
    steps._twins = made
    return steps


def test_on_one_device_nothing_is_doubled():
    steps = Steps(weights(), Optimizer(offload=True), 1e-2)
    assert all(steps._twins[name] is w for name, w in steps.weights.items())


def test_another_device_gets_twins_here():
    """Meta stands for the other device: the means are made here, of the right shapes."""
    far = {"w": nn.Parameter(torch.zeros(3, 2, device="meta"))}
    with pytest.raises(NotImplementedError, match="meta"):  # it holds no numbers to fetch
        Steps(far, Optimizer(offload=True), 1e-2)
    steps = Steps(far, Optimizer(), 1e-2, home=torch.device("meta"))
    assert steps._twins["w"] is far["w"]


def test_eight_bits_have_one_form():
    with pytest.raises(ValueError, match="form=torch"):
        Optimizer(bits=8, form="tf")


def test_without_the_extra_its_name_is_said(monkeypatch):
    real = builtins.__import__

    def no_bnb(name: str, *rest, **more):
        if name.startswith("bitsandbytes"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_bnb)
    with pytest.raises(MissingExtra, match=r"optimizer\.bits=8 needs bitsandbytes.*\[quant\]"):
        Steps(weights(), Optimizer(bits=8), 1e-2)


@pytest.mark.parametrize("lora", [None, Lora(r=16)], ids=["whole", "adapter"])
def test_a_policy_learns_with_eight_bits(lora, tmp_path):
    """The same rows until they are likely; saved, taken up, and on bit for bit."""
    ids = torch.arange(2, 10).repeat(4, 1)
    tokens = Tokens(ids, torch.ones_like(ids).bool(), torch.full((4,), 8), torch.arange(4))
    tokens.mask_BT[:, 0] = False

    def imitate(model: Speaker, rows: Tokens) -> Loss:
        return Loss(-model.logp(rows), {})

    how = Optimizer(bits=8)
    one, two = (
        tiny_policy(intermediate_size=512).trainable(lr=1e-2, lora=lora, optimizer=how)
        for _ in range(2)
    )
    weight = weigh(tokens.mask_BT)
    first = one.learner.update(tokens, weight, imitate)["loss"]
    for _ in range(30):
        last = one.learner.update(tokens, weight, imitate)["loss"]
    assert last < first / 2
    kinds = {v.dtype for v in one.learner.state()[1].values()}
    assert torch.uint8 in kinds, "nothing was large enough"
    one.save(tmp_path)
    two.load(tmp_path)
    seen = [h.learner.update(tokens, weight, imitate) for h in (one, two)]
    assert seen[0] == seen[1]
    assert one.fingerprint == two.fingerprint
