"""What a demo shows: who asks what, what people like, and how the report tells it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accord.demo import questions
from accord.demo.openings import openings
from accord.demo.panel import PANEL, Annotator
from accord.demo.rule import ANIMAL, rule
from accord.engine.steps import Optimizer
from accord.evaluate.tell import Subject
from accord.maths.control import FixedKL
from accord.models.lora import Lora
from accord.recipes.ppo import PPO
from accord.recipes.reward import RewardModel
from accord.records import Prompt
from accord.rewards.rules import Judge


@dataclass(frozen=True)
class Scene:
    """One demo, apart from the loop that all of them share."""

    title: str
    begins: str
    """said at the start; {prompts} is their number"""
    begins_with_you: str
    """the same where a person judges"""
    asks_you: str
    """what that person is asked about two answers"""
    likes: str
    """the preference, for the head of the report; {longest} is the limit in tokens"""
    subject: Subject
    prompts: Callable[[int, int], list[Prompt]]
    """(count, seed) -> prompts, always the same ones"""
    rule: Judge
    """what the annotators mostly follow, and the reward model never sees"""
    panel: Sequence[Annotator] = PANEL
    highlight: re.Pattern[str] | None = None
    """words that the rule looks for"""
    notes: tuple[str, ...] = ()
    """what a reader must know beside that nobody judged"""
    measured: str = "Both models answered"
    """how the stage of measuring begins"""
    asks: str = ""
    """words of `accord sample` to try the trained model with"""
    tries: str = ""
    """why"""
    mark: Mapping[str, str] = field(default_factory=dict)
    """what tells its judgements from another scene's"""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """the demo's settings where they differ from those of the stories"""


STORIES = Scene(
    title="A storyteller learns what three people like",
    begins="A storyteller goes on from {prompts} openings. Three simulated annotators like stories "
    "that name an animal and end in time.",
    begins_with_you="A storyteller goes on from {prompts} openings, and you say which story you "
    "like better. The page at the end counts stories that name an animal and end in time.",
    asks_you="Which is the better way on?",
    likes="an animal appears, and the story ends within {longest} tokens",
    subject=Subject(
        one="story",
        many="stories",
        prompts="openings",
        rule="the rule",
        wants="half a point for an animal, half for an end in time",
        same="The same beginning, continued",
    ),
    prompts=openings,
    rule=rule,
    highlight=ANIMAL,
    measured="Both models went on from",
    asks="prompt='One day, Mia went to the woods.'",
    tries="Let the trained model tell you a story.",
)

_ADAPTER = Lora(r=8, alpha=16.0)
ANSWERS = Scene(
    title="A chat model learns to keep it short",
    begins="A chat model answers {prompts} questions. Three simulated annotators like answers of "
    "one whole sentence.",
    begins_with_you="A chat model answers {prompts} questions, and you say which answer you like "
    "better. The page at the end counts answers of one whole sentence.",
    asks_you="Which answer do you like better?",
    likes="the answer is one whole sentence, and ends within {longest} tokens",
    subject=Subject(
        prompts="questions",
        rule="the rule",
        wants="half a point for an end in time, half for being one sentence",
        same="The same question, answered",
    ),
    prompts=questions.questions,
    rule=questions.brief,
    notes=(
        "The rule asks for form alone. Whether an answer is true, nobody judged: a model of this "
        "size often errs, before and after.",
    ),
    asks=f"system='{questions.SYSTEM}' prompt='What is a volcano?'",
    tries="Ask the trained model.  It learned to be brief where it is told to.",
    mark={"scene": "answers"},
    settings={
        "prompts": 150,
        "tests": 150,
        "dtype": "bf16",
        "reward": RewardModel(
            epochs=1.5,
            batch=16,
            held_out=0.15,
            lr=5e-4,
            measure_every=5,
            lora=_ADAPTER,
            optimizer=Optimizer(micro_tokens=2048),
        ),
        "ppo": PPO(
            steps=30,
            batch=32,
            longest=48,
            temperature=0.7,
            kl=FixedKL(0.05),
            epochs=1,
            minibatches=2,
            lr=3e-4,
            lr_critic=5e-4,
            lora=_ADAPTER,
            optimizer=Optimizer(betas=(0.9, 0.95), eps=1e-5, micro_tokens=2048),
        ),
    },
)
SCENES = {"stories": STORIES, "answers": ANSWERS}
