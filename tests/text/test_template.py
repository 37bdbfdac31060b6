from datetime import date
from pathlib import Path

import pytest
from transformers import AutoTokenizer

import tongues
from accord.errors import BadData, BadModel
from accord.records import Conversation, Image, Message, ask
from accord.text.template import Plain
from accord.text.tokenizer import DAY, Speller

TALK: Conversation = (
    *ask("  Tell me a story. "),
    Message.of("assistant", "A cat."),
    Message.of("user", "More"),
)
GOOD = {
    "chatml": tongues.CHATML,
    "llama2": tongues.LLAMA2,
    "llama3": tongues.LLAMA3,
    "dated": tongues.DATED,
    "channels": tongues.CHANNELS,
}
ENDS = {
    "chatml": "<|im_end|>",
    "llama2": "</s>",
    "llama3": "<|eot_id|>",
    "dated": "<|im_end|>",
    "channels": "<|return|>",
}


def own(folder: Path, talk: Conversation, speaks: bool) -> str:
    """The model's own rendering."""
    messages = [{"role": m.role, "content": m.text} for m in talk]
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    return str(
        tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=speaks)
    )


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("response", ["The cat slept.", "  two \n\n lines\n", "é 😀 ▁", "x"])
def test_bytes_equal_the_models_own_template(name: str, response: str, tmp_path: Path) -> None:
    folder = tongues.folder(tmp_path, template=GOOD[name])
    speller = Speller.load(folder, day=date.today())
    prompt, answer = speller.demonstration(TALK, response)
    full = own(folder, (*TALK, Message.of("assistant", response)), False)
    spelled = speller.decode(prompt + answer, special=True)
    assert speller.decode(prompt, special=True) == own(folder, TALK, True)
    assert full.startswith(spelled)
    assert full[len(spelled) :].strip() == ""
    assert spelled == speller.render(TALK, response)
    assert speller.render(TALK) == own(folder, TALK, True)
    assert spelled.endswith(ENDS[name])
    assert answer[-1] == speller.end
    assert speller.end in speller.ends


@pytest.mark.parametrize("name", GOOD)
def test_an_answer_alone_is_spelled_as_in_its_conversation(name: str, tmp_path: Path) -> None:
    speller = Speller.load(tongues.folder(tmp_path, template=GOOD[name]))
    prompt, answer = speller.demonstration(TALK, "The end.")
    assert speller.prompt_ids(TALK) == prompt
    assert speller.response_ids("The end.") == answer
    assert speller.text(answer) == "The end."


def test_a_template_that_strips_gives_stripped_answers(tmp_path: Path) -> None:
    speller = Speller.load(tongues.folder(tmp_path, template=tongues.LLAMA3))
    assert speller.response_ids("  Yes. \n") == speller.response_ids("Yes.")
    speller = Speller.load(tongues.folder(tmp_path, template=tongues.CHATML))
    assert speller.response_ids("  Yes. \n") != speller.response_ids("Yes.")


def test_a_template_without_end_gets_the_tokenizers(tmp_path: Path) -> None:
    speller = Speller.load(tongues.folder(tmp_path, template=tongues.ENDLESS))
    assert speller.end == 2
    assert speller.render(ask("Hi"), "Yes.") == "user: Hi\n\nassistant: Yes.</s>"
    assert speller.decode(speller.response_ids("Yes."), special=True) == "Yes.</s>"


@pytest.mark.parametrize(
    ("template", "how"),
    [
        (tongues.LOSING, "loses or alters"),
        (tongues.THINKING, "does not begin with the prompt"),
        ("{{ 'ask: ' if add_generation_prompt else 'say: ' }}" + tongues.CHATML, "does not begin"),
    ],
)
def test_a_template_that_cannot_be_masked(template: str, how: str, tmp_path: Path) -> None:
    folder = tongues.folder(tmp_path, template=template)
    with pytest.raises(BadModel, match=f"cannot be masked.*{how}.*template=turns"):
        Speller.load(folder)
    assert Speller.load(folder, template="turns").render(ask("Hi")) == "Human: Hi\n\nAssistant:"


def test_a_template_that_alters_one_answer_drops_it(tmp_path: Path) -> None:
    speller = Speller.load(tongues.folder(tmp_path, template=tongues.SHORTENING))
    with pytest.raises(BadData, match="alters this answer: 'a</think>b'"):
        speller.demonstration(ask("Hi"), "a</think>b")
    assert speller.demonstration(ask("Hi"), "b")


def test_a_conversation_the_template_refuses(tmp_path: Path) -> None:
    speller = Speller.load(tongues.folder(tmp_path, template=tongues.LLAMA2))
    twice = (*ask("one"), *ask("two"))
    with pytest.raises(BadData, match="refuses this conversation: roles must alternate"):
        speller.prompt_ids(twice)
    with pytest.raises(BadData, match="refuses"):
        speller.demonstration(twice, "yes")


def test_the_day_stands_still(tmp_path: Path) -> None:
    folder = tongues.folder(tmp_path / "a", template=tongues.DATED)
    speller = Speller.load(folder)
    assert "Today is 26 Jul 2024" in speller.render(ask("Hi"))
    other = Speller.load(folder, day=date(2025, 1, 2))
    assert "Today is 02 Jan 2025" in other.render(ask("Hi"))
    assert other.fingerprint != speller.fingerprint
    other.save(tmp_path / "b")
    assert Speller.load(tmp_path / "b").fingerprint == other.fingerprint
    timeless = tongues.folder(tmp_path / "c", template=tongues.CHATML)
    fingerprints = {Speller.load(timeless, day=d).fingerprint for d in (DAY, date(2025, 1, 2))}
    assert len(fingerprints) == 1


def test_a_clock_that_cannot_be_held_still(tmp_path: Path) -> None:
    template = tongues.CHATML + "{% set f = '%Y' %}{% if false %}{{ strftime_now(f) }}{% endif %}"
    with pytest.raises(BadModel, match="reads the clock"):
        Speller.load(tongues.folder(tmp_path, template=template))


def test_the_templates_system_default_is_part_of_the_prompt(tmp_path: Path) -> None:
    speller = Speller.load(tongues.folder(tmp_path, template=tongues.DATED))
    mine = (Message.of("system", "Be kind."), *ask("Hi"))
    assert "Today" in speller.render(ask("Hi"), "Yes")
    assert "Today" not in speller.render(mine, "Yes")
    assert speller.demonstration(mine, "Yes")[1] == speller.demonstration(ask("Hi"), "Yes")[1]


def test_turns_for_base_models(tmp_path: Path) -> None:
    folder = tongues.folder(tmp_path, tongues.llama())
    speller = Speller.load(folder, template="turns")
    talk = (Message.of("system", "Be kind."), *TALK)
    said = "Be kind.\n\nHuman:   Tell me a story. \n\nAssistant: A cat.</s>\n\nHuman: More"
    assert speller.render(talk, "ok") == f"<s>{said}\n\nAssistant: ok</s>"
    prompt, answer = speller.demonstration(talk, "ok")
    assert prompt[0] == 1
    assert 1 not in prompt[1:]
    assert speller.text(answer) == "ok"
    speller.save(tmp_path / "saved")
    again = Speller.load(tmp_path / "saved")
    assert again.demonstration(talk, "ok") == (prompt, answer)
    assert again.fingerprint == speller.fingerprint


def test_plain_adds_nothing() -> None:
    assert Plain().prompt(ask(" Once  upon\n")) == " Once  upon\n"
    assert Plain().answer(" a time ") == " a time "


@pytest.mark.parametrize("talk", [TALK, (Message.of("system", "x"), *ask("y")), ()])
def test_plain_wants_one_user_message(talk: Conversation) -> None:
    with pytest.raises(BadData, match="template=turns"):
        Plain().prompt(talk)


def test_pictures_are_not_read_past(tmp_path: Path) -> None:
    talk = (Message("user", (Image("cat.png"),)),)
    with pytest.raises(BadData, match="picture"):
        Plain().prompt(talk)
    with pytest.raises(BadData, match="picture"):
        Speller.load(tongues.folder(tmp_path, template=tongues.CHATML)).prompt_ids(talk)
