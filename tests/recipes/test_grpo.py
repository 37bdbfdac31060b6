"""Policy gradients without a critic: to the known optimum, cut as one likes, stale or resampled."""

import math
import pickle
from functools import partial

import pytest
import torch

from accord.data.rows import grouped, pad
from accord.errors import BadSettings
from accord.maths.advantages import BatchMean, BatchNorm, GroupMean
from accord.maths.surrogate import LossKL, RewardKL, Surrogate, Truncated
from accord.maths.weights import weigh
from accord.recipes import grpo
from accord.recipes.groups import Batch, Group, lay
from accord.records import Invalid, Rollout
from accord.rewards.ending import Overlong, Unlearned
from accord.store.run import Run
from group_fakes import BETA, FAST, PROMPTS, SMALL, TWO, score_of, sweet, trained
from toys import LONGEST, cuts, distribution, float64, gradient, sentences, toy_policy

# --- the optimum ---

METHODS = {
    "REINFORCE": {"baseline": BatchMean(), "group": 1, "batch": 128},
    "RLOO": {},
    "KL per token": {"kl": RewardKL(BETA, spread="token")},
    "one batch late, weighed": {
        "lag": 1,
        "stale": Truncated(5.0, "sequence"),
        "group": 32,
    },
}


@pytest.mark.parametrize("name", METHODS)
def test_it_converges_to_the_known_optimum(name):
    """max E[r] - β KL(π, ρ) is reached by π*(y) = ρ(y) exp(r(y)/β) / Z, with value β log Z."""
    assert 0.95 < way(name, METHODS[name]) <= 1 + 1e-9, "nothing lies above the optimum"


def way(name: str, changed) -> float:
    """The share of what can be gained that training gains."""
    start = toy_policy()
    rho = distribution(start)
    r = torch.tensor([score_of(y) for y in sentences()], dtype=torch.float64)
    best = BETA * math.log(float((rho * (r / BETA).exp()).sum()))
    policy = grpo.train(FAST.model_copy(update=changed), Run(), start, sweet, PROMPTS)
    pi = distribution(policy)
    reached = float((pi * r).sum() - BETA * (pi * (pi / rho).log()).sum())
    begun = float((rho * r).sum())
    print(f"{name}: {(reached - begun) / (best - begun):.1%} of the way")
    assert begun < best - 0.3, "the toy leaves nothing to learn"
    assert torch.equal(distribution(start), rho), "the reference must not move"
    return (reached - begun) / (best - begun)


@pytest.mark.parametrize("by", ["k2", "k3"])
def test_kl_in_the_loss_comes_near_it(by):
    """Near, not to it: a token does not pay there for what it does to the KL of later ones, and of
    k3 the gradient is that of KL(ρ ‖ π).
    """
    told = {"kl": LossKL(BETA, by), "baseline": GroupMean(scale=False)}
    assert 0.8 < way(by, told) <= 1 + 1e-9


SCALED = {
    "GRPO": {"baseline": GroupMean(), "weigh_by": "sequence", "kl": LossKL(0.04)},
    "REINFORCE++": {"baseline": BatchNorm(), "kl": RewardKL(0.01, spread="token"), "group": 1},
    "REINFORCE++ with a baseline": {"baseline": BatchNorm(baseline=True), "kl": LossKL(0.01, "k2")},
    "GSPO": {"baseline": GroupMean(), "kl": None, "loss": Surrogate("sequence", 0.1, 0.1)},
    "DAPO": {
        "baseline": GroupMean(),
        "kl": None,
        "weigh_by": "token",
        "loss": Surrogate(high=0.28),
        "missing_eos": Overlong(last=1),
        "resample": 3,
    },
}


@pytest.mark.parametrize("name", SCALED)
def test_those_that_divide_by_a_deviation_climb(name):
    """Their optimum is another one for each scale of scores; that they find more is what holds."""
    start, how = toy_policy(), {"steps": 20, "batch": 8, "group": 16} | SCALED[name]
    if how["group"] == 1:
        how["batch"] = 128
    policy = grpo.train(FAST.model_copy(update=how), Run(), start, sweet, PROMPTS)
    r = torch.tensor([score_of(y) for y in sentences()], dtype=torch.float64)
    before, after = (float((distribution(p) * r).sum()) for p in (start, policy))
    print(f"{name}: E[r] {before:.2f} -> {after:.2f} of at most {float(r.max()):.0f}")
    assert after > before + 0.5


# --- gradients ---


def some(cfg, *, prompts=TWO, seed=1, policy=None, reference=None, scores=None):
    """(policy, reference, rows, seen) of groups sampled by a toy in float64."""
    policy = policy or toy_policy(0, dtype=torch.float64)
    reference = reference or toy_policy(3, dtype=torch.float64)
    said = policy.sample([a.ids for a in prompts], n=cfg.group, longest=LONGEST, seed=seed)
    worth = scores or sweet(said)
    lots = [slice(i, i + cfg.group) for i in range(0, len(said), cfg.group)]
    batch = Batch([Group(tuple(said[at]), tuple(worth[at])) for at in lots])
    return policy, reference, batch, *grpo.experience(cfg, batch, policy, reference)


CUT = {
    "token": {"loss": Surrogate(high=0.28), "weigh_by": "token"},
    "sequence": {"loss": Surrogate("sequence", 3e-4, 4e-4), "weigh_by": "sequence"},
    "in the loss": {"kl": LossKL(0.3), "baseline": GroupMean()},
    "whitened": {"baseline": BatchNorm(), "kl": RewardKL(0.3, spread="token")},
}


@pytest.mark.parametrize("name", CUT)
def test_gradients_do_not_depend_on_the_cut(name):
    """Micro-batches, order, and which answers read their prompt together (float64)."""
    with float64():
        cfg = SMALL.model_copy(update=CUT[name])
        policy, _, _, rows, _ = some(cfg)
        longest = {"longest": LONGEST} if cfg.weigh_by == "constant" else {}
        moved = toy_policy(5, dtype=torch.float64)
        improved = partial(grpo.improve, loss=cfg.loss, kl=cfg.kl, temperature=1.0)
        first = None
        for micro, index in cuts(len(rows)):
            few = rows.take(index)
            weight = weigh(few.tokens.mask_BT, cfg.weigh_by, **longest)
            got = gradient(policy if name != "sequence" else moved, few, weight, improved, micro)
            first = got if first is None else first
            assert (got - first).abs().max() < 1e-12
        assert first.abs().max() > 1e-5


def test_a_prompt_read_once_is_as_if_it_were_read_for_each():
    with float64():
        policy = toy_policy(0, dtype=torch.float64)
        few = [((0, 4, 5), [(2, 1), (3, 3, 1), (5,)]), ((0,), [(4, 1)]), ((0, 4, 5), [(2, 2, 2)])]
        once = grouped(few)
        each = pad([p for p, said in few for _ in said], [y for _, said in few for y in said])
        assert once.cost_B.tolist() == [5, 3, 1, 3, 6]
        assert int(once.cost_B.sum()) == int(each.cost_B.sum()) - 2 * 3
        assert (policy.logp(once) - policy.logp(each)).abs().max() < 1e-12
        for temperature in (1.0, 0.6):
            one, other = (policy.model(x, temperature) for x in (once, each))
            assert (one.logp_BT - other.logp_BT).abs().max() < 1e-12
            assert (one.entropy_BT - other.entropy_BT).abs().max() < 1e-12
        back = torch.tensor([4, 0, 3, 2, 1])
        assert (policy.logp(once.take(back)) - policy.logp(each)[back]).abs().max() < 1e-12


def test_the_first_gradient_is_that_of_reinforce():
    """-Σ Â log π, whichever the ratio, where every answer counts alike."""
    with float64():
        for level in ("token", "sequence"):
            cfg = SMALL.model_copy(update={"loss": Surrogate(level), "weigh_by": "sequence"})
            policy, _, _, rows, _ = some(cfg)
            weight = weigh(rows.tokens.mask_BT, "sequence")
            plain = partial(_reinforce)
            want = gradient(policy, rows, weight, plain)
            improved = partial(grpo.improve, loss=cfg.loss, kl=cfg.kl, temperature=1.0)
            got = gradient(policy, rows, weight, improved)
            assert (got - want).abs().max() < 1e-6 * want.abs().max()


def _reinforce(model, rows):
    from accord.maths.losses import Loss

    return Loss(-rows.adv_BT * model.logp(rows.tokens))


def test_advantages_are_what_the_formulas_say():
    """RLOO on scores less β KL of whole answers; and per token, less what is still to be paid."""
    with float64():
        _, _, batch, rows, seen = some(SMALL)
        tokens, logp_BT = lay(batch.groups)
        ref_BT = toy_policy(3, dtype=torch.float64).logp(tokens)
        kl_BT = (logp_BT - ref_BT) * tokens.mask_BT
        score = torch.tensor([s for g in batch.groups for s in g.scores])
        worth = (score - BETA * kl_BT.sum(1)).view(2, 6)
        want = (worth - (worth.sum(1, keepdim=True) - worth) / 5).flatten()
        first = tokens.stem_B[:, None]
        assert torch.allclose(rows.adv_BT.gather(1, first)[:, 0], want)
        assert seen["objective/kl"] == pytest.approx(float(kl_BT.sum(1).mean()))
        assert seen["objective/non_score_reward"] == pytest.approx(
            -BETA * float(kl_BT.sum(1).mean())
        )
        per_token = SMALL.model_copy(update={"kl": RewardKL(BETA, spread="token")})
        rows = some(per_token)[3]
        centred = score.view(2, 6) - (score.view(2, 6).sum(1, keepdim=True) - score.view(2, 6)) / 5
        to_go = BETA * kl_BT.flip(1).cumsum(1).flip(1)
        want_BT = (centred.flatten()[:, None] - to_go) * tokens.mask_BT
        assert torch.allclose(rows.adv_BT, want_BT, atol=1e-6)


# --- what is left out, and counted ---


def all_alike(rollouts):
    return [0.1] * len(rollouts)


def test_equal_scores_change_nothing_and_are_counted():
    policy, run = trained(all_alike, kl=None)
    assert policy.fingerprint == toy_policy().fingerprint
    assert run.ledger.counts() == {"dropped: no signal": 32}
    for numbers in run.lines:
        assert numbers["groups/no_signal"] == 1
        assert numbers["policy/updates"] == 0
        assert "objective/kl" not in numbers


def test_equal_scores_still_pay_for_kl():
    _, run = trained(all_alike, kl=LossKL(1.0), steps=3)
    assert run.ledger.counts() == {"trained": 48}
    _, run = trained(all_alike, kl=RewardKL(1.0), steps=3)
    counts = run.ledger.counts()  # a group whose answers are all the same pays the same, by chance
    assert counts["trained"] >= 40
    assert counts["dropped: no signal"] % 4 == 0
    assert counts["trained"] + counts["dropped: no signal"] == 48


def test_groups_that_are_left_out_count_in_the_denominators():
    """Answers are as they are: leaving out what has no gradient changes none."""

    def half(rollouts):
        return [0.0 if r.prompt_ids == (0,) else s for r, s in zip(rollouts, sweet(rollouts))]

    for by in ("token", "sequence", "constant"):
        with float64():
            cfg = SMALL.model_copy(update={"kl": None, "weigh_by": by, "minibatches": 1})
            policy = toy_policy(0, dtype=torch.float64)
            said = policy.sample([a.ids for a in TWO], n=6, longest=LONGEST, seed=1)
            policy, _, batch, rows, _ = some(cfg, scores=half(said))
            assert {batch.dropped.get(r.id) for r in said[:6]} == {"no signal"}
            assert not any(r.id in batch.dropped for r in said[6:])
            longest = {"longest": LONGEST} if by == "constant" else {}
            whole = weigh(rows.tokens.mask_BT, by, **longest)
            improved = partial(grpo.improve, loss=cfg.loss, kl=None, temperature=1.0)
            want = gradient(policy, rows, whole, improved)
            twin = policy.trainable(lr=0.1)
            twin.kept, steps = True, []
            twin.update = partial(_instead, policy, steps)
            grpo.optimise(cfg, twin, rows, [r.id for r in said], lr=0.1, dice=0)
            assert len(steps) == 1
            assert (steps[0] - want).abs().max() < 1e-12


def _instead(policy, steps, few, weight, objective, **_):
    """Notes the gradient that an update would step along."""
    steps.append(gradient(policy, few, weight, objective))
    return dict.fromkeys(("loss", "grad_norm", "policy/ratio", "policy/ratio_var"), 0.0)


def test_an_answer_without_a_verdict_is_left_out_of_its_group():
    def shy(rollouts):
        return [Invalid("no verdict"), *sweet(rollouts[1:])]

    _, run = trained(shy)
    assert run.ledger.counts() == {"trained": 30, "dropped: no verdict": 2}


def test_a_single_answer_with_a_verdict_has_no_batch_to_be_compared_with():
    def shy(rollouts):
        return [Invalid("no verdict"), *sweet(rollouts[1:])]

    baseline = BatchMean()
    policy, run = trained(shy, baseline=baseline, kl=None, batch=1, group=2, steps=1)
    assert policy.fingerprint == toy_policy().fingerprint
    assert run.ledger.counts() == {"dropped: no verdict": 1, "dropped: no signal": 1}
    assert run.lines[0]["policy/updates"] == 0


def test_cut_answers_teach_nothing_of_their_own():
    _, run = trained(missing_eos=Unlearned(), longest=2, kl=None, baseline=GroupMean())
    counts = run.ledger.counts()
    assert counts["dropped: cut at the limit"] > 0
    assert counts.total() == 32
    told = [
        Rollout("a", (0,), (2, 1), (0, 0), 0, "stop"),
        Rollout("b", (0,), (2, 3), (0, 0), 0, "length"),
    ]
    batch = Batch([Group(tuple(told), (1.0, 0.0))])
    cfg = SMALL.model_copy(update={"missing_eos": Unlearned(), "kl": None})
    rows, _ = grpo.experience(cfg, batch, toy_policy(), toy_policy())
    assert len(rows) == 1
    assert float(rows.adv_BT.max()) == pytest.approx(1.0), "its score counts in the baseline"
    assert batch.dropped == {"b": "cut at the limit"}


def test_length_is_punished_near_the_limit():
    """Yu et al. 2025, eq. 13, at longest=10 of which the last 4 cost."""
    rule = Overlong(last=4)
    for length, want in ((1, 0), (6, 0), (7, -0.25), (9, -0.75), (10, -1)):
        said = Rollout("a", (0,), (2,) * length, (0.0,) * length, 0, "stop")
        assert rule(said, 5.0, 10) == pytest.approx(5 + want)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"group": 1}, "baseline=GroupMean compares answers"),
        ({"group": 1, "baseline": BatchMean(), "resample": 2}, "resample=2 compares answers"),
        ({"group": 1, "batch": 1, "baseline": BatchMean()}, "are 1 answers: too few"),
        ({"group": 2, "batch": 2, "minibatches": 5}, "are 4 answers: too few"),
        ({"longest": 8, "missing_eos": Overlong(last=9)}, "more than longest=8"),
        ({"lag": -1}, "lag"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(told, says):
    with pytest.raises(BadSettings, match=says):
        grpo.GRPO(**told)


def test_the_objective_is_picklable():
    made = partial(grpo.improve, loss=Surrogate(), kl=LossKL(), temperature=1.0)
    assert pickle.loads(pickle.dumps(made)).keywords == made.keywords
