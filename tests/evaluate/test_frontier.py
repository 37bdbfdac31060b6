"""The plane of reward and KL, on a language whose every sentence can be listed."""

import json
import math

import pytest
import torch

from accord.engine.draw import Sampling
from accord.errors import BadData, BadModel, BadSettings
from accord.evaluate.answers import Asking
from accord.evaluate.frontier import (
    Mean,
    best_of,
    by_prompt,
    distance,
    frontier,
    measured,
    point,
    write,
)
from accord.maths.frontier import optimum
from accord.records import Invalid
from toys import BEGIN, LONGEST, distribution, sentences, toy_policy

LONG = LONGEST


def short(rollouts):
    return [float(LONG - len(r.response_ids)) for r in rollouts]


def sampled(policy, n=400, temperature=1.0, seed=1):
    return policy.sample(
        [(BEGIN,), (BEGIN, 2), (BEGIN, 3)],
        n=n,
        longest=LONG,
        seed=seed,
        how=Sampling(temperature),
    )


def test_a_mean_and_its_error_by_hand() -> None:
    assert Mean.of([[1.0, 3.0], [4.0], []]) == Mean(3.0, 1.0)
    assert Mean.of([[2.0]]) == Mean(2.0, None)
    with pytest.raises(BadData, match="nothing to take a mean of"):
        Mean.of([[], []])


def test_three_estimates_agree_with_the_sum_over_all_sentences() -> None:
    """From one prompt, of 3000 answers, each within four of the errors an answer has."""
    one, other = toy_policy(1, std=0.5), toy_policy(2, std=0.5)
    p_N, q_N = distribution(one), distribution(other)
    want = float((p_N * (p_N / q_N).log()).sum())
    said = one.sample([(BEGIN,)], n=3000, longest=LONG, seed=1)
    found = distance(one, other, said)
    assert want > 0.3
    assert found.exact.value == pytest.approx(want, rel=0.05)
    assert found.k1.value == pytest.approx(want, rel=0.15)
    assert found.k3.value == pytest.approx(want, rel=0.15)
    assert found.exact.error is None, "one prompt says nothing about others"
    assert distance(other, other, said).exact.value == pytest.approx(0, abs=1e-6)


def test_the_exact_one_is_the_least_noisy() -> None:
    one, other = toy_policy(1, std=0.5), toy_policy(2, std=0.5)
    values = [distance(one, other, sampled(one, n=8, seed=s)) for s in range(12)]

    def spread(name: str) -> float:
        x = torch.tensor([getattr(v, name).value for v in values])
        return float(x.std())

    assert spread("exact") < 0.9 * spread("k1"), (spread("exact"), spread("k1"))


def test_errors_are_over_prompts() -> None:
    one, other = toy_policy(1, std=0.5), toy_policy(2, std=0.5)
    said = sampled(one, n=50)
    found = distance(one, other, said)
    alone = [distance(one, other, few).exact.value for few in by_prompt(said)]
    x = torch.tensor(alone, dtype=torch.float64)
    assert found.exact.value == pytest.approx(float(x.mean()), rel=1e-5)
    assert found.exact.error == pytest.approx(float(x.std()) / math.sqrt(3), rel=1e-4)


def test_entropy_is_per_token() -> None:
    one = toy_policy(1, std=0.0001)  # as good as uniform over six ids
    found = distance(one, one, sampled(one, n=20))
    assert found.entropy.value == pytest.approx(math.log(6), abs=1e-3)


def test_answers_of_somebody_else_are_noticed() -> None:
    one, other = toy_policy(1, std=0.6), toy_policy(2, std=0.6)
    assert distance(one, other, sampled(one)).doubt == ""
    assert "another policy wrote them" in distance(one, other, sampled(other)).doubt
    cold = sampled(one, temperature=0.3)
    assert distance(one, other, cold, 0.3).doubt == ""
    assert distance(one, other, cold, 1.0).doubt
    flat = toy_policy(1)
    cut = flat.sample([(BEGIN,)], n=50, longest=LONG, seed=1, how=Sampling(top_k=2))
    assert "top_k" in distance(flat, other, cut).doubt


def test_what_has_no_distance_is_refused() -> None:
    one, other = toy_policy(1), toy_policy(2)
    with pytest.raises(BadSettings, match="above 0"):
        distance(one, other, sampled(one, n=2), 0.0)
    with pytest.raises(BadSettings, match="no top_p, top_k or min_p"):
        point("p", one, other, [(BEGIN,)], short, Asking(LONG, how=Sampling(top_k=2)))
    other.speller.fingerprint = "another"
    with pytest.raises(BadModel, match="no KL"):
        distance(one, other, sampled(one, n=2))


def test_no_point_lies_above_the_best_there_is() -> None:
    """The optimum is exact, and a policy measured by sampling may pass it by its error alone."""
    start = toy_policy(1, std=0.5)
    rho_N = distribution(start)
    reward_N = torch.tensor([float(LONG - len(s)) for s in sentences()], dtype=torch.float64)
    for seed in range(2, 7):
        policy = toy_policy(seed, std=0.5)
        found = point("p", policy, start, [(BEGIN,)], short, Asking(LONG, 2000))
        for beta in (0.1, 0.3, 1.0, 3.0):
            top, kl = optimum(rho_N, reward_N, beta)
            assert found.reward.value - beta * found.kl.exact.value <= top - beta * kl + 0.08


def test_scores_that_are_none_are_counted_and_enter_no_mean() -> None:
    one, other = toy_policy(1), toy_policy(2)
    said = sampled(one, n=4)
    scores = [Invalid("?"), math.nan, *[1.0] * (len(said) - 2)]
    found = measured("m", one, other, said, scores)
    assert (found.answers, found.invalid, found.reward.value) == (12, 2, 1.0)
    with pytest.raises(BadData, match="m: none of 12 answers"):
        measured("m", one, other, said, [Invalid("?")] * 12)


def test_points_are_drawn_and_written(tmp_path) -> None:
    one, other = toy_policy(1), toy_policy(2)
    made = [
        point(str(t), one, other, [(BEGIN,), (BEGIN, 2)], short, Asking(LONG, 4, Sampling(t)))
        for t in (0.5, 1.0, 2.0)
    ]
    svg = frontier({"toy": made, "start": made[:1], "none": []}, best=[(0.0, 0.0), (1.0, 1.0)])
    assert svg.startswith("<svg")
    for word in ("toy", "start", "the best there is", "nats per answer"):
        assert word in svg
    assert ">none<" not in svg
    assert frontier({"toy": made}) == frontier({"toy": made[::-1]}), "a line goes by KL"
    write(made, tmp_path / "points.json")
    told = json.loads((tmp_path / "points.json").read_text())["points"]
    assert [p["name"] for p in told] == ["0.5", "1.0", "2.0"]
    assert told[0]["kl"]["exact"]["value"] == made[0].kl.exact.value


def test_the_best_of_several_points() -> None:
    one, other = toy_policy(1), toy_policy(2)
    near = point("near", one, one, [(BEGIN,)], short, Asking(LONG, 8))
    far = point("far", one, other, [(BEGIN,)], short, Asking(LONG, 8))
    assert far.reward == near.reward
    assert best_of([far, near]) == [near]
    assert best_of([near, near]) == [near, near]
