"""Answers made up for the tests of DPO's family."""

import torch

from accord.maths import direct as d
from accord.maths.answers import Alpha, Answered, ForwardKL, JensenShannon

NAN = float("nan")
PAIRED = {
    "DPO": d.DPO(),
    "DPO ForwardKL": d.DPO(f=ForwardKL()),
    "DPO JensenShannon": d.DPO(f=JensenShannon()),
    "DPO Alpha": d.DPO(f=Alpha(0.3)),
    "CDPO": d.CDPO(),
    "RobustDPO": d.RobustDPO(),
    "IPO": d.IPO(),
    "IPO means": d.IPO(lengths="means"),
    "Hinge": d.Hinge(),
    "NormDPO": d.NormDPO(),
    "RPO": d.RPO(),
    "RDPO": d.RDPO(),
    "EXO": d.EXO(smooth=0.1),
    "NCA": d.NCA(),
    "SPPO": d.SPPO(beta=0.1),
    "APOZero": d.APOZero(),
    "APODown": d.APODown(),
    "DiscoPOP": d.DiscoPOP(),
}
"""with the knobs of the golden script"""
ALONE = {
    "ORPO": d.ORPO(lam=0.25),
    "SimPO": d.SimPO(),
    "CPO": d.CPO(),
    "CPO means": d.CPO(lengths="means"),
}
UNPAIRED = {"KTO": d.KTO(undesirable=1.3), "BCO": d.BCO(shift=False), "NLL": d.NLL()}
REST = {
    "PlackettLuce": d.PlackettLuce(),
    "AOT": d.AOT(),
    "AOT unpaired": d.AOT(paired=False),
    "BCO shift": d.BCO(),
    "Mixture": d.Mixture((d.DPO(), d.BCO(), d.NLL(), d.AOT()), (0.8, 0.2, 1.0, 0.3)),
}
EVERY = PAIRED | ALONE | UNPAIRED | REST


def answers(logp, ref, n=None, rank=None, p=None, mask=None, dtype=torch.float64):
    """One row; None is an answer that is not there."""
    K = len(logp)
    there = [x is not None for x in logp] if mask is None else mask
    told = [[NAN if x is None else float(x) for x in xs] for xs in (logp, ref)]
    return Answered(
        torch.tensor([told[0]], dtype=dtype),
        torch.tensor([told[1]], dtype=dtype),
        torch.tensor([n or [4] * K]),
        torch.tensor([there]),
        torch.tensor([rank or list(range(K))]),
        None if p is None else torch.tensor([p], dtype=dtype),
    )


def some(B=6, K=2, seed=0, near=1.0, dtype=torch.float64):
    """Rows whose policy is within about `near` nats of its reference; the first is best."""
    make = torch.Generator().manual_seed(seed)
    ref_BK = -20 * torch.rand(B, K, generator=make, dtype=torch.float64) - 2
    off_BK = near * torch.randn(B, K, generator=make, dtype=torch.float64)
    n_BK = torch.randint(2, 20, (B, K), generator=make)
    logp_BK = (ref_BK + off_BK).clamp(max=-0.1)
    true_BK = torch.ones(B, K, dtype=torch.bool)
    rank_BK = torch.arange(K).expand(B, K).clone()
    return Answered(logp_BK.to(dtype), ref_BK.to(dtype), n_BK, true_BK, rank_BK)


def take(a, index):
    """Some of the rows."""
    return Answered(*(None if x is None else x[index] for x in a))


def join(*rows):
    """Rows one below the other."""
    return Answered(*(None if xs[0] is None else torch.cat(xs) for xs in zip(*rows)))


def ready(loss, a, mismatch=None):
    """With the columns that the loss wants of the whole batch."""
    mismatch_N = torch.tensor([0.3, 0.1], dtype=a.logp_BK.dtype) if mismatch is None else mismatch
    if loss.needs_mismatch and len(a.logp_BK) < 2:
        z = mismatch_N.mean().clamp(min=0)
        return a._replace(extra_BE=z.expand(1, 1))
    return a._replace(extra_BE=loss.columns(a, mismatch_N if loss.needs_mismatch else None))


def each(loss, a, **more):
    return loss(ready(loss, a, **more)).each


def slope(loss, a, **more):
    """d each.sum() / d logp, with the columns made before."""
    a = ready(loss, a, **more)
    logp_BK = a.logp_BK.detach().clone().requires_grad_()
    total = loss(a._replace(logp_BK=logp_BK)).each.sum()
    return torch.autograd.grad(total, logp_BK)[0]
