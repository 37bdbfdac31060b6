"""The order of facts: another in every epoch and at every visit, one where it is measured."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import seeing
from accord.data.comparisons import Anew, Spelled, sides, spell_pairs
from accord.data.shown import Answer, Request
from accord.engine.roles import Critic, Policy
from accord.recipes import reward
from accord.recipes.reward import RewardModel
from accord.recipes.stage import Place
from accord.recipes.stages import reward_stage
from accord.records import Comparison, Fact, Message, Prompt, Rollout, Text
from accord.rewards.check import check
from accord.rewards.learned import Learned
from accord.rewards.reader import Reader
from accord.store.logs import Sink
from store_fakes import tree

FACTS = ("red", "blue", "dark", "two of it", "near")
SHOWN = Request(request="So?{facts}", known="", fact=" {fact},", opening="It is")


def asked(n: int) -> tuple[Message, ...]:
    return (Message("user", (Text(f"What, {n}?"), *map(Fact, FACTS))),)


PAIRS = [Comparison(asked(n), ("A cat.", f"It is {n}."), (1, 0), id=f"p{n}") for n in range(6)]
CFG = RewardModel(
    shown=SHOWN, batch=2, epochs=2, held_out=0.3, lr=1e-3, measure_every=2, longest=200
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return Policy.open(seeing.folder(tmp_path_factory.mktemp("model")))


def order(start: Policy, *ids: int) -> tuple[str, ...]:
    said = start.speller.decode(ids).split("So?")[1]
    return tuple(sorted(FACTS, key=said.index))


def orders(start: Policy, row: Spelled) -> list[tuple[str, ...]]:
    return [order(start, *row.prompt_ids, *ids) for ids in row.response_ids]


def laid(start: Policy, pairs: Any = PAIRS, longest: int = 200) -> tuple[Any, Anew]:
    rows, tally = spell_pairs(pairs, start.speller, longest, SHOWN)
    assert not tally.dropped
    return rows, Anew(pairs, start.speller, SHOWN, longest, seed=3)


def test_each_epoch_lays_a_row_otherwise_and_only_its_facts(start: Policy) -> None:
    rows, anew = laid(start)
    seen = []
    for epoch in range(8):
        (row,) = anew([rows[4]], [epoch])
        first, second = orders(start, row)
        assert first == second, "both answers are judged by the same list"
        assert replace(row, prompt_ids=(), response_ids=()) == replace(
            rows[4], prompt_ids=(), response_ids=()
        )
        seen.append(first)
    assert len({*seen}) > 4
    assert anew(rows, [7, 1, 0, 3, 4, 0])[4] == anew([rows[4]], [4])[0], "who is beside is nothing"
    assert anew([rows[4]], [4]) != replace(anew, seed=4)([rows[4]], [4])


def test_an_order_too_long_gives_way_to_the_first(start: Policy) -> None:
    rows, anew = laid(start)
    longest = max(len(rows[0].prompt_ids) + len(ids) for ids in rows[0].response_ids)
    short = replace(anew, longest=longest)
    for row in (short([rows[0]], [epoch])[0] for epoch in range(8)):
        assert all(len(row.prompt_ids) + len(ids) <= longest for ids in row.response_ids)
    assert replace(anew, longest=3)(rows, [5] * len(rows)) == rows


def test_training_sees_every_order_and_measuring_one(
    start: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: dict[str, set[tuple[str, ...]]] = {}
    measured: dict[str, set[tuple[str, ...]]] = {}
    into, lay, measure = [learned], reward.lay, reward.measure

    def watched(few: Any) -> Any:
        for row in few:
            into[0].setdefault(row.id, set()).add(orders(start, row)[0])
        return lay(few)

    def measuring(*args: Any) -> Any:
        into[0] = measured
        try:
            return measure(*args)
        finally:
            into[0] = learned

    monkeypatch.setattr(reward, "lay", watched)
    monkeypatch.setattr(reward, "measure", measuring)
    reward_stage(Place(tmp_path), replace_epochs(6), start, PAIRS)
    assert not learned.keys() & measured.keys()
    assert all(len(one) > 2 for one in learned.values()), "six epochs"
    assert all(len(one) == 1 for one in measured.values())


@pytest.mark.parametrize("shown", [Answer(), SHOWN, replace(SHOWN, facts=False)])
def test_a_prompt_is_on_one_side_whatever_its_answers_begin_with(start: Policy, shown: Any) -> None:
    """Shown a request, the ids before the answers part go on into what they begin with."""
    pairs = [
        Comparison.pair(asked(n // 4), f"{('A', 'It is')[n % 2]} {n}.", f"{('A', 'It is')[n % 2]}.")
        for n in range(40)
    ]
    rows, _ = spell_pairs(pairs, start.speller, 200, shown)
    learned, kept = (
        {pairs[row.place].prompt for row in few} for few in sides(rows, pairs, shown, 0.3, 0)
    )
    assert len(learned) + len(kept) == 10
    assert not learned & kept


def replace_epochs(epochs: float) -> RewardModel:
    return CFG.model_copy(update={"epochs": epochs})


class Killed(Sink):
    def __init__(self, step: int):
        self.step = step

    def log(self, step: int, numbers: Any) -> None:
        if step == self.step:
            raise KeyboardInterrupt


def test_what_was_killed_ends_the_same(start: Policy, tmp_path: Path) -> None:
    """The next epoch's orders hang on seed, epoch and row, not on what was done before."""
    cfg = replace_epochs(3)
    whole, cut = (Place(tmp_path / name, seed=5, save_every=2) for name in ("whole", "cut"))
    made = reward_stage(whole, cfg, start, PAIRS)
    with pytest.raises(KeyboardInterrupt):
        reward_stage(replace(cut, sinks=(Killed(3),)), cfg, start, PAIRS)
    again = reward_stage(cut, cfg, start, PAIRS)
    weights = "model.safetensors"
    assert tree(again.artifact.folder)[weights] == tree(made.artifact.folder)[weights]
    assert again.numbers == made.numbers


def rollout(start: Policy, name: str, n: int = 0, text: str = "A cat.") -> Rollout:
    ((prompt, (said,)),) = start.speller.many([(asked(n), (text,))])
    return Rollout(name, prompt, said, (0.0,) * len(said), 0, "stop")


def test_in_rl_the_order_is_the_visit_s(start: Policy) -> None:
    prompts = [Prompt(asked(n), str(n)) for n in range(2)]
    critic: Any = SimpleNamespace(speller=start.speller, shown=SHOWN, context=256)
    judge = Learned(critic, start.speller, Reader(start.speller, prompts))

    def shown(learned: Learned, *names: str) -> list[tuple[str, ...]]:
        rows: Any = learned.rows([rollout(start, name) for name in names])
        return [order(start, *prompt, *ids) for prompt, ids in rows]

    steps = shown(judge, *(f"{step}.3/0" for step in range(8)))
    assert len({*steps}) > 4, "the same prompt in another step"
    assert len({*shown(judge, *(f"4.3/{draw}" for draw in range(8)))}) == 1, "answers of one visit"
    assert shown(judge, *(f"{step}.3/0" for step in range(8))) == steps
    assert len({*shown(replace(judge, still=True), "0.0/0", "1.0/0", "7.3/2")}) == 1


def test_a_check_shows_facts_as_they_were_when_it_was_measured(
    start: Policy, tmp_path: Path
) -> None:
    critic = Critic.on(start, seed=1, shown=SHOWN)
    rows, _ = laid(start)
    expected = reward.measure(critic, rows)
    judge = Learned(critic, start.speller, Reader(start.speller, [Prompt(p.prompt) for p in PAIRS]))
    said = [rollout(start, f"{n}/0", n) for n in range(6)]
    apart = [float(one) for one in judge(said)]  # type: ignore[arg-type]
    first = [float(one) for one in replace(judge, still=True)(said)]  # type: ignore[arg-type]
    assert apart != pytest.approx(first), "the order matters to this model"
    assert check(judge, start.speller, PAIRS, expected["accuracy"]).accuracy == pytest.approx(
        expected["accuracy"]
    )
    score_N = critic.score(reward.lay(rows).answers.answers())
    assert score_N.tolist()[::2] == pytest.approx(first, rel=1e-3, abs=1e-4)
