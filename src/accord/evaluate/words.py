"""Numbers the way people read them."""

import math

MINUS = "−"


def digits(x: float | None) -> str:
    """Two or three digits that matter."""
    if x is None:
        return "not measured"
    if not math.isfinite(x):
        return "not finite"
    size = abs(x)
    places = 0 if size >= 100 else 1 if size >= 10 else 2
    if 1e-4 <= size < 0.01:  # small is not nothing
        places = 3 if size >= 1e-3 else 4
    text = f"{size:.{places}f}"
    return MINUS + text if x < 0 and float(text) else text


def signed(x: float) -> str:
    """With its sign."""
    text = digits(x)
    return text if text.startswith(MINUS) or not float(text) else f"+{text}"


def percent(x: float | None) -> str:
    """A share; never rounded up to all or down to none."""
    if x is None:
        return "not measured"
    if not math.isfinite(x):
        return "not finite"
    places = 1 if 0 < x < 0.02 or 0.99 < x < 1 else 0
    text = f"{100 * x:.{places}f}"
    if x < 1 and text.startswith("100"):
        return "over 99.9%"
    return "under 0.1%" if x > 0 and not float(text) else f"{text}%"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(n: int, one: str, many: str = "") -> str:
    """`1 story`, `2 stories`, `1,200 stories`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
