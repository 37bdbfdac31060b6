"""Stages seal what they make, know it again, and do not make it twice; a pipeline is four."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from accord.data.comparisons import fingerprint
from accord.data.rows import pad
from accord.engine.learner import Learner
from accord.engine.roles import Critic, Policy
from accord.errors import BadData, BadSettings, RunMismatch
from accord.models.lora import Lora
from accord.recipes import pipeline, reward
from accord.recipes.pipeline import Records
from accord.recipes.stage import Place, room_for
from accord.recipes.stages import ppo_stage, reward_stage, sft_stage
from accord.records import Comparison, Demonstration, Prompt, ask
from accord.rewards.learned import Learned, as_judged
from accord.store import artifact
from accord.store.artifact import Artifact
from recipe_fakes import TINY, WHO, newborn, records, short

LORA = Lora(r=2, alpha=8.0)


@pytest.fixture(scope="session")
def cradle(tmp_path_factory) -> Path:
    return newborn(tmp_path_factory.mktemp("newborn"))


@pytest.fixture(params=["newborn", "stories"])
def start(request, cradle) -> Policy:
    """Made here; and, where it is at hand, a model that really writes."""
    return Policy.open(
        cradle if request.param == "newborn" else request.getfixturevalue("stories260k")
    )


@pytest.fixture
def untaught(monkeypatch):
    """Whoever learns from now on is found out."""

    def forbid() -> None:
        def update(*_, **__):
            raise AssertionError("it trains again")

        monkeypatch.setattr(Learner, "update", update)

    return forbid


def texts(policy: Policy, *said: str):
    """Rows: the first prompt with these answers."""
    rows = [policy.speller.demonstration(ask(WHO[0]), text) for text in said]
    return pad([p for p, _ in rows], [r for _, r in rows])


def tree(path: Path) -> dict[str, tuple[int, int]]:
    """Every file below with the time and place it was last written at."""
    found = [p for p in path.rglob("*") if p.is_file() and p.name != "lock"]
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_ino) for p in found}


def test_sft_stage(start, tmp_path, untaught):
    place, given = Place(tmp_path, seed=3, save_every=2), records().demonstrations
    made = sft_stage(place, TINY.sft, start, given)
    card = made.artifact
    assert card == artifact.open_artifact(tmp_path / "policy", full=True)
    assert (card.kind, card.name) == ("policy", "policy")
    assert card.parents == (start.fingerprint,)
    assert card.hashes["data"] == fingerprint(given)
    assert card.hashes["template"] == start.speller.fingerprint
    assert card.settings["seed"] == 3
    assert card.settings["lr"] == TINY.sft.lr
    assert made.numbers == {"eval/loss": made.history[-1]["eval/loss"]}
    assert made.seconds > 0

    before = tree(tmp_path)
    untaught()
    again = sft_stage(place, TINY.sft, start, given)
    assert again.history == made.history
    assert len(again.history) > 2
    assert (again.artifact, again.seconds) == (card, made.seconds)
    assert tree(tmp_path) == before, "nothing is written"
    rows = texts(start, " ran home.", " sat.")
    assert torch.equal(again.handle.logp(rows), made.handle.logp(rows))
    assert not torch.equal(again.handle.logp(rows), start.logp(rows))


def test_a_stage_is_found_whatever_memory_it_may_take_now(cradle, tmp_path, untaught):
    start, given = Policy.open(cradle), records().demonstrations
    made = sft_stage(Place(tmp_path), TINY.sft, start, given)
    untaught()
    for changed in ({"micro_tokens": 7}, {"recompute": True}, {"offload": True}):
        how = replace(TINY.sft.optimizer, **changed)
        cfg = TINY.sft.model_copy(update={"optimizer": how})
        assert sft_stage(Place(tmp_path), cfg, start, given).artifact == made.artifact
    how = replace(TINY.sft.optimizer, eps=0.5)
    with pytest.raises(RunMismatch, match=r"optimizer\.eps was 1e-08 and is now 0\.5"):
        sft_stage(Place(tmp_path), TINY.sft.model_copy(update={"optimizer": how}), start, given)


def test_the_numbers_of_sft_are_of_what_was_learned_from(cradle, tmp_path):
    cfg = TINY.sft.model_copy(update={"loss_on": "all"})
    made = sft_stage(Place(tmp_path), cfg, Policy.open(cradle), records().demonstrations)
    assert made.numbers == {"eval/loss": made.history[-1]["eval/loss"]}


def test_the_exported_policy_is_a_plain_model(cradle, tmp_path):
    made = sft_stage(Place(tmp_path), TINY.sft, Policy.open(cradle), records().demonstrations)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "policy", dtype=torch.float32)
    rows = texts(made.handle, " saw the sun.")
    with torch.no_grad():
        logp_TV = model(rows.ids_BT).logits[0].log_softmax(-1)
    want = [
        float(logp_TV[t - 1, rows.ids_BT[0, t]]) for t in rows.mask_BT[0].nonzero()[:, 0].tolist()
    ]
    got = made.handle.logp(rows)[rows.mask_BT].tolist()
    assert got == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_stage_found_is_opened_as_it_was_made(cradle, tmp_path, lora):
    """In bf16 too: whoever goes on from it goes on from the same numbers."""
    cfg = TINY.sft.model_copy(update={"lora": lora})
    start, given = Policy.open(cradle, dtype="bf16"), records().demonstrations
    first = sft_stage(Place(tmp_path), cfg, start, given).handle
    again = sft_stage(Place(tmp_path), cfg, Policy.open(cradle, dtype="bf16"), given).handle
    assert first.model.trunk.model.dtype == again.model.trunk.model.dtype == torch.bfloat16
    assert torch.equal(first.logp(texts(start, " sat.")), again.logp(texts(start, " sat.")))
    assert first.source == again.source == tmp_path / "policy"


@pytest.mark.parametrize("how", ["none", "mean", "mean-and-std"])
def test_reward_stage(start, tmp_path, untaught, how):
    place, given = Place(tmp_path), records().comparisons
    cfg = TINY.reward.model_copy(update={"normalise": how, "held_out": 0.0})
    made = reward_stage(place, cfg, start, given)
    card = made.artifact
    assert (card.kind, card.parents) == ("reward", (start.fingerprint,))
    assert card.hashes["data"] == fingerprint(given)
    spelled = [start.speller.demonstration(c.prompt, c.responses[0]) for c in given]
    best = pad([p for p, _ in spelled], [r for _, r in spelled])
    if how == "mean-and-std":  # of the start's own answers
        longest = max(len(start.speller.response_ids(r)) for c in given for r in c.responses)
        said = start.sample([p for p, _ in spelled], longest=longest, seed=0)
        best = as_judged(said, start.speller.end)
    score = made.handle.score(best)
    if how == "none":
        assert (made.handle.model.gain, made.handle.model.bias) == (1, 0)
    else:
        assert abs(float(score.mean())) < 1e-5
    if how == "mean-and-std":
        assert float(score.std(correction=0)) == pytest.approx(1, abs=1e-5)

    untaught()
    again = reward_stage(place, cfg, start, given)
    assert (again.artifact, again.history) == (card, made.history)
    assert torch.equal(again.handle.score(best), score)
    assert again.handle.fingerprint == made.handle.fingerprint


def test_the_numbers_of_a_reward_model_are_of_the_normalised_one(cradle, tmp_path):
    made = reward_stage(Place(tmp_path), TINY.reward, Policy.open(cradle), records().comparisons)
    last = {k: v for k, v in made.history[-1].items() if k.startswith("eval/")}
    assert made.numbers.keys() == {k.removeprefix("eval/") for k in last}
    moved = {"score_mean"}
    for key, value in made.numbers.items():
        near = pytest.approx(last[f"eval/{key}"], abs=1e-5)
        assert (value == near) == (key not in moved), "mean shifts every score, and no difference"


def test_references_leave_room_for_the_longest_prompt(cradle, tmp_path):
    """Prompts of more than half the context are data like any other."""
    start = Policy.open(cradle)
    deep = Comparison.pair(ask("x" * 40), "a", "b")
    wide = Comparison.pair(ask("a"), "x" * 40, "b")
    assert len(start.speller.prompt_ids(deep.prompt)) > start.context // 2
    cfg = TINY.reward.model_copy(update={"normalise": "mean-and-std", "held_out": 0.0})
    reward_stage(Place(tmp_path), cfg, start, [deep, wide])


def test_ppo_stage_with_a_reward_model(start, tmp_path, untaught):
    given = records()
    judged = reward_stage(Place(tmp_path / "r"), TINY.reward, start, given.comparisons)
    place, learned = Place(tmp_path / "p", seed=1), Learned(judged.handle, start.speller)
    more = {"parents": (judged.artifact, "rule r.py:f 00"), "gold": short}
    made = ppo_stage(place, TINY.ppo, start, learned, judged.handle, given.prompts, **more)
    assert made.artifact.parents == (start.fingerprint, judged.artifact.id, "rule r.py:f 00")
    assert made.artifact.hashes["data"] == fingerprint(given.prompts)
    assert made.numbers["objective/kl"] == made.history[-1]["objective/kl"]
    assert "step" not in made.numbers
    assert [row["step"] for row in made.history] == [0, 1, 2]
    assert all(row["eval/true"] < 0 for row in made.history)
    samples = (tmp_path / "p" / "samples.jsonl").read_text().splitlines()
    assert {json.loads(line)["step"] for line in samples} == {0, 1, 2}

    untaught()
    again = ppo_stage(place, TINY.ppo, start, learned, judged.handle, given.prompts, **more)
    assert (again.artifact, again.history) == (made.artifact, made.history)
    rows = texts(start, " ran home.")
    assert torch.equal(again.handle.logp(rows), made.handle.logp(rows))
    moved = (judged.artifact, "rule r.py:f 11")
    with pytest.raises(RunMismatch, match=r"parents.*\"?00.*11"):
        ppo_stage(
            place, TINY.ppo, start, learned, judged.handle, given.prompts, parents=moved, gold=short
        )


def test_ppo_on_adapters(cradle, tmp_path):
    """Policy and critic are two adapters on one trunk, and the reference is its bare base."""
    start, cfg = Policy.open(cradle), TINY.ppo.model_copy(update={"lora": LORA, "lr": 1e-2})
    rows = texts(start, " ran home.", " sat.")
    before, critic = start.logp(rows), Critic.on(start)
    made = ppo_stage(Place(tmp_path), cfg, start, short, critic, records().prompts)
    trunk = start.model.trunk
    assert made.handle.model.trunk is trunk
    assert len(trunk.adapters.configs) == 2
    assert torch.equal(start.logp(rows), before)
    assert (made.handle.logp(rows) - before).abs().max() > 1e-3
    again = ppo_stage(Place(tmp_path), cfg, start, short, critic, records().prompts)
    assert again.handle.model.trunk is not trunk
    assert torch.equal(again.handle.logp(rows), made.handle.logp(rows))
    assert not (tmp_path / "policy" / "model.safetensors").exists()
    assert json.loads((tmp_path / "policy" / "adapter_config.json").read_text())["r"] == 2


def test_a_stage_that_broke_off_before_it_was_sealed(cradle, tmp_path, monkeypatch, untaught):
    """All steps are committed: nothing is learned again, and the artifact is the same."""
    start, given = Policy.open(cradle), records().comparisons
    cfg = TINY.reward.model_copy(update={"normalise": "mean-and-std"})
    whole = reward_stage(Place(tmp_path / "a"), cfg, start, given)
    export = Critic.export

    def broken(critic, folder):
        export(critic, folder)
        raise RuntimeError("out of luck")

    monkeypatch.setattr(Critic, "export", broken)
    with pytest.raises(RuntimeError, match="out of luck"):
        reward_stage(Place(tmp_path / "b"), cfg, start, given)
    assert not (tmp_path / "b" / "reward").exists()
    monkeypatch.setattr(Critic, "export", export)
    untaught()
    made = reward_stage(Place(tmp_path / "b"), cfg, start, given)
    assert made.artifact.id == whole.artifact.id, "the hash of all its files"
    assert made.history == whole.history


# --- another job in the same folder ---


def go(stage, place, start, given=None, **changed):
    """One stage, whichever."""
    given, cfg = given or records(), getattr(TINY, stage).model_copy(update=changed)
    if stage == "sft":
        return sft_stage(place, cfg, start, given.demonstrations)
    if stage == "reward":
        return reward_stage(place, cfg, start, given.comparisons)
    return ppo_stage(place, cfg, start, short, Critic.on(start), given.prompts)


@pytest.mark.parametrize("broken_off", [False, True])
@pytest.mark.parametrize("stage", ["sft", "reward", "ppo"])
def test_another_job_is_refused_by_name(cradle, tmp_path, monkeypatch, stage, broken_off):
    """Whether the first is done, and an artifact, or half done, and a run."""
    place, start, update = Place(tmp_path), Policy.open(cradle), Learner.update

    def broken(learner, *told, **more):
        if learner.version == 1:
            raise RuntimeError("out of luck")
        return update(learner, *told, **more)

    if broken_off:
        monkeypatch.setattr(Learner, "update", broken)
        with pytest.raises(RuntimeError, match="out of luck"):
            go(stage, place, start)
        monkeypatch.setattr(Learner, "update", update)
    else:
        go(stage, place, start)
    with pytest.raises(RunMismatch, match=r"lr was 0\.001 and is now 0\.5"):
        go(stage, place, start, lr=0.5)
    with pytest.raises(RunMismatch, match="seed was 0 and is now 7"):
        go(stage, replace(place, seed=7), start)
    with pytest.raises(RunMismatch, match="model was" if broken_off else "parents"):
        go(stage, place, Policy.open(newborn(tmp_path / "other", seed=1)))
    with pytest.raises(RunMismatch, match="template"):
        go(stage, place, Policy.open(cradle, template="turns"))
    few = records()
    few = [each[1:] for each in (few.prompts, few.comparisons, few.demonstrations)]
    with pytest.raises(RunMismatch, match="data"):
        go(stage, place, start, Records(*few))
    made = go(stage, place, start)
    assert made.artifact == artifact.open_artifact(made.artifact.folder, full=True)


def test_a_tally_over_the_limit_says_what_and_why(cradle, tmp_path):
    start, told = Policy.open(cradle), []
    place = Place(tmp_path, tell=told.append, limit=0.2)
    cfg = TINY.sft.model_copy(update={"longest": 12})
    long = Demonstration(ask("a"), "x" * 40, id="endless")
    good = [Demonstration(ask(who), "sat.", id=who) for who in WHO]
    sft_stage(place, cfg, start, [*good, long])
    assert [said for said in told if "held out" in said] == told[1:]
    assert "demonstrations: 8 of 9 rows kept, 1 dropped" in told[0]
    assert "more than 12 tokens" in told[0]
    with pytest.raises(BadData, match=r"(?s)^demonstrations: .*limit is 20%.*12 tokens.*endless: "):
        sft_stage(Place(tmp_path / "x", limit=0.2), cfg, start, [*good[:3], long])
    pair = Comparison.pair(ask("a"), "x" * 40, "y", id="wide")
    narrow = TINY.reward.model_copy(update={"longest": 12})
    with pytest.raises(BadData, match=r"(?s)^comparisons: .*more than 12 tokens.*wide: "):
        reward_stage(Place(tmp_path / "x"), narrow, start, [pair])
    asked = [Prompt(ask("x" * 70), "far")]
    with pytest.raises(BadData, match=r"(?s)^prompts: .*prompt over 58 tokens.*'far': \d+ tokens"):
        ppo_stage(Place(tmp_path / "x"), TINY.ppo, start, short, None, asked)
    assert not (tmp_path / "x").exists(), "nothing was begun"


# --- all of it ---


def test_a_pipeline_twice(cradle, tmp_path, untaught):
    start, told = Policy.open(cradle), []
    place = Place(tmp_path, save_every=2, tell=told.append)
    way = pipeline.run(place, TINY, start, records(), short)
    kinds = [a.kind for a in Artifact.find(tmp_path)]
    assert sorted(kinds) == ["policy", "policy", "report", "reward"]
    taught = artifact.open_artifact(tmp_path / "sft" / "policy")
    assert way.reward.artifact.parents == (taught.id,)
    assert way.policy.artifact.parents == (taught.id, way.reward.artifact.id)
    assert way.report.parents == (way.reward.artifact.id, way.policy.artifact.id)
    line = str(artifact.lineage(way.report, tmp_path))
    for known in (way.report, way.reward.artifact, way.policy.artifact, taught):
        assert known.short in line
    assert f"{start.fingerprint[:24]}  (not here)" in line
    assert {"winrate", "true_change"} <= way.report.numbers.keys()
    assert told == ["7 rows to learn from, 1 held out"] * 2
    told.clear()

    before = tree(tmp_path)
    untaught()
    again = pipeline.run(place, TINY, Policy.open(cradle), records(), short)
    assert again.report == way.report
    assert (again.policy.artifact, again.policy.history) == (
        way.policy.artifact,
        way.policy.history,
    )
    assert tree(tmp_path) == before
    assert len(told) == 3, "each stage says that it was done before"


def test_a_pipeline_that_broke_off_goes_on_to_the_same_end(cradle, tmp_path, monkeypatch):
    whole = pipeline.run(Place(tmp_path / "a"), TINY, Policy.open(cradle), records(), short)
    learned, prefer = [], reward.prefer

    def broken(*told, **more):
        learned.append(1)
        if len(learned) == 3:
            raise RuntimeError("out of luck")
        return prefer(*told, **more)

    monkeypatch.setattr(reward, "prefer", broken)
    with pytest.raises(RuntimeError, match="out of luck"):
        pipeline.run(Place(tmp_path / "b", save_every=1), TINY, Policy.open(cradle), records())
    monkeypatch.setattr(reward, "prefer", prefer)
    place = Place(tmp_path / "b", save_every=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        way = pipeline.run(place, TINY, Policy.open(cradle), records(), short)
    assert way.policy.artifact.id == whole.policy.artifact.id
    assert way.policy.artifact.files == whole.policy.artifact.files


def test_a_pipeline_without_demonstrations_or_gold_says_who_judged(cradle, tmp_path):
    start = Policy.open(cradle)
    way = pipeline.run(Place(tmp_path), TINY, start, replace(records(), demonstrations=()))
    assert way.reward.artifact.parents == (start.fingerprint,)
    assert not (tmp_path / "sft").exists()
    page = next((tmp_path / "report").glob("*.html")).read_text()
    assert "judged its own pupil" in page


def test_prompts_that_leave_none_for_the_report_are_refused_first(cradle, tmp_path):
    one = replace(records(), prompts=records().prompts[:1])
    with pytest.raises(BadData, match="prompts held out"):
        pipeline.run(Place(tmp_path), TINY, Policy.open(cradle), one)
    assert list(tmp_path.iterdir()) == [], "before an hour of training, not after"


def test_an_answer_as_long_as_the_context_is_a_bad_setting(cradle):
    policy = Policy.open(cradle)
    assert room_for(policy.context - 2, policy) == 1
    with pytest.raises(BadSettings, match=f"reads {policy.context} tokens"):
        room_for(policy.context - 1, policy)
