"""Benchmarks of models that see, as commands: a tiny LLaVA answers, a server judges."""

import base64
import json
from pathlib import Path

import pytest

import seeing
from accord.config import read_each
from accord.errors import BadData, BadSettings
from accord.evaluate.mmhal import TYPES
from accord.recipes.job import Desk
from accord.recipes.llavabench_job import LLaVABenchJob, run_llavabench
from accord.recipes.mmbench_job import MMBenchJob, run_mmbench
from accord.recipes.mmhal_job import MMHalJob, run_mmhal
from accord.recipes.pope_job import POPEJob, run_pope
from llm_fakes import served

KEYS = ("questions", "references", "context")


def call(run, kind, *words: str):
    (job,) = read_each((kind,), None, words)
    return run(Desk((), lambda _: None), job)


def lines(path: Path, rows) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    home = tmp_path_factory.mktemp("seeing")
    seeing.folder(home / "model")
    for n in range(3):
        seeing.picture(home / f"{n}.png", ("red", "blue", "green")[n])
    return home


def numbers(done, name: str):
    return json.loads((done.artifact.folder / name).read_text())


def mmhal(place: Path) -> Path:
    rows = [
        {
            "question_type": TYPES[n],
            "question_topic": "food",
            "image_id": f"i{n}",
            "image_src": f"https://x.org/{n}.png",
            "image_content": ["Cup"],
            "question": f"What is {n}?",
            "gt_answer": "A cup.",
        }
        for n in range(3)
    ]
    return lines(place / "mmhal.jsonl", rows)


def test_a_tiny_llava_is_rated_once(place, tmp_path):
    with served() as server:
        server.speak = lambda body: "It says little. Rating: 3"
        words = (f"data={mmhal(place)}", f"images={place}", f"judge={server.url}", "longest=4")
        words = (*words, f"model={place}/model", f"out={tmp_path}")
        done = call(run_mmhal, MMHalJob, *words)
        assert len(server.asked) == 3
        again = call(run_mmhal, MMHalJob, *words)
        assert len(server.asked) == 3, "nothing is asked twice"
    assert again.artifact.id == done.artifact.id
    told = numbers(done, "mmhal.json")
    assert told["parts"]["all"]["score"]["value"] == 3
    assert told["parts"]["all"]["rate"]["value"] == 0
    assert server.url.removesuffix("#fake") in told["judge"]
    assert "mmhal-1" in told["judge"]
    rows = (done.artifact.folder / "answers.jsonl").read_text().splitlines()
    assert [json.loads(row)["rating"] for row in rows] == [3, 3, 3]
    assert any("Mean rating" in line for line in done.lines())
    assert "Hallucinations" in (done.artifact.folder / "mmhal.html").read_text()


def test_pictures_that_are_missing_are_told_before_anyone_is_asked(place, tmp_path):
    with served() as server:
        words = (f"data={mmhal(place)}", f"images={tmp_path}", f"judge={server.url}")
        with pytest.raises(BadData, match=r"mmhal\.jsonl:1: .*0\.png; .*:2: .*:3: .*images=FOLDER"):
            call(run_mmhal, MMHalJob, *words, f"model={server.url}", f"out={tmp_path}/out")
        assert not server.asked
        with pytest.raises(BadSettings, match="say who answers"):
            call(run_mmhal, MMHalJob, *words, f"out={tmp_path}/out")


def test_a_dry_run_asks_nobody(place, tmp_path):
    with served() as server:
        words = (f"data={mmhal(place)}", f"images={place}", f"judge={server.url}")
        words = (*words, f"model={server.url}", f"out={tmp_path}", "asked.dry=true")
        assert call(run_mmhal, MMHalJob, *words) is None
        assert not server.asked


def test_ready_answers_are_scored_without_a_model(place, tmp_path):
    answers = lines(
        tmp_path / "a.jsonl", [{"image_id": f"i{n}", "model_answer": f"a{n}"} for n in (0, 2)]
    )
    with served() as server:
        server.speak = lambda body: "Rating: 1" if "a2" in str(body) else "no idea"
        words = (f"data={mmhal(place)}", f"answers={answers}", f"judge={server.url}")
        done = call(run_mmhal, MMHalJob, *words, f"out={tmp_path}/out")
    every = numbers(done, "mmhal.json")["parts"]["all"]
    assert (every["count"], every["unread"], every["paper_score"]) == (1, 1, 0.5)
    assert numbers(done, "mmhal.json")["lost"] == {"no answer": 1}
    lines(answers, [{"image_id": "i9", "model_answer": "x"}])
    with pytest.raises(BadData, match=r"a\.jsonl:1: it answers question 'i9', which is not asked"):
        call(run_mmhal, MMHalJob, *words, f"out={tmp_path}/other")
    lines(answers, [{"image_id": "i0", "model_answer": ""}])
    with pytest.raises(BadData, match="every answer is empty"):
        call(run_mmhal, MMHalJob, *words, f"out={tmp_path}/other")


def test_a_server_is_sent_the_pictures_of_pope(place, tmp_path):
    rows = [
        {"question_id": n, "image": f"{n}.png", "text": "Is it red?", "label": label}
        for n, label in enumerate(("yes", "no", "no"))
    ]
    data = lines(tmp_path / "coco_pope_random.json", rows)
    red = base64.b64encode((place / "0.png").read_bytes()).decode()
    with served() as server:
        server.speak = lambda body: "Yes" if red in str(body) else "No"
        words = (f"data={data}", f"model={server.url}", f"images={place}", f"out={tmp_path}/out")
        done = call(run_pope, POPEJob, *words)
    told = numbers(done, "pope.json")["splits"]
    assert told["random"]["accuracy"]["value"] == 1
    assert told["random"]["yes"]["value"] == pytest.approx(1 / 3)


def test_llava_bench_as_a_command(place, tmp_path):
    asked = [{"question_id": 0, "image": "0.png", "text": "What?", "category": "conv"}]
    files = (
        lines(tmp_path / "q.jsonl", asked),
        lines(tmp_path / "r.jsonl", [{"question_id": 0, "text": "REFERENCE"}]),
        lines(tmp_path / "c.jsonl", [{"image": "0.png", "captions": ["a cup"], "instances": []}]),
    )
    with served() as server:
        server.speak = lambda body: "8 4\nwhy"
        words = [f"{k}={v}" for k, v in zip(KEYS, files, strict=True)]
        words += [f"judge={server.url}", f"model={place}/model", f"images={place}", "longest=4"]
        both = call(run_llavabench, LLaVABenchJob, *words, f"out={tmp_path}/both")
        one = call(run_llavabench, LLaVABenchJob, *words, f"out={tmp_path}/one", "swap=false")
    name = "llava-bench.json"
    assert numbers(both, name)["parts"]["all"]["relative"]["value"] == 100
    assert numbers(one, name)["parts"]["all"]["relative"]["value"] == 50
    assert any("4.00 points for the answer shown first" in line for line in both.lines())


@pytest.mark.parametrize("by", ["odds", "text"])
def test_mmbench_as_a_command(place, tmp_path, by):
    picture = base64.b64encode((place / "0.png").read_bytes()).decode()
    head = ["index", "question", "A", "B", "answer", "category", "image"]
    row = ["1", "Which?", "cat", "dog", "A", "object", picture]
    data = tmp_path / "t.tsv"
    data.write_text("\n".join(map("\t".join, (head, row))))
    words = (f"data={data}", f"model={place}/model", f"by={by}", "longest=4")
    done = call(run_mmbench, MMBenchJob, *words, f"out={tmp_path}/out")
    told = numbers(done, "mmbench.json")["parts"]
    assert {part["count"] for part in told.values()} == {1}
    rows = (done.artifact.folder / "answers.jsonl").read_text().splitlines()
    assert [json.loads(row)["right"] for row in rows] == [0, 1]
    ready = lines(
        tmp_path / "a.jsonl",
        [{"question_id": "1/0", "text": "A"}, {"question_id": "1/1", "text": "dog"}],
    )
    words = (f"data={data}", f"answers={ready}", f"out={tmp_path}/ready")
    told = numbers(call(run_mmbench, MMBenchJob, *words), "mmbench.json")["parts"]
    assert (told["all"]["circular"]["value"], told["all"]["once"]["value"]) == (0, 1)
