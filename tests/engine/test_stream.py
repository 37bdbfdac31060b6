"""Answers that join and leave are the answers of a batch."""

import random

import pytest
import torch

from accord.data.rows import pad
from accord.engine.draw import Sampling
from accord.engine.sampler import Sampler, requests
from accord.engine.seats import Request, Slot
from accord.engine.stream import Stream
from accord.errors import NotFinite
from accord.models.cache import SlotCache, TurnedCache
from tiny import ragged, tiny_policy

ENDS = frozenset({1, 5, 9, 30, 42, 61, 77, 90})
HOW = Sampling(temperature=1.5)
LENGTHS = (3, 9, 1, 5, 2, 7, 4, 4)


def asked(n: int = 3) -> list[Request]:
    seqs = ragged(LENGTHS)
    return requests(seqs, [f"p{i}" for i in range(len(seqs))], n=n, seed=5, limit=50)


def batch(how: Sampling = HOW, longest: int = 12, slots: int = 24) -> dict:
    sampler = Sampler(tiny_policy().model.trunk, None, ENDS, slots=slots)
    return {r.id: r for r in sampler.run(asked(), how, longest=longest)}


def stream(slots: int = 24, room: int | None = None) -> Stream:
    return Stream(tiny_policy(ends=ENDS), slots, room)


def drained(stream: Stream, slots: list[Slot], by: int = 0, seed: int = 0) -> dict[str, Slot]:
    """All of them written; by so many more before each step, 0: all at once."""
    waiting, dice = list(slots), random.Random(seed)
    done: dict[str, Slot] = {}
    with stream.open():
        while waiting or stream.busy:
            n = dice.randrange(by + 1) if by else len(waiting)
            stream.add(waiting[:n])
            waiting = waiting[n:]
            for slot in stream.step():
                assert slot.request.id not in done
                done[slot.request.id] = slot
    return done


@pytest.mark.parametrize("by", ["own", "module"])
def test_all_at_once_is_the_batch_bit_for_bit(monkeypatch, by):
    monkeypatch.setenv("ACCORD_DECODER", by)
    want = batch()
    # of the batch's room, so that prompts are read in the same lots
    line = stream(room=max(LENGTHS) + 12)
    got = drained(line, [Slot(request, HOW, 12) for request in asked()])
    for name, rollout in want.items():
        assert got[name].ids == list(rollout.response_ids)
        assert got[name].logp == list(rollout.logp)


@pytest.mark.parametrize("slots", [1, 3, 7, 24])
@pytest.mark.parametrize("seed", [0, 1])
def test_when_an_answer_joins_changes_nothing(slots, seed):
    want = batch()
    got = drained(stream(slots), [Slot(r, HOW, 12) for r in asked()], by=3, seed=seed)
    assert set(got) == set(want)
    for name, rollout in want.items():
        assert tuple(got[name].ids) == rollout.response_ids
        assert got[name].logp == pytest.approx(rollout.logp, abs=1e-4)


def test_each_answer_has_its_own_sampling_and_limit():
    hows = [HOW, Sampling(0), Sampling(top_k=3), Sampling(0.7, top_p=0.9), Sampling(min_p=0.2)]
    limits = [1, 4, 12]
    slots = [Slot(r, hows[i % len(hows)], limits[i % len(limits)]) for i, r in enumerate(asked())]
    got = drained(stream(5), slots, by=2)
    for slot in slots:
        want = batch(slot.how, slot.longest)[slot.request.id]
        assert tuple(got[slot.request.id].ids) == want.response_ids
        assert slot.logp == pytest.approx(want.logp, abs=1e-4)


def test_who_leaves_frees_a_seat_and_disturbs_nobody():
    want, line = batch(), stream(4)
    slots = [Slot(r, HOW, 12) for r in asked()]
    left = {slots[i].request.id for i in (0, 2, 5, 11, 23)}
    with line.open():
        line.add(slots)
        line.step()
        for slot in slots:
            if slot.request.id in left:
                line.leave(slot)
        lengths = {slot.request.id: len(slot.ids) for slot in slots}
        line.step()
        assert not any(slot.gone for slot in line.seats.seats)
        while line.busy:
            line.step()
    for slot in slots:
        if slot.request.id in left:
            assert len(slot.ids) == lengths[slot.request.id] <= 1
        else:
            assert tuple(slot.ids) == want[slot.request.id].response_ids
    assert not line.seats.waiting
    assert not line.seats.prefixes


def test_the_listener_hears_every_token_and_may_end_it():
    heard: dict[str, list[int]] = {}

    def hears(slot: Slot) -> bool:
        heard.setdefault(slot.request.id, []).append(slot.ids[-1])
        return len(slot.ids) == 3

    got = drained(stream(), [Slot(r, HOW, 12, hears=hears) for r in asked()])
    want = batch()
    for name, slot in got.items():
        assert heard[name] == slot.ids == list(want[name].response_ids[:3])


def test_an_idle_stream_holds_no_cache_and_goes_on():
    line = stream()
    first = drained(line, [Slot(r, HOW, 12) for r in asked()])
    assert line.seats.cache.slots == 0
    again = drained(line, [Slot(r, HOW, 12) for r in asked()])
    assert {k: v.ids for k, v in first.items()} == {k: v.ids for k, v in again.items()}


def test_steps_are_shared():
    together, apart = stream(), stream(1)
    drained(together, [Slot(r, HOW, 12) for r in asked()])
    drained(apart, [Slot(r, HOW, 12) for r in asked()])
    assert together.steps == 12
    assert apart.steps > 6 * together.steps


@pytest.mark.parametrize("how", [Sampling(), Sampling(0), Sampling(0.5, top_p=0.8)], ids=str)
def test_what_is_told_is_the_models_own_opinion(how):
    line = stream()
    slots = [Slot(r, how, 8, best=i % 4 if i % 5 else None) for i, r in enumerate(asked())]
    got = drained(line, slots, by=4)
    for slot in got.values():
        if slot.best is None:
            assert slot.told == []
            continue
        tokens = pad([slot.request.prompt_ids], [tuple(slot.ids)])
        want = line.policy.logp(tokens)[0][tokens.mask_BT[0]]
        told = [told.logp for told in slot.told]
        torch.testing.assert_close(torch.tensor(told), want, atol=1e-4, rtol=0)
        for i, one in zip(slot.ids, slot.told, strict=True):
            assert len(one.best) == slot.best
            assert [p for _, p in one.best] == sorted((p for _, p in one.best), reverse=True)
            assert dict(one.best).get(i, one.logp) == one.logp
            assert not one.best or one.logp <= one.best[0][1]


def test_what_is_read_is_what_would_have_been_told(monkeypatch):
    monkeypatch.setattr("accord.engine.stream._LOT", 3)
    line = stream()
    slot = drained(line, [Slot(asked()[3], HOW, 12, best=2)])["p1/0"]
    text = (*slot.request.prompt_ids, *slot.ids)
    with line.open():
        told = line.read(text, 2)
    assert len(told) == len(text) - 1
    for mine, theirs in zip(told[-len(slot.ids) :], slot.told, strict=True):
        assert mine.logp == pytest.approx(theirs.logp, abs=1e-4)
        assert [i for i, _ in mine.best] == [i for i, _ in theirs.best]


def test_after_an_error_it_can_be_cleared():
    line = stream()
    weight = line.policy.model.trunk.model.get_input_embeddings().weight
    with line.open():
        line.add([Slot(asked()[3], HOW, 12)])
        kept = weight.data.clone()
        weight.data[:] = float("nan")
        with pytest.raises(NotFinite):
            line.step()
        weight.data[:] = kept
        line.clear()
        assert not line.busy
    want = batch()["p1/0"].response_ids
    assert tuple(drained(line, [Slot(asked()[3], HOW, 12)])["p1/0"].ids) == want


@pytest.mark.parametrize("kind", [SlotCache, TurnedCache])
def test_a_cache_grows_by_empty_slots(kind):
    cache, source = kind(0, 40), SlotCache(2, 3)
    source.fill(0, 0, torch.ones(2, 3, 4), torch.ones(2, 3, 5))
    source.fill(0, 1, torch.ones(2, 2, 4) * 2, torch.ones(2, 2, 5) * 3)
    cache.seen = 3
    cache.grow(2)
    cache.copy(source, torch.tensor([0, 1]), torch.tensor([0, 1]))
    before = [x.clone() for x in cache._rows(*cache._kv[0])]
    cache.grow(5)
    for old, new in zip(before, cache._rows(*cache._kv[0]), strict=True):
        assert new.shape[0] == cache.slots == 5
        assert torch.equal(new[:2], old)
        assert not new[2:].any()
