"""Pictures as ids, and how a model's own processor makes numbers of them.

A picture in a prompt is a run of negative ids, one for each place it takes in the model's sequence.
An id holds the picture's name, which is a hash of its bytes, and the place's number in it.  So ids
stay the only currency: rows, prefixes that are shared, rollouts on disk and cached log-probs know
which picture they speak of, and none of them had to learn that there are pictures.
"""

import json
import re
import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

from accord.errors import BadData, BadModel, MissingExtra, first_line
from accord.records import Ids, Image
from accord.text import folder as folders
from accord.text import hub
from accord.text.pictures import KINDS, open_picture

PLACES = 14
"""bits of an id that number the places of a picture; 48 more name it"""
MOST_PLACES = 1 << PLACES
MOST_BYTES = 1 << 29
"""of a picture's file"""
LIE = ": images=FOLDER says where they lie"
SHOWN = 200
"""letters of a path that an error tells"""
MOST_LOOKED = 100_000
"""pictures whose ids are at hand"""
TOWERS = ("clip_vision_model", "siglip_vision_model")
"""of LLaVAs"""
FILES = ("preprocessor_config.json", "processor_config.json")
Count = Callable[[int, int], int]
"""(width, height) of a picture -> places it takes"""


class Known(NamedTuple):
    """Where a picture lies, and the hash of all its bytes."""

    path: str
    digest: str


_known: dict[int, Known] = {}
"""name -> picture, of all that were spelled.  A name is its content: no two spellers differ."""
_lock = threading.Lock()


def ids_of(name: int, count: int) -> Ids:
    """The ids of a picture that takes `count` places."""
    return tuple(-1 - (name << PLACES | place) for place in range(count))


def name_of(i: int) -> int:
    """The picture that an id is part of."""
    return (-1 - i) >> PLACES


class Span(NamedTuple):
    """A picture among ids."""

    start: int
    name: int
    places: int


def spans(ids: Sequence[int]) -> list[Span]:
    """The pictures that ids hold, in order; each begins with its place 0."""
    found: list[Span] = []
    for at, i in enumerate(ids):
        if i < 0 and (-1 - i) % MOST_PLACES == 0:
            found.append(Span(at, name_of(i), 1))
        elif i < 0:
            found[-1] = found[-1]._replace(places=at - found[-1].start + 1)
    return found


def collapsed(ids: Sequence[int], place: int) -> list[int]:
    """Ids of the vocabulary alone: the placeholder once in place of every picture."""
    out: list[int] = []
    for i in ids:
        if i >= 0:
            out.append(i)
        elif (-1 - i) % MOST_PLACES == 0:
            out.append(place)
    return out


def paths(ids: Sequence[int]) -> list[str]:
    """The files of the pictures that ids hold, in order."""
    return [known(span.name).path for span in spans(ids)]


def known(name: int) -> Known:
    """A picture that was spelled; BadData for one that this process never saw."""
    if name not in _known:
        raise BadData(
            f"a sequence holds picture {name:012x}, which no prompt of this run brought; give the "
            "run the data that its rollouts were made from"
        )
    return _known[name]


def remember(path: str, data: bytes) -> int:
    """The name of a picture, under which it is found again."""
    digest = sha256(data).hexdigest()
    name = int(digest[:12], 16)
    with _lock:
        other = _known.get(name)
        if other is not None and other.digest != digest:
            raise BadData(f"{path} and {other.path} hash alike by chance; save one of them anew")
        _known[name] = Known(path, digest)  # where it was seen last: it may have moved
    return name


def forget(path: str, digest: str) -> None:
    """A picture that is gone for good: who takes pictures for ever would else remember them all.
    One that was since seen elsewhere stays.
    """
    name = int(digest[:12], 16)
    with _lock:
        if name in _known and _known[name].path == path:
            del _known[name]


class Sight:
    """How one model sees: its processor, and how many places a picture takes."""

    def __init__(self, processor: Any, count: Count, place: int, files: dict[str, str]):
        """`load` is the way in."""
        self.processor, self.count, self.place, self._files = processor, count, place, files
        self._looked: dict[tuple[str, int, int], Ids] = {}

    place: int
    """id of the token that stands for a picture in a template's text"""

    @classmethod
    def load(cls, source: str | Path, vocab: dict[str, int]) -> "Sight | None":
        """The sight of a model folder; None where its model reads text alone."""
        folder = _folder(source)
        config = folders.read(folder, "config.json") if folder else {}
        if folder is None or config.get("model_type") not in KINDS:
            return None
        _installed()
        place = config.get("image_token_id", config.get("image_token_index"))
        if place is None or place not in vocab.values():
            raise BadModel(
                f"{source}: its config names no image token (image_token_id) that its tokenizer has"
            )
        files = {name: (folder / name).read_text() for name in FILES if (folder / name).is_file()}
        processor = _processor(source, folder)
        _agree(source, config, processor)
        return cls(processor, _counter(config, processor, files), place, files)

    def ids(self, image: Image) -> Ids:
        """What a picture is in a prompt.  BadData for a file that is missing, is no picture, or
        takes more places than can be numbered.
        """
        stamp = _stamp(image.path)
        if stamp not in self._looked:
            if len(self._looked) >= MOST_LOOKED:  # an endpoint is shown pictures for ever
                self._looked.clear()
            self._looked[stamp] = self._ids(image.path)
        return self._looked[stamp]

    def _ids(self, path: str) -> Ids:
        data = _bytes(path)
        picture = open_picture(path, data)
        try:
            count = self.count(*picture.size)
        except ValueError as error:  # whatever a processor refuses: too long and thin, as a rule
            raise BadData(f"{path}: the model's processor refuses it: {error}") from error
        if not 0 < count <= MOST_PLACES:
            raise BadData(f"{path}: would take {count} tokens; at most {MOST_PLACES}")
        return ids_of(remember(path, data), count)

    def pixels(self, names: Sequence[int]) -> Any:
        """What the tower is given for some pictures: `pixel_values`, and what else it asks for."""
        found = [known(name) for name in names]
        pictures = []
        for one in found:
            data = _bytes(one.path)
            if sha256(data).hexdigest() != one.digest:
                raise BadData(f"{one.path}: changed since it was read; leave data alone in a run")
            pictures.append(open_picture(one.path, data))
        return self.processor(images=pictures, return_tensors="pt")

    @property
    def fingerprint(self) -> str:
        """All that decides what is seen."""
        return json.dumps([self.processor.to_dict(), self.place], sort_keys=True, default=str)

    def save(self, folder: Path) -> None:
        """The files it was read from, unchanged."""
        for name, text in self._files.items():
            (folder / name).write_text(text)


def _stamp(path: str) -> tuple[str, int, int]:
    """The same for as long as nobody writes to the file."""
    try:
        told = Path(path).stat()
    except (OSError, ValueError):
        return path, 0, 0  # what is wrong is said when it is read
    return path, told.st_size, told.st_mtime_ns


def _bytes(path: str) -> bytes:
    """All of a file; BadData, which names it, also for what would never end (a device, a pipe)."""
    shown = path if len(path) <= SHOWN else f"{path[:SHOWN]}…"
    try:
        told = Path(path).stat()
        if not S_ISREG(told.st_mode):
            raise BadData(f"{shown}: the picture cannot be read (it is no file)")
        if told.st_size > MOST_BYTES:
            raise BadData(f"{shown}: {told.st_size:,} bytes; a picture has at most {MOST_BYTES:,}")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise BadData(f"{shown}: there is no such picture{_address(path) or LIE}") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        why = getattr(error, "strerror", None) or first_line(error)
        raise BadData(f"{shown}: the picture cannot be read ({why}){_address(path)}") from error


def _address(path: str) -> str:
    found = re.match("(https?|data|file|s3|gs):", path)
    return f": it is an address ({found[0]}…), and a file's path is meant" if found else ""


def _folder(source: str | Path) -> Path | None:
    """The folder with the model itself: of an adapter, its base's."""
    for place in (hub.folder(source), *folders.bases(source)):
        if (place / "config.json").is_file():
            return place
    return None


def _installed() -> None:
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise MissingExtra("models that see need pillow: pip install 'accord[vision]'") from error


def _processor(source: str | Path, folder: Path) -> Any:
    from transformers import AutoImageProcessor
    from transformers.utils import logging

    if not (folder / "preprocessor_config.json").is_file():
        raise BadModel(f"{source}: no preprocessor_config.json, which says how it sees; copy it")
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # it advises on torchvision, which is not needed
    try:
        return AutoImageProcessor.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:  # a broken file ends in any kind of error there
        raise BadModel(
            f"{source}: its image processor cannot be read: {first_line(error)}"
        ) from error
    finally:
        logging.set_verbosity(level)


def _counter(config: dict[str, Any], processor: Any, files: dict[str, str]) -> Count:
    """Places by the size of a picture: always the same for LLaVA, of its own grid for Qwen."""
    if config["model_type"] != "llava":
        merged = config.get("vision_config", {}).get("spatial_merge_size", 2) ** 2
        return lambda w, h: int(processor.get_number_of_image_patches(h, w)) // merged
    vision = config.get("vision_config", {})
    tower = vision.get("model_type", TOWERS[0])
    side = vision.get("image_size", 224) // vision.get("patch_size", 32)
    told = json.loads(files.get("processor_config.json", "{}"))
    front = told.get("num_additional_image_tokens", int(tower == TOWERS[0]))
    skip = config.get("vision_feature_select_strategy", "default") == "default"
    return lambda w, h: side * side + front - int(skip)


def _agree(source: str | Path, config: dict[str, Any], processor: Any) -> None:
    """BadModel where the processor makes pictures of another size than the model looks at."""
    vision = config.get("vision_config", {})
    if config["model_type"] == "llava":
        from PIL import Image as Pillow

        if (tower := vision.get("model_type", TOWERS[0])) not in TOWERS:
            one = " or ".join(TOWERS)
            raise BadModel(f"{source}: its tower is a {tower}; a LLaVA runs here with a {one}")
        side = vision.get("image_size", 224)
        shown = processor(images=[Pillow.new("RGB", (side, side))], return_tensors="np")
        given, wanted = shown["pixel_values"].shape[-2:], (side, side)
    else:
        names = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
        given = tuple(getattr(processor, name) for name in names)
        keys = {"merge_size": "spatial_merge_size"}
        wanted = tuple(vision.get(keys.get(name, name), usual) for name, usual in names.items())
    if tuple(given) != wanted:
        raise BadModel(
            f"{source}: {FILES[0]} makes pictures of {_by(given)}, and the tower in config.json "
            f"looks at {_by(wanted)}: one of the files is another model's"
        )


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
