"""Memory that runs out costs time: never a step, a gradient, a score or a sample."""

import math
import warnings
from dataclasses import dataclass, field

import pytest
import torch

from accord.data.rows import pad
from accord.engine import budget
from accord.engine.budget import Budget, exhausted, for_samples, for_updates, slot_bytes
from accord.engine.learner import Terms, alone, micro_batches
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.errors import TooLittleMemory
from accord.maths.losses import Loss, nll
from accord.maths.weights import weigh
from accord.models.cache import SlotCache
from accord.models.heads import Speaker
from accord.models.trunk import Trunk
from tiny import FAMILIES, rows, tiny, tiny_policy
from toys import ToySpeller, in_float64, toy_policy

CPU = torch.device("cpu")
FULL = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"


@dataclass
class Tight:
    """An objective on a machine where only so many rows fit, or that is full at the n-th call."""

    rows: int = 99
    calls: tuple[int, ...] = ()
    error: Exception = field(default_factory=lambda: RuntimeError(FULL))
    seen: int = 0

    def __call__(self, model, tokens) -> Loss:
        self.seen += 1
        if len(tokens) > self.rows or self.seen in self.calls:
            raise self.error
        return nll(model(tokens).logp_BT)


def exact(micro) -> Policy:
    """In float64, so that no order of adding shows."""
    speaker = Speaker(Trunk(in_float64(tiny().double()), "tiny"))
    policy = Policy(speaker, ToySpeller())
    policy = policy.trainable(lr=0.1, optimizer=Optimizer(micro_tokens=micro))
    policy.kept = True
    return policy


def taught(objective, micro=None, beside=()):
    """A model after two updates, what was said of them, and its learner."""
    policy = exact(micro)
    few = rows()
    w = weigh(few.mask_BT).double()
    said = [policy.update(few, w, objective, beside=beside) for _ in range(2)]
    return dict(policy.learner.model.learned()), said, policy.learner


@pytest.mark.parametrize(
    "error", [RuntimeError(FULL), MemoryError(), torch.OutOfMemoryError("CUDA out of memory")]
)
@pytest.mark.parametrize("full", [Tight(rows=2), Tight(rows=1), Tight(calls=(1,))])
def test_an_update_is_the_same_after_memory_ran_out(full, error):
    want, wanted, _ = taught(Tight(), micro=64)
    full = Tight(full.rows, full.calls, error)
    with pytest.warns(UserWarning, match="out of memory: going on with"):
        got, said, learner = taught(full, micro=64)
    for name, weight in got.items():
        torch.testing.assert_close(weight, want[name], atol=1e-8, rtol=0, msg=name)
    for a, b in zip(said, wanted, strict=True):
        assert a == pytest.approx(b, abs=1e-9)
    assert learner.budget.size < 64
    assert learner.version == 2


def test_no_micro_batch_counts_twice():
    """Full in the middle of a step: what the first micro-batches left behind is gone."""
    want, _, _ = taught(Tight(), micro=8)
    with pytest.warns(UserWarning, match="going on with"):
        got, _, _ = taught(Tight(calls=(3,)), micro=16)
    for name, weight in got.items():
        torch.testing.assert_close(weight, want[name], atol=1e-8, rtol=0, msg=name)


def test_a_smaller_budget_is_kept_and_said_once():
    full = Tight(rows=1)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        _, _, learner = taught(full, micro=64)
    halvings = len(said)
    full.seen = 0
    few = rows()
    learner.update(few, weigh(few.mask_BT).double(), full)
    assert full.seen == len(few)  # each row alone, and no new attempt with more
    assert 1 <= halvings <= 4


def test_a_budget_is_part_of_what_is_saved(tmp_path):
    with pytest.warns(UserWarning, match="going on with"):
        _, _, learner = taught(Tight(rows=1), micro=64)
    learner.save(tmp_path)
    _, _, other = taught(Tight(), micro=64)
    assert other.budget.size == 64
    other.load(tmp_path)
    assert other.budget.size == learner.budget.size < 64


def test_a_row_that_does_not_fit_alone_is_one_sentence():
    with (
        pytest.warns(UserWarning, match="going on with"),
        pytest.raises(TooLittleMemory, match=r"out of memory with \d+ tokens .*recompute=true"),
    ):
        taught(Tight(rows=0), micro=64)


ONEDNN = (  # the first seen under a limit of address space, all in dnnl.hpp
    "could not create a primitive",
    "could not create a memory",
    "could not create a memory object",
    "could not execute a primitive",
)


@pytest.mark.parametrize("said", ONEDNN)
def test_onednn_out_of_memory_halves_too(said):
    with pytest.warns(UserWarning, match="going on with"):
        _, _, learner = taught(Tight(rows=1, error=RuntimeError(said)), micro=64)
    assert learner.version == 2


def test_equal_rows_are_tried_one_at_a_time():
    """Two rows of n tokens are a pair with 2n and alone with 2n - 1."""
    few = pad([(5, 6)] * 4, [(7, 8, 9)] * 4)
    policy = exact(64)
    with pytest.warns(UserWarning, match="going on with") as said:
        policy.update(few, weigh(few.mask_BT).double(), Tight(rows=1))
    assert "going on with 9 tokens in a micro-batch" in str(said[-1].message)
    critic = Critic.on(tiny_policy())
    want, score = critic.score(few), critic.model.score

    def tight(some):
        if len(some) > 1:
            raise MemoryError
        return score(some)

    critic.model.score = tight
    with pytest.warns(UserWarning, match="going on with") as said:
        torch.testing.assert_close(critic.score(few), want, atol=1e-5, rtol=0)
    assert "going on with 9 tokens in a pass" in str(said[-1].message)


@pytest.mark.parametrize("costs", [[5, 5, 5], [3, 9, 4], [1, 1], [7], [9, 1, 8]])
def test_alone_is_the_most_tokens_that_part_all_rows(costs):
    cost_B = torch.tensor(costs)
    most = alone(cost_B)
    assert all(len(lot) == 1 for lot in micro_batches(cost_B, most))
    if len(costs) > 1:
        assert any(len(lot) > 1 for lot in micro_batches(cost_B, most + 1))


def test_other_errors_are_not_mistaken():
    assert not exhausted(
        RuntimeError("could not create a primitive descriptor for the matmul primitive")
    )
    assert not exhausted(RuntimeError("shapes cannot be multiplied"))
    assert not exhausted(ValueError("can't allocate memory"))
    with pytest.raises(RuntimeError, match="shapes"):
        taught(Tight(rows=0, error=RuntimeError("shapes cannot be multiplied")))


def test_what_is_beside_is_in_the_same_sum():
    """Two terms in one step: the gradient of their sum, whatever the cut."""
    few = rows()
    half = few.take(slice(0, 2)), few.take(slice(2, None))
    w = weigh(few.mask_BT).double()
    want, said, _ = taught(Tight())
    for micro in (1, 9, None):
        policy = exact(micro)
        for told in said:
            terms = Terms(half[1], w[2:], Tight())
            got = policy.update(half[0], w[:2], Tight(), beside=[terms])
            assert got == pytest.approx(told, abs=1e-9)
        for name, weight in policy.learner.model.learned():
            torch.testing.assert_close(weight, want[name], atol=1e-8, rtol=0, msg=name)


@pytest.mark.parametrize("most", [1, 2])
def test_scores_are_the_same_after_memory_ran_out(monkeypatch, most):
    critic = Critic.on(tiny_policy())
    want = critic.score(rows())
    score = critic.model.score

    def tight(few):
        if len(few) > most:
            raise MemoryError
        return score(few)

    monkeypatch.setattr(critic.model, "score", tight)
    with pytest.warns(UserWarning, match="tokens in a pass"):
        got = critic.score(rows())
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_answers_are_the_same_after_memory_ran_out(monkeypatch):
    policy = tiny_policy()
    asked = [(5, 6), (7, 8, 9), (10,), (11, 12)]
    want = policy.sample(asked, n=2, longest=6, seed=3)
    init = SlotCache.__init__

    def tight(self, slots, places):
        if slots > 4:
            raise MemoryError
        init(self, slots, places)

    monkeypatch.setattr(SlotCache, "__init__", tight)
    with pytest.warns(UserWarning, match="answers at once"):
        got = policy.sample(asked, n=2, longest=6, seed=3)
    assert [r.response_ids for r in got] == [r.response_ids for r in want]
    assert policy.slots is not None
    assert policy.slots <= 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):  # remembered
            policy.slots = min(policy.slots, 4)
            policy.sample(asked, n=2, longest=6, seed=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fewer_answers_at_once_are_saved_and_what_they_change_is_said(monkeypatch, tmp_path, dtype):
    """In bf16 what is drawn may depend on the company, so a resumed run keeps the same."""
    start = toy_policy(dtype=dtype)
    policy, other = start.trainable(lr=0.1), start.trainable(lr=0.1)
    init = SlotCache.__init__

    def tight(self, slots, places):
        if slots > 4:
            raise MemoryError
        init(self, slots, places)

    monkeypatch.setattr(SlotCache, "__init__", tight)
    with pytest.warns(UserWarning, match="answers at once") as said:
        policy.sample([(0,)] * 9, longest=3, seed=0)
    spoken = str(said[-1].message)
    assert spoken.endswith("rounding in bf16 what is drawn") == (dtype == torch.bfloat16)
    policy.save(tmp_path)
    other.load(tmp_path)
    assert other.slots == policy.slots is not None


# --- what is chosen ---


def test_a_micro_batch_is_as_asked_or_fits_the_device():
    assert for_updates(CPU, 77).size == 77
    assert for_updates(CPU, None).size == budget.UPDATE["cpu"]
    assert for_updates(torch.device("cuda"), None).size == budget.LARGE[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_slots_fill_the_room_for_the_cache(family, monkeypatch):
    """The bytes of a slot are those that the cache really allocates."""
    trunk = Trunk(tiny(family))
    policy = tiny_policy(family)
    made = []
    init = SlotCache.__init__
    monkeypatch.setattr(
        SlotCache, "__init__", lambda self, *a: (made.append(self), init(self, *a))[1]
    )
    policy.sample([(5, 6)], n=3, longest=7, seed=0)
    whole = max(made, key=lambda cache: cache.places)
    real = sum(x.numel() * x.element_size() for pair in whole._kv.values() for x in pair)
    logits = 3 * 4 * trunk.model.config.vocab_size
    assert slot_bytes(trunk, whole.places) == real // max(1, whole.slots) + logits
    beside = 1 + 2 / budget.ASIDE  # prompts: being read, and waiting
    monkeypatch.setattr(budget, "CACHE_BYTES", math.ceil(5 * beside * slot_bytes(trunk, 9)))
    assert for_samples(trunk, 9).size == 5
    assert for_samples(trunk, 9, asked=64).size == 64
    monkeypatch.setattr(budget, "CACHE_BYTES", 1)
    assert for_samples(trunk, 9).size == 1


def test_a_budget_hands_on_what_was_made():
    tried = []

    def work(size):
        tried.append(size)
        if size > 3:
            raise MemoryError
        return f"made with {size}"

    room = Budget(20, "things")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert room.spend(work, 1) == "made with 2"
    assert tried == [20, 10, 5, 2]
    assert [str(w.message).split(".")[0] for w in said] == [
        f"out of memory: going on with {n} things" for n in (10, 5, 2)
    ]
