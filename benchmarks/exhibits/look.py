"""How the figures of the exhibits look."""

from typing import Any

STYLE: dict[str, Any] = {
    "svg.hashsalt": "accord",
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}
"""for matplotlib's rc_context; alike SVGs are alike to the byte"""
