"""An endpoint is shown pictures: it answers as the folder does, and keeps nothing."""

import gc
import io
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from PIL import Image as Pillow

import seeing
from accord.data.pictures import data_url
from accord.engine.client import Client, Endpoint
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.engine.local import Local
from accord.engine.served import Served
from accord.serve import pictures
from accord.text import images
from served import KEY, chat_folder, served

GREEDY = Sampling(temperature=0)
COLOURS = ("red", "blue", "green")


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    home = tmp_path_factory.mktemp("shown")
    for colour in COLOURS:
        seeing.picture(home / f"{colour}.png", colour)
    models = {"chat": chat_folder(home / "chat")}
    models |= {kind: seeing.folder(home / kind, kind) for kind in ("llava", "qwen2_vl")}
    with served(**models) as one:
        yield one, home


def asked(url: str, text: str = "What is this?", role: str = "user"):
    part = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": role, "content": [part, {"type": "text", "text": text}]}]


def say(one, url: str, model: str = "llava", **more):
    said = one.client.chat.completions.create(
        model=model, messages=asked(url, **more), max_tokens=6, temperature=0
    )
    return said.choices[0].message.content


def left(one) -> list[Path]:
    """Files of pictures, once nothing is under way."""
    assert one.rested()
    gc.collect()
    return list(Path(one.lineup.album._folder.name).iterdir())


@pytest.mark.parametrize("kind", ["llava", "qwen2_vl"])
def test_it_sees_what_it_sees_in_a_folder(there, kind, monkeypatch) -> None:
    one, home = there
    monkeypatch.setenv("KEY_OF_MINE", KEY)
    asks = [Ask(seeing.about(str(home / f"{colour}.png"))) for colour in COLOURS]
    client = Client(f"{one.url}#{kind}", Endpoint(key="KEY_OF_MINE"), lambda told: None)
    far = Served(client).say(asks, longest=6, how=GREEDY)
    near = Local(one.lineup.engines[kind].policy).say(asks, longest=6, how=GREEDY)
    assert [x.text for x in far if isinstance(x, Spoken)] == [
        x.text for x in near if isinstance(x, Spoken)
    ]
    seen = {_logp(one, kind, data_url(str(home / f"{colour}.png"))) for colour in COLOURS}
    assert len(seen) == len(COLOURS), "pictures make a difference"


def _logp(one, kind: str, url: str) -> float:
    """Of the first token."""
    said = one.client.chat.completions.create(
        model=kind, messages=asked(url), max_tokens=1, temperature=0, logprobs=True
    )
    return said.choices[0].logprobs.content[0].logprob


def test_pictures_go_with_their_requests(there) -> None:
    """Many at once, the same ones among them; later again; nothing is left."""
    one, home = there
    urls = [data_url(str(home / f"{colour}.png")) for colour in COLOURS]
    first = [say(one, url) for url in urls]
    with ThreadPoolExecutor(8) as crowd:
        again = list(crowd.map(lambda url: say(one, url), urls * 8))
    assert again == first * 8
    assert left(one) == []
    held = str(one.lineup.album._folder.name)
    assert not [k for k in images._known.values() if k.path.startswith(held)], "nor their names"


def test_a_stream_holds_its_picture_to_the_end(there) -> None:
    one, home = there
    url = data_url(str(home / "red.png"))
    pieces = one.client.chat.completions.create(
        model="llava", messages=asked(url), max_tokens=6, temperature=0, stream=True
    )
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == say(one, url)
    assert left(one) == []


def gif(frames: int) -> bytes:
    out = io.BytesIO()
    many = [Pillow.new("RGB", (4, 4), colour) for colour in COLOURS[:frames]]
    many[0].save(out, "GIF", save_all=True, append_images=many[1:])
    return out.getvalue()


def sent(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://example.org/a.png", "nothing is fetched from elsewhere"),
        ("file:///etc/passwd", "nothing is fetched from elsewhere"),
        ("/etc/passwd", "nothing is fetched from elsewhere"),
        ("data:image/png,abc", "nothing is fetched from elsewhere"),
        ("data:image/png;base64,%%%", "is no base64"),
        ("data:image/png;base64,", "is no picture that is read here"),
        (sent(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "is no picture that is read here"),
        (sent(b"\x89PNG\r\n\x1a\n and no more"), "cannot be read as a picture"),
        (sent(gif(3)), "is animated"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_with_its_place(there, url, says) -> None:
    one, _ = there
    with pytest.raises(openai.BadRequestError, match=says) as caught:
        say(one, url)
    assert caught.value.body["param"] == "messages[0].content[0]"
    assert left(one) == []


def test_a_bomb_is_refused(there, monkeypatch) -> None:
    one, home = there
    monkeypatch.setattr("accord.text.pictures.MOST_PIXELS", 100)
    with pytest.raises(openai.BadRequestError, match="at most 100"):
        say(one, data_url(str(home / "red.png")))


def test_a_request_shows_so_many_pixels_in_all(there, monkeypatch) -> None:
    one, home = there
    parts = [asked(data_url(str(home / f"{colour}.png")))[0]["content"][0] for colour in COLOURS]
    monkeypatch.setattr(pictures, "PIXELS", 2 * 20 * 12)
    with pytest.raises(openai.BadRequestError, match=r"content\[2\]: .* over 480 pixels in all"):
        one.client.chat.completions.create(
            model="llava", messages=[{"role": "user", "content": parts}], max_tokens=1
        )
    assert left(one) == []


def test_one_request_is_looked_at_at_a_time(there, monkeypatch) -> None:
    """A few bombs at once would take the memory of all of them; the same picture, once."""
    one, home = there
    opened, inside, most = pictures.open_picture, [0], [0, 0]

    def slow(where, data):
        inside[0] += 1
        most[0], most[1] = max(most[0], inside[0]), most[1] + 1
        time.sleep(0.05)
        inside[0] -= 1
        return opened(where, data)

    monkeypatch.setattr(pictures, "open_picture", slow)
    urls = [data_url(str(home / f"{colour}.png")) for colour in COLOURS]
    with ThreadPoolExecutor(6) as crowd:
        list(crowd.map(lambda url: say(one, url), urls * 2))
    assert most[0] == 1
    twice = asked(urls[0])[0]["content"] * 2
    before = most[1]
    one.client.chat.completions.create(
        model="llava", messages=[{"role": "user", "content": twice}], max_tokens=1
    )
    assert most[1] == before + 1


def test_who_may_show_what(there, monkeypatch) -> None:
    one, home = there
    url = data_url(str(home / "red.png"))
    with pytest.raises(openai.BadRequestError, match="reads text alone"):
        say(one, url, "chat")
    with pytest.raises(openai.BadRequestError, match="only a user shows pictures"):
        say(one, url, role="assistant")
    monkeypatch.setattr(pictures, "MOST", 1)
    with pytest.raises(openai.BadRequestError, match=r"content\[1\] .*at most 1 pictures"):
        one.client.chat.completions.create(
            model="llava",
            messages=[{"role": "user", "content": asked(url)[0]["content"][:1] * 2}],
        )
    assert left(one) == []


def test_an_answer_that_does_not_fit_names_no_file_of_this_machine(there, monkeypatch) -> None:
    one, home = there
    monkeypatch.setattr("accord.text.images.MOST_PLACES", 2)
    Pillow.new("RGB", (20, 12), "orange").save(home / "orange.png")
    with pytest.raises(openai.BadRequestError, match="a picture: would take") as caught:
        say(one, data_url(str(home / "orange.png")))
    assert one.lineup.album._folder.name not in str(caught.value)
