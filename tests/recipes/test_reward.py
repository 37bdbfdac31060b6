"""A reward model finds the reward that its judges followed, and is measured by slow oracles."""

import itertools
import math
import random
from functools import partial

import pytest
import torch

from accord.data.comparisons import Spelled, spell_pairs
from accord.data.rows import pad
from accord.errors import BadData
from accord.maths.control import Linear
from accord.maths.preference import BestOfK, BradleyTerry, Davidson
from accord.maths.weights import even
from accord.models.trunk import flatten
from accord.recipes import reward
from accord.records import Comparison, ask
from accord.store.run import Run
from toys import ToySpeller, cuts, float64, gradient, sentences, toy_critic

SAID = [y for y in sentences() if 0 not in y][3:83:7][:12]
TRUE = [
    0.8 * y.count(2) - 0.9 * y.count(3) + 0.13 * y.count(5) + 0.45 * (y[0] == 4) + 0.07 * y[-1]
    for y in SAID
]
"""what the judges follow: no two answers are worth the same, ended or not"""
PAIRS = list(itertools.combinations(range(12), 2))
DICE = random.Random(0)


def judged(index, ranks, p_first=None, strength=None) -> Spelled:
    answers = tuple(SAID[i] for i in index)
    return Spelled((0,), answers, tuple(ranks), strength, p_first, "x")


def verdicts(n: int, weights) -> list[int]:
    """What n judges say who say k in proportion to weights[k]: systematic sampling, so each k comes
    as often as it should to within one.
    """
    upto, u = list(itertools.accumulate(weights)), DICE.random()
    spots = [(m + u) / n * upto[-1] for m in range(n)]
    return [next(k for k, edge in enumerate(upto) if x < edge) for x in spots]


def by_pairs(ties: float) -> list[Spelled]:
    """16 judges on every pair: e^{d/2} to e^{-d/2}, and now and then a tie."""
    rows = []
    for i, j in PAIRS:
        half = (TRUE[i] - TRUE[j]) / 2
        for k in verdicts(16, (math.exp(half), math.exp(-half), ties)):
            rows.append(judged((i, j), [(0, 1), (1, 0), (0, 0)][k]))
    return rows


def by_fours() -> list[Spelled]:
    """8 judges on each of 80 fours, who name the best: in proportion to e^r."""
    rows = []
    for index in (DICE.sample(range(12), 4) for _ in range(80)):
        for best in verdicts(8, [math.exp(TRUE[i]) for i in index]):
            rows.append(judged(index, [int(k != best) for k in range(4)]))
    return rows


def by_probability(strength: float | None = None) -> list[Spelled]:
    """Every pair six times, each with its probability; a strength that makes margins add up."""
    rows = []
    for i, j in PAIRS * 6:
        gap = TRUE[i] - TRUE[j]
        p = 1 / (1 + math.exp(-gap))
        wide = strength and strength * gap / (2 * p - 1)
        rows.append(judged((i, j), (0, 1) if p > 0.5 else (1, 0), p, wide))
    return rows


@pytest.mark.parametrize(
    ("loss", "rows", "unit", "near"),
    [
        (BradleyTerry(), partial(by_pairs, 0.0), 1, 0.15),
        (Davidson(), partial(by_pairs, 1.0), 1, 0.15),
        (Davidson(nu=3.0), partial(by_pairs, 3.0), 1, 0.25),
        (BestOfK(), by_fours, 1, 0.15),
        (BradleyTerry(), by_probability, 1, 0.06),
        (BestOfK(), by_probability, 1, 0.06),
        # -p log σ(z) - (1-p) log σ(-z), z = gap - (2p-1) m, is least at gap = d + (2p-1) m
        (BradleyTerry(margin=True), partial(by_probability, 0.5), 1.5, 0.09),
        (BradleyTerry(), partial(by_probability, 0.5), 1, 0.06),
    ],
    ids=["pairs", "ties", "many ties", "fours", "soft", "soft best", "margin", "margin unasked"],
)
def test_it_finds_the_reward_that_the_judges_followed(loss, rows, unit, near):
    """Differences of score become differences of the true reward: in nats, not just in order."""
    DICE.seed(0)
    given = rows()
    epochs = 4 if len(given) > 500 else 6
    batch = 66 if len(given) > 500 else 40
    cfg = reward.RewardModel(loss=loss, epochs=epochs, batch=batch, lr=5e-3, schedule=Linear())
    critic = reward.train(cfg, Run(), toy_critic(1), given)
    score = critic.score(pad([(0,)] * 12, SAID)).double()
    true = torch.tensor(TRUE, dtype=torch.float64) * unit
    score, true = score - score.mean(), true - true.mean()
    assert true.std() > 0.9, "the toy leaves nothing to learn"
    assert float((score - true).square().mean().sqrt()) < near
    assert float((score @ true) / (true @ true)) == pytest.approx(1, abs=0.08)


def of_several_shapes() -> list[Spelled]:
    """Prompts, answers and their number differ; ties and a soft label among them."""
    return [
        Spelled((0,), ((2, 1), (3, 3, 1)), (0, 1), None, None, "a"),
        Spelled((0, 4, 5, 2, 3), ((5,), (2, 2, 2, 1)), (1, 0), 0.7, None, "b"),
        Spelled((0, 5), ((2, 3, 1), (1,), (4, 4, 4)), (1, 0, 2), None, None, "c"),
        Spelled((0, 2), ((2, 4, 1), (3, 1)), (0, 0), None, None, "d"),
        Spelled((0, 3, 3), ((2, 4), (3, 2, 3, 2, 1)), (0, 1), None, 0.8, "e"),
        Spelled((0,), ((4, 1), (2, 2, 1), (3, 1), (5, 1)), (0, 1, 1, 3), None, None, "f"),
    ]


@pytest.mark.parametrize(
    "loss", [BradleyTerry(margin=True, centre=0.01), BestOfK(), Davidson()], ids=str
)
def test_gradients_do_not_depend_on_the_cut(loss):
    """Micro-batches, padding, absent answers and order change no gradient (float64)."""
    with float64():
        critic, given = toy_critic(dtype=torch.float64), of_several_shapes()
        rows, prefer = reward.lay(given), partial(reward.prefer, loss=loss)
        more = Spelled((0,) * 9, ((2,) * 5,) * 6, (0, 1, 2, 3, 4, 5), None, None, "")
        wider = reward.lay([*given, more])
        assert wider.answers.ids_BKT.shape == (7, 6, 14) > rows.answers.ids_BKT.shape
        first = gradient(critic, rows, even(6), prefer)
        assert first.abs().max() > 1e-3
        for micro, index in cuts(6):
            for whole in (rows, wider.take(slice(6))):
                got = gradient(critic, whole.take(index), even(6), prefer, micro)
                assert (got - first).abs().max() < 1e-12


def test_the_score_is_read_at_the_last_token():
    critic = toy_critic()
    prompts, answers = [(0,), (0, 4, 4), (0,)], [(2, 3, 1), (5, 1), (2, 3)]
    tokens = pad(prompts, answers)
    tokens.ids_BT[torch.arange(tokens.ids_BT.shape[1]) >= tokens.length_B[:, None]] = 5
    score_B = critic.score(tokens)
    for k, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        alone = pad([prompt], [answer])
        hidden_NH = critic.model.trunk(flatten(alone.ids_BT, alone.length_B))
        want = critic.model.head(hidden_NH[-1])[0].detach()
        assert float(score_B[k]) == pytest.approx(float(want), abs=1e-5)
    assert abs(float(score_B[0] - score_B[2])) > 1e-3, "the end is read too"
    rows = reward.lay([Spelled((0,), ((2, 3, 1), (2, 3)), (0, 1), None, None, "")])
    score_BK = critic.model.compare(rows.answers).detach()
    assert torch.allclose(score_BK[0], score_B[[0, 2]], atol=1e-5)


def test_how_comparisons_are_laid_out():
    rows = reward.lay(of_several_shapes())
    assert rows.answers.length_BK.tolist() == [
        [3, 4, 0, 0],
        [6, 9, 0, 0],
        [5, 3, 5, 0],
        [5, 4, 0, 0],
        [5, 8, 0, 0],
        [3, 4, 3, 3],
    ]
    assert rows.rank_BK.tolist()[1:3] == [[1, 0, 4, 4], [1, 0, 2, 4]], "who is absent comes last"
    nan = float("nan")
    want = torch.tensor([[nan, 0.7, nan, nan, nan, nan], [nan, nan, nan, nan, 0.8, nan]])
    got = torch.stack([rows.strength_B, rows.p_first_B])
    assert torch.equal(got.nan_to_num(-1), want.nan_to_num(-1))


# --- what is measured ---


def test_measure_against_slow_oracles():
    critic, rows = toy_critic(3), of_several_shapes()
    critic.normalise(2.0, 0.3)
    scores = [
        [float(critic.score(pad([row.prompt_ids], [ids]))) for ids in row.response_ids]
        for row in rows
    ]
    gaps, longer, sides = [], [], []
    for row, score in zip(rows, scores, strict=True):
        for i, j in itertools.permutations(range(len(score)), 2):
            if row.ranks[i] < row.ranks[j]:
                gaps.append(score[i] - score[j])
                q = row.p_first if row.p_first is not None else 1.0
                sides.append(q if (gaps[-1] > 0) == (i == 0 or row.p_first is None) else 1 - q)
                longer.append(len(row.response_ids[i]) > len(row.response_ids[j]))
    assert len(gaps) == 1 + 1 + 3 + 0 + 1 + 5
    flat = [s for score in scores for s in score]
    lengths = [float(len(ids)) for row in rows for ids in row.response_ids]
    lots: dict[int, list[tuple[float, float]]] = {}
    for gap, side in zip(gaps, sides, strict=True):
        sure = 1 / (1 + math.exp(-abs(gap)))
        lots.setdefault(min(int((sure - 0.5) * 20), 9), []).append((sure, side))
    assert len(lots) > 2
    off = [abs(sum(s for s, _ in lot) - sum(r for _, r in lot)) for lot in lots.values()]
    mean = math.fsum(flat) / len(flat)
    assert reward.measure(critic, rows) == pytest.approx(
        {
            "accuracy": sum(g > 0 for g in gaps) / len(gaps),
            "calibration_error": sum(off) / len(gaps),
            "margin": math.fsum(gaps) / len(gaps),
            "longer_preferred": sum(longer) / len(longer),
            "length_correlation": pearson(flat, lengths),
            "score_mean": mean,
            "score_std": math.sqrt(sum((s - mean) ** 2 for s in flat) / len(flat)),
        },
        abs=1e-4,
    )


def pearson(x: list[float], y: list[float]) -> float:
    mx, my = sum(x) / len(x), sum(y) / len(y)
    cov = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return cov / math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))


def test_the_length_of_a_prompt_is_not_an_answers():
    """The same answers to a longer question: no number changes but by what the model thinks."""
    short = [Spelled((0,), ((2, 1), (3, 3, 1)), (0, 1), None, None, "")]
    long = [Spelled((0,) * 7, ((2, 1), (3, 3, 1)), (0, 1), None, None, "")]
    r = [reward.measure(toy_critic(), rows)["length_correlation"] for rows in (short, short + long)]
    assert abs(r[0]) == pytest.approx(1)
    critic = toy_critic().zeroed()
    with torch.no_grad():
        critic.model.head.bias.fill_(1.0)
    assert reward.measure(critic, long)["length_correlation"] == 0, "no number, not NaN"
    flat = [float(toy_critic().score(pad([row.prompt_ids], [ids])))
            for row in short + long for ids in row.response_ids]  # fmt: skip
    assert r[1] == pytest.approx(pearson(flat, [2.0, 3.0, 2.0, 3.0]), abs=1e-4)


def test_equal_scores_agree_by_half_and_ties_are_left_out():
    critic, rows = toy_critic().zeroed(), of_several_shapes()
    told = reward.measure(critic, rows)
    assert (told["accuracy"], told["margin"], told["calibration_error"]) == (0.5, 0.0, 0.0)
    assert reward.measure(critic, [rows[3]]).keys() == {
        "length_correlation",
        "score_mean",
        "score_std",
    }, "a tie alone has no accuracy"


def test_confidence_is_held_against_the_share_of_judges():
    """σ(gap) = 2/3 where two judges of three agree is no error, whichever answer stands first."""
    gap = torch.tensor([math.log(2), -math.log(2)])
    assert reward.agreed(gap, torch.tensor([2 / 3, 1 / 3])).tolist() == pytest.approx([2 / 3] * 2)
    agreed = reward.agreed(gap, torch.tensor([2 / 3, 1 / 3]))
    assert reward.calibration(gap, agreed, 10) == pytest.approx(0, abs=1e-6)


def test_a_known_calibration():
    """Of four answers that σ calls 0.731 likely, three are right."""
    gap = torch.tensor([1.0, 1.0, 1.0, -1.0])
    right = (gap > 0).float()
    assert reward.calibration(gap, right, 10) == pytest.approx(0.75 - 0.731059, abs=1e-5)
    one_each = torch.tensor([1.0, -3.0])
    want = ((1 - 0.731059) + 0.952574) / 2
    assert reward.calibration(one_each, (one_each > 0).float(), 10) == pytest.approx(want, abs=1e-5)
    sure = torch.tensor([200.0])
    assert reward.calibration(sure, torch.ones(1), 10) == 0, "certainty falls into the last bin"


# --- the zero and the unit of a score ---


@pytest.mark.parametrize("before", [(1.0, 0.0), (-3.0, 2.0)])
def test_the_two_schools_of_normalising(before):
    with float64():
        critic = toy_critic(dtype=torch.float64)
        answers = pad([(0,)] * 12, SAID)
        raw = critic.score(answers)
        critic.normalise(*before)
        reward.normalise(critic, answers, "mean")
        assert torch.allclose(critic.score(answers), raw - raw.mean(), atol=1e-12)
        critic.normalise(*before)
        reward.normalise(critic, answers, "mean-and-std")
        score = critic.score(answers)
        assert abs(float(score.mean())) < 1e-12
        assert float(score.std(correction=0)) == pytest.approx(1, abs=1e-12)
        assert torch.allclose(score * raw.std(correction=0), raw - raw.mean(), atol=1e-12)
        critic.normalise(*before)
        reward.normalise(critic, answers, "none")
        assert torch.equal(critic.score(answers), before[0] * raw + before[1])


def test_what_has_no_spread_has_no_unit():
    critic, answers = toy_critic().zeroed(), pad([(0,)] * 12, SAID)
    with pytest.raises(BadData, match="all reference answers alike"):
        reward.normalise(critic, answers, "mean-and-std")
    reward.normalise(critic, answers, "mean")
    assert critic.score(answers).abs().max() == 0


# --- rows ---


def test_longer_ones_are_dropped_and_counted():
    """By the longest answer; a comparison is kept whole or not at all."""
    given = [
        Comparison.pair(ask("a"), "bc", "c", id="short"),
        Comparison.pair(ask("ab"), "a", "bcd", id="long"),
        Comparison(ask("a"), ("a", "b", "cd"), (0, 1, 1), id="three"),
    ]
    rows, tally = spell_pairs(given, ToySpeller(), 5)
    assert [row.id for row in rows] == ["short", "three"]
    assert rows[1].response_ids == ((2, 1), (3, 1), (4, 5, 1))
    assert (tally.kept, tally.examples) == (2, {"more than 5 tokens": ["long: 7 tokens"]})
