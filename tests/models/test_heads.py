"""Column t speaks of token t: the shift by one, the score at the last token, padding ignored."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from accord.data.rows import Tokens, choices, pad
from accord.models import fused
from accord.models.heads import Judge, Speaker
from accord.models.trunk import Trunk
from tiny import VOCAB, plain_logits, ragged, rows, tiny

PROMPTS, ANSWERS = ragged((2, 5, 1, 3), seed=0), ragged((4, 1, 7, 2), seed=1)


def sequences() -> list[tuple[int, ...]]:
    return [(*p, *a) for p, a in zip(PROMPTS, ANSWERS, strict=True)]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_logp_is_that_of_plain_transformers(temperature):
    with torch.no_grad():
        said = Speaker(Trunk(tiny()))(rows(), temperature)
    plain = plain_logits(tiny(attn="eager"), sequences())
    for b, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        all_TV = (plain[b] / temperature).log_softmax(-1)
        for k, token in enumerate(answer):
            t = len(prompt) + k
            want = all_TV[t - 1]
            assert float(said.logp_BT[b, t]) == pytest.approx(float(want[token]), abs=1e-4)
            entropy = -float((want.exp() * want).sum())
            assert float(said.entropy_BT[b, t]) == pytest.approx(entropy, abs=1e-4)
    mask_BT = rows().mask_BT
    assert said.logp_BT[~mask_BT].abs().max() == 0
    assert said.entropy_BT[~mask_BT].abs().max() == 0


def test_probabilities_of_a_column_sum_to_one_over_its_own_token():
    speaker, prompt = Speaker(Trunk(tiny())), (5, 6, 7)
    everything = pad([prompt] * VOCAB, [(4, i, 9) for i in range(VOCAB)])
    with torch.no_grad():
        logp_BT = speaker(everything).logp_BT.double()
    assert float(logp_BT[:, 4].exp().sum()) == pytest.approx(1, abs=1e-5)
    assert float(logp_BT[:, 5].exp().sum()) != pytest.approx(1, abs=0.1)


def first_changed(ask, tokens: Tokens, place: int) -> tuple[int, list[int]]:
    """Which columns of row 0 differ when its token at `place` becomes another."""
    ids_BT = tokens.ids_BT.clone()
    ids_BT[0, place] = (ids_BT[0, place] + 1) % VOCAB
    with torch.no_grad():
        gap_BT = (ask(tokens) - ask(replace(tokens, ids_BT=ids_BT))).abs()
    assert gap_BT[1:].max() < 1e-5, "another row has changed"
    return place, (gap_BT[0] > 1e-5).nonzero()[:, 0].tolist()


def test_alignment_of_the_speaker():
    """A token's own column and those after it speak of it; none before."""
    speaker, tokens = Speaker(Trunk(tiny())), rows()
    for place in range(2, 6):
        _, changed = first_changed(lambda x: speaker(x).logp_BT, tokens, place)
        assert changed == list(range(place, 6))


def test_alignment_of_the_judge():
    """A value is foreseen before its token is said: the token changes only later columns."""
    judge, tokens = Judge(Trunk(tiny())), rows()
    for place in range(2, 6):
        _, changed = first_changed(judge, tokens, place)
        assert changed == list(range(place + 1, 6))


def test_scoring_the_prompt_leaves_out_the_first_token_alone():
    tokens = pad(PROMPTS, ANSWERS, score_prompt=True)
    with torch.no_grad():
        logp_BT = Speaker(Trunk(tiny()))(tokens).logp_BT
    plain = plain_logits(tiny(attn="eager"), sequences())
    for b, ids in enumerate(sequences()):
        want = plain[b].log_softmax(-1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        torch.testing.assert_close(logp_BT[b, 1 : len(ids)], want, atol=1e-4, rtol=0)
        assert logp_BT[b, 0] == 0


def wider(tokens: Tokens, by: int, fill: int) -> Tokens:
    """The same rows with more padding, of another id."""
    B, T = tokens.ids_BT.shape
    ids_BT = torch.full((B, T + by), fill)
    mask_BT = torch.zeros(B, T + by, dtype=torch.bool)
    for b, n in enumerate(tokens.length_B.tolist()):
        ids_BT[b, :n] = tokens.ids_BT[b, :n]
    mask_BT[:, :T] = tokens.mask_BT
    return replace(tokens, ids_BT=ids_BT, mask_BT=mask_BT)


@pytest.mark.parametrize("fill", [0, 1, 96])
def test_padding_is_never_looked_at(fill):
    trunk, tokens = Trunk(tiny()), rows()
    speaker, judge = Speaker(trunk), Judge(trunk)
    other = wider(tokens, 5, fill)
    with torch.no_grad():
        assert torch.equal(judge.score(tokens), judge.score(other))
        assert torch.equal(judge(tokens), judge(other)[:, :8])
        assert torch.equal(speaker(tokens).logp_BT, speaker(other).logp_BT[:, :8])


def last_hidden(seqs: list[tuple[int, ...]]) -> Tensor:
    plain = tiny(attn="eager")
    with torch.no_grad():
        return torch.stack(
            [plain.model(torch.tensor([ids])).last_hidden_state[0, -1] for ids in seqs]
        )


def test_score_is_read_at_the_last_real_token():
    judge = Judge(Trunk(tiny()), seed=3)
    judge.gain.fill_(2.5)
    judge.bias.fill_(-0.75)
    with torch.no_grad():
        judge.head.bias.fill_(0.1)
        got_B = judge.score(rows())
        want_B = 2.5 * (last_hidden(sequences()) @ judge.head.weight[0] + 0.1) - 0.75
    torch.testing.assert_close(got_B, want_B, atol=1e-4, rtol=0)
    assert got_B.std() > 0.1


def test_value_is_the_score_of_what_came_before():
    judge = Judge(Trunk(tiny()))
    with torch.no_grad():
        value_BT = judge(rows())
        for b, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
            for k in range(len(answer)):
                before = pad([(*prompt, *answer[:k])[:1]], [(*prompt, *answer[:k])[1:] or (0,)])
                before = replace(before, length_B=torch.tensor([len(prompt) + k]))
                want = float(judge.score(before)[0])
                assert float(value_BT[b, len(prompt) + k]) == pytest.approx(want, abs=1e-5)


def test_comparing_is_scoring_each():
    judge = Judge(Trunk(tiny()))
    few = choices(PROMPTS[:2], [ANSWERS[:3], ANSWERS[3:]])
    with torch.no_grad():
        score_BK = judge.compare(few)
        for b, answers in enumerate([ANSWERS[:3], ANSWERS[3:]]):
            each = judge.score(pad([PROMPTS[b]] * len(answers), answers))
            torch.testing.assert_close(score_BK[b, : len(answers)], each, atol=1e-5, rtol=0)
    assert score_BK[1, 1:].tolist() == [0.0, 0.0]


def test_a_new_head_has_the_variance_of_ziegler():
    width = 32
    heads = torch.cat([Judge(Trunk(tiny()), seed=s).head.weight.detach() for s in range(40)])
    assert float(heads.var()) == pytest.approx(1 / (width + 1), rel=0.15)
    assert abs(float(heads.mean())) < 0.02
    assert not torch.equal(heads[0], heads[1])


@pytest.mark.parametrize("family", ["grouped", "one key head, tied"])
def test_a_judge_learns_all_it_reads_and_nothing_else(family):
    """Every learned weight has a gradient; an untied language-model head is not among them."""
    judge = Judge(Trunk(tiny(family)))
    learned = dict(judge.learned())
    for weight in learned.values():
        weight.requires_grad_(True)
    (judge(rows()).sum() + judge.score(rows()).sum()).backward()
    assert [name for name, weight in learned.items() if weight.grad is None] == []
    assert "trunk.lm_head.weight" not in learned
    assert {"trunk.model.embed_tokens.weight", "head.weight", "head.bias"} <= learned.keys()


def test_chunks_do_not_change_what_is_said(monkeypatch):
    speaker = Speaker(Trunk(tiny()))
    with torch.no_grad():
        whole = speaker(rows())
        monkeypatch.setattr(fused, "CHUNK_BYTES", 3 * 4 * VOCAB)
        cut = speaker(rows())
    torch.testing.assert_close(whole.logp_BT, cut.logp_BT, atol=1e-5, rtol=0)
    torch.testing.assert_close(whole.entropy_BT, cut.entropy_BT, atol=1e-5, rtol=0)
