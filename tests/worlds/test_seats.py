"""Worlds side by side: nothing is lost at a cut, ends are told from limits, and all comes back."""

from functools import partial
from itertools import accumulate

import gymnasium
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from accord.errors import BadSettings
from accord.worlds import find
from accord.worlds.acts import Choice, Reach, acts
from accord.worlds.find import finder
from accord.worlds.seats import Episodes, Seats, Window
from accord.worlds.seats import _number as seats_seed

CART = finder("CartPole-v1")


def by_chance(seen_NF, dice):
    return torch.randint(2, (len(seen_NF), 1), generator=dice).float()


def player(seed=0):
    return partial(by_chance, dice=torch.Generator().manual_seed(seed))


def leans(seen_NF):
    """Pushes to where the pole falls: keeps it up for long."""
    return (seen_NF[:, 2:3] + seen_NF[:, 3:] > 0).float()


def test_windows_joined_are_the_episodes():
    """Pieces in order are what one sees who plays the same actions with Gymnasium alone."""
    seats = Seats(CART, 3, seed=5)
    act = player()
    pieces = [piece for _ in range(6) for piece in Window(17)(seats, act)]
    assert sum(map(len, pieces)) == 6 * 17 * 3
    assert sum(piece.ended for piece in pieces) > 5
    per = [17 * (place + 1) for place in range(3)]
    mine: list[list] = [[], [], []]
    for window in range(6):
        done = 0
        for piece in pieces_of(pieces, window):
            mine[next(i for i, end in enumerate(per) if done < end)].append(piece)
            done += len(piece)
    for place, few in enumerate(mine):
        world, episode = CART(), 0
        seen, _ = world.reset(seed=seats_seed(5, place, episode))
        for piece in few:
            for t, did in enumerate(piece.did_TA[:, 0].long().tolist()):
                assert torch.equal(piece.seen_UF[t], torch.as_tensor(seen))
                seen, reward, over, _, _ = world.step(did)
                assert piece.reward_T[t] == reward
            assert torch.equal(piece.seen_UF[-1], torch.as_tensor(seen))
            assert piece.ended == over
            if over:
                episode += 1
                seen, _ = world.reset(seed=seats_seed(5, place, episode))
        assert episode > 0


def pieces_of(pieces, window, size=17 * 3):
    """Those of one window: a window's pieces make up its steps."""
    ends = list(accumulate(map(len, pieces)))
    return [p for p, end in zip(pieces, ends) if window * size < end <= (window + 1) * size]


def test_a_time_limit_is_no_end():
    def short():
        return find._make(gymnasium, "CartPole-v1", None)

    seats = Seats(lambda: gymnasium.wrappers.TimeLimit(short(), 10), 2, seed=1)
    limits = Window(25)(seats, leans)
    assert [len(piece) for piece in limits] == [10, 10, 5] * 2
    assert not any(piece.ended for piece in limits)
    assert seats.tally() == {"episodes": 4.0, "episode/return": 10.0, "episode/length": 10.0}
    assert seats.tally() == {"episodes": 0.0}
    ends = Episodes()(Seats(CART, 2, seed=1), player())
    assert all(piece.ended for piece in ends)


def test_whole_episodes_begin_anew():
    seats = Seats(CART, 4, seed=2)
    Window(3)(seats, player())
    pieces = Episodes()(seats, player(3))
    assert len(pieces) == 4
    assert [len(p) for p in pieces] != [len(pieces[0])] * 4, "each as long as it takes"
    told = seats.tally()
    assert told["episodes"] == 4
    assert told["episode/return"] == sum(map(len, pieces)) / 4


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "accord/Grid"])
@pytest.mark.parametrize("done", [0, 1, 4])
def test_saved_in_the_middle_of_an_episode_it_goes_on_as_if_nothing_had_happened(
    tmp_path, name, done
):
    def act(seats, seen_NF, dice):
        if isinstance(seats.acts, Reach):
            return torch.randn(len(seen_NF), 1, generator=dice)
        return torch.randint(seats.acts.n, (len(seen_NF), 1), generator=dice).float()

    one, two = (Seats(finder(name), 3, seed=7) for _ in range(2))
    for step in range(done):
        Window(13)(one, partial(act, one, dice=torch.Generator().manual_seed(step)))
    one.save(tmp_path)
    two.load(tmp_path)
    one.tally()
    for step in range(3):
        many = [
            Window(40)(seats, partial(act, seats, dice=torch.Generator().manual_seed(100 + step)))
            for seats in (one, two)
        ]
        for a, b in zip(*many, strict=True):
            assert a.ended == b.ended
            for x, y in ((a.seen_UF, b.seen_UF), (a.did_TA, b.did_TA), (a.reward_T, b.reward_T)):
                assert torch.equal(x, y)
        assert one.tally() == two.tally()


# --- one length for all ---


def test_nothing_ends_before_the_horizon():
    seats = Seats(finder("CartPole-v1", 60), 3, seed=0)
    pieces = Episodes()(seats, player())
    assert [len(piece) for piece in pieces] == [60] * 3
    assert not any(piece.ended for piece in pieces)
    for piece in pieces:
        fell = int(piece.reward_T.sum())  # 1 for each step until it fell
        assert 5 < fell < 60
        assert piece.reward_T.tolist() == [1.0] * fell + [0.0] * (60 - fell)
        still = piece.seen_UF[fell:]
        assert torch.equal(still, still[:1].expand_as(still)), "the last state stays"
    assert seats.tally()["episode/length"] == 60


@pytest.mark.filterwarnings("ignore::UserWarning")  # of CartPole itself, and of any wrapper
def test_gymnasium_finds_nothing_wrong_with_it():
    check_env(find._make(gymnasium, "CartPole-v1", 60), skip_render_check=True)


# --- actions ---


def test_actions_reach_the_ends_of_their_range():
    reach = acts(finder("Pendulum-v1")().action_space)
    assert isinstance(reach, Reach)
    assert [float(reach.given([x])[0]) for x in (-1, -9, 0, 0.5, 3)] == [-2, -2, 0, 1, 2]
    assert reach.shown(torch.tensor([[3.0], [-0.5]])).tolist() == [[1.0], [-0.5]]
    assert acts(gymnasium.spaces.Discrete(3, start=4)).given([2.0]) == 6
    assert Choice(3).shown(torch.tensor([[2.0], [0.0]])).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_what_cannot_be_learned_is_refused():
    for space in (gymnasium.spaces.MultiBinary(3), gymnasium.spaces.Box(0, float("inf"), (2,))):
        with pytest.raises(BadSettings, match="cannot be learned here"):
            acts(space)
    with pytest.raises(BadSettings, match=r"no world 'CartPole-v9'.*Pendulum-v1, or accord/Bandit"):
        finder("CartPole-v9")()
