"""Who judges in the demo."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from accord.config.limits import Count


@dataclass(frozen=True)
class Panel:
    """Three simulated annotators, who mostly follow the demo's rule."""


@dataclass(frozen=True)
class Me:
    """You, on the site of this machine."""

    wanted: Count = 20
    """verdicts of yours after which the demo goes on"""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """of the site; 0: one that is free"""
    open: bool = True
    """show it in a browser, where there is one; the link is printed either way"""
