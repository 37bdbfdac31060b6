"""Models that see, held against transformers' own code."""

import pytest
import torch
from transformers import AutoImageProcessor, AutoModelForImageTextToText

import seeing
from accord.data.rows import choices, grouped, pad
from accord.engine.draw import Sampling
from accord.engine.roles import Policy
from accord.errors import BadSettings
from accord.models import vision
from accord.models.lora import Lora
from accord.text.images import spans

GREEDY = Sampling(temperature=0.0)


@pytest.fixture(scope="module", params=seeing.KINDS)
def home(request, tmp_path_factory):
    """(folder, kind, pictures of two sizes)"""
    path = tmp_path_factory.mktemp(request.param)
    shapes = (("red", (20, 12)), ("blue", (9, 31)))
    pictures = [seeing.picture(path / f"{c}.png", c, size) for c, size in shapes]
    return seeing.folder(path / "model", request.param), request.param, pictures


class Theirs:
    """The same folder by transformers alone: one sequence at a time, eager attention."""

    def __init__(self, folder):
        self.model = AutoModelForImageTextToText.from_pretrained(
            folder, attn_implementation="eager"
        ).eval()
        self.sight = AutoImageProcessor.from_pretrained(folder)

    def given(self, speller, prompt, answer=()):
        """What `forward` takes for a prompt and what follows it."""
        from PIL import Image as Pillow

        from accord.text.images import paths

        place = speller.sight.place
        ids = torch.tensor([[place if i < 0 else i for i in (*prompt, *answer)]])
        out = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        out["mm_token_type_ids"] = (ids == place).int()
        shown = [Pillow.open(path).convert("RGB") for path in paths(prompt)]
        if shown:
            out |= dict(self.sight(images=shown, return_tensors="pt"))
        if self.model.config.model_type == "llava":
            del out["mm_token_type_ids"]
        return out

    def logp(self, speller, prompt, answer):
        with torch.no_grad():
            logits = self.model(**self.given(speller, prompt, answer)).logits[0].float()
        logits[:, speller.sight.place] = -torch.inf
        at = torch.arange(len(prompt) - 1, len(prompt) + len(answer) - 1)
        return logits.log_softmax(-1)[at, torch.tensor(answer)]


def prompts(speller, pictures):
    """Two with a picture each, one with both, one without."""
    from accord.records import Image, Message, Text, ask

    both = (Message("user", (Image(pictures[1]), Text("and "), Image(pictures[0]), Text("?"))),)
    talks = [seeing.about(pictures[0]), seeing.about(pictures[1], "Which colour"), both, ask("No")]
    return [speller.prompt_ids(talk) for talk in talks]


def test_log_probabilities_are_transformers_own(home):
    folder, _, pictures = home
    policy, theirs = Policy.open(folder), Theirs(folder)
    asked = prompts(policy.speller, pictures)
    answers = [(5, 9, 30, 2), (7, 7), (50, 11, 12), (3, 4, 5)]
    ours = policy.logp(pad(asked, answers))
    for row, prompt, answer in zip(ours, asked, answers, strict=True):
        wanted = theirs.logp(policy.speller, prompt, answer)
        torch.testing.assert_close(row[len(prompt) :][: len(answer)], wanted, atol=2e-4, rtol=1e-4)


def test_a_photograph_is_seen_as_transformers_sees_it(home):
    """Of a camera: a JPEG with a profile, far larger than the tower's pictures (it comes with
    matplotlib: Grace Hopper, by the US Navy, in the public domain).
    """
    import matplotlib

    folder, _, pictures = home
    photo = f"{matplotlib.get_data_path()}/sample_data/grace_hopper.jpg"
    policy, theirs = Policy.open(folder), Theirs(folder)
    asked = [policy.speller.prompt_ids(seeing.about(p)) for p in (photo, pictures[0])]
    answer = (5, 9, 30, 2)
    ours = policy.logp(pad(asked, [answer] * 2))
    for row, prompt in zip(ours, asked, strict=True):
        wanted = theirs.logp(policy.speller, prompt, answer)
        torch.testing.assert_close(row[len(prompt) :][:4], wanted, atol=2e-4, rtol=1e-4)
    assert (ours[0].sum() - ours[1].sum()).abs() > 1e-3, "and it makes a difference"


def test_a_shared_prompt_is_read_once_and_says_the_same(home):
    folder, _, pictures = home
    policy = Policy.open(folder)
    asked = prompts(policy.speller, pictures)
    answers = [[(5, 9, 30, 2), (8, 1)], [(7, 7), (6,)], [(50, 11, 12), (9, 9)], [(3,), (4, 5)]]
    apart = [policy.logp(pad([p] * 2, few)).sum(1) for p, few in zip(asked, answers, strict=True)]
    together = policy.compare(choices(asked, answers))
    torch.testing.assert_close(together, torch.stack(apart), atol=1e-3, rtol=1e-4)
    rows = grouped(list(zip(asked, answers, strict=True)))
    alike = policy.logp(rows).sum(1).view(-1, 2)
    torch.testing.assert_close(alike, torch.stack(apart), atol=1e-3, rtol=1e-4)


def test_greedy_text_is_that_of_generate(home):
    folder, _, pictures = home
    policy, theirs = Policy.open(folder), Theirs(folder)
    asked = prompts(policy.speller, pictures)
    said = policy.sample(asked, longest=6, seed=0, how=GREEDY)
    for prompt, rollout in zip(asked, said, strict=True):
        given = theirs.given(policy.speller, prompt)
        with torch.no_grad():
            out = theirs.model.generate(
                **given,
                max_new_tokens=6,
                do_sample=False,
                eos_token_id=sorted(policy.speller.ends),
                pad_token_id=0,
                suppress_tokens=[policy.speller.sight.place],
            )
        new = tuple(out[0, given["input_ids"].shape[1] :].tolist())
        assert new == rollout.response_ids


def test_what_was_sampled_is_what_is_scored(home):
    folder, _, pictures = home
    policy = Policy.open(folder)
    asked = prompts(policy.speller, pictures)
    said = policy.sample(asked, n=3, longest=7, seed=3)
    rows = pad([r.prompt_ids for r in said], [r.response_ids for r in said])
    scored = policy.logp(rows)[rows.mask_BT]
    told = torch.tensor([x for r in said for x in r.logp])
    torch.testing.assert_close(told, scored, atol=2e-4, rtol=1e-4)


def test_a_placeholder_is_never_said(home):
    folder, _, pictures = home
    policy = Policy.open(folder)
    place = policy.speller.sight.place
    head = policy.model.trunk.head.weight
    with torch.no_grad():
        head[place] = 50 * head.abs().mean() * torch.sign(head[place])
    said = policy.sample(prompts(policy.speller, pictures), n=20, longest=5, seed=0)
    assert not any(place in r.response_ids for r in said)


def test_the_tower_looks_at_a_picture_once_and_all_copies_share_it(home):
    folder, _, pictures = home
    policy = Policy.open(folder)
    copy = policy.trainable(lr=1e-3)
    asked = prompts(policy.speller, pictures)
    for _ in range(2):
        policy.sample(asked, longest=2, seed=0)
        copy.logp(pad(asked, [(4,)] * len(asked)))
    assert policy.model.trunk.eyes.kept.looks == 2
    assert copy.model.trunk.eyes.kept is policy.model.trunk.eyes.kept


def test_the_tower_never_learns_and_the_rest_does(home):
    folder, kind, _ = home
    policy = Policy.open(folder)
    names = {name for name, _ in policy.trainable(lr=1e-3).model.learned()}
    sees = "vision_tower" if kind == "llava" else "visual"
    assert names
    assert not any(sees in name for name in names)
    assert any("projector" in name for name in names) == (kind == "llava")
    adapter = {name for name, _ in policy.trainable(lr=1e-3, lora=Lora(r=2)).model.learned()}
    assert adapter
    assert all("language_model" in name for name in adapter)


def test_another_picture_is_another_prompt(home):
    folder, _, pictures = home
    policy = Policy.open(folder)
    first, second = (policy.speller.prompt_ids(seeing.about(path)) for path in pictures)
    assert first != second
    assert spans(first)[0].name != spans(second)[0].name
    answer = (5, 6, 7)
    one, other = (
        policy.logp(pad([first], [answer])).sum(),
        policy.logp(pad([second], [answer])).sum(),
    )
    assert abs(float(one - other)) > 1e-3


def test_what_is_kept_is_bounded_and_never_taken_from_who_reads_it(home, monkeypatch):
    """Nothing outlives its turn: neither a picture, nor the lot that it was looked at with."""
    folder, _, pictures = home
    policy = Policy.open(folder)
    trunk, asked = policy.model.trunk, prompts(policy.speller, pictures)
    rows = pad(asked, [(4,)] * len(asked))
    right, kept = policy.logp(rows), trunk.eyes.kept
    storages = {seen.untyped_storage().data_ptr() for seen in kept.seen.values()}
    assert len(storages) == len(kept.seen) == 2
    for seen in kept.seen.values():
        assert seen.untyped_storage().nbytes() == seen.nbytes
    monkeypatch.setattr(vision, "KEPT_BYTES", 1)
    for _ in range(2):
        assert torch.equal(policy.logp(rows), right), "both are there for a row that shows both"
        alone = policy.speller.prompt_ids(seeing.about(pictures[0], "Alone?"))
        policy.logp(pad([alone], [(4,)]))
        assert len(kept.seen) == 1
        assert kept.grids.keys() == kept.seen.keys()
        assert kept.held == sum(seen.nbytes for seen in kept.seen.values())


def test_pictures_are_decoded_one_at_a_time(home, monkeypatch):
    folder, _, pictures = home
    policy = Policy.open(folder)
    eyes, asked = policy.model.trunk.eyes, prompts(policy.speller, pictures)
    together, pixels = list[int](), eyes.pixels
    monkeypatch.setattr(eyes, "pixels", lambda few: (together.append(len(few)), pixels(few))[1])
    policy.logp(pad(asked, [(4,)] * len(asked)))
    assert together == [1, 1]


def test_a_rank_beyond_what_is_adapted_is_refused_before_it_is_learned(home):
    """Neither the head nor the tower counts: reading the adapter again would find them missing."""
    policy = Policy.open(home[0])
    with pytest.raises(BadSettings, match="no layer that it adapts has a side over 48"):
        policy.trainable(lr=1e-3, lora=Lora(r=64))
