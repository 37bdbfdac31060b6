"""Small parts that a run keeps: running moments, and a buffer of rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from accord.data.rows import Rows
from accord.engine.buffer import Buffer
from accord.engine.running import Running


def some(n, seed=0):
    return 3 + 2 * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


def test_chunks_make_what_the_whole_makes(tmp_path):
    whole, parts = Running(2), Running(2)
    whole.learn(some(90))
    for few in some(90).split((1, 50, 39)):
        parts.learn(few)
    torch.testing.assert_close(parts.mean_F, some(90).double().mean(0))
    torch.testing.assert_close(parts.std_F, some(90).double().std(0, correction=0))
    torch.testing.assert_close(parts.normal(some(5)), whole.normal(some(5)))
    parts.save(tmp_path)
    again = Running(2)
    again.load(tmp_path)
    again.learn(some(7, 1))
    parts.learn(some(7, 1))
    assert torch.equal(again.mean_F, parts.mean_F)
    assert torch.equal(again.square_F, parts.square_F)


def test_normal_is_of_mean_zero_and_deviation_one_and_held():
    seen = Running(2)
    assert torch.equal(seen.normal(torch.tensor([[3.0, -4.0]])), torch.tensor([[3.0, -4.0]]))
    seen.learn(some(100))
    x_NF = seen.normal(some(100))
    torch.testing.assert_close(x_NF.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(x_NF.std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)
    assert seen.normal(torch.tensor([[1e9, -1e9]])).tolist() == [[10.0, -10.0]]
    still = Running(1)
    still.learn(torch.full((9, 1), 0.1))
    assert abs(float(still.normal(torch.full((1, 1), 0.1)))) < 1e-3


@dataclass(frozen=True)
class Pair(Rows):
    x_BK: Tensor
    y_B: Tensor


def pair(*numbers):
    x_B = torch.tensor(numbers, dtype=torch.float32)
    return Pair(x_B[:, None].expand(-1, 2), x_B.long())


def test_the_newest_rows_stay(tmp_path):
    buffer = Buffer(Pair, 3)
    assert (len(buffer), buffer.count) == (0, 0)
    for step, rows in enumerate((pair(1, 2), pair(3), pair(4, 5))):
        folder = tmp_path / str(step)
        folder.mkdir()
        buffer.save(folder)
        again = Buffer(Pair, 3)
        again.load(folder)
        assert (len(again), again.count) == (len(buffer), buffer.count)
        again.add(rows)
        buffer.add(rows)
        assert torch.equal(again.rows.x_BK, buffer.rows.x_BK)
    assert buffer.rows.y_B.tolist() == [3, 4, 5]
    assert buffer.rows.x_BK.tolist() == [[3.0, 3.0], [4.0, 4.0], [5.0, 5.0]]
    assert (len(buffer), buffer.count) == (3, 5)
