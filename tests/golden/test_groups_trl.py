"""Losses of groups are TRL's where both have them, and so are their gradients."""

import json
from pathlib import Path

import pytest
import torch

from accord.maths.surrogate import LossKL, Surrogate
from accord.maths.weights import weigh

SAID = json.loads(Path(__file__).with_name("trl_groups.json").read_text())
MASK = torch.tensor(SAID["mask"], dtype=torch.bool)
OLD, REF, ADV = (torch.tensor(SAID[key], dtype=torch.float64) for key in ("old", "ref", "adv"))
UNIT = {"grpo": "sequence", "bnpo": "token", "dapo": "token", "dr_grpo": "constant"}


def ours(how: Surrogate, unit: str, beta: float, old: torch.Tensor | None = None):
    """(value, slope of every token's log-prob)."""
    logp = torch.tensor(SAID["logp"], dtype=torch.float64, requires_grad=True)
    old = logp.detach() if old is None else old
    loss = how(logp, old, ADV[:, None].expand_as(logp), MASK)
    if beta:
        loss = LossKL(beta, by="k3").add(loss, logp, REF)
    longest = MASK.shape[1] if unit == "constant" else None
    weight = weigh(MASK, unit, longest=longest).double()
    value = torch.where(MASK, loss.each * weight, 0.0).sum()
    value.backward()
    return value.item(), logp.grad


@pytest.mark.parametrize("name", SAID["cases"])
def test_a_loss_and_its_gradient(name):
    case = SAID["cases"][name]
    how = Surrogate(case["level"], case["low"], case["high"], case["delta"])
    value, slope = ours(how, UNIT[case["loss"]], case["beta"], OLD)
    assert value == pytest.approx(case["value"], abs=1e-6)
    torch.testing.assert_close(
        slope, torch.tensor(case["slope"], dtype=torch.float64), atol=1e-6, rtol=0
    )
    assert float(slope.abs().max()) > 1e-3


def test_the_cases_are_not_all_alike():
    values = [case["value"] for case in SAID["cases"].values()]
    assert len({round(value, 6) for value in values}) == len(values)


def test_rloo_differs_by_the_denominator_alone():
    """Its authors, and TRL, add up an answer's tokens; here they are divided by `longest`."""
    _, slope = ours(Surrogate("token", None, None), "constant", 0.0)
    told = torch.tensor(SAID["rloo"]["slope"], dtype=torch.float64)
    torch.testing.assert_close(slope * MASK.shape[1], told, atol=1e-6, rtol=0)
