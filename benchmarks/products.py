"""fp32 matrix products by torch and by oneDNN, GFLOP/s, in turns; the shapes of a training step.

OMP_NUM_THREADS=1 python benchmarks/products.py
"""

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SHAPES = (1024, 256, 256), (1024, 256, 768), (1024, 768, 256), (650, 256, 4096), (512, 2048, 2048)
ROUNDS = 15


def onednn(x_NI: Tensor, weight_OI: Tensor) -> Tensor:
    """x W'."""
    return torch.ops.mkldnn._linear_pointwise(x_NI, weight_OI, None, "none", [], "")


def compare(rows: int, wide: int, out: int) -> dict[str, float]:
    """Forward, gradient of the input, gradient of the weight; medians over the rounds."""
    x, w, dy = torch.randn(rows, wide), torch.randn(out, wide), torch.randn(rows, out)
    work: dict[str, Callable[[], Tensor]] = {
        "y torch": lambda: F.linear(x, w),
        "y oneDNN": lambda: onednn(x, w),
        "dx torch": lambda: dy @ w,
        "dx oneDNN": lambda: onednn(dy, w.t()),
        "dW torch": lambda: dy.t() @ x,
        "dW oneDNN": lambda: onednn(dy.t(), x.t()),
    }
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, each in work.items():
            began = time.process_time()
            each()
            taken[name].append(time.process_time() - began)
    size = 2e-9 * rows * wide * out
    return {name: size / statistics.median(every) for name, every in taken.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for shape in SHAPES:
        print(shape, ", ".join(f"{name} {rate:.0f}" for name, rate in compare(*shape).items()))
