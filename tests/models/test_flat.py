"""The flat forward pass computes what transformers computes with padding."""

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from accord.errors import BadModel
from accord.models.attention import NAME, Heads, Packed, causal
from accord.models.load import load
from accord.models.trunk import Flat, Trunk, flatten, flatten_ids
from tiny import FAMILIES, plain_logits, ragged, tiny


def flat_logits(trunk: Trunk, seqs: list[tuple[int, ...]]) -> list[Tensor]:
    lengths = [len(ids) for ids in seqs]
    with torch.no_grad():
        hidden_NH = trunk(flatten_ids(seqs, Packed(lengths), trunk.device))
        return list(trunk.logits(hidden_NH).split(lengths))


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_is_padded(family):
    seqs = ragged()
    ours = flat_logits(Trunk(tiny(family)), seqs)
    theirs = plain_logits(tiny(family, attn="eager"), seqs)
    for mine, other in zip(ours, theirs, strict=True):
        assert other.std() > 0.1, "logits without contrast would agree with anything"
        torch.testing.assert_close(mine, other, atol=2e-5, rtol=1e-4)


def test_packed_is_padded_on_a_trained_model(stories260k):
    seqs = [
        tuple(i % 512 for i in ids)
        for ids in ([1, 403, 407, 261], [1], range(1, 60), range(500, 3, -7))
    ]
    ours = flat_logits(Trunk(load(stories260k)), seqs)
    plain = AutoModelForCausalLM.from_pretrained(stories260k, dtype=torch.float32)
    for mine, other in zip(ours, plain_logits(plain.eval(), seqs), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_neighbours_and_order_change_nothing():
    trunk, seqs = Trunk(tiny()), ragged()
    together = flat_logits(trunk, seqs)
    backwards = flat_logits(trunk, seqs[::-1])[::-1]
    for i, ids in enumerate(seqs):
        alone = flat_logits(trunk, [ids])[0]
        torch.testing.assert_close(together[i], alone, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(backwards[i], alone, atol=1e-5, rtol=1e-5)


def test_a_token_is_blind_to_what_follows_and_to_its_neighbours():
    trunk = Trunk(tiny())
    seqs = ragged((6, 6, 6))
    changed = [seqs[0], (*seqs[1][:3], seqs[1][3] + 1, *seqs[1][4:]), seqs[2]]
    before, after = flat_logits(trunk, seqs), flat_logits(trunk, changed)
    gap = (torch.cat(before) - torch.cat(after)).abs().amax(1)
    assert gap.nonzero()[:, 0].tolist() == [9, 10, 11]


def test_flatten_takes_real_tokens_only():
    ids_BT = torch.tensor([[5, 6, 99, 99], [7, 8, 9, 4], [3, 99, 99, 99]])
    flat = flatten(ids_BT, torch.tensor([2, 4, 1]))
    assert flat.ids_N.tolist() == [5, 6, 7, 8, 9, 4, 3]
    assert flat.place_N.tolist() == [0, 1, 0, 1, 2, 3, 0]
    assert flat.layout == Packed([2, 4, 1])


def test_both_ways_of_flattening_agree():
    flat = flatten_ids([(5, 6), (7,)], Packed([2, 1]), torch.device("cpu"))
    other = flatten(torch.tensor([[5, 6], [7, 0]]), torch.tensor([2, 1]))
    assert torch.equal(flat.ids_N, other.ids_N)
    assert torch.equal(flat.place_N, other.place_N)


@pytest.mark.parametrize("window", [None, 1, 3])
@pytest.mark.parametrize("cap", [None, 1.5])
def test_attention_by_its_definition(window, cap):
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(n, 7, 4, generator=rng).double() for n in (6, 2, 2))
    lengths = [4, 3]
    got = Packed(lengths).attend(Heads(q, k, v, 0.7, window, cap), 0)
    want = torch.zeros_like(got)
    for h in range(6):
        for t in range(7):
            start = 0 if t < 4 else 4
            seen = [s for s in range(start, t + 1) if window is None or t - s < window]
            score = torch.stack([q[h, t] @ k[h // 3, s] * 0.7 for s in seen])
            if cap is not None:
                score = cap * (score / cap).tanh()
            for share, s in zip(score.softmax(0), seen, strict=True):
                want[h, t] += share * v[h // 3, s]
    torch.testing.assert_close(got, want, atol=1e-12, rtol=0)


def test_causal_mask():
    full = causal(3, None, torch.device("cpu"))
    assert full.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert causal(3, 2, torch.device("cpu")).tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]


def test_an_architecture_that_drops_keywords_is_refused_in_words():
    model = tiny()
    layer = model.model.layers[0].self_attn
    own = layer.forward
    layer.forward = lambda *a, layout=None, **k: own(*a, **k)
    with pytest.raises(BadModel, match=r"LlamaAttention.*does not pass keywords on"):
        flat_logits(Trunk(model), ragged((3,)))


def test_without_a_head_or_body_there_is_no_trunk():
    headless = Trunk(tiny().model)
    with pytest.raises(BadModel, match="no language-model head"):
        _ = headless.head
    with pytest.raises(BadModel, match="no separate decoder"):
        headless(Flat(torch.tensor([1]), torch.tensor([0]), Packed([1])))


def test_the_name_is_registered():
    assert tiny().config._attn_implementation == NAME
