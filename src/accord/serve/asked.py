"""What clients may ask: the fields of the protocol, and what of it is not offered.

Nothing is ignored: a field that is not known is an error, and one that could only be ignored takes
the one value that means nothing.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

MOST_N, MOST_BEST = 128, 20


def _only(*values: Any, say: str) -> BeforeValidator:
    """Takes the values that change nothing; anything else is refused with a sentence."""

    def check(given: Any) -> Any:
        if not any(given == value and type(given) is type(value) for value in (None, *values)):
            raise ValueError(say)
        return given

    return BeforeValidator(check)


def _penalty(name: str) -> BeforeValidator:
    say = f"{name} is not offered: answers are drawn from the model's own distribution"
    return _only(0, 0.0, say=say)


_TOOLS = _only([], say="tools are not offered: this endpoint returns text")
_Label = Annotated[str, Field(max_length=512)]


class _Body(BaseModel):
    """A null is a field that was left out."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if value is not None}
        return given


class StreamOptions(_Body):
    """How a stream ends."""

    include_usage: bool = False
    """a last piece with the count of tokens"""


class TextPart(_Body):
    """A part of a message."""

    type: Literal["text"]
    text: str


class ImageURL(_Body):
    """Where a picture is: in the address itself."""

    url: str
    """data:image/png;base64,…"""
    detail: Annotated[
        Any, _only("auto", say="detail is not offered: a model's own processor decides")
    ] = None


class ImagePart(_Body):
    """A part that is seen."""

    type: Literal["image_url"]
    image_url: ImageURL


def _kind(given: Any) -> str:
    """Which part it is; a type that is not known is refused."""
    kind = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)
    return kind if kind == "image_url" else "text"


def _known(given: Any) -> Any:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in (None, "text", "image_url"):
        raise ValueError(
            f"a message has a part of type {str(kind)[:40]!r}: text and image_url are read"
        )
    told = given.get("image_url") if kind == "image_url" else {"url": ""}
    if not isinstance(told, dict) or not isinstance(told.get("url"), str):
        raise ValueError('a picture is {"type": "image_url", "image_url": {"url": "data:…"}}')
    return given


_Part = Annotated[
    Annotated[TextPart, Tag("text")] | Annotated[ImagePart, Tag("image_url")],
    Discriminator(_kind),
    BeforeValidator(_known),
]


class Said(_Body):
    """A message.  `developer` is what newer clients call `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[_Part], Field(min_length=1)]


class _Asked(_Body):
    model: str
    """the id of a model, as /v1/models lists it"""
    n: Annotated[int, Field(ge=1, le=MOST_N)] = 1
    """answers to each prompt"""
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    """0 is greedy"""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0, le=1 << 31)] = 0
    """of this endpoint: only the k likeliest tokens; 0 keeps all"""
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """of this endpoint: only tokens at least this many times as probable as the likeliest"""
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    """the same seed, the same answers; `seed` of the answer says which it was"""
    stop: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=16)]
        | None
    ) = None
    """texts that end an answer; they are no part of it"""
    user: _Label | None = None
    """a label of yours: it is not kept, and changes nothing"""
    frequency_penalty: Annotated[Any, _penalty("frequency_penalty")] = None
    presence_penalty: Annotated[Any, _penalty("presence_penalty")] = None
    logit_bias: Annotated[Any, _only({}, say="logit_bias is not offered")] = None

    @property
    def stops(self) -> tuple[str, ...]:
        """As a tuple."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def usage(self) -> bool:
        """Whether a stream is to end with the count of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    @model_validator(mode="after")
    def _fits(self) -> "_Asked":
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options goes with stream=true")
        return self


class ChatAsked(_Asked):
    """POST /v1/chat/completions"""

    messages: Annotated[list[Said], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """the most tokens of an answer; none: what the context leaves"""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """its older name"""
    logprobs: bool = False
    """log-probabilities of the model itself: temperature 1, nothing cut"""
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_BEST)] | None = None
    """and of so many likeliest tokens at each place"""
    metadata: Annotated[dict[_Label, _Label], Field(max_length=16)] | None = None
    """labels of yours: they are not kept, and change nothing"""
    safety_identifier: _Label | None = None
    """another such label"""
    response_format: Annotated[
        Any,
        _only({"type": "text"}, say="response_format is not offered: answers are plain text"),
    ] = None
    modalities: Annotated[Any, _only(["text"], say="only text is offered, modalities=['text']")] = (
        None
    )
    store: Annotated[Any, _only(False, say="nothing is stored here: leave store out")] = None
    service_tier: Annotated[Any, _only("auto", "default", say="there are no service tiers")] = None
    tools: Annotated[Any, _TOOLS] = None
    functions: Annotated[Any, _TOOLS] = None
    tool_choice: Annotated[Any, _only("none", "auto", say="tools are not offered")] = None

    @property
    def longest(self) -> int | None:
        """The most tokens of an answer."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def best(self) -> int | None:
        """How many likeliest tokens are told; none: nothing is."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @model_validator(mode="after")
    def _agrees(self) -> "ChatAsked":
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs goes with logprobs=true")
        if None not in (pair := (self.max_tokens, self.max_completion_tokens)) and len({*pair}) > 1:
            raise ValueError("max_tokens and max_completion_tokens differ")
        return self


_Id = Annotated[int, Field(ge=0, strict=True)]


class TextAsked(_Asked):
    """POST /v1/completions"""

    prompt: (
        Annotated[str, Field(strict=True)]
        | Annotated[list[_Id], Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(strict=True)]], Field(min_length=1, max_length=1024)]
        | Annotated[
            list[Annotated[list[_Id], Field(min_length=1)]], Field(min_length=1, max_length=1024)
        ]
    )
    """a text, its ids, or several of one kind"""
    max_tokens: Annotated[int, Field(ge=0)] = 16
    """the most tokens of an answer; 0, with echo: only the prompt is read"""
    logprobs: Annotated[int, Field(ge=0, le=MOST_BEST)] | None = None
    """log-probabilities of the model itself, and of so many likeliest tokens at each place"""
    echo: bool = False
    """the prompt before the answer, with logprobs also its tokens"""
    best_of: Annotated[int, Field(ge=1, le=MOST_N)] | None = None
    suffix: Annotated[Any, _only("", say="suffix is not offered: this model writes forward")] = None

    @property
    def longest(self) -> int:
        """As in a chat."""
        return self.max_tokens

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """As a list."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]  # type: ignore[list-item]
        return self.prompt  # type: ignore[return-value]

    @property
    def best(self) -> int | None:
        """As in a chat."""
        return self.logprobs

    @model_validator(mode="after")
    def _agrees(self) -> "TextAsked":
        if self.best_of not in (None, self.n):
            raise ValueError("best_of is not offered: ask for n, and choose")
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens=0 goes with echo=true")
        return self
