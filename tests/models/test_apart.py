"""How far two models are apart, position by position: plain transformers, and enumeration."""

import pytest
import torch

from accord.errors import BadModel
from accord.maths.divergence import exact
from accord.models import fused
from accord.models.heads import Speaker
from accord.models.trunk import Trunk
from tiny import plain_logits, ragged, rows, tiny
from toys import all_said, float64, toy_policy

PROMPTS, ANSWERS = ragged((2, 5, 1, 3), seed=0), ragged((4, 1, 7, 2), seed=1)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_it_is_that_of_plain_transformers(temperature):
    sequences = [(*p, *a) for p, a in zip(PROMPTS, ANSWERS, strict=True)]
    one, other = (Speaker(Trunk(tiny(seed=seed))) for seed in (0, 1))
    with torch.no_grad():
        told_BT4 = one.apart(other, rows(), temperature)
    plain = [plain_logits(tiny(attn="eager", seed=seed), sequences) for seed in (0, 1)]
    for b, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        p_TV, q_TV = ((side[b] / temperature).log_softmax(-1) for side in plain)
        for k, token in enumerate(answer):
            t = len(prompt) + k
            p_V, q_V = p_TV[t - 1], q_TV[t - 1]
            want = [p_V[token], q_V[token], exact(p_V, q_V), -(p_V.exp() * p_V).sum()]
            torch.testing.assert_close(told_BT4[b, t], torch.stack(want), atol=1e-4, rtol=0)
    assert told_BT4[~rows().mask_BT].abs().max() == 0


def test_a_model_is_not_apart_from_itself():
    one = toy_policy(3)
    told = one.apart(one, all_said())
    assert told.kl_BT.abs().max() < 1e-6
    assert torch.equal(told.logp_BT, told.ref_BT)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_of_whole_answers_it_is_their_kl_by_enumeration(temperature):
    """E over answers of Σ_t KL_t, of k1 and of k3's parts, is Σ_y π(y) log π(y)/ρ(y)."""
    with float64():
        one, other = (toy_policy(seed, dtype=torch.float64, std=0.5) for seed in (1, 2))
        told = one.apart(other, all_said(), temperature)
        logp_N, ref_N = told.logp_BT.sum(1), told.ref_BT.sum(1)
        p_N = logp_N.exp()
        assert float(p_N.sum()) == pytest.approx(1)
        want = float((p_N * (logp_N - ref_N)).sum())
        assert want > 0.1
        assert float((p_N * told.kl_BT.sum(1)).sum()) == pytest.approx(want, rel=1e-9)
        entropy = -float((p_N * logp_N).sum())
        assert float((p_N * told.entropy_BT.sum(1)).sum()) == pytest.approx(entropy, rel=1e-9)


def test_chunks_do_not_change_it_and_none_is_kept(monkeypatch):
    whole_BT4 = torch.stack(toy_policy(1).apart(toy_policy(2), all_said()), -1)
    sizes: list[int] = []
    one, other = toy_policy(1).model, toy_policy(2).model
    honest = one.trunk.logits

    def spy(hidden_NH):
        sizes.append(len(hidden_NH))
        return honest(hidden_NH)

    monkeypatch.setattr(one.trunk, "logits", spy)
    monkeypatch.setattr(fused, "CHUNK_BYTES", 7 * 8 * 6)
    with torch.no_grad():
        torch.testing.assert_close(one.apart(other, all_said()), whole_BT4)
    assert max(sizes) == 7


def test_nothing_scored_and_nothing_said_by_the_other():
    none = fused.apart((torch.nn.Linear(2, 3),) * 2, (torch.zeros(0, 2),) * 2, torch.zeros(0), 3)
    assert none.shape == (0, 4)
    p_NV = torch.tensor([[0.0, 0.0, -torch.inf]])
    q_NV = torch.tensor([[0.0, -torch.inf, 0.0]])

    def apart(p, q):
        return fused.apart((lambda x: x,) * 2, (p, q), torch.tensor([0]), 3)[0].tolist()

    assert apart(p_NV, p_NV)[2:] == pytest.approx([0.0, 0.6931472])
    assert apart(p_NV, q_NV)[2] == float("inf")


def test_other_tokenizers_have_no_distance():
    one, other = toy_policy(1), toy_policy(2)
    other.speller.fingerprint = "another"
    with pytest.raises(BadModel, match="there is no KL between them"):
        one.apart(other, all_said())
