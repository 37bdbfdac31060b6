"""What is larger than memory: the same records, and bounded memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from accord.data import spool
from accord.data.comparisons import spell_demonstrations, spell_pairs, split
from accord.data.sources import read, read_texts
from accord.data.spool import Picked, Spool, gather
from accord.data.stream import Stream
from accord.data.texts import spell_texts
from accord.errors import BadData
from accord.records import Comparison, Demonstration, Message, Prompt, Rating, Text, ask
from accord.records.conversation import Image
from toys import ToySpeller

PICTURE = (Message.of("system", "s"), Message("user", (Image("a.png"), Text("[1]"))))
FILES = {
    "prompts": [Prompt(ask("[{}]"), "1"), Prompt(PICTURE, "2")],
    "demonstrations": [Demonstration(ask("a é\u2028"), "b", author="ada", id="1")],
    "comparisons": [
        Comparison(ask("a"), ("x", "y"), (1, 0), "ada", 0.1, 0.25, "why", "1"),
        Comparison(PICTURE, ("x", "y", "z"), (0, 2, 0), id="2"),
    ],
    "ratings": [Rating(ask("a"), "b", False, "ada", "rude", "1")],
}


@pytest.mark.parametrize("kind", FILES)
def test_records_on_disk_are_the_records(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accord.data.sources import write

    path, records = tmp_path / "a.jsonl", FILES[kind]
    write(path, records)
    assert read(path, kind).records == records  # type: ignore[arg-type]
    monkeypatch.setattr(spool, "HELD", 0)
    found = read(path).records
    assert isinstance(found, Spool)
    assert [*found] == [found[i] for i in range(len(found))] == records


def test_a_spool_is_a_sequence() -> None:
    words = ["a", "", "bé\n", "ccc"]
    made = Spool(words, str, str)
    assert len(made) == 4
    assert [*made] == words
    assert (made[-1], made[2]) == ("ccc", "bé\n")
    assert [*made[1:][::2]] == ["", "ccc"]
    assert "ccc" in made
    assert [*Picked(made, [3, 0])] == ["ccc", "a"]
    for place in (4, -5):
        with pytest.raises(IndexError):
            made[place]


def test_only_what_is_large_goes_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "HELD", 5)
    assert isinstance(gather(["ab", "cd"], len, str, str), list)
    made = gather(iter(["ab", "cd", "ef", "gh"]), len, str, str)
    assert isinstance(made, Spool)
    assert [*made] == ["ab", "cd", "ef", "gh"]


def test_training_sees_the_same_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [
        Comparison.pair(ask("ab"[i % 2] * (i % 7 + 1)), "c", "d", id=f"{i}") for i in range(40)
    ]
    shown = [Demonstration(ask("abc"[: i % 3 + 1]), "d", id=f"{i}") for i in range(20)]

    def seen() -> list[object]:
        rows, tally = spell_pairs(pairs, ToySpeller(), 8)
        train, held_out = split(rows, 0.3)
        demos, _ = spell_demonstrations(shown, ToySpeller())
        steps = [Stream(train, 4, 1).at(step) for step in range(9)]
        return [[*rows], [*train], [*held_out], [*demos], steps, tally.lines()]

    memory = seen()
    monkeypatch.setattr(spool, "HELD", 1000)
    assert isinstance(spell_pairs(pairs, ToySpeller())[0], Spool)
    assert seen() == memory


MEASURE = """
import json, resource, sys
from accord.data import spool
from accord.data.sources import read, read_texts

spool.HELD = 2 * 2**20
def peak():  # kB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

small, large, spelled = sys.argv[1:]
class Quick:
    def many(self, rows):
        return [((1, 2, 3) * 40, ((2,) * 40,) * len(answers)) for _, answers in rows]
def all_of(path):
    found = read(path)
    if spelled == "no":
        found.records[len(found.records) // 2]
        return len(found.records)
    from accord.data.comparisons import spell_pairs, split
    rows, tally = spell_pairs(found.records, Quick())
    train, held_out = split(rows, 0.1)
    assert len(train) + len(held_out) == tally.kept == len(found.records)
    train[len(train) // 2]
    return len(found.records)
all_of(small)
before = peak()
count = all_of(large)
print(json.dumps([count, peak() - before]))
"""


@pytest.mark.parametrize(("ending", "spelled"), [("jsonl", "yes"), ("json", "no"), ("csv", "no")])
def test_a_long_file_takes_little_memory(ending: str, spelled: str, tmp_path: Path) -> None:
    """Fifty megabytes, read with 2 MB held at most: what stays is a few bytes a row."""
    answers = ("chosen", "rejected")

    def make(name: str, count: int) -> Path:
        path = tmp_path / f"{name}.{ending}"
        with path.open("w") as file:
            lead = "[" if ending == "json" else ""
            if ending == "csv":
                file.write(",".join(("prompt", *answers)) + "\n")
            for i in range(count):
                cells = {"prompt": f"{i} " + "why " * 600} | {
                    k: f"{k} {i} " + "so " * 300 for k in answers
                }
                if ending == "csv":
                    file.write(",".join(cells.values()) + "\n")
                else:
                    file.write(lead + json.dumps(cells))
                    lead = ",\n" if ending == "json" else "\n"
            file.write("]" if ending == "json" else "\n")
        return path

    small, large = make("small", 1200), make("large", 12_000)
    assert large.stat().st_size > 39e6
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(small), str(large), spelled],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    count, grown = json.loads(done.stdout)
    assert count == 12_000
    assert grown < 8_000, f"{grown} kB more than a tenth of the file took"


def test_a_full_disk_is_one_sentence_and_no_second_error() -> None:
    code = """
import tempfile
from accord.data import spool
tempfile.tempdir = "/tmp"
real = tempfile.TemporaryFile
tempfile.TemporaryFile = lambda **_: open("/dev/full", "w+b", buffering=4096)
from accord.errors import CannotWrite
try:
    spool.Spool(["a" * 100_000, "b"], str, str)
except CannotWrite as error:
    print(error)
"""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no disk that is always full")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "/tmp: data larger than memory cannot be put aside (No space left" in done.stdout
    assert "TMPDIR" in done.stdout
    assert not done.stderr


class Texts(ToySpeller):
    """Spells texts that answer nobody, too."""

    def text_ids(self, text: str) -> tuple[int, ...]:
        """A letter, an id."""
        if not text:
            raise BadData("the text is empty")
        return (0, *(1 + ord(letter) % 7 for letter in text))


def test_texts_go_to_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": "[1] é", "id": "x"}, {"prompt": "a", "response": "b"}, {"text": "c"}]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = read_texts(path)
    held = spell_texts(before.records, Texts(), 8)[0]
    monkeypatch.setattr(spool, "HELD", 0)
    after = read_texts(path)
    assert isinstance(after.records, Spool)
    assert [*after.records] == [*before.records]
    rows_on_disk = spell_texts(after.records, Texts(), 8)[0]
    assert isinstance(rows_on_disk, Spool)
    assert [*rows_on_disk] == [*held]


def test_a_text_that_cannot_be_spelled_is_counted() -> None:
    texts = [Demonstration((), "a"), Demonstration((), "", id="x"), Demonstration((), "b")]
    rows, tally = spell_texts(texts, Texts(), 8)
    assert len(rows) == tally.kept == 2
    assert tally.examples["cannot be spelled"] == ["x: the text is empty"]
