"""What people see while a run goes on, in a terminal and outside of one; and the sinks' words."""

import io
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from accord.errors import BadSettings, MissingExtra
from accord.store import logs
from accord.store.logs import TensorBoard, Tracker
from accord.store.run import Run
from accord.store.terminal import Terminal, chosen, label, short, span, sparkline
from store_fakes import play


class Clock:
    """Time that passes when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def screen(*, terminal: bool, width: int = 100, encoding: str = "utf-8") -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="\n")
    return Console(file=file, force_terminal=terminal, width=width, color_system=None)


def read(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.TextIOWrapper)
    file.flush()
    return file.buffer.getvalue().decode()  # type: ignore[attr-defined]


def test_plain_lines_every_few_seconds() -> None:
    clock, console = Clock(), screen(terminal=False)
    with Terminal(console, every=5, clock=clock) as view:
        run = Run(name="ppo", sinks=[view])
        for step in run.steps({"steps": 12}):
            clock.now += 2
            run.log(step, lr=1e-5, **{"objective/scores": step / 4, "objective/kl": 1234.5})
        view.begin("ppo", 12, 12, {})
        view.end(True)
        view.begin("a-long-name-of-a-run", 0, 3, {})
    assert read(console).split("\n") == [
        "  ppo       12 steps",
        "  ppo        3/12  left 0:18  score 0.500   kl 1234",
        "  ppo        6/12  left 0:12  score 1.25   kl 1234",
        "  ppo        9/12  left 0:06  score 2.00   kl 1234",
        "  ppo       ✓ 12 steps, 0:24  score 2.75   kl 1234",
        "  ppo       ✓ all 12 steps were done before; nothing left to do",
        "  a-long-name-of-a-run 3 steps",
        "",
    ]


def test_broken_off_and_gone_on_with(tmp_path: Path) -> None:
    console = screen(terminal=False)
    with Terminal(console) as view:
        run = Run(tmp_path / "sft", sinks=[view])
        steps = run.steps({"steps": 3})
        next(steps)
        next(steps)
        run.log(1, loss=0.25)
        del steps  # as when the loop is left
        again = Run(tmp_path / "sft", sinks=[view])
        list(again.steps({"steps": 3}))
    said = read(console)
    assert "✗ broke off after 1 of 3 steps, 0:00" in said
    assert "sft       going on at step 1 of 3" in said
    assert "✓ 3 steps" in said


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_view_fits_its_terminal(width: int) -> None:
    clock = Clock()
    view = Terminal(screen(terminal=True, width=width), clock=clock)
    view.begin("ppo", 0, 60, {})
    for step in range(24):
        clock.now += 3
        view.log(step, {"objective/scores": step / 7, "objective/kl": 2.0, "eval/accuracy": 0.75})
    view.tick(20)
    view.tick(17)
    clock.now += 1
    assert view.left == pytest.approx(36 * 3 - 1)
    paper = screen(terminal=True, width=width)
    paper.print(view.view())
    top, below, *_ = read(paper).split("\n")
    assert max(len(top.rstrip()), len(below)) <= width
    assert "24/60" in top
    if width >= 80:
        assert "1:13" in top
        assert "1:47 left" in top
        assert "score 3.29 ▁▂▂▃▄▄▅▅▆▇▇█" in below
        assert below.rstrip().endswith("37 answers")
    view.end(True)
    said = read(view.console)
    assert (
        said.rstrip().split("\n")[-1].rpartition("\x1b[2K")[2].startswith("  ppo       ✓ 60 steps")
    )
    assert "\x1b[?25h" in said, "the cursor is back"


def test_old_encodings_are_spared() -> None:
    console = screen(terminal=False, encoding="ascii")
    with Terminal(console) as view:
        play(None, sinks=[view])
    assert "done: 4 steps" in read(console)
    view = Terminal(screen(terminal=True, encoding="ascii"))
    view.begin("ppo", 0, 3, {})
    view.log(0, {"loss": 1.0})
    view.log(1, {"loss": 2.0})
    view.end(False)
    assert "stopped:" in read(view.console)


def test_words_and_numbers() -> None:
    assert chosen({"lr": 1.0, "loss": 2.0, "score": 3.0}) == ["score", "loss"]
    assert chosen({"lr": 1.0, "a": 2.0, "b": 3.0}) == ["a", "b"]
    assert chosen({"lr": 1.0, "score": 3.0}, ["lr", "absent"]) == ["lr"]
    assert label("objective/scores") == "score"
    assert label("eval/length_correlation") == "held-out length correlation"
    assert [short(x) for x in (0.0, 1 / 3, -12.345, 999.6, 12345.6, 3e-5, 2e7, 7, 12345)] == [
        "0.00", "0.333", "-12.3", "1000", "12346", "3.00e-05", "2.00e+07", "7", "12,345",
    ]  # fmt: skip
    assert [span(s) for s in (0, 7.4, 59.6, 750, 11100)] == [
        "0:00", "0:07", "1:00", "12:30", "3:05:00",
    ]  # fmt: skip
    assert sparkline([0, 1, 2]) == "▁▅█"
    assert sparkline([5.0, 5.0]) == "▄▄"


# --- sinks of other makers ---


class Recorder:
    """Stands for a library: keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*told: Any, **named: Any) -> "Recorder":
            self.calls.append((name, told, named))
            return self

        return call


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """wandb and trackio, as far as we speak to them."""
    recorder = Recorder()
    for name in ("wandb", "trackio"):
        module = types.ModuleType(name)
        for verb in ("init", "log", "finish"):
            setattr(module, verb, getattr(recorder, verb))
        monkeypatch.setitem(sys.modules, name, module)
    return recorder


@pytest.mark.parametrize("by", ["wandb", "trackio"])
def test_trackers_hear_every_step(maker: Recorder, tmp_path: Path, by: str) -> None:
    play(tmp_path / "ppo", sinks=[logs.sink(by, tmp_path)])
    names = [name for name, *_ in maker.calls]
    assert names == ["init", "log", "log", "log", "log", "finish"]
    init = maker.calls[0][2]
    assert (init["project"], init["name"], init["resume"]) == ("accord", "ppo", "allow")
    assert init["config"]["lr"] == 0.1
    assert ("id" in init) == (by == "wandb")
    assert maker.calls[2][2] == {"step": 1}
    assert set(maker.calls[2][1][0]) == {"score", "kl", "tokens_per_second", "step_time"}


def test_none_is_not_sent(maker: Recorder) -> None:
    tracker = Tracker("p", mode="offline")
    tracker.begin("x", 0, 1, {})
    assert maker.calls[0][2]["mode"] == "offline"
    tracker.log(0, {"a": 1.0, "b": None})
    assert maker.calls[1][1] == ({"a": 1.0},)


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_absent_extras_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=rf"{name} is not installed.*'accord\[{name}\]'"):
        logs.sink(name, tmp_path)


def test_unknown_sink(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no sink is called 'csv'"):
        logs.sink("csv", tmp_path)


def test_tensorboard_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    play(tmp_path / "ppo", sinks=[TensorBoard(tmp_path / "tb")])
    events = loader.EventAccumulator(str(tmp_path / "tb" / "ppo"))
    events.Reload()
    assert [event.step for event in events.Scalars("score")] == [0, 1, 2, 3]
