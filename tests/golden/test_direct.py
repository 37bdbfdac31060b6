"""DPO's family against numbers made without it: our own, ../shared's, and those of TRL's code."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from accord.maths import direct as d
from accord.maths import unpaired as u
from accord.maths.answers import Alpha, Answered, ForwardKL, JensenShannon
from direct_fakes import ALONE, PAIRED, UNPAIRED

HERE = Path(__file__)
OWN = json.loads(HERE.with_name("golden.json").read_text())
TRL = json.loads(HERE.with_name("trl.json").read_text())
near = partial(pytest.approx, rel=1e-9, abs=1e-12)
close = partial(pytest.approx, rel=1e-6, abs=1e-6)


def t(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def pair(pw, rw, nw, pl, rl, nl):
    return Answered(
        t([pw, pl]),
        t([rw, rl]),
        torch.tensor([[nw, nl]]),
        torch.ones(1, 2, dtype=torch.bool),
        torch.tensor([[0, 1]]),
    )


LOSSES = PAIRED | ALONE | UNPAIRED


def each(loss, a, z=0.0):
    extra_BE = a.logp_BK.new_full((len(a.logp_BK), loss.width), z)
    return loss(a._replace(extra_BE=extra_BE)).each.tolist()


def test_every_loss_is_here():
    losses = {type(loss) for loss in LOSSES.values()} | {d.PlackettLuce, d.AOT}
    assert losses == set(d.Single.__args__)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("row", OWN["direct"], ids=lambda row: str(row["row"][0]))
def test_own(row, name):
    z = 0.2 if name == "KTO" else 0.0
    assert each(LOSSES[name], pair(*row["row"]), z) == near([row[name]])


@pytest.mark.parametrize("row", OWN["rankings"])
def test_rankings(row):
    score_BK = t([0.0 if s is None else s for s in row["score"]]) / 0.1
    mask_BK = torch.tensor([[s is not None for s in row["score"]]])
    none = torch.zeros_like(score_BK)
    a = Answered(score_BK, none, none + 1, mask_BK, torch.tensor([row["rank"]]))
    assert each(d.PlackettLuce(), a) == near([row["PlackettLuce"]])


@pytest.mark.parametrize("paired", [True, False])
def test_optimal_transport(paired):
    own = OWN["optimal_transport"]
    pw, rw, pl, rl = t(*own["rows"]).T
    one = torch.ones(len(pw), 2)
    a = Answered(
        torch.stack([pw, pl], 1), torch.stack([rw, rl], 1), one, one > 0, one.cumsum(1) - 1
    )
    loss = d.AOT(paired=paired)
    total = float(loss(a._replace(extra_BE=loss.columns(a))).each.sum())
    assert total == near(own["paired" if paired else "unpaired"])


# --- ../shared's ---


def test_shared(golden):
    own = golden["dpo"]
    a = pair(own["pc"], own["rc"], 10, own["pr"], own["rr"], 12)
    told = {
        "sigmoid": d.DPO(),
        "cdpo_eps0.1": d.CDPO(),
        "robust_eps0.1": d.RobustDPO(),
        "ipo_sum": d.IPO(),
        "ipo_avg_lenc10_lenr12": d.IPO(lengths="means"),
        "hinge": d.Hinge(),
    }
    for key, loss in told.items():
        assert each(loss, a) == near([own[key]]), key
    watch = d.DPO()(a).watch
    assert float(watch["rewards/chosen"]) == near(own["chosen_reward"])
    assert float(watch["rewards/rejected"]) == near(own["rejected_reward"])
    a.logp_BK.requires_grad_()
    slope = torch.autograd.grad(d.DPO()(a).each.sum(), a.logp_BK)[0]
    assert slope[0].tolist() == near(
        [-own["grad_weight_beta_sigma"], own["grad_weight_beta_sigma"]]
    )


def test_shared_kto_orpo_simpo(golden):
    own, one = golden["dpo"], torch.ones(1, 1)
    for kind, rank, (p, r) in (("desirable", 0, "cc"), ("undesirable", 1, "rr")):
        a = Answered(t([own["p" + p]]), t([own["r" + r]]), one, one > 0, one * rank)
        assert each(d.KTO(), a, golden["kto"]["kl"]) == near([golden["kto"][kind]])
    a = pair(golden["orpo"]["avg_c"] * 4, 0.0, 4, golden["orpo"]["avg_r"] * 5, 0.0, 5)
    assert each(d.ORPO(lam=1.0), a) == near([golden["orpo"]["l_or"] - golden["orpo"]["avg_c"]])
    simpo = golden["simpo"]
    assert each(d.SimPO(simpo["beta"], simpo["gamma"]), a) == near([simpo["loss"]])


# --- TRL's ---

OURS = {
    "sigmoid": d.DPO(),
    "sigmoid, forward KL": d.DPO(f=ForwardKL()),
    "sigmoid, JS": d.DPO(f=JensenShannon()),
    "sigmoid, alpha": d.DPO(f=Alpha(0.7)),  # TRL's coefficient is 1 - α
    "robust": d.RobustDPO(),
    "ipo": d.IPO(lengths="means"),
    "ipo, JS": d.IPO(lengths="means", f=JensenShannon()),
    "hinge": d.Hinge(beta=0.3),
    "hinge, forward KL": d.Hinge(f=ForwardKL()),
    "exo_pair": d.EXO(),
    "nca_pair": d.NCA(),
    "bco_pair": d.BCO(shift=False),
    "sppo_hard": d.SPPO(beta=0.1),
    "apo_zero": d.APOZero(),
    "apo_down": d.APODown(),
    "discopop": d.DiscoPOP(),
    "sigmoid_norm": d.NormDPO(),
    "sft": d.NLL(),
    "aot": d.AOT(smooth=0.1),
    "aot_unpaired": d.AOT(smooth=0.1, paired=False),
}


def drawn():
    """The chosen answers come first in the file, then the rejected ones."""
    logp_BK, ref_BK, n_BK = (t(*TRL[k]).reshape(2, -1).T for k in ("logp", "ref", "n"))
    return Answered(logp_BK, ref_BK, n_BK, n_BK > 0, (n_BK > 0).cumsum(1) - 1)


def test_all_of_trl_is_compared():
    assert OURS.keys() == TRL["pairs"].keys()


@pytest.mark.parametrize("name", OURS)
def test_trl(name):
    loss, a, want = OURS[name], drawn(), TRL["pairs"][name]["loss"]
    got = loss(a._replace(extra_BE=loss.columns(a))).each
    if name == "bco_pair":
        got = got * 2  # TRL adds the two answers of a pair
    assert (got.tolist() if len(want) > 1 else [float(got.mean())]) == close(want)


def test_trl_kto():
    own, a = TRL["kto"], drawn()
    alone = [x.T.reshape(-1, 1) for x in a[:4]]
    rank_BK = 1 - torch.tensor(own["good"]).long()[:, None]
    a = Answered(*alone, rank_BK)
    loss = d.KTO(beta=0.2, undesirable=1.3)
    told = loss(a._replace(extra_BE=loss.columns(a, t(*own["mismatch"]))))
    assert float(told.each.mean()) == close(own["loss"])
    seen = u.settle({k: float(x.mean()) for k, x in told.watch.items()})
    names = ["kl", "logps/chosen", "logps/rejected"]
    names += [f"rewards/{k}" for k in ("chosen", "rejected", "margins")]
    for name in names:
        assert seen[name] == close(own[name]), name


def test_trl_without_a_reference():
    a = drawn()
    a = a._replace(ref_BK=a.ref_BK * float("nan"))
    assert each(d.SimPO(beta=2.0, gamma=0.5), a) == close(TRL["simpo"])
    imitate_B = a.logp_BK[:, 0] / a.n_BK[:, 0]
    cpo = (t(*TRL["cpo"]) - imitate_B).tolist()
    assert each(d.CPO(lengths="means"), a) == close(cpo)
    assert each(d.ORPO(lam=0.25), a) == close((t(*TRL["orpo"]) - imitate_B).tolist())
