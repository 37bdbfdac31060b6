"""From clicks to models: recipes read a study, and from a model one finds the way back to them."""

import json
from pathlib import Path
from typing import Any

import pytest

from accord.config import read_each
from accord.data.studies import opened
from accord.errors import BadSettings
from accord.recipes.job import Desk
from accord.shows import load
from accord.store.artifact import Artifact, lineage, open_artifact
from accord.store.judgements import people, resolve, studies
from accord.store.judgements.forms import NewItem, StudyConfig
from accord.store.judgements.opening import open_store
from accord.verbs import VERBS
from people_fakes import Somebody, judge_all, someone
from recipe_fakes import WHO, newborn, records

FAST = ("batch=2", "lr=1e-3", "held_out=0.3", "optimizer.micro_tokens=64")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and a store with a study of each kind that two people have judged."""
    folder = tmp_path_factory.mktemp("people")
    newborn(folder / "model")
    store = open_store(folder / "a.db")
    for kind, size in (("pairwise", 2), ("rate", 2), ("rewrite", 1)):
        made = studies.create(store, kind, kind, StudyConfig(overlap=2))  # type: ignore[arg-type]
        items = [
            NewItem([{"role": "user", "content": who}], (" was sad.", " ran home.")[:size])
            for who in WHO
        ]
        studies.add_items(store, made.id, items)
        for name in ("ada", "ben"):
            judge_all(store, made.id, someone(store, name), lambda text: float("ran" in text))
    store.close()
    return folder


def call(verb: str, home: Path, out: Path, *words: str, told: list[str] | None = None) -> Any:
    said: list[str] = [] if told is None else told
    given = [f"model={home}/model", f"out={out}", *words]
    return load(VERBS[verb].work)(
        Desk((), said.append), *read_each(VERBS[verb].classes(), None, given)
    )


def way_back(home: Path, out: Path, made: Any, study: str, records: str) -> None:
    """From the artifact that was made to every click and whose it was."""
    tree = str(lineage(made.artifact, out))
    assert f"{records} " in tree
    (given,) = [one for one in Artifact.find(out) if one.kind == records]
    assert given.id in made.artifact.parents
    told = json.loads((given.folder / "judgements.json").read_text())
    store, _ = opened(f"{home}/a.db#{study}")
    noted = [one for one in resolve.exports(store) if one.digest == given.hashes["data"]]
    assert noted
    assert noted[0].judgements == told["judgements"]
    names = {one.pseudonym for one in people.users(store)}
    assert set(told["annotators"]) == names
    mine = [one.id for one in resolve.exports(store, user_id=someone(store, "ada"))]
    assert noted[0].id in mine, "leaving ada out says that this is affected"
    store.close()


COMMANDS = [
    ("reward", "pairwise", ("epochs=1",), "comparisons"),
    ("dpo", "pairwise", ("epochs=1",), "comparisons"),
    ("dpo", "rate", ("kind=ratings", "loss=KTO", "epochs=1"), "ratings"),
    ("sft", "rewrite", ("epochs=1",), "demonstrations"),
]


@pytest.mark.parametrize(("verb", "study", "words", "records"), COMMANDS)
def test_a_recipe_reads_a_study(
    verb: str, study: str, words: tuple[str, ...], records: str, home: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    given = (f"data={home}/a.db#{study}", *words, *FAST)
    made = call(verb, home, tmp_path / "run", *given, told=said)
    assert any(f"(study {study!r})" in line for line in said)
    way_back(home, tmp_path / "run", made, study, records)
    again: list[str] = []
    call(verb, home, tmp_path / "run", *given, told=again)
    assert any("nothing to do" in line for line in again)


def test_the_prompts_of_a_study_are_asked(home: Path, tmp_path: Path) -> None:
    few = [f"model={home}/model", f"prompts={home}/a.db#pairwise", "longest=4"]
    said = load(VERBS["sample"].work)(
        Desk((), print), *read_each(VERBS["sample"].classes(), None, few)
    )
    assert len(said) == len(WHO)
    out, rules = tmp_path / "e", tmp_path / "rules.py"
    rules.write_text("def short(prompt, answer, ended):\n    return len(answer)")
    words = [*few, f"against={home}/model", f"out={out}", "seed=1", f"rule={rules}:short"]
    job = read_each(VERBS["evaluate"].classes(), None, words)
    done = load(VERBS["evaluate"].work)(Desk((), print), *job)
    assert done.told["prompts"] == len(WHO)
    assert (out / "judged" / "prompts" / "artifact.json").exists()


def test_filters_make_another_model(home: Path, tmp_path: Path) -> None:
    given = (f"data={home}/a.db#pairwise", "epochs=1", *FAST)
    one = call("reward", home, tmp_path / "a", *given)
    two = call("reward", home, tmp_path / "b", *given, "judged.labels=every")
    assert one.artifact.id != two.artifact.id
    rows = open_artifact(tmp_path / "b" / "judged" / "comparisons").numbers
    assert rows["comparisons"] == 2 * len(WHO)


def test_all_of_the_pipeline_from_two_studies(home: Path, tmp_path: Path) -> None:
    words = (
        f"comparisons={home}/a.db#pairwise",
        f"demonstrations={home}/a.db#rewrite",
        f"prompts={home}/a.db#pairwise",
        *("sft.epochs=1", "sft.batch=2", "reward.epochs=1", "reward.batch=2", "held_out=0.5"),
        *("ppo.steps=1", "ppo.batch=2", "ppo.longest=4", "ppo.epochs=1", "ppo.minibatches=1"),
    )
    way = call("pipeline", home, tmp_path / "run", *words)
    tree = str(lineage(way.report, tmp_path / "run"))
    assert "comparisons " in tree
    assert "demonstrations " in tree


def test_filters_without_a_study_are_refused(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    with pytest.raises(BadSettings, match="no file here is one"):
        call("reward", home, tmp_path / "run", f"data={path}", "judged.agreement=0.7")


def test_a_run_asks_people_and_learns_what_they_like(home: Path, tmp_path: Path) -> None:
    from accord.data.sources import write

    write(tmp_path / "ask.jsonl", records().prompts[:4])
    words = (
        f"prompts={tmp_path}/ask.jsonl",
        f"reward={tmp_path}/live.db#live",
        *("people.look=0.01", "steps=2", "batch=2", "n=2", "longest=4", "lr=1e-3", "save_every=1"),
    )
    with Somebody(tmp_path / "live.db") as ada:
        made = call("online", home, tmp_path / "run", *words)
    assert 0 < ada.count <= 4
    assert "people asked in study 'live'" in made.artifact.parents
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(metrics) == 2
