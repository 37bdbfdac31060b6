"""Best-of-n at inference: the best one is given, and its price in KL is told."""

import json

import pytest

from accord.config import read_each
from accord.data.sources import write
from accord.engine.roles import Policy
from accord.errors import BadSettings, CannotWrite
from accord.maths.selection import best_of_n_bound
from accord.recipes.best_job import run_best
from accord.recipes.job import Desk
from accord.shows import show_best
from accord.verbs import VERBS
from recipe_fakes import newborn, records


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("best")
    newborn(folder / "model")
    write(folder / "ask.jsonl", records().prompts[:5])
    rule = "def long(prompt, answer, ended):\n    return float(len(answer))\n"
    (folder / "rule.py").write_text(rule + "def same(prompt, answer, ended):\n    return 1.0\n")
    return folder


def call(home, *words):
    given = [f"model={home}/model", f"prompts={home}/ask.jsonl", "longest=6", *words]
    return run_best(Desk((), print), *read_each(VERBS["best"].classes(), None, given))


def test_the_best_of_n_is_given_and_written(home, capsys):
    out = home / "new" / "best.jsonl"
    made = call(home, "n=8", f"rule={home}/rule.py:long", f"out={out}")
    policy = Policy.open(home / "model")
    asked = [policy.speller.prompt_ids(p.messages) for p in records().prompts[:5]]
    said = [policy.speller.text(r) for r in policy.sample(asked, n=8, longest=6, seed=0)]
    for place, (_, text, score) in enumerate(made.rows):
        few = said[8 * place : 8 * place + 8]
        assert score == len(text) == max(map(len, few))
        assert text == max(few, key=len), "of equals the first"
    assert made.mean == pytest.approx(sum(map(len, said)) / len(said))
    assert 0 < made.kl <= best_of_n_bound(8)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["response"] for row in rows] == [text for _, text, _ in made.rows]
    show_best(made)
    assert "KL from the policy at most 1.20 nats" in capsys.readouterr().out
    with pytest.raises(CannotWrite, match="is there already"):
        call(home, f"rule={home}/rule.py:long", f"out={out}")


def test_equal_rewards_cost_nothing(home):
    made = call(home, "n=4", f"rule={home}/rule.py:same")
    assert made.kl == 0
    assert made.mean == 1


def test_without_a_reward_there_is_no_best(home):
    with pytest.raises(BadSettings, match="best-of-n needs a reward"):
        call(home)


def test_greedy_answers_have_no_best_among_them(home):
    with pytest.raises(BadSettings, match="gives 2 times the same answer"):
        call(home, "n=2", f"rule={home}/rule.py:long", "how.temperature=0")
    assert call(home, "n=1", f"rule={home}/rule.py:long", "how.temperature=0").kl == 0
