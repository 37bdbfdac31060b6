"""The sampler writes what the model says, whatever else is in the batch."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from accord.data.rows import pad
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.engine.sampler import Sampler, requests
from accord.engine.seats import Seats
from accord.errors import BadData, BadSettings, NotFinite
from accord.models.cache import SlotCache
from accord.models.lora import Lora
from accord.records import Rollout, ask
from tiny import FAMILIES, ragged, tiny, tiny_policy
from toys import distribution, sentences, toy_policy

GREEDY = Sampling(temperature=0)
TALES = (
    "Once",
    "Once upon a time there was a little girl",
    "The dog was",
    "One day, Tom saw a big",
)


@pytest.fixture(scope="module")
def stories(stories260k) -> Policy:
    return Policy.open(stories260k)


@pytest.fixture(scope="module")
def prompts(stories) -> list[tuple[int, ...]]:
    found = [stories.speller.prompt_ids(ask(text)) for text in TALES]
    assert len({len(p) for p in found}) == 4
    return found


def generated(model, prompt: tuple[int, ...], longest: int, ends: list[int]) -> list[int]:
    """What transformers' own generate says, without the prompt."""
    out = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        max_new_tokens=longest,
        eos_token_id=ends,
        pad_token_id=0,
    )
    return out[0, len(prompt) :].tolist()


@pytest.mark.parametrize("slots", [2, 64])
def test_greedy_is_generate(stories, stories260k, prompts, slots):
    plain = AutoModelForCausalLM.from_pretrained(stories260k, dtype=torch.float32)
    sampler = Sampler(stories.model.trunk, None, frozenset({2}), slots=slots)
    asked = requests(prompts, TALES, n=1, seed=0, limit=400)
    for prompt, said in zip(prompts, sampler.run(asked, GREEDY, longest=40), strict=True):
        assert list(said.response_ids) == generated(plain, prompt, 40, [2])
        assert said.logp == (0.0,) * len(said.response_ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_is_generate_in_every_family(family):
    """With an end that comes early for some, so that slots are refilled and the cache shrinks."""
    plain, ends = tiny(family, attn="eager"), [1, 7, 21, 50, 66, 81]
    policy, seqs = tiny_policy(family, ends=frozenset(ends)), ragged((3, 9, 1, 5, 2, 7))
    policy.slots = 4
    said = policy.sample(seqs, longest=10, seed=0, how=GREEDY)
    for prompt, answer in zip(seqs, said, strict=True):
        assert list(answer.response_ids) == generated(plain, prompt, 10, ends)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("lora", [None, Lora(r=2)])
def test_logp_is_the_trainers(stories, prompts, temperature, lora):
    policy = stories
    if lora:
        policy = stories.trainable(lr=1e-3, lora=lora)
        for name, weight in policy.model.learned():
            weight.data.fill_(0.02) if "lora_B" in name else None
    said = policy.sample(prompts, n=3, longest=30, seed=1, how=Sampling(temperature=temperature))
    tokens = pad([r.prompt_ids for r in said], [r.response_ids for r in said])
    theirs_BT = policy.logp(tokens, temperature)
    for b, rollout in enumerate(said):
        got = torch.tensor(rollout.logp)
        torch.testing.assert_close(got, theirs_BT[b][tokens.mask_BT[b]], atol=1e-4, rtol=0)
    assert sum(sum(r.logp) for r in said) < -100


def same(one: list[Rollout], two: list[Rollout]) -> None:
    assert [(r.id, r.prompt_ids, r.response_ids, r.finish) for r in one] == [
        (r.id, r.prompt_ids, r.response_ids, r.finish) for r in two
    ]
    for a, b in zip(one, two, strict=True):
        assert a.logp == pytest.approx(b.logp, abs=1e-4)


ENDS = frozenset({1, 5, 9, 30, 42, 61, 77, 90})


def asked(n: int = 3):
    lengths = (3, 9, 1, 5, 2, 7, 4, 4)
    seqs = ragged(lengths)
    return requests(seqs, [f"p{i}" for i in range(len(seqs))], n=n, seed=5, limit=50)


def run(slots: int, ask=None, longest: int = 12) -> list[Rollout]:
    sampler = Sampler(tiny_policy().model.trunk, None, ENDS, slots=slots)
    return sampler.run(asked() if ask is None else ask, Sampling(temperature=1.5), longest=longest)


def test_the_number_of_slots_changes_nothing():
    wanted = run(64)
    assert len({len(r.response_ids) for r in wanted}) > 4, "answers of one length prove little"
    for slots in (1, 3, 7, 24):
        same(run(slots), wanted)


def test_company_and_order_change_nothing():
    whole = asked()
    wanted = {r.id: r for r in run(64)}
    for few in (whole[::-1], whole[5:6], whole[::4], [whole[i] for i in (7, 2, 19, 3, 3)]):
        same(run(3, few), [wanted[r.id] for r in few])


def test_the_same_prompt_says_other_things_at_other_draws_and_seeds():
    policy, prompt = tiny_policy(), [(4, 5)]
    said = policy.sample(prompt, n=8, longest=6, seed=0)
    assert len({r.response_ids for r in said}) == 8
    again = policy.sample(prompt, n=8, longest=6, seed=0)
    assert said == again
    others = policy.sample(prompt, n=8, longest=6, seed=1)
    assert not {r.response_ids for r in said} & {r.response_ids for r in others}
    assert [r.id for r in said] == [f"0/{k}" for k in range(8)]
    fewer = policy.sample(prompt, n=3, longest=6, seed=0)
    assert [r.response_ids for r in fewer] == [r.response_ids for r in said[:3]]


def test_slots_are_refilled_and_the_cache_shrinks(monkeypatch):
    copies, sizes = [], []
    copy, keep = SlotCache.copy, SlotCache.keep

    def copying(self, source, rows, slots):
        copies.append(len(slots))
        copy(self, source, rows, slots)

    def keeping(self, slots):
        sizes.append(len(slots))
        keep(self, slots)

    monkeypatch.setattr(SlotCache, "copy", copying)
    monkeypatch.setattr(SlotCache, "keep", keeping)
    run(8)
    assert sum(copies) >= 24
    assert len(copies) > 3
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 4


@pytest.mark.parametrize("by", ["own", "module"])
def test_what_prompts_take_beside_the_cache_is_bounded(monkeypatch, by):
    """They are read in lots: the same answers, and a small second cache instead of a whole one."""
    monkeypatch.setenv("ACCORD_DECODER", by)
    policy = tiny_policy()
    seqs = [(3 + i, *range(5, 5 + 30 - i % 4)) for i in range(20)]
    names, made = [f"p{i}" for i in range(20)], []
    init = SlotCache.__init__

    def note(self, slots, places):
        init(self, slots, places)
        made.append((slots, places))

    def say(**more):
        return policy.sample(seqs, names=names, longest=6, seed=0, **more)

    want = say(n=2)
    alone = [policy.sample([s], names=[x], longest=6, seed=0)[0] for s, x in zip(seqs, names)]
    monkeypatch.setattr(SlotCache, "__init__", note)
    policy.slots = 20
    same(say(n=2), want)
    lots = [lot for lot in made if lot != (20, 37)]  # 31 tokens and 6 more are the longest
    assert len(lots) == len(made) - 1 > 5
    assert all(slots * places <= 20 * 37 // 8 for slots, places in lots)
    same(say(), alone)


def test_prompts_that_come_again_are_held_within_bounds(monkeypatch):
    """Each prompt is asked twice, far apart."""
    policy, held = tiny_policy(), []
    policy.slots = 4
    seqs = [(3 + i, *range(5, 5 + 20)) for i in range(12)] * 2
    let_go = Seats._let_go

    def look(self, seated):
        let_go(self, seated)
        caches = {id(p.cache): p.cache for p in self.prefixes.values()}
        held.append(len(caches))

    monkeypatch.setattr(Seats, "_let_go", look)
    said = policy.sample(seqs, names=[str(i) for i in range(24)], longest=5, seed=0)
    assert max(held) == 1
    policy.slots = 64
    same(policy.sample(seqs, names=[str(i) for i in range(24)], longest=5, seed=0), said)


def test_frequencies_are_the_models_own():
    """Every sentence of the toy language as often as its probability says (chi-square)."""
    policy, n = toy_policy(), 6000
    policy.slots = 2000
    said = policy.sample([(0,)], n=n, longest=3, seed=0)
    expected = distribution(policy) * n
    index = {ids: i for i, ids in enumerate(sentences())}
    seen = torch.bincount(
        torch.tensor([index[r.response_ids] for r in said]), minlength=len(index)
    ).double()
    often = expected >= 5
    pooled = [(seen[~often].sum() - expected[~often].sum()) ** 2 / expected[~often].sum()]
    chi = float(((seen - expected)[often] ** 2 / expected[often]).sum() + pooled[0])
    free = int(often.sum())
    assert free > 30
    assert abs(chi - free) < 5 * math.sqrt(2 * free)


def test_ends_and_lengths():
    said = run(64)
    for r in said:
        assert len(r.response_ids) == len(r.logp) <= 12
        assert not set(r.response_ids[:-1]) & ENDS
        assert (r.finish == "stop") == (r.response_ids[-1] in ENDS)
        assert r.finish == "stop" or len(r.response_ids) == 12
    assert {r.finish for r in said} == {"stop", "length"}
    assert len({r.response_ids[-1] for r in said if r.finish == "stop"}) > 2
    for short, long in zip(run(64, longest=2), said, strict=True):
        assert short.response_ids == long.response_ids[:2]
    one = run(5, longest=1)
    assert {len(r.response_ids) for r in one} == {1}


def test_an_end_at_the_limit_is_a_stop():
    said = next(r for r in run(64) if r.finish == "stop" and len(r.response_ids) > 2)
    again = run(1, [a for a in asked() if a.id == said.id], longest=len(said.response_ids))[0]
    assert again.finish == "stop"
    shorter = run(1, [a for a in asked() if a.id == said.id], longest=len(said.response_ids) - 1)
    assert shorter[0].finish == "length"


def test_version_and_watch():
    told: list[int] = []
    sampler = Sampler(tiny_policy().model.trunk, None, ENDS, slots=4)
    said = sampler.run(asked(), Sampling(), longest=4, version=17, watch=told.append)
    assert {r.version for r in said} == {17}
    assert sum(told) == len(said) == 24
    assert sampler.run([], Sampling(), longest=4) == []


@pytest.mark.parametrize(
    "how", [Sampling(), GREEDY, Sampling(top_p=0.9), Sampling(top_k=3)], ids=str
)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_name_the_sample(how, bad):
    policy = tiny_policy()
    policy.model.trunk.model.get_input_embeddings().weight.data[33] = bad
    fine = [(3, 4), (5, 6, 7)]
    with pytest.raises(NotFinite, match=r"sample 'odd/0'.* at answer token 0"):
        policy.sample([*fine, (8, 33)], names=["a", "b", "odd"], longest=1, seed=0, how=how)
    policy.sample(fine, names=["a", "b"], longest=1, seed=0, how=how)


def test_a_prompt_without_room_is_refused_by_name():
    policy = tiny_policy()
    assert policy.context == 64
    policy.sample([(3,) * 60], longest=4, seed=0)
    for bad, said in (((3,) * 61, "has 61 tokens; between 1 and 60"), ((), "has 0 tokens")):
        with pytest.raises(BadData, match=f"'long' {said}"):
            policy.sample([(3,), bad], names=["fine", "long"], longest=4, seed=0)
    with pytest.raises(BadSettings, match="at least one token"):
        policy.sample([(3,)], longest=0, seed=0)


def test_the_last_place_of_the_context_is_used():
    plain = tiny(attn="eager")
    prompt = ragged((54,))[0]
    said = tiny_policy().sample([prompt, (3,)], longest=10, seed=0, how=GREEDY)
    assert list(said[0].response_ids) == generated(plain, prompt, 10, [1])


def test_top_k_and_top_p_say_the_probability_they_drew_with():
    how = Sampling(temperature=0.9, top_k=6, top_p=0.8)
    policy, prompt = tiny_policy(), (4, 5)
    for r in policy.sample([prompt], n=20, longest=1, seed=0, how=how):
        with torch.no_grad():
            x = tiny(attn="eager")(torch.tensor([prompt])).logits[0, -1].double() / 0.9
        p, order = x.topk(6).values.softmax(0), x.topk(6).indices.tolist()
        kept = int(((p.cumsum(0) - p) < 0.8).sum())
        place = order.index(r.response_ids[0])
        assert place < kept
        assert r.logp[0] == pytest.approx(float((p[place] / p[:kept].sum()).log()), abs=1e-4)
