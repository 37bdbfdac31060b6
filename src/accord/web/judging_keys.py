"""The keys of the judging pages: what each does, and what a person made of them."""

from collections.abc import Mapping
from typing import Any

KEYS: dict[str, tuple[str, str]] = {
    "first": ("1", "A is better"),
    "second": ("2", "B is better"),
    "tie": ("0", "both are as good"),
    "bad": ("9", "both are bad"),
    "slightly": ("3", "slightly better"),
    "clearly": ("4", "clearly better"),
    "much": ("5", "much better"),
    "send": ("Enter", "send the verdict"),
    "skip": ("s", "skip this one"),
    "flag": ("f", "report a problem"),
    "undo": ("u", "take the last one back"),
    "why": ("r", "write a reason (Esc leaves the field)"),
    "view": ("v", "rendered, plain, differences"),
    "layout": ("l", "side by side, or one below the other"),
    "all": ("e", "show everything, or collapse alike"),
    "help": ("?", "this list"),
}
"""action -> (key, what it does)"""
FIXED = (
    ("← →", "choose an answer"),
    ("↑ ↓", "scroll it"),
    ("digits", "in ratings and rankings: the number of the chosen answer"),
)
"""keys that cannot be changed"""


def keys_of(prefs: Mapping[str, Any]) -> dict[str, str]:
    """Each action's key for a person; none where they switched keys off."""
    if prefs.get("shortcuts") is False:
        return {}
    own = prefs.get("keys")
    own = own if isinstance(own, dict) else {}
    return {name: str(own.get(name) or key) for name, (key, _) in KEYS.items()}


def remap(wanted: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """What to keep of the keys a person typed in, and why they cannot be (or "")."""
    kept = {name: wanted[name].strip() for name in KEYS if wanted.get(name, "").strip()}
    full = {name: kept.get(name, key) for name, (key, _) in KEYS.items()}
    for name, key in full.items():
        if len(key) > 1 and key not in ("Enter", "Space", "Tab", "Escape"):
            return {}, f"{key} is not one key: choose a single character for {KEYS[name][1]}"
        if key in ("Tab", "Escape"):
            return {}, f"{key} is how one leaves a field: choose another for {KEYS[name][1]}"
        twins = [other for other, value in full.items() if value == key and other != name]
        if twins:
            return {}, f"{key} would do two things: {KEYS[name][1]}, and {KEYS[twins[0]][1]}"
    return {name: key for name, key in kept.items() if key != KEYS[name][0]}, ""
