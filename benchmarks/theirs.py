"""The peers' side: TRL's trainers and transformers' sampling, in an environment of their own.

    python benchmarks/theirs.py TASK FOLDER key=value ...

A trainer's callback waits for the bench between two optimizer steps.  `as=given` takes the
library's own settings but for size, precision and learning rate; `as=tuned` adds what makes it
fastest here without changing what is learned.  Both train on the ids that Accord's side trains on.
"""

import itertools
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from pace import Pace, texts
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
    set_seed,
)

ROUNDS = 1000


class Gate(TrainerCallback):
    """Between two steps, waits for the bench; what lies between two calls is one whole step."""

    def __init__(self, pace: Pace, samples: int, tokens: float, at: str):
        self.pace, self.samples, self.tokens = pace, samples, tokens
        setattr(self, at, self._turn)

    def _turn(self, *_: Any, **__: Any) -> None:
        self.pace.turn(self.samples, self.tokens)


class Side:
    """One model folder, one data file, and the settings of a task."""

    def __init__(self, folder: Path, told: dict[str, str]):
        self.prompts, self.pairs, self.end = texts(folder, told)
        self.told, self.batch, self.tuned = told, int(told["batch"]), told["as"] == "tuned"
        self.longest = int(told.get("longest", 128))
        self.dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[told.get("dtype", "fp32")]
        self.folder = folder / told.get("model", "uneven")
        self.spell = AutoTokenizer.from_pretrained(self.folder, padding_side="left")
        self.spell.pad_token_id = self.end
        assert len(self.spell("Once upon a time")["input_ids"]) >= 4, "an empty tokenizer"
        self.pace = Pace(int(told.get("steps", 1)))
        set_seed(0)

    def settings(self, **more: Any) -> dict[str, Any]:
        """For any trainer: equal sizes and precision, and no time spent on saving or logging."""
        micro = int(self.told["micro"])
        return {
            "output_dir": tempfile.mkdtemp(),
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": self.batch // micro,
            "learning_rate": 1e-4,
            "lr_scheduler_type": "constant",
            "bf16": False,
            "use_cpu": True,
            "logging_steps": 10**6,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            **({"gradient_checkpointing": "recompute" in self.told} if self.tuned else {}),
            **more,
        }

    def load(self, kind: Any = AutoModelForCausalLM, **more: Any) -> Any:
        """A model of the folder."""
        self.pace.empty()
        return kind.from_pretrained(self.folder, dtype=self.dtype, **more)

    def judge(self) -> Any:
        """The same trunk with a scalar head."""
        model = self.load(AutoModelForSequenceClassification, num_labels=1)
        model.config.pad_token_id = self.end
        return model

    def sorted(self) -> dict[str, Any]:
        """Rows of like length in one micro-batch: less padding."""
        return {"train_sampling_strategy": "group_by_length"} if self.tuned else {}

    def sft(self) -> None:
        """SFTTrainer on demonstrations."""
        from trl import SFTConfig, SFTTrainer

        answers = [few[0] for few in self.pairs]
        rows = {
            "input_ids": [p + a for p, a in zip(self.prompts, answers, strict=True)],
            "completion_mask": [
                [0] * len(p) + [1] * len(a) for p, a in zip(self.prompts, answers, strict=True)
            ],
        }
        gate = Gate(self.pace, self.batch, self._tokens(rows["input_ids"]), "on_step_begin")
        SFTTrainer(
            model=self.load(),
            args=SFTConfig(**self.settings(max_steps=ROUNDS, **self.sorted())),
            train_dataset=Dataset.from_dict(rows),
            processing_class=self.spell,
            callbacks=[gate],
        ).train()

    def reward(self) -> None:
        """RewardTrainer on comparisons."""
        from trl import RewardConfig, RewardTrainer

        rows = {
            "chosen_ids": [p + a[0] for p, a in zip(self.prompts, self.pairs, strict=True)],
            "rejected_ids": [p + a[1] for p, a in zip(self.prompts, self.pairs, strict=True)],
        }
        more: dict[str, Any] = {}
        if self.tuned:  # it sorts only by a column that is there
            rows["length"] = [max(map(len, r)) for r in zip(*rows.values(), strict=True)]
            more = {"remove_unused_columns": False, **self.sorted()}
        both = self._tokens(rows["chosen_ids"]) + self._tokens(rows["rejected_ids"])
        RewardTrainer(
            model=self.judge(),
            args=RewardConfig(**self.settings(max_steps=ROUNDS, **more)),
            train_dataset=Dataset.from_dict(rows),
            processing_class=self.spell,
            callbacks=[Gate(self.pace, self.batch, both, "on_step_begin")],
        ).train()

    def dpo(self) -> None:
        """DPOTrainer on comparisons; tuned, it asks the reference once, before the first round."""
        from trl import DPOConfig, DPOTrainer

        class Plain(DPOTrainer):
            def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
                return dataset  # the very ids that the other side compares

        rows = {
            "prompt_ids": self.prompts,
            "chosen_ids": [a[0] for a in self.pairs],
            "rejected_ids": [a[1] for a in self.pairs],
        }
        more: dict[str, Any] = {}
        if self.tuned:  # it sorts only by a column that is there
            rows["length"] = [
                len(p) + max(map(len, a[:2])) for p, a in zip(self.prompts, self.pairs, strict=True)
            ]
            more = {
                "precompute_ref_log_probs": True,
                "remove_unused_columns": False,
                **self.sorted(),
            }
        both = 2 * sum(map(len, self.prompts)) + sum(len(x) for a in self.pairs for x in a[:2])
        tokens = both / len(self.prompts) * self.batch
        Plain(
            model=self.load(),
            args=DPOConfig(**self.settings(learning_rate=1e-6, max_steps=ROUNDS, **more)),
            train_dataset=Dataset.from_dict(rows),
            processing_class=self.spell,
            callbacks=[Gate(self.pace, self.batch, tokens, "on_step_begin")],
        ).train()

    def ppo(self) -> None:
        """The last PPOTrainer that TRL had."""
        from trl.experimental.ppo import PPOConfig, PPOTrainer

        config = PPOConfig(
            **{
                **self.settings(learning_rate=1e-6),
                "total_episodes": self.batch * ROUNDS,
                "num_ppo_epochs": int(self.told["epochs"]),
                "num_mini_batches": 1,
                "response_length": self.longest,
                "temperature": 1.0,
                "stop_token": "eos",
                "num_sample_generations": 0,
                **({"local_rollout_forward_batch_size": int(self.told["rollout"])}),
            }
        )
        gate = Gate(self.pace, self.batch, self.batch, "on_step_end")
        trainer = PPOTrainer(
            args=config,
            processing_class=self.spell,
            model=self.load(),
            ref_model=self.load(),
            reward_model=self.judge(),
            value_model=self.judge(),
            train_dataset=Dataset.from_dict({"input_ids": self.prompts}),
            eval_dataset=Dataset.from_dict({"input_ids": self.prompts[:1]}),
            callbacks=[gate],
        )
        self.pace.turn()
        trainer.train()

    def grpo(self) -> None:
        """GRPOTrainer, its own loss and no reference, against a rule."""
        from trl import GRPOConfig, GRPOTrainer

        self._groups(GRPOTrainer, GRPOConfig)

    def rloo(self) -> None:
        """RLOOTrainer, with KL from a reference in the reward, against a rule."""
        from trl import RLOOConfig, RLOOTrainer

        self._groups(RLOOTrainer, RLOOConfig, beta=0.05)

    def _groups(self, trainer: Any, config: Any, **told: Any) -> None:
        """One optimizer step per batch of groups, as is the default of both."""
        self.spell.eos_token_id = self.end
        gate = Gate(self.pace, self.batch, 0, "on_step_begin")

        def rule(prompts: Any, completions: Any, completion_ids: Any, **_: Any) -> list[float]:
            gate.tokens = sum(map(len, completion_ids))
            return [float(sum(ids) % 17) for ids in completion_ids]

        made = trainer(
            model=self.load(),
            reward_funcs=rule,
            args=config(
                **self.settings(learning_rate=1e-6, max_steps=ROUNDS),
                num_generations=int(self.told["group"]),
                max_completion_length=self.longest,
                **told,
            ),
            train_dataset=Dataset.from_dict({"prompt": [str(i) for i in range(len(self.prompts))]}),
            processing_class=self.spell,
            callbacks=[gate],
        )
        # the very ids that the other side answers; spelling them anew costs nothing here
        made._tokenize_prompts = lambda few: ([self.prompts[int(i)] for i in few], None, {})
        made.train()

    def sampling(self) -> None:
        """generate() on left-padded prompts, or continuous batching."""
        n = int(self.told["n"])
        prompts = self.prompts[: self.batch // n]
        model = self.load().eval()
        if self.told.get("cache") == "continuous":
            self._continuous(model, prompts, n)
        width = max(map(len, prompts))
        ids = torch.tensor([[self.end] * (width - len(row)) + row for row in prompts])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])
        more = {"cache_implementation": self.told["cache"]} if "cache" in self.told else {}
        self.pace.turn()
        for seed in itertools.count():
            torch.manual_seed(seed)
            said = model.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=True,
                top_k=0,
                max_new_tokens=self.longest,
                num_return_sequences=n,
                pad_token_id=self.end,
                eos_token_id=self.end,
                **more,
            )[:, width:]
            ended = (said == self.end).int()
            self.pace.turn(len(said), int(((ended.cumsum(1) - ended) == 0).sum()))

    def _continuous(self, model: Any, prompts: list[list[int]], n: int) -> None:
        """transformers' continuous batching: a paged cache, refilled as answers end."""
        from transformers import ContinuousBatchingConfig, GenerationConfig

        how = GenerationConfig(
            do_sample=True,
            top_k=0,
            max_new_tokens=self.longest,
            num_return_sequences=n,
            pad_token_id=self.end,
            eos_token_id=self.end,
        )
        # a cache as large as these answers need; its own choice takes most of the machine
        small = ContinuousBatchingConfig(num_blocks=self.batch * 2, max_batch_tokens=512)
        self.pace.turn()
        for seed in itertools.count():
            torch.manual_seed(seed)
            said = model.generate_batch(prompts, how, small, warmup=False)
            assert len(said) == len(prompts) * n, f"{len(said)} answers"
            self.pace.turn(len(said), sum(len(one.generated_tokens) for one in said.values()))

    def _tokens(self, rows: list[list[int]]) -> float:
        return round(sum(map(len, rows)) / len(rows) * self.batch)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(next(w[8:] for w in sys.argv if w.startswith("threads="))))
    task, where, *words = sys.argv[1:]
    getattr(Side(Path(where), dict(w.split("=", 1) for w in words)), task)()
