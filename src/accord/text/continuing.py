"""A tokenizer for text that follows other text."""

from typing import Any


def continuing(core: dict[str, Any]) -> dict[str, Any]:
    """The same tokenizer without the space it puts before a text, and takes away when decoding.

    Spelled by the whole-text tokenizer, a continuation would begin with a space nobody wrote.
    """
    core = dict(core)
    for stage, many in (
        ("normalizer", "normalizers"),
        ("pre_tokenizer", "pretokenizers"),
        ("decoder", "decoders"),
    ):
        parts = core[stage]
        if parts and many in parts:
            kept = [_joining(part) for part in parts[many] if part["type"] != "Prepend"]
            core[stage] = {**parts, many: kept}
        elif parts:
            core[stage] = None if parts["type"] == "Prepend" else _joining(parts)
    return core


def _joining(part: dict[str, Any]) -> dict[str, Any]:
    match part["type"]:
        case "Metaspace":
            return {**part, "prepend_scheme": "never"}
        case "ByteLevel" if "use_regex" in part:
            return {**part, "add_prefix_space": False}
        case "Strip" if "content" in part and part["content"] == " ":
            return {**part, "start": 0}
    return part
