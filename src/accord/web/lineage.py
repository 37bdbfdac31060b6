"""From a policy back to every judgement, prompt and annotator that it learned from."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from accord.store.artifact import Artifact
from accord.store.judgements.opening import Store
from accord.store.judgements.tables import Export, Item, Judgement, Prompt, Study, User
from accord.web.lineage_layout import Box, Picture, layout
from accord.web.models_known import sealed
from accord.web.render import page, rights
from accord.web.security import Reader, TheStore

router = APIRouter(include_in_schema=False)
PAGE = 20
KINDS = {
    "policy": "Policy",
    "reward": "Reward model",
    "comparisons": "Comparisons",
    "ratings": "Ratings",
    "demonstrations": "Demonstrations",
    "scored": "Scored answers",
    "prompts": "Prompts",
    "judgements": "Judgements",
    "people": "Annotators",
    "elsewhere": "From elsewhere",
}
CHUNK = 500
"""ids asked for at once"""


@dataclass(frozen=True)
class Node:
    """Something on the way."""

    id: str
    kind: str
    title: str
    more: str = ""
    link: str = ""
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """An annotator behind a model."""

    user: User
    name: str
    """a pseudonym for those who may not manage"""
    count: int
    """judgements of theirs that the model learned from"""
    models: list[Artifact] = field(default_factory=list)
    """every policy that learned from them"""


@router.get("/lineage")
def start(request: Request, user: Reader) -> HTMLResponse:
    """Where to begin: every policy and reward model."""
    every = sealed(request.app).all()[::-1]
    root = request.app.state.cfg.runs
    rows = [(one, _path(one, root), len(one.parents)) for one in every]
    return page(request, "lineage/start.html", rows=rows, kinds=KINDS)


@router.get("/lineage/{artifact_id}")
def show(
    request: Request,
    user: Reader,
    store: TheStore,
    artifact_id: str,
    who: int | None = None,
    number: int = 1,
) -> HTMLResponse:
    """The way back from one artifact."""
    here = sealed(request.app)
    known = {one.id: one for one in here.all()}
    if artifact_id not in known:  # it may have been made a moment ago
        known = {one.id: one for one in here.all(fresh=True)}
    made = known.get(artifact_id)
    if made is None:
        raise HTTPException(404, "There is no artifact of that id below the runs folder.")
    manages = "manage" in rights(user.role)
    behind = ancestors(made, known)
    exports = exports_of(store, behind)
    nodes = _nodes(request, behind, known, exports, _studies(store, exports))
    used = sorted({one for export in exports for one in export.judgements})
    people = _people(request, store, used, known.values(), manages)
    told: dict[str, Any] = {
        "made": made,
        "kinds": KINDS,
        "people": people,
        "who": who if manages else None,
    }
    told |= {"nodes": nodes, "picture": _picture(nodes), "count": len(used), "manages": manages}
    told |= _judgements(store, used, people, who if manages else user.id, number)
    root = request.app.state.cfg.runs
    told |= {"path": request.url.path, "path_of": lambda one: _path(one, root)}
    told["title"] = _path(made, root)
    return page(request, "lineage/show.html", **told)


# --- what came from what ---


def ancestors(made: Artifact, known: Mapping[str, Artifact]) -> list[Artifact]:
    """An artifact and all that it was made from, as far as they are here; itself first."""
    found: dict[str, Artifact] = {}
    todo = [made]
    while todo:
        one = todo.pop(0)
        if one.id not in found:
            found[one.id] = one
            todo += [known[parent] for parent in one.parents if parent in known]
    return list(found.values())


def exports_of(store: Store, behind: Iterable[Artifact]) -> list[Export]:
    """What was taken out of the store to make these: its digest is in their hashes."""
    digests = {digest for one in behind for digest in one.hashes.values()}
    with store.read() as session:
        found = [
            export
            for few in _few(sorted(digests))
            for export in session.scalars(select(Export).where(Export.digest.in_(few)))
        ]
    first: dict[str, Export] = {}  # the same records taken out twice are the same judgements
    for export in sorted(found, key=lambda one: one.id):
        first.setdefault(export.digest, export)
    return list(first.values())


def affected(store: Store, user_ids: Iterable[int], every: Iterable[Artifact]) -> dict[int, list]:
    """user -> the policies that learned from a judgement of theirs, the newest first."""
    every = list(every)
    known = {one.id: one for one in every}
    owners: dict[int, set[int]] = {}  # export -> whose judgements are in it
    found: dict[int, list[Artifact]] = {one: [] for one in user_ids}
    for one in every:
        if one.kind != "policy":
            continue
        people: set[int] = set()
        for export in exports_of(store, ancestors(one, known)):
            if export.id not in owners:
                owners[export.id] = {*authors(store, export.judgements)}
            people |= owners[export.id]
        for user_id in people & {*found}:
            found[user_id].insert(0, one)
    return found


def authors(store: Store, judgement_ids: Iterable[int]) -> Counter[int]:
    """user -> how many of these judgements are theirs."""
    told: Counter[int] = Counter()
    with store.read() as session:
        for few in _few(sorted(judgement_ids)):
            told.update(session.scalars(select(Judgement.user_id).where(Judgement.id.in_(few))))
    return told


def _few(things: list[Any]) -> Iterable[list[Any]]:
    return (things[i : i + CHUNK] for i in range(0, len(things), CHUNK))


def _studies(store: Store, exports: Iterable[Export]) -> dict[int, Study]:
    ids = {one.study_id for one in exports}
    with store.read() as session:
        return {one.id: one for one in session.scalars(select(Study).where(Study.id.in_(ids)))}


def _people(
    request: Request, store: Store, used: list[int], every: Iterable[Artifact], manages: bool
) -> list[Person]:
    told = authors(store, used)
    if not told:
        return []
    with store.read() as session:
        users = {one.id: one for one in session.scalars(select(User).where(User.id.in_([*told])))}
    models = affected(store, told, every)
    return [
        Person(users[i], users[i].name if manages else users[i].pseudonym, count, models[i])
        for i, count in told.most_common()
    ]


def _judgements(
    store: Store, used: list[int], people: list[Person], who: int | None, number: int
) -> dict[str, Any]:
    """A page of the judgements themselves: prompt, verdict, annotator.  `who`: only this one's, as
    who does not manage sees: nobody reads what others said of an item that is still to be judged.
    """
    names = {one.user.id: one.name for one in people}
    rows = []
    with store.read() as session:
        if who is not None:
            mine = select(Judgement.id).where(Judgement.user_id == who)
            used = sorted({*used} & {*session.scalars(mine)})
        pages = max(1, -(-len(used) // PAGE))
        number = min(max(1, number), pages)
        few = used[(number - 1) * PAGE : number * PAGE]
        query = (
            select(Judgement, Prompt, Study)
            .join(Item, Item.id == Judgement.item_id)
            .join(Prompt, Prompt.id == Item.prompt_id)
            .join(Study, Study.id == Item.study_id)
        )
        for judged, prompt, study in session.execute(query.where(Judgement.id.in_(few))):
            words = (_said(judged), _last(prompt.messages), study.name, names[judged.user_id])
            rows.append((judged, *words))
    return {"rows": rows, "number": number, "pages": pages}


def _last(messages: list[Any]) -> str:
    content = messages[-1].get("content", "") if messages else ""
    if isinstance(content, str):
        return content
    said = (part for part in content if part.get("type") != "fact")
    return " ".join(str(part.get("text", "[picture]")) for part in said)


def _said(judged: Judgement) -> str:
    """A verdict in words, answers by their letters in the item's own order."""
    if judged.both_bad:
        return "both bad"
    if judged.rewrite is not None:
        return "written anew"
    if judged.ratings:
        return ", ".join(f"{k} {'/'.join(map(str, v))}" for k, v in judged.ratings.items())
    if judged.ranks is None:
        return "—" if judged.soft is None else f"A better with {judged.soft:.2f}"
    places: dict[int, list[str]] = {}
    for answer, rank in enumerate(judged.ranks):
        places.setdefault(rank, []).append(chr(ord("A") + answer))
    return " > ".join(" = ".join(places[rank]) for rank in sorted(places))


# --- as a graph ---


def _nodes(
    request: Request,
    behind: list[Artifact],
    known: Mapping[str, Artifact],
    exports: list[Export],
    studies: Mapping[int, Study],
) -> list[Node]:
    root, found = request.app.state.cfg.runs, []
    by_digest = {one.digest: one for one in exports}
    outside: dict[str, Node] = {}
    for one in behind:
        parents = list(dict.fromkeys(one.parents))
        taken = [by_digest[digest] for digest in one.hashes.values() if digest in by_digest]
        ids = (*parents, *(f"export {export.id}" for export in taken))
        title, link = _path(one, root), f"/lineage/{quote(one.id, safe='')}"
        found.append(Node(one.id, one.kind, title, one.short, link, ids))
        for parent in parents:
            if parent not in known:
                outside[parent] = _stranger(parent)
    for export in by_digest.values():
        study = studies.get(export.study_id)
        title = study.name if study else f"study {export.study_id}"
        parent = f"people {export.id}"
        more = f"{len(export.judgements):,} judgements"
        link = f"/studies/{export.study_id}/progress"
        found.append(Node(f"export {export.id}", "judgements", title, more, link, (parent,)))
        count = len(authors(request.app.state.store, export.judgements))
        words = f"{count} annotator{'' if count == 1 else 's'}"
        found.append(Node(parent, "people", words, "", "#people"))
    return found + list(outside.values())


def _stranger(name: str) -> Node:
    """A parent that is no artifact here: a model or a rule, by its fingerprint."""
    *words, last = name.split()
    title = " ".join(dict.fromkeys(words)) or "a model"
    return Node(name, "elsewhere", title, last[:12])


def _path(made: Artifact, root: Any) -> str:
    try:
        return str(made.folder.relative_to(root).as_posix())
    except ValueError:
        return made.name


def _picture(nodes: list[Node]) -> Picture:
    boxes = [
        Box(one.id, KINDS.get(one.kind, one.kind), one.title, one.more, one.link, one.kind)
        for one in nodes
    ]
    return layout(boxes, [(parent, one.id) for one in nodes for parent in one.parents])
