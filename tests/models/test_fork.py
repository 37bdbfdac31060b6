"""Sharing a prompt changes how much is computed, and nothing else."""

import pytest
import torch

from accord.data.rows import choices, pad
from accord.engine.learner import micro_batches
from accord.errors import BadData
from accord.models.fork import Fork, fork
from accord.models.heads import Judge, Speaker
from accord.models.trunk import Trunk
from tiny import FAMILIES, tiny

PROMPTS = [(3, 9, 4, 11, 7, 2), (5,), (8, 8, 20, 41, 6, 12, 13)]
ANSWERS = [
    [(12, 13, 14), (15,), (16, 17, 1)],
    [(21, 22), (23, 24, 25, 26, 27, 28)],
    [(31, 1)],
]


def both_ways(family, few, double=True):
    """(score_BK, gradients) with shared prompts, and with whole sequences."""
    told = []
    for way in (Judge.compare, by_whole):
        judge = Judge(Trunk(tiny(family).double() if double else tiny(family))).double()
        for _, weight in judge.learned():
            weight.requires_grad_(True)
        score_BK = way(judge, few)
        (score_BK * torch.arange(1.0, 1 + score_BK.numel()).view_as(score_BK)).sum().backward()
        told.append((score_BK.detach(), {n: w.grad for n, w in judge.learned()}))
    return told


def by_whole(judge, few):
    score_N = judge.score(few.answers())
    return score_N.new_zeros(few.mask_BK.shape).masked_scatter(few.mask_BK, score_N)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_and_gradients_are_those_of_whole_sequences(family):
    """Windows of 4 tokens end within a stem, at its edge, and within a branch."""
    (score_BK, grads), (want_BK, wanted) = both_ways(family, choices(PROMPTS, ANSWERS))
    torch.testing.assert_close(score_BK, want_BK, atol=1e-6, rtol=1e-5)
    assert grads.keys() == wanted.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(grad, wanted[name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_and_gradients_are_those_of_whole_sequences(family):
    few = choices(PROMPTS, ANSWERS)
    price_BK = torch.linspace(-1, 1, few.mask_BK.numel()).view(few.mask_BK.shape).double()
    told = []
    for way in (Speaker.compare, alone):
        speaker = Speaker(Trunk(tiny(family).double()))
        for _, weight in speaker.learned():
            weight.requires_grad_(True)
        logp_BK = way(speaker, few)
        (logp_BK * price_BK).sum().backward()
        told.append((logp_BK.detach(), {n: w.grad for n, w in speaker.learned()}))
    (logp_BK, grads), (want_BK, wanted) = told
    torch.testing.assert_close(logp_BK, want_BK, atol=1e-6, rtol=1e-6)
    assert (logp_BK[~few.mask_BK] == 0).all()
    for name, grad in grads.items():
        if wanted[name] is not None:
            torch.testing.assert_close(grad, wanted[name], atol=1e-5, rtol=1e-4, msg=name)


def alone(speaker, few):
    """Each answer beside its own copy of the prompt."""
    asked = [PROMPTS[b] for b, told in enumerate(ANSWERS) for _ in told]
    said = [answer for told in ANSWERS for answer in told]
    logp_N = speaker.logp(pad(asked, said)).sum(1)
    return logp_N.new_zeros(few.mask_BK.shape).masked_scatter(few.mask_BK, logp_N)


def test_branches_are_blind_to_one_another():
    judge = Judge(Trunk(tiny()))
    with torch.no_grad():
        before = judge.compare(choices(PROMPTS[:1], [[(12, 13), (15, 16)]]))
        after = judge.compare(choices(PROMPTS[:1], [[(12, 13), (40, 41, 42)]]))
        moved = judge.compare(choices([(4, *PROMPTS[0][1:])], [[(12, 13), (15, 16)]]))
    assert abs(float(before[0, 0] - after[0, 0])) < 1e-6 < abs(float(before[0, 1] - after[0, 1]))
    assert abs(float(before[0, 0] - moved[0, 0])) > 1e-4


def test_a_prompt_is_read_once():
    few = choices(PROMPTS, ANSWERS)
    flat, at_S, before_S, own_A = laid = fork(few)
    assert len(flat.ids_N) == int(few.cost_B.sum()) == 6 + 7 + 1 + 8 + 7 + 2
    assert flat.ids_N[laid.last_A].tolist() == [14, 15, 1, 22, 28, 1]
    assert flat.place_N[:13].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 6, 6, 7, 8]
    assert isinstance(flat.layout, Fork)
    assert own_A.tolist() == [3, 1, 3, 2, 6, 2]
    assert flat.ids_N[at_S].tolist() == [i for few in ANSWERS for answer in few for i in answer]
    assert flat.ids_N[before_S][:7].tolist() == [2, 12, 13, 2, 2, 16, 17]
    assert flat.layout.lengths == [9, 7, 9, 3, 7, 9]
    assert [lot.tolist() for lot in micro_batches(few.cost_B, 22)] == [[0, 1], [2]]


@pytest.mark.parametrize("family", ["grouped", "learned places"])
def test_the_context_ends_for_a_branch_too(family):
    """A stem of 6 tokens, a context of 64."""
    judge = Judge(Trunk(tiny(family)))
    with torch.no_grad():
        judge.compare(choices(PROMPTS[:1], [[(2,) * 58, (3,)]]))
        with pytest.raises(BadData, match="a sequence has 65 tokens; this model reads at most 64"):
            judge.compare(choices(PROMPTS[:1], [[(3,), (2,) * 59]]))


def test_an_answer_has_a_token():
    with pytest.raises(ValueError, match="row 1 has an empty answer"):
        choices(PROMPTS[:2], [[(1,), (2,)], [(1,), ()]])
