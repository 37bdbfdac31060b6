"""Imitation finds the language it is shown, and weighs every token as it was told to."""

import json
from itertools import pairwise

import pytest
import torch
from safetensors import safe_open

from accord.data.comparisons import Spelled, spell_demonstrations
from accord.engine.steps import Optimizer
from accord.errors import NotFinite
from accord.maths.control import Constant, Linear
from accord.maths.weights import weigh
from accord.recipes import sft
from accord.records import Demonstration, ask
from accord.store.run import Run
from toys import LONGEST, ToySpeller, cuts, distribution, float64, gradient, toy_policy

COUNT = 3000


def shown(n: int, *, seed: int, prompt=(0,)) -> list[Spelled]:
    """Demonstrations by another speaker."""
    said = toy_policy(5).sample([prompt] * n, longest=LONGEST, seed=seed)
    return [Spelled(prompt, (r.response_ids,), (0,), None, None, r.id) for r in said]


def mixed(n: int = 12) -> list[Spelled]:
    """Prompts and answers of several lengths."""
    rows = [shown(n // 3, seed=k, prompt=p) for k, p in enumerate([(0,), (0, 4), (0, 5, 3, 2)])]
    return [row for few in zip(*rows, strict=True) for row in few]


class Watching(Run):
    """Keeps what was logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def log(self, step, **numbers):
        self.lines.append(numbers)
        super().log(step, **numbers)


def test_it_learns_the_language_it_is_shown():
    """No policy has a lower expected loss than the entropy of the source; it comes close."""
    source, start = toy_policy(5), toy_policy(0)
    p = distribution(source)
    entropy = float(-(p * p.log()).sum())
    begun = float(-(p * distribution(start).log()).sum())
    cfg = sft.SFT(epochs=2, batch=100, lr=1e-2, schedule=Linear(), measure_every=10)
    test = shown(1500, seed=2)
    run = Watching()
    policy = sft.train(cfg, run, start, shown(COUNT, seed=1), test)
    reached = float(-(p * distribution(policy).log()).sum())
    assert begun > entropy + 1, "the toy leaves nothing to learn"
    # the maximum-likelihood fit of 155 free numbers would be 155 / 2 COUNT = 0.026 nats above it
    assert entropy < reached < entropy + 0.05
    tokens = sum(len(row.response_ids[0]) for row in test) / len(test)
    per_token = run.lines[-1]["eval/loss"]
    assert per_token * tokens == pytest.approx(reached, abs=0.12), "1500 sentences: ± 0.03 a σ"
    assert per_token == sft.measure(policy, test)
    assert float(-(p * distribution(start).log()).sum()) == begun, "the start must not move"


def by_hand(rows: list[Spelled], loss_on: str, weigh_by: str) -> float:
    """The loss of the start, token by token."""
    each = []
    for row in rows:
        logp = toy_policy().logp(sft.lay([row], "all"))[0].tolist()
        assert logp[0] == 0, "nothing precedes the first token"
        each.append([-x for x in logp[len(row.prompt_ids) if loss_on == "response" else 1 :]])
    if weigh_by == "token":
        return sum(map(sum, each)) / sum(map(len, each))
    return sum(sum(one) / len(one) for one in each) / len(each)


WAYS = [(on, by) for on in ("response", "all") for by in ("token", "sequence")]


@pytest.mark.parametrize(("loss_on", "weigh_by"), WAYS)
def test_what_is_learned_from_and_how_it_is_weighed(loss_on, weigh_by):
    rows, run = mixed(), Watching()
    wanted = sorted(by_hand(rows, *way) for way in WAYS)
    assert min(b - a for a, b in pairwise(wanted)) > 1e-3, "the four ways differ on these rows"
    cfg = sft.SFT(batch=len(rows), loss_on=loss_on, weigh_by=weigh_by)
    sft.train(cfg, run, toy_policy(), rows)
    want = by_hand(rows, loss_on, weigh_by)
    assert [line["loss"] for line in run.lines] == [pytest.approx(want, abs=1e-5)]


def test_the_rows_of_a_nan_are_left_in_the_folder_of_the_run(tmp_path):
    rows = mixed()
    cfg = sft.SFT(batch=2, lr=1e30, optimizer=Optimizer(max_norm=None))
    with pytest.raises(NotFinite, match=r"is NaN or infinite at update 1.*were written to") as said:
        sft.train(cfg, Run(tmp_path), toy_policy(), rows)
    (file,) = (tmp_path / "not-finite" / "policy").iterdir()
    assert f"written to {file}. " in str(said.value)
    with safe_open(file, "pt") as dump:
        assert len(json.loads(dump.metadata()["samples"])) == len(dump.get_tensor("ids_BT")) > 0


def test_a_prompt_is_not_learned_from_unless_asked():
    rows = mixed()
    for row, answer, whole in zip(
        rows, sft.lay(rows).mask_BT, sft.lay(rows, "all").mask_BT, strict=True
    ):
        n, m = len(row.prompt_ids), len(row.response_ids[0])
        assert answer.nonzero()[:, 0].tolist() == list(range(n, n + m))
        assert whole.nonzero()[:, 0].tolist() == list(range(1, n + m))


@pytest.mark.parametrize("by", ["token", "sequence"])
@pytest.mark.parametrize("loss_on", ["response", "all"])
def test_gradients_do_not_depend_on_the_cut(loss_on, by):
    """Micro-batches, padding and order change no gradient (float64)."""
    with float64():
        start = toy_policy(dtype=torch.float64)
        rows = sft.lay(mixed(), loss_on)
        wider = sft.lay([*mixed(), Spelled((0,) * 9, ((2,) * 9,), (0,), None, None, "")], loss_on)
        assert wider.ids_BT.shape[1] > rows.ids_BT.shape[1]
        first = gradient(start, rows, weigh(rows.mask_BT, by), sft.imitate)
        assert first.abs().max() > 1e-3
        for micro, index in cuts(len(rows)):
            for whole in (rows, wider.take(slice(len(rows)))):
                few = whole.take(index)
                got = gradient(start, few, weigh(few.mask_BT, by), sft.imitate, micro)
                assert (got - first).abs().max() < 1e-12


def test_a_gradient_is_the_sum_of_its_tokens():
    """Over the answer alone and over all: the difference is the prompt's own gradient."""
    with float64():
        start, one = toy_policy(dtype=torch.float64), mixed()[2]
        whole, answer = sft.lay([one], "all"), sft.lay([one])
        ones = whole.mask_BT.double()
        prompt = gradient(start, whole, ones - answer.mask_BT.double(), sft.imitate)
        both = gradient(start, whole, ones, sft.imitate)
        said = gradient(start, answer, answer.mask_BT.double(), sft.imitate)
        assert prompt.abs().max() > 1e-3
        assert (both - prompt - said).abs().max() < 1e-12


@pytest.mark.parametrize("loss_on", ["response", "all"])
def test_measure_is_the_mean_over_tokens(loss_on):
    rows, policy = mixed(), toy_policy()
    losses = []
    for row in rows:
        n = len(row.prompt_ids)
        logp = policy.logp(sft.lay([row], "all"))[0].tolist()
        losses += logp[n if loss_on == "response" else 1 :]
    assert sft.measure(policy, rows, loss_on) == pytest.approx(-sum(losses) / len(losses), abs=1e-5)


def test_longer_ones_are_dropped_and_counted():
    told = [("a", "bc"), ("abcd", "ab"), ("ab", "ab"), ("", "dddddd")]
    given = [Demonstration(ask(p), a, id=f"d{i}") for i, (p, a) in enumerate(told)]
    rows, tally = spell_demonstrations(given, ToySpeller(), 6)
    assert [row.id for row in rows] == ["d0", "d2"], "6 tokens are not more than 6"
    assert rows[1].prompt_ids == (0, 2, 3)
    assert rows[1].response_ids == ((2, 3, 1),)
    assert (tally.kept, dict(tally.dropped)) == (2, {"more than 6 tokens": 2})
    assert tally.examples["more than 6 tokens"] == ["d1: 8 tokens", "d3: 8 tokens"]


def test_when_it_looks_and_what_it_logs():
    run, rows = Watching(), mixed()
    cfg = sft.SFT(epochs=2.5, batch=4, measure_every=3, lr=1e-3, schedule=Linear())
    sft.train(cfg, run, toy_policy(), rows, rows[:3])
    looked = [step for step, line in enumerate(run.lines) if "eval/loss" in line]
    assert looked == [0, 3, 6, 7], "every third step, and the last"
    assert [line["epoch"] for line in run.lines] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert [line["lr"] for line in run.lines] == pytest.approx(
        [1e-3 * (1 - k / 8) for k in range(8)]
    )


def test_the_learning_rate_is_the_schedules():
    """At a factor of 0 nothing moves; the first factor of a warm-up of one is a half."""

    def moved(schedule) -> torch.Tensor:
        cfg = sft.SFT(batch=12, lr=1e-3, schedule=schedule)
        policy = sft.train(cfg, Run(), toy_policy(), mixed())
        pairs = zip(
            policy.learner.weights.values(),
            toy_policy().model.trunk.model.parameters(),
            strict=True,
        )
        return torch.cat([(new - old).detach().flatten() for new, old in pairs])

    # Adam's first step has the size of the learning rate
    assert moved(Constant()).abs().max() == pytest.approx(1e-3, rel=1e-2)
    assert moved(Constant(warmup=1)).abs().max() == pytest.approx(5e-4, rel=1e-2)
