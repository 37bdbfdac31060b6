"""JSON verdicts that a server holds to their form: what is sent, and what a refusal says."""

import json
from pathlib import Path
from typing import Any

import pytest

from accord.engine.calls import Calls
from accord.engine.llm import Ask
from accord.engine.roles import Policy
from accord.errors import BadSettings
from accord.records import Prompt, Rollout, ask
from accord.rewards.duel import Duel
from accord.rewards.judge import wording
from accord.rewards.judge.card import Judging, judging
from accord.rewards.judge.opinions import LLMJudge, grader, pair_judge
from accord.rewards.reader import Reader
from llm_fakes import FakeLLM, Server, served
from recipe_fakes import newborn

DUELS = [Duel("Which sea?", "The Baltic.", "No idea."), Duel("2+2?", "5", "4")]


def written(into: Path, server: Server, **more: Any) -> str:
    """A judge card of that server."""
    told = {"llm": server.url, "verdict": "json", **more}
    file = into / "judge.yaml"
    file.write_text(json.dumps(told))
    return str(file)


def shape(body: dict[str, Any]) -> dict[str, Any]:
    """The schema in a request."""
    form = body["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    found: dict[str, Any] = form["json_schema"]["schema"]
    assert found["required"] == [*found["properties"]]
    assert found["additionalProperties"] is False
    return found["properties"]  # type: ignore[no-any-return]


def test_a_pair_is_asked_for_in_the_form_that_the_card_names(tmp_path: Path) -> None:
    with served() as server:
        server.speak = lambda body: '{"why": "x", "better": "B"}'
        given = {
            form: pair_judge(written(tmp_path, server, response_format=form), None)(DUELS)
            for form in ("none", "json_object", "json_schema")
        }
    assert set(map(tuple, given.values())) == {(0.0, 0.0)}
    bare, loose, strict = server.asked[0], server.asked[2], server.asked[4]
    assert "response_format" not in bare
    assert loose["response_format"] == {"type": "json_object"}
    assert "JSON" in loose["messages"][-1]["content"], "servers demand the word"
    assert shape(strict) == {
        "why": {"type": "string"},
        "better": {"type": "string", "enum": ["A", "B", "tie"]},
    }


def test_a_grade_and_criteria_have_forms_of_their_own(tmp_path: Path) -> None:
    speller, prompt = Policy.open(newborn(tmp_path / "model")).speller, Prompt(ask("once"), "0")
    ids, told = speller.prompt_ids(prompt.messages), speller.response_ids("the cat")
    said = Rollout("0", ids, told, (0.0,) * len(told), 0, "stop")
    reader = Reader(speller, [prompt])
    with served() as server:
        server.speak = lambda body: '{"why": "", "grade": 3, "answer": "yes"}'
        how = {"response_format": "json_schema"}
        assert grader(written(tmp_path, server, most=4, **how), reader, None)([said]) == [3.0]
        word = written(tmp_path, server, criteria=["Is it kind?"], **how)
        assert grader(word, reader, None)([said]) == [1.0]
    grade, yes = map(shape, server.asked)
    assert grade["grade"] == {"type": "integer", "enum": [1, 2, 3, 4]}
    assert yes["answer"] == {"type": "string", "enum": ["yes", "no"]}


def test_a_server_that_refuses_it_ends_the_run_with_one_sentence(tmp_path: Path) -> None:
    def befalls(n: int, body: dict[str, Any]) -> Any:
        return (400, "response_format is not supported") if "response_format" in body else None

    with served(befalls) as server:
        for form in ("json_object", "json_schema"):
            word = written(tmp_path, server, response_format=form)
            with pytest.raises(BadSettings, match=r"not supported.*say response_format: none in"):
                pair_judge(word, None)(DUELS)
        assert len(server.asked) == 2, "nobody else is asked"


def test_another_refusal_is_not_taken_for_it(tmp_path: Path) -> None:
    with served(lambda n, body: 400) as server:
        word = written(tmp_path, server, response_format="json_object")
        told = pair_judge(word, None)(DUELS)
    assert all("status 400" in str(one) for one in told)


def test_what_was_kept_in_another_form_is_asked_again(tmp_path: Path) -> None:
    with served() as server:
        server.speak = lambda body: '{"better": "A"}'
        for form in ("none", "json_object", "json_schema", "none", "json_schema"):
            pair_judge(written(tmp_path, server, response_format=form), tmp_path / "kept")(DUELS)
    assert len(server.asked) == 3 * len(DUELS)


def test_the_key_of_a_call_is_what_it_was_where_there_is_no_form() -> None:
    calls = Calls(FakeLLM(), None)
    plain, formed = (calls._key("say", Ask(ask("q"), "", 1, form), {}) for form in ("", "{}"))
    assert plain != formed
    # as it was before there were forms: what was kept then is not asked again
    assert plain == "5f00865ada1838b3b3d73aacbda7a740dd2777b31de37c87e289feac2cf233b0"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"verdict": "odds"}, "is of verdict=json"),
        ({"llm": "some/folder"}, "sent to a server that speaks chat"),
        ({"asked": {"speaks": "completions"}}, "sent to a server that speaks chat"),
        ({"response_format": "xml"}, "response_format"),
    ],
)
def test_a_form_that_nobody_would_heed_is_refused(
    more: dict[str, Any], why: str, tmp_path: Path
) -> None:
    told = {"llm": "http://localhost:1/v1#m", "verdict": "json", "response_format": "json_object"}
    file = tmp_path / "judge.yaml"
    file.write_text(json.dumps(told | more))
    with pytest.raises(BadSettings, match=why):
        judging(str(file))


def test_who_judges_is_another_where_the_form_is() -> None:
    url = "http://localhost:1/v1#m"
    cards = [Judging(llm=url, verdict="json", response_format=f) for f in ("none", "json_object")]
    assert len({LLMJudge(FakeLLM(), one).which for one in cards}) == 2
    assert wording.form("pair", "none") == ""
