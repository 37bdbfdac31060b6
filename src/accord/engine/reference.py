"""What the reference says of answers: it never changes, so it is asked once and kept."""

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import save_file

from accord.data.comparisons import Spelled, fingerprint
from accord.engine.roles import Policy
from accord.models.load import tensors

Reference = Sequence[Sequence[float]]
"""log ρ of each answer of each row, nats"""


def kept(
    folder: Path,
    reference: Policy,
    rows: Sequence[Spelled],
    refer: Callable[[Policy, Sequence[Spelled]], Reference],
    dtype: str,
) -> Reference:
    """What `refer` says, from a file below `folder` if it was asked before.

    The file is named by all it depends on: the answers as ids (and so the template, and what was
    too long), the model's weights, and the precision.
    """
    if not rows:
        return []
    whole = sha256("\n".join((fingerprint(rows), reference.fingerprint, dtype)).encode())
    file = folder / f"{whole.hexdigest()[:32]}.safetensors"
    if not file.is_file():
        said = refer(reference, rows)
        flat = torch.tensor([x for row in said for x in row], dtype=torch.float32)
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        save_file({"logp": flat, "count": torch.tensor([len(row) for row in said])}, part)
        part.replace(file)  # whole or not at all
    told = tensors(file)
    return [few.tolist() for few in told["logp"].split(told["count"].tolist())]
