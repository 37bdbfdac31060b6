"""Nothing is asked twice, nothing answered is lost, and nothing is asked beyond the budget."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from accord.engine.calls import Budget, Calls, Dry, tokens
from accord.engine.client import Client, Endpoint
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.engine.served import Served
from accord.errors import BadData, BudgetSpent, NoAnswer, RunMismatch
from accord.records import Invalid, ask
from llm_fakes import FakeLLM, served

FEW = [Ask(ask(f"q{i}")) for i in range(5)]
PAIR = [(" (A)", " (B)")]


def test_the_same_is_not_asked_again_by_this_process_or_another(tmp_path: Path) -> None:
    file, fake = tmp_path / "a" / "calls.jsonl", FakeLLM()
    calls = Calls(fake, file)
    first = calls.say([*FEW, FEW[0]], longest=5)
    assert first[0] == first[5] == Spoken("heard q0", True, 10, 2)
    assert len(fake.asked) == 5
    weighed = calls.weigh(FEW[:1], PAIR)
    again = Calls(other := FakeLLM(), file)
    assert again.say(FEW, longest=5) == first[:5]
    assert again.weigh(FEW[:1], PAIR) == weighed == [(0.0, -1.0)]
    assert other.asked == []
    assert again.replayed == 6


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        (Ask(ask("q0"), seed=1), {}),
        (Ask(ask("q0"), opened="So"), {}),
        (Ask(ask("q0")), {"longest": 6}),
        (Ask(ask("q0")), {"how": Sampling(temperature=0.5)}),
    ],
)
def test_whatever_decides_an_answer_is_part_of_what_it_is_known_by(
    tmp_path: Path, changed: Ask, more: dict[str, object]
) -> None:
    fake = FakeLLM()
    Calls(fake, tmp_path / "c.jsonl").say(FEW[:1], longest=5)
    Calls(fake, tmp_path / "c.jsonl").say([changed], **{"longest": 5, **more})  # type: ignore[arg-type]
    assert len(fake.asked) == 2
    stranger = FakeLLM(which="another")
    Calls(stranger, tmp_path / "c.jsonl").say(FEW[:1], longest=5)
    Calls(stranger, tmp_path / "c.jsonl").weigh(FEW[:1], PAIR)
    Calls(stranger, tmp_path / "c.jsonl").weigh(FEW[:1], [(" (A)", " (C)")])
    assert len(stranger.asked) == 3


def test_what_could_not_be_answered_is_asked_again_by_the_next(tmp_path: Path) -> None:
    fake = FakeLLM(speak=lambda one: "!it was silent" if one == FEW[2] else "yes")
    heard = Calls(fake, tmp_path / "c.jsonl").say(FEW, longest=5)
    assert heard[2] == Invalid("it was silent")
    lines = (tmp_path / "c.jsonl").read_text()
    assert "it was silent" in lines, "for people to read"
    mended = FakeLLM()
    heard = Calls(mended, tmp_path / "c.jsonl").say(FEW, longest=5)
    assert mended.asked == [FEW[2]]
    assert all(isinstance(one, Spoken) for one in heard)


def test_a_line_that_a_crash_cut_is_mended_and_another_is_not(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    Calls(FakeLLM(), file).say(FEW, longest=5)
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    again = Calls(fake := FakeLLM(), file)
    again.say(FEW, longest=5)
    assert len(fake.asked) == 1
    assert file.read_bytes() == whole
    lines = whole.splitlines(keepends=True)
    file.write_bytes(lines[0] + b"{oops\n" + b"".join(lines[1:]))
    with pytest.raises(BadData, match=r"c\.jsonl:2: no JSON, with lines behind it"):
        Calls(FakeLLM(), file)
    file.write_text('{"step": 3}\n')
    with pytest.raises(RunMismatch, match="no call"):
        Calls(FakeLLM(), file)
    file.write_bytes(whole + b"null\n")
    with pytest.raises(RunMismatch, match=r"c\.jsonl:6: a line that is no call"):
        Calls(FakeLLM(), file)


def test_an_option_without_a_probability_is_invalid_and_asked_again(tmp_path: Path) -> None:
    odd = FakeLLM(weigh=lambda one, few: [0.0, -math.inf if one == FEW[1] else -1.0])
    heard = Calls(odd, tmp_path / "c.jsonl").weigh(FEW, PAIR * 5)
    assert [isinstance(one, Invalid) for one in heard] == [False, True, False, False, False]
    Calls(fake := FakeLLM(), tmp_path / "c.jsonl").weigh(FEW, PAIR * 5)
    assert fake.asked == [FEW[1]]


# --- the budget ---


@pytest.mark.parametrize("budget", [Budget(calls=3), Budget(tokens=30)])
def test_nothing_is_asked_beyond_the_budget(tmp_path: Path, budget: Budget) -> None:
    fake = FakeLLM()
    with pytest.raises(BudgetSpent, match=r"2 of 5 still to be asked: 3 calls, 30 tokens read"):
        Calls(fake, tmp_path / "c.jsonl", budget).say(FEW, longest=5)
    assert len(fake.asked) == 3
    with pytest.raises(BudgetSpent):  # what was spent before counts
        Calls(fake, tmp_path / "c.jsonl", budget).say(FEW, longest=5)
    assert len(fake.asked) == 3
    assert len(Calls(fake, tmp_path / "c.jsonl", Budget(calls=5)).say(FEW, longest=5)) == 5
    assert len(fake.asked) == 5
    Calls(fake, tmp_path / "c.jsonl", Budget(calls=1)).say(FEW, longest=5)  # all is known


def test_a_server_is_not_asked_for_more_than_is_under_way(tmp_path: Path) -> None:
    with served() as server:
        server.latency = 0.01
        llm = Served(Client(server.url, Endpoint(at_once=4)))
        many = [Ask(ask(f"q{i}")) for i in range(50)]
        with pytest.raises(BudgetSpent):
            Calls(llm, tmp_path / "c.jsonl", Budget(tokens=150)).say(many, longest=5)
        assert 10 <= len(server.asked) <= 10 + 4
    kept = (tmp_path / "c.jsonl").read_text().splitlines()
    assert len(kept) == len(server.asked), "what is under way is paid for, and kept"


def test_a_dry_run_asks_nobody_and_counts() -> None:
    dry = Dry("somebody")
    calls = Calls(dry, None, budget := Budget(read_price=2.0, written_price=10.0))
    heard = calls.say(FEW, longest=100)
    assert {type(one) for one in heard} == {Spoken}
    calls.weigh(FEW, PAIR * 5)
    assert (calls.spent.calls, calls.spent.read, calls.spent.written) == (10, 10, 500)
    assert tokens(FEW[0]) == 1
    assert "which costs 0.00502" in calls.spent.told(budget)


# --- mishaps in the middle ---


def test_a_server_that_dies_in_the_middle_costs_nothing_already_answered(tmp_path: Path) -> None:
    many = [Ask(ask(f"q{i}")) for i in range(300)]
    how = Endpoint(at_once=8, tries=2, pause=0.001)
    with served(lambda n, body: 500 if n > 120 else None) as server:
        with pytest.raises(NoAnswer):
            Calls(Served(Client(server.url, how)), tmp_path / "c.jsonl").say(many, longest=5)
        good = server.answered
        kept = [json.loads(x) for x in (tmp_path / "c.jsonl").read_text().splitlines()]
        assert sum("text" in row for row in kept) >= good - 8  # but those in mid-air
        server.fault = lambda n, body: None
        heard = Calls(Served(Client(server.url, how)), tmp_path / "c.jsonl").say(many, longest=5)
        assert [one.text for one in heard if isinstance(one, Spoken)] == [
            f"heard q{i}" for i in range(300)
        ]
        assert server.answered <= 300 + 8


KILLED = """
import sys
from pathlib import Path
from accord.engine.calls import Calls
from accord.engine.client import Client, Endpoint
from accord.engine.llm import Ask
from accord.engine.served import Served
from accord.records import ask
llm = Served(Client(sys.argv[1], Endpoint(at_once=8)))
Calls(llm, Path(sys.argv[2])).say([Ask(ask(f"q{i}")) for i in range(400)], longest=5)
"""


def test_killed_in_the_middle_nothing_answered_is_asked_again(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    with served() as server:
        server.latency = 0.002
        command = [sys.executable, "-c", KILLED, server.url, str(file)]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": "src"})
        while len(server.asked) < 150 and process.poll() is None:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = server.answered
        assert before < 400
        subprocess.run(command, env={**os.environ, "PYTHONPATH": "src"}, check=True)
        assert server.answered <= 400 + 16, "but those in mid-air"
    keys = [json.loads(line)["key"] for line in file.read_text().splitlines()]
    assert len(keys) == len(set(keys)) == 400


def test_another_picture_of_the_same_name_is_another_question(tmp_path) -> None:
    import seeing
    from accord.engine.calls import _pictures
    from accord.engine.llm import Ask

    path = seeing.picture(tmp_path / "a.png")
    ask = Ask(seeing.about(path))
    before = _pictures(ask)
    assert len(before) == 1
    seeing.picture(tmp_path / "a.png", "blue")
    assert _pictures(ask) != before
