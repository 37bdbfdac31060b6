"""What a person chose for themselves: theme, plain text, keys.  Kept as `User.prefs`."""

from collections.abc import Mapping
from typing import Any

THEMES = (("auto", "As the device"), ("light", "Light"), ("dark", "Dark"))


def read(form: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The preferences after the form of the account page; what it does not ask stays."""
    theme = str(form.get("theme", "auto"))
    return {
        **before,
        "theme": theme if theme in dict(THEMES) else "auto",
        "view": "plain" if form.get("plain") == "yes" else "",
        "shortcuts": form.get("shortcuts") == "yes",
    }
