"""What each command reads, who carries it out, and what it shows at the end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from accord import shows
from accord.config import Settings, read_each
from accord.shows import load


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


_TELLING = ("objective/", "completions/", "eval/")
"""numbers of a step that say what became of the policy; the others say how the step went"""
_IMPROVED = ("eval/", "before/", "kept", "prompts")
_JOBS, _RECIPES = "accord.recipes.jobs", "accord.recipes"
VERBS = {
    "demo": Verb(
        ("accord.demo.show:Demo", "accord.demo.feedback:RLAIF", "accord.demo.factual:Factual"),
        "accord.demo.begin:run",
        shows.show_demo,
        "Bring a small model into accord with a preference, and show it, in a few minutes.",
        (
            "accord demo",
            "accord demo out=runs/cheap ppo.kl.beta=0.01",
            "accord demo model=smollm2",
            "accord demo method=rlaif",
            "accord demo method=fact-rlhf",
        ),
        "accord.demo.begin:defaults",
    ),
    "eyes": Verb(
        (f"{_RECIPES}.eyes_job:EyesJob",),
        f"{_RECIPES}.eyes_job:run_eyes",
        shows.show_eyes,
        "Give a language model eyes: join it with a vision tower, as LLaVA is.",
        ("accord eyes model=path/to/model tower=openai/clip-vit-large-patch14-336 layer=-2",),
    ),
    "sft": Verb(
        (f"{_JOBS}:SFTJob", f"{_RECIPES}.sft:SFT"),
        f"{_JOBS}:run_sft",
        partial(shows.show_made, on="on demonstrations held out"),
        "Imitate demonstrations.",
        ("accord sft model=path/to/model data=answers.jsonl epochs=2",),
    ),
    "reward": Verb(
        (f"{_JOBS}:RewardJob", f"{_RECIPES}.reward:RewardModel"),
        f"{_JOBS}:run_reward",
        partial(shows.show_made, on="on comparisons held out"),
        "Learn a reward model from comparisons.",
        ("accord reward model=path/to/model data=judged.jsonl loss.margin=true",),
    ),
    "dpo": Verb(
        (f"{_RECIPES}.dpo_job:PreferenceJob", f"{_RECIPES}.dpo:Preference"),
        f"{_RECIPES}.dpo_job:run_dpo",
        partial(shows.show_made, on="on comparisons held out, log π/ρ in nats"),
        "Learn a policy from comparisons at once: DPO and its family.",
        (
            "accord dpo model=path/to/model data=judged.jsonl loss.beta=0.1",
            "accord dpo model=path/to/model data=rated.jsonl kind=ratings loss=KTO",
        ),
    ),
    "online": Verb(
        (f"{_RECIPES}.online_job:OnlineJob", f"{_RECIPES}.online:Online"),
        f"{_RECIPES}.online_job:run_online",
        partial(shows.show_made, on="in the last step (metrics.jsonl has more)", only=_TELLING),
        "Learn a policy from comparisons of its own answers, made as it goes.",
        (
            "accord online model=path/to/model prompts=ask.jsonl reward=runs/reward/reward",
            "accord online model=path/to/model prompts=ask.jsonl rule=rules.py:short n=4",
        ),
    ),
    "ppo": Verb(
        (f"{_JOBS}:PPOJob", f"{_RECIPES}.ppo:PPO"),
        f"{_JOBS}:run_ppo",
        partial(shows.show_made, on="in the last step (metrics.jsonl has more)", only=_TELLING),
        "Train a policy against a reward model, or against a rule of yours.",
        (
            "accord ppo model=path/to/model prompts=ask.jsonl reward=runs/reward/reward",
            "accord ppo model=path/to/model prompts=ask.jsonl rule=rules.py:short critic=zero",
        ),
    ),
    "grpo": Verb(
        (f"{_RECIPES}.grpo_job:GRPOJob", f"{_RECIPES}.grpo:GRPO"),
        f"{_RECIPES}.grpo_job:run_grpo",
        partial(shows.show_made, on="in the last step (metrics.jsonl has more)", only=_TELLING),
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
        partial(
            shows.show_made, on="in the last Improve", only=("eval/", "before/", "kept", "prompts")
        ),
        "Learn from the best of a policy's own answers: ReST, RAFT, best-of-n distillation.",
        (
            "accord rest model=path/to/model data=answers.jsonl reward=runs/reward/reward",
            "accord rest --preset raft model=path/to/model prompts=ask.jsonl rule=rules.py:short",
        ),
    ),
    "control": Verb(
        (f"{_RECIPES}.control_job:ControlJob", f"{_RECIPES}.control:Control"),
        f"{_RECIPES}.control_job:run_control",
        partial(
            shows.show_made, on="returns of fresh episodes, the likeliest action in every state"
        ),
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
        shows.show_report,
        "All of it: imitate, learn the reward, train the policy, report.",
        ("accord pipeline model=path/to/model prompts=ask.jsonl comparisons=judged.jsonl",),
    ),
    "constitution": Verb(
        (
            f"{_RECIPES}.constitutional_job:ConstitutionJob",
            f"{_RECIPES}.constitutional:Constitutional",
        ),
        f"{_RECIPES}.constitutional_job:run_constitution",
        shows.show_walked,
        "Constitutional AI: revise by written principles, imitate, compare by them, train.",
        (
            "accord constitution model=path/to/model prompts=ask.jsonl constitution=mine.yaml",
            "accord constitution check mine.yaml",
        ),
        below={
            "check": Verb(
                (f"{_RECIPES}.constitution_check:ConstitutionCheck",),
                f"{_RECIPES}.constitution_check:run_check",
                shows.show_export,
                "Show every prompt that a constitution makes, and what looks wrong with it.",
                ("accord constitution check mine.yaml", "accord constitution check stories"),
                leading=(("constitution", "FILE"),),
                ends=shows.end_constitution,
                desk=False,
            )
        },
    ),
    "evaluate": Verb(
        (f"{_RECIPES}.evaluate_job:EvaluateJob",),
        f"{_RECIPES}.evaluate_job:run_evaluate",
        shows.show_evaluated,
        "Hold a model's answers against a baseline's: who wins, how far it went, what it cost.",
        (
            "accord evaluate model=runs/ppo/policy against=path/to/model prompts=ask.jsonl "
            "rule=rules.py:short",
            "accord evaluate model=runs/ppo/policy against=answers.jsonl reward=runs/reward/reward",
        ),
        below={
            "mt-bench": Verb(
                (f"{_RECIPES}.mtbench_job:MTBenchJob",),
                f"{_RECIPES}.mtbench_job:run_mtbench",
                shows.show_export,
                "Let two models talk through MT-Bench's questions, or yours, before a judge.",
                (
                    "accord evaluate mt-bench model=runs/ppo/policy against=path/to/model "
                    "questions=question.jsonl judge=judge.yaml references=reference.jsonl",
                ),
            ),
            "choices": Verb(
                (f"{_RECIPES}.choices_job:ChoicesJob",),
                f"{_RECIPES}.choices_job:run_choices",
                shows.show_sheet,
                "Put questions of multiple choice to a model, by the log-probs of its options.",
                ("accord evaluate choices hhh.jsonl model=runs/ppo/policy against=path/to/model",),
                leading=(("choices", "FILE"),),
            ),
            "rewards": Verb(
                (f"{_RECIPES}.suite_job:SuiteJob",),
                f"{_RECIPES}.suite_job:run_suite",
                shows.show_sheet,
                "Hold a reward against known verdicts, subset by subset, and spoiled answers.",
                (
                    "accord evaluate rewards judged.jsonl reward=runs/reward/reward",
                    "accord evaluate rewards judged.jsonl reward=runs/b/reward "
                    "against=runs/a/reward",
                ),
                leading=(("data", "FILE"),),
            ),
            "mmhal": Verb(
                (f"{_RECIPES}.mmhal_job:MMHalJob",),
                f"{_RECIPES}.mmhal_job:run_mmhal",
                shows.show_sheet,
                "Let a judge rate what a model says of pictures: MMHal-Bench, hallucinations.",
                (
                    "accord evaluate mmhal mmhal-bench_answer_template.json model=runs/ppo/policy "
                    "images=pictures judge=judge.yaml",
                ),
                leading=(("data", "FILE"),),
            ),
            "llava-bench": Verb(
                (f"{_RECIPES}.llavabench_job:LLaVABenchJob",),
                f"{_RECIPES}.llavabench_job:run_llavabench",
                shows.show_sheet,
                "Let a judge score what a model says of pictures beside a reference: LLaVA-Bench.",
                (
                    "accord evaluate llava-bench model=runs/ppo/policy images=pictures "
                    "questions=qa90_questions.jsonl references=qa90_gpt4_answer.jsonl "
                    "context=caps_boxes_coco2014_val_80.jsonl judge=judge.yaml",
                ),
            ),
            "pope": Verb(
                (f"{_RECIPES}.pope_job:POPEJob",),
                f"{_RECIPES}.pope_job:run_pope",
                shows.show_sheet,
                "Ask a model whether things are in pictures: POPE.",
                (
                    "accord evaluate pope coco_pope_random.json,coco_pope_popular.json "
                    "model=runs/ppo/policy images=val2014",
                ),
                leading=(("data", "FILES"),),
            ),
            "mmbench": Verb(
                (f"{_RECIPES}.mmbench_job:MMBenchJob",),
                f"{_RECIPES}.mmbench_job:run_mmbench",
                shows.show_sheet,
                "Put multiple choice about pictures, every option in every place: MMBench.",
                ("accord evaluate mmbench mmbench_dev.tsv model=runs/ppo/policy",),
                leading=(("data", "FILE"),),
            ),
            "elo": Verb(
                (f"{_RECIPES}.elo_job:EloJob",),
                f"{_RECIPES}.elo_job:run_elo",
                shows.show_sheet,
                "Let snapshots of a run, or any models, play each other: Bradley-Terry and Elo.",
                (
                    "accord evaluate elo models=path/to/model,runs/rest/improve-*/policy "
                    "prompts=ask.jsonl rule=rules.py:short",
                ),
            ),
        },
    ),
    "compare": Verb(
        (f"{_RECIPES}.compare_job:CompareJob", f"{_RECIPES}.compare:Compare"),
        "accord.demo.contest:run",
        shows.show_compared,
        "Train PPO, RLOO, GRPO, DPO, IPO, KTO, ReST alike, and say which to choose.",
        (
            "accord compare",
            "accord compare model=path/to/model prompts=ask.jsonl comparisons=judged.jsonl",
            "accord compare methods=PPO,DPO rule=rules.py:short budget=tiny dpo.lr=1e-4",
        ),
        "accord.demo.contest:defaults",
    ),
    "judge": Verb(
        (f"{_RECIPES}.judge_job:JudgeJob",),
        f"{_RECIPES}.judge_job:run_judge",
        shows.show_sheet,
        "Hold a language model that judges against people: agreement, and its habits.",
        (
            "accord judge judge=path/to/model data=judged.jsonl",
            "accord judge judge=judge.yaml data=accord.db#answers pairs=500",
            "accord judge judge=http://localhost:8000/v1#qwen data=judged.jsonl own=answers.jsonl",
        ),
        below={
            "annotate": Verb(
                (f"{_RECIPES}.annotate_job:AnnotateJob",),
                f"{_RECIPES}.annotate_job:run_annotate",
                shows.show_export,
                "Let a language model judge the pairs of a study, marked as what it is.",
                ("accord judge annotate study=accord.db#answers judge=judge.yaml",),
            )
        },
    ),
    "label": Verb(
        (f"{_RECIPES}.label_job:LabelJob", "accord.store.judgements.forms:StudyConfig"),
        f"{_RECIPES}.label_job:run_label",
        shows.show_labelled,
        "Ask people: let models answer prompts, choose pairs, and open the site to judge them.",
        (
            "accord label data=ask.jsonl model=path/to/model study=accord.db#stories overlap=2",
            "accord label data=answers.jsonl study=accord.db#answers kind=rate axes=helpful,honest",
            "accord label data=ask.jsonl model=runs/sft/policy n=4 reward=runs/a/reward study=hard",
        ),
    ),
    "serve": Verb(
        ("accord.web.serving:Serve",),
        "accord.shows:serve",
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
        shows.show_plan,
        "Tell what memory a job will take, before it begins.",
        ("accord plan model=path/to/model work=ppo lora=Lora dtype=bf16 memory=24GB",),
    ),
    "sample": Verb(
        (f"{_JOBS}:SampleJob",),
        f"{_JOBS}:run_sample",
        shows.show_answers,
        "Let a model answer.",
        ("accord sample model=runs/demo/ppo/policy prompt='One day, Mia saw a' n=3",),
    ),
    "best": Verb(
        (f"{_RECIPES}.best_job:BestJob",),
        f"{_RECIPES}.best_job:run_best",
        shows.show_best,
        "Let a model answer several times, and give the answer that a reward likes most.",
        ("accord best model=path/to/model prompts=ask.jsonl n=16 reward=runs/reward/reward",),
    ),
}
DATA = {
    "check": Verb(
        ("accord.evaluate.checking:Check",),
        "accord.evaluate.checking:run",
        shows.show_check,
        "Say what is wrong with a file of data, before anything is trained on it.",
        (
            "accord data check judged.jsonl",
            "accord data check judged.jsonl model=path/to/model against=test.jsonl html=check.html",
        ),
        leading=(("data", "FILE"),),
        ends=shows.end_check,
    ),
    "export": Verb(
        ("accord.data.exporting:Export",),
        "accord.data.exporting:run",
        shows.show_export,
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
        shows.show_export,
        "Put judgements that were given elsewhere into a study, each with its judge.",
        ("accord data import votes.jsonl accord.db#stories",),
        leading=(("data", "FROM"), ("study", "STORE#STUDY")),
    ),
}
