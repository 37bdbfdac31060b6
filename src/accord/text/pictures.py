"""Files of pictures, opened: guarded against bombs, and the same to whoever looks."""

import warnings
from typing import Any

from accord.errors import BadData, first_line

MOST_PIXELS = 100_000_000
"""of one picture: beyond, a small file may fill the memory"""
FORMS = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
"""as pillow calls what is read; others start programs (EPS), or are no picture of their own"""
KINDS = ("llava", "qwen2_vl", "qwen2_5_vl")
"""model types that see here"""


def open_picture(path: str, data: bytes, most: int | None = None) -> Any:
    """A PIL picture in RGB, upright, of at most so many pixels; BadData, which names the file, for
    what is none.
    """
    from io import BytesIO

    from PIL import Image as Pillow
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size and of odd EXIF: both are looked at here
            picture = Pillow.open(BytesIO(data), formats=_forms())
            width, height = picture.size
            most = most or MOST_PIXELS
            if width * height > most:
                raise BadData(
                    f"{path}: {width} x {height} pixels; at most {most:,}: make it smaller"
                )
            frames = getattr(picture, "n_frames", 1)
            if frames > 1 and picture.format != "MPO":  # a camera's: its first is the picture
                raise BadData(f"{path}: is animated ({frames} frames); save the one that is meant")
            return _plain(ImageOps.exif_transpose(picture))
    except BadData:
        raise
    except Pillow.UnidentifiedImageError:
        raise BadData(
            f"{path}: cannot be read as a picture (none of {', '.join(_forms())})"
        ) from None
    except Pillow.DecompressionBombError as error:
        raise BadData(f"{path}: far too many pixels ({error})") from error
    except Exception as error:  # a broken file ends in any kind of error there
        raise BadData(f"{path}: cannot be read as a picture ({first_line(error)})") from error


def _forms() -> list[str]:
    """Those of `FORMS` that this pillow can read."""
    from PIL import Image as Pillow

    Pillow.init()
    return [form for form in FORMS if form in Pillow.OPEN]


def _plain(picture: Any) -> Any:
    """RGB: on white where it is transparent, and not cut where it has 16 bits."""
    from PIL import Image as Pillow

    if picture.mode.startswith("I"):
        picture = picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        ground = Pillow.new("RGBA", picture.size, "white")
        picture = Pillow.alpha_composite(ground, picture)
    return picture.convert("RGB")
