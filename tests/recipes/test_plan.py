"""`accord plan` tells what a job takes, whether it fits, and which words would make it fit."""

import re

import pytest
import torch
from typer.testing import CliRunner

import seeing
from accord import cli
from accord.engine import room
from accord.engine.memory import PARTS, Estimate, Work, estimate
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.errors import BadModel, BadSettings
from accord.models import gguf
from accord.models.lora import Lora
from accord.models.sketch import config_of
from accord.recipes import plan
from accord.recipes.job import Desk
from accord.recipes.plan import Plan, lines, run_plan
from plan_fakes import remembered
from recipe_fakes import newborn
from tiny import folder

DESK = Desk((), lambda said: None)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder of which all but the config is gone."""
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1}
    sizes |= {"max_position_embeddings": 1100}
    home = folder(tmp_path_factory.mktemp("model"), **sizes)
    for file in home.glob("*.safetensors"):
        file.unlink()
    return str(home)


@pytest.fixture(autouse=True, scope="module")
def once():
    """What was foreseen is kept: most of the tests here ask for the same few plans."""
    with remembered():
        yield


def call(*words: str):
    """(exit code, stdout, stderr) of `accord plan words`."""
    done = CliRunner().invoke(cli.app, ["plan", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def table(said: str) -> dict[str, list[float]]:
    """The numbers of each row, in GB."""
    rows = re.findall(r"^\s*([a-z ]+?)\s+((?:\d+\.\d{3}\s*)+)(?:< peak)?\s*$", said, re.M)
    return {name: [float(x) for x in numbers.split()] for name, numbers in rows}


# --- what is printed ---


def test_the_command_prints_every_part_of_every_phase(model):
    """To three places behind the point."""
    words = ("work=ppo", "batch=16", "prompt=32", "longest=31", "memory=24GB")
    code, said, _ = call(f"model={model}", *words)
    assert code == 0
    told = table(said)
    assert set(told) == {*PARTS, plan.BESIDE, "together"}
    work = Work("ppo", prompt=32, answer=31, batch=16)
    found = estimate(config_of(model), work)
    for parts in found.phases.values():
        parts[plan.BESIDE] = plan.LIBRARIES + int(plan.GAPS * sum(parts.values()))
    assert re.search(r"GB\s+sample\s+judge\s+update", said)
    for part in (*PARTS, plan.BESIDE):
        want = [phase[part] / 1e9 for phase in found.phases.values()]
        assert told[part] == pytest.approx(want, abs=5e-4), part
    assert told["together"] == pytest.approx([found.total(p) / 1e9 for p in found.phases], abs=5e-4)
    assert said.count("< peak") == 1
    assert f"fits: {found.total(found.peak) / 1e9:.2f} GB at the peak, 24.00 GB there" in said
    assert "with" not in said


def test_the_peak_is_marked_in_the_phase_that_holds_most(model):
    long = run_plan(DESK, Plan(model=model, work="ppo", prompt=8, longest=40, batch=16))
    found = long.estimate
    assert long.need == max(sum(told.values()) for told in found.phases.values())
    _, said, _ = call(f"model={model}", "work=ppo", "prompt=8", "longest=40", "batch=16")
    (line,) = [x for x in said.splitlines() if "together" in x]
    marked = line.split(" < peak")[0].split()
    assert len(marked) - 2 == list(found.phases).index(found.peak)


def test_a_tower_has_a_phase_or_is_said_to_be_left_out(tmp_path):
    for kind in ("llava", "qwen2_vl"):
        seeing.folder(tmp_path / kind, kind)
        words = (f"model={tmp_path / kind}", "prompt=16", "longest=8", "memory=24GB")
        code, said, _ = call(*words)
        assert code == 0
        assert bool(re.search(r"GB\s+see\s+update", said)) == (kind == "llava")
        assert ("without its tower's looks" in said) == (kind != "llava")


def test_no_weights_are_read(model):
    assert run_plan(DESK, Plan(model=model)).need > 0


# --- each setting counts ---

BASE = {"work": "ppo", "prompt": 16, "longest": 8, "batch": 8}


@pytest.mark.parametrize(
    "change",
    [
        {"work": "sft"},
        {"work": "reward"},
        {"dtype": "bf16"},
        {"lora": Lora(r=2)},
        {"optimizer": Optimizer(micro_tokens=24)},
        {"optimizer": Optimizer(recompute=True)},
        {"optimizer": Optimizer(bits=8)},
        {"prompt": 32},
        {"longest": 16},
        {"batch": 16},
        {"judge": False},
        {"work": "dpo"},
        {"work": "online"},
        {"work": "grpo"},
        {"work": "rest"},
        {"work": "best"},
    ],
    ids=lambda change: "-".join(change),
)
def test_a_setting_changes_the_plan(model, change):
    before = run_plan(DESK, Plan(model=model, **BASE)).estimate
    after = run_plan(DESK, Plan(model=model, **(BASE | change))).estimate
    assert before != after
    if set(change) & {"lora", "optimizer", "judge"}:
        assert after.total("update") < before.total("update")
    if set(change) & {"prompt", "longest", "batch"}:
        assert after.total("update") > before.total("update")


def test_means_in_main_memory_are_left_out_where_a_gpu_is_planned_for(model):
    away = Optimizer(offload=True)
    here = run_plan(DESK, Plan(model=model, optimizer=away)).estimate
    there = run_plan(DESK, Plan(model=model, optimizer=away, memory="1GB")).estimate
    assert here.phases["update"]["optimizer"] > there.phases["update"]["optimizer"] == 0


def test_frozen_models_in_main_memory_are_left_out_where_a_gpu_is_planned_for(model):
    every = {
        aside: run_plan(
            DESK, Plan(model=model, memory="1GB", on_cpu=aside, **BASE)
        ).estimate.phases["update"]["weights"]
        for aside in ((), ("reference",), ("reward",), ("reference", "reward"))
    }
    start = run_plan(DESK, Plan(model=model, memory="1GB")).estimate.phases["update"]["weights"]
    one = every[()] - every["reference",]
    assert one == every[()] - every["reward",] == (every[()] - every["reference", "reward"]) // 2
    assert one == start // 2  # sft holds the start, and the copy that learns
    here = run_plan(DESK, Plan(model=model, on_cpu=("reference",), **BASE))
    assert here.estimate.phases["update"]["weights"] == every[()]
    tight = run_plan(DESK, Plan(model=model, memory="1KB", **BASE))
    assert any(word.startswith("on_cpu=reference,reward: ") for word in tight.words)
    for settings in ({"work": "sft"}, {"work": "ppo", "lora": Lora()}):
        with pytest.raises(BadSettings, match="whole models"):
            run_plan(DESK, Plan(model=model, on_cpu=("reference",), **settings))


# --- what would help ---


def test_what_does_not_fit_is_told_with_every_remedy_that_is_left(model):
    code, said, _ = call(f"model={model}", "memory=0.001GB")
    assert code == 0
    assert "does not fit" in said
    with_ = re.findall(r"^  with (\S+): (\d+\.\d\d) GB$", said, re.M)
    assert [word for word, _ in with_] == [
        "lora=Lora",
        "optimizer.recompute=true",
        "optimizer.micro_tokens=256",
        "optimizer.bits=8",
        "optimizer.offload=true",
        "dtype=bf16",
    ]


@pytest.mark.parametrize(
    "given",
    [
        "lora=Lora",
        "optimizer.recompute=true",
        "optimizer.bits=8",
        "optimizer.offload=true",
        "dtype=bf16",
    ],
)
def test_what_is_said_already_is_no_remedy(model, given):
    _, said, _ = call(f"model={model}", "memory=0.001GB", given)
    assert f"with {given}" not in said
    assert said.count("  with ") == 5


def test_a_remedy_says_what_the_job_then_takes(model):
    """Each number is that of the plan with the word added."""
    tight = Plan(model=model, memory="1KB")
    promised = dict(word.split(": ") for word in run_plan(DESK, tight).words)
    for word, says in promised.items():
        _, said, _ = call(f"model={model}", "memory=1KB", word)
        assert f"does not fit: {says} at the peak" in said, word


def test_fewer_tokens_are_offered_only_where_they_are_fewer(model, monkeypatch):
    """No micro-batch is smaller than a row; the two answers of a comparison are one row."""
    much = Estimate({"update": {"weights": 10**6}})
    monkeypatch.setattr(plan, "estimate", lambda config, work: much)
    for settings, fewer in (
        ({"prompt": 700, "longest": 400}, None),
        ({"prompt": 300, "longest": 100}, 400),
        ({"work": "reward", "prompt": 300, "longest": 100}, 500),
        ({"optimizer": Optimizer(micro_tokens=200)}, None),
    ):
        words = run_plan(DESK, Plan(model=model, memory="1KB", **settings)).words
        found = [w for w in words if w.startswith("optimizer.micro_tokens")]
        assert [w.split(": ")[0] for w in found] == (
            [f"optimizer.micro_tokens={fewer}"] if fewer else []
        )


def test_the_verdict_is_on_the_edge(model):
    need = run_plan(DESK, Plan(model=model)).need
    just, less = (
        run_plan(DESK, Plan(model=model, memory=f"{x / 1000}KB")) for x in (need, need - 1)
    )
    assert lines(just)[0].startswith("fits: ")
    assert lines(less)[0].startswith("does not fit: ")


# --- what there is ---


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("24GB", 24 * 10**9),
        ("24 gb", 24 * 10**9),
        ("1.5GiB", 3 * 2**29),
        ("700MB", 7 * 10**8),
        ("2MiB", 2**21),
        ("1TB", 10**12),
        ("2tib", 2**41),
        ("3kib", 3072),
    ],
)
def test_memory_is_a_number_with_a_unit(model, said, found):
    assert run_plan(DESK, Plan(model=model, memory=said)).room == found


@pytest.mark.parametrize("said", ["24", "lots", "GB", "-1GB", "1.2.3GB", "24PB", "nanGB"])
def test_other_words_for_memory_are_refused(model, said):
    with pytest.raises(BadSettings, match=r"memory=.*say a number with a unit, as 24GB"):
        run_plan(DESK, Plan(model=model, memory=said))


def test_memory_is_by_default_what_this_machine_has_left(model, monkeypatch):
    monkeypatch.setattr(room, "free", lambda device: 12345)
    assert run_plan(DESK, Plan(model=model)).room == 12345
    monkeypatch.setattr(room, "free", lambda device: None)
    with pytest.raises(BadSettings, match="say memory=24GB"):
        run_plan(DESK, Plan(model=model))


def test_a_gpu_is_asked_where_there_is_one(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(room, "free", lambda device: asked.append(device.type) or 1)
    plan.machine()
    assert asked == ["cuda"]


def test_on_a_cpu_nothing_is_promised_of_main_memory(model, monkeypatch):
    monkeypatch.setattr(room, "free", lambda device: 12345)
    words = [word.split(":")[0] for word in run_plan(DESK, Plan(model=model, work="ppo")).words]
    assert "lora=Lora" in words
    assert not any(word.startswith(("optimizer.offload", "on_cpu")) for word in words)


def test_the_libraries_and_gaps_are_needed_too(model):
    """A job whose tensors alone would fit does not."""
    tensors = estimate(config_of(model), Work("sft"))
    much = tensors.total(tensors.peak)
    found = run_plan(DESK, Plan(model=model, memory=f"{(much + plan.LIBRARIES) / 1000}KB"))
    assert lines(found)[0].startswith("does not fit: ")
    assert found.need == much + plan.LIBRARIES + int(plan.GAPS * much)


# --- refusals ---


@pytest.mark.parametrize(("prompt", "longest"), [(1000, 101), (1, 1100)])
def test_a_row_beyond_the_context_is_refused(model, prompt, longest):
    with pytest.raises(BadSettings, match="this model reads 1100 tokens"):
        run_plan(DESK, Plan(model=model, prompt=prompt, longest=longest))


def test_an_adapter_is_planned_as_its_base_with_its_shape(tmp_path):
    start = Policy.open(newborn(tmp_path / "base"))
    start.trainable(lr=1e-3, lora=Lora(r=3, targets="q_proj,v_proj")).export(tmp_path / "adapter")
    sizes = {"prompt": 16, "longest": 8}
    found = run_plan(DESK, Plan(model=str(tmp_path / "adapter"), **sizes)).estimate
    asked = Lora(r=3, targets="q_proj,v_proj")
    assert found == run_plan(DESK, Plan(model=str(tmp_path / "base"), lora=asked, **sizes)).estimate
    with pytest.raises(BadSettings, match="an adapter of r=3"):
        run_plan(DESK, Plan(model=str(tmp_path / "adapter"), lora=Lora(r=4), **sizes))


def test_a_gguf_file_is_planned_as_what_is_made_of_it(tmp_path, monkeypatch):
    home = newborn(tmp_path / "home")
    monkeypatch.setattr(gguf, "as_folder", lambda x: home if str(x).endswith(".gguf") else x)
    sizes = {"prompt": 16, "longest": 8}
    one, two = (run_plan(DESK, Plan(model=m, **sizes)) for m in ("a.gguf", str(home)))
    assert one.estimate == two.estimate


def test_what_cannot_be_planned_is_one_sentence(model, tmp_path):
    with pytest.raises(BadModel, match="there is no such folder"):
        run_plan(DESK, Plan(model=str(tmp_path / "no" / "where")))
    with pytest.raises(BadModel, match=r"has no config\.json"):
        run_plan(DESK, Plan(model=str(tmp_path)))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BadModel, match=r"bert .*a decoder is needed"):
        run_plan(DESK, Plan(model=str(tmp_path)))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "model"),
        (("model=m", "work=pipeline"), "sft | reward | dpo | online | ppo | grpo | rest | best"),
        (("model=m", "dtype=int8"), "fp32 | bf16"),
        (("model=m", "batch=0"), "batch"),
        (("model=m", "tokens=3"), "no setting 'tokens'"),
    ],
)
def test_a_wrong_word_is_named(words, says):
    code, _, said = call(*words)
    assert code == 2
    assert says in " ".join(said.split())


def test_a_real_folder_and_its_config_alone_are_planned_alike(tmp_path):
    whole, sizes = newborn(tmp_path / "whole"), {"prompt": 16, "longest": 8}
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_text((whole / "config.json").read_text())
    first, second = (run_plan(DESK, Plan(model=str(x), **sizes)).estimate for x in (whole, bare))
    assert first == second
