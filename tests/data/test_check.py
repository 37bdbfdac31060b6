"""Each finding fires on a planted defect and is silent on a clean file; statistics have oracles."""

import csv
import json
import random
from itertools import combinations

import pytest
from typer.testing import CliRunner

from accord import cli
from accord.data.check.alike import Alike, leaks
from accord.data.check.check import check
from accord.data.check.labels import labels
from accord.data.check.lengths import measure
from accord.data.check.reading import read
from accord.data.check.sheet import Line, Sheet
from accord.data.check.texts import plain, tokens
from accord.errors import BadData, CannotWrite
from accord.evaluate.checking import Check, run
from accord.evaluate.checkpage import lines as terminal
from accord.evaluate.checkpage import render

WORDS = [
    "red",
    "blue",
    "green",
    "old",
    "new",
    "small",
    "large",
    "quick",
    "slow",
    "warm",
    "cold",
    "dry",
    "wet",
    "bright",
    "dark",
]


def clean(n=40):
    rng = random.Random(7)
    for i in range(n):
        said = [" ".join(rng.sample(WORDS, 6)) + "." for _ in range(3)]
        yield {
            "prompt": f"{said[0]} What is it, number {i}?",
            "responses": said[1:],
            "ranks": [i % 2, 1 - i % 2],
        }


def sheet(tmp_path, rows, name="d.jsonl", **more):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    got = read(path)
    return Sheet([Line.of(r) for r in got.records], got.kind, got.tally, got.sorted, **more)


def found(one, test=None):
    return {finding.key: finding for finding in check("d", one, test).findings}


def pair(prompt, a, b, first=True, **more):
    return {"prompt": prompt, "responses": [a, b], "ranks": [0, 1] if first else [1, 0], **more}


def demo(prompt, answer):
    return {"prompt": prompt, "response": answer}


def test_a_clean_file_has_nothing(tmp_path):
    assert found(sheet(tmp_path, clean())) == {}


TWIN = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
PLANTED = {
    "no-picture": [{**demo("a b", "c d"), "image": path} for path in ("no.png", "a/" * 3000)],
    "dropped": [demo("a b", "")],
    "repeated-rows": [demo("a b", "c d")] * 2,
    "prompt-variants": [demo("a b", "c d"), demo("A  b", "e f")],
    "near-prompts": [demo(TWIN, "c d"), demo(TWIN + " fifteen", "e f")],
    "same-answers": [pair("a b", "c d", "C  d")],
    "leading-space": [demo("a", " b c"), *(demo(f"q {i}", f"r {i}") for i in range(9))],
    "ending-space": [demo("a b", "c d ")],
    "control-text": [demo("a b", "c <|im_end|> d")],
    "mojibake": [demo("a b", "caf\ufffd d")],
    "invisible": [demo("a b", "c\u200bd e")],
    "html": [demo("a b", "c<br>d &amp; e")],
    "wordless": [demo("a b", "...")],
    "repeated-answers": [demo(f"q {i}", "I do not know") for i in range(5)],
    "same-beginning": [demo(f"q {i}", f"Well here is number {i}") for i in range(9)],
    "refusals": [demo("a b", "I'm sorry, I can't do that.")],
    "position-bias": [pair(f"q {i}", f"a {i}", f"b {i}") for i in range(30)],
    "length-bias": [pair(f"q {i}", f"a b {i}", f"b {i}") for i in range(30)],
    "shortness-bias": [pair(f"q {i}", f"a {i}", f"b b {i}") for i in range(30)],
    "mostly-ties": [{"prompt": "q", "responses": ["a b", "c d"], "ranks": [0, 0]}],
    "contradictions": [pair("q", "a", "b"), pair("q", "b", "a", judge="x")],
    "cycles": [pair("q", "a", "b"), pair("q", "b", "c"), pair("q", "c", "a")],
    "low-agreement": [
        pair(f"q {i}", "a", f"b {i}", first=i % 2 == judge, judge=str(judge))
        for i in range(12)
        for judge in (0, 1)
    ],
    "odd-judges": [
        pair(f"q {i}", "a", f"b {i}", first=(i % 2 == 0) != (judge == 4), judge=str(judge))
        for i in range(20)
        for judge in range(5)
    ],
}


@pytest.mark.parametrize("key", PLANTED)
def test_a_planted_defect_is_found_and_placed(key, tmp_path):
    one = found(sheet(tmp_path, PLANTED[key]))[key]
    assert 1 <= one.count <= max(one.of, 1)
    assert one.todo
    assert one.title
    assert all("d" in e.id or key == "odd-judges" for e in one.examples)


def test_near_twins_are_those_of_all_pairs():
    rng = random.Random(5)
    texts = [" ".join(rng.choices(WORDS[:4], k=rng.randint(1, 12))) for _ in range(120)]
    texts += [text + " tail" for text in texts[:30]]

    def shingles(text):
        words = tokens(plain(text))
        return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}

    index = Alike(texts, 0.6)
    for j in range(len(texts)):
        sets = [shingles(text) for text in texts[: j + 1]]
        far = {i for i in range(j) if len(sets[i] & sets[j]) >= 0.6 * len(sets[i] | sets[j])}
        hit = index.find(j)
        assert (hit is None) == (not far)
        if hit:
            both, either = sets[hit[0]] & sets[j], sets[hit[0]] | sets[j]
            assert hit[0] in far
            assert hit[1] == pytest.approx(len(both) / len(either))
        index.add(j)


def test_a_leak_is_exact_or_near_and_only_the_tests_prompts_count(tmp_path):
    train = sheet(tmp_path, [demo(TWIN, "x"), demo("alone here", "y")])
    asked = ["ALONE  here", TWIN + " fifteen", "nothing like it"]
    test = sheet(tmp_path, [{"prompt": one} for one in asked], "t.jsonl")
    leak = leaks(train.lines, test.lines)
    assert [id for id, _ in leak.exact] == ["t:1"]
    assert [id for id, _ in leak.near] == ["t:2"]
    assert leak.prompts == 3
    keys = found(train, test.lines)
    assert keys["leak-exact"].severity == "error"
    assert "leak-near" in keys
    assert not {"leak-exact", "leak-near"} & set(found(train, test.lines[2:]))


def test_labels_are_counted(tmp_path):
    rows = [pair(f"q {i}", "a b c", "d", first=i < 6) for i in range(8)]
    rows.append({"prompt": "t", "responses": ["x", "y"], "ranks": [0, 0]})
    told = labels(sheet(tmp_path, rows))
    assert told.balance == {"first": 6, "second": 2, "tie": 1}
    assert told.first.value == told.longer.value == 0.75
    assert told.decided == (8, 8)
    assert told.first.low < 0.75 < told.first.high
    rows = [{"prompt": "q", "chosen": "a b", "rejected": "c"}]
    assert labels(sheet(tmp_path, rows)).first is None


def test_every_length_is_in_one_bar():
    sizes = [random.Random(1).randint(0, 900) for _ in range(50)] + [0, 1, 4, 5, 900]
    some = measure("x", sizes)
    assert sum(bar.count for bar in some.bars) == len(sizes)
    for bar in some.bars:
        assert bar.count == sum(bar.low <= size <= bar.high for size in sizes)
    assert some.quantiles["max"] == 900


def test_no_bar_reaches_across_the_limit():
    bars = measure("x", [3, 250, 256, 257, 300, 900], 256).bars
    assert sum(bar.count for bar in bars) == 6
    assert [(bar.low, bar.high) for bar in bars if bar.low <= 256 <= bar.high] == [(192, 256)]
    assert all(bar.high <= 256 or bar.low > 256 for bar in bars)
    assert measure("x", [3, 9], 256).bars == measure("x", [3, 9]).bars


def test_each_answer_shown_is_named(tmp_path):
    path = tmp_path / "d.jsonl"
    rows = [
        pair("q", "a b", "c", first=False),
        {"prompt": "r", "responses": ["a", "b", "c"], "ranks": [1, 0, 1]},
        {"prompt": "s", "responses": ["a", "b"], "ranks": [0, 0]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    named = [called for called, _ in run(Check(data=path)).shown]
    assert named == [
        *("d:1, other", "d:1, preferred"),
        *("d:2, place 2", "d:2, preferred", "d:2, place 2"),
        *("d:3, tied", "d:3, tied"),
    ]


def test_what_does_not_fit_counts_as_unusable(tmp_path):
    rows = [demo("a b", "c"), demo("a b c", "d e f"), demo("a b c d e", "f")]
    done = check("d", sheet(tmp_path, rows, limit=5))
    keys = {one.key: one for one in done.findings}
    assert keys["too-long"].examples[0].id == "d:2"
    assert keys["no-room"].examples[0].id == "d:3"
    assert done.kept == 1
    with pytest.raises(BadData, match="2 of 3 rows"):
        done.within(0.5)
    assert done.within(0.7) is done


def test_the_page_and_the_terminal_escape(tmp_path):
    path = tmp_path / "<b>.jsonl"
    hostile = "<script>alert(1)</script> [red]x[/] \x1b[31m"
    path.write_text(json.dumps(demo(hostile, hostile + " ")) + "\n")
    done = run(Check(data=path))
    page = render(done)
    assert "\x1b" not in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    said = "\n".join(terminal(done))
    assert "\x1b" not in said
    assert r"\[red]" in said


def test_the_command(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in clean()))
    page = tmp_path / "sub" / "page.html"
    done = CliRunner().invoke(cli.app, ["data", "check", str(path), f"html={page}"])
    assert done.exit_code == 0, done.output
    assert "nothing found" in done.stdout
    assert page.is_file()
    path.write_text(path.read_text() + '{"prompt": 3}\n' * 5)
    assert CliRunner().invoke(cli.app, ["data", "check", str(path)]).exit_code == 3
    assert CliRunner().invoke(cli.app, ["data", "check", str(path), "limit=0.2"]).exit_code == 0
    taught = CliRunner().invoke(cli.app, ["data", "check", "--help"]).stdout
    assert all(f"{row.name} " in taught for row in Check.fields())


def test_columns_and_splits_are_those_of_training(tmp_path):
    rows = {"train": ["a b", "c d"], "test": ["c  D", "e f", "g h"]}
    for name, asked in rows.items():
        told = [{"question": one, "best": f"x {one}", "other": "y"} for one in asked]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, told)))
    columns = ["columns.prompt=question", "columns.chosen=best", "columns.rejected=other"]
    both = [f"against={tmp_path}", "against_split=test"]

    def called(*words):
        done = CliRunner().invoke(cli.app, ["data", "check", str(tmp_path), *words])
        return done.exit_code, " ".join((done.stdout + done.stderr).split())

    code, said = called(*columns, *both)
    assert code == 0, said
    assert "2 of 2 rows can be used" in said
    assert "1 of 3 test prompts" in said, "the columns of `against` are called the same"
    assert "3 of 3 rows can be used" in called(*columns, "split=test")[1]
    assert called("columns.prompt=questoin")[0] == 3
    assert "no split 'dev'" in called(*columns, "split=dev")[1]
    code, said = called(*columns, "against_split=test")
    assert (code, "there is none" in said) == (2, True)


# --- with a model, and real files ---


def test_in_tokens_the_context_is_the_limit_and_all_is_shown(tmp_path, stories260k):
    path = tmp_path / "d.jsonl"
    rows = [demo("Once upon", " a time </s> there"), demo("Once", " upon" * 600)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run(Check(data=path, model=str(stories260k)))
    assert (done.sheet.limit, done.sheet.unit, done.kept) == (512, "tokens", 1)
    assert {"too-long", "control-text"} <= {one.key for one in done.findings}
    pieces = done.shown[0][1]
    assert "".join(piece.text for piece in pieces) == "<s>Once upon a time </s> there</s>"
    assert [p.text for p in pieces if p.control] == ["<s>", "</s>"], "what was typed is text"
    assert [p.text for p in pieces if p.trained] == [" a time </s> there", "</s>"]


def test_an_end_that_the_configs_do_not_name(tmp_path, stories260k):
    one = sheet(tmp_path, [demo("a b", "c d")], ends=frozenset({7}))
    line = one.lines[0]
    object.__setattr__(line, "ids", ((1,), ((5, 2),)))
    assert found(one)["end-not-trained"].severity == "error"
    object.__setattr__(line, "ids", ((1,), ((5, 7),)))
    assert "end-not-trained" not in found(one)


def test_hh_rlhf(shared):
    done = run(Check(data=shared("data/hh-rlhf/harmless-base-test.jsonl.gz")))
    assert done.sheet.kind == "comparisons"
    assert done.total == 2312
    assert done.sheet.tally.dropped["prompts differ"] == 4
    assert done.sheet.tally.dropped["empty answer"] == 4
    assert done.kept + done.sheet.tally.dropped.total() == 2312
    assert done.labels.first is None
    assert done.sheet.sorted


def test_llmfao(shared, tmp_path):
    with shared("data/llmfao/llmfao.csv").open(newline="") as file:
        votes = list(csv.DictReader(file))
    rows = [
        {
            "prompt": vote["prompt"],
            "responses": [vote["left"], vote["right"]],
            "ranks": {"left": [0, 1], "right": [1, 0], "tie": [0, 0]}[vote["winner"]],
            "judge": vote["worker"],
        }
        for vote in votes
    ]
    one = sheet(tmp_path, rows)
    told = labels(one)
    assert sum(told.balance.values()) == 8931
    assert told.balance["tie"] == 3471
    left = sum(vote["winner"] == "left" for vote in votes)
    assert told.first.value == pytest.approx(left / (8931 - 3471))
    said = {}
    for vote in votes:
        names = sorted((vote["left"], vote["right"]))
        won = vote["winner"] if vote["winner"] == "tie" else vote[vote["winner"]]
        said.setdefault((vote["prompt"], *names), {}).setdefault(vote["worker"], won)
    pairs = [a == b for votes in said.values() for a, b in combinations(votes.values(), 2)]
    assert told.agreement.judges == len({vote["worker"] for vote in votes})
    assert told.agreement.same == pytest.approx(sum(pairs) / len(pairs))


def test_alpha_is_told_with_its_interval(tmp_path):
    rows = [
        pair(f"q {i}", "a", f"b {i}", first=(i % 3 > 0) != (judge == i % 7), judge=f"j{judge}")
        for i in range(30)
        for judge in range(3)
    ]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run(Check(data=path))
    alpha = done.labels.agreement.alpha
    assert alpha.low < alpha.value < alpha.high
    assert "Krippendorff" in "\n".join(terminal(done))


def test_an_interval_that_cannot_be_had_is_not_made_up(tmp_path):
    """Two pairs, one of them disputed: most draws leave alpha undefined."""
    rows = [pair("q", "a", "b", first=True, judge=f"j{judge}") for judge in range(2)]
    rows += [pair("r", "c", "d", first=judge > 0, judge=f"j{judge}") for judge in range(2)]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = "\n".join(terminal(run(Check(data=path))))
    assert "(too few for an interval)" in said
    assert "-1" not in said.replace(str(tmp_path), "")


def test_where_the_page_cannot_be_written_the_word_is_html(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps(pair("q", "a", "b", first=True, judge="j")) + "\n")
    with pytest.raises(CannotWrite, match=r"choose .* \(html=\.\.\.\)"):
        run(Check(data=path, html=path / "page.html"))


def test_bars_beyond_the_limit_are_marked(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps(demo("a b", "c " * 40)) + "\n" + json.dumps(demo("a", "b")) + "\n")
    done = run(Check(data=path, longest=20, limit=1))
    assert "too long" in "\n".join(terminal(done))
    assert 'class="over"' in render(done)
    assert 'class="over"' not in render(run(Check(data=path)))


def test_a_row_that_holds_several_records_is_one_row(tmp_path):
    """A tree gives as many comparisons as it has ranked groups."""

    def said(name, **more):
        return {"message_id": name, "role": "assistant", "text": f"Words {name}.", **more}

    def asked(name, replies):
        return {"message_id": name, "role": "prompter", "text": f"Say {name}?", "replies": replies}

    pair = [said("c", rank=0, replies=[]), said("d", rank=1, replies=[])]
    best = said("a", rank=0, replies=[asked("e", pair)])
    tree = {"message_tree_id": "t", "prompt": asked("p", [best, said("b", rank=1, replies=[])])}
    done = check("trees", sheet(tmp_path, [tree, {"nothing": 1}]))
    assert (done.kept, done.lost, done.total) == (2, 1, 2)
    assert "1 of 2 rows can be used, 1 dropped, none cut; 2 comparisons" in next(terminal(done))
    with pytest.raises(BadData, match="1 of 2 rows"):
        done.within(0.1)
