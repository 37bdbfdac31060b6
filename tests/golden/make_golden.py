"""Writes golden.json: every formula of accord.maths once more, number by number, without torch.

    cd tests && PYTHONPATH=. python golden/make_golden.py

Written from the papers, and deliberately not in the way the package does it.
"""

import json
import math
from pathlib import Path
from statistics import fmean, pstdev, stdev

from golden.sampled import segments, selection, surrogate

X = None  # nothing there


def sigma(z):
    return 1 / (1 + math.exp(-z))


def log_loss(z, q):
    return -q * math.log(sigma(z)) - (1 - q) * math.log(sigma(-z))


def pairs(scores, ranks):
    there = [(s, r) for s, r in zip(scores, ranks) if s is not X]
    for i, (s, a) in enumerate(there):
        for t, b in there[i + 1 :]:
            yield s, t, (1.0 if a < b else 0.0 if b < a else 0.5)


def bradley_terry(scores, ranks, strength=X, p_first=X, centre=0.0):
    losses = []
    for s, t, q in pairs(scores, ranks):
        q = q if p_first is X else p_first
        gap = (s - t) - (2 * q - 1) * (strength or 0.0)
        losses.append(log_loss(gap, q) + centre * (s + t) ** 2)
    return fmean(losses)


def best_of_k(scores, ranks, p_first=X):
    there = [(s, r) for s, r in zip(scores, ranks) if s is not X]
    total = sum(math.exp(s) for s, _ in there)
    best = min(r for _, r in there)
    if p_first is not X:
        target = [p_first, 1 - p_first]
    else:
        target = [(r == best) / sum(r == best for _, r in there) for _, r in there]
    return -sum(w * math.log(math.exp(s) / total) for w, (s, _) in zip(target, there))


def davidson(scores, ranks, nu):
    losses = []
    for s, t, q in pairs(scores, ranks):
        a, b = math.exp(s), math.exp(t)
        total = a + b + nu * math.sqrt(a * b)
        wanted = {1.0: a, 0.0: b, 0.5: nu * math.sqrt(a * b)}[q]
        losses.append(-math.log(wanted / total))
    return fmean(losses)


def rao_kupper(scores, ranks, theta):
    losses = []
    for s, t, q in pairs(scores, ranks):
        a, b = math.exp(s), math.exp(t)
        tie = (theta**2 - 1) * a * b / ((a + theta * b) * (b + theta * a))
        losses.append(-math.log({1.0: a / (a + theta * b), 0.0: b / (b + theta * a), 0.5: tie}[q]))
    return fmean(losses)


def smoothed(scores, ranks, share, p_first=X):
    losses = []
    for s, t, q in pairs(scores, ranks):
        q = q if p_first is X else p_first
        right, wrong = log_loss(s - t, q), log_loss(s - t, 1 - q)
        losses.append((1 - share) * right + share * wrong)
    return fmean(losses)


def compared():
    rows = {  # scores, ranks, strength, soft label
        "pair": ([0.7, -0.4], [0, 1], X, X),
        "pair, second better": ([0.7, -0.4], [1, 0], X, X),
        "margin": ([0.7, -0.4], [1, 0], 1.5, X),
        "soft": ([0.7, -0.4], [0, 1], X, 0.3),
        "tie": ([0.7, -0.4], [0, 0], X, X),
        "four": ([0.2, -1.1, 0.9, 0.3], [2, 1, 0, 3], X, X),
        "four with a tie": ([0.2, -1.1, 0.9, 0.3], [1, 0, 0, 2], 0.5, X),
        "best of three, one absent": ([0.2, X, 0.9, 0.3], [1, 9, 0, 1], X, X),
    }
    for name, (scores, ranks, strength, soft) in rows.items():
        out = {
            "BradleyTerry": bradley_terry(scores, ranks, X, soft),
            "BradleyTerry margin": bradley_terry(scores, ranks, strength, soft),
            "BradleyTerry centre": bradley_terry(scores, ranks, X, soft, centre=0.01),
            "BradleyTerry smooth": smoothed(scores, ranks, 0.1, soft),
            "BestOfK": best_of_k(scores, ranks, soft),
        }
        if soft is X:
            out["Davidson"] = davidson(scores, ranks, nu=0.8)
            out["RaoKupper"] = rao_kupper(scores, ranks, theta=1.6)
        yield {"name": name, "score": scores, "rank": ranks, "strength": strength, "p": soft} | out


def direct_pair(pw, rw, nw, pl, rl, nl):
    """Losses of DPO's family as odds and probabilities, not as log-odds."""
    b, e, t = 0.1, 0.1, 0.05
    win, lose = math.exp(pw - rw), math.exp(pl - rl)  # u = π/ρ
    odds = (win / lose) ** b
    p, h = odds / (1 + odds), math.log(win / lose)
    m = 1 / (1 + odds ** (-1 / t))
    good, bad = win**b / (1 + win**b), lose**b / (1 + lose**b)
    gm_win, gm_lose = math.exp(pw / nw), math.exp(pl / nl)
    each_odds = (gm_win / (1 - gm_win)) / (gm_lose / (1 - gm_lose))
    longer = math.exp(0.01 * (nw - nl))
    per_token = sigma(5 * (math.log(win) / nw - math.log(lose) / nl))
    f = {
        "ForwardKL": lambda u: -1 / u,
        "JensenShannon": lambda u: math.log(2 * u / (1 + u)),
        "Alpha": lambda u: (1 - u**-0.3) / 0.3,
    }
    scored = {f"DPO {k}": -math.log(sigma(b * (g(win) - g(lose)))) for k, g in f.items()}
    return scored | {
        "DPO": -math.log(p),
        "CDPO": -(1 - e) * math.log(p) - e * math.log(1 - p),
        "RobustDPO": (-(1 - e) * math.log(p) + e * math.log(1 - p)) / (1 - 2 * e),
        "IPO": h * h - h / b + 1 / (4 * b * b),
        "IPO means": (math.log(win) / nw - math.log(lose) / nl - 5) ** 2,
        "Hinge": max(0, 1 - math.log(odds)),
        "NormDPO": -math.log(per_token),
        "RPO": -math.log(p) - math.log(gm_win),
        "RDPO": -math.log(odds * longer / (1 + odds * longer)),
        "EXO": p * math.log(p / (1 - e)) + (1 - p) * math.log((1 - p) / e),
        "NCA": -math.log(good) - math.log(1 - good) / 2 - math.log(1 - bad) / 2,
        "SPPO": (pw - rw - 5) ** 2 + (pl - rl + 5) ** 2,
        "APOZero": 1 - good + bad,
        "APODown": good + 1 - p,
        "DiscoPOP": -math.log(p) * (1 - m) + m / odds,
        "ORPO": -math.log(gm_win) - 0.25 * math.log(each_odds / (1 + each_odds)),
        "SimPO": math.log(1 + (gm_lose / gm_win) ** 2 * math.e),
        "CPO": -math.log(math.exp(pw * b) / (math.exp(pw * b) + math.exp(pl * b))) - pw,
        "CPO means": -math.log(math.exp(pw * b) / (math.exp(pw * b) + math.exp(pl * b))) - pw / nw,
        "NLL": -pw / nw,
        "BCO": (-math.log(good) - math.log(1 - bad)) / 2,
        "KTO": (1.0 / (1 + (win * math.exp(-0.2)) ** b) + 1.3 / (1 + (math.exp(0.2) / lose) ** b))
        / 2,
    }


def direct():
    for row in (
        (-10.0, -11.0, 10, -12.0, -11.5, 12),
        (-7.5, -6.0, 3, -9.0, -11.0, 8),
        (-3.0, -3.0, 6, -4.0, -4.0, 2),
    ):
        yield {"row": list(row)} | direct_pair(*row)


def plackett_luce(scores, ranks):
    """Of a strict ranking; an answer that is not there is None."""
    left = sorted((r, s) for s, r in zip(scores, ranks) if s is not X)
    loss = 0.0
    while left:
        loss -= math.log(math.exp(left[0][1]) / sum(math.exp(s) for _, s in left))
        left = left[1:]
    return loss


def rankings():
    for scores, ranks in (
        ([0.3, -1.0, 2.0, 0.1], [1, 0, 3, 2]),
        ([0.3, X, 2.0], [1, 0, 0]),
        ([0.5, -0.5], [1, 0]),
    ):
        yield {"score": scores, "rank": ranks, "PlackettLuce": plackett_luce(scores, ranks)}


def optimal_transport():
    """(log π⁺, log ρ⁺, log π⁻, log ρ⁻) of four pairs."""
    rows = [[-3.0, -4.0, -6.0, -5.0], [-1.0, -1.5, -1.0, -2.0], [-8.0, -6.0, -7.0, -6.0]]
    rows.append([-2.0, -2.5, -4.0, -9.0])
    paired = zip(sorted(w - x for w, _, x, _ in rows), sorted(r - s for _, r, _, s in rows))
    apart = zip(sorted(w - r for w, r, _, _ in rows), sorted(x - s for _, _, x, s in rows))
    both = {"paired": list(paired), "unpaired": list(apart)}
    return {"rows": rows} | {
        k: -sum(math.log(sigma(0.1 * (u - v))) for u, v in few) for k, few in both.items()
    }


def gae_as_a_sum(reward, value, gamma, lam, after):
    """Σ_l (γλ)^l δ_{t+l}, not the recursion."""
    values = [*value, after]
    delta = [r + gamma * values[t + 1] - values[t] for t, r in enumerate(reward)]
    return [
        sum((gamma * lam) ** l * d for l, d in enumerate(delta[t:]))  # noqa: E741
        for t in range(len(delta))
    ]


def gae():
    for gamma, lam, after in ((1.0, 0.95, 0.0), (0.9, 0.5, 0.0), (0.97, 0.8, 0.6), (1.0, 1.0, 0.0)):
        r, v = [0.3, -0.2, 0.0, 1.4, 0.1], [0.5, 0.1, -0.3, 0.2, 0.9]
        yield {
            "reward": r,
            "value": v,
            "gamma": gamma,
            "lam": lam,
            "after": after,
            "adv": gae_as_a_sum(r, v, gamma, lam, after),
        }


def groups():
    score = [[1.0, 0.0, 0.0, 2.0], [0.5, 0.5, 0.5, 0.5], [-3.0, 1.0, 4.0, 4.5]]
    flat = [x for row in score for x in row]
    centred = [[x - fmean(row) for x in row] for row in score]
    spread = math.sqrt(fmean([x * x for row in centred for x in row]) + 1e-8)
    return {
        "score": score,
        "LeaveOneOut": [
            [x - fmean(row[:i] + row[i + 1 :]) for i, x in enumerate(row)] for row in score
        ],
        "GroupMean": [[x / (stdev(s) + 1e-4) for x in c] for s, c in zip(score, centred)],
        "GroupMean scale=False": centred,
        "BatchMean": [[x - (sum(flat) - x) / (len(flat) - 1) for x in row] for row in score],
        "BatchNorm": [
            [(x - fmean(flat)) / math.sqrt(pstdev(flat) ** 2 + 1e-8) for x in r] for r in score
        ],
        "BatchNorm baseline": [[x / spread for x in row] for row in centred],
    }


def clip():
    for logp, old, adv in (
        (-1.0, -1.1, 1.0),
        (-1.3, -1.0, -1.0),
        (-0.5, -1.0, 0.5),
        (-2.0, -1.0, 2.0),
    ):
        ratio = math.exp(logp - old)
        held = min(max(ratio, 0.8), 1.2)
        yield {
            "logp": logp,
            "old": old,
            "adv": adv,
            "each": -min(ratio * adv, held * adv),
            "policy/ratio": ratio,
            "policy/approxkl": (old - logp) ** 2 / 2,
            "policy/clipfrac": float(held * adv < ratio * adv),
        }


def value():
    for v, old, ret in ((0.6, 0.3, 1.0), (0.1, 0.2, 0.0), (0.9, 0.3, 0.0), (0.9, 0.3, 1.0)):
        held = old + min(max(v - old, -0.2), 0.2)
        errors = (v - ret) ** 2, (held - ret) ** 2
        yield {
            "v": v,
            "old": old,
            "return": ret,
            "each": max(errors) / 2,
            "free": errors[0] / 2,
            "val/clipfrac": float(errors[1] > errors[0]),
        }


def divergence():
    p, q = [0.5, 0.3, 0.2, 0.0], [0.25, 0.25, 0.4, 0.1]
    rows = []
    for logp, ref in ((-1.0, -1.3), (-2.0, -0.5), (-0.7, -0.7)):
        d = logp - ref
        row = {"k1": d, "k2": d * d / 2, "k3": math.exp(ref) / math.exp(logp) - 1 + d}
        rows.append({"logp": logp, "ref": ref} | row)
    kl = sum(a * math.log(a / b) for a, b in zip(p, q) if a > 0)
    return {"samples": rows, "p": p, "q": q, "exact": kl}


def schedules(total=8, warmup=3):
    up = [1 / 4, 2 / 4, 3 / 4]
    done = [0, 1 / 5, 2 / 5, 3 / 5, 4 / 5]
    return {
        "total": total,
        "warmup": warmup,
        "Constant": [*up, 1, 1, 1, 1, 1],
        "Linear": [*up, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5],
        "Cosine": [*up, *(math.cos(math.pi * x / 2) ** 2 for x in done)],
        "Cosine floor=0.1": [*up, *(1 - 0.9 * math.sin(math.pi * x / 2) ** 2 for x in done)],
    }


def adam(grads=(1e-4, -3e-4, 2e-4, 0.0), lr=0.01, eps=1e-3, decay=0.1):
    """Where θ = 1 goes; moments as explicit sums over the past, not as a recursion."""
    out = {"grads": list(grads), "lr": lr, "eps": eps, "weight_decay": decay, "tf": [], "torch": []}
    for form in ("tf", "torch"):
        theta = 1.0
        for t in range(1, len(grads) + 1):
            m = sum(0.1 * 0.9 ** (t - k) * g for k, g in enumerate(grads[:t], 1))
            v = sum(0.001 * 0.999 ** (t - k) * g * g for k, g in enumerate(grads[:t], 1))
            m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
            scaled = eps / math.sqrt(1 - 0.999**t) if form == "tf" else eps
            theta = theta * (1 - lr * decay) - lr * m_hat / (math.sqrt(v_hat) + scaled)
            out[form].append(theta)
    return out


def adaptive_kl():
    beta, path = 0.15, []
    for kl, n in ((8.0, 512), (6.3, 512), (0.0, 64), (5.9, 128), (100.0, 32)):
        error = sorted((-0.2, kl / 6.0 - 1, 0.2))[1]
        beta += beta * error * n / 10_000
        path.append({"kl": kl, "n": n, "beta": beta})
    return path


def labels():
    """q from probabilities themselves, not from a gap of logarithms; limits; both orders."""
    for first, second in ((-1.2, -2.3), (-2.3, -1.2), (-0.5, -0.5), (-30.0, -28.5), (-9.0, -0.1)):
        a, b = math.exp(first), math.exp(second)
        q = a / (a + b)
        held = sorted((0.4, q, 0.6))[1]
        yield {"first": first, "second": second, "q": q, "clamped": held}


def make():
    return {
        "labels": list(labels()),
        "compared": list(compared()),
        "direct": list(direct()),
        "rankings": list(rankings()),
        "optimal_transport": optimal_transport(),
        "clip": list(clip()),
        "surrogate": surrogate(),
        "value": list(value()),
        "gae": list(gae()),
        "groups": groups(),
        "divergence": divergence(),
        "schedules": schedules(),
        "adam": adam(),
        "adaptive_kl": adaptive_kl(),
        "selection": selection(),
        "segments": list(segments()),
    }


if __name__ == "__main__":
    file = Path(__file__).with_name("golden.json")
    file.write_text(json.dumps(make(), indent=1) + "\n")
