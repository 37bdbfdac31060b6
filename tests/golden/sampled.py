"""Part of make_golden.py: formulas of what is sampled, selected and compared while learning."""

import math

X = None  # nothing there


def surrogate():
    """One answer of three tokens: every token's loss, by level and range."""
    logp, old, ref = [-0.2, -1.4, -2.0], [-0.9, -1.5, -1.1], [-0.5, -1.0, -2.2]
    told = {"logp": logp, "old": old, "ref": ref, "rows": []}
    ratios = {
        "token": [math.exp(p - q) for p, q in zip(logp, old)],
        "sequence": [math.prod(math.exp(p - q) for p, q in zip(logp, old)) ** (1 / 3)] * 3,
    }
    for level, low, high, dual in (
        ("token", 0.2, 0.2, X),
        ("token", 0.2, 0.28, X),
        ("token", X, X, X),
        ("token", 0.2, X, X),
        ("token", 0.2, 0.28, 1.5),
        ("sequence", 3e-4, 4e-4, X),
        ("sequence", X, X, X),
    ):
        for adv in (1.5, -0.7):
            each = []
            for r in ratios[level]:
                near = max(r, 1 - low) if low else r
                near = min(near, 1 + high) if high else near
                gain = min(r * adv, near * adv)
                if dual and adv < 0:
                    gain = max(gain, dual * adv)
                each.append(-gain)
            how = {"ratio": level, "low": low, "high": high, "dual": dual}
            told["rows"].append({"how": how, "adv": adv, "each": each})
    k1 = [p - q for p, q in zip(logp, ref)]
    k3 = [math.exp(q - p) - 1 + p - q for p, q in zip(logp, ref)]
    told["charge k1"] = [0.3 * sum(k1[t:]) for t in range(3)]
    told["charge k3"] = [0.3 * sum(k3[t:]) for t in range(3)]
    told["in loss k3"] = [0.3 * k for k in k3]
    told["in loss k2"] = [0.3 * k * k / 2 for k in k1]
    told["truncated"] = [min(r, 1.3) for r in ratios["token"]]
    told["truncated sequence"] = [min(math.prod(ratios["token"]), 1.3)] * 3
    return told


def selection(prompts=((0.1, 0.9, 0.4, 0.4), (0.3, 0.7), (0.2,)), n=4):
    """Thresholds by prompt; numpy's default quantile; the best of n as order statistics."""
    quantile, between = [], []
    for rewards in map(sorted, prompts):
        place = 0.75 * (len(rewards) - 1)
        low = int(place)
        high = min(low + 1, len(rewards) - 1)
        quantile.append(rewards[low] * (1 - place + low) + rewards[high] * (place - low))
        between.append(0.25 * rewards[-1] + 0.75 * sum(rewards) / len(rewards))
    shares, below, kl = [0.5, 0.3, 0.2], 0.0, 0.0
    for p in shares:
        best = sum(math.comb(n, k) * p**k * below ** (n - k) for k in range(1, n + 1))
        kl, below = kl + best * math.log(best / p), below + p
    told = {"rewards": [list(few) for few in prompts], "p": 0.75, "gamma": 0.25}
    return told | {
        "Percentile": quantile,
        "Interpolated": between,
        "shares": shares,
        "n": n,
        "kl": kl,
        "bound": math.log(n) - 1 + 1 / n,
    }


def segments():
    """Two segments by their steps' rewards; what was said; the chance of a coin."""
    for first, second, q, noise in (
        ([0.3, -1.2, 0.8], [0.1, 0.4, -0.9], 1.0, 0.1),
        ([0.3, -1.2, 0.8], [0.1, 0.4, -0.9], 0.0, 0.1),
        ([2.0, 1.0, 0.5], [-1.0, 0.0, -0.5], 0.5, 0.1),
        ([2.0, 1.0, 0.5], [-1.0, 0.0, -0.5], 0.0, 0.0),
        ([0.0, 0.0, 0.0], [0.7, 0.2, 4.0], 0.25, 0.3),
    ):
        a, b = math.exp(math.fsum(first)), math.exp(math.fsum(second))
        p = noise * 0.5 + (1 - noise) * a / (a + b)
        loss = -(q * math.log(p) + (1 - q) * math.log1p(-p))
        yield {"first": first, "second": second, "q": q, "noise": noise, "loss": loss}
