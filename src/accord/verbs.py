"""What each command reads, who carries it out, and what it shows at the end."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from accord.config import Settings, read_each

out = Console(highlight=False)


def _show_made(made: Any, on: str, only: tuple[str, ...] = ("",)) -> None:
    out.print(f"{on}:") if made.numbers else None
    for key, value in made.numbers.items():
        if key.startswith(only):
            out.print(f"  {key} {value:.4g}")
    out.print(f"{made.artifact.kind} {made.artifact.short}: [bold]{made.artifact.folder}[/]")


def _show_report(way: Any) -> None:
    numbers = way.report.numbers
    out.print(
        f"win rate {numbers['winrate']:.0%} (95% interval {numbers['winrate_low']:.0%} to "
        f"{numbers['winrate_high']:.0%}) against the model it began with"
    )
    out.print(f"the report: [bold]{way.report.folder / 'report.html'}[/]", soft_wrap=True)


def _show_walked(done: Any) -> None:
    out.print(done, soft_wrap=True) if isinstance(done, str) else _show_report(done)


def _show_evaluated(done: Any) -> None:
    for line in load("accord.evaluate.evaluationpage:lines")(done.told):
        out.print(line, soft_wrap=not out.is_terminal)
    page = done.artifact.folder / "evaluation.html"
    out.print(f"\nthe page: [bold]{escape(str(page))}[/]", soft_wrap=True)


def _show_compared(done: Any) -> None:
    for line in load("accord.evaluate.contestpage:lines")(done.told):
        out.print(line, soft_wrap=True)
    out.print(f"\nthe page: [bold]{escape(str(done.page))}[/]", soft_wrap=True)


def _show_answers(answers: Sequence[tuple[str, list[str]]]) -> None:
    for prompt, texts in answers:
        for text in texts:
            out.print(f"[bold]{escape(prompt)}[/]{escape(text)}\n", soft_wrap=True)


def _show_best(done: Any) -> None:
    for prompt, text, score in done.rows:
        told = f"[bold]{escape(prompt)}[/]{escape(text)} [dim]{score:.4g}[/]\n"
        out.print(told, soft_wrap=True)
    for line in done.lines():
        out.print(line, soft_wrap=True)


def _show_check(done: Any) -> None:
    for line in load("accord.evaluate.checkpage:lines")(done):
        out.print(line, soft_wrap=not out.is_terminal)


def _end_check(cfg: Any, done: Any) -> None:
    if cfg.html:
        out.print(f"\nthe page: [bold]{escape(str(cfg.html))}[/]", soft_wrap=True)
    done.within(cfg.limit)


def _show_export(done: Any) -> None:
    for line in done.lines():
        out.print(escape(line), soft_wrap=True)


def serve(cfg: Any) -> None:
    """The site, with what starts models for it; it tells its address, and opens it."""
    site = "accord.web.serving"

    def ready(link: str) -> None:
        out.print(f"the site: [bold]{escape(link)}[/]", soft_wrap=True)
        shown = cfg.open and load(f"{site}:show")(link)
        out.print("open that link: it logs you in, once" if not shown else "(in your browser now)")
        out.print("Ctrl+C ends it; every judgement is kept the moment it is sent")

    load(f"{site}:run")(cfg, load("accord.serve.workers:Workers"), ready)
    out.print("the site is down")


def _show_labelled(done: Any) -> None:
    command = f"accord serve where={done.store}"
    out.print(f"study {escape(done.name)}: {done.items} items", soft_wrap=True)
    if not done.serve:
        out.print(f"open it with: [bold]{escape(command)}[/]", soft_wrap=True)
        return
    cfg = load("accord.web.serving:Serve")(where=done.store, **done.how)
    out.print(f"judge at [bold]/studies/{done.study_id}/judge[/] of the site:", soft_wrap=True)
    serve(cfg)


def _show_plan(planned: Any) -> None:
    found = planned.estimate
    table = Table("GB", *found.phases, box=None, header_style="dim")
    for part in next(iter(found.phases.values())):
        table.add_row(part, *(f"{told[part] / 1e9:.3f}" for told in found.phases.values()))
    marks = {phase: " < peak" if phase == found.peak else "" for phase in found.phases}
    table.add_row("together", *(f"{found.total(p) / 1e9:.3f}{mark}" for p, mark in marks.items()))
    out.print(table)
    for line in load("accord.recipes.plan:lines")(planned):
        out.print(line)


@dataclass(frozen=True)
class Verb:
    """A command: its settings, and the function that carries it out, loaded when it is called."""

    settings: tuple[str, ...]
    """classes, as module:name"""
    work: str
    """module:function(desk, *settings); without the desk where `desk` is False"""
    shows: Callable[[Any], None]
    """tells what came out"""
    help: str
    examples: tuple[str, ...] = ()
    defaults: str = ""
    """module:function(*settings) -> mapping: what a first reading of them calls for"""
    leading: tuple[tuple[str, str], ...] = ()
    """(key, what stands for it in the usage) of the words that may come first without their key"""
    ends: Callable[[Settings, Any], None] = lambda cfg, done: None
    """what is left to do when all is shown"""
    desk: bool = True
    """whether `work` takes a desk first: a view of its progress, and torch with it"""
    below: Mapping[str, "Verb"] = field(default_factory=dict)
    """commands of another kind, by the word after this one"""

    def read(self, preset: Path | None, words: Sequence[str]) -> list[Settings]:
        """Preset and words as settings; words win."""
        given = read_each(self.classes(), preset, words)
        if not self.defaults:
            return given
        return read_each(self.classes(), preset, words, load(self.defaults)(*given))

    def classes(self) -> list[type[Settings]]:
        """What the words are read into."""
        return [load(name) for name in self.settings]


def _end_constitution(cfg: Any, done: Any) -> None:
    if cfg.html:
        out.print(f"\nthe page: [bold]{escape(str(cfg.html))}[/]", soft_wrap=True)


_TELLING = ("objective/", "completions/", "eval/")
"""numbers of a step that say what became of the policy; the others say how the step went"""
_JOBS, _RECIPES = "accord.recipes.jobs", "accord.recipes"
VERBS = {
    "demo": Verb(
        ("accord.demo.show:Demo",),
        "accord.demo.show:run",
        _show_report,
        "Bring a small model into accord with a preference, and show it, in a few minutes.",
        (
            "accord demo",
            "accord demo out=runs/cheap ppo.kl.beta=0.01",
            "accord demo model=smollm2",
        ),
        "accord.demo.show:defaults",
    ),
    "sft": Verb(
        (f"{_JOBS}:SFTJob", f"{_RECIPES}.sft:SFT"),
        f"{_JOBS}:run_sft",
        partial(_show_made, on="on demonstrations held out"),
        "Imitate demonstrations.",
        ("accord sft model=path/to/model data=answers.jsonl epochs=2",),
    ),
    "reward": Verb(
        (f"{_JOBS}:RewardJob", f"{_RECIPES}.reward:RewardModel"),
        f"{_JOBS}:run_reward",
        partial(_show_made, on="on comparisons held out"),
        "Learn a reward model from comparisons.",
        ("accord reward model=path/to/model data=judged.jsonl loss.margin=true",),
    ),
    "dpo": Verb(
        (f"{_RECIPES}.dpo_job:PreferenceJob", f"{_RECIPES}.dpo:Preference"),
        f"{_RECIPES}.dpo_job:run_dpo",
        partial(_show_made, on="on comparisons held out, log π/ρ in nats"),
        "Learn a policy from comparisons at once: DPO and its family.",
        (
            "accord dpo model=path/to/model data=judged.jsonl loss.beta=0.1",
            "accord dpo model=path/to/model data=rated.jsonl kind=ratings loss=KTO",
        ),
    ),
    "online": Verb(
        (f"{_RECIPES}.online_job:OnlineJob", f"{_RECIPES}.online:Online"),
        f"{_RECIPES}.online_job:run_online",
        partial(_show_made, on="in the last step (metrics.jsonl has more)", only=_TELLING),
        "Learn a policy from comparisons of its own answers, made as it goes.",
        (
            "accord online model=path/to/model prompts=ask.jsonl reward=runs/reward/reward",
            "accord online model=path/to/model prompts=ask.jsonl rule=rules.py:short n=4",
        ),
    ),
    "ppo": Verb(
        (f"{_JOBS}:PPOJob", f"{_RECIPES}.ppo:PPO"),
        f"{_JOBS}:run_ppo",
        partial(_show_made, on="in the last step (metrics.jsonl has more)", only=_TELLING),
        "Train a policy against a reward model, or against a rule of yours.",
        (
            "accord ppo model=path/to/model prompts=ask.jsonl reward=runs/reward/reward",
            "accord ppo model=path/to/model prompts=ask.jsonl rule=rules.py:short critic=zero",
        ),
    ),
    "grpo": Verb(
        (f"{_RECIPES}.grpo_job:GRPOJob", f"{_RECIPES}.grpo:GRPO"),
        f"{_RECIPES}.grpo_job:run_grpo",
        partial(_show_made, on="in the last step (metrics.jsonl has more)", only=_TELLING),
        "Train a policy against a reward without a critic: GRPO, RLOO, DAPO and their kin.",
        (
            "accord grpo model=path/to/model prompts=gsm8k.jsonl reward=gsm8k",
            "accord grpo --preset rloo model=path/to/model prompts=ask.jsonl reward=runs/reward",
            "accord grpo model=path/to/model reasoning.task=chain_sum",
        ),
    ),
    "rest": Verb(
        (f"{_RECIPES}.rest_job:ReSTJob", f"{_RECIPES}.rest:ReST"),
        f"{_RECIPES}.rest_job:run_rest",
        partial(_show_made, on="in the last Improve", only=("eval/", "before/", "kept", "prompts")),
        "Learn from the best of a policy's own answers: ReST, RAFT, best-of-n distillation.",
        (
            "accord rest model=path/to/model data=answers.jsonl reward=runs/reward/reward",
            "accord rest --preset raft model=path/to/model prompts=ask.jsonl rule=rules.py:short",
        ),
    ),
    "control": Verb(
        (f"{_RECIPES}.control_job:ControlJob", f"{_RECIPES}.control:Control"),
        f"{_RECIPES}.control_job:run_control",
        partial(_show_made, on="returns of fresh episodes, the likeliest action in every state"),
        "Learn to act in a world (Gymnasium): PPO, A2C, REINFORCE, from rewards or comparisons.",
        (
            "accord control world=CartPole-v1",
            "accord control --preset pendulum out=runs/pendulum",
            "accord control world=CartPole-v1 horizon=200 prefer=Segments obtain.length=200",
        ),
    ),
    "pipeline": Verb(
        (f"{_JOBS}:PipelineJob", f"{_RECIPES}.pipeline:Pipeline"),
        f"{_JOBS}:run_pipeline",
        _show_report,
        "All of it: imitate, learn the reward, train the policy, report.",
        ("accord pipeline model=path/to/model prompts=ask.jsonl comparisons=judged.jsonl",),
    ),
    "constitution": Verb(
        (
            f"{_RECIPES}.constitutional_job:ConstitutionJob",
            f"{_RECIPES}.constitutional:Constitutional",
        ),
        f"{_RECIPES}.constitutional_job:run_constitution",
        _show_walked,
        "Constitutional AI: revise by written principles, imitate, compare by them, train.",
        (
            "accord constitution model=path/to/model prompts=ask.jsonl constitution=mine.yaml",
            "accord constitution check mine.yaml",
        ),
        below={
            "check": Verb(
                (f"{_RECIPES}.constitution_check:ConstitutionCheck",),
                f"{_RECIPES}.constitution_check:run_check",
                _show_export,
                "Show every prompt that a constitution makes, and what looks wrong with it.",
                ("accord constitution check mine.yaml", "accord constitution check stories"),
                leading=(("constitution", "FILE"),),
                ends=_end_constitution,
                desk=False,
            )
        },
    ),
    "evaluate": Verb(
        (f"{_RECIPES}.evaluate_job:EvaluateJob",),
        f"{_RECIPES}.evaluate_job:run_evaluate",
        _show_evaluated,
        "Hold a model's answers against a baseline's: who wins, how far it went, what it cost.",
        (
            "accord evaluate model=runs/ppo/policy against=path/to/model prompts=ask.jsonl "
            "rule=rules.py:short",
            "accord evaluate model=runs/ppo/policy against=answers.jsonl reward=runs/reward/reward",
        ),
    ),
    "compare": Verb(
        (f"{_RECIPES}.compare_job:CompareJob", f"{_RECIPES}.compare:Compare"),
        "accord.demo.contest:run",
        _show_compared,
        "Train PPO, RLOO, GRPO, DPO, IPO, KTO, ReST alike, and say which to choose.",
        (
            "accord compare",
            "accord compare model=path/to/model prompts=ask.jsonl comparisons=judged.jsonl",
            "accord compare methods=PPO,DPO rule=rules.py:short budget=tiny dpo.lr=1e-4",
        ),
        "accord.demo.contest:defaults",
    ),
    "label": Verb(
        (f"{_RECIPES}.label_job:LabelJob", "accord.store.judgements.forms:StudyConfig"),
        f"{_RECIPES}.label_job:run_label",
        _show_labelled,
        "Ask people: let models answer prompts, choose pairs, and open the site to judge them.",
        (
            "accord label data=ask.jsonl model=path/to/model study=accord.db#stories overlap=2",
            "accord label data=answers.jsonl study=accord.db#answers kind=rate axes=helpful,honest",
            "accord label data=ask.jsonl model=runs/sft/policy n=4 reward=runs/a/reward study=hard",
        ),
    ),
    "serve": Verb(
        ("accord.web.serving:Serve",),
        "accord.verbs:serve",
        lambda done: None,
        "Open the site: people judge, watch runs and talk to models; their clicks train the next.",
        ("accord serve", "accord serve where=accord.db host=0.0.0.0 hosts=site.example.org"),
        desk=False,
    ),
    "endpoint": Verb(
        ("accord.serve.endpoint:Endpoint",),
        "accord.serve.endpoint:run",
        lambda done: None,
        "Let a model answer any client of the OpenAI protocol.",
        (
            "accord endpoint model=runs/ppo/policy",
            "accord endpoint models=before=path/to/model,after=runs/ppo/policy slots=32",
            "accord endpoint model=path/to/model host=0.0.0.0 port=8000 api_key=a-long-secret",
        ),
    ),
    "plan": Verb(
        (f"{_RECIPES}.plan:Plan",),
        f"{_RECIPES}.plan:run_plan",
        _show_plan,
        "Tell what memory a job will take, before it begins.",
        ("accord plan model=path/to/model work=ppo lora=Lora dtype=bf16 memory=24GB",),
    ),
    "sample": Verb(
        (f"{_JOBS}:SampleJob",),
        f"{_JOBS}:run_sample",
        _show_answers,
        "Let a model answer.",
        ("accord sample model=runs/demo/ppo/policy prompt='One day, Mia saw a' n=3",),
    ),
    "best": Verb(
        (f"{_RECIPES}.best_job:BestJob",),
        f"{_RECIPES}.best_job:run_best",
        _show_best,
        "Let a model answer several times, and give the answer that a reward likes most.",
        ("accord best model=path/to/model prompts=ask.jsonl n=16 reward=runs/reward/reward",),
    ),
}
DATA = {
    "check": Verb(
        ("accord.evaluate.checking:Check",),
        "accord.evaluate.checking:run",
        _show_check,
        "Say what is wrong with a file of data, before anything is trained on it.",
        (
            "accord data check judged.jsonl",
            "accord data check judged.jsonl model=path/to/model against=test.jsonl html=check.html",
        ),
        leading=(("data", "FILE"),),
        ends=_end_check,
    ),
    "export": Verb(
        ("accord.data.exporting:Export",),
        "accord.data.exporting:run",
        _show_export,
        "Write data in another format, or in the shape of another trainer.",
        (
            "accord data export votes.csv votes.parquet columns.prompt=question",
            "accord data export judged.jsonl for-trl.jsonl to=trl",
            "accord data export accord.db#stories votes.jsonl to=lmarena",
        ),
        leading=(("data", "FROM"), ("out", "TO")),
    ),
    "import": Verb(
        ("accord.data.importing:Import",),
        "accord.data.importing:run",
        _show_export,
        "Put judgements that were given elsewhere into a study, each with its judge.",
        ("accord data import votes.jsonl accord.db#stories",),
        leading=(("data", "FROM"), ("study", "STORE#STUDY")),
    ),
}


def load(name: str) -> Any:
    """What module:thing names, imported now."""
    module, _, thing = name.partition(":")
    return getattr(importlib.import_module(module), thing)
