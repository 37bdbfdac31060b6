"""The command that trains every method on one budget: on a newborn model, in seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accord.config import read_each
from accord.demo.contest import defaults
from accord.engine.roles import Policy
from accord.errors import BadData, BadSettings, RunMismatch
from accord.evaluate.match import by_score
from accord.evaluate.words import percent
from accord.recipes import contestants, ppo
from accord.recipes.compare import NAMES, Compare, priced, sized
from accord.recipes.compare_job import Compared, CompareJob, run_compare
from accord.recipes.job import Desk
from recipe_fakes import WHO, newborn

HERE = Path(__file__).resolve().parent
RULE = "def short(prompt, answer, ended):\n    return -float(len(answer))\n"
SIZES = (
    *("budget=tiny", "longest=5", "temperature=1.0", "n=2", "best=4", "held_out=0.4"),
    *("factors=0.5", "reward.epochs=0.2", "ppo.steps=2", "ppo.batch=6", "ppo.epochs=1"),
    *("rloo.steps=2", "rloo.batch=2", "rloo.group=3", "grpo.steps=2", "grpo.batch=2"),
    *("grpo.group=3", "dpo.epochs=0.3", "ipo.epochs=0.3", "kto.epochs=0.3", "rest.rounds=1"),
    *("rest.grow.prompts=4", "rest.grow.n=4", "rest.improve.epochs=1"),
)


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("compare")
    newborn(home / "model")
    (home / "rules.py").write_text(RULE)
    rows = [{"prompt": f"{who} and {other}"} for who in WHO[:4] for other in WHO[:4]]
    (home / "ask.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return home


def settings(here: Path, out: Path, *words: str) -> tuple[CompareJob, Compare]:
    own = {w.split("=")[0] for w in words}
    base = [
        f"model={here}/model",
        f"prompts={here}/ask.jsonl",
        f"rule={here}/rules.py:short",
        f"out={out}",
        *SIZES,
    ]
    given = [w for w in base if w.split("=")[0] not in own] + [
        w for w in words if w[-5:] != "=none"
    ]
    classes: tuple[Any, Any] = (CompareJob, Compare)
    first: Any = read_each(classes, None, given)
    job, cfg = read_each(classes, None, given, defaults(*first))
    return job, cfg  # type: ignore[return-value]


def run(here: Path, out: Path, *words: str) -> tuple[Compared, list[str]]:
    said: list[str] = []
    return run_compare(Desk((), said.append), *settings(here, out, *words)), said


@pytest.fixture(scope="module")
def whole(here, tmp_path_factory) -> tuple[Path, Compared, list[str]]:
    out = tmp_path_factory.mktemp("out")
    return out, *run(here, out)


def test_all_methods_on_one_page(whole) -> None:
    out, done, _ = whole
    told = json.loads((out / "compare.json").read_text())
    names = ["the start", *NAMES]
    assert [row["name"] for row in told["players"]] == names
    assert told["failed"] == {}
    page = done.page.read_text()
    assert all(name in page for name in names)
    assert "<script" not in page
    assert told["verdict"]["sentence"].split(":")[0] in page
    assert told["players"][0]["kl"]["value"] == pytest.approx(0, abs=1e-6)


def test_the_matrix_mirrors_itself_and_says_what_the_answers_say(whole) -> None:
    out, done, _ = whole
    matrix = done.told["matrix"]
    for i, row in enumerate(matrix):
        assert row[i] is None
        for j, cell in enumerate(row):
            if cell is not None:
                assert cell["rate"] + matrix[j][i]["rate"] == pytest.approx(1)
    sides = []
    for name in ("start", "dpo"):
        rows = [json.loads(x) for x in (out / f"answers/{name}.jsonl").read_text().splitlines()[1:]]
        speller = Policy.open(str(done.told["settings"]["model"])).speller
        scores = [-float(len(speller.text(tuple(row["response_ids"])))) for row in rows]
        sides.append([scores[i : i + 2] for i in range(0, len(scores), 2)])
    want = by_score(*sides)
    assert matrix[1 + NAMES.index("DPO")][0]["rate"] == pytest.approx(want.rate)


def test_what_each_was_given_is_counted(whole) -> None:
    _, done, _ = whole
    cost = {row["name"]: row["cost"] for row in done.told["players"]}
    assert [cost[n]["sampled"] for n in ("PPO", "RLOO", "GRPO", "ReST")] == [12, 12, 12, 16]
    assert [cost[n]["sampled"] for n in ("DPO", "IPO", "KTO", "best-of-n")] == [0] * 4
    assert cost["DPO"]["compared"] == cost["KTO"]["compared"] == done.told["budget"]["comparisons"]
    assert done.told["budget"]["sampled"] == 256
    assert done.told["budget"]["comparisons"] + done.told["budget"]["equal"] == 128
    assert cost["best-of-n"]["each"] == 4
    assert cost["PPO"]["shared"] > 0
    assert cost["DPO"]["shared"] == 0


def test_the_page_says_how_good_the_reward_model_is(whole) -> None:
    out, done, _ = whole
    made = json.loads((out / "reward/reward/artifact.json").read_text())
    assert done.told["reward_accuracy"] == made["numbers"]["accuracy"]
    said = f"of those held out it agrees with {percent(made['numbers']['accuracy'])}"
    assert said in done.page.read_text()


def test_the_same_again_trains_nothing_and_says_the_same(here, whole) -> None:
    out, done, _ = whole
    again, said = run(here, out)
    assert sum("nothing to do" in line for line in said) >= 8
    assert again.told == done.told


def test_other_settings_in_the_same_folder_are_refused(here, whole) -> None:
    with pytest.raises(RunMismatch, match="another folder"):
        run(here, whole[0], "dpo.lr=0.5")


def test_one_killed_in_the_middle_goes_on(here, whole, tmp_path, monkeypatch) -> None:
    """PPO dies within its second step; the same command ends with the same policy."""
    real, calls = ppo.optimise, []

    def dies(*given: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given, **more)

    words = ("methods=PPO", "save_every=1")
    monkeypatch.setattr(ppo, "optimise", dies)
    with pytest.raises(KeyboardInterrupt):
        run(here, tmp_path, *words)
    assert not (tmp_path / "ppo/policy").exists()
    monkeypatch.setattr(ppo, "optimise", real)
    run(here, tmp_path, *words)
    kept, once = (p / "ppo/policy/model.safetensors" for p in (tmp_path, whole[0]))
    assert kept.read_bytes() == once.read_bytes()


CLOCK = ("seconds", "shared", "shared_seconds", "memory_mb", "out")
"""what two runs of the same do not have in common"""


def _steady(told: Any) -> Any:
    """What was told, without time, memory and the folder."""
    if isinstance(told, dict):
        return {k: _steady(v) for k, v in told.items() if k not in CLOCK}
    if isinstance(told, list | tuple):
        return [_steady(v) for v in told if not str(v).startswith("Time, ")]
    return told


def test_killed_at_any_point_the_page_says_the_same(here, tmp_path) -> None:
    """SIGKILL in DPO's training, then in RLOO's, then while answers to measure on are written; in
    the end the page has the numbers of one that was left alone.
    """
    few = ("methods=DPO,RLOO,best-of-n", "sweep=DPO", "save_every=1")
    words = [w for w in SIZES if w.split("=")[0] not in ("methods", "sweep")]
    words += [f"model={here}/model", f"prompts={here}/ask.jsonl", f"rule={here}/rules.py:short"]
    path = os.pathsep.join([*(p for p in sys.path if p), str(HERE.parent)])
    done = subprocess.run(
        [sys.executable, str(HERE / "kills_compare.py"), str(tmp_path / "cut"), *words, *few],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cut, _ = run(here, tmp_path / "cut", *few)
    alone, _ = run(here, tmp_path / "alone", *few)
    assert _steady(cut.told) == _steady(alone.told)


def test_a_method_that_fails_is_reported_and_the_others_go_on(here, tmp_path, monkeypatch) -> None:
    def broken(*_: Any) -> Any:
        raise BadData("the rows are bad")

    real = contestants._TRAIN["DPO"]
    monkeypatch.setitem(contestants._TRAIN, "DPO", broken)
    done, said = run(here, tmp_path, "methods=DPO,KTO", "sweep=KTO")
    assert done.told["failed"] == {"DPO": "the rows are bad"}
    assert [row["name"] for row in done.told["players"]] == ["the start", "KTO"]
    assert "the rows are bad" in done.page.read_text()
    assert any("the others go on" in line for line in said)
    with pytest.raises(BadData, match="no method made a policy"):
        run(here, tmp_path / "alone", "methods=DPO")
    monkeypatch.setitem(contestants._TRAIN, "DPO", real)
    done, _ = run(here, tmp_path, "methods=DPO,KTO", "sweep=KTO")
    assert done.told["failed"] == {}


def test_without_a_rule_the_reward_model_judges_and_says_so(here, whole, tmp_path) -> None:
    file = whole[0] / "comparisons/comparisons.jsonl"
    done, _ = run(here, tmp_path, "rule=none", f"comparisons={file}", "methods=DPO", "factors=2")
    assert done.told["judge"] == "the reward model"
    assert any("flatters" in one for one in done.told["verdict"]["reasons"])


def test_a_reward_model_that_is_shown_facts_reads_the_prompts(here, tmp_path) -> None:
    """Ids do not say who spoke where, or what is known: it must be told the prompts."""
    rows = []
    for who in "abcd":
        for other in "efgh":
            talk = [{"role": "system", "content": other}, {"role": "user", "content": who}]
            rows.append({"prompt": talk, "facts": [other]})
    pairs = [{**row, "chosen": "x", "rejected": "y"} for row in rows]
    for name, every in (("talks.jsonl", rows), ("pairs.jsonl", pairs)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in every))
    words = ("request={facts}", "known=", "fact={fact}", "opening=y")
    shown = ("reward.shown=Request", *(f"reward.shown.{word}" for word in words))
    done, _ = run(
        here, tmp_path / "out", f"prompts={tmp_path}/talks.jsonl",
        f"comparisons={tmp_path}/pairs.jsonl", "rule=none", "methods=PPO",
        "template=turns", "ppo.critic=trunk", *shown,
    )  # fmt: skip
    assert done.told["failed"] == {}
    assert done.told["reward_accuracy"] is not None


def test_the_rule_itself_may_be_followed(here, tmp_path) -> None:
    done, _ = run(here, tmp_path, "learn_from=rule", "methods=RLOO,PPO")
    assert done.told["followed"]
    assert not (tmp_path / "reward").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rule=none",), "nothing says which answers are better"),
        (("prompts=none",), "say prompts=FILE"),
        (("methods=PPO,PPO",), "each once"),
        (("methods=PPO", "sweep=KTO"), "takes no part"),
        (("sweep=ReST",), "no price of KL"),
        (("learn_from=rule", "ppo.critic=trunk"), "ppo.critic=zero"),
    ],
)
def test_what_cannot_be_is_one_sentence(here, tmp_path, words, says) -> None:
    with pytest.raises(BadSettings, match=says):
        run(here, tmp_path, *words)


def test_a_rule_that_calls_all_equal_is_one_sentence(here, tmp_path) -> None:
    (here / "flat.py").write_text("def flat(prompt, answer, ended):\n    return 1.0\n")
    with pytest.raises(BadData, match="calls all 128 pairs of answers equal"):
        run(here, tmp_path, f"rule={here}/flat.py:flat")


def test_a_rule_that_fails_always_says_why(here, tmp_path) -> None:
    (here / "broken.py").write_text("def broken(prompt, answer, ended):\n    return prompt['x']\n")
    with pytest.raises(BadData, match="scored none of 128 pairs of answers: TypeError"):
        run(here, tmp_path, f"rule={here}/broken.py:broken")


SHY = '''
def shy(prompt, answer, ended):
    """Short answers,
    of few letters.

    Not where Bob is asked.
    """
    if prompt.startswith("{who}"):
        raise KeyError(prompt)
    return -float(len(answer))
'''


def test_a_rule_that_fails_on_some_prompts_costs_these_alone(here, tmp_path) -> None:
    """Best-of-n too goes on, where the rule that is followed likes none of its answers."""
    (here / "shy.py").write_text(SHY.replace("{who}", WHO[0]))
    words = (f"rule={here}/shy.py:shy", "learn_from=rule", "methods=RLOO,best-of-n")
    done, _ = run(here, tmp_path, *words)
    rows = {row["name"]: row for row in done.told["players"]}
    assert 0 < rows["best-of-n"]["invalid"] < 2 * done.told["prompts"]
    assert done.told["budget"]["unscored"] > 0
    page = done.page.read_text()
    assert "KeyError" in page
    assert "Short answers, of few letters." in page
    assert "Not where" not in page, "the first paragraph says enough"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("budget=tiny",), []),
        (("budget=tiny", "methods=PPO,DPO", "model=other"), []),
        (("methods=RLOO,best-of-n", "learn_from=rule"), []),
        (("methods=RLOO,DPO", "ppo.lr=0.1", "dpo.lr=0.1"), ["ppo.*"]),
        (("methods=RLOO", "learn_from=rule", "reward.lr=0.1"), ["reward.*"]),
        (("methods=DPO", "reward.lr=0.1", "best=3"), ["reward.*", "best"]),
        (("methods=PPO", "factors=2"), ["factors"]),
        (("methods=IPO", "learn_from=rule"), ["learn_from"]),
    ],
)
def test_settings_that_nobody_hears_are_named(words, named) -> None:
    classes: tuple[Any, Any] = (CompareJob, Compare)
    first: Any = read_each(classes, None, list(words))
    _, cfg = read_each(classes, None, list(words), defaults(*first))
    assert cfg.idle(True) == named  # type: ignore[attr-defined]


def test_budgets_size_the_methods_and_words_win() -> None:
    small, large = sized("small"), sized("large")
    assert small["ppo"].steps * small["ppo"].batch == 1024
    assert large["rloo"].steps * large["rloo"].batch * large["rloo"].group == 24576
    classes: tuple[Any, Any] = (CompareJob, Compare)
    words = ["budget=tiny", "ppo.steps=3", "longest=40"]
    first: Any = read_each(classes, None, words)
    _, cfg = read_each(classes, None, words, defaults(*first))
    assert (cfg.ppo.steps, cfg.grpo.steps, cfg.rloo.longest) == (3, 4, 40)  # type: ignore[attr-defined]
    assert priced(small["dpo"], 3.0).loss.beta == pytest.approx(0.3)
    assert priced(small["rest"], 3.0) is None


FEW = ("methods=DPO,IPO,best-of-n", "sweep=DPO,IPO")


@pytest.fixture(scope="module")
def base(here, tmp_path_factory) -> Any:
    return _numbers(run(here, tmp_path_factory.mktemp("base"), *FEW)[0])


@pytest.mark.parametrize(
    "word",
    ["longest=4", "temperature=0.6", "held_out=0.6", "n=1", "best=3", "factors=2", "sweep=IPO"],
)
def test_no_setting_is_idle(here, base, tmp_path, word) -> None:
    """Another value ends in other numbers of those who need no reward model to train."""
    words = [w for w in FEW if w.split("=")[0] != word.split("=")[0]]
    assert _numbers(run(here, tmp_path, *words, word)[0]) != base


def _numbers(done: Compared) -> Any:
    told = done.told
    return [
        (r["score"], r["kl"], [(p["kl"], p["score"]) for p in r["points"]]) for r in told["players"]
    ]
