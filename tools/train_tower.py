"""Trains the eyes of the demo: a small CLIP-like tower that sees what is in each cell of a scene.

    python tools/train_tower.py out=eyes steps=6000

Every scene is drawn anew and looked at once.  A light head on the pooled patches of a cell says
whether there is a thing, its shape, its colour and its size; it is thrown away afterwards.
Written is a plain Hugging Face folder (CLIPVisionModel, bf16) with its image processor, and what
was measured on scenes of a seed that nothing was learned from.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from accord.worlds.scenes.drawing import draw
from accord.worlds.scenes.things import COLOURS, GRID, SHAPES, SIZES, Scene, scenes

SIDE, PATCH, WIDTH, LAYERS, HEADS = 96, 16, 128, 4, 4
CELLS = GRID * GRID
ASKED = {"there": 2, "shape": len(SHAPES), "colour": len(COLOURS), "size": len(SIZES)}
LEARN, HELD_OUT = 100, 101
"""seeds of scenes"""


class Reader(nn.Module):
    """The heads: what is in each cell, from the patches that lie over it."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, sum(ASKED.values()))

    def forward(self, patches_BPW: Tensor) -> list[Tensor]:
        """logits_B9K of each question."""
        side = SIDE // PATCH
        grid = patches_BPW.transpose(1, 2).unflatten(2, (side, side))
        cells = F.adaptive_avg_pool2d(grid, GRID).flatten(2).transpose(1, 2)
        return list(self.out(F.gelu(self.hidden(cells))).split(list(ASKED.values()), -1))


def truth(few: list[Scene]) -> list[Tensor]:
    """The right answer for each cell; -100 where there is no thing."""
    told = torch.full((len(ASKED), len(few), CELLS), -100)
    told[0] = 0
    for b, one in enumerate(few):
        for thing in one.things:
            known = (
                1,
                SHAPES.index(thing.shape),
                COLOURS.index(thing.colour),
                SIZES.index(thing.size),
            )
            told[:, b, thing.cell] = torch.tensor(known)
    return list(told)


def pixels(few: list[Scene], processor: CLIPImageProcessorPil) -> Tensor:
    """As the processor gives them."""
    made = np.stack([np.asarray(draw(one, SIDE)) for one in few])
    mean, std = (
        torch.tensor(x)[:, None, None] for x in (processor.image_mean, processor.image_std)
    )
    return (torch.from_numpy(made).permute(0, 3, 1, 2) / 255 - mean) / std


def features(tower: CLIPVisionModel, x: Tensor) -> Tensor:
    """What a language model is shown: the patches of the last layer."""
    return tower(x, output_hidden_states=True).hidden_states[-1][:, 1:]


def measure(tower: CLIPVisionModel, reader: Reader, processor, count: int) -> dict[str, float]:
    """Share of right answers on held-out scenes; of shape, colour, size where there is a thing."""
    right = {name: [0, 0] for name in (*ASKED, "all")}
    with torch.no_grad():
        for start in range(0, count, 250):
            few = list(scenes(HELD_OUT, 250, start))
            told, said = truth(few), reader(features(tower, pixels(few, processor)))
            hits = []
            for name, t, s in zip(ASKED, told, said, strict=True):
                known = t != -100
                hit = (s.argmax(-1) == t) | ~known
                hits.append(hit)
                right[name][0] += int((hit & known).sum())
                right[name][1] += int(known.sum())
            right["all"][0] += int(torch.stack(hits).all(0).all(-1).sum())
            right["all"][1] += len(few)
    return {name: hit / of for name, (hit, of) in right.items()}


def main(out: Path, steps: int = 6000, batch: int = 64, lr: float = 1e-3, seed: int = 0) -> None:
    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=WIDTH,
    )
    tower, reader = CLIPVisionModel(config).train(), Reader()
    size = {"height": SIDE, "width": SIDE}
    processor = CLIPImageProcessorPil(size=size, do_center_crop=False)
    weights = [*tower.parameters(), *reader.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=0.01)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.05)
    begun = time.time()
    for step in range(steps):
        few = list(scenes(LEARN + seed * 1000, batch, step * batch))
        said = reader(features(tower, pixels(few, processor)))
        pairs = zip(said, truth(few), strict=True)
        loss = sum(
            F.cross_entropy(s.flatten(0, 1), t.flatten(), ignore_index=-100) for s, t in pairs
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        plan.step()
        if step % 250 == 0 or step == steps - 1:
            seen = measure(tower.eval(), reader, processor, 500)
            tower.train()
            told = " ".join(f"{name} {share:.3f}" for name, share in seen.items())
            print(
                f"{step:>6} {time.time() - begun:6.0f} s  loss {float(loss):.4f}  {told}",
                flush=True,
            )
    tower.eval().to(torch.bfloat16).save_pretrained(out)
    processor.save_pretrained(out)
    seen = measure(tower.float(), reader, processor, 5000)
    (out / "measured.json").write_text(
        json.dumps({"steps": steps, "batch": batch, **seen}, indent=2) + "\n"
    )
    print(json.dumps(seen))


if __name__ == "__main__":
    told = dict(word.split("=", 1) for word in sys.argv[1:])
    kinds = {"steps": int, "batch": int, "lr": float, "seed": int}
    main(Path(told.pop("out")), **{name: kinds[name](value) for name, value in told.items()})
