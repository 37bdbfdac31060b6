"""Files of pictures: their kind, by their first bytes, and how they are sent to a server."""

from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISREG

from accord.errors import BadData

KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)
"""first bytes -> type; SVG is a program, and none of them"""
LETTERS = 200
"""letters of a path that an error tells"""
SHOWN = 5
"""missing files that an error names"""


def kind_of(data: bytes) -> str | None:
    """The media type of a picture; None of what is none."""
    for start, kind in KINDS:
        if data.startswith(start) and (kind != "image/webp" or data[8:12] == b"WEBP"):
            return kind
    return None


def data_url(path: str) -> str:
    """A picture within an address (RFC 2397), as servers take it."""
    try:
        if not S_ISREG(Path(path).stat().st_mode):  # a pipe would be waited for
            raise BadData(f"the picture {path} cannot be read (it is no file)")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadData(f"the picture {path[:LETTERS]} cannot be read ({why})") from None
    kind = kind_of(data)
    if kind is None:
        raise BadData(f"{path} is no picture that can be sent: PNG, JPEG, GIF and WebP are")
    return f"data:{kind};base64,{b64encode(data).decode()}"


def is_file(path: str | Path) -> bool:
    """Whether there is a file; of what can be no path, that there is none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def all_there(named: Iterable[tuple[str, Path]]) -> None:
    """BadData that tells, by row, of all files that are missing."""
    missing = [(where, path) for where, path in named if not is_file(path)]
    if missing:
        shown = "; ".join(f"{where}: {path}" for where, path in missing[:SHOWN])
        more = f"; and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise BadData(f"pictures are missing ({shown}{more}): images=FOLDER says where they lie")
