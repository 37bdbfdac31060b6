"""What is foreseen of a job's memory is what the job then takes."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import seeing
from accord.data.rows import choices, pad
from accord.engine.draw import Sampling
from accord.engine.live import Live, watched
from accord.engine.memory import Work, estimate
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.maths.losses import Loss, nll
from accord.maths.weights import even, weigh
from accord.models import vision
from accord.models.attention import NAME
from accord.models.forms import still
from accord.models.heads import Speaker
from accord.models.lora import Lora
from accord.models.trunk import Trunk
from accord.text.images import PLACES
from toys import ToySpeller

PROMPT = ANSWER = 32
ROWS = 24
KINDS = {
    "llama": {"num_key_value_heads": 2},
    "qwen2": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "gpt2": {
        "n_embd": 128,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 128,
        "bos_token_id": 0,
        "eos_token_id": 1,
    },
}
WIDE = {
    "vocab_size": 1000,
    "hidden_size": 128,
    "intermediate_size": 344,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
MODELS = {
    "llama": WIDE | KINDS["llama"],
    "qwen2": WIDE | KINDS["qwen2"],
    "gpt2": KINDS["gpt2"] | {"vocab_size": 1000},
}


def config_of(kind: str):
    return AutoConfig.for_model(kind, **MODELS[kind])


def policy_of(kind: str) -> Policy:
    config = config_of(kind)
    still(config)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=NAME)
    return Policy(Speaker(Trunk(model.eval().requires_grad_(False))), ToySpeller())


def say(n: int, length: int) -> list[tuple[int, ...]]:
    return [(5,) * length for _ in range(n)]


def imitate(model, tokens) -> Loss:
    return nll(model(tokens).logp_BT)


def foresee(model, tokens) -> Loss:
    return Loss((model(tokens) - 1) ** 2)


def prefer(model, rows) -> Loss:
    score_BK = model.compare(rows)
    return Loss(-torch.nn.functional.logsigmoid(score_BK[:, 0] - score_BK[:, 1]))


TOKENS = pad(say(ROWS, PROMPT), say(ROWS, ANSWER))
PAIRS = choices(say(ROWS, PROMPT), [say(2, ANSWER)] * ROWS)


def taken(kind: str, work: Work) -> int:
    """The most a real step holds, counted from the loading of the model on."""
    how = {
        "lr": 1e-4,
        "lora": work.lora,
        "optimizer": Optimizer(
            micro_tokens=work.micro_tokens, recompute=work.recompute, bits=work.bits
        ),
    }
    weight = weigh(TOKENS.mask_BT)

    def step() -> None:
        start = policy_of(kind)
        if work.kind == "sft":
            keep(start.trainable(**how)).update(TOKENS, weight, imitate)
        if work.kind == "reward":
            keep(Critic.on(start).trainable(**how)).update(PAIRS, even(ROWS), prefer)
        if work.kind == "ppo":
            judge = Critic.on(policy_of(kind))
            policy, critic = keep(start.trainable(**how)), keep(judge.trainable(**how))
            for _ in range(2):  # the second finds the moments there
                policy.update(TOKENS, weight, imitate)
                critic.update(TOKENS, weight, foresee)

    def keep(handle):
        handle.kept = True
        few, objective = (TOKENS, imitate) if isinstance(handle, Policy) else (PAIRS, prefer)
        if work.kind != "ppo":  # moments are there from the first step on
            handle.update(few, weight if few is TOKENS else even(ROWS), objective)
        return handle

    return watched(step)


@pytest.mark.parametrize(
    ("kind", "work"),
    [
        ("llama", Work("sft")),
        ("qwen2", Work("sft", lora=Lora())),
        ("gpt2", Work("reward")),
        ("llama", Work("reward", recompute=True)),
        ("qwen2", Work("ppo")),
        ("llama", Work("sft", bits=8)),
    ],
    ids=["sft", "sft, LoRA", "reward", "reward, recompute", "ppo", "sft, 8 bits"],
)
def test_an_update_takes_what_was_foreseen(kind, work):
    sizes = {"prompt": PROMPT, "answer": ANSWER, "batch": ROWS, "micro_tokens": 512}
    work = Work(**vars(work) | sizes)
    foreseen, found = estimate(config_of(kind), work).total("update"), taken(kind, work)
    print(f"{kind} {work.kind}: {foreseen / 1e6:.1f} MB foreseen, {found / 1e6:.1f} measured")
    assert foreseen == pytest.approx(found, rel=0.15)


@pytest.mark.parametrize("kind", MODELS)
def test_sampling_takes_what_was_foreseen(kind):
    told = estimate(config_of(kind), Work("ppo", prompt=64, answer=48, batch=64, judge=False))
    policy = policy_of(kind)
    assert (policy.decoder == "own") == (kind != "gpt2")
    asked = [(5,) * 63 + (i,) for i in range(2, 66)]  # none alike: each is read by itself
    found = watched(lambda: policy.sample(asked, longest=48, seed=0, how=Sampling()))
    rest = told.phases["sample"]
    foreseen = rest["cache"] + rest["logits and scratch"]
    print(f"sampling: {foreseen / 1e6:.1f} MB foreseen, {found / 1e6:.1f} measured")
    assert foreseen == pytest.approx(found, rel=0.15)


def test_a_tower_takes_what_was_foreseen(tmp_path, monkeypatch):
    """At its first look at as many pictures as it looks at together."""
    monkeypatch.setattr(vision, "PATCHES", 64)
    seeing.folder(tmp_path / "model")
    policy = Policy.open(tmp_path / "model")
    colours = [f"#{n:02x}4080" for n in range(16)]
    paths = [seeing.picture(tmp_path / f"{c[1:]}.png", c) for c in colours]
    asked = [policy.speller.prompt_ids(seeing.about(path)) for path in paths]
    names = [-1 - min(ids) >> PLACES for ids in asked]
    eyes = policy.model.trunk.eyes
    assert eyes.family.lot == len(set(names)) == 16
    found = watched(lambda: eyes.look(names))
    assert eyes.kept.looks == 16
    rest = estimate(policy.model.trunk.model.config, Work("sft")).phases["see"]
    print(f"looking: {rest['logits and scratch']:,} bytes foreseen, {found:,} measured")
    assert rest["logits and scratch"] == pytest.approx(found, rel=0.15)


def test_the_count_falls_when_a_tensor_goes():
    with Live() as live:
        made = torch.zeros(1000)
        seen = made[:10]
        assert live.now == 4000
        del made
        assert live.now == 4000  # a view keeps its storage
        del seen
    assert (live.now, live.peak) == (0, 4000)


def test_means_that_lie_elsewhere_are_not_counted():
    here, there = (
        estimate(config_of("llama"), Work("sft", offload=away)).phases["update"]
        for away in (False, True)
    )
    assert here["optimizer"] > 0
    assert there["optimizer"] == 0
    assert {**here, "optimizer": 0} == there
