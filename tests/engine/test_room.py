"""What is left of a device's memory is read where the system tells it."""

import pytest
import torch

from accord.engine import room

CPU = torch.device("cpu")


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A machine with 8,000 kB available, and no control group."""
    (tmp_path / "meminfo").write_text("MemTotal: 16000 kB\nMemAvailable:    8000 kB\n")
    monkeypatch.setattr(room, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(room, "GROUP", tmp_path)
    return tmp_path


def group(folder, limit, used=0, dropped=0):
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {dropped}\n")


def test_main_memory_is_what_is_available(system):
    assert room.free(CPU) == 8_192_000
    group(system, "max")
    assert room.free(CPU) == 8_192_000


@pytest.mark.parametrize(
    ("limit", "used", "dropped", "left"),
    [
        (5_000_000, 1_000_000, 0, 4_000_000),
        (5_000_000, 4_000_000, 3_000_000, 4_000_000),
        (5_000_000, 6_000_000, 0, 0),
        (50_000_000, 0, 0, 8_192_000),
    ],
)
def test_a_container_has_no_more_than_its_limit_leaves(system, limit, used, dropped, left):
    group(system, limit, used, dropped)
    assert room.free(CPU) == left


def test_a_gpu_has_what_is_free_and_what_torch_holds_unused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert room.free(torch.device("cuda")) == 1300


def test_a_system_that_does_not_tell(system):
    (system / "meminfo").unlink()
    assert room.free(CPU) is None
    assert room.free(torch.device("mps")) is None


def test_this_machine_tells():
    found = room.free(CPU)
    assert found is None or found > 1_000_000
