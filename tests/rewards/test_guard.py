"""Rules that misbehave in every way, behind the wall."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from accord.errors import BadData, BadSettings
from accord.records import Invalid, Prompt, ask
from accord.rewards.base import valid, which
from accord.rewards.guard import Guard, Guarded
from accord.rewards.reader import Reader
from accord.rewards.rules import Rule
from reward_fakes import answer
from toys import ToySpeller

RULES = """
import asyncio, os, sys, time, ctypes, json

def length(prompt, text, ended):
    print("noise", flush=True)          # must not be taken for an answer
    return len(text) + 10 * ended

def moody(prompt, text, ended):
    if text == "a": time.sleep(60)
    if text == "b": ctypes.string_at(0)
    if text == "c": os._exit(3)
    if text == "d": sys.exit("no")
    if text == "aa": return None
    if text == "bb": return float("nan")
    if text == "cc": raise KeyError("gone")
    if text == "dd": return sys.stdin.read()
    if text == "ab": raise KeyboardInterrupt
    return 7

def forks(prompt, text, ended):
    if os.fork() == 0 and text == "d":
        time.sleep(60)                  # outlives its parent, with the pipe in its hand
    if text == "c":
        os._exit(0)
    return len(text)

async def later(prompt, text, ended):
    await asyncio.sleep(0)
    return len(text)

def trl(prompts, completions, **more):
    assert not more
    return [len(prompts[0]) + len(completions[0])]

def chatty(completions, prompts, scale=2.0):
    return [scale * (len(completions[0][0]["content"]) + len(prompts[0]))]

def many(prompts, completions):
    return [1.0, 2.0]

def verified(prompts, completions, answer):
    return [0.0]

def slow(prompt, text, ended):
    time.sleep(0.3)
    return os.getpid()
"""


@pytest.fixture
def rules(tmp_path: Path) -> str:
    (tmp_path / "rules.py").write_text(RULES)
    return str(tmp_path / "rules.py")


def spelled(*texts: str):
    return [answer(t, (*map("^$abcd".index, t), 1)) for t in texts]


def guarded(rules: str, name: str, **how) -> Guarded:
    return Guarded(f"{rules}:{name}", Reader(ToySpeller()), Guard(**how))


def test_it_is_the_same_rule_behind_the_wall(rules: str) -> None:
    here = Rule.at(f"{rules}:length", ToySpeller())
    there = guarded(rules, "length")
    given = [*spelled("", "ab", "abcd"), answer("cut", (2, 2, 2))]
    assert there(given) == here(given) == [10.0, 12.0, 14.0, 3.0]
    assert which(there) == which(here)


def test_every_misfortune_is_that_one_answers_alone(rules: str) -> None:
    texts = ["abc", "a", "abc", "b", "c", "d", "aa", "bb", "cc", "dd", "ab", "abc"]
    found = guarded(rules, "moody", seconds=1.0)(spelled(*texts))
    told = {t: s.reason for t, s in zip(texts, found) if isinstance(s, Invalid)}
    assert [s for s in found if not isinstance(s, Invalid)] == [7.0] * 3
    assert told == {
        "a": "no answer within 1 s; its process was killed",
        "b": "its process died (SIGSEGV)",
        "c": "its process died (exit code 3)",
        "d": "SystemExit: no",
        "aa": "TypeError: it returned None, not a number",
        "bb": "the score is nan",
        "cc": "KeyError: 'gone'",
        "dd": "ValueError: could not convert string to float: ''",
        "ab": "KeyboardInterrupt: ",
    }


def test_a_run_stops_where_too_much_is_invalid(rules: str) -> None:
    given = spelled("abc", "cc", "dd", "abc")
    with pytest.raises(BadData, match=r"2 of 4 scores are invalid"):
        valid(given, guarded(rules, "moody")(given))


def test_a_rule_that_forks_answers_once_and_leaves_nobody(rules: str) -> None:
    reward = guarded(rules, "forks", seconds=5.0)
    assert reward(spelled("a", "ab", "abc")) == [1.0, 2.0, 3.0]
    dead, after = reward(spelled("c", "ab"))
    assert dead == Invalid("its process died (exit code 0)")
    assert after == 2.0
    assert reward(spelled("d", "ab")) == [1.0, 2.0]


def test_async_functions_and_those_made_for_trl(rules: str) -> None:
    given = spelled("ab", "abc")
    assert guarded(rules, "later")(given) == [2.0, 3.0]
    assert guarded(rules, "trl")(given) == [2.0, 3.0]
    (bad, _) = guarded(rules, "many")(given)
    assert isinstance(bad, Invalid)
    assert "not a list of one score" in bad.reason


def test_a_template_makes_messages_of_what_a_trl_function_gets(rules: str) -> None:
    class Marked(ToySpeller):
        """Writes a d before every prompt, as a template would."""

        def prompt_ids(self, conversation):
            return (0, 5, *map("^$abcd".index, conversation[0].text))

    reader = Reader(Marked(), [Prompt(ask("ab"))])
    reward = Guarded(f"{rules}:chatty", reader)
    assert reward([answer("r", (2, 3, 4, 1), prompt_ids=(0, 5, 2, 3))]) == [2.0 * (3 + 1)]


def test_what_cannot_be_a_rule_is_said_at_once(rules: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def f(:")
    with pytest.raises(BadSettings, match=r"has no function 'nothing'; it has .*length"):
        guarded(rules, "nothing")
    with pytest.raises(BadSettings, match="asks for 'answer', which prompts do not carry"):
        guarded(rules, "verified")
    with pytest.raises(BadSettings, match=r"broken\.py does not run"):
        guarded(str(tmp_path / "broken.py"), "f")
    (tmp_path / "dies.py").write_text("import os; os._exit(9)")
    with pytest.raises(BadSettings, match="loading it failed: its process died"):
        guarded(str(tmp_path / "dies.py"), "f")
    with pytest.raises(BadSettings, match="there is no file"):
        guarded(str(tmp_path / "absent.py"), "f")


def test_several_processes_keep_the_order(rules: str) -> None:
    crew = guarded(rules, "length", processes=3)
    given = spelled(*("abcd"[:n] for n in (1, 4, 2, 3, 1, 2)))
    assert crew(given) == [11.0, 14.0, 12.0, 13.0, 11.0, 12.0]
    pids = guarded(rules, "slow", processes=2)(spelled("a", "b", "c", "d"))
    assert len(set(pids)) == 2


def test_its_processes_end_with_it(rules: str) -> None:
    reward = guarded(rules, "slow")
    (pid,) = reward(spelled("a"))
    del reward
    for _ in range(50):
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the worker still lives")


GREEDY = """
import os, subprocess, sys, time

kept = []

def eats(prompt, text, ended):
    if text == "a":
        kept.append(bytearray(400_000_000))
    if text == "b":
        kept.append([0] * 100_000_000)
    return 1.0 + len(kept)

def tensors(prompt, text, ended):
    import torch
    if text == "a":
        torch.zeros(100_000_000)
    return float(torch.ones(2).sum())

def child(prompt, text, ended):
    code = "x = bytearray(400_000_000)" if text == "a" else "pass"
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode

def opens(prompt, text, ended):
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
    while text == "a":
        kept.append(open(__file__))
    return float(len(kept))

def floods(prompt, text, ended):
    for _ in range(300):
        print("x" * 99_999)
    sys.stderr.write("and more")
    return 5.0

def wails(prompt, text, ended):
    raise ValueError("woe " * 1_000_000)

def closes(prompt, text, ended):
    if text == "a": sys.stdout.close()
    if text == "b": os.close(1)
    if text == "c": os.closerange(0, 100)
    print("hello")
    if text == "d": sys.stdout.close()
    return 1.0

def bursts(prompt, text, ended):
    if text == "a":
        for _ in range(50):
            if os.fork() == 0:
                time.sleep(60)
    return 2.0

def forges(prompt, text, ended):
    if text == "a":
        for fd in range(3, 20):
            try: os.write(fd, b'{"score": 99} what' + bytes([10]))
            except OSError: pass
    return 4.0

def complains(prompt, text, ended):
    os.write(2, b"why it dies")
    os.abort()
"""
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux limits memory")


@pytest.fixture
def greedy(tmp_path: Path) -> str:
    (tmp_path / "greedy.py").write_text(GREEDY)
    return str(tmp_path / "greedy.py")


@linux
def test_who_eats_memory_is_told_the_limit_and_begins_anew(greedy: str) -> None:
    found = guarded(greedy, "eats", memory=0.3)(spelled("c", "a", "c", "b", "c"))
    limited = Invalid("MemoryError: ; it may use 0.3 GB (guard.memory)")
    assert found == [1.0, limited, 1.0, limited, 1.0]
    assert guarded(greedy, "eats", memory=None)(spelled("a", "c")) == [2.0, 2.0]


@linux
def test_torch_has_room_and_its_words_for_no_memory_are_known(greedy: str) -> None:
    good, bad, after = guarded(greedy, "tensors", memory=0.5, seconds=60)(spelled("c", "a", "c"))
    assert good == after == 2.0
    assert isinstance(bad, Invalid)
    assert bad.reason.endswith("it may use 0.5 GB (guard.memory)")


@linux
def test_what_a_rule_starts_has_the_same_limit(greedy: str) -> None:
    found = guarded(greedy, "child", memory=0.3, seconds=30)(spelled("c", "a"))
    assert found == [0.0, 1.0]


@linux
def test_a_file_that_needs_more_to_load_is_no_rule(tmp_path: Path) -> None:
    (tmp_path / "big.py").write_text("x = bytearray(400_000_000)\ndef f(p, a, e): return 1")
    with pytest.raises(BadSettings, match=r"MemoryError.*0\.3 GB \(guard\.memory\)"):
        guarded(str(tmp_path / "big.py"), "f", memory=0.3)


def test_open_files_run_out_for_one_answer_alone(greedy: str) -> None:
    good, bad, after = guarded(greedy, "opens")(spelled("c", "a", "c"))
    assert good == after == 0.0
    assert isinstance(bad, Invalid)
    assert "Too many open files" in bad.reason


def test_of_a_flood_the_beginning_is_shown(greedy: str, capfd) -> None:
    reward = guarded(greedy, "floods")
    assert reward(spelled("a", "b")) == [5.0, 5.0]
    time.sleep(0.3)
    said = capfd.readouterr().err
    assert said.startswith("xxxx")
    assert said.count("prints more than 65536 bytes: the rest is not shown") == 1
    assert len(said) < 70_000


def test_a_long_complaint_is_cut_and_last_words_are_heard(greedy: str, capfd) -> None:
    (bad,) = guarded(greedy, "wails")(spelled("a"))
    assert isinstance(bad, Invalid)
    assert len(bad.reason) == 500
    (dead,) = guarded(greedy, "complains")(spelled("a"))
    assert dead == Invalid("its process died (SIGABRT)")
    time.sleep(0.3)
    assert "why it dies" in capfd.readouterr().err


def test_a_rule_that_closes_its_output_harms_one_answer_at_most(greedy: str) -> None:
    found = guarded(greedy, "closes")(spelled("aa", "a", "aa", "b", "aa", "c", "aa", "d", "aa"))
    assert [*found[::2], found[7]] == [1.0] * 6
    told = [one.reason for one in found if isinstance(one, Invalid)]
    assert len(told) == 3
    assert "closed file" in told[0]
    assert "Bad file descriptor" in told[1]
    assert "its process died" in told[2]


@linux
def test_many_children_end_with_the_rule(greedy: str) -> None:
    reward = guarded(greedy, "bursts")
    group = reward._crew[0]._running.pid
    assert reward(spelled("a", "b")) == [2.0, 2.0]
    reward._crew[0]._end()
    for _ in range(50):
        if not alive(group):
            return
        time.sleep(0.1)
    pytest.fail("its children still live")


def alive(group: int) -> list[str]:
    """Processes of this group that run or sleep; the dead may wait for whoever buries them."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its = stat.read_text().rpartition(")")[2].split()[:3]
            found += [stat.parent.name] if int(its) == group and state != "Z" else []
    return found


def test_what_is_written_among_the_answers_is_none(greedy: str) -> None:
    good, bad, after = guarded(greedy, "forges")(spelled("b", "a", "b"))
    assert good == after == 4.0
    assert isinstance(bad, Invalid)
    assert "gave no answer but" in bad.reason


def test_a_file_that_leaves_is_no_rule(tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text("raise SystemExit('I leave')")
    with pytest.raises(BadSettings, match=r"does not run \(SystemExit\('I leave'\)\)"):
        guarded(str(tmp_path / "leaves.py"), "f")
