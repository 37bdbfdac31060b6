"""A micro-batch is chosen so that what is foreseen of it fits what is free."""

import time
import warnings

import pytest
import torch

from accord.data.rows import pad
from accord.engine import fitting, room
from accord.engine.budget import UPDATE
from accord.engine.live import watched
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.maths.losses import Loss, nll
from accord.maths.weights import weigh
from accord.models.heads import Speaker
from accord.models.lora import Lora
from accord.models.trunk import Trunk
from tiny import tiny
from toys import ToySpeller

WIDE = {"hidden_size": 128, "intermediate_size": 344, "vocab_size": 1000}
FEW = pad([(5,) * 32] * 32, [(6,) * 32] * 32)
"""2,048 tokens"""


def imitate(model, tokens) -> Loss:
    return nll(model(tokens).logp_BT)


def foresee(model, tokens) -> Loss:
    return Loss((model(tokens) - 1) ** 2)


def start(dtype=torch.float32) -> Policy:
    return Policy(Speaker(Trunk(tiny(**WIDE).to(dtype))), ToySpeller())


def pupil(of=None, **how):
    lora = how.pop("lora", None)
    made = (of or start()).trainable(lr=0.0, lora=lora, optimizer=Optimizer(**how))
    made.kept = True
    return made


def step(handle):
    objective = imitate if isinstance(handle, Policy) else foresee
    return handle.update(FEW, weigh(FEW.mask_BT), objective)


def with_free(monkeypatch, size):
    monkeypatch.setattr(room, "free", lambda device: size)


def chosen(monkeypatch, size, handle) -> int:
    """Tokens, where so many bytes are free."""
    with_free(monkeypatch, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step(handle)
    return handle.micro_tokens


def test_where_there_is_room_nothing_is_rehearsed(monkeypatch):
    monkeypatch.setattr(fitting, "passes", lambda *given: pytest.fail("rehearsed"))
    assert chosen(monkeypatch, 1 << 34, pupil()) == UPDATE["cpu"]


def test_a_machine_that_does_not_tell_is_taken_as_it_is(monkeypatch):
    assert chosen(monkeypatch, None, pupil()) == UPDATE["cpu"]


def test_what_was_asked_for_stays(monkeypatch):
    assert chosen(monkeypatch, 1000, pupil(micro_tokens=777)) == 777


KINDS = {
    "whole": {},
    "lora": {"lora": Lora(r=4)},
    "recompute": {"recompute": True},
}


@pytest.mark.parametrize("judges", [False, True], ids=["policy", "critic"])
@pytest.mark.parametrize("how", KINDS.values(), ids=KINDS)
def test_what_is_chosen_fits(monkeypatch, how, judges):
    """The step then takes no more than was free; and the choice is not needlessly small."""
    of = Critic.on(start()) if judges else None
    sizes = []
    for free in (60_000_000, 22_000_000, 12_000_000):
        handle = pupil(of, **how)
        with_free(monkeypatch, free)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            handle._begin(FEW)  # a rehearsal's tensors, which hold nothing, are not to be counted
        taken = watched(lambda handle=handle: step(handle))
        sizes.append(handle.micro_tokens)
        print(free, handle.micro_tokens, taken)
        if handle.micro_tokens > 64:
            assert taken <= free
        assert bool(said) == (handle.micro_tokens < UPDATE["cpu"])
        for warning in said:
            assert f"memory is short: {handle.micro_tokens} tokens" in str(warning.message)
    assert sizes == sorted(sizes, reverse=True)


def test_less_memory_means_fewer_tokens_and_a_row_at_least(monkeypatch):
    sizes = [chosen(monkeypatch, mb * 10**6, pupil()) for mb in (200, 30, 20, 15, 1)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == UPDATE["cpu"]
    assert UPDATE["cpu"] > sizes[1] > sizes[3]
    assert sizes[-1] == 64


def test_a_smaller_micro_batch_changes_no_gradient(monkeypatch):
    one, other = pupil(), pupil()
    with_free(monkeypatch, 1 << 34)
    want = step(one)
    with_free(monkeypatch, 15_000_000)
    with pytest.warns(UserWarning, match="memory is short"):
        got = step(other)
    assert got == pytest.approx(want, rel=1e-5)


def test_what_others_will_need_is_kept_free(monkeypatch):
    free = 30_000_000
    alone = chosen(monkeypatch, free, pupil())
    other = pupil(Critic.on(start()))
    beside = chosen(monkeypatch, free, pupil())
    assert beside < alone
    chosen(monkeypatch, 1 << 34, other)  # begun: what it holds is no longer among what is free
    assert chosen(monkeypatch, free, pupil()) == alone


def test_an_optimizer_that_takes_less_leaves_more(monkeypatch):
    free = 18_000_000
    assert chosen(monkeypatch, free, pupil()) < chosen(monkeypatch, free, pupil(bits=8))


def test_it_is_chosen_once_and_saved(monkeypatch, tmp_path):
    first = pupil()
    small = chosen(monkeypatch, 15_000_000, first)
    assert small < UPDATE["cpu"]
    assert chosen(monkeypatch, 1 << 34, first) == small
    first.save(tmp_path)
    again = pupil()
    again.load(tmp_path)
    assert chosen(monkeypatch, 1, again) == small


def test_what_cannot_be_rehearsed_keeps_the_default(monkeypatch):
    double = start(torch.float64).trainable(lr=0.0)
    assert fitting._work(double.learner, 64) is None


def test_a_choice_takes_about_a_second(monkeypatch):
    handle = pupil()
    with_free(monkeypatch, 15_000_000)
    began = time.process_time()
    with pytest.warns(UserWarning, match="memory is short"):
        fitting.fit(handle.learner, 64)
    took = time.process_time() - began
    print(f"{took:.2f} s")
    assert took < 5
