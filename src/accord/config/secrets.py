"""Keys and tokens: settings name the environment variable that holds one, and never hold it."""

import os

from accord.errors import BadSettings


def secret(name: str | None, setting: str) -> str | None:
    """What the variable holds; BadSettings where the environment has none by that name."""
    if name is None:
        return None
    if not (found := os.environ.get(name, "").strip()):
        raise BadSettings(
            f"{setting}={name}: the environment has no variable of that name; set it, start again"
        )
    return found
