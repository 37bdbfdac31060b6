"""LLaVA-RLHF from end to end on a tiny LLaVA: sft, reward model with facts, PPO, MMHal-Bench."""

import json
import shutil
from pathlib import Path

import pytest

import seeing
from accord.config import find, read_each
from accord.errors import BadData, BadSettings, RunMismatch
from accord.evaluate.mmhal import TYPES
from accord.models.card import read as card
from accord.recipes.job import Desk
from accord.recipes.jobs import run_ppo, run_reward, run_sft
from accord.recipes.mmhal_job import MMHalJob, run_mmhal
from accord.verbs import VERBS
from llm_fakes import served

COLOURS = ("red", "blue", "green", "black")
SHORT = ("shown.request=Is it so?{facts}", "shown.opening=It is")
FAST = ("lr=3e-3", "optimizer.micro_tokens=256", "lora.r=4", "lora.alpha=16")


def go(run, classes, preset, out, *words: str):
    return run(Desk((), lambda _: None), *read_each(classes, preset, [*words, f"out={out}"]))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model that sees, and its files."""
    home = tmp_path_factory.mktemp("llava")
    seeing.folder(home / "model")
    rows = []
    for colour in COLOURS:
        seeing.picture(home / f"{colour}.png", colour)
        row = {"image": f"{colour}.png", "prompt": "What colour?", "facts": [f"it is {colour}"]}
        pair = {"chosen": f"It is {colour}.", "rejected": "It is a cat, and a dog."}
        rows.append({"id": colour, **row, "response": pair["chosen"], "truth": "yes", **pair})
    for name, keys in (
        ("show", ("image", "prompt", "facts", "response")),
        ("pairs", ("image", "prompt", "facts", "chosen", "rejected")),
        ("ask", ("image", "prompt", "facts", "truth")),
    ):
        told = [json.dumps({"id": row["id"], **{k: row[k] for k in keys}}) for row in rows]
        (home / f"{name}.jsonl").write_text("\n".join(told) + "\n")
    asked = [
        {
            "question_type": TYPES[n],
            "question_topic": "food",
            "image_id": colour,
            "image_src": f"https://x.org/{colour}.png",
            "image_content": ["Corner"],
            "question": "What colour?",
            "gt_answer": f"It is {colour}.",
        }
        for n, colour in enumerate(COLOURS)
    ]
    (home / "mmhal.json").write_text(json.dumps(asked))
    return home


def test_from_descriptions_to_a_rating(place, tmp_path):
    sft = go(
        run_sft, VERBS["sft"].classes(), None, tmp_path / "sft",
        f"model={place}/model", f"data={place}/show.jsonl",
        "batch=2", "epochs=4", "held_out=0", *FAST,
    )  # fmt: skip
    reward = go(
        run_reward, VERBS["reward"].classes(), find("reward", Path("fact-rlhf")),
        tmp_path / "reward",
        f"model={sft.artifact.folder}", f"data={place}/pairs.jsonl",
        "batch=2", "epochs=2", "held_out=0.25", *SHORT, *FAST,
    )  # fmt: skip
    assert card(reward.artifact.folder).shown.facts
    ppo = go(
        run_ppo, VERBS["ppo"].classes(), find("ppo", Path("llava-rlhf-code")), tmp_path / "ppo",
        f"model={sft.artifact.folder}", f"reward={reward.artifact.folder},correct-llava",
        f"prompts={place}/ask.jsonl", "steps=2", "batch=4", "longest=8", *FAST,
    )  # fmt: skip
    assert {sft.artifact.id, reward.artifact.id} <= set(ppo.artifact.parents)
    with served() as server:
        server.speak = lambda body: "It is plain. Rating: 4"
        done = go(
            run_mmhal, (MMHalJob,), None, tmp_path / "mmhal", f"model={ppo.artifact.folder}",
            f"data={place}/mmhal.json", f"images={place}", f"judge={server.url}", "longest=8",
        )  # fmt: skip
        assert len(server.asked) == len(COLOURS)
    told = json.loads((done.artifact.folder / "mmhal.json").read_text())
    assert told["parts"]["all"]["score"]["value"] == 4
    rows = map(json.loads, (done.artifact.folder / "answers.jsonl").read_text().splitlines())
    assert [row["text"] for row in rows] == _likeliest(ppo.handle, place), (
        "the trained one answered"
    )


def _likeliest(policy, place) -> list[str]:
    """What a policy says to the four questions, sampled as the benchmark does."""
    from accord.engine.draw import Sampling

    ids = [
        policy.speller.prompt_ids(seeing.about(str(place / f"{c}.png"), "What colour?"))
        for c in COLOURS
    ]
    said = policy.sample(ids, longest=8, seed=0, how=Sampling(temperature=0.0))
    return [policy.speller.text(one).strip() for one in said]


@pytest.fixture(scope="module")
def apart(place, tmp_path_factory):
    """The paper's files as they are: pictures in one folder, captions in one file, rows by name."""
    home = tmp_path_factory.mktemp("rlhf")
    (home / "coco").mkdir()
    captions, pairs, asked, shown = {}, [], [], []
    for n, colour in enumerate(COLOURS):
        file = f"{n:012}.jpg"
        seeing.picture(home / "coco" / file, colour)
        captions[file] = [f"it is {colour}", "a corner", "some paint"]
        captions[f"aok_{file}"] = [f"The word is {colour}."]
        talk = [
            {"from": "human", "value": "<image>\nWhat colour?"},
            {"from": "gpt", "value": f"It is {colour}."},
        ]
        row = {"id": str(n), "image": file}
        shown.append({**row, "conversations": talk})
        asked.append({**row, "conversations": talk, "caption_type": 7 if n % 2 else 3})
        outputs = {"output_1": {"value": "A cat."}, "output_2": {"value": f"It is {colour}."}}
        pairs.append({**row, "conversations": talk[:1], **outputs, "preference": 2})
    for name, told in (("captions", captions), ("sft", shown), ("pairs", pairs), ("ask", asked)):
        (home / f"{name}.json").write_text(json.dumps(told))
    return home


def test_its_own_files_are_read_where_they_lie(apart, place, tmp_path, monkeypatch):
    """Pictures below images=, captions of facts=; and both are part of what a run is made from."""
    monkeypatch.chdir(tmp_path)
    beside = (f"images={apart}/coco", f"facts={apart}/captions.json")
    sft = go(
        run_sft, VERBS["sft"].classes(), None, tmp_path / "sft",
        f"model={place}/model", f"data={apart}/sft.json", beside[0], "batch=2", *FAST,
    )  # fmt: skip

    def reward(out: str, *words: str):
        return go(
            run_reward, VERBS["reward"].classes(), find("reward", Path("fact-rlhf")),
            tmp_path / out, f"model={sft.artifact.folder}", f"data={apart}/pairs.json",
            "batch=2", "held_out=0.25", *SHORT, *FAST, *words,
        )  # fmt: skip

    judge = reward("reward", *beside)
    with pytest.raises(BadData, match=r"has no facts"):
        reward("none", beside[0])
    with pytest.raises(BadData, match=r"no such picture: images=FOLDER says where they lie"):
        reward("lost", beside[1])
    other = json.loads((apart / "captions.json").read_text())
    other["000000000001.jpg"][0] = "it is something else"
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(RunMismatch, match="data"):
        reward("reward", beside[0], "facts=other.json")
    (tmp_path / "copy.json").write_bytes((apart / "captions.json").read_bytes())
    assert reward("reward", beside[0], "facts=copy.json").artifact.id == judge.artifact.id
    ppo = go(
        run_ppo, VERBS["ppo"].classes(), find("ppo", Path("llava-rlhf-code")), tmp_path / "ppo",
        f"model={sft.artifact.folder}", f"reward={judge.artifact.folder},correct-llava",
        f"prompts={apart}/ask.json", f"check={apart}/pairs.json", *beside,
        "steps=2", "batch=4", "longest=8", *FAST,
    )  # fmt: skip
    assert {sft.artifact.id, judge.artifact.id} <= set(ppo.artifact.parents)


def test_other_pictures_are_another_run(apart, place, tmp_path):
    """The same rows with pictures of another folder."""
    words = (f"model={place}/model", f"data={apart}/sft.json", "batch=2", *FAST)
    go(run_sft, VERBS["sft"].classes(), None, tmp_path / "sft", *words, f"images={apart}/coco")
    shutil.copytree(apart / "coco", tmp_path / "coco")
    with pytest.raises(RunMismatch, match="data"):
        go(
            run_sft, VERBS["sft"].classes(), None, tmp_path / "sft",
            *words, f"images={tmp_path}/coco",
        )  # fmt: skip


def test_sft_knows_no_facts():
    """What is imitated is told to nobody who judges: the key is refused, not passed over."""
    with pytest.raises(BadSettings, match="no setting 'facts'"):
        read_each(VERBS["sft"].classes(), None, ["model=m", "data=d", "facts=f.json"])
