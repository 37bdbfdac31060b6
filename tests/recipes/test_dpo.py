"""The family of DPO: to the optimum of a language that can be listed, and cut as one likes."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from accord.data.comparisons import Spelled
from accord.data.rows import pad
from accord.engine.learner import micro_batches
from accord.engine.steps import Optimizer
from accord.errors import BadData, BadSettings
from accord.maths.control import Constant, Linear
from accord.maths.direct import CPO, ORPO, SimPO
from accord.maths.pairwise import DPO, IPO, PlackettLuce
from accord.maths.unpaired import AOT, BCO, KTO
from accord.maths.weights import even
from accord.recipes import dpo, preferred
from accord.recipes.blend import blended
from accord.recipes.dpo import Preference
from accord.store.run import Run
from toys import BEGIN, END, distribution, sentences, toy_policy

SAID = sentences()
BETA = 0.5


def worth(ids) -> float:
    """What the judges of this language like: the letter 2, and short sentences."""
    return 1.0 * ids.count(2) - 0.4 * len(ids)


def drawn(count: int, seed: int = 0, *, ask=(BEGIN,)) -> list[Spelled]:
    """Pairs of sentences, preferred as Bradley and Terry say, by a soft label: no noise."""
    rng = torch.Generator().manual_seed(seed)
    p_N = distribution(toy_policy())
    i_N, j_N = (torch.multinomial(p_N, count, True, generator=rng).tolist() for _ in range(2))
    rows = []
    for n, (i, j) in enumerate(zip(i_N, j_N, strict=True)):
        if SAID[i] == SAID[j]:
            continue
        p = 1 / (1 + 2.718281828459045 ** (worth(SAID[j]) - worth(SAID[i])))
        rows.append(Spelled(ask, (SAID[i], SAID[j]), (0, 1), None, p, f"d{n}"))
    return rows


def test_it_goes_to_the_optimum():
    """π* ∝ ρ e^(r/β): Rafailov et al. 2023, eq. 4; here all of it can be seen."""
    start = toy_policy()
    rho_N = distribution(start)
    r_N = torch.tensor([worth(ids) for ids in SAID]).double()
    best_N = rho_N * (r_N / BETA).exp()
    best_N /= best_N.sum()
    cfg = Preference(
        loss=DPO(beta=BETA), epochs=12, batch=128, lr=5e-3, schedule=Linear(), held_out=0
    )
    made = dpo.train(cfg, Run(), start, drawn(2000))
    p_N = distribution(made)

    def kl(a_N, b_N) -> float:
        return float((a_N * (a_N / b_N).log()).sum())

    before, after = kl(best_N, rho_N), kl(best_N, p_N)
    print(f"KL(π*‖ρ) {before:.3f} nats before, {after:.3f} after")
    assert after < 0.05 * before
    # no policy may lie above the frontier: E[r] - β KL is at most log of the partition function
    gain = float((p_N * r_N).sum()) - BETA * kl(p_N, rho_N)
    assert gain <= BETA * float((rho_N * (r_N / BETA).exp()).sum().log()) + 1e-9


LOSSES = {
    "DPO": DPO(),
    "IPO": IPO(),
    "SimPO": SimPO(),
    "ORPO": ORPO(),
    "CPO": CPO(),
    "KTO": KTO(),
    "BCO": BCO(),
    "AOT": AOT(),
    "AOT unpaired": AOT(paired=False),
    "mixture": blended(DPO(), "0.2*BCO,1*NLL"),
}


def two_prompts(count: int) -> list[Spelled]:
    half = [replace(row, p_first=None) for row in drawn(count)]
    other = [replace(row, id=f"o{n}", prompt_ids=(BEGIN, 2)) for n, row in enumerate(half)]
    return half + other


@pytest.mark.parametrize("name", LOSSES)
def test_no_cut_changes_a_gradient(name):
    few, loss = two_prompts(8), LOSSES[name]
    start = toy_policy(dtype=torch.float64)
    moved = toy_policy(1, dtype=torch.float64)
    told = []
    for tokens in (10**6, 30, 1):
        policy = moved.trainable(lr=0.1, optimizer=Optimizer(max_norm=None))
        rows = preferred.lay(few, preferred.refer(start, few))
        rows = dpo.see(loss, rows, few, policy, start)
        weight_B = even(len(rows)).double()
        for index in micro_batches(rows.cost_B, tokens):
            each_B = dpo.prefer(policy.model, rows.take(index), loss=loss).each
            (each_B * weight_B[index]).sum().backward()
        told.append({n: w.grad.clone() for n, w in policy.learner.weights.items()})
    for name, grad in told[0].items():
        for other in told[1:]:
            torch.testing.assert_close(grad, other[name], atol=1e-10, rtol=1e-8, msg=name)
    assert max(float(g.abs().max()) for g in told[0].values()) > 1e-4


@pytest.mark.parametrize("name", LOSSES)
def test_each_prefers_what_is_preferred(name):
    """By sign: what was called better gains on what was called worse, on both prompts."""
    rows = [
        replace(row, ranks=(0, 1) if worth(a) > worth(b) else (1, 0), p_first=None)
        for row in two_prompts(100)
        for a, b in [row.response_ids]
        if abs(worth(a) - worth(b)) > 0.3
    ]
    start = toy_policy()
    cfg = Preference(epochs=3, batch=16, lr=3e-3, schedule=Constant(), held_out=0)
    loss = LOSSES[name]
    if name == "mixture":
        cfg = cfg.model_copy(update={"mix": "0.2*BCO,1*NLL"})
    else:
        cfg = cfg.model_copy(update={"loss": loss})
    made = dpo.train(cfg, Run(), start, rows)
    before = preferred.measure(start, rows, preferred.refer(start, rows))
    after = preferred.measure(made, rows, preferred.refer(start, rows))
    assert before["accuracies"] == 0.5
    assert after["accuracies"] > 0.8
    assert after["margins"] > 0.1


def test_the_first_step_is_at_the_reference():
    """log π = log ρ: no reward, half of the pairs agreed with, and a loss of log 2."""
    run = Run()
    cfg = Preference(epochs=1, batch=16, held_out=0)
    dpo.train(cfg, run, toy_policy(), drawn(60), drawn(20, 1))
    first = run.history[0]
    assert first["loss"] == pytest.approx(0.6931471, abs=1e-5)
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert first["eval/margins"] == pytest.approx(0, abs=0.2)
    assert {"logps/chosen", "logps/rejected", "eval/accuracies", "lr"} <= first.keys()


def test_rankings_go_whole():
    """K answers of unequal number to a row; the rest is nothing."""
    rows = [
        Spelled((BEGIN,), tuple(SAID[1:4]), (0, 1, 1), None, None, "three"),
        Spelled((BEGIN, 2), tuple(SAID[5:7]), (1, 0), None, None, "two"),
    ]
    policy = toy_policy()
    for loss in (DPO(), PlackettLuce()):
        laid = preferred.lay(rows, preferred.refer(policy, rows))
        each_B = dpo.prefer(policy.model, laid, loss=loss).each
        alone = torch.cat(
            [
                dpo.prefer(
                    policy.model, preferred.lay([r], preferred.refer(policy, [r])), loss=loss
                ).each
                for r in rows
            ]
        )
        torch.testing.assert_close(each_B, alone)


def test_kto_of_one_prompt_is_refused():
    rows = [replace(row, p_first=None) for row in drawn(20)]
    with pytest.raises(BadData, match="same one: a larger batch, or data with more prompts"):
        dpo.train(Preference(loss=KTO(), batch=8, held_out=0), Run(), toy_policy(), rows)


@pytest.mark.parametrize("odd", [{"loss": KTO()}, {"mix": "1*KTO"}])
def test_kto_of_a_batch_of_one_is_refused_before_it_begins(odd):
    with pytest.raises(BadSettings, match="batch must be at least 2"):
        Preference(batch=1, **odd)


def test_a_step_of_one_prompt_borrows_from_another():
    same, other = two_prompts(4)[:4], two_prompts(4)[4:]
    assert preferred.mismatched(same, [*same, *other], 64) == [other[0].response_ids] * 4
    few = [same[0], other[1], same[1]]
    assert preferred.mismatched(few, (), 64) == [
        same[1].response_ids,
        same[0].response_ids,
        other[1].response_ids,
    ]
    rows = [*same, *other]
    run = Run()
    dpo.train(Preference(loss=KTO(), batch=2, held_out=0, lr=1e-2), run, toy_policy(), rows)
    assert len(run.history) == 4


def test_an_answer_to_another_prompt_fits_into_the_context():
    """Each row fits; one's prompt with another's answer need not."""
    long = Spelled((BEGIN,) * 9, ((1, END),), (0,), None, None, "a")
    far = Spelled((BEGIN, 2), ((1,) * 8 + (END,),), (1,), None, None, "b")
    assert preferred.mismatched([long, far], (), 11) == [((1, 1),), ((1, END),)]


def test_kto_measures_z_on_good_and_bad_answers_alike():
    """As in the authors' code and TRL's, where a pair is two rows: by a slow definition."""
    start, policy = toy_policy(), toy_policy(seed=1)
    asked = [(BEGIN,), (BEGIN, 2)] * 4
    said = [r.response_ids for r in policy.sample(asked, n=2, longest=3, seed=0)]  # likelier now
    rows = [
        Spelled(prompt, (said[2 * i], said[2 * i + 1]), (0, 1), None, None, f"d{i}")
        for i, prompt in enumerate(asked)
    ]
    laid = dpo.see(KTO(), preferred.lay(rows, preferred.refer(start, rows)), rows, policy, start)
    a = []
    for b, row in enumerate(rows):
        back = next(k for k in range(1, 8) if rows[b - k].prompt_ids != row.prompt_ids)
        for said in rows[b - back].response_ids:
            tokens = pad([row.prompt_ids], [said])
            a.append(float((policy.logp(tokens) - start.logp(tokens)).sum()))
    assert len(a) == 2 * len(rows)
    z = max(0.0, sum(a) / len(a))
    assert laid.extra_BE[:, 0].tolist() == pytest.approx([z] * len(rows), abs=1e-5)
    assert abs(z - max(0.0, sum(a[::2]) / len(rows))) > 1e-3, "it matters which answers are asked"


@pytest.mark.parametrize("mix", ["BCO", "0*BCO", "-1*NLL", "1*Nothing", "x*DPO", "1*DPO,"])
def test_an_odd_mixture_is_refused(mix):
    with pytest.raises(BadSettings, match=r"is not a weight above 0 and a loss.*there are DPO"):
        blended(DPO(), mix)


def test_the_loss_is_picklable():
    import pickle

    assert pickle.loads(pickle.dumps(partial(dpo.prefer, loss=DPO()))).keywords == {"loss": DPO()}


@pytest.mark.parametrize(
    ("chosen", "accuracies", "warned"),
    [
        (-3.26, 0.9, True),
        (-0.06, 0.6, True),
        (-0.04, 0.9, False),
        (1.0, 0.9, False),
        (-3.0, 0.5, False),
    ],
)
def test_displacement_is_said_where_it_is_more_than_rounding(chosen, accuracies, warned):
    said = preferred.displaced({"chosen": chosen, "accuracies": accuracies})
    assert said.startswith("likelihood displacement: ") is warned
    assert (f"{-chosen:.1f} nats less likely" in said) is warned


def test_without_pairs_held_out_nothing_is_said_of_displacement():
    assert preferred.displaced({}) == ""
