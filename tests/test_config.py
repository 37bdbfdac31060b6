"""Settings say what is wrong, where, and what was probably meant; what is right goes in and out."""

import json
from dataclasses import FrozenInstanceError, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from accord.config import Settings, describe, digest, nearest, plain, read, read_each
from accord.errors import BadSettings


@dataclass(frozen=True)
class Pairs:
    """Every two answers.

    More that is not for --help.
    """

    margin: bool = False
    """ask for more distance
    where the judge was sure"""
    centre: float = 0.0


@dataclass(frozen=True)
class Best:
    """The best against all others."""

    heat: Annotated[float, Field(gt=0)] = 1.0

    def __post_init__(self) -> None:
        if self.heat == 7:
            raise ValueError("heat 7 is taken")


@dataclass(frozen=True)
class Adapter:
    rank: int
    where: tuple[str, ...] = ("q", "v")


class Method(Settings):
    """A method with one field of each kind."""

    steps: int = Field(60, ge=1)
    """how many steps"""
    lr: float = 1e-5
    """step size"""
    betas: tuple[float, float] = (0.9, 0.95)
    """Adam's two"""
    loss: Pairs | Best = Pairs()
    """how answers are compared"""
    adapter: Adapter | None = None
    """train an adapter in place of everything"""
    limit: Annotated[float, Field(gt=0)] | None = None
    """largest gradient"""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """number format"""
    model: Path = Path("model")
    """folder"""
    note: str = ""
    """anything"""
    fast: bool = False
    """hurry"""
    seed: Literal["clock"] | int = 0
    """where chance starts"""

    @model_validator(mode="after")
    def _agree(self) -> "Method":
        if self.fast and self.steps > 1000:
            raise ValueError("fast=true allows at most steps=1000")
        return self


class Whole(Settings):
    """Settings within settings."""

    model: str
    """folder to start from"""
    inner: Method = Method()
    """the stage"""


def preset(folder: Path, text: str) -> Path:
    path = folder / "preset.yaml"
    path.write_text(text)
    return path


def complaint(cls: type[Settings], *words: str, path: Path | None = None, **more: object) -> str:
    with pytest.raises(BadSettings) as caught:
        read(cls, path, words, **more)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_said_gives_the_defaults() -> None:
    assert read(Method) == Method()


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("steps=5", "steps", 5),
        ("steps=1_000", "steps", 1000),
        ("lr=1e-6", "lr", 1e-6),
        ("lr=3", "lr", 3.0),
        ("betas=0.8,0.9", "betas", (0.8, 0.9)),
        ("betas=0.8, 0.9", "betas", (0.8, 0.9)),
        ("loss=best", "loss", Best()),
        ("loss.margin=true", "loss", Pairs(margin=True)),
        ("loss.kind=Best", "loss", Best()),
        ("adapter.rank=8", "adapter", Adapter(8)),
        ("limit=0.5", "limit", 0.5),
        ("limit=none", "limit", None),
        ("adapter=None", "adapter", None),
        ("dtype=BFloat16", "dtype", "bfloat16"),
        ("model=a/b", "model", Path("a/b")),
        ("model=~/b", "model", Path.home() / "b"),
        ("note=x=y, none", "note", "x=y, none"),
        ("note=none", "note", "none"),
        ("note=", "note", ""),
        ("fast=yes", "fast", True),
        ("seed=clock", "seed", "clock"),
        ("seed=4", "seed", 4),
    ],
)
def test_a_word_and_a_preset_line_mean_the_same(
    tmp_path: Path, word: str, name: str, value: object
) -> None:
    from_word = read(Method, None, [word])
    assert getattr(from_word, name) == value
    assert type(getattr(from_word, name)) is type(value)
    assert from_word.model_copy(update={name: getattr(Method(), name)}) == Method()
    key, _, text = word.partition("=")
    line = f"{key}: {json.dumps(text) if not text or '=' in text else text}"
    assert read(Method, preset(tmp_path, line)) == from_word


def test_a_preset_may_nest_list_and_leave_empty(tmp_path: Path) -> None:
    path = preset(
        tmp_path,
        """
        # comments are for people
        lr: 1e-4          # YAML 1.1 takes this for text; a number field knows better
        betas: [0.5, 0.6]
        loss: {kind: Best, heat: 2}
        adapter:
          rank: 4
          where: [q, k, no]
        limit:
        note: 2024-01-01
        """,
    )
    assert read(Method, path) == Method(
        lr=1e-4,
        betas=(0.5, 0.6),
        loss=Best(heat=2.0),
        adapter=Adapter(4, ("q", "k", "no")),
        note="2024-01-01",
    )


def test_later_sources_win_and_order_within_one_does_not_matter(tmp_path: Path) -> None:
    path = preset(tmp_path, "steps: 7\nloss: {kind: Pairs, margin: true}")
    defaults = {"steps": 6, "lr": 0.5}
    got = read(Method, path, ["steps=8", "loss.centre=0.1"], defaults)
    assert (got.steps, got.lr, got.loss) == (8, 0.5, Pairs(margin=True, centre=0.1))
    assert read(Method, path, ["loss.heat=3", "loss=Best"]).loss == Best(heat=3.0)
    assert read(Method, path, ["loss=Pairs"]).loss == Pairs(), "a kind that is named starts fresh"


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("stpes=3", ["'stpes=3'", "Method has no setting 'stpes'", "did you mean 'steps'"]),
        ("zzz=3", ["it has steps, lr, betas"]),
        ("loss.marign=1", ["Pairs has no setting 'marign'", "did you mean 'margin'"]),
        ("loss=Bets", ["loss = 'Bets'", "expected Pairs | Best", "did you mean 'Best'"]),
        ("dtype=float23", ["float32 | bfloat16", "did you mean 'float32'"]),
        ("steps=many", ["'steps=many'", "steps = 'many'", "expected whole number"]),
        ("steps=2.5", ["expected whole number"]),
        ("steps=0", ["greater than or equal to 1"]),
        ("steps=none", ["expected whole number"]),
        ("limit=-1", ["limit = '-1'", "greater than 0"]),
        ("loss.heat=1", ["Pairs has no setting 'heat'"]),
        ("lr=nan", ["lr = 'nan'", "finite"]),
        ("lr=inf", ["finite"]),
        ("betas=0.9", ["expected number,number"]),
        ("betas=0.9,nan", ["number,number"]),
        ("fast=perhaps", ["true or false"]),
        ("steps.x=1", ["'steps' is whole number; it has no parts"]),
        ("steps", ["write it as key=value"]),
        ("=3", ["write it as key=value"]),
        ("adapter=Adapter", ["'adapter=Adapter': Adapter needs 'rank'"]),
    ],
)
def test_a_bad_word_is_named_with_what_would_do(word: str, parts: list[str]) -> None:
    said = complaint(Method, word)
    assert all(part in said for part in parts), said


def test_contradictions_are_told_from_both_sides() -> None:
    assert "fast=true allows" in complaint(Method, "fast=true", "steps=2000")
    assert "'loss.heat=7': Best: heat 7 is taken" in complaint(Method, "loss=Best", "loss.heat=7")
    assert complaint(Method, "steps=3", "steps=4").endswith(
        "'steps' was already given ('steps=3'); say it once"
    )
    assert "already given" in complaint(Method, "loss=Best", "loss.kind=Pairs")


def test_none_beside_a_part_of_it_is_a_contradiction(tmp_path: Path) -> None:
    for words in (("adapter=none", "adapter.rank=8"), ("adapter.rank=8", "adapter=null")):
        said = complaint(Method, *words)
        assert "'adapter.rank=8': 'adapter' was said to be none" in said
        assert words[words[0] == "adapter.rank=8"] in said
    path = preset(tmp_path, "adapter:\nadapter.rank: 8")
    assert ":2: 'adapter' was said to be none" in complaint(Method, path=path)
    off, on = preset(tmp_path, "adapter: none"), tmp_path / "on.yaml"
    on.write_text("adapter: {rank: 8}")
    assert read(Method, on, ["adapter=none"]).adapter is None, "a later source wins"
    assert read(Method, off, ["adapter.rank=8"]).adapter == Adapter(8)


def test_a_dotted_word_needs_a_kind_to_belong_to() -> None:
    class Open(Settings):
        loss: Pairs | Best | None = None
        """maybe"""

    assert "choose the kind of 'loss' first: loss=Pairs or loss=Best" in complaint(
        Open, "loss.heat=1"
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("steps: 3\nlr: fast", [":2: lr = 'fast'", "expected number"]),
        ("lr: 1\nsteps: 3\nlr: 2", [":3: 'lr' was already given", "preset.yaml:1"]),
        ("loss:\n  margin: yes\n  margin: no", [":3: 'loss.margin' was already given"]),
        ("loss:\n  kind: Best\n  margin: yes", [":3: Best has no setting 'margin'"]),
        ("note: [a, b]", ["note = 'a,b'", "expected text"]),
        ("betas: [[1], 2]", [":1: a list may hold plain values only"]),
        ("steps: {a: 1}", [":1: 'steps' is whole number"]),
        ("steps:", ["steps = None, expected whole number"]),
        ("- steps", ["a list of `key: value` lines"]),
        ("a: b: c", [":1: not valid YAML"]),
        ("a: 1\n---\nb: 2", ["not valid YAML"]),
        ("? [a]\n: 1", ["expected `key: value`"]),
        ("x: &x {y: *x}", [":1: "]),
        ("steps: !!python/object/apply:os.system [echo]", ["steps = 'echo'"]),
    ],
)
def test_a_bad_preset_is_named_by_file_and_line(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    said = complaint(Method, path=preset(tmp_path, text))
    assert "preset.yaml" in said
    assert all(part in said for part in parts), said


def test_a_preset_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in complaint(Method, path=tmp_path / "no.yaml")
    assert "cannot read" in complaint(Method, path=tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"note: \xff\xfe")
    assert "not UTF-8" in complaint(Method, path=tmp_path / "x.yaml")
    assert read(Method, preset(tmp_path, "# nothing\n")) == Method()


def test_settings_within_settings() -> None:
    got = read(Whole, None, ["model=m", "inner.loss=Best", "inner.loss.heat=2"])
    assert got == Whole(model="m", inner=Method(loss=Best(2.0)))
    assert "Method has no setting 'stepz'" in complaint(Whole, "model=m", "inner.stepz=2")
    assert complaint(Whole) == "Whole needs 'model' (folder to start from)"
    assert read(Whole, defaults=plain(got)) == got


@pytest.mark.parametrize(
    "settings",
    [
        Method(),
        Method(loss=Best(0.1), adapter=Adapter(2, ()), limit=0.3, betas=(0.1, 0.2), seed="clock"),
    ],
)
def test_plain_goes_out_and_comes_back(tmp_path: Path, settings: Method) -> None:
    out = json.loads(json.dumps(plain(settings)))
    assert read(Method, defaults=out) == settings
    assert read(Method, preset(tmp_path, json.dumps(out))) == settings
    assert out["loss"]["kind"] == type(settings.loss).__name__


def test_defaults_may_hold_objects_but_not_wrong_types() -> None:
    assert read(Method, defaults={"loss": Best(3.0), "betas": (0.1, 0.2)}).loss == Best(3.0)
    assert "defaults: steps = True" in complaint(Method, defaults={"steps": True})
    assert "defaults: lr = nan" in complaint(Method, defaults={"lr": float("nan")})
    assert "expected text" in complaint(Method, defaults={"note": 3})


def test_digest_sees_every_value_and_no_order() -> None:
    assert digest(Method()) == digest(Method(steps=60))
    assert len({digest(Method()), digest(Method(steps=61)), digest(Method(loss=Best()))}) == 3
    assert digest({"a": 1, "b": (1, 2)}) == digest({"b": [1, 2], "a": 1})
    with pytest.raises(BadSettings):
        digest({"a": float("nan")})
    with pytest.raises(TypeError):
        digest(object())


def test_nothing_can_be_changed_afterwards() -> None:
    settings = Method()
    with pytest.raises(ValidationError):
        settings.steps = 3  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        settings.loss.margin = True  # type: ignore[misc, union-attr]
    hash(settings)


def test_fields_that_could_change_are_refused_at_definition() -> None:
    @dataclass
    class Loose:
        x: int = 0

    @dataclass(frozen=True)
    class Bag:
        x: list[int] = field(default_factory=list)

    for hint in (list[int], dict[str, int], Loose, Bag, Pairs | list[int], tuple[list[int], ...]):
        with pytest.raises(TypeError):
            type("Bad", (Settings,), {"__annotations__": {"x": hint}, "__module__": __name__})
    with pytest.raises(TypeError, match="21 fields; 20 is the limit"):
        type("Big", (Settings,), {"__annotations__": {f"x{i}": int for i in range(21)}})


def test_python_callers_get_the_same_sentences() -> None:
    for values, part in (
        ({"stepz": 1}, "did you mean 'steps'"),
        ({"steps": "x"}, "steps = 'x', expected whole number"),
        ({"lr": float("nan")}, "finite"),
        ({"limit": -1.0}, "greater than 0"),
        ({"loss": {"heat": 1}}, "give an object"),
    ):
        with pytest.raises(BadSettings, match=part):
            Method(**values)  # type: ignore[arg-type]


def test_help_teaches_every_field_choice_and_default() -> None:
    lines = describe(Method).splitlines()
    text = " ".join(describe(Method).split())
    assert len([line for line in lines if not line.startswith("   ")]) == len(Method.model_fields)
    for part in (
        "steps whole number = 60 how many steps",
        "betas number,number = 0.9,0.95 Adam's two",
        "loss Pairs | Best = Pairs how answers are compared",
        "loss=Pairs Every two answers. loss.margin",
        "loss.margin true or false = false ask for more distance where the judge was sure",
        "loss=Best The best against all others. loss.heat number = 1.0",
        "dtype float32 | bfloat16 = float32 number format",
        "adapter Adapter | none = none",
    ):
        assert part in text, describe(Method)
    assert Method.fields()[0] == ("steps", "whole number", "60", "how many steps", 0)
    assert " ".join(describe(Whole).splitlines()[0].split()) == "model text folder to start from"


def test_nearest() -> None:
    assert nearest("Stesp", ["steps", "lr"]) == "steps"
    assert nearest("qqq", ["steps", "lr"]) is None
    assert nearest("x", []) is None


def test_several_settings_share_one_line_of_words():
    class Where(Settings):
        """Where."""

        out: str = "here"
        """folder"""

    class How(Settings):
        """How."""

        steps: int = 3
        """steps"""

    where, how = read_each((Where, How), words=["steps=5", "out=there"])
    assert (where.out, how.steps) == ("there", 5)
    with pytest.raises(BadSettings, match="did you mean 'steps'"):
        read_each((Where, How), words=["stpes=5"])
