"""The tables.  A judgement is only ever added; what takes it back points at it (`supersedes`).

Verdicts are kept in the order of the item's own answers, never in the order shown: `ranks`, ratings
and texts need no seed to be read, and `shown` tells the order the annotator saw.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""constraints have names of their own, so that a migration can change them anywhere"""


class Moment(TypeDecorator[datetime]):
    """A point in time, with its zone on every database: SQLite would forget it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a time without a zone is refused."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """As UTC."""
        if value is not None and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value.astimezone(UTC) if value else None


class Table(DeclarativeBase):
    """What all tables share."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class)
        datetime: Moment(),
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        str: Text(),
        float: Float(),
        int: Integer(),
    }


# --- who ---


class User(Table):
    """A person, or an AI judge that is marked as one."""

    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    kind: Mapped[str] = mapped_column(String(12), default="person")
    """person | ai"""
    role: Mapped[str] = mapped_column(String(12))
    """owner | manager | annotator | viewer"""
    password: Mapped[str | None]
    """its argon2 hash; None: comes in by a link only"""
    email: Mapped[str | None]
    """never exported"""
    pseudonym: Mapped[str] = mapped_column(String(40), unique=True)
    """what exports call this annotator"""
    prefs: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """theme, keys remapped or off, plain text or rendered, ..."""
    created: Mapped[datetime]
    excluded: Mapped[datetime | None]
    """since when this annotator's judgements no longer count, and their items are open again"""
    closed: Mapped[datetime | None]
    """since when the account cannot log in"""


class Login(Table):
    """A session in a browser; only the hash of its token is kept."""

    __tablename__ = "login"
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    created: Mapped[datetime]
    seen: Mapped[datetime]
    expires: Mapped[datetime]
    agent: Mapped[str] = mapped_column(default="")


class Token(Table):
    """A key for programs; only its hash is kept."""

    __tablename__ = "token"
    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    name: Mapped[str]
    scopes: Mapped[list[Any]]
    """read | judge | manage | runs | models"""
    created: Mapped[datetime]
    used: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


class Invite(Table):
    """A link that makes an account, or (`user_id`) lets that account in without a password."""

    __tablename__ = "invite"
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(12))
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    note: Mapped[str] = mapped_column(default="")
    left: Mapped[int] = mapped_column(default=1)
    """how often it may still be used"""
    created: Mapped[datetime]
    expires: Mapped[datetime]


class Member(Table):
    """Who takes part in a study that is not open to all annotators."""

    __tablename__ = "member"
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)


# --- about what ---


class Study(Table):
    """A question asked about many items: `config` is a `forms.StudyConfig`, plain."""

    __tablename__ = "study"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    kind: Mapped[str] = mapped_column(String(12))
    """pairwise | rank | rate | rewrite | chat"""
    config: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(12), default="open")
    """open | paused | closed"""
    created: Mapped[datetime]
    by: Mapped[int | None] = mapped_column(ForeignKey("user.id"))


class Prompt(Table):
    """A conversation that waits for an answer; the same one is kept once."""

    __tablename__ = "prompt"
    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    messages: Mapped[list[Any]]
    """[{role, content}], content as text or parts [{type: text|image|fact, ...}]"""
    source: Mapped[str] = mapped_column(default="")
    """file and row it came from"""


class Response(Table):
    """One answer to a prompt."""

    __tablename__ = "response"
    __table_args__ = (UniqueConstraint("prompt_id", "hash"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    prompt_id: Mapped[int] = mapped_column(ForeignKey("prompt.id"), index=True)
    hash: Mapped[str] = mapped_column(String(64))
    """of text, model and sampling"""
    text: Mapped[str]
    model: Mapped[str] = mapped_column(default="")
    """what wrote it: an artifact id, an endpoint's model name, "human:<pseudonym>", or unknown"""
    sampling: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """temperature, seed, draw, longest, finish, ..."""
    reward: Mapped[float | None]
    created: Mapped[datetime]


class Item(Table):
    """Answers to one prompt that a study asks about."""

    __tablename__ = "item"
    __table_args__ = (
        UniqueConstraint("study_id", "hash"),
        Index("ix_item_queue", "study_id", "open", "turn", "id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    prompt_id: Mapped[int] = mapped_column(ForeignKey("prompt.id"), index=True)
    hash: Mapped[str] = mapped_column(String(64))
    """of prompt and answers: the same item is imported once"""
    responses: Mapped[list[Any]]
    """ids of its answers, in the item's own order"""
    gold: Mapped[dict[str, Any] | None]
    """the verdict known to be right ({"ranks": [...]} or {"ratings": {...}}): an attention check"""
    turn: Mapped[float] = mapped_column(default=0.0)
    """lower is asked first: minus the priority, so that the index is read in its own order"""
    propensity: Mapped[float | None]
    """the probability with which this item was chosen to be asked, where it was chosen by chance"""
    open: Mapped[bool] = mapped_column(default=True)
    """judgements are still wanted: fewer count than the overlap asks for"""
    asked: Mapped[int | None]
    """how many judgements it wants, where that differs from the study's overlap"""
    created: Mapped[datetime]


class Author(Table):
    """Who wrote an answer of an item, and so does not judge it."""

    __tablename__ = "author"
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)


# --- what was done ---


class Lease(Table):
    """An item shown to an annotator, in an order of their own; nobody else gets that place."""

    __tablename__ = "lease"
    __table_args__ = (
        UniqueConstraint("item_id", "user_id", "adjudicates"),
        Index("ix_lease_state", "state", "expires"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    order: Mapped[list[Any]]
    """order[i]: which of the item's answers stands at place i"""
    seed: Mapped[str] = mapped_column(String(16))
    """what the order was drawn from: study, item, annotator"""
    issued: Mapped[datetime]
    beat: Mapped[datetime]
    expires: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(12), default="active")
    """active | done | released (an expired one is active with `expires` in the past)"""
    draft: Mapped[dict[str, Any] | None]
    """what was written and not sent yet"""
    adjudicates: Mapped[bool] = mapped_column(default=False)
    """taken to settle what others disagree on; beside a lease of one's own as an annotator"""


class Judgement(Table):
    """One act: a verdict, a skip, a flag, or taking an earlier one back."""

    __tablename__ = "judgement"
    __table_args__ = (Index("ix_judgement_item_user", "item_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    lease_id: Mapped[int | None] = mapped_column(ForeignKey("lease.id"))
    key: Mapped[str] = mapped_column(String(64), unique=True)
    """of the rendered page: sent twice, kept once"""
    act: Mapped[str] = mapped_column(String(12))
    """judge | skip | flag | withdraw"""
    final: Mapped[bool] = mapped_column(default=False)
    """an adjudicator's: it outweighs all others of its item"""
    shown: Mapped[list[Any]]
    """shown[i]: which of the item's answers stood at place i"""
    ranks: Mapped[list[Any] | None]
    """place of each answer, 0 the best, equal places are ties; in the item's own order"""
    both_bad: Mapped[bool] = mapped_column(default=False)
    strength: Mapped[int | None]
    """1 slightly ... 3 much better"""
    ratings: Mapped[dict[str, Any] | None]
    """axis -> [a number for each answer], in the item's own order"""
    rewrite: Mapped[str | None]
    """the answer as it should have been"""
    reason: Mapped[str] = mapped_column(default="")
    tags: Mapped[list[Any]] = mapped_column(default=list)
    marks: Mapped[list[Any]] = mapped_column(default=list)
    """found by the site: fast, straight, leak, gold-missed"""
    soft: Mapped[float | None]
    """an AI judge's probability that the item's first answer is the better one"""
    origin: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """of an AI judge: model, principle, template version, seed; of people: {"facts": whether they
    were shown what is known of the prompt}, where something is"""
    created: Mapped[datetime]
    ms_total: Mapped[int | None]
    """from being shown to being sent, by the client's clock"""
    ms_visible: Mapped[int | None]
    """of these, with the page in sight"""
    ms_first: Mapped[int | None]
    """until the first choice"""
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("judgement.id"), unique=True)


class Event(Table):
    """Who did what, and when: the audit log."""

    __tablename__ = "event"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    what: Mapped[str] = mapped_column(String(40))
    about: Mapped[dict[str, Any]] = mapped_column(default=dict)


# --- models, talk, what left the house ---


class Model(Table):
    """A model people can talk to: a folder on this machine, or an endpoint elsewhere."""

    __tablename__ = "model"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    where: Mapped[str]
    """a folder, or the base URL of an OpenAI-compatible endpoint"""
    called: Mapped[str] = mapped_column(default="")
    """the model's name there, for an endpoint"""
    key: Mapped[str] = mapped_column(default="")
    """name of the environment variable that holds the endpoint's API key; the key is never kept"""
    artifact: Mapped[str] = mapped_column(String(64), default="")
    created: Mapped[datetime]
    hidden: Mapped[bool] = mapped_column(default=False)


class Chat(Table):
    """A conversation with one model, or with two side by side."""

    __tablename__ = "chat"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"))
    """where its choices go"""
    models: Mapped[list[Any]]
    """names; two of them: compared side by side"""
    blind: Mapped[bool] = mapped_column(default=False)
    seed: Mapped[str] = mapped_column(String(16))
    messages: Mapped[list[Any]] = mapped_column(default=list)
    """the conversation as it went on, with the chosen answers"""
    pending: Mapped[dict[str, Any] | None]
    """two answers that wait for a choice: {"answers": [{text, model, sampling}, ...], "order"}"""
    created: Mapped[datetime]
    changed: Mapped[datetime]


class Export(Table):
    """What was handed to a training run, or to a file: filters, counts, hash."""

    __tablename__ = "export"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    filters: Mapped[dict[str, Any]]
    judgements: Mapped[list[Any]]
    """ids of all it holds: the way from a model back to a click"""
    digest: Mapped[str] = mapped_column(String(64), index=True)
    """sha256 of the records; artifacts made of them carry it in their hashes"""
    path: Mapped[str] = mapped_column(default="")
