"""On-line preference learning: to the optimum of a language that can be listed."""

import math
from itertools import chain

import pytest
import torch

from accord.engine.trailing import Refresh, Trailing
from accord.errors import BadModel
from accord.maths.control import Constant, Linear
from accord.maths.pairwise import DPO, IPO
from accord.maths.unpaired import AOT, KTO
from accord.models.lora import Lora
from accord.recipes import online
from accord.recipes.common import Asked
from accord.recipes.online import Online, chunks
from accord.recipes.pairing import group, observe
from accord.recipes.preferred import LONE, refer
from accord.records import Invalid, Rollout
from accord.store.run import Run
from toys import LONGEST, distribution, sentences, toy_policy

BETA = 0.5
PROMPTS = [Asked("p", (0,))]


def worth(ids) -> float:
    return 1.0 * ids.count(2) - 0.4 * len(ids)


def liked(rollouts) -> list[float]:
    return [worth(r.response_ids) for r in rollouts]


def test_it_goes_to_the_optimum():
    """Pairs drawn by the policy itself, judged as Bradley and Terry say, end at ρ e^(r/β) / Z."""
    start = toy_policy()
    rho_N = distribution(start)
    r_N = torch.tensor([worth(ids) for ids in sentences()]).double()
    best_N = rho_N * (r_N / BETA).exp()
    best_N /= best_N.sum()
    cfg = Online(
        loss=DPO(beta=BETA),
        labels="soft",
        steps=40,
        batch=128,
        epochs=2,
        minibatches=2,
        lr=5e-3,
        schedule=Linear(),
        longest=LONGEST,
    )
    run = Run()
    made = online.train(cfg, run, start, liked, PROMPTS)
    p_N = distribution(made)

    def kl(a_N, b_N) -> float:
        return float((a_N * (a_N / b_N).log()).sum())

    before, after = kl(best_N, rho_N), kl(best_N, p_N)
    print(f"KL(π*‖ρ) {before:.3f} nats before, {after:.4f} after")
    assert after < 0.05 * before
    assert kl(p_N, rho_N) == pytest.approx(run.history[-1]["objective/kl"], abs=0.25)
    assert float((p_N * r_N).sum()) == pytest.approx(run.history[-1]["objective/scores"], abs=0.15)


def said(name: str, ids: tuple[int, ...], logp: float = -1.0) -> Rollout:
    each = (logp / len(ids),) * len(ids)
    return Rollout(id=name, prompt_ids=(0,), response_ids=ids, logp=each, version=0, finish="stop")


FOUR = [said("7.0/0", (2, 1)), said("7.0/1", (3, 1)), said("7.0/2", (4, 1)), said("7.0/3", (5, 1))]


def test_the_best_meets_the_worst():
    (one,) = group(FOUR, [0.5, 2.0, -1.0, 0.0], "best-worst", "hard")
    assert one.row.response_ids == ((3, 1), (4, 1))
    assert (one.row.ranks, one.row.p_first) == ((0, 1), None)
    assert one.of((10.0, 11.0, 12.0, 13.0)) == ((11.0, 12.0),)
    (soft,) = group(FOUR, [0.5, 2.0, -1.0, 0.0], "best-worst", "soft")
    assert soft.row.p_first == pytest.approx(1 / (1 + math.exp(-3)))


def test_a_ranking_has_all_and_ties_share_a_place():
    (one,) = group(FOUR, [0.5, 2.0, -1.0, 0.5], "ranking", "hard")
    assert one.row.ranks == (1, 0, 2, 1)
    assert one.of((1.0, 2.0, 3.0, 4.0)) == ((1.0, 2.0, 3.0, 4.0),)


def test_what_is_alike_is_no_pair_and_counted():
    known = [*FOUR[:2], said("7.1/0", (2, 1)), said("7.1/1", (2, 1)), said("7.2/0", (2, 1))]
    groups = group(known, [1.0, 1.0, 0.0, 1.0, 3.0], "best-worst", "hard")
    assert [g.row for g in groups] == [None, None, None]
    soft = group(known, [1.0, 1.0, 0.0, 1.0, 3.0], "best-worst", "soft")
    assert [g.row and g.row.p_first for g in soft] == [0.5, None, None]
    assert soft[0].row.response_ids == ((2, 1), (3, 1))
    told = observe(groups, [(-2.0, -2.0), (-1.0, -1.0), (-3.0,)], known, [1.0] * 5, 4)
    assert told["pairs/share"] == 0
    assert told["objective/kl"] == pytest.approx((1 + 1 + 0 + 0 + 2) / 5)


def test_a_step_without_a_pair_changes_nothing():
    start, run = toy_policy(), Run()
    cfg = Online(steps=2, batch=4, longest=LONGEST, lr=1e-2, schedule=Constant())
    made = online.train(cfg, run, start, lambda rs: [1.0] * len(rs), PROMPTS)
    assert made.fingerprint == start.fingerprint
    assert [row["pairs/share"] for row in run.history] == [0, 0]
    assert "loss" not in run.history[0]


def test_an_answer_nobody_could_score_takes_its_pair_along():
    def picky(rollouts):
        return [
            Invalid("no verdict") if r.id == "0.3/1" else s
            for r, s in zip(rollouts, liked(rollouts), strict=True)
        ]

    run = Run()
    cfg = Online(steps=1, batch=16, longest=LONGEST)
    online.train(cfg, run, toy_policy(), picky, PROMPTS)
    counts = run.ledger.counts()
    assert counts["dropped: no verdict"] == 1
    alike = counts["dropped: no pair: alike, or scored alike"]
    assert counts["trained"] == 31 - alike
    assert alike % 2 == 1, "the other answer to its prompt is no pair by itself"


def test_kto_where_few_prompts_have_a_pair():
    """As many as there are make minibatches; of one alone nothing is learned, and that is said."""
    prompts = [Asked(str(n), (0,) * (n + 1)) for n in range(4)]

    def telling(alike: int):
        def judge(rollouts):
            return [1.0 if len(r.prompt_ids) > alike else worth(r.response_ids) for r in rollouts]

        return judge

    cfg = Online(loss=KTO(), steps=1, batch=4, n=4, minibatches=2, longest=LONGEST, lr=1e-2)
    for alike, learned in ((3, True), (1, False)):
        start, run = toy_policy(), Run()
        made = online.train(cfg, run, start, telling(alike), prompts)
        assert (made.fingerprint != start.fingerprint) is learned
        assert ("loss" in run.history[0]) is learned
        assert run.ledger.counts().get("dropped: " + LONE, 0) == (0 if learned else 2)


def test_who_is_neither_best_nor_worst_is_said():
    (one,) = group(FOUR, [0.5, 2.0, -1.0, 0.0], "best-worst", "hard")
    assert one.left == dict.fromkeys(["7.0/0", "7.0/3"], "neither best nor worst")
    (all_,) = group(FOUR, [0.5, 2.0, -1.0, 0.0], "ranking", "hard")
    assert all_.left == {}


def test_minibatches_see_every_row_once_an_epoch():
    told = list(chunks(10, 2, 3, 5))
    assert [len(few) for few in told] == [4, 3, 3] * 2
    assert sorted(chain(*told[:3])) == sorted(chain(*told[3:])) == list(range(10))
    assert told[:3] != told[3:]
    assert list(chunks(0, 2, 3, 5)) == []
    assert [len(few) for few in chunks(2, 1, 3, 5)] == [1, 1]


@pytest.mark.parametrize("lora", [None, Lora(r=2)])
def test_the_reference_goes_after_its_policy(lora):
    start = toy_policy()
    policy, copy = (start.trainable(lr=1e-2, lora=lora, seed=0) for _ in range(2))
    trail = Trailing(policy, copy, Refresh(every=2, share=0.25))
    assert copy.fingerprint == policy.fingerprint
    before = {k: w.clone() for k, w in policy.learner.steps.exact().items()}
    with torch.no_grad():
        for w in policy.learner.steps.exact().values():
            w += 1.0
    trail.follow(0)
    same = copy.learner.steps.exact()
    assert all(torch.equal(w, same[k]) for k, w in before.items())
    trail.follow(1)
    for k, w in before.items():
        torch.testing.assert_close(same[k], w + 0.25)


def test_a_share_of_one_is_the_policy_itself(tmp_path):
    start = toy_policy()
    policy, copy, other = (start.trainable(lr=1e-2) for _ in range(3))
    trail = Trailing(policy, copy, Refresh(every=1, share=1.0))
    with torch.no_grad():
        for w in policy.learner.steps.exact().values():
            w *= 1.5
    trail.follow(0)
    assert copy.fingerprint == policy.fingerprint != start.fingerprint
    trail.save(tmp_path)
    again = Trailing(policy, other, Refresh())
    again.load(tmp_path)
    assert other.fingerprint == policy.fingerprint
    adapter = start.trainable(lr=1e-2, lora=Lora(r=2))
    with pytest.raises(BadModel, match="the saved reference is of another model"):
        Trailing(policy, adapter, Refresh()).load(tmp_path)


def test_iterative_dpo_begins_each_round_at_its_reference():
    """With the reference renewed after every step, margins before the update are 0 each time."""
    run = Run()
    cfg = Online(
        steps=3,
        batch=32,
        longest=LONGEST,
        lr=1e-2,
        schedule=Constant(),
        refresh=Refresh(every=1, share=1.0),
    )
    online.train(cfg, run, toy_policy(), liked, PROMPTS)
    assert [row["rewards/margins"] for row in run.history] == pytest.approx([0, 0, 0], abs=1e-5)
    assert [row["loss"] for row in run.history] == pytest.approx([math.log(2)] * 3, abs=1e-5)
    stay = Run()
    online.train(cfg.model_copy(update={"refresh": None}), stay, toy_policy(), liked, PROMPTS)
    assert stay.history[2]["rewards/margins"] > 0.01


def test_the_reference_is_asked_about_what_is_compared():
    """What the reference says of a row is what it says of those very answers."""
    start = toy_policy()
    rollouts = start.sample([(0,)] * 6, n=3, longest=LONGEST, seed=3)
    groups = group(rollouts, liked(rollouts), "best-worst", "hard")
    told = refer(start, [g.all for g in groups])
    few = [(g.row, *g.of(t)) for g, t in zip(groups, told, strict=True) if g.row]
    assert len(few) > 2
    for row, ref in few:
        assert ref == pytest.approx(refer(start, [row])[0], abs=1e-5)
        assert worth(row.response_ids[0]) > worth(row.response_ids[1])


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"labels": "soft", "pairs": "ranking"}, "labels=soft is of two"),
        ({"loss": AOT(), "pairs": "ranking", "n": 3}, "AOT compares two"),
        ({"loss": KTO(), "batch": 1}, "batch must be at least 2"),
        ({"mix": "1*KTO", "batch": 7, "minibatches": 4}, "as much for each of minibatches"),
        ({"n": 1}, "greater than or equal to 2"),
        ({"mix": "DPO"}, "weight above 0"),
    ],
)
def test_odd_settings_are_refused(odd, why):
    with pytest.raises(Exception, match=why):
        Online(**odd)


@pytest.mark.parametrize("odd", [{"every": 0}, {"share": 0.0}, {"share": 1.5}])
def test_an_odd_refreshment_is_refused(odd):
    with pytest.raises(ValueError, match="every must be at least 1, and share above 0"):
        Refresh(**odd)


@pytest.mark.parametrize("odd", [{"loss": IPO(beta=0.5), "mix": "0.1*NLL"}, {"pairs": "ranking"}])
def test_other_losses_go_on_line_too(odd):
    start = toy_policy()
    cfg = Online(steps=12, batch=64, n=4, longest=LONGEST, lr=5e-3, schedule=Linear(), **odd)
    made = online.train(cfg, Run(), start, liked, PROMPTS)
    r_N = torch.tensor([worth(ids) for ids in sentences()]).double()
    before, after = (float((distribution(p) * r_N).sum()) for p in (start, made))
    assert after > before + 0.1
