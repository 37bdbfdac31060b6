"""The package against numbers made without it: our own (make_golden.py), and ../shared's."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from accord.maths import (
    advantages,
    control,
    divergence,
    feedback,
    losses,
    optim,
    segments,
    selection,
    surrogate,
)
from accord.maths.preference import BestOfK, BradleyTerry, Compared, Davidson, RaoKupper
from golden.make_golden import make

OWN = json.loads(Path(__file__).with_name("golden.json").read_text())
NAN = float("nan")
near = partial(pytest.approx, rel=1e-9, abs=1e-12)


def t(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def test_the_script_writes_the_file():
    def same(a, b):
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        return a == (near(b) if isinstance(b, float) else b)

    assert same(make(), OWN)


# --- ours ---


PREFERENCES = {
    "BradleyTerry": BradleyTerry(),
    "BradleyTerry margin": BradleyTerry(margin=True),
    "BradleyTerry centre": BradleyTerry(centre=0.01),
    "BradleyTerry smooth": BradleyTerry(smooth=0.1),
    "BestOfK": BestOfK(),
    "Davidson": Davidson(nu=0.8),
    "RaoKupper": RaoKupper(theta=1.6),
}


@pytest.mark.parametrize(
    ("row", "key"),
    [
        pytest.param(row, key, id=f"{key}: {row['name']}")
        for row in OWN["compared"]
        for key in PREFERENCES
        if key in row
    ],
)
def test_comparisons(row, key):
    c = Compared(
        t(*(NAN if s is None else s for s in row["score"]))[None],
        torch.tensor([[s is not None for s in row["score"]]]),
        torch.tensor([row["rank"]]),
        t(NAN if row["strength"] is None else row["strength"]),
        t(NAN if row["p"] is None else row["p"]),
    )
    assert float(PREFERENCES[key](c).each) == near(row[key])


@pytest.mark.parametrize("row", OWN["clip"])
def test_clip(row):
    loss = losses.clip(t(row["logp"]), t(row["old"]), t(row["adv"]), eps=0.2)
    for key, number in {"each": loss.each, **loss.watch}.items():
        assert float(number) == near(row[key]), key


@pytest.mark.parametrize("row", OWN["surrogate"]["rows"], ids=lambda row: str(row["how"]))
def test_surrogate(row):
    own = OWN["surrogate"]
    logp_BT, old_BT = t(own["logp"]), t(own["old"])
    adv_BT, mask_BT = torch.full_like(logp_BT, row["adv"]), torch.ones(1, 3, dtype=torch.bool)
    loss = surrogate.Surrogate(**row["how"])(logp_BT, old_BT, adv_BT, mask_BT)
    assert loss.each[0].tolist() == near(row["each"])


def test_prices_and_weights():
    own = OWN["surrogate"]
    logp_BT, old_BT, ref_BT = (t(own[k]) for k in ("logp", "old", "ref"))
    mask_BT = torch.ones(1, 3, dtype=torch.bool)
    for by in ("k1", "k3"):
        price = surrogate.RewardKL(0.3, by).charge(logp_BT, ref_BT, mask_BT)
        assert price[0].tolist() == near(own[f"charge {by}"])
    for by in ("k2", "k3"):
        none = losses.Loss(torch.zeros(1, 3))
        added = surrogate.LossKL(0.3, by).add(none, logp_BT, ref_BT)
        assert added.each[0].tolist() == near(own[f"in loss {by}"])
    for level, name in (("token", "truncated"), ("sequence", "truncated sequence")):
        weight = surrogate.Truncated(1.3, level)(logp_BT, old_BT, mask_BT)
        assert weight[0].tolist() == near(own[name])


@pytest.mark.parametrize("row", OWN["value"])
def test_value(row):
    loss = losses.value(t(row["v"]), t(row["old"]), t(row["return"]), eps=0.2)
    assert float(loss.each) == near(row["each"])
    assert float(loss.watch["val/clipfrac"]) == row["val/clipfrac"]
    free = losses.value(t(row["v"]), t(row["old"]), t(row["return"]), eps=None)
    assert float(free.each) == near(row["free"])
    assert float(free.watch["val/clipfrac"]) == 0


@pytest.mark.parametrize("row", OWN["segments"])
def test_segments(row):
    reward_BKTE = t(row["first"], row["second"])[None, :, :, None]
    assert float(segments.prefer(reward_BKTE, t(row["q"]), noise=row["noise"]).each) == near(
        row["loss"]
    )


@pytest.mark.parametrize("row", OWN["gae"])
def test_gae(row):
    adv_BT = advantages.gae(
        t(row["reward"]),
        t(row["value"]),
        torch.ones(1, 5, dtype=torch.bool),
        gamma=row["gamma"],
        lam=row["lam"],
        bootstrap_B=t(row["after"])[0],
    )
    assert adv_BT[0].tolist() == near(row["adv"])


@pytest.mark.parametrize(
    ("key", "baseline"),
    [
        ("LeaveOneOut", advantages.LeaveOneOut()),
        ("GroupMean", advantages.GroupMean()),
        ("GroupMean scale=False", advantages.GroupMean(scale=False)),
        ("BatchMean", advantages.BatchMean()),
        ("BatchNorm", advantages.BatchNorm()),
        ("BatchNorm baseline", advantages.BatchNorm(baseline=True)),
    ],
)
def test_groups(key, baseline):
    score = t(*OWN["groups"]["score"])
    adv = baseline.lay(baseline(score), torch.ones_like(score, dtype=torch.bool))
    for got, want in zip(adv.tolist(), OWN["groups"][key]):
        assert got == near(want)


def test_divergence():
    own = OWN["divergence"]
    for row in own["samples"]:
        for name in ("k1", "k2", "k3"):
            got = getattr(divergence, name)(t(row["logp"]), t(row["ref"]))
            assert float(got) == near(row[name])
    assert float(divergence.exact(t(*own["p"]).log(), t(*own["q"]).log())) == near(own["exact"])


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("Constant", control.Constant),
        ("Linear", control.Linear),
        ("Cosine", control.Cosine),
        ("Cosine floor=0.1", partial(control.Cosine, floor=0.1)),
    ],
)
def test_schedules(key, kind):
    own = OWN["schedules"]
    schedule = kind(warmup=own["warmup"])
    got = [schedule(step, own["total"]) for step in range(own["total"])]
    assert got == near(own[key])


def test_selection():
    own = OWN["selection"]
    told = [(r, s) for s, few in enumerate(own["rewards"]) for r in few]
    reward_N, source_N = t(*(r for r, _ in told)), torch.tensor([s for _, s in told])
    for name, number in (("Percentile", "p"), ("Interpolated", "gamma")):
        kept = getattr(selection, name)((own[number],))(reward_N, source_N)
        assert kept.threshold_N.tolist() == near([own[name][s] for _, s in told])
    assert selection.best_of_n_kl(t(*own["shares"]), own["n"]) == near(own["kl"])
    assert selection.best_of_n_bound(own["n"]) == near(own["bound"])


@pytest.mark.parametrize("form", ["tf", "torch"])
def test_adam(form):
    own = OWN["adam"]
    theta = torch.nn.Parameter(t(1.0))
    how = {k: own[k] for k in ("lr", "eps", "weight_decay")}
    optimizer = optim.adam([theta], form, **how)
    for grad, want in zip(own["grads"], own[form]):
        theta.grad = t(grad)
        optimizer.step()
        assert float(theta.detach()) == near(want)


def test_adaptive_kl():
    rule = control.AdaptiveKL()
    beta = rule.beta
    for row in OWN["adaptive_kl"]:
        beta = rule.next(beta, row["kl"], row["n"])
        assert beta == near(row["beta"])


# --- those of the authors' code, where they are at hand ---


@pytest.mark.parametrize("row", OWN["labels"], ids=lambda row: str(row["first"]))
def test_labels(row):
    q = feedback.preferred(row["first"], row["second"])
    assert q == near(row["q"])
    assert feedback.clamped(q, 0.4, 0.6) == near(row["clamped"])


def test_shared_labels(golden):
    own = golden["cai"]
    q = feedback.preferred(-1.2, -2.3)
    assert q == near(own["q"])
    assert feedback.clamped(q, 0.4, 0.6) == near(own["clamped"])


def test_shared_whitening(golden):
    x = t([1.2, 1.3, 1.4], [1.5, 1.6, 1.7], [1.8, 1.9, 2.0])
    all_BT = torch.ones(3, 3, dtype=torch.bool)
    for shift, key in ((True, "whiten_shift_true"), (False, "whiten_shift_false")):
        got = advantages.whiten(x, all_BT, shift_mean=shift)
        assert torch.allclose(got, t(*golden[key]), atol=1e-12)


def test_shared_gae(golden):
    own = golden["gae"]
    r, v = t(own["rewards"]), t(own["values"])
    all_BT = torch.ones(1, 4, dtype=torch.bool)
    adv = advantages.gae(r, v, all_BT, gamma=own["gamma"], lam=own["lam"])
    assert adv[0].tolist() == near(own["adv"])
    assert (adv + v)[0].tolist() == near(own["returns"])


def test_shared_adaptive_kl(golden):
    for kl, key in ((8.0, "0.15,kl=8,n=512"), (6.3, "0.15,kl=6.3,n=512"), (0.0, "0.15,kl=0,n=512")):
        assert control.AdaptiveKL().next(0.15, kl, 512) == near(golden["adaptive_kl"][key])


def test_shared_kl(golden):
    own = golden["kl"]
    for name in ("k1", "k2", "k3"):
        assert float(getattr(divergence, name)(t(own["logp"]), t(own["ref"]))) == near(own[name])


def test_shared_ppo(golden):
    own = golden["ppo"]
    old = torch.zeros(3, dtype=torch.float64)
    each = losses.clip(t(*own["logratio"]), old, t(*own["adv"]), eps=0.2).each
    assert each.tolist() == near(own["pg_terms"])
    assert float(each.mean()) == near(own["pg"])
    each = losses.value(t(*own["v"]), t(*own["v_old"]), t(*own["ret"]), eps=0.2).each
    assert float(each.mean()) == near(own["vf_loss"])


def compared(scores, ranks, p=NAN):
    score_BK = t(scores)
    mask_BK = torch.ones(score_BK.shape, dtype=torch.bool)
    return Compared(score_BK, mask_BK, torch.tensor([ranks]), t(NAN), t(p))


def test_shared_comparisons(golden):
    own, cai = golden["bt"], golden["cai"]
    assert float(BradleyTerry()(compared([1.0, 0.0], [0, 1])).each) == near(own["diff1"])
    assert float(BradleyTerry()(compared([0.0, 0.0], [0, 1])).each) == near(own["diff0"])
    best = BestOfK()(compared([1.0, 0.0, 0.0, 0.0], [0, 1, 1, 1])).each
    assert float(best) == near(own["pickbest4_logits[1,0,0,0]_label0"])
    for p, key in ((cai["q"], "pm_loss_q"), (cai["clamped"], "pm_loss_clamped")):
        assert float(BradleyTerry()(compared([cai["rA-rB"], 0.0], [0, 1], p)).each) == near(
            cai[key]
        )


def test_shared_adam(golden):
    own = golden["adam_first_step"]
    for form in ("tf", "torch"):
        theta = torch.nn.Parameter(t(0.0))
        optimizer = optim.adam([theta], form, lr=1e-5, eps=1e-5)
        theta.grad = t(own["g"])
        optimizer.step()
        assert -float(theta.detach()) == pytest.approx(own[f"{form}_update"], rel=1e-6)


def test_shared_exact_kl(golden):
    own = golden["exact_frontier"]
    rho, r = t(*own["ref"]), t(*own["r"])
    for point in own["points"]:
        star = (rho.log() + r / point["beta"]).log_softmax(0)
        assert float(divergence.exact(star, rho.log())) == near(point["kl"])
        assert float(star.exp() @ r) == near(point["reward"])
