"""Pictures in a chat study: brought by who talks, sent to the models, kept in the export."""

import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from starlette.testclient import TestClient

from accord.config import read_each
from accord.data import judged
from accord.errors import BadSettings
from accord.recipes.job import Desk
from accord.recipes.label_job import run_label
from accord.store.judgements import studies, talk
from accord.store.judgements.forms import StudyConfig, Talk
from accord.store.judgements.pictures import home
from accord.store.judgements.resolve import Filters
from accord.verbs import VERBS
from accord.web import judging_pictures
from accord.web.models_known import register
from endpoint_fakes import Endpoint, endpoint, events
from judge_fakes import Site, site
from visitors import IN_PLACE, read


def png(colour: str = "red", size: tuple[int, int] = (8, 6), kind: str = "PNG") -> bytes:
    into = BytesIO()
    Pillow.new("RGB", size, colour).save(into, kind)
    return into.getvalue()


def reply(body: dict[str, Any]) -> list[str]:
    content = body["messages"][-1]["content"]
    seen = "a picture" if isinstance(content, list) else content
    return [f"{body['model']} was asked about ", str(seen)]


@contextmanager
def chatting(folder: Path, **told: Any) -> Iterator[tuple[Site, TestClient, str, Endpoint]]:
    with endpoint(reply) as there:
        here = site(folder)
        for name in ("gull", "tern"):
            register(here.store, name, there.url, name)
        how = {"models": ("gull", "tern"), "pictures": True} | told
        study = here.study("chat", 0, talk=Talk(**how))
        client = here.client("ann", "annotator")
        client.headers |= IN_PLACE
        yield here, client, f"/studies/{study.id}/judge", there
        here.app.state.stop.set()
        here.store.close()


def say(client: TestClient, page: str, text: str, data: bytes | None = None, **more: str) -> Any:
    files = None if data is None else {"picture": ("a.png", data, "image/png")}
    answer = client.post(f"{page}/say", data={"text": text, **more}, files=files)
    assert answer.status_code == 200, answer.text
    return events(answer.text)[-1][1]


def choose(client: TestClient, page: str) -> None:
    form = read(client.get(page).text)
    assert form is not None
    told = {"lease": form["lease"], "key": form["key"], "answers": "2", "verdict": "first"}
    assert client.post(page, data=told).status_code == 200


def addresses(text: str) -> list[str]:
    return [one.split('"')[0] for one in text.split('class="turn-image" src="')[1:]]


def test_it_is_shown_sent_and_kept_for_training(tmp_path: Path) -> None:
    with chatting(tmp_path) as (here, client, page, there):
        assert say(client, page, "What is it?", png())["ready"]
        for body in there.asked:
            shown, said = body["messages"][-1]["content"]
            kind, _, data = shown["image_url"]["url"].partition(";base64,")
            assert (shown["type"], kind, b64decode(data)) == ("image_url", "data:image/png", png())
            assert said == {"type": "text", "text": "What is it?"}
        (where,) = addresses(client.get(page).text)
        assert client.get(where).content == png()  # while the answers wait
        choose(client, page)
        (where,) = addresses(client.get(page).text)
        assert client.get(where).content == png()  # and while the talk goes on
        assert say(client, page, "Are you sure?")["ready"]
        first, *_, last = there.asked[-1]["messages"]
        assert [part["type"] for part in first["content"]] == ["image_url", "text"]
        assert last["content"] == "Are you sure?"
        study = studies.study(here.store, 1)
        (one,) = judged.gather(here.store, study.name, "comparisons", Filters()).records
        (image,) = one.prompt[0].images
        assert Path(image.path).read_bytes() == png()
        assert one.prompt[0].text == "What is it?"
        chat = talk.chats(here.store, here.user("ann").id)[0]
        side = here.client("ann").get(f"/chat/{chat.id}").text
        assert len(addresses(side)) == 1
        assert "What is it?" in here.client("ann").get("/models").text


def test_only_who_talks_sees_it_and_nothing_else_lies_there(tmp_path: Path) -> None:
    with chatting(tmp_path) as (here, client, page, _):
        say(client, page, "What is it?", png())
        (where,) = addresses(client.get(page).text)
        assert here.client("tom", "annotator").get(where).status_code == 404
        (tmp_path / "files" / "other.png").write_bytes(png("blue"))
        for name in ("other.png", "../accord.db", "..%2Faccord.db", "gone.png"):
            assert client.get(f"{page}/picture/{name}").status_code == 404


def test_what_was_taken_back_comes_back_with_its_picture(tmp_path: Path) -> None:
    with chatting(tmp_path) as (here, client, page, there):
        say(client, page, "Wat is it?", png())
        back = client.post(f"{page}/undo").text
        assert "Wat is it?</textarea>" in back
        name = back.split('name="again" value="')[1].split('"')[0]
        assert client.get(f"{page}/picture/{name}").content == png()
        assert say(client, page, "What is it?", again=name)["ready"]
        content = there.asked[-1]["messages"][-1]["content"]
        assert [part["type"] for part in content] == ["image_url", "text"]
        assert [one.name for one in (tmp_path / "files").iterdir()] == [name]
        (tmp_path / "files" / "other.png").write_bytes(png("blue"))
        client.post(f"{page}/undo")
        wrong = say(client, page, "And this?", again="other.png")["wrong"]
        assert wrong == "the picture is not at hand any more: choose it again"
        assert here.judgements() == []


GIF = BytesIO()
Pillow.new("RGB", (4, 4), "red").save(
    GIF, "GIF", save_all=True, append_images=[Pillow.new("RGB", (4, 4), "blue")]
)
REFUSED = {
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "is no picture"),
    "text": (b"hello", "is no picture"),
    "empty": (b"", "is no picture"),
    "bmp": (png(kind="BMP"), "is no picture"),
    "broken": (png()[:40], "cannot be read as a picture"),
    "animated": (GIF.getvalue(), "is animated (2 frames)"),
    "bytes": (png() + b"0" * judging_pictures.BYTES, "larger than 5 MB"),
    "pixels": (png(size=(5001, 5000)), "5001 x 5000 pixels; at most 25,000,000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_one_sentence_and_nothing_is_kept(tmp_path: Path, name: str) -> None:
    data, says = REFUSED[name]
    with chatting(tmp_path) as (here, client, page, there):
        assert says in say(client, page, "What is it?", data)["wrong"]
        assert there.asked == []
        assert not home(here.store).exists()
        assert all(not one.messages for one in talk.chats(here.store, here.user("ann").id))


def test_limits_of_a_conversation_and_of_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with chatting(tmp_path) as (_, client, page, _):
        assert "say something with the picture" in say(client, page, "", png())["wrong"]
        monkeypatch.setattr(judging_pictures, "MOST", 1)
        say(client, page, "What is it?", png())
        choose(client, page)
        assert "at most 1 pictures" in say(client, page, "And this?", png("blue"))["wrong"]
        monkeypatch.setattr(judging_pictures, "MOST", 9)
        monkeypatch.setattr(judging_pictures, "BYTES_IN_ALL", 2 * len(png()) - 20)
        assert "MB of pictures" in say(client, page, "And this?", png("blue"))["wrong"]
        monkeypatch.setattr(judging_pictures, "BYTES_IN_ALL", 10 << 20)
        monkeypatch.setattr(judging_pictures.SHOWN, "count", 1)
        assert "wait ten minutes" in say(client, page, "And this?", png("blue"))["wrong"]


def test_a_study_takes_none_unless_it_says_so(tmp_path: Path) -> None:
    with chatting(tmp_path, pictures=False) as (_, client, page, there):
        assert 'type="file"' not in client.get(page).text
        assert "this study takes no pictures" in say(client, page, "What is it?", png())["wrong"]
        assert there.asked == []
    with pytest.raises(BadSettings, match="models that see"):
        StudyConfig(talk=Talk(pictures=True)).fit("chat")
    words = ["data=x.jsonl", "talk.pictures=true", f"out={tmp_path}/o", f"study={tmp_path}/b.db#s"]
    with pytest.raises(BadSettings, match=r"leave talk\.pictures out"):
        run_label(Desk((), str), *read_each(VERBS["label"].classes(), None, words))


def test_a_folder_that_reads_text_alone_is_not_shown_any(tmp_path: Path) -> None:
    with chatting(tmp_path, models=("reader", "gull")) as (here, client, page, there):
        (tmp_path / "reader").mkdir()
        (tmp_path / "reader" / "config.json").write_text(json.dumps({"model_type": "llama"}))
        register(here.store, "reader", str(tmp_path / "reader"))
        assert "reads text alone" in say(client, page, "What is it?", png())["wrong"]
        assert there.asked == []
        assert not home(here.store).exists()


def test_a_picture_that_is_gone_is_told(tmp_path: Path) -> None:
    with chatting(tmp_path) as (_, client, page, _):
        say(client, page, "What is it?", png())
        choose(client, page)
        for one in (tmp_path / "files").iterdir():
            one.unlink()
        assert "a picture of this conversation is gone" in say(client, page, "And?")["wrong"]
