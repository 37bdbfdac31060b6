"""What the recipes share: every row its turn, no prompt cut, no number lost on the way to disk."""

from dataclasses import dataclass

import pytest
import torch

from accord.data.rows import Rows
from accord.engine.draw import Sampling
from accord.errors import BadData
from accord.maths.control import AdaptiveKL, FixedKL
from accord.recipes import common
from accord.recipes.common import Asked, KLPrice, excerpt, means, minibatches, obtain, spell_prompts
from accord.records import Prompt, Rollout, ask
from accord.store.run import Run
from toys import ToySpeller, toy_policy


@dataclass(frozen=True)
class Numbered(Rows):
    """Rows that say which they are."""

    x_B: torch.Tensor


def lots(n: int, epochs: int, count: int, seed: int = 0) -> list[list[int]]:
    rows = Numbered(torch.arange(n))
    return [few.x_B.tolist() for few in minibatches(rows, epochs, count, seed=seed)]


@pytest.mark.parametrize(("n", "count"), [(8, 1), (8, 2), (9, 4), (5, 4), (64, 7), (3, 5)])
def test_each_row_comes_once_per_epoch(n, count):
    made = lots(n, 3, count)
    per_epoch = min(count, n)
    assert len(made) == 3 * per_epoch, "as many optimizer steps as were asked for"
    for epoch in range(3):
        here = made[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(x for lot in here for x in lot) == list(range(n))
        assert max(map(len, here)) - min(map(len, here)) <= 1


def test_minibatches_are_a_function_of_the_seed():
    first = lots(16, 2, 4, seed=1)
    torch.manual_seed(99)
    torch.rand(5)
    assert lots(16, 2, 4, seed=1) == first
    assert lots(16, 2, 4, seed=2) != first
    assert first[:4] != first[4:], "every epoch is shuffled anew"


def test_minibatches_leave_the_global_dice_alone():
    torch.manual_seed(3)
    want = torch.rand(3)
    torch.manual_seed(3)
    lots(16, 2, 4)
    assert torch.equal(torch.rand(3), want)


def test_prompts_are_spelled_or_dropped_and_counted_but_never_cut():
    prompts = [Prompt(ask("ab"), "one"), Prompt(ask("abcd"), "long"), Prompt(ask("c"))]
    asked, tally = spell_prompts(prompts, ToySpeller(), 3)
    assert asked == [Asked("one", (0, 2, 3)), Asked("2", (0, 4))]
    assert (tally.kept, dict(tally.dropped)) == (2, {"prompt over 3 tokens": 1})
    assert tally.examples == {"prompt over 3 tokens": ["prompt 'long': 5 tokens"]}
    with pytest.raises(BadData, match="prompt 'long': 5 tokens"):
        tally.check(0.3)
    assert spell_prompts(prompts, ToySpeller(), 5)[1].kept == 3, "the limit itself is in"


def test_the_price_of_kl_moves_by_its_rule_and_outlasts_its_process(tmp_path):
    rule = AdaptiveKL(beta=0.1, target=2.0, horizon=50.0)
    price = Run().keep("kl", KLPrice(rule))
    assert (price.beta, price.kept) == (0.1, True)
    price.learn(8.0, 10)
    assert price.beta == pytest.approx(0.1 * (1 + 0.2 * 10 / 50), rel=1e-12)
    price.learn(1.9, 3)
    want = 0.1 * 1.04 * (1 - 0.05 * 3 / 50)
    assert price.beta == pytest.approx(want, rel=1e-12)
    price.save(tmp_path)
    again = KLPrice(rule)
    again.load(tmp_path)
    assert again.beta == price.beta, "to the last bit"
    again.learn(0.0, 10)
    price.learn(0.0, 10)
    assert again.beta == price.beta != want


def test_a_fixed_price_stays():
    price = KLPrice(FixedKL(0.3))
    price.learn(100.0, 64)
    assert price.beta == 0.3


def test_means():
    assert means([1e16, 1.0, -1e16]) == pytest.approx(1 / 3)
    with pytest.raises(ZeroDivisionError):
        means([])


def test_an_excerpt_is_what_was_said_with_its_score():
    said = [Rollout(f"{i}", (0, 2), (3, 4, 1), (-1.0,) * 3, 0, "stop") for i in range(9)]
    said[1] = Rollout("1", (0, 5), (4, 4, 4), (-1.0,) * 3, 0, "length")
    shown = excerpt(ToySpeller(), said, [float(i) for i in range(9)])
    assert len(shown) == 8
    assert shown[1] == {
        "id": "1",
        "prompt": "d",
        "response": "ccc",
        "score": 1.0,
        "finish": "length",
    }
    assert (shown[0]["prompt"], shown[0]["response"], shown[0]["finish"]) == ("a", "bc", "stop")
    assert len(excerpt(ToySpeller(), said, [0.0] * 9, most=2)) == 2
    with pytest.raises(ValueError, match="shorter"):
        excerpt(ToySpeller(), said, [0.0])


def test_an_excerpt_shows_the_same_prompts_again_and_what_each_answer_cost():
    def step(first: int, most: int = 2) -> set[tuple[str, float]]:
        asked = [((first + i) % 5, 2) for i in range(4)]
        said = [Rollout(f"{i}", ids, (3,), (-1.0,), 0, "stop") for i, ids in enumerate(asked)]
        shown = excerpt(ToySpeller(), said, [0.0] * 4, [float(ids[0]) for ids in asked], most)
        return {(str(one["prompt"]), float(one["kl"])) for one in shown}  # type: ignore[arg-type]

    seen = [step(first) for first in range(5)]
    assert all(len(few) == 2 for few in seen)
    assert len(set.union(*seen)) == 3  # of five prompts: the lowest two, and one instead of either


def test_what_a_prompt_is_called_does_not_change_its_answers():
    """A file that was renamed gives its rows other ids, and must give the same run."""
    policy = toy_policy()
    here, there = ([Asked(name, (0,)) for name in names] for names in ("ab", "xy"))
    said = [
        obtain(Run(), policy, asked, 3, Sampling(1.0), longest=3, seed=0) for asked in (here, there)
    ]
    assert said[0] == said[1]
    assert len({rollout.id for rollout in said[0]}) == 2


def test_of_the_first_update_the_distance_from_one_is_told():
    """A mean of 1 may hide ratios that are far from it."""
    seen = [{"policy/ratio": 1.0, "policy/ratio_var": 0.04}, {"policy/ratio": 3.0}]
    seen[1]["policy/ratio_var"] = 4.0
    told = common.told(seen)
    assert told["val/ratio_first"] == 1
    assert told["val/ratio_first_off"] == pytest.approx(0.2)
    assert told["policy/ratio"] == 2
    assert told["policy/updates"] == 2
