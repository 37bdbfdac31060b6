"""A model by its name on a hub becomes a folder here, once; all else works on folders."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError

from accord.errors import BadModel

PATIENCE = 4.0
"""seconds to wait for a sign of life from the hub"""
_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.tiktoken"]
_UNWANTED = ["*/*", "consolidated*"]
"""other formats and precisions of the same weights"""


def is_hub_id(source: str | Path) -> bool:
    """`owner/name`, and no such folder here."""
    word = r"[A-Za-z0-9][\w.-]*"
    return (
        isinstance(source, str)
        and re.fullmatch(f"{word}/{word}", source) is not None
        and not Path(source).exists()
        and not Path(source).parent.is_dir()
    )


def folder(source: str | Path) -> Path:
    """Where a model lies: a folder as it is, a hub id as the snapshot of it in the cache.

    The hub is asked once, briefly, whether it is there; else, and with HF_HUB_OFFLINE, the cache
    must have the model.  For the length of a process an id stays what it was at first.
    """
    return _snapshot(str(source)) if is_hub_id(source) else Path(source)


@lru_cache
def _snapshot(name: str) -> Path:
    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _out_of_reach(name)
    try:
        return Path(
            snapshot_download(
                name,
                local_files_only=why is not None,
                allow_patterns=_WANTED,
                ignore_patterns=_UNWANTED,
            )
        )
    except LocalEntryNotFoundError as error:
        raise BadModel(
            f"{name}: there is no such folder, it is not in the cache of downloaded models, and "
            f"{why or 'the hub stopped answering'}; give a folder, or let it be downloaded once"
        ) from error
    except (HTTPError, OSError, ValueError) as error:
        raise BadModel(f"{name}: its download broke off ({_said(error)}); try again") from error


def _out_of_reach(name: str) -> str | None:
    """Why the hub cannot be used now; None if it can.  BadModel where it has no such model."""
    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=PATIENCE)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status >= 500:
            return f"the hub answers with error {status}"
        if status != 404 or type(error).__name__ == "RepositoryNotFoundError":
            raise BadModel(
                f"{name}: the hub has no such model, or not for you (error {status}); check the "
                "name, or log in with `hf auth login`"
            ) from error
    except (HTTPError, OSError) as error:
        return f"the hub cannot be reached ({type(error).__name__})"
    return None


@contextmanager
def briefly(name: str) -> Iterator[None]:
    """A data set's name is asked for once; where nothing answers, the cache must do for the rest.

    Libraries that load data sets try every file again and again before they look there.
    """
    before = constants.HF_HUB_OFFLINE
    try:
        get_hf_file_metadata(hf_hub_url(name, "README.md", repo_type="dataset"), timeout=PATIENCE)
    except HfHubHTTPError:
        pass  # it is there: the library that loads says what is wrong
    except (HTTPError, OSError):
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _said(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
