"""What is foreseen of a method's memory is what its own recipe then takes, from the first model to
the last step.
"""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from accord.data.comparisons import Spelled
from accord.engine.live import watched
from accord.engine.memory import Work, estimate
from accord.engine.roles import Critic, Policy
from accord.engine.steps import Optimizer
from accord.engine.trailing import Refresh
from accord.errors import BadSettings
from accord.maths.selection import Percentile
from accord.models.attention import NAME
from accord.models.forms import still
from accord.models.heads import Speaker
from accord.models.lora import Lora
from accord.models.trunk import Trunk
from accord.recipes import dpo, grpo, online, rest
from accord.recipes.common import Asked
from accord.recipes.growing import Given, Grow
from accord.recipes.improving import Improve
from accord.recipes.job import Desk
from accord.recipes.plan import Plan, run_plan
from accord.rewards.learned import Learned
from accord.store.run import Run
from plan_fakes import remembered
from toys import ToySpeller

PROMPT, ANSWER, BATCH, GROUP, MICRO = 24, 20, 8, 4, 256
SIZES = {
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
DESK = Desk((), lambda said: None)
CONFIG = AutoConfig.for_model("llama", vocab_size=800, **SIZES)


class Wide(ToySpeller):
    """Spells ids as numbers."""

    vocab = 800

    def decode(self, ids, *, special: bool = False) -> str:
        return " ".join(map(str, ids))


def fresh() -> Policy:
    config = AutoConfig.for_model(**CONFIG.to_dict())
    still(config)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=NAME)
    return Policy(Speaker(Trunk(model.eval().requires_grad_(False))), Wide())


def judge(judged: bool, start: Policy):
    """A reward model of the same size, or a rule."""
    if judged:
        return Learned(Critic.on(fresh()), start.speller)
    return lambda said: [float(sum(r.response_ids)) for r in said]


def asked(count: int) -> list[Asked]:
    return [Asked(str(i), (*(5,) * (PROMPT - 1), 6 + i)) for i in range(count)]


def step(work: Work) -> None:
    """Some steps of the recipe, with everything it needs made first."""
    torch.manual_seed(0)
    how = {"optimizer": Optimizer(micro_tokens=MICRO), "lora": work.lora}
    start, few = fresh(), asked(BATCH)
    if work.kind == "dpo":
        rows = [
            Spelled(a.ids, ((7,) * ANSWER, (8,) * ANSWER), (0, 1), None, None, a.id) for a in few
        ]
        dpo.train(dpo.Preference(batch=BATCH, epochs=2, **how), Run(), start, rows, rows * 24)
        return
    reward, sized = judge(work.judge, start), {"longest": ANSWER}
    if work.kind == "online":
        refresh = Refresh(1) if work.refresh else None
        cfg = online.Online(batch=BATCH, n=GROUP, steps=2, refresh=refresh, **sized, **how)
        online.train(cfg, Run(), start, reward, few)
    if work.kind == "grpo":
        cfg = grpo.GRPO(batch=BATCH, group=GROUP, steps=2, **sized, **how)
        grpo.train(cfg, Run(), start, reward, few)
    if work.kind == "rest":
        grow = Grow(n=GROUP, **sized)
        improve = Improve(batch=BATCH, keep=Percentile((0.5, 0.7)), measure_every=2, **how)
        given = Given(asked(2 * BATCH), (), asked(200))
        rest.train(rest.ReST(grow=grow, improve=improve), rest.Walk(), start, reward, given)


@pytest.mark.parametrize(
    "work",
    [
        Work("dpo"),
        Work("dpo", lora=Lora()),
        Work("online", n=GROUP),
        Work("online", n=GROUP, refresh=True, judge=False),
        Work("grpo", n=GROUP),
        Work("grpo", n=GROUP, lora=Lora(), judge=False),
        Work("rest", n=GROUP, lot=2 * BATCH * GROUP),
        Work("rest", n=GROUP, lot=2 * BATCH * GROUP, judge=False),
    ],
    ids=lambda work: f"{work.kind}{', LoRA' * bool(work.lora)}{', rule' * (not work.judge)}",
)
def test_a_recipe_takes_what_was_foreseen(work):
    sizes = {"prompt": PROMPT, "answer": ANSWER, "batch": BATCH, "micro_tokens": MICRO}
    told = estimate(CONFIG, Work(**vars(work) | sizes))
    foreseen, found = told.total(told.peak), watched(lambda: step(work))
    print(
        f"{work.kind}: {foreseen / 1e6:.1f} MB foreseen ({told.peak}), {found / 1e6:.1f} measured"
    )
    assert foreseen == pytest.approx(found, rel=0.15)


# --- what is asked for ---


@pytest.fixture(autouse=True, scope="module")
def once():
    """What was foreseen is kept: most of the tests here ask for the same few plans."""
    with remembered():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A folder with a config alone."""
    home = tmp_path_factory.mktemp("model")
    CONFIG.save_pretrained(home)
    return str(home)


FEW = {"prompt": 64, "longest": 32, "batch": 4}


@pytest.mark.parametrize(
    ("work", "usual"), [("online", online.Online().n), ("grpo", grpo.GRPO().group), ("best", 16)]
)
def test_answers_to_a_prompt_count_and_are_by_default_those_of_the_command(model, work, usual):
    none, same, more = (
        run_plan(DESK, Plan(model=model, work=work, n=n, **FEW)).estimate
        for n in (None, usual, usual + 16)
    )
    assert none == same != more
    assert ("update" in none.phases) == (work != "best")


@pytest.mark.parametrize("work", ["online", "ppo", "grpo", "rest", "best"])
def test_a_reward_model_is_one_model_more(model, work):
    alone = run_plan(DESK, Plan(model=model, work="best", judge=False, **FEW)).estimate
    judged, ruled = (
        run_plan(DESK, Plan(model=model, work=work, judge=said, **FEW)).estimate
        for said in (True, False)
    )
    more = judged.phases["sample"]["weights"] - ruled.phases["sample"]["weights"]
    assert more == pytest.approx(alone.phases["sample"]["weights"], abs=4 * 97)  # and its head


def test_a_reference_that_follows_is_a_copy_more(model):
    still, follows = (
        run_plan(DESK, Plan(model=model, work="online", refresh=said, judge=False, **FEW)).estimate
        for said in (False, True)
    )
    one, two = (x.phases["update"]["weights"] for x in (still, follows))
    assert two - one == one // 2  # start, policy


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"work": "sft", "n": 4}, "n= is for work=online, grpo or best"),
        ({"work": "rest", "n": 4}, "n= is for work=online, grpo or best"),
        ({"work": "ppo", "refresh": True}, "refresh= is for work=online"),
        ({"work": "dpo", "judge": False}, "judge= is for work=online"),
        ({"work": "grpo", "judge": False, "on_cpu": ("reward",)}, "on_cpu=reward goes with"),
        ({"work": "online", "on_cpu": ("reward",)}, "on_cpu= is for work=ppo or grpo"),
        ({"work": "best", "lora": Lora()}, "lora= and optimizer= are for work that trains"),
        ({"work": "best", "optimizer": Optimizer(bits=8)}, "lora= and optimizer= are for work"),
    ],
)
def test_a_setting_that_the_work_does_not_have_is_refused(model, said, why):
    with pytest.raises(BadSettings, match=f"{why}.*leave it out"):
        run_plan(DESK, Plan(model=model, **said))


def test_what_trains_nothing_has_one_remedy(model):
    words = run_plan(DESK, Plan(model=model, work="best", memory="1KB", **FEW)).words
    assert [word.split(":")[0] for word in words] == ["dtype=bf16"]
