"""Every preset that ships runs, at a size of two steps; and text beside PPO is in its gradient."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from accord.config import as_preset, plain, read_each
from accord.config.presets import find, presets
from accord.data.comparisons import Spelled
from accord.data.sources import read_texts, write
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.errors import BadSettings
from accord.maths.losses import nll
from accord.maths.weights import weigh
from accord.models.heads import Speaker
from accord.models.trunk import Trunk
from accord.recipes.dpo_job import run_dpo
from accord.recipes.grpo_job import run_grpo
from accord.recipes.job import Desk
from accord.recipes.jobs import run_ppo, run_reward, run_sft
from accord.recipes.mixing import Mixer, Ptx
from accord.records import Comparison, Fact, ask
from accord.verbs import VERBS
from recipe_fakes import newborn, records
from tiny import rows, tiny
from toys import ToySpeller, in_float64

SHIPPED = [
    (verb, p.name) for verb in ("sft", "reward", "dpo", "ppo", "grpo") for p in presets(verb)
]
_RATES = ("lr", "batch", "epochs")
_PPO = (
    *_RATES, "minibatches", "temperature", "longest", "kl.beta", "gae.gamma", "gae.lam",
    "clip.eps", "clip.eps_value",
)  # fmt: skip
_GRPO = ("longest", "weigh_by", "loss.ratio", "loss.low", "loss.high", "minibatches")
SAID: dict[tuple[str, str], dict[str, object]] = {
    ("ppo", "ziegler"): dict(zip(_PPO, (1e-5, 512, 4, 1, 0.7, 24, 0.15, 1, 0.95, 0.2, 0.2)))
    | {"kl.target": 6, "kl.horizon": 10_000, "optimizer.eps": 1e-5, "optimizer.form": "tf"}
    | {"missing_eos.value": -1, "missing_eos.after": 16, "whiten": "both"}
    | {"optimizer.max_norm": None, "schedule.kind": "Linear"},
    ("ppo", "tldr"): dict(zip(_PPO, (3e-6, 512, 4, 1, 0.7, 53, 0.05, 1, 0.95, 0.2, 0.2)))
    | {"kl.kind": "FixedKL", "optimizer.eps": 1e-5, "missing_eos.value": -1}
    | {"optimizer.max_norm": None, "schedule.kind": "Linear", "whiten": "advantages"},
    ("ppo", "instructgpt"): dict(zip(_PPO, (5e-6, 512, 1, 8, 1, 1024, 0.02, 1, 0.95, 0.2, 0.2)))
    | {"lr_critic": 9e-6, "schedule.kind": "Constant", "schedule.warmup": 10}
    | {"ptx.coef": 27.8, "ptx.share": 8, "average": 0.992},
    ("ppo", "hh"): {"kl.beta": 0.001, "gae.gamma": 1, "clip.eps": 0.2},
    ("ppo", "llava-rlhf"): dict(zip(_PPO, (3e-5, 512, 2, 2, 1, 896, 0.1, 1, 1, 0.2, 0.2)))
    | {"kl.by": "positive", "missing_eos.value": -8, "missing_eos.kind": "Relative"}
    | {"schedule.kind": "Cosine", "schedule.warmup": 5, "shape.scale": 10, "lora.r": 64}
    | {"lora.alpha": 16, "optimizer.max_norm": 1},
    ("ppo", "llava-rlhf-code"): dict(zip(_PPO, (3e-5, 512, 2, 2, 1, 896, 0.1, 1, 1, 0.2, 0.2)))
    | {"kl.by": "positive", "missing_eos.value": -8, "missing_eos.kind": "Questions"}
    | {"shape.scale": 10, "lora.r": 64, "critic": "trunk"},
    ("grpo", "grpo"): dict(zip(_GRPO, (1024, "sequence", "token", 0.2, 0.2, 1)))
    | {"group": 64, "batch": 16, "baseline.scale": True, "kl.beta": 0.04, "kl.by": "k3"}
    | {"lr": 1e-6, "kl.kind": "LossKL", "epochs": 1},
    ("grpo", "rloo"): dict(zip(_GRPO, (53, "constant", "token", None, None, 1)))
    | {"baseline.kind": "LeaveOneOut", "kl.kind": "RewardKL", "kl.spread": "answer", "group": 4},
    ("grpo", "dr-grpo"): dict(zip(_GRPO, (3000, "constant", "token", 0.2, 0.2, 1)))
    | {"baseline.kind": "GroupMean", "baseline.scale": False, "kl": None, "group": 8},
    ("grpo", "reinforce++"): {"baseline.kind": "BatchNorm", "kl.spread": "token", "kl.by": "k1"}
    | {"group": 1, "loss.low": 0.2, "loss.high": 0.2, "kl.kind": "RewardKL"},
    ("grpo", "gspo"): dict(zip(_GRPO, (4096, "sequence", "sequence", 3e-4, 4e-4, 4)))
    | {"baseline.scale": True, "kl": None},
    ("grpo", "dapo"): dict(zip(_GRPO, (20480, "token", "token", 0.2, 0.28, 16)))
    | {"batch": 512, "group": 16, "kl": None, "lr": 1e-6, "schedule.warmup": 20}
    | {"missing_eos.kind": "Overlong", "missing_eos.last": 4096, "baseline.scale": True},
    ("reward", "ziegler"): dict(zip(_RATES, (5e-5, 32, 1)))
    | {"loss.kind": "BestOfK", "normalise": "mean-and-std", "schedule.kind": "Linear"},
    ("reward", "tldr"): dict(zip(_RATES, (3e-6, 64, 1)))
    | {"optimizer.eps": 1e-5, "schedule.kind": "Cosine", "normalise": "mean"},
    ("reward", "instructgpt"): dict(zip(_RATES, (9e-6, 64, 1)))
    | {"schedule.kind": "Cosine", "schedule.floor": 0.1},
    ("reward", "llama2"): dict(zip(_RATES, (1e-5, 512, 1))) | {"loss.margin": True},
    ("reward", "llava-rlhf"): {"loss.centre": 1e-3, "lora.r": 64, "lora.alpha": 16},
    ("reward", "fact-rlhf"): {"loss.centre": 1e-3, "lora.r": 64, "lora.alpha": 16}
    | {"shown.kind": "Request", "shown.facts": True},
    ("reward", "trl"): {"loss.centre": 0.01},
    ("reward", "hh"): dict(zip(_RATES, (1e-5, 64, 1))),
    ("dpo", "rafailov"): dict(zip(_RATES, (1e-6, 64, 1)))
    | {"loss.beta": 0.1, "schedule.warmup": 150, "optimizer.max_norm": 10, "longest": 512},
    ("dpo", "tldr"): dict(zip(_RATES, (3e-6, 64, 1)))
    | {"loss.beta": 0.05, "schedule.kind": "Cosine", "optimizer.eps": 1e-5},
    ("dpo", "tulu3"): {"loss.kind": "NormDPO", "loss.beta": 5, "lr": 5e-7},
    ("dpo", "simpo"): {"loss.kind": "SimPO", "loss.beta": 2, "loss.gamma": 1},
    ("dpo", "orpo"): {"loss.kind": "ORPO", "loss.lam": 0.1},
    ("dpo", "kto"): {"loss.kind": "KTO", "loss.beta": 0.1},
    ("dpo", "rpo"): {"loss.kind": "RPO", "loss.beta": 0.1, "loss.alpha": 1},
    ("dpo", "lora"): {"loss.kind": "DPO", "lora.r": 16, "lora.alpha": 16},
    ("sft", "tldr"): dict(zip(_RATES, (3e-6, 128, 1)))
    | {"optimizer.eps": 1e-5, "schedule.kind": "Cosine", "loss_on": "all"},
    ("sft", "small"): dict(zip(_RATES, (1e-3, 128, 2))),
    ("sft", "medium"): dict(zip(_RATES, (3e-4, 128, 2))),
    ("sft", "large"): dict(zip(_RATES, (2e-5, 128, 1))),
    ("sft", "lora"): dict(zip(_RATES, (2e-4, 64, 1))) | {"lora.r": 16, "lora.alpha": 16},
    ("sft", "qlora"): {"lr": 2e-4, "batch": 16, "lora.r": 64, "optimizer.max_norm": 0.3},
}
"""the numbers that the sources give (those of the tables in docs/methods), but for ours"""
SIZE = {
    "sft": ("batch=4", "epochs=1", "longest=60", "held_out=0"),
    "reward": ("batch=4", "epochs=1", "longest=60", "held_out=0"),
    "dpo": ("batch=4", "epochs=1", "longest=60", "held_out=0"),
    "ppo": ("steps=2", "batch=4", "longest=5"),
    "grpo": ("steps=2", "batch=4", "longest=5", "minibatches=2", "lr=1e-3"),
}
NEEDED = {
    "sft": ("model=m", "data=d"),
    "reward": ("model=m", "data=d"),
    "dpo": ("model=m", "data=d"),
    "ppo": ("model=m", "prompts=p"),
    "grpo": ("model=m", "prompts=p", "reward=r"),
}
WORK = {
    "sft": run_sft,
    "reward": run_reward,
    "dpo": run_dpo,
    "ppo": run_ppo,
    "grpo": run_grpo,
}
DESK = Desk((), lambda said: None)


def known(talk):
    """The prompt with a fact, for those who are shown facts."""
    return (replace(talk[0], content=(*talk[0].content, Fact("it ran"))),)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, and files of what people gave."""
    home = tmp_path_factory.mktemp("presets")
    newborn(home / "model")
    given = records()
    write(home / "ask.jsonl", given.prompts)
    write(home / "say.jsonl", given.demonstrations)
    fours = [
        Comparison(
            ask(f"{c.prompt[0].text} {n}"),
            (*c.responses, " sat.", " ran."),
            (0, 2, 1, 3),
            id=f"{i}{n}",
        )
        for i, c in enumerate(given.comparisons)
        for n in "ab"
    ]
    pairs = [
        replace(c, prompt=known(c.prompt), strength=1.0, id=f"p{c.id}") for c in given.comparisons
    ]
    write(home / "fours.jsonl", fours)
    write(home / "judged.jsonl", pairs)
    texts = [json.dumps({"text": f"{d.prompt[0].text}{d.response}"}) for d in given.demonstrations]
    (home / "texts.jsonl").write_text("\n".join(texts) + "\n")
    (home / "rule.py").write_text("def likes(prompt, answer, ended):\n    return len(answer) / 7\n")
    job = ("model=" + str(home / "model"), "data=" + str(home / "judged.jsonl"))
    run_reward(DESK, *read_each(VERBS["reward"].classes(), None, [*job, f"out={home}/judge"]))
    return home


@pytest.mark.parametrize(("verb", "name"), SHIPPED)
def test_a_preset_runs(place, tmp_path, verb, name):
    """With sizes alone made small; what it makes is finite."""
    path = find(verb, Path(name))
    words = [f"model={place}/model", f"out={tmp_path}", *SIZE[verb]]
    if verb == "ppo":
        whole = path.read_text()
        words += [f"prompts={place}/ask.jsonl", f"reward={place}/judge/reward"]
        words += [f"ptx_data={place}/texts.jsonl"] if "ptx:" in whole else []
        words += ["minibatches=2"] if "minibatches:" in whole else []
    elif verb == "grpo":
        words += [f"prompts={place}/ask.jsonl", f"rule={place}/rule.py:likes"]
        words += ["missing_eos.last=2"] if "Overlong" in path.read_text() else []
        words += ["group=4"] if name != "reinforce++" else []
    else:
        file = (
            "say" if verb == "sft" else "fours" if name in ("instructgpt", "ziegler") else "judged"
        )
        words += [f"data={place}/{file}.jsonl"]
        if "shown:" in path.read_text():  # the words are too many for this model
            words += ["shown.request={facts}?", "shown.known=", "shown.opening=So"]
    if "lora:" in path.read_text():  # no side of this model is 64 wide
        words += ["lora.r=4"]
    given = read_each(VERBS[verb].classes(), path, words)
    made = WORK[verb](DESK, *given)
    assert len(made.history) >= 2
    losses = [v for line in made.history for k, v in line.items() if "loss" in k]
    assert losses
    assert all(math.isfinite(loss) for loss in losses)
    if "ptx:" in path.read_text():
        assert all("loss/ptx" in str(line) for line in made.history)


@pytest.mark.parametrize(("verb", "name"), SHIPPED)
def test_a_preset_has_the_numbers_of_its_source(verb, name):
    (_, cfg) = read_each(VERBS[verb].classes(), find(verb, Path(name)), NEEDED[verb])
    told = plain(cfg)
    for key, want in SAID[verb, name].items():
        found = told
        for part in key.split("."):
            found = found[part]
        assert found == want, key


@pytest.mark.parametrize(("verb", "name"), SHIPPED)
def test_a_preset_says_what_it_is_and_where_from(verb, name):
    one = next(p for p in presets(verb) if p.name == name)
    assert len(one.about) > 20
    assert one.text.count("# run:") == 1
    assert re.search(r"\bon .+[0-9]", one.ran), (
        f"{verb} {name}: ran what, on what, with what result?"
    )
    given = read_each(VERBS[verb].classes()[1:], one.path, [])
    assert as_preset(*given) != as_preset(*read_each(VERBS[verb].classes()[1:], None, []))


def test_text_to_remember_and_what_remembers_it_go_together(place):
    words = [f"model={place}/model", f"prompts={place}/ask.jsonl", f"reward={place}/judge/reward"]
    for name, more, said in (
        ("instructgpt", [], "ptx_data=FILE, or ptx=none"),
        ("tldr", [f"ptx_data={place}/texts.jsonl"], "say ptx=Ptx"),
    ):
        given = read_each(VERBS["ppo"].classes(), find("ppo", Path(name)), [*words, *more])
        with pytest.raises(BadSettings, match=said):
            run_ppo(DESK, *given)


def test_a_name_that_nearly_fits():
    path = Path
    with pytest.raises(BadSettings, match="did you mean 'ziegler'"):
        find("ppo", path("zigler"))
    assert find("ppo", None) is None
    assert find("ppo", path("own/file.yaml")) == path("own/file.yaml")


# --- PPO-ptx ---

TEXTS = [Spelled((5,), ((6, 7, 8, 9),), (0,), None, None, f"t{i}") for i in range(3)]


def exact(micro=None) -> Policy:
    speaker = Speaker(Trunk(in_float64(tiny().double()), "tiny"))
    how = Optimizer(micro_tokens=micro, max_norm=1e9)
    policy = Policy(speaker, ToySpeller()).trainable(lr=0.1, optimizer=how)
    policy.kept = True
    return policy


def gradient(policy, beside=(), scale=1.0):
    """The gradient an update steps along."""
    few, grads = rows(), {}
    policy.learner.steps.step = lambda lr: grads.update(
        {n: w.grad.clone() for n, w in policy.learner.weights.items()}
    )
    w = scale * weigh(few.mask_BT).double()
    policy.update(few, w, lambda m, t: nll(m(t).logp_BT), beside=beside)
    return grads


@pytest.mark.parametrize("micro", [None, 1, 9])
def test_text_adds_its_own_gradient_and_nothing_else(micro):
    terms = Ptx(coef=3.0, share=1.0).terms(TEXTS)
    terms = terms._replace(weight=terms.weight.double())
    both = gradient(exact(micro), [terms])
    alone, text = gradient(exact()), gradient(exact(), [terms], scale=0.0)
    for name, grad in both.items():
        torch.testing.assert_close(grad, alone[name] + text[name], atol=1e-10, rtol=0, msg=name)
    assert max(float(g.abs().max()) for g in text.values()) > 1e-3
    more = Ptx(coef=6.0, share=1.0).terms(TEXTS)
    twice = gradient(exact(), [more._replace(weight=more.weight.double())], scale=0.0)
    for name, grad in twice.items():
        torch.testing.assert_close(grad, 2 * text[name], atol=1e-10, rtol=0, msg=name)


def test_texts_of_an_update_are_a_function_of_the_seed():
    mixer = Mixer(Ptx(share=0.5), TEXTS, 8, (2, 2), seed=4)
    names = [mixer.at(step, update)[0].names for step in range(2) for update in range(4)]
    assert names == [mixer.at(s, u)[0].names for s in range(2) for u in range(4)]
    assert all(len(few) == 2 for few in names)
    seen = [name for few in names for name in few]
    assert {seen.count(f"t{i}") for i in range(3)} <= {5, 6}
    assert Mixer(None, (), 8, (2, 2), seed=4).at(0, 0) == []
    for ptx, texts in ((Ptx(), ()), (None, TEXTS)):
        with pytest.raises(BadSettings, match="ptx"):
            Mixer(ptx, texts, 8, (2, 2), seed=0)


def test_plain_texts_are_read_as_answers_to_nobody(tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "One day."}\n{"prompt": "A", "response": " b"}\n{"text": " "}\n')
    found = read_texts(file)
    assert [(r.prompt, r.response) for r in found.records] == [
        ((), "One day."),
        (ask("A"), " b"),
    ]
    assert found.tally.dropped == {"empty answer": 1}
