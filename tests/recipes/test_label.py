"""`accord label`: prompts and models in, a study of items out; nothing is asked twice."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import seeing
from accord import cli, shows
from accord.config import read_each
from accord.data.sources import write
from accord.engine.client import Client, Endpoint
from accord.engine.draw import Sampling
from accord.errors import BadData, BadSettings, NoAnswer, RunMismatch
from accord.evaluate.answers import Asking
from accord.recipes.endpoint import asked
from accord.recipes.job import Desk
from accord.recipes.label_job import Labelled, run_label
from accord.records import Comparison, Prompt, ask
from accord.store.judgements.forms import StudyConfig
from accord.store.judgements.opening import open_store
from accord.store.judgements.studies import config_of, study
from accord.store.judgements.tables import Item, Response
from accord.store.judgements.tables import Prompt as Asked
from accord.verbs import VERBS
from people_fakes import Talker
from recipe_fakes import newborn, records


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("label")
    newborn(folder / "model")
    newborn(folder / "other", seed=1)
    write(folder / "ask.jsonl", records().prompts[:6])
    return folder


@pytest.fixture
def talker() -> Any:
    made = Talker()
    yield made
    made.shutdown()
    made.server_close()


def call(home: Path, out: Path, *words: str, told: list[str] | None = None) -> Labelled:
    given = [
        f"out={out / 'runs'}",
        f"study={out / 'a.db'}#s",
        "site=false",
        "longest=6",
        *words,
    ]
    said: list[str] = [] if told is None else told
    return run_label(Desk((), said.append), *read_each(VERBS["label"].classes(), None, given))


def rows(out: Path, kind: type = Item) -> list[Any]:
    store = open_store(out / "a.db")
    with store.read() as session:
        found = session.query(kind).order_by(kind.id).all()  # type: ignore[attr-defined]
    store.close()
    return found


def test_a_models_answers_become_pairs_and_a_second_call_adds_none(
    home: Path, tmp_path: Path
) -> None:
    words = (f"data={home}/ask.jsonl", f"model={home}/model", "n=4", "overlap=2")
    made = call(home, tmp_path, *words, "choose.per_prompt=3")
    assert (made.added.new, made.added.known, made.items) == (18, 0, 18)
    items = rows(tmp_path)
    assert {one.propensity for one in items} == {0.5}, "3 of 6 pairs of each prompt"
    assert all(len(one.responses) == 2 for one in items)
    written = next((tmp_path / "runs").rglob("*.jsonl"))
    before = written.read_bytes()
    again = call(home, tmp_path, *words, "choose.per_prompt=3")
    assert (again.added.new, again.added.known) == (0, 18)
    assert written.read_bytes() == before
    store = open_store(tmp_path / "a.db")
    assert study(store, "s").config["overlap"] == 2
    response = rows(tmp_path, Response)[0]
    assert response.model == "model"
    assert response.sampling["longest"] == 6


def test_several_models_and_every_kind(home: Path, tmp_path: Path) -> None:
    words = (f"data={home}/ask.jsonl", f"model={home}/model,{home}/other", "n=1")
    for kind, count, answers in (("rank", 6, 2), ("rate", 6, 2), ("rewrite", 12, 1)):
        made = call(home, tmp_path / kind, *words, f"kind={kind}")
        assert made.added.new == count, kind
        assert {len(one.responses) for one in rows(tmp_path / kind)} == {answers}
    names = {one.model for one in rows(tmp_path / "rank", Response)}
    assert names == {"model", "other"}


def test_a_reward_chooses_and_a_share_is_left_to_chance(home: Path, tmp_path: Path) -> None:
    (home / "rule.py").write_text(
        "def first(prompt, answer, ended):\n    return float(ord(answer.strip()[0]))\n"
        "def long(prompt, answer, ended):\n    return float(len(answer))\n"
    )
    words = (f"data={home}/ask.jsonl", f"model={home}/model", "n=5")
    reward = f"reward={home}/rule.py:long"
    call(home, tmp_path, *words, reward, "choose.random=0")
    texts = {one.id: one.text for one in rows(tmp_path, Response)}
    for item in rows(tmp_path):
        a, b = (texts[i] for i in item.responses)
        mine = [one for one in rows(tmp_path, Response) if one.prompt_id == item.prompt_id]
        assert item.propensity == 1.0
        assert {one.reward for one in mine} <= {float(len(one.text)) for one in mine}
        assert abs(len(a) - len(b)) <= 3, "the two that the rule knows least to tell apart"
    call(home, tmp_path / "b", *words, reward, "choose.random=0.5")
    shares = sorted(one.propensity for one in rows(tmp_path / "b"))
    assert shares[-1] == 1.0
    assert 0 < shares[0] < 0.2
    two = f"reward={home}/rule.py:long,{home}/rule.py:first"
    call(home, tmp_path / "c", *words, two, "choose.random=0")
    one, both = (
        {
            frozenset(texts[i] for i in item.responses)
            for item in rows(out)
            for texts in [{r.id: r.text for r in rows(out, Response)}]
        }
        for out in (tmp_path, tmp_path / "c")
    )
    assert one != both


def test_ready_answers_and_known_items(home: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready.jsonl"
    told = [
        {"prompt": "Hi", "completions": [{"model": "m", "completion": "a"}, {"completion": "b"}]},
        {"prompt": "Ho", "response_a": "c", "response_b": "d", "model_a": "m", "model_b": "n"},
        {"prompt": "Ha", "responses": ["e", "e "]},
    ]
    ready.write_text("".join(json.dumps(row) + "\n" for row in told))
    write(tmp_path / "gold.jsonl", [Comparison.pair(ask("2+2?"), "4", "5", id="g")])
    said: list[str] = []
    gold = f"gold={tmp_path / 'gold.jsonl'}"
    made = call(home, tmp_path, f"data={ready}", gold, "quiz.items=2", told=said)
    assert made.added.new == 3
    assert any("asks 2 known items, and the study has 1: nobody can begin" in one for one in said)
    assert f"{ready}: 3 prompts with 6 answers (answers without a verdict)" in said
    assert any("fewer than 2 different answers" in line for line in said)
    known = [one for one in rows(tmp_path) if one.gold]
    assert [one.gold for one in known] == [{"ranks": [0, 1]}]
    assert {one.model for one in rows(tmp_path, Response)} == {"m", "n", ""}


def test_answers_come_with_their_pictures_and_none_is_asked_about_without(tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        seeing.picture(tmp_path / f"{colour}.png", colour)
    (tmp_path / "text.png").write_text("no picture")
    asked = {"prompt": "What?", "facts": ["it is plain"], "responses": ["a", "b"]}
    bad = ("no.png", "text.png", "a/" * 3000, "a\0b", "/dev/zero")
    told = [{**asked, "image": name} for name in ("red.png", "blue.png", *bad)]
    told.append({"prompt": "And?", "image": "red.png", "response_a": "c", "response_b": "d"})
    ready = tmp_path / "ready.jsonl"
    ready.write_text("".join(json.dumps(row) + "\n" for row in told))
    said: list[str] = []
    made = call(tmp_path, tmp_path, f"data={ready}", "limit=0.9", told=said)
    assert made.added.new == 3
    assert len(list((tmp_path / "files").iterdir())) == 2
    assert "3 of 8 items kept" in said[-2]
    assert "ready:3: " in said[-2]
    kinds = [[part["type"] for part in one.messages[0]["content"]] for one in rows(tmp_path, Asked)]
    assert kinds == [["image", "text", "fact"]] * 2 + [["image", "text"]]
    with pytest.raises(BadData, match="too many rows cannot be used"):
        call(tmp_path, tmp_path / "again", f"data={ready}")


def test_pictures_and_captions_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    seeing.picture(tmp_path / "coco/7.png", "red")
    (tmp_path / "captions.json").write_text('{"7.png": ["it is red"]}')
    row = {"image": "7.png", "prompt": "What?", "responses": ["a", "b"]}
    (tmp_path / "ready.jsonl").write_text(json.dumps(row) + "\n")
    known = {"image": "7.png", "prompt": "And?", "chosen": "red", "rejected": "blue"}
    (tmp_path / "gold.jsonl").write_text(json.dumps(known) + "\n")
    beside = (f"images={tmp_path}/coco", f"facts={tmp_path}/captions.json")
    call(tmp_path, tmp_path, f"data={tmp_path}/ready.jsonl", f"gold={tmp_path}/gold.jsonl", *beside)
    parts = [one.messages[0]["content"] for one in rows(tmp_path, Asked)]
    assert [[part["type"] for part in few] for few in parts] == [["image", "text", "fact"]] * 2
    assert len(list((tmp_path / "files").iterdir())) == 1


MISTAKES = [
    (("data=ask.jsonl",), "say who answers them"),
    ((), "nothing to ask about"),
    (("data=ask.jsonl", "model=m,m"), "stands there twice"),
    (("data=ask.jsonl", "model=m", "how.temperature=0"), "the same answer"),
    (("kind=rank", "data=ask.jsonl", "reward=r", "model=m"), "chooses pairs"),
    (("kind=chat", "data=ask.jsonl"), "talk.models=NAME"),
    (("kind=chat", "quiz.items=2"), "there is no quiz"),
    (("kind=rewrite", "data=ask.jsonl", "model=m", "quiz.items=2"), "there is no quiz"),
    (("data=ask.jsonl", "model=http://u:p@h/v1"), "http.key"),
    (("data=none.jsonl", "model=http://h/v1", "http.key=NO_SUCH_KEY"), "no variable of that name"),
    (("data=ask.jsonl", "study=#"), "names no study"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES)
def test_a_mistake_is_one_sentence_and_makes_no_store(
    words: tuple[str, ...], says: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("ask.jsonl", records().prompts[:2])
    if words[:1] == ("kind=chat",):
        words = (*words, "talk.models=a,b")
    given = words if any(w.startswith("study=") for w in words) else (*words, "study=s")
    with pytest.raises(BadSettings, match=says):
        run_label(Desk((), str), *read_each(VERBS["label"].classes(), None, [*given]))
    assert not Path("accord.db").exists()


def test_a_study_keeps_its_kind_and_learns_new_settings(home: Path, tmp_path: Path) -> None:
    words = (f"data={home}/ask.jsonl", f"model={home}/model")
    call(home, tmp_path, *words)
    said: list[str] = []
    call(home, tmp_path, *words, "overlap=3", told=said)
    assert "study 's' has other settings from now on" in said
    with pytest.raises(BadSettings, match="of kind pairwise"):
        call(home, tmp_path, *words, "kind=rank")


# --- servers ---


def test_a_server_is_asked_once_for_each_answer(home: Path, tmp_path: Path, talker: Any) -> None:
    words = (f"data={home}/ask.jsonl", f"model={talker.url}", "n=3", "http.pause=0.01")
    made = call(home, tmp_path, *words)
    assert made.added.new == 6
    assert {one.model for one in rows(tmp_path, Response)} == {"echo"}
    assert len(talker.asked) == 6
    body = talker.asked[0]
    assert (body["model"], body["n"], body["max_tokens"]) == ("echo", 3, 6)
    call(home, tmp_path, *words)
    assert len(talker.asked) == 6, "answered before"


def test_what_is_missing_is_asked_again_and_nothing_else(tmp_path: Path, talker: Any) -> None:
    prompts = [Prompt(ask(f"q{i}"), str(i)) for i in range(4)]
    asking, file = Asking(5, 2, Sampling(), 0), tmp_path / "a.jsonl"
    how = Endpoint(pause=0.001, tries=2, at_once=1)
    talker.broken = {"q2"}
    client = Client(talker.url, how)
    with pytest.raises(NoAnswer, match="after 2 tries"):
        asked(client, prompts, file, asking)
    kept = len(file.read_text().splitlines()) - 1
    assert kept == 4, "of two prompts both answers"
    talker.broken, talker.asked, talker.few = set(), [], True  # now one choice at a time
    heard = asked(client, prompts, file, asking)
    assert [[one.k for one in few] for few in heard] == [[0, 1]] * 4
    assert len(talker.asked) == 4
    with pytest.raises(RunMismatch, match="longest"):
        asked(client, prompts, file, Asking(9, 2, Sampling(), 0))


def test_a_busy_server_is_asked_again_and_a_refusal_is_told(tmp_path: Path, talker: Any) -> None:
    prompts = [Prompt(ask("q0"), "0")]
    talker.busy = 2
    client = Client(talker.url, Endpoint(pause=0.001))
    heard = asked(client, prompts, tmp_path / "a.jsonl", Asking(5, 1, Sampling(), 0))
    assert [one.text for one in heard[0]] == ["echo q0 0"]
    talker.refuses = "no, secret-key is wrong"
    with pytest.raises(NoAnswer, match="status 401"):
        asked(client, prompts, tmp_path / "b.jsonl", Asking(5, 1, Sampling(), 0))


def test_a_key_is_sent_and_never_shown(
    tmp_path: Path, talker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "secret-key")
    client = Client(talker.url, Endpoint(key="MY_KEY", pause=0.001))
    assert talker.keys == ["Bearer secret-key"]
    talker.refuses = "no, secret-key is wrong"
    with pytest.raises(NoAnswer) as caught:
        asked(client, [Prompt(ask("q"))], tmp_path / "a.jsonl", Asking(5))
    assert "secret-key" not in str(caught.value)
    with pytest.raises(BadSettings, match=r"http\.key=NO_KEY"):
        Client(talker.url, Endpoint(key="NO_KEY"))


def test_of_several_models_one_must_be_named(talker: Any) -> None:
    talker.models = ["a", "b"]
    with pytest.raises(BadSettings, match="it serves a, b; say which"):
        Client(talker.url, Endpoint())
    client = Client(f"{talker.url}#b", Endpoint())
    assert client.model == "b"


def test_a_file_of_prompts_that_no_model_can_read(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"prompt": "who " * 200}))
    with pytest.raises(BadData, match="over"):
        call(home, tmp_path, f"data={path}", f"model={home}/model")


def test_every_setting_of_a_study_can_be_said() -> None:
    job, cfg = read_each(
        VERBS["label"].classes(), None, ["question=Which?", "verdicts=tie,both_bad"]
    )
    assert isinstance(cfg, StudyConfig)
    assert cfg.verdicts == ("tie", "both_bad")
    assert not {*type(job).model_fields} & {*StudyConfig.model_fields}


# --- no setting is idle ---


def test_how_answers_are_drawn_reaches_the_server(tmp_path: Path, talker: Any) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train", "test"):
        (folder / f"{name}.jsonl").write_text(f'{{"question": "{name}?"}}\n{{"question": 3}}\n')
    words = (f"model={talker.url}", "n=2", "how.temperature=0.5", "how.top_p=0.9", "how.top_k=3")
    words += (f"data={folder}", "columns.prompt=question", "split=test", "seed=7")
    with pytest.raises(BadData, match="say limit="):
        call(folder, tmp_path, *words)
    made = call(folder, tmp_path, *words, "limit=0.5", "port=99")
    assert (made.how, made.serve) == ({"port": 99}, False)
    (body,) = talker.asked
    assert body["messages"] == [{"role": "user", "content": "test?"}]
    told = (body["temperature"], body["top_p"], body["top_k"], body["seed"] > 1_000_003)
    assert told == (0.5, 0.9, 3, True)


def test_how_a_model_is_opened(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    def opens(name: str, **how: Any) -> None:
        raise Stop(name, how)

    monkeypatch.setattr("accord.recipes.label_job.Policy.open", opens)
    words = (f"data={home}/ask.jsonl", "model=m", "dtype=bf16", "template=turns")
    with pytest.raises(Stop) as caught:
        call(home, tmp_path, *words)
    assert caught.value.args == ("m", {"dtype": "bf16", "template": "turns"})


def test_most_bounds_the_items_of_every_kind(tmp_path: Path, talker: Any) -> None:
    write(tmp_path / "ask.jsonl", [Prompt(ask(f"q{i}"), str(i)) for i in range(8)])
    words = (f"data={tmp_path}/ask.jsonl", f"model={talker.url}", "choose.most=3")
    for kind in ("pairwise", "rank"):
        made = call(tmp_path, tmp_path / kind, *words, f"kind={kind}")
        assert made.added.new == 3
        assert {one.propensity for one in rows(tmp_path / kind)} == {3 / 8}


def test_the_command_says_how_to_open_the_site(
    tmp_path: Path, talker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "ask.jsonl", [Prompt(ask("q"), "1")])
    given = ["label", f"data={tmp_path}/ask.jsonl", f"model={talker.url}"]
    given += [f"study={tmp_path}/a.db#s", f"out={tmp_path}/runs"]
    done = CliRunner().invoke(cli.app, [*given, "site=false"])
    assert done.exit_code == 0, done.output
    assert f"accord serve where={tmp_path}/a.db" in done.output.replace("\n", "")
    served: list[Any] = []
    monkeypatch.setattr(shows, "serve", served.append)
    done = CliRunner().invoke(cli.app, [*given, "port=0"])
    assert done.exit_code == 0, done.output
    (cfg,) = served
    assert (cfg.where, cfg.port) == (f"{tmp_path}/a.db", 0)


def test_a_talk_is_drawn_as_its_words_say_and_the_same_words_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []

    def label(*words: str) -> None:
        read = read_each(
            VERBS["label"].classes(), None, ["study=s", "kind=chat", "talk.models=a", *words]
        )
        run_label(Desk((), said.append), *read)

    words = ("talk.temperature=0.5", "talk.longest=64")
    label(*words)
    label(*words)
    assert not [line for line in said if "other settings" in line]
    store = open_store("accord.db")
    talk = config_of(study(store, "s")).talk
    store.close()
    assert (talk.temperature, talk.longest) == (0.5, 64)
    with pytest.raises(BadSettings, match="says the same twice"):
        label("talk.temperature=0")
