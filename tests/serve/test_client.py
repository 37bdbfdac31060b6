"""The official `openai` client against an endpoint."""

import asyncio

import openai
import pytest
import torch

from accord.data.rows import pad
from accord.engine.draw import Sampling
from accord.records import Message, ask
from served import Served, chat_folder, served

PROMPT = "Once upon a time"
TALK = [
    {"role": "system", "content": "be brief."},
    {"role": "user", "content": "there was a cat?"},
]


@pytest.fixture(scope="module")
def there(stories260k, tmp_path_factory):
    folder = chat_folder(tmp_path_factory.mktemp("chat"))
    with served(stories=stories260k, chat=folder) as one:
        yield one


def spelled(there: Served, name: str):
    policy = there.lineup.engines[name].policy
    if name == "stories":
        return policy, policy.speller.prompt_ids(ask(PROMPT))
    talk = tuple(Message.of(one["role"], one["content"]) for one in TALK)
    return policy, policy.speller.prompt_ids(talk)


def messages(name: str):
    return TALK if name == "chat" else [{"role": "user", "content": PROMPT}]


@pytest.mark.parametrize("name", ["stories", "chat"])
@pytest.mark.parametrize("temperature", [0.0, 1.0, 1.3])
def test_a_chat_says_what_the_sampler_says(there, name, temperature):
    policy, ids = spelled(there, name)
    said = there.client.chat.completions.create(
        model=name, messages=messages(name), n=3, max_tokens=25, seed=7, temperature=temperature
    )
    want = policy.sample([ids], n=3, longest=25, seed=7, how=Sampling(temperature))
    assert [c.message.content for c in said.choices] == [policy.speller.text(r) for r in want]
    assert [c.finish_reason for c in said.choices] == [r.finish for r in want]
    assert [c.index for c in said.choices] == [0, 1, 2]
    assert all(c.logprobs is None for c in said.choices)
    assert said.usage.prompt_tokens == len(ids)
    assert said.usage.completion_tokens == sum(len(r.response_ids) for r in want)
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens
    assert said.object == "chat.completion"
    assert said.model == name
    assert said.system_fingerprint == f"fp_{policy.fingerprint[:16]}"


@pytest.mark.parametrize("name", ["stories", "chat"])
@pytest.mark.parametrize(
    "more", [{}, {"logprobs": True, "top_logprobs": 3}, {"stop": ["the", "a "]}]
)
def test_a_stream_says_the_same_as_the_whole(there, name, more):
    asked = {"model": name, "messages": messages(name), "n": 2, "max_tokens": 30, "seed": 3, **more}
    whole = there.client.chat.completions.create(**asked)
    texts, ends, tokens, roles = ["", ""], [None, None], [[], []], [None, None]
    usage = None
    for chunk in there.client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ):
        assert usage is None, "the count comes last"
        usage = chunk.usage
        assert (len(chunk.choices) == 0) == (usage is not None)
        for choice in chunk.choices:
            assert ends[choice.index] is None
            texts[choice.index] += choice.delta.content or ""
            ends[choice.index] = choice.finish_reason
            roles[choice.index] = choice.delta.role or roles[choice.index]
            tokens[choice.index] += choice.logprobs.content if choice.logprobs else []
    assert roles == ["assistant", "assistant"]
    assert texts == [c.message.content for c in whole.choices]
    assert ends == [c.finish_reason for c in whole.choices]
    assert usage == whole.usage
    for mine, choice in zip(tokens, whole.choices, strict=True):
        # to rounding: two requests, two batches
        theirs = choice.logprobs.content if choice.logprobs else []
        assert [t.token for t in mine] == [t.token for t in theirs]
        assert [t.logprob for t in mine] == pytest.approx([t.logprob for t in theirs], abs=1e-4)


@pytest.mark.parametrize("name", ["stories", "chat"])
@pytest.mark.parametrize("temperature", [0.0, 0.6, 1.0])
def test_logprobs_are_the_models_own(there, name, temperature):
    policy, ids = spelled(there, name)
    said = there.client.chat.completions.create(
        model=name,
        messages=messages(name),
        n=2,
        max_tokens=20,
        seed=1,
        temperature=temperature,
        logprobs=True,
        top_logprobs=4,
    )
    want = policy.sample([ids], n=2, longest=20, seed=1, how=Sampling(temperature))
    tokens = pad([r.prompt_ids for r in want], [r.response_ids for r in want])
    theirs_BT = policy.logp(tokens)
    for b, choice in enumerate(said.choices):
        told = choice.logprobs.content
        count = len(want[b].response_ids) - (want[b].finish == "stop")
        assert len(told) == count
        mine = torch.tensor([one.logprob for one in told])
        torch.testing.assert_close(mine, theirs_BT[b][tokens.mask_BT[b]][:count], atol=1e-4, rtol=0)
        control = set(policy.speller.controls.values())  # named, and no part of the text
        raw = b"".join(bytes(one.bytes) for one in told if one.token not in control)
        assert raw.decode(errors="replace") == choice.message.content
        for one in told:
            best = one.top_logprobs
            assert len(best) == 4
            assert [b.logprob for b in best] == sorted((b.logprob for b in best), reverse=True)
            assert one.logprob <= best[0].logprob


def test_stops_end_an_answer_and_are_no_part_of_it(there):
    asked = {"model": "stories", "prompt": PROMPT, "max_tokens": 60, "seed": 0, "temperature": 0}
    whole = there.client.completions.create(**asked).choices[0].text
    assert "little" in whole
    cut = there.client.completions.create(**asked, stop="little")
    assert cut.choices[0].text == whole.partition("little")[0]
    assert cut.choices[0].finish_reason == "stop"
    assert cut.usage.completion_tokens < 20
    first = min(("girl", "little", "."), key=whole.find)
    many = there.client.completions.create(**asked, stop=["girl", "little", "."])
    assert many.choices[0].text == whole.partition(first)[0]
    never = there.client.completions.create(**asked, stop=["xyzzy"])
    assert never.choices[0].text == whole


def test_prompts_as_texts_ids_and_lists(there):
    policy, ids = spelled(there, "stories")
    asked = {"model": "stories", "max_tokens": 12, "seed": 5}
    one = there.client.completions.create(prompt=PROMPT, **asked)
    same = there.client.completions.create(prompt=list(ids), **asked)
    assert one.choices[0].text == same.choices[0].text
    other = policy.speller.prompt_ids(ask("The dog"))
    want = policy.sample([ids, other], n=2, longest=12, seed=5)
    for prompts in ([PROMPT, "The dog"], [list(ids), list(other)]):
        many = there.client.completions.create(prompt=prompts, n=2, **asked)
        assert [c.text for c in many.choices] == [policy.speller.text(r) for r in want]
        assert many.usage.prompt_tokens == len(ids) + len(other)
    assert many.choices[0].text == one.choices[0].text


@pytest.mark.parametrize("stream", [False, True])
def test_echo_and_the_logprobs_of_a_prompt(there, stream):
    policy, ids = spelled(there, "stories")
    asked = {"model": "stories", "prompt": PROMPT, "seed": 5, "echo": True, "logprobs": 2}
    if stream:
        chunks = list(there.client.completions.create(**asked, max_tokens=8, stream=True, n=2))
        parts = [c.choices[0] for c in chunks if c.choices[0].index == 1]
        text = "".join(part.text for part in parts)
        told = [part.logprobs for part in parts if part.logprobs]
        names = [t for one in told for t in one.tokens]
        logp = [t for one in told for t in one.token_logprobs]
        offsets = [t for one in told for t in one.text_offset]
    else:
        said = there.client.completions.create(**asked, max_tokens=8, n=2).choices[1]
        text, told = said.text, said.logprobs
        names, logp, offsets = told.tokens, told.token_logprobs, told.text_offset
        assert all(len(best) >= 2 for best in told.top_logprobs[1:])
    want = policy.sample([ids], n=2, longest=8, seed=5)[1]
    assert text == PROMPT + policy.speller.text(want)
    assert logp[0] is None
    assert len(names) == len(logp) == len(ids) + 8
    tokens = pad([ids[:1]], [(*ids[1:], *want.response_ids)])
    theirs = policy.logp(tokens)[0][tokens.mask_BT[0]]
    torch.testing.assert_close(torch.tensor(logp[1:]), theirs, atol=1e-4, rtol=0)
    for name, place in list(zip(names, offsets, strict=True))[2:]:
        assert text[place:].startswith(name)


def test_a_prompt_alone_is_scored(there):
    said = there.client.completions.create(
        model="stories", prompt=[PROMPT, "The"], max_tokens=0, echo=True, logprobs=0
    )
    assert [c.text for c in said.choices] == [PROMPT, "The"]
    assert [c.finish_reason for c in said.choices] == ["length", "length"]
    assert said.usage.completion_tokens == 0
    assert len(said.choices[0].logprobs.tokens) == said.usage.prompt_tokens - 2


def test_own_sampling_fields_are_heard(there):
    asked = {"model": "stories", "prompt": PROMPT, "seed": 5, "n": 8, "max_tokens": 12}
    plain = [c.text for c in there.client.completions.create(**asked).choices]
    for more in (
        {"top_p": 0.5},
        {"temperature": 0.3},
        {"seed": 6},
        {"max_tokens": 5},
        {"extra_body": {"top_k": 2}},
        {"extra_body": {"min_p": 0.5}},
    ):
        said = [c.text for c in there.client.completions.create(**asked | more).choices]
        assert said != plain, more
    again = [c.text for c in there.client.completions.create(**asked).choices]
    assert again == plain


def test_without_a_seed_answers_differ_and_the_seed_is_told(there):
    asked = {"model": "stories", "prompt": PROMPT, "max_tokens": 30}
    one, two = (there.client.completions.create(**asked) for _ in range(2))
    assert one.choices[0].text != two.choices[0].text
    again = there.client.completions.create(**asked, seed=one.model_extra["seed"])
    assert again.choices[0].text == one.choices[0].text


def test_developer_is_system_and_parts_are_joined(there):
    asked = {"model": "chat", "max_tokens": 15, "seed": 1}
    one = there.client.chat.completions.create(messages=TALK, **asked)
    parts = [{"type": "text", "text": "there was"}, {"type": "text", "text": " a cat?"}]
    talk = [{"role": "developer", "content": "be brief."}, {"role": "user", "content": parts}]
    two = there.client.chat.completions.create(messages=talk, **asked)
    assert one.choices[0].message.content == two.choices[0].message.content


def test_models_are_listed_by_name(there):
    assert [one.id for one in there.client.models.list()] == ["stories", "chat"]
    assert there.client.models.retrieve("chat").owned_by == "accord"
    with pytest.raises(openai.NotFoundError, match="there is 'stories', 'chat'"):
        there.client.models.retrieve("gpt")
    with pytest.raises(openai.NotFoundError) as caught:
        there.client.completions.create(model="gpt", prompt="x")
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def test_the_key_is_asked_for(there):
    for key in ("wrong", "sesam", "sesamee"):
        with (
            openai.OpenAI(base_url=there.url, api_key=key, max_retries=0) as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.models.list()


def test_an_answer_ends_where_the_context_does(there):
    asked = {"model": "stories", "prompt": [5] * 500, "max_tokens": 400}
    said = there.client.completions.create(**asked, stop=None, seed=2)
    assert said.usage.completion_tokens <= 12
    with pytest.raises(openai.APIStatusError) as caught:
        there.client.completions.create(**asked | {"prompt": [5] * 512})
    assert caught.value.status_code == 413
    assert caught.value.code == "context_length_exceeded"
    assert "512 tokens" in caught.value.message


@pytest.mark.parametrize("name", ["stories", "chat"])
def test_thirty_two_at_once_are_right_and_share_their_steps(there, name):
    policy, _ = spelled(there, name)
    stream = there.lineup.engines[name].stream
    texts = [f"Once upon a {thing}" for thing in ("cat", "dog", "tree", "day")] * 8

    async def all_at_once() -> list[str]:
        async with there.patient as client:
            asked = [
                client.completions.create(
                    model=name, prompt=text, seed=i, max_tokens=40, temperature=1 + i % 3 / 10
                )
                for i, text in enumerate(texts)
            ]
            return [said.choices[0].text for said in await asyncio.gather(*asked)]

    before = stream.steps
    got = asyncio.run(all_at_once())
    together = stream.steps - before
    alone = 0
    for i, (text, said) in enumerate(zip(texts, got, strict=True)):
        ids = policy.speller.opening(text)
        want = policy.sample(
            [ids], n=1, longest=40, seed=i, how=Sampling(temperature=1 + i % 3 / 10)
        )[0]
        alone += len(want.response_ids)
        assert said == policy.speller.text(want)
    assert together < alone / 3, (together, alone)


def test_async_streams_go_side_by_side(there):
    async def one(client, seed: int) -> str:
        said = ""
        stream = await client.chat.completions.create(
            model="stories", messages=messages("stories"), seed=seed, max_tokens=20, stream=True
        )
        async for chunk in stream:
            said += chunk.choices[0].delta.content or ""
        return said

    async def several() -> list[str]:
        async with there.patient as client:
            return await asyncio.gather(*(one(client, seed) for seed in range(6)))

    policy, ids = spelled(there, "stories")
    for seed, said in enumerate(asyncio.run(several())):
        want = policy.sample([ids], n=1, longest=20, seed=seed)[0]
        assert said == policy.speller.text(want)
