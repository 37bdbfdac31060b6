"""What is wrong with a text, and a text shown so that nothing in it stays unseen."""

import re
import unicodedata

MARKS = {"\n": "↵", "\t": "⇥", "\r": "␍"}
WORD = re.compile(
    r"[\u2e80-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"  # scripts without spaces
    r"|[^\W_]+|[^\s]"
)
CONTROL = re.compile(
    r"<\|[a-zA-Z][\w ]{0,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:bos|eos|pad|unk)>"
    r"|<(?:start|end)_of_turn>|\[(?:CLS|SEP|PAD|MASK)\]"
)
"""control tokens of common model families"""
MOJIBAKE = re.compile(
    "\ufffd"
    r"|[ÃÂ][\u0080-\u00bf]|â(?:€|\u0080)[™œ“”˜¦\u0090-\u00bf]|ï»¿|[ÐÑ][\u0080-\u00bf]{1}[ÐÑ]"
)
"""U+FFFD, and UTF-8 that was read as Latin-1 or Windows-1252"""
HTML = re.compile(
    r"</?(?:p|br|div|span|li|ul|ol|strong|em|b|i|h[1-6]|table|tr|td|img|a|font)\b[^<>]{0,200}>"
    r"|&(?:amp|lt|gt|quot|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,5});",
    re.IGNORECASE,
)
INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]"
)
REFUSAL = re.compile(
    r"^\W*(?:(?:i'?m|i am)(?: so| very| really)? (?:sorry|afraid|unable)"
    r"|(?:sorry|apologies)\b|i apologi[sz]e"
    r"|i (?:can'?t|cannot|can not|won'?t|will not) (?:help|assist|answer|provide|do that|comply)"
    r"|as an ai\b|i'?m (?:just )?an ai\b)",
    re.IGNORECASE,
)
SHORT = 160


def tokens(text: str) -> list[str]:
    """Words, signs one by one, and of scripts without spaces each character."""
    return WORD.findall(text)


def length(text: str) -> int:
    """Its number of words; characters, in scripts without spaces; signs do not count."""
    return sum(1 for word in WORD.findall(text) if word[0].isalnum())


def plain(text: str) -> str:
    """The same for texts that differ in spacing, case or Unicode form alone."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def visible(text: str) -> str:
    """The text with a sign for each character that is not seen, and none that steers a terminal."""
    return "".join(_shown(c) for c in text)


def excerpt(text: str, most: int = SHORT) -> str:
    """The text on one line: spaces at its ends and what is unseen become visible."""
    if len(text) > most:
        head = most * 2 // 3
        text = text[:head].rstrip() + " … " + text[-(most - head) :].lstrip()
    body = text.strip(" ")
    lead = len(text) - len(text.lstrip(" "))
    if not body:
        return "␣" * len(text)
    return "␣" * lead + visible(body) + "␣" * (len(text) - lead - len(body))


def around(text: str, found: re.Match[str], room: int = 50) -> str:
    """What was found, with the words around it."""
    start, end = max(0, found.start() - room), min(len(text), found.end() + room)
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def _shown(c: str) -> str:
    if c in MARKS:
        return MARKS[c]
    if c == " " or (c.isprintable() and not INVISIBLE.match(c)):
        return c
    return f"⟨U+{ord(c):04X}⟩"
