"""The slot cache keeps what was laid into it, where it was laid."""

import pytest
import torch

from accord.models.attention import Packed, Step
from accord.models.cache import SlotCache, TurnedCache
from accord.models.trunk import Flat, Trunk, flatten_ids
from tiny import FAMILIES, ragged, tiny

HEADS, D = 2, 3


def marked(*values: float) -> torch.Tensor:
    """[key heads, T, D] whose place t holds values[t]."""
    return (
        torch.tensor(values, dtype=torch.float32)[None, :, None].expand(HEADS, -1, D).contiguous()
    )


def what(cache: SlotCache, slot: int, layer: int = 0) -> tuple[list[float], list[float]]:
    keys, values = cache._kv[layer]
    return keys[slot, 0, :, 0].tolist(), values[slot, 0, :, 0].tolist()


def test_fill_and_put():
    cache = SlotCache(3, 4)
    cache.fill(0, 1, marked(1, 2), marked(-1, -2))
    cache.fill(0, 2, marked(5), marked(-5))
    assert cache.seen == 2
    place_B = torch.tensor([0, 2, 1])
    new = torch.tensor([7.0, 3.0, 6.0])[:, None, None].expand(3, HEADS, D)
    cache.seen = 3
    keys, values = cache.put(0, place_B, new, -new)
    assert keys.shape == (3, HEADS, 3, D)
    assert what(cache, 0) == ([7, 0, 0, 0], [-7, 0, 0, 0])
    assert what(cache, 1) == ([1, 2, 3, 0], [-1, -2, -3, 0])
    assert what(cache, 2) == ([5, 6, 0, 0], [-5, -6, 0, 0])
    assert keys[1, 0, :, 0].tolist() == [1, 2, 3]
    assert values[2, 1, :, 2].tolist() == [-5, -6, 0]


def test_copy_lays_rows_into_slots_and_leaves_the_others():
    source = SlotCache(2, 3)
    source.fill(0, 0, marked(1, 2, 3), marked(-1, -2, -3))
    source.fill(0, 1, marked(4, 5), marked(-4, -5))
    cache = SlotCache(4, 6)
    cache.fill(0, 1, marked(9, 9, 9, 9, 9), marked(8, 8, 8, 8, 8))
    cache.copy(source, torch.tensor([1, 0, 1]), torch.tensor([0, 2, 3]))
    assert what(cache, 0)[0][:2] == [4, 5]
    assert what(cache, 1) == ([9] * 5 + [0], [8] * 5 + [0])
    assert what(cache, 2) == ([1, 2, 3, 0, 0, 0], [-1, -2, -3, 0, 0, 0])
    assert what(cache, 3)[1][:2] == [-4, -5]
    assert cache.seen == 5
    source.fill(0, 0, marked(77, 77, 77), marked(0, 0, 0))
    assert what(cache, 2)[0][:3] == [1, 2, 3], "a copy, not a view"


def test_keep_drops_all_others():
    cache = SlotCache(4, 2)
    for slot in range(4):
        cache.fill(0, slot, marked(slot), marked(10 * slot))
        cache.fill(1, slot, marked(100 + slot), marked(0))
    cache.keep(torch.tensor([3, 1]))
    assert cache.slots == 2
    assert [what(cache, i)[0][0] for i in range(2)] == [3, 1]
    assert [what(cache, i)[1][0] for i in range(2)] == [30, 10]
    assert [what(cache, i, 1)[0][0] for i in range(2)] == [103, 101]
    assert len(cache._kv[0][0]) == 2


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_step_by_step_is_all_at_once(family):
    """Prefill some of each sequence, then feed the rest a token at a time, in shuffled slots."""
    trunk, seqs, firsts = Trunk(tiny(family)), ragged((9, 12, 8)), [2, 5, 1]
    device = trunk.device
    whole = trunk(flatten_ids(seqs, Packed([9, 12, 8]), device)).split([9, 12, 8])

    prefix = SlotCache(3, 5)
    trunk(flatten_ids([s[:n] for s, n in zip(seqs, firsts)], Packed(firsts, prefix), device))
    cache, slots = SlotCache(3, 12), [2, 0, 1]
    cache.copy(prefix, torch.arange(3), torch.tensor(slots))
    for k in range(7):
        ids, place = [0] * 3, [0] * 3
        for b, slot in enumerate(slots):
            place[slot] = firsts[b] + k
            ids[slot] = seqs[b][firsts[b] + k]
        place_B = torch.tensor(place)
        cache.seen = int(place_B.max()) + 1
        hidden_BH = trunk(Flat(torch.tensor(ids), place_B, Step(cache, place_B)))
        for b, slot in enumerate(slots):
            want = whole[b][firsts[b] + k]
            torch.testing.assert_close(hidden_BH[slot], want, atol=2e-5, rtol=1e-4)


def test_a_turned_cache_holds_the_same():
    """Filled, copied, grown, moved and kept side by side with the plain one."""
    rng = torch.Generator().manual_seed(0)
    source = SlotCache(2, 5)
    for slot in range(2):
        source.fill(0, slot, *torch.randn(2, HEADS, 3 + slot, D, generator=rng))
    plain, turned = SlotCache(6, 40), TurnedCache(6, 40)
    slots = torch.arange(6)
    for cache in (plain, turned):
        cache.copy(source, slots % 2, slots)
    assert turned._kv[0][1].shape[2] == 16
    place_B, count = 3 + slots % 2, 6
    for step in range(20):
        k, v = torch.randn(2, count, HEADS, D, generator=rng)
        said = []
        for cache in (plain, turned):
            cache.seen = int(place_B.max()) + 1
            said.append(cache.put(0, place_B, k, v))
        (k1, v1), (k2, v2) = said
        assert torch.equal(k1, k2.transpose(2, 3)[:, :, : plain.seen])
        assert torch.equal(v1, v2[:, :, : plain.seen])
        assert not v2[:, :, plain.seen :].any()
        place_B = place_B + 1
        if step in (4, 9):  # the last two into holes; then in an order that overlaps
            index = torch.tensor([0, 5, 2, 3] if step == 4 else [1, 2, 0])
            for cache in (plain, turned):
                cache.keep(index)
            place_B, count = place_B[index], len(index)
        if step == 7:
            for cache in (plain, turned):
                cache.move(torch.tensor([3]), torch.tensor([1]))
            place_B[1] = place_B[3]
    assert turned._kv[0][1].shape[:3] == (3, HEADS, 32)
