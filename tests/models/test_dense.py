"""Small nets: probabilities are probabilities, and what is drawn is drawn from them."""

import math

import pytest
import torch

from accord.models.dense import Chooser, Ensemble, Mover, Valuer


def states(n=3, width=2):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(0))


def bold(net):
    """Weights large enough that the policy has a will of its own."""
    with torch.no_grad():
        for layer in net.net:
            if hasattr(layer, "weight"):
                layer.weight.mul_(3 if layer.weight.shape[0] > 8 else 100)
    return net


def test_choices_are_torchs_own_distribution():
    actor, seen_NF = bold(Chooser(2, 4, (16,), 0)), states(6)
    want = torch.distributions.Categorical(logits=actor.net(seen_NF))
    did_NA = actor.draw(seen_NF, torch.Generator().manual_seed(1))
    acted = actor(seen_NF, did_NA)
    torch.testing.assert_close(acted.logp_N, want.log_prob(did_NA[:, 0]))
    torch.testing.assert_close(acted.entropy_N, want.entropy())
    assert torch.equal(actor.draw(seen_NF, None)[:, 0].long(), want.probs.argmax(1))


def test_moves_are_torchs_own_distribution():
    actor, seen_NF = bold(Mover(2, 3, (16,), 0)), states(6)
    with torch.no_grad():
        actor.spread.copy_(torch.tensor([-1.0, 0.0, 0.5]))
    want = torch.distributions.Normal(actor.net(seen_NF), actor.spread.exp())
    did_NA = actor.draw(seen_NF, torch.Generator().manual_seed(1))
    acted = actor(seen_NF, did_NA)
    torch.testing.assert_close(acted.logp_N, want.log_prob(did_NA).sum(1))
    torch.testing.assert_close(acted.entropy_N, want.entropy().sum(1).expand(6))
    torch.testing.assert_close(actor.draw(seen_NF, None), actor.net(seen_NF))


@pytest.mark.parametrize("kind", [Chooser, Mover])
def test_what_is_drawn_is_as_frequent_as_it_is_likely(kind):
    actor = bold(kind(2, 2, (16,), 0))
    seen_NF = states(1).expand(20_000, -1)
    did_NA = actor.draw(seen_NF, torch.Generator().manual_seed(2))
    with torch.no_grad():
        acted = actor(seen_NF, did_NA)
    # E[-log p] over what is drawn is the entropy
    assert float(-acted.logp_N.mean()) == pytest.approx(float(acted.entropy_N[0]), abs=0.03)


def test_it_begins_without_preferences_and_by_its_seed():
    seen_NF = states(50)
    for actor in (Chooser(2, 4, (64, 64), 0), Mover(2, 4, (64, 64), 0)):
        assert float(actor.net(seen_NF).detach().abs().max()) < 0.1
    one, same, other = (Valuer(2, (64, 64), seed)(seen_NF) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    inside = Valuer(2, (64, 64), 0).net[2].weight
    torch.testing.assert_close(inside @ inside.T, 2 * torch.eye(64), atol=1e-5, rtol=0)


def test_members_are_scaled_each_by_itself():
    model = Ensemble(2, (16,), 3, 0)
    seen_NF = 5 + 3 * states(200)
    with torch.no_grad():
        model.nets[1][-1].weight.mul_(100)  # one that shouts
    model.look(seen_NF)
    model.settle(seen_NF)
    said_NE = (model(seen_NF) - model.shift_E) * model.gain_E
    torch.testing.assert_close(said_NE.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(said_NE.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(model.agreed(seen_NF), said_NE.mean(1))
    assert model(seen_NF.reshape(2, 100, 2)).shape == (2, 100, 3)
    scaled_NF = (seen_NF - seen_NF.mean(0)) / seen_NF.std(0, correction=0)
    torch.testing.assert_close(model.nets[0](scaled_NF)[:, 0], model(seen_NF)[:, 0])
    assert math.isfinite(float(model.agreed(torch.zeros(1, 2)).detach()))
