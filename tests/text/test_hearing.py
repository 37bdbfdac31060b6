"""Text as it comes is the text that is there in the end."""

import random
from pathlib import Path

import pytest

import tongues
from accord.text.hearing import Hearing, token_bytes
from accord.text.tokenizer import Speller

TOKENIZERS = {
    "words": tongues.byte_level,
    "adversarial": lambda: tongues.byte_level(words=False, size=900),
    "llama": tongues.llama,
    "metaspace": lambda: tongues.llama(metaspace=True),
}
TALES = [
    "there",
    " a time",
    "  two spaces",
    "\n\nThen",
    "é😀 \t",
    "</s> is text",
    " ",
    "Once upon a time, a 😀 said: “Ça va?” — and\n\nthe end. ",
    "日本語のテキスト",
    "",
    "�",
]


def spoken(speller: Speller, ids, stops=()) -> tuple[list[str], Hearing]:
    hearing = Hearing(speller, stops)
    pieces = [hearing.add(i) for i in ids if not hearing.stopped]
    return [*pieces, hearing.end()], hearing


@pytest.fixture(params=TOKENIZERS)
def speller(request, tmp_path: Path) -> Speller:
    return Speller.load(tongues.folder(tmp_path, TOKENIZERS[request.param]()))


@pytest.mark.parametrize("text", TALES)
def test_the_pieces_are_the_text(speller, text):
    ids = speller.response_ids(text)[:-1]
    assert "".join(spoken(speller, ids)[0]) == speller.text(ids)


def test_pieces_come_as_soon_as_they_are_certain(speller):
    ids = speller.response_ids("there was a cat and there was a tree")[:-1]
    pieces = spoken(speller, ids)[0]
    assert all(pieces[:-1]), "every token of plain letters is told at once"
    assert pieces[-1] == ""


def test_random_ids_never_show_half_a_character_that_became_a_whole_one(speller):
    dice = random.Random(0)
    for _ in range(200):
        ids = [dice.randrange(speller.vocab) for _ in range(dice.randrange(1, 12))]
        ids = [i for i in ids if i not in speller.ends]
        text = "".join(spoken(speller, ids)[0])
        assert text.replace("�", "") == speller.text(ids).replace("�", "") or "�" in text


@pytest.mark.parametrize("template", [tongues.CHATML, tongues.LLAMA3])
def test_a_templates_frame_is_not_heard(template, tmp_path):
    speller = Speller.load(tongues.folder(tmp_path, tongues.byte_level(), template))
    for text in ("there was", "\n", " a cat\n", "a\n\n"):
        ids = speller.response_ids(text)[:-1]
        assert "".join(spoken(speller, ids)[0]) == speller.text(ids)


@pytest.mark.parametrize(
    ("text", "stops", "heard"),
    [
        ("there was a cat", ["was"], "there "),
        ("there was a cat", ["cat", "was a"], "there "),
        ("there was a cat", ["dog"], "there was a cat"),
        ("there was a cat", ["catch", "a catch"], "there was a cat"),
        ("aab aaab", ["aaab"], "aab "),
        ("a\n\nHuman: hm", ["\n\nHuman:"], "a"),
        ("there", ["t"], ""),
    ],
)
def test_stops(speller, text, stops, heard):
    pieces, hearing = spoken(speller, speller.response_ids(text)[:-1], stops)
    assert "".join(pieces) == heard
    assert hearing.stopped == (heard != text)
    for n in range(len(pieces)):
        assert heard.startswith("".join(pieces[:n]))


@pytest.mark.parametrize("text", TALES)
def test_the_bytes_of_tokens_are_the_text(speller, text):
    ids = speller.response_ids(text)[:-1]
    said = b"".join(token_bytes(speller, i) for i in ids)
    assert said == speller.text(ids).encode()


def test_bytes_of_control_tokens_and_of_no_token(speller):
    assert token_bytes(speller, speller.end) == speller.name(speller.end).encode() != b""
    assert token_bytes(speller, speller.vocab + 5) == b""
