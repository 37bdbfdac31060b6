"""Small worlds and their optimum: against published numbers, a slow definition, and play."""

import pytest
import torch
from gymnasium.utils.env_checker import check_env

from accord.worlds.tabular import TableWorld, bandit, grid


def test_the_grid_of_the_textbook():
    """The utilities of Russell & Norvig, figure 17.3, rounded there to three digits."""
    value_S, _ = grid().optimum()
    want = [0.812, 0.868, 0.918, 0.0, 0.762, 0.660, 0.0, 0.705, 0.655, 0.611, 0.388]
    torch.testing.assert_close(value_S, torch.tensor(want).double(), atol=5e-4, rtol=0)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_the_best_policy_is_worth_the_optimum_and_no_other_more(gamma):
    table = grid()
    value_S, best_SA = table.optimum(gamma)
    greedy_SA = torch.nn.functional.one_hot(best_SA.argmax(1), 4)
    best = float(table.start_S @ value_S)
    assert table.worth(greedy_SA, gamma) == pytest.approx(best, abs=1e-9)
    draw = torch.Generator().manual_seed(0)
    for _ in range(20):
        other_SA = torch.rand(len(value_S), 4, generator=draw).softmax(1)
        assert table.worth(other_SA, gamma) < best


def test_a_policy_is_worth_what_it_brings_when_it_is_played():
    table = grid(slip=0.1)
    policy_SA = torch.rand(11, 4, generator=torch.Generator().manual_seed(1)).double().softmax(1)
    world, total = TableWorld(table), 0.0
    dice = torch.Generator().manual_seed(2)
    for episode in range(600):
        state, _ = world.reset(seed=episode)
        over = False
        while not over:
            action = int(torch.multinomial(policy_SA[state], 1, generator=dice))
            state, reward, over, _, _ = world.step(action)
            total += reward
    assert total / 600 == pytest.approx(table.worth(policy_SA), abs=0.2)


def test_walls_hold_and_sides_are_where_they_should_be():
    chance = grid(("..", "S#"), slip=0.2).chance_SAZ
    assert chance.sum(-1) == pytest.approx(torch.ones(3, 4).double())
    start = 2  # north is free; east is the wall, west and south the border
    assert chance[start, 0].tolist() == pytest.approx([0.8, 0, 0.2])
    assert chance[start, 1].tolist() == pytest.approx([0.1, 0, 0.9])
    assert chance[start, 2].tolist() == pytest.approx([0, 0, 1])


def test_a_bandit_is_over_at_once_and_pays_its_mean():
    table = bandit((0.2, 1.0))
    assert table.optimum()[0].tolist() == [1.0, 0.0]
    world = TableWorld(table, noise=0.5)
    paid = []
    for seed in range(400):
        world.reset(seed=seed)
        _, reward, over, cut, _ = world.step(1)
        assert (over, cut) == (True, False)
        paid.append(reward)
    paid_N = torch.tensor(paid)
    assert float(paid_N.mean()) == pytest.approx(1.0, abs=0.1)
    assert float(paid_N.std()) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("world", [TableWorld(grid()), TableWorld(bandit((1.0, 2.0)), 0.1)])
def test_gymnasium_finds_nothing_wrong(world):
    check_env(world, skip_render_check=True)
