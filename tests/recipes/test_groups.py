"""When answers are asked for, asked for again, or learned from late."""

import pytest

from accord.data.stream import Stream
from accord.maths.surrogate import Truncated
from accord.models.lora import Lora
from accord.recipes import grpo
from accord.recipes.common import Asked
from accord.recipes.groups import Ahead, Asker
from accord.store.run import Run
from group_fakes import FAST, SMALL, TWO, Watching, sweet, trained
from toys import toy_policy

# --- dynamic sampling ---


class Counting:
    """A reward under which only some prompts tell their answers apart."""

    def __init__(self, tell):
        self.tell, self.asked = tell, []

    def __call__(self, rollouts):
        self.asked.append([r.id for r in rollouts])
        return [s if self.tell(r) else 0.5 for r, s in zip(rollouts, sweet(rollouts))]


def test_a_batch_is_filled_from_further_prompts_up_to_a_bound():
    judge = Counting(lambda r: r.prompt_ids == (0,))
    _, run = trained(judge, resample=5, group=6, steps=3, kl=None, lr=1e-6)
    for numbers in run.lines:
        assert 2 <= numbers["groups/rounds"] <= 3
        assert 0.3 < numbers["groups/no_signal"] < 0.7
        assert numbers["policy/updates"] == 4
    counts = run.ledger.counts()
    assert counts["trained"] == 3 * 4 * 6
    assert counts["dropped: no signal"] >= 3 * 4 * 6 / 2
    never = Counting(lambda r: False)
    policy, run = trained(never, resample=5, kl=None)
    assert [len(few) for few in never.asked] == [16] * 10
    assert run.ledger.counts() == {"dropped: no signal": 160}
    assert policy.fingerprint == toy_policy().fingerprint


def test_resampled_prompts_are_the_next_of_the_stream_and_none_is_skipped():
    prompts = [Asked(str(i), (0, 2 + i % 4)) for i in range(7)]
    told = []
    stream = Stream(prompts, 4, 0)
    cfg = FAST.model_copy(update={"batch": 4, "group": 2, "resample": 3, "kl": None})
    judge = Counting(lambda r: False)
    asker = Asker(cfg, Run(), toy_policy(), judge, None, 0)
    ahead = Ahead()
    for index in range(2):
        batch, rounds = asker.collect(stream, index, ahead.place)
        told.append(rounds)
        ahead.put(batch, rounds)
    assert told == [3, 3]
    assert ahead.place == 6
    assert judge.asked[4][0] == "1.4/0"


# --- stale answers ---


def test_lag_learns_from_what_an_older_policy_said():
    _, run = trained(lag=2, steps=5, epochs=1, minibatches=1)
    assert [numbers["policy/staleness"] for numbers in run.lines] == [0, 1, 2, 2, 2]
    assert run.ledger.counts().total() == 80
    first = [numbers["val/ratio_first"] for numbers in run.lines]
    assert first[0] == pytest.approx(1, abs=1e-4)
    assert max(numbers["val/ratio_first_off"] for numbers in run.lines[2:]) > 1e-3
    _, run = trained(lag=2, steps=5, epochs=1, minibatches=1, stale=Truncated())
    for numbers in run.lines:
        assert numbers["val/ratio_first_off"] < 1e-4, "the ratio is to the policy of the moment"
    assert run.lines[0]["policy/stale_weight"] == pytest.approx(1, abs=1e-4)
    assert abs(run.lines[3]["policy/stale_weight"] - 1) > 1e-4


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("lora", [None, Lora(r=2)])
def test_the_first_ratio_is_one(temperature, lora):
    _, run = trained(temperature=temperature, lora=lora, weigh_by="token")
    for numbers in run.lines:
        assert numbers["val/ratio_first"] == pytest.approx(1, abs=1e-4)
        assert 0 <= numbers["val/ratio_first_off"] < 1e-4
    assert run.lines[0]["objective/kl"] == pytest.approx(0, abs=1e-5)
    assert abs(run.lines[1]["objective/kl"]) > 1e-4


def test_batches_ahead_come_back_as_they_were(tmp_path):
    asker = Asker(SMALL, Run(), toy_policy(), sweet, None, 0)
    one, other = Ahead(), Ahead()
    for index in range(2):
        one.put(*asker.collect(Stream(TWO, 2, 0), index, one.place))
    one.save(tmp_path)
    other.load(tmp_path)
    assert other.waiting == one.waiting
    assert (other.place, other.next) == (2, 2)


def test_what_is_only_watched_is_not_learned_from():
    policy, _ = trained()
    run = Watching()
    cfg = FAST.model_copy(update={"steps": 2, "batch": 4, "group": 4})
    gold = lambda said: [float(len(r.response_ids)) for r in said]  # noqa: E731
    other = grpo.train(cfg, run, toy_policy(), sweet, TWO, gold=gold)
    assert other.fingerprint == policy.fingerprint
    for numbers in run.lines:
        assert numbers["eval/true"] == pytest.approx(numbers["completions/mean_length"])
