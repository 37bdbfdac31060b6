"""What memory a device has left for this process."""

from pathlib import Path

import torch

MEMINFO = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")


def free(device: torch.device) -> int | None:
    """Bytes; None where the machine does not tell.

    Of a GPU, also what torch holds there without using it; of main memory, no more than the limit
    of the control group (a container's) leaves.
    """
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    if device.type != "cpu" or not MEMINFO.is_file():
        return None
    lines = MEMINFO.read_text().splitlines()
    there = next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    limit = _limit()
    return there if limit is None else min(there, limit)


def _limit() -> int | None:
    """What the control group leaves; files that were read and can be dropped count as free."""
    most = GROUP / "memory.max"
    if not most.is_file() or not (said := most.read_text().strip()).isdigit():
        return None
    used = int((GROUP / "memory.current").read_text())
    told = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
    return max(0, int(said) - used + int(told.get("inactive_file", 0)))
