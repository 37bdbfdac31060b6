"""Small pictures that need no script."""

from collections.abc import Sequence


def sparkline(values: Sequence[float], width: int = 120, height: int = 32) -> str:
    """The points of a polyline through the values: "0.0,31.0 60.0,4.2 ..."; empty below two."""
    if len(values) < 2:
        return ""
    least, most = min(values), max(values)
    span = (most - least) or 1.0
    across = (width - 4) / (len(values) - 1)
    flat = most == least
    return " ".join(
        f"{2 + i * across:.1f},"
        f"{height / 2 if flat else 2 + (height - 4) * (1 - (v - least) / span):.1f}"
        for i, v in enumerate(values)
    )
