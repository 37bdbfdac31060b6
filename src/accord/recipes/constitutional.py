"""Constitutional AI (Bai et al. 2022): written principles in place of people's labels of harm.

revise:   for each prompt x:  y₀ ~ π(· | x)
              for n = 1 … N:  draw a principle c
                  critique ~ M(· | x, yₙ₋₁, c);  yₙ ~ M(· | x, yₙ₋₁, critique, c)
          then imitate all of y₁ … y_N, and helpful answers, with a pretrained model
compare:  for each prompt x:  y, y' ~ π_SL(· | x);  draw a principle c
              q = p(A) / (p(A) + p(B)),  mean of both orders of y and y'
          then a preference model on q and on people's labels of helpfulness, and PPO from π_SL
"""

from collections.abc import Callable, Sequence

from accord.config import Settings
from accord.config.limits import Part
from accord.data.constitution import Constitution
from accord.engine.llm import LLM
from accord.recipes.method import Method
from accord.recipes.ppo import PPO
from accord.recipes.revising import Revise, Revision, round_of
from accord.recipes.reward import RewardModel
from accord.recipes.sft import SFT
from accord.recipes.weighing import Feedback, Label, Pair, asked, labelled, votes
from accord.records import Invalid, Prompt

METHODS = (
    Method(
        "constitutional AI (RLAIF)",
        "constitution",
        "policy optimisation",
        "on-policy",
        ("reward", "reference", "pairs", "sampling", "value"),
        "Bai et al. 2022",
    ),
)


class Constitutional(Settings):
    """All stages with their settings."""

    revise: Revise = Revise()
    """answers to prompts that ask for harm, criticised and revised"""
    sft: SFT = SFT()
    """imitation of the revisions"""
    compare: Feedback = Feedback()
    """two answers of that model, compared under principles"""
    reward: RewardModel = RewardModel()
    """the preference model, learned from those labels and from people's"""
    ppo: PPO = PPO()
    """the policy, trained on it"""
    held_out: Part = 0.2
    """share of the prompts kept for the report; nothing is revised, compared or trained on them"""


def revise(
    cfg: Revise,
    c: Constitution,
    llm: LLM,
    prompts: Sequence[Prompt],
    firsts: Sequence[str],
    *,
    seed: int = 0,
    told: Callable[[int, list[Revision]], None] = lambda n, made: None,
) -> list[Revision]:
    """y₁ … y_N of each prompt, round by round; `told` hears of each round.

    A revision that fails is Invalid; the next round goes on from the last good answer.
    """
    now, every = list(firsts), []
    for n in range(1, cfg.rounds + 1):
        made = round_of(cfg, c, llm, prompts, now, n, seed)
        for one in made:
            if not isinstance(one.text, Invalid):
                now[one.place] = one.text
        told(n, made)
        every += made
    return every


def compare(
    cfg: Feedback, c: Constitution, llm: LLM, pairs: Sequence[Pair], *, seed: int = 0
) -> list[Label | Invalid]:
    """What the principles say of each pair of answers; Invalid where none could be asked."""
    every = [votes(cfg, c, pair, seed) for pair in pairs]
    told = asked(cfg, c, llm, [vote for few in every for vote in few])
    found, start = [], 0
    for few in every:
        found.append(labelled(cfg, few, told[start : start + len(few)]))
        start += len(few)
    return found
