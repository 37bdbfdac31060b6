"""The code that trains language models, in worlds whose optimum is known, and in some that last."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from accord.config import read_each
from accord.config.presets import presets
from accord.engine.learner import Learner
from accord.engine.player import Player
from accord.engine.steps import Optimizer
from accord.errors import BadSettings
from accord.maths import losses
from accord.maths.advantages import GAE
from accord.maths.control import Constant
from accord.maths.weights import even
from accord.models.dense import Chooser, Mover, Valuer
from accord.recipes import control, ppo
from accord.recipes.control import Baseline, Control
from accord.recipes.episodes import Experience, experience, measure
from accord.store.run import Run
from accord.worlds.find import finder
from accord.worlds.fixed import Flat
from accord.worlds.language import TokenWorld
from accord.worlds.seats import Episodes, Piece, Window
from accord.worlds.tabular import TableWorld, bandit, grid
from toys import BEGIN, END, LONGEST, toy_critic, toy_policy

PPO = Control(steps=25, worlds=8, obtain=Window(64), epochs=6, lr=3e-3, hidden=(32,))
A2C = Control(steps=200, worlds=8, obtain=Window(8), epochs=1, minibatches=1, lr=3e-3, hidden=(32,))
REINFORCE = Control(
    steps=120,
    worlds=24,
    obtain=Episodes(),
    gae=GAE(gamma=0.99, lam=1.0),
    epochs=1,
    minibatches=1,
    critic=None,
    lr=1e-2,
    hidden=(32,),
)
METHODS = {"PPO": PPO, "A2C": A2C, "REINFORCE": REINFORCE}


def chances(policy: Player, states: int) -> torch.Tensor:
    """π(a | s) of every state of a table."""
    with torch.no_grad():
        net = policy.learner.model.net
        return net(policy.scaled(torch.eye(states))).softmax(1).double()


# --- known optima ---


@pytest.mark.parametrize("name", METHODS)
def test_the_best_arm_is_found(name):
    """To within 1e-2 of the best mean, of arms 0.1, 0.5, 0.9 and 0.3, whose pay is noisy."""
    cfg = METHODS[name].model_copy(update={"schedule": Constant(), "scale_seen": False})
    table = bandit((0.1, 0.5, 0.9, 0.3))
    made = control.train(cfg, Run(), lambda: Flat(TableWorld(table, noise=0.3)))
    assert table.worth(chances(made, 2)) > 0.9 - 1e-2


def test_the_grid_is_crossed_as_well_as_can_be():
    """The exact value of what was learned, beside the optimum of dynamic programming."""
    table = grid()
    cfg = PPO.model_copy(
        update={"steps": 60, "gae": GAE(gamma=1.0), "scale_seen": False, "entropy": 0.003}
    )
    made = control.train(cfg, Run(), finder("accord/Grid"))
    chance_SA = chances(made, 11)
    best = float(table.start_S @ table.optimum()[0])
    greedy_SA = torch.nn.functional.one_hot(chance_SA.argmax(1), 4)
    assert table.worth(greedy_SA) > best - 0.01
    assert table.worth(chance_SA) > best - 0.05


def test_language_is_a_world_like_any_other():
    """The best sentence of a toy language, found action by action."""

    def judge(rollouts):
        return [1.0 * (r.response_ids == (3, 2, END)) + 0.2 * (3 in r.response_ids)
                for r in rollouts]  # fmt: skip

    def make():
        return Flat(TokenWorld([(BEGIN,)], judge, vocab=6, ends={END}, longest=LONGEST))

    cfg = PPO.model_copy(update={"gae": GAE(gamma=1.0), "scale_seen": False, "steps": 40})
    made = control.train(cfg, Run(), make)
    assert measure(made, make, 20)["return/mean"] == pytest.approx(1.2)


def test_cartpole_makes_progress():
    """From some 20 steps to hundreds, in a few seconds; the benchmark has the rest."""
    run = Run()
    made = control.train(Control(steps=20), run, finder("CartPole-v1"))
    assert run.history[0]["episode/return"] < 40
    assert measure(made, finder("CartPole-v1"), 10)["return/mean"] > 150


# --- what is learned from ---


def pieces() -> list[Piece]:
    draw = torch.Generator().manual_seed(0)

    def one(T: int, ended: bool) -> Piece:
        did_TA = torch.randint(2, (T, 1), generator=draw).float()
        seen_UF = torch.randn(T + 1, 3, generator=draw)
        return Piece(seen_UF, did_TA, torch.randn(T, generator=draw), ended)

    return [one(4, True), one(2, False), one(5, False)]


def nets():
    policy = Player(Learner(Chooser(3, 2, (8,), 0), Control().optimizer, 1e-3), None)
    return policy, Learner(Valuer(3, (8,), 1), Control().optimizer, 1e-3)


def test_rows_are_the_definition_and_a_limit_is_foreseen():
    """δₜ + γλ Âₜ₊₁ written out; after an end there is 0, after a cut V of the state it led to."""
    policy, critic = nets()
    few, gamma, lam = pieces(), 0.9, 0.8
    given = [p.reward_T for p in few]
    rows = experience(GAE(gamma, lam), False, few, given, policy, critic, None)
    adv, value = [], []
    for piece in few:
        with torch.no_grad():
            v_U = critic.model(piece.seen_UF).tolist()
        after, back, own = (0.0 if piece.ended else v_U[-1]), 0.0, []
        for t in reversed(range(len(piece))):
            back = float(piece.reward_T[t]) + gamma * after - v_U[t] + gamma * lam * back
            after = v_U[t]
            own.insert(0, back)
        adv, value = adv + own, value + v_U[:-1]
    torch.testing.assert_close(rows.adv_B, torch.tensor(adv))
    torch.testing.assert_close(rows.return_B, torch.tensor(adv) + torch.tensor(value))
    seen_NF = torch.cat([p.seen_UF[:-1] for p in few])
    assert torch.equal(rows.seen_BF, seen_NF)
    want = torch.distributions.Categorical(logits=policy.learner.model.net(seen_NF))
    torch.testing.assert_close(rows.logp_B, want.log_prob(rows.did_BA[:, 0]).detach())
    white_B = experience(GAE(gamma, lam), True, few, given, policy, critic, None).adv_B
    assert float(white_B.mean()) == pytest.approx(0, abs=1e-6)
    assert float(white_B.std(correction=0)) == pytest.approx(1, abs=1e-4)


def test_an_answer_is_an_episode():
    """PPO for text and PPO in the world of tokens make the same rows of the same answers."""
    start, judge = toy_policy(), toy_critic(1)
    said = start.sample([(BEGIN,), (BEGIN, 4)], n=8, longest=LONGEST, seed=0)

    def sweet(rollouts):
        return [float(r.response_ids.count(2) + 1) for r in rollouts]

    cfg = ppo.PPO(gae=GAE(gamma=0.9, lam=0.8), whiten="none")
    text, _ = ppo.experience(cfg, said, sweet(said), start, judge, 0.0)
    mask_BT, world = text.tokens.mask_BT, TokenWorld(
        [(BEGIN,), (BEGIN, 4)], sweet, vocab=6, ends={END}, longest=LONGEST
    )  # fmt: skip
    pieces, foreseen = [], []
    for row, rollout in enumerate(said):
        world.reset(options={"prompt": len(rollout.prompt_ids) - 1})
        steps = [world.step(token) for token in rollout.response_ids]
        foreseen.append([*text.value_BT[row][mask_BT[row]].tolist(), 9.0])  # beyond the end: unread
        seen_UF = torch.tensor([[row, t] for t in range(len(steps) + 1)])
        did_TA = torch.tensor(rollout.response_ids)[:, None]
        pieces.append(Piece(seen_UF, did_TA, torch.tensor([s[1] for s in steps]), steps[-1][2]))

    def value(seen_NF):
        return torch.tensor([foreseen[row][t] for row, t in seen_NF.tolist()])

    def acted(seen_NF, did_NA):
        logp = [said[row].logp[t] for row, t in seen_NF.tolist()]
        return SimpleNamespace(logp_N=torch.tensor(logp))

    policy = SimpleNamespace(
        scaled=lambda seen_NF: seen_NF, learner=SimpleNamespace(model=acted)
    )  # fmt: skip
    given = [piece.reward_T for piece in pieces]
    rows = experience(cfg.gae, False, pieces, given, policy, SimpleNamespace(model=value), None)
    torch.testing.assert_close(rows.adv_B, text.adv_BT[mask_BT])
    torch.testing.assert_close(rows.return_B, text.return_BT[mask_BT])
    torch.testing.assert_close(rows.logp_B, text.logp_BT[mask_BT])


def test_with_one_pass_ppo_is_a2c_and_without_values_reinforce():
    """The gradient is that of -log π Â: at ratio 1 nothing is clipped."""
    policy, _ = nets()
    few = pieces()
    rows = experience(GAE(0.9, 1.0), False, few, [p.reward_T for p in few], policy, None, None)
    to_go = []
    for piece in few:
        after, own = 0.0, []
        for reward in reversed(piece.reward_T.tolist()):
            after = reward + 0.9 * after
            own.insert(0, after)
        to_go += own
    torch.testing.assert_close(rows.adv_B, torch.tensor(to_go))
    model = policy.learner.model
    loss = control.improve(model, rows, eps=0.2, entropy=0.0)
    got = torch.autograd.grad(loss.each.mean(), list(model.parameters()))
    plain = -(model(rows.seen_BF, rows.did_BA).logp_N * rows.adv_B).mean()
    want = torch.autograd.grad(plain, list(model.parameters()))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", ["choose", "move"])
def test_no_cut_changes_a_gradient(kind):
    """However many rows are computed at once, both parts learn the same."""
    draw = torch.Generator().manual_seed(3)
    numbers = [torch.randn(9, generator=draw, dtype=torch.float64) for _ in range(4)]
    seen_BF = torch.randn(9, 3, generator=draw, dtype=torch.float64)
    did_BA = torch.randint(2, (9, 1), generator=draw).double()
    rows = Experience(seen_BF, did_BA, *numbers)
    told = []
    for micro in (1000, 4, 1):
        how = Optimizer(micro_tokens=micro, max_norm=None)
        actor = Chooser(3, 2, (8,), 0) if kind == "choose" else Mover(3, 1, (8,), 0)
        both = [
            (actor, partial(control.improve, eps=0.2, entropy=0.1)),
            (Valuer(3, (8,), 1), partial(control.foresee, eps=0.2)),
        ]
        grads = []
        for model, objective in both:
            learner = Learner(model.double(), how, 0.1)
            learner._gradient([terms(rows, objective)], micro)
            grads += [w.grad.clone() for w in learner.weights.values()]
        told.append(grads)
    for other in told[1:]:
        for a, b in zip(told[0], other, strict=True):
            torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-9)
    assert max(float(g.abs().max()) for g in told[0]) > 1e-3


def terms(rows, objective):
    from accord.engine.learner import Terms

    return Terms(rows, even(len(rows)).double(), objective)


def test_whole_episodes_are_needed_where_nothing_foresees():
    with pytest.raises(BadSettings, match="obtain=Episodes"):
        Control(critic=None)
    with pytest.raises(BadSettings, match=r"clip\.eps_value"):
        Control(critic=None, obtain=Episodes(), clip=losses.Clip(eps_value=0.2))
    with pytest.raises(BadSettings, match=r"gae\.lam=0\.95 trusts.*say gae\.lam=1"):
        Control(critic=None, obtain=Episodes())


# --- no setting is idle ---

BASE = Control(
    steps=3, worlds=3, obtain=Window(20), epochs=2, minibatches=2, lr=1e-2, hidden=(8,),
    clip=losses.Clip(eps_value=0.1),
)  # fmt: skip
OTHER = {
    "steps": 4,
    "worlds": 2,
    "obtain": Episodes(),
    "gae": GAE(gamma=0.5),
    "clip": losses.Clip(eps=0.001, eps_value=0.1),
    "epochs": 3,
    "minibatches": 1,
    "whiten": False,
    "entropy": 0.5,
    "critic": Baseline(lr=1e-1),
    "hidden": (9,),
    "scale_seen": False,
    "scale_reward": False,
    "lr": 2e-2,
    "schedule": Constant(),
    "optimizer": replace(BASE.optimizer, betas=(0.5, 0.5)),
    "prefer": control.Segments(length=4, first=6, total=10),
}
PREFER = {
    "length": 5,
    "first": 5,
    "total": 12,
    "members": 2,
    "noise": 0.4,
    "candidates": 1,
    "keep": 7,
    "warm": 20,
    "epochs": 1,
    "batch": 4,
    "lr": 1e-2,
    "hidden": (5,),
}


def outcome(cfg: Control, seed: int = 0) -> list[torch.Tensor]:
    horizon = 40 if cfg.prefer else None
    made = control.train(cfg, Run(), finder("CartPole-v1", horizon), seed=seed)
    return [w.detach().clone() for w in made.learner.weights.values()]


def same(one, two) -> bool:
    return len(one) == len(two) and all(
        a.shape == b.shape and torch.equal(a, b) for a, b in zip(one, two)
    )


@pytest.fixture(scope="module")
def wanted():
    return outcome(BASE)


def test_every_field_is_tried():
    assert set(OTHER) == set(Control.model_fields)
    assert set(PREFER) == set(control.Segments.__dataclass_fields__)


def test_the_same_settings_and_seed_end_in_the_same(wanted):
    assert same(outcome(BASE), wanted)
    assert not same(outcome(BASE, seed=1), wanted)


@pytest.mark.parametrize("field", OTHER)
def test_a_setting_changes_something(field, wanted):
    told = {f: getattr(BASE, f) for f in Control.model_fields} | {field: OTHER[field]}
    assert not same(outcome(Control(**told)), wanted)


@pytest.mark.parametrize("field", PREFER)
def test_a_setting_of_segments_changes_something(field):
    base = OTHER["prefer"]
    asked = [base, replace(base, **{field: PREFER[field]})]
    one, two = (outcome(BASE.model_copy(update={"prefer": prefer})) for prefer in asked)
    assert not same(one, two)


@pytest.mark.parametrize("name", [one.name for one in presets("control")])
def test_a_preset_is_read_and_says_what_it_is(name):
    from accord.verbs import VERBS

    one = next(p for p in presets("control") if p.name == name)
    job, cfg = read_each(VERBS["control"].classes(), one.path)
    assert job.world in ("CartPole-v1", "Pendulum-v1")
    assert cfg != Control()
    assert len(one.about) > 20
    assert "seed" in one.ran, "what was run, and what came out"
