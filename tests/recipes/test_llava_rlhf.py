"""LLaVA-RLHF from end to end on a tiny LLaVA: sft, reward model with facts, PPO, MMHal-Bench."""

import json
from pathlib import Path

import pytest

import seeing
from accord.config import find, read_each
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
