"""The pretended GPU finds what a real one would refuse."""

import pytest
import torch

from elsewhere import CPU, GPU, pretended_gpu


def test_tensors_say_where_they_lie_and_pass_it_on():
    with pretended_gpu() as there:
        here, away = torch.ones(3), torch.ones(3, device="cuda")
        assert (here.device, away.device) == (CPU, GPU)
        assert (away[1:] * 2).device == (away.new_zeros(2)).device == GPU
        assert torch.zeros_like(away).device == GPU
        assert away.cpu().device == away.to("cpu").device == CPU
        assert here.to(GPU, torch.float64).device == here.to(away).device == GPU
        assert here.to(torch.float64).device == here.device == CPU
        assert there.carried == ["cpu", "cpu", "gpu", "gpu"]


def test_a_mix_is_refused_but_for_scalars_and_indices():
    with pretended_gpu():
        here, away = torch.ones(3), torch.ones(3, device="cuda")
        with pytest.raises(RuntimeError, match="on cuda:0 and on cpu"):
            here + away
        with pytest.raises(RuntimeError, match="on cuda:0 and on cpu"):
            torch.cat([here, away])
        with pytest.raises(TypeError, match="numpy"):
            away.numpy()
        assert (away * torch.tensor(2.0)).device == GPU
        assert away[torch.tensor([0, 1])].device == GPU
        here.copy_(away)
        assert here.device == CPU


def test_a_module_moves_and_learns_there():
    with pretended_gpu():
        layer = torch.nn.Linear(2, 2).to("cuda")
        assert {w.device for w in layer.parameters()} == {GPU}
        layer(torch.ones(1, 2, device="cuda")).sum().backward()
        assert {w.grad.device for w in layer.parameters()} == {GPU}
        with pytest.raises(RuntimeError, match="on cuda:0 and on cpu"):
            layer(torch.ones(1, 2))
