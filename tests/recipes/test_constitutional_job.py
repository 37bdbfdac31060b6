"""The command and its check; killed anywhere it goes on; no setting is idle; presets run."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from accord.config import read_each
from accord.config.presets import find, presets
from accord.data.comparisons import split
from accord.data.constitution import read_constitution
from accord.data.sources import write
from accord.engine.draw import Sampling
from accord.engine.llm import Ask
from accord.engine.local import Local
from accord.engine.roles import Policy
from accord.errors import BadSettings
from accord.recipes import constitutional_job as job
from accord.recipes.constitutional import Constitutional
from accord.recipes.constitutional_stages import compare_stage, revise_stage
from accord.recipes.job import Desk
from accord.recipes.revising import Revise
from accord.recipes.stage import Place
from accord.recipes.weighing import Feedback, Thought
from accord.records import Comparison, Prompt, ask
from accord.store import artifact
from accord.verbs import VERBS
from constitution_fakes import RULES, RuleLLM
from recipe_fakes import TINY, WHO, newborn
from test_cli import call
from toys import toy_policy

HERE = Path(__file__).resolve().parent
ASKED = [Prompt(ask(f"{who} and {other}"), f"{who}+{other}") for who in WHO for other in WHO[:3]]
QUICK = Constitutional(
    revise=Revise(rounds=2, longest=5, helpful=1),
    sft=TINY.sft,
    compare=Feedback(longest=5),
    reward=TINY.reward,
    ppo=TINY.ppo,
    held_out=0.3,
)


@pytest.fixture(scope="module")
def cradle(tmp_path_factory) -> Path:
    return newborn(tmp_path_factory.mktemp("newborn"))


@pytest.fixture
def rules(tmp_path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(RULES)
    return path


def test_killed_anywhere_the_same_command_ends_in_the_same_bytes_and_asks_nothing_twice():
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # many small files
    path = os.pathsep.join([*(p for p in sys.path if p), str(HERE.parent)])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    with tempfile.TemporaryDirectory(dir=memory) as root:
        done = subprocess.run(
            [sys.executable, str(HERE / "kills_constitutional.py"), root],
            env=env,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 12


@pytest.fixture
def words(cradle, rules, tmp_path, monkeypatch):
    """The words of a command, and the model that it asks."""
    llm = RuleLLM()
    monkeypatch.setattr(job, "listening", lambda place, said, model: llm)
    write(tmp_path / "ask.jsonl", ASKED)
    write(tmp_path / "help.jsonl", [Prompt(ask(f"{who}!"), who) for who in WHO])
    write(tmp_path / "judged.jsonl", [Comparison.pair(ask(who), " a", " b") for who in WHO])
    given = [
        f"model={cradle}",
        f"prompts={tmp_path / 'ask.jsonl'}",
        f"constitution={rules}",
        f"out={tmp_path / 'out'}",
        "limit=0.9",
    ]
    return given, llm


def run(words: list[str], cfg: Constitutional = QUICK, told=None):
    told = [] if told is None else told
    (said,) = read_each([job.ConstitutionJob], None, words)
    return job.run_constitution(Desk((), told.append), said, cfg)


def test_a_constitution_of_three_lines_works_at_the_first_try(words, tmp_path):
    given, llm = words
    told = []
    more = [f"helpful={tmp_path / 'help.jsonl'}", f"comparisons={tmp_path / 'judged.jsonl'}"]
    made = run(given + more, told=told)
    page = (tmp_path / "out" / "report" / "report.html").read_text()
    assert "What the constitution changed" in page
    assert "round/2/changed" in page
    assert "upper bound" in page, "the reward model judged its own pupil"
    assert made.reward.artifact.parents[1] == made.labels.artifact.id
    shown = (tmp_path / "out/revise/revisions/demonstrations.jsonl").read_text().splitlines()
    assert {json.loads(line)["round"] for line in shown} >= {1, 2}
    rounds = (tmp_path / "out/revise/revisions/rounds.html").read_text()
    assert "Round 2, principle" in rounds
    assert ": critique" in rounds
    line = artifact.lineage(made.policy.artifact, tmp_path / "out")
    kinds = str(line)
    assert all(kind in kinds for kind in ("labels", "revisions", "answers", "reward", "policy"))
    calls = llm.calls
    assert run(given + more).report == made.report
    assert llm.calls == calls


def test_another_model_learns_where_base_is_given(words, cradle, tmp_path):
    given, _ = words
    other = newborn(tmp_path / "pretrained", seed=3)
    made = run([*given, f"base={other}"])
    assert made.sl.artifact.parents[0] == Policy.open(other).fingerprint
    answers = artifact.open_artifact(tmp_path / "out/revise/answers")
    assert answers.parents[0] == Policy.open(cradle).fingerprint


def test_what_changes_nothing_is_said(words):
    given, _ = words
    told = []
    run(given, QUICK.model_copy(update={"revise": Revise(rounds=1, longest=5, helpful=3)}), told)
    assert any("revise.helpful changes nothing" in line for line in told)


def test_who_is_asked_is_kept_below_out(cradle, tmp_path):
    model, place = Policy.open(cradle), Place(tmp_path / "out")
    other = newborn(tmp_path / "other", seed=3)
    base = [f"model={cradle}", "prompts=p.jsonl"]
    for word, who in (("seed=0", model), (f"llm={other}", Policy.open(other))):
        (said,) = read_each([job.ConstitutionJob], None, [*base, word, "asked.budget.calls=3"])
        llm = job.listening(place, said, model)
        assert llm.which == Local(who).which
        assert llm.budget.calls == 3
        llm.say([Ask(ask("a"))], longest=2)
        again = job.listening(place, said, model)
        again.say([Ask(ask("a"))], longest=2)
        assert again.replayed == 1
    assert len((tmp_path / "out" / "calls" / "calls.jsonl").read_text().splitlines()) == 2


def test_a_dry_run_tells_what_it_would_come_to(words):
    given, llm = words
    told = run([*given, "asked.dry=true", "asked.budget.read_price=2"])
    learn, _ = split(ASKED, QUICK.held_out)
    calls = len(learn) * (2 * 2 + 2)
    assert told.startswith(f"at most {calls} calls, ")
    assert "which costs" in told
    assert not llm.calls


# --- no setting is idle ---

REVISE = Revise(rounds=2, longest=3)
REVISE_OTHER = {
    "rounds": 1,
    "skip_critique": True,
    "longest": 2,
    "how": Sampling(0.5),
    "unchanged": "drop",
    "helpful": 1,
}
FEEDBACK = Feedback(longest=3)
FEEDBACK_OTHER = {
    "principles": 2,
    "swap": False,
    "think": Thought(),
    "labels": "hard",
    "longest": 2,
    "how": Sampling(0.5),
}
THOUGHT_OTHER = {"n": 2, "low": 0.3, "high": 0.7, "longest": 9, "temperature": 0.5}


class Noting(RuleLLM):
    """Its answers hang on what it is asked and how: on seeds, lengths, temperatures."""

    def say(self, asks, /, *, longest, how=Sampling()):
        self.asked.append((longest, how))
        return super().say(asks, longest=longest, how=how)


TOYS = [Prompt(ask(a + b), a + b) for a in "abcd" for b in "abcd"]


def outcome(out: Path, cfg, c) -> tuple:
    llm, place = Noting(bias=0.4), Place(out, limit=0.97)
    if isinstance(cfg, Revise):
        made = revise_stage(place, cfg, c, llm, toy_policy(), TOYS, TOYS)
        file = out / "revisions" / "demonstrations.jsonl"
    else:
        made = compare_stage(place, cfg, c, llm, toy_policy(), TOYS)
        file = out / "labels" / "comparisons.jsonl"
    return file.read_bytes(), made.artifact.numbers, [str(one) for one in llm.asked]


@pytest.mark.parametrize(
    ("base", "name", "value"),
    [
        *((REVISE, name, value) for name, value in REVISE_OTHER.items()),
        *((FEEDBACK, name, value) for name, value in FEEDBACK_OTHER.items()),
    ],
)
def test_another_value_ends_elsewhere(base, name, value, rules, tmp_path):
    c = read_constitution(rules)
    other = base.model_copy(update={name: value})
    one = outcome(tmp_path / "a", base, c)
    assert one == outcome(tmp_path / "again", base, c)
    assert one != outcome(tmp_path / "b", other, c)


@pytest.mark.parametrize("name", THOUGHT_OTHER)
def test_another_thought_ends_elsewhere(name, rules, tmp_path):
    c, plain = read_constitution(rules), Feedback(longest=3, think=Thought())
    other = Feedback(longest=3, think=Thought(**{name: THOUGHT_OTHER[name]}))
    assert outcome(tmp_path / "a", plain, c) != outcome(tmp_path / "b", other, c)


def test_every_field_is_looked_at():
    assert set(REVISE_OTHER) == set(Revise.model_fields)
    assert set(FEEDBACK_OTHER) | {"helpful"} == set(Feedback.model_fields), "helpful: see mixed"
    assert set(THOUGHT_OTHER) == set(Thought.__dataclass_fields__)


@pytest.mark.parametrize("more", [{"n": 0}, {"low": 0.6}, {"high": 0.4}, {"temperature": -1.0}])
def test_a_thought_that_makes_no_sense_is_refused(more):
    with pytest.raises(ValueError, match=r"low|more"):
        Thought(**more)


# --- the check ---


def test_the_check_shows_every_prompt(rules, tmp_path):
    page = tmp_path / "pages" / "check.html"
    code, said, _ = call("constitution", "check", str(rules), f"html={page}")
    assert code == 0
    assert said.count("--- ") == 12, "critique, revision, comparison, with thoughts: of each rule"
    assert "CritiqueRequest: Say where the last answer of the Assistant does not keep" in said
    assert "warning: no example of a revision" in said
    assert "of compare says nearly" not in said
    told = page.read_text()
    assert told.count('class="said"') == 12
    assert "What looks wrong" in told
    assert "<script" not in told
    code, said, _ = call("constitution", "check", "stories")
    assert code == 0
    assert "nothing looks wrong" in said
    code, _, said = call("constitution", "check", str(tmp_path / "none.yaml"))
    assert code == 2
    assert "no such file" in said


def test_the_check_says_what_looks_wrong(tmp_path, cradle):
    path = tmp_path / "odd.yaml"
    path.write_text(
        "- Be kind to every child.\n- Be kind to every child!\n- RevisionRequest: {rule}\n".replace(
            "- RevisionRequest: {rule}", "- 'RevisionRequest: mine'"
        )
    )
    code, said, _ = call("constitution", "check", str(path), f"model={cradle}")
    assert code == 0
    assert "odd.yaml:2: principle '2' of compare says nearly what '1' says" in said
    assert "odd.yaml:3: principle '3' holds 'RevisionRequest:'" in said
    assert "more than the 64 that this model reads" in said
    assert "tokens)" in said


def test_a_check_can_be_written_down_as_settings(rules):
    code, said, _ = call("constitution", "check", str(rules), "--show", "longest=9")
    assert code == 0
    assert "longest: 9" in said
    code, _, said = call("constitution", "check", str(rules), "lnogest=9")
    assert code == 2
    assert "did you mean 'longest'" in said


# --- presets ---

SMALL = [
    "sft.batch=2", "reward.batch=2", "ppo.steps=1", "ppo.batch=4", "ppo.minibatches=1",
    "ppo.longest=5", "revise.longest=5", "compare.longest=5", "held_out=0.3",
    "sft.held_out=0.2", "reward.held_out=0.3",
]  # fmt: skip


@pytest.mark.parametrize("name", [one.name for one in presets("constitution")])
def test_presets_run(name, words):
    given, _ = words
    path = find("constitution", Path(name))
    said, cfg = read_each(VERBS["constitution"].classes(), path, [*given, *SMALL])
    made = job.run_constitution(Desk((), lambda line: None), said, cfg)
    assert made.report.numbers["winrate"] >= 0


def test_presets_say_what_the_paper_says():
    (cfg,) = read_each([Constitutional], find("constitution", Path("bai")), [])
    assert cfg.revise.rounds == 4
    assert cfg.sft.epochs == 1
    assert cfg.compare.swap
    assert cfg.compare.think is None
    (cfg,) = read_each([Constitutional], find("constitution", Path("bai-cot")), [])
    assert (cfg.compare.think.low, cfg.compare.think.high) == (0.4, 0.6)


def test_an_endless_typo_is_caught_before_any_model_is_opened(words):
    given, _ = words
    with pytest.raises(BadSettings, match="no constitution is called 'storys'"):
        run([one for one in given if "mine.yaml" not in one] + ["constitution=storys"])
