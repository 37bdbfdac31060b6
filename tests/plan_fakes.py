"""Plans that are rehearsed once, however often a test asks for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from accord.engine.memory import Estimate, Work, estimate
from accord.recipes import plan

_KEPT: dict[tuple[str, Work], Estimate] = {}


@contextmanager
def remembered() -> Iterator[None]:
    """What `accord plan` foresaw of a model and a work is kept for as long as the process lives."""

    def told(config: Any, work: Work) -> Estimate:
        key = (config.to_json_string(), work)
        if key not in _KEPT:
            _KEPT[key] = estimate(config, work)
        return _KEPT[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "estimate", told)
        yield
