"""Every recipe with pictures, on a tiny LLaVA: commands, facts, resume, partition."""

import json
from pathlib import Path

import pytest
import torch

import seeing
from accord.config import read_each
from accord.data.rows import pad
from accord.data.sources import read_prompts
from accord.engine.roles import Critic, Policy
from accord.errors import BadData, BadSettings
from accord.maths.weights import weigh
from accord.models.card import read as card
from accord.recipes import ppo
from accord.recipes.common import spell_prompts
from accord.recipes.dpo_job import run_dpo
from accord.recipes.evaluate_job import run_evaluate
from accord.recipes.grpo_job import run_grpo
from accord.recipes.job import Desk
from accord.recipes.jobs import run_ppo, run_reward, run_sft
from accord.recipes.label_job import run_label
from accord.recipes.rest_job import run_rest
from accord.store.judgements.opening import open_store
from accord.store.judgements.pictures import brought, home
from accord.store.run import Run
from accord.verbs import VERBS
from llm_fakes import served
from people_fakes import judge_all, someone
from store_fakes import tree
from toys import cuts, gradient

COLOURS = ("red", "blue", "green", "black", "orange", "purple")
FAST = ("lr=1e-3", "optimizer.micro_tokens=256")
ASKED = ("steps=2", "batch=4", "longest=6", *FAST)
REQUEST = ("shown=Request", "shown.request=Good?{facts}", "shown.opening=It is")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, and its files: what is asked, shown and compared, with pictures beside them."""
    home = tmp_path_factory.mktemp("pictures")
    seeing.folder(home / "model")
    for colour in COLOURS:
        seeing.picture(home / f"{colour}.png", colour)
    asked = [
        {
            "id": c,
            "image": f"{c}.png",
            "prompt": "What colour?",
            "facts": [f"it is {c}", "a corner"],
        }
        for c in COLOURS
    ]
    _write(home / "ask.jsonl", [{**row, "truth": "yes"} for row in asked])
    _write(home / "show.jsonl", [{**row, "response": f"It is {row['id']}."} for row in asked])
    pairs = [{**row, "chosen": f"It is {row['id']}.", "rejected": "It is a cat."} for row in asked]
    _write(home / "pairs.jsonl", pairs)
    (home / "rule.py").write_text("def likes(prompt, answer, ended):\n    return len(answer) / 7\n")
    return home


def _write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")


def go(run, verb, place, out, *words, told=None):
    said = [] if told is None else told
    model = () if any(word.startswith("model=") for word in words) else (f"model={place}/model",)
    return run(
        Desk((), said.append),
        *read_each(VERBS[verb].classes(), None, [*model, f"out={out}", *words]),
    )


@pytest.fixture(scope="module")
def judged(place, tmp_path_factory):
    """A reward model that is shown facts."""
    out = tmp_path_factory.mktemp("reward")
    words = ("batch=2", "epochs=2", "held_out=0.2", *FAST, *REQUEST)
    return go(run_reward, "reward", place, out, f"data={place}/pairs.jsonl", *words)


def test_it_imitates_what_is_said_of_pictures(place, tmp_path):
    words = ("batch=3", "epochs=60", "held_out=0", "schedule=Constant", "lr=1e-2")
    made = go(run_sft, "sft", place, tmp_path, f"data={place}/show.jsonl", *words)
    assert made.history[-1]["loss"] < made.history[0]["loss"] / 3
    policy = Policy.open(made.artifact.folder)
    prompts, _ = read_prompts(place / "ask.jsonl")
    asked, tally = spell_prompts(prompts, policy.speller, 200)
    assert not tally.dropped
    right = {p.id: policy.speller.response_ids(f"It is {p.id}.") for p in prompts}
    each = {
        own.id: policy.logp(pad([own.ids] * len(right), list(right.values()))).sum(1)
        for own in asked
    }
    best = {name: list(right)[int(scores.argmax())] for name, scores in each.items()}
    assert best == {name: name for name in right}, "it tells them apart by their pictures alone"
    tower = "model.vision_tower.encoder.layers.0.mlp.fc1.weight"
    start = Policy.open(place / "model").model.trunk.model.state_dict()
    assert torch.equal(policy.model.trunk.model.state_dict()[tower], start[tower])


def test_a_reward_model_reads_facts_and_says_so(place, judged):
    folder = judged.artifact.folder
    assert card(folder).shown.facts
    assert json.loads((folder / "critic.json").read_text())["shown"]["opening"] == "It is"
    assert Critic.open(folder).shown == judged.handle.shown
    assert judged.numbers["accuracy"] >= 0


def test_the_score_in_rl_is_the_score_in_training(place, judged, tmp_path):
    """One function shows both: the check that a run does at its start agrees to the last pair."""
    told = []
    words = (
        "critic=trunk",
        f"prompts={place}/ask.jsonl",
        f"reward={judged.artifact.folder}",
        *ASKED,
    )
    go(run_ppo, "ppo", place, tmp_path, *words, f"check={place}/pairs.jsonl", told=told)
    assert any("held out, as when it was made" in line for line in told)


def test_facts_change_what_a_reward_says(place, judged, tmp_path):
    rows = [json.loads(line) for line in (place / "ask.jsonl").read_text().splitlines()]
    _write(tmp_path / "other.jsonl", [{**row, "facts": ["it is a cat"]} for row in rows])
    for colour in COLOURS:
        (tmp_path / f"{colour}.png").write_bytes((place / f"{colour}.png").read_bytes())
    from accord.rewards.learned import Learned
    from accord.rewards.reader import Reader

    policy = Policy.open(place / "model")
    scores = []
    for file in (place / "ask.jsonl", tmp_path / "other.jsonl"):
        prompts, _ = read_prompts(file)
        asked, _ = spell_prompts(prompts, policy.speller, 200)
        said = policy.sample([one.ids for one in asked], longest=4, seed=0)
        learned = Learned(judged.handle, policy.speller, Reader(policy.speller, prompts))
        scores.append(torch.tensor(learned(said)))
    assert not torch.allclose(*scores)


def test_ppo_against_facts_and_right_answers(place, judged, tmp_path):
    reward = f"reward={judged.artifact.folder},2*correct,-0.01*tokens"
    words = ("critic=trunk", f"prompts={place}/ask.jsonl", reward, *ASKED, "lora.r=2")
    made = go(run_ppo, "ppo", place, tmp_path, *(w for w in words if "micro_tokens" not in w))
    assert (made.artifact.folder / "adapter_model.safetensors").is_file()
    opened = Policy.open(made.artifact.folder)
    assert opened.speller.sight is not None
    assert opened.fingerprint == made.handle.fingerprint


def test_a_head_that_reads_facts_is_no_value(place, judged, tmp_path):
    words = ("critic=reward", f"prompts={place}/ask.jsonl", f"reward={judged.artifact.folder}")
    with pytest.raises(BadSettings, match="say critic=trunk"):
        go(run_ppo, "ppo", place, tmp_path, *words, *ASKED)


def test_prompts_without_facts_are_told(place, judged, tmp_path):
    rows = [json.loads(line) for line in (place / "ask.jsonl").read_text().splitlines()]
    bare = [{k: v for k, v in row.items() if k not in ("facts", "image")} for row in rows]
    _write(tmp_path / "bare.jsonl", [{**row, "prompt": row["id"]} for row in bare])
    words = ("critic=trunk", f"prompts={tmp_path}/bare.jsonl", f"reward={judged.artifact.folder}")
    with pytest.raises(BadData, match="has no facts"):
        go(run_ppo, "ppo", place, tmp_path / "o", *words, *ASKED)


def test_dpo_grpo_and_rest_see_too(place, tmp_path):
    rule = f"rule={place}/rule.py:likes"
    pairs = ("batch=2", "epochs=1", "held_out=0", *FAST)
    made = go(run_dpo, "dpo", place, tmp_path / "d", f"data={place}/pairs.jsonl", *pairs)
    assert made.history[-1]["loss"] < 0.7
    few = ("steps=2", "batch=2", "group=3", "longest=5", *FAST)
    made = go(run_grpo, "grpo", place, tmp_path / "g", f"prompts={place}/ask.jsonl", rule, *few)
    assert len(made.history) == 2
    few = ("grow.n=3", "grow.longest=5", "improve.epochs=1", "held_out=0.3")
    words = (f"prompts={place}/ask.jsonl", rule, *few)
    assert go(run_rest, "rest", place, tmp_path / "r", *words).artifact.kind == "policy"


def test_people_see_the_pictures_and_a_reward_model_learns_from_them(place, tmp_path):
    """Asked in a study, shown by the site, judged, and read back with the picture and the facts."""
    store_at = tmp_path / "a.db"
    words = [
        f"data={place}/pairs.jsonl",
        f"study={store_at}#seen",
        f"out={tmp_path}/label",
        "site=false",
    ]
    done = run_label(Desk((), lambda said: None), *read_each(VERBS["label"].classes(), None, words))
    assert done is not None
    store = open_store(store_at)
    assert len(list((tmp_path / "files").glob("*.png"))) == len(COLOURS)
    assert judge_all(store, 1, someone(store, "ada"), lambda text: -float("cat" in text)) > 0
    with pytest.raises(BadData, match="there is no such picture"):
        brought([{"role": "user", "content": [{"type": "image", "path": "no.png"}]}], home(store))
    store.close()
    words = ("batch=2", "epochs=1", "held_out=0.2", *FAST, *REQUEST)
    made = go(run_reward, "reward", place, tmp_path / "r", f"data={store_at}#seen", *words)
    assert made.handle.shown.facts


# --- what a picture must not change ---


@pytest.fixture(scope="module")
def sees(place):
    """A policy in float64 by its own code, and its prompts."""
    policy = Policy.open(place / "model")
    prompts, _ = read_prompts(place / "ask.jsonl")
    return policy, [one.ids for one in spell_prompts(prompts, policy.speller, 200)[0]]


def test_no_cut_changes_a_gradient(sees):
    policy, asked = sees
    said = policy.sample(asked, longest=5, seed=1)
    tokens = pad([r.prompt_ids for r in said], [r.response_ids for r in said])
    weight = weigh(tokens.mask_BT)

    def loss(model, rows):
        from accord.maths.losses import Loss

        return Loss(-model.logp(rows), {})

    handle = policy.trainable(lr=1e-3)
    whole = gradient(handle, tokens, weight, loss)
    for micro, order in cuts(len(tokens)):
        other = gradient(handle, tokens.take(order), weight[order], loss, micro=micro)
        torch.testing.assert_close(whole, other, atol=1e-5, rtol=1e-3)


def test_company_changes_no_sample(sees):
    policy, asked = sees
    alone = [
        policy.sample([ids], longest=6, seed=2, names=[str(i)])[0] for i, ids in enumerate(asked)
    ]
    names = [str(i) for i in range(len(asked))]
    together = policy.sample(asked, longest=6, seed=2, names=names)
    assert [r.response_ids for r in alone] == [r.response_ids for r in together]


class Killed(Exception):
    """The power is gone."""


def test_a_killed_run_goes_on_with_its_pictures(place, sees, tmp_path):
    policy, asked = sees
    cfg = ppo.PPO(steps=4, batch=3, longest=5, epochs=1, lr=1e-3, critic="zero")
    from accord.recipes.common import Asked

    prompts = [Asked(str(i), ids) for i, ids in enumerate(asked)]

    def play(folder: Path, breaks: bool) -> str:
        calls = []

        def reward(rollouts):
            calls.append(1)
            if breaks and len(calls) == 3:
                raise Killed
            return [float(len(set(r.response_ids))) for r in rollouts]

        run = Run(folder, save_every=1, identity={"seed": 0})
        made = ppo.train(cfg, run, policy, reward, Critic.on(policy).zeroed(), prompts)
        return made.fingerprint

    whole = play(tmp_path / "whole", False)
    with pytest.raises(Killed):
        play(tmp_path / "left", True)
    assert play(tmp_path / "left", False) == whole
    assert tree(tmp_path / "left") == tree(tmp_path / "whole")


def test_the_judge_of_a_win_rate_sees_the_pictures(place, tmp_path):
    """Ready answers of two, compared by a server: with each pair go its picture and its facts."""
    answers = {"a": "It is so.", "b": "A cat."}
    for name, said in answers.items():
        rows = [json.loads(line) for line in (place / "ask.jsonl").read_text().splitlines()]
        told = [{**row, "image": str(place / row["image"]), "response": said} for row in rows]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    with served() as server:
        server.top = lambda body: {"A": -0.5, "B": -1.0}
        words = (
            f"model={tmp_path}/a.jsonl", f"against={tmp_path}/b.jsonl",
            f"prompts={place}/ask.jsonl", f"judge={server.url}", f"out={tmp_path}/e",
        )  # fmt: skip
        run_evaluate(
            Desk((), lambda said: None), *read_each(VERBS["evaluate"].classes(), None, words)
        )
        contents = [body["messages"][0]["content"] for body in server.asked]
    assert len(contents) == 2 * len(COLOURS)
    assert all(isinstance(one, list) for one in contents)
    assert len({one[0]["image_url"]["url"] for one in contents}) == len(COLOURS)
    assert all("What is known to be so" in one[1]["text"] for one in contents)
