"""What it is worth to look at a picture once: the first epoch beside the second.

    OMP_NUM_THREADS=1 python benchmarks/seeing.py pictures=96 rounds=3

A tower of the shape of CLIP ViT-B/32 (random weights: time does not mind) joins the storyteller;
each round makes a new model and imitates a sentence for each picture in two epochs.  The tower
looks at a picture in the first, and what it made is there in the second.  Beside it the same with
nothing kept, as if every epoch were the first.
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from accord.data.comparisons import spell_demonstrations
from accord.demo.sights import Gallery
from accord.engine.roles import Policy
from accord.engine.steps import Optimizer
from accord.models import vision
from accord.models.joined import join
from accord.recipes import sft
from accord.records import Demonstration, Image, Message, Text
from accord.store.run import Run
from accord.worlds.scenes.captions import plainly
from accord.worlds.scenes.things import Scene, scenes

STORYTELLER = Path(__file__).parents[1] / "src/accord/demo/storyteller"


def model(folder: Path) -> Path:
    """A model with a large tower and a small tongue."""
    torch.manual_seed(0)
    tower = folder / "tower"
    CLIPVisionModel(CLIPVisionConfig()).save_pretrained(tower)
    CLIPImageProcessorPil().save_pretrained(tower)
    join(STORYTELLER, tower, folder / "model", layer=-2)
    return folder / "model"


def described(gallery: Gallery, scene: Scene) -> Demonstration:
    """A picture and what is in it."""
    asked = Image(str(gallery.path(scene))), Text("What is in the picture?")
    return Demonstration((Message("user", asked),), plainly(scene, random.Random(scene.name)))


def epochs(folder: Path, gallery: Gallery, pictures: int, keep: bool) -> list[float]:
    """Seconds of two epochs."""
    vision.KEPT_BYTES = 1 << 30 if keep else 0
    policy = Policy.open(folder)
    told = [described(gallery, scene) for scene in scenes(9, pictures)]
    rows, _ = spell_demonstrations(told, policy.speller)
    cfg = sft.SFT(epochs=2, batch=16, lr=1e-3, optimizer=Optimizer(micro_tokens=2048))
    marks: list[float] = []

    class Clock(Run):
        """A run that remembers when each step was over."""

        def log(self, step: int, **seen: object) -> None:
            marks.append(time.perf_counter())
            super().log(step, **seen)  # type: ignore[arg-type]

    begun = time.perf_counter()
    sft.train(cfg, Clock(), policy, rows)
    half = len(marks) // 2
    return [marks[half - 1] - begun, marks[-1] - marks[half - 1]]


def main(pictures: int = 96, rounds: int = 3) -> None:
    """Alternating, so that what else runs here falls on both."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        folder, gallery = model(Path(home)), Gallery(Path(home) / "pictures")
        kept, anew = [], []
        for _ in range(rounds):
            for keep in random.sample((True, False), 2):
                (kept if keep else anew).append(epochs(folder, gallery, pictures, keep))
    told = {
        "kept: first / second epoch": median(a / b for a, b in kept),
        "anew: first / second epoch": median(a / b for a, b in anew),
        "second epoch, anew / kept": median(x[1] for x in anew) / median(x[1] for x in kept),
        "seconds kept": kept,
        "seconds anew": anew,
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main(**{k: int(v) for k, _, v in (word.partition("=") for word in sys.argv[1:])})
