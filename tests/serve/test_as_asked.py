"""The endpoint as one who is asked: it answers a judge as the same model in a folder does."""

from pathlib import Path

import pytest

from accord.engine.client import Client, Endpoint
from accord.engine.draw import Sampling
from accord.engine.llm import Ask, Spoken
from accord.engine.local import Local
from accord.engine.roles import Policy
from accord.engine.served import Served
from accord.records import ask
from served import KEY, chat_folder, served

GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def there(stories260k, tmp_path_factory):
    folder = chat_folder(tmp_path_factory.mktemp("asked"))
    with served(stories=stories260k, chat=folder) as one:
        yield one


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def client(there, told: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KEY_OF_MINE", KEY)
    how = Endpoint(key="KEY_OF_MINE")
    return lambda name: Client(f"{there.url}#{name}", how, told.append)


def test_options_are_scored_whole_as_in_a_folder(client, stories260k: Path) -> None:
    asks = [
        Ask(ask("Once upon a time, there was a"), opened) for opened in ("", " little", " big red")
    ]
    options = [(" cat", " dog and a bird", " boy named Tom")] * 3
    far = Served(client("stories"), "completions").weigh(asks, options)
    near = Local(Policy.open(stories260k)).weigh(asks, options)
    for one, other in zip(far, near, strict=True):
        assert isinstance(one, tuple)
        assert one == pytest.approx(other, abs=1e-3)


def test_it_says_what_it_says_in_a_folder(client, there) -> None:
    asks = [Ask(ask(f"there was a cat {i}?")) for i in range(3)]
    far = Served(client("chat")).say(asks, longest=8, how=GREEDY)
    near = Local(there.lineup.engines["chat"].policy).say(asks, longest=8, how=GREEDY)
    assert [one.text for one in far if isinstance(one, Spoken)] == [
        one.text for one in near if isinstance(one, Spoken)
    ]
    assert all(isinstance(one, Spoken) and one.read > 0 for one in far)


def test_a_turn_that_is_begun_is_refused_once_and_told_in_words(client, told: list[str]) -> None:
    asks = [Ask(ask("Which?"), "The answer is:")] * 2
    heard = Served(client("chat")).say(asks, longest=4)
    assert all(isinstance(one, Spoken) for one in heard)
    assert sum("does not continue a turn" in line for line in told) == 1
