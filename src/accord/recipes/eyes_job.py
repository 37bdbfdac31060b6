"""accord eyes: a language model and a vision tower become one model that sees."""

from pathlib import Path

from accord.config import Settings
from accord.errors import CannotWrite
from accord.models.joined import join
from accord.recipes.job import Desk


class EyesJob(Settings):
    """Join a language model with a vision tower, by a projector that has learned nothing yet."""

    model: str
    """the language model: a folder or a hub id"""
    tower: str
    """the tower: a folder or hub id of a CLIP or SigLIP vision model, with its image processor"""
    out: Path = Path("runs/eyes")
    """a new folder for the model that sees"""
    layer: int = -1
    """which of the tower's hidden states is shown: -1 the last, -2 the one before (LLaVA 1.5)"""
    seed: int = 0
    """of the new projector"""


def run_eyes(desk: Desk, job: EyesJob) -> Path:
    """accord eyes"""
    if (job.out / "config.json").exists():
        raise CannotWrite(f"{job.out} holds a model already; say another out=")
    join(job.model, job.tower, job.out, layer=job.layer, seed=job.seed)
    return job.out
