"""What the one optimizer loop asks of whatever it trains."""

from collections.abc import Iterator

import torch
from torch import nn


class Learned(nn.Module):
    """A module that knows which of its parameters learn, and where it lies."""

    def learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        """(name, parameter) of all that is trained: here, everything."""
        yield from self.named_parameters()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device
