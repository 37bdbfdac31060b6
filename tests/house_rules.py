"""The house rules as functions of a syntax tree: each yields what it finds, "line: complaint"."""

import ast
import re
import sys
from collections.abc import Callable, Iterator

FLOORS = {
    **dict.fromkeys(("errors", "records", "maths", "config"), 1),
    **dict.fromkeys(("text", "store"), 2),
    "data": 3,
    "models": 4,
    **dict.fromkeys(("engine", "worlds"), 5),
    "rewards": 6,
    **dict.fromkeys(("recipes", "evaluate", "web", "serve", "demo"), 7),
    "cli": 8,
    "verbs": 8,
    "shows": 8,
    "": 9,  # accord/__init__.py
    "__main__": 9,
}
SIDEWAYS = {  # the few imports that stay on one floor
    ("config", "errors"),
    ("maths", "errors"),
    ("demo", "recipes"),
    ("demo", "evaluate"),
    ("demo", "web"),
    ("recipes", "evaluate"),
    ("cli", "verbs"),
    ("cli", "shows"),
    ("verbs", "shows"),
}
MAY_IMPORT = {  # beside the standard library
    "errors": set(),
    "records": set(),
    "maths": {"torch"},
    "config": {"pydantic", "pydantic_core", "yaml"},
    "text": {"transformers", "tokenizers", "jinja2", "PIL", "huggingface_hub"},
    "store": {
        "rich",
        "pydantic",
        "sqlalchemy",
        "alembic",
        "pwdlib",
        "evalica",
        "tensorboard",
        "wandb",
        "trackio",
    },
    "data": {"torch", "safetensors", "datasets", "pyarrow"},
    "models": {
        "torch",
        "transformers",
        "tokenizers",
        "peft",
        "safetensors",
        "PIL",
        "gguf",
        "bitsandbytes",
    },
    "engine": {"torch", "safetensors", "ray", "httpx"},
    "worlds": {"torch", "gymnasium", "numpy", "PIL"},
    "rewards": {"torch", "pydantic", "reasoning_gym"},
    "recipes": {"torch", "pydantic", "httpx"},
    "evaluate": {"torch", "matplotlib", "jinja2", "rich", "evalica"},
    "web": {
        "fastapi",
        "starlette",
        "uvicorn",
        "jinja2",
        "pydantic",
        "sqlalchemy",
        "httpx",
        "markdown_it",
        "nh3",
        "evalica",
    },
    "serve": {"fastapi", "starlette", "uvicorn", "pydantic", "torch", "httpx"},
    "demo": {"torch", "rich", "pydantic"},
    "cli": {"typer", "click", "rich"},
    "verbs": set(),
    "shows": {"rich"},
    "": set(),
    "__main__": set(),
}
HOMES = {  # an extra is imported at the top of these alone, else inside the function that needs it
    "ray": ("engine/ray.py",),
    "gymnasium": ("worlds/",),
    "sqlalchemy": ("store/judgements/", "web/"),
    "alembic": ("store/judgements/",),
    "fastapi": ("web/", "serve/"),
    "starlette": ("web/", "serve/"),
    "uvicorn": ("web/", "serve/"),
    "httpx": ("web/", "serve/", "engine/served.py"),
    "markdown_it": ("web/",),
    "nh3": ("web/",),
    "pwdlib": ("store/judgements/",),
    "PIL": (),
    "evalica": (),
    "datasets": (),
    "pyarrow": (),
    "gguf": (),
    "bitsandbytes": (),
    "reasoning_gym": (),
    "tensorboard": (),
    "wandb": (),
    "trackio": (),
}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
PICKLE_CALLS = {"torch.load", "torch.save", "torch.jit.load", "torch.package"}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Rule = Callable[[ast.Module, str], Iterator[str]]


def package(path: str) -> str:
    """The part of accord that a file under src/accord belongs to; "" for accord itself."""
    first = path.split("/")[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """Every imported dotted name, its line, and whether the import runs when the file is loaded."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, Function)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        at_once = id(node) not in inside
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from ((f"{start}.{alias.name}", node.lineno, at_once) for alias in node.names)


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


# --- rules for src/accord ---


def floors(tree: ast.Module, path: str) -> Iterator[str]:
    """Imports run downward only, those inside functions too."""
    own = package(path)
    if own not in FLOORS:
        yield f"1: {own!r} stands on no floor"
        return
    for name, line, _ in imports(tree):
        if name.startswith("."):
            yield f"{line}: relative import"
        if not name.startswith("accord."):
            continue
        other = name.split(".")[1]
        if other not in FLOORS:
            yield f"{line}: {name} stands on no floor"
        elif other != own and FLOORS[other] >= FLOORS[own] and (own, other) not in SIDEWAYS:
            yield f"{line}: {own} (floor {FLOORS[own]}) imports {name} (floor {FLOORS[other]})"


def libraries(tree: ast.Module, path: str) -> Iterator[str]:
    """Each part imports the libraries it is there for; extras are imported where they live."""
    for name, line, at_once in imports(tree):
        root = name.split(".")[0]
        if root in sys.stdlib_module_names or root in ("accord", ""):
            continue
        if root not in MAY_IMPORT.get(package(path), set()):
            yield f"{line}: {package(path)} may not import {root}"
        elif root == "ray" and path != "engine/ray.py":
            yield f"{line}: ray lives in engine/ray.py"
        elif at_once and root in HOMES and not path.startswith(HOMES[root] or ("-",)):
            yield f"{line}: import {root} inside the function that needs it"


def documented(tree: ast.Module, path: str) -> Iterator[str]:
    """Modules, public classes and public functions say what they are; no list of arguments."""
    if ast.get_docstring(tree) is None:
        yield "1: module without a docstring"
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | Function):
            continue
        said = ast.get_docstring(node)
        public = node in tree.body and not node.name.startswith("_")
        if public and not said:
            yield f"{node.lineno}: {node.name} has no docstring"
        if re.search(r"^\s*(Args|Arguments|Parameters|Returns):?\s*$", said or "", re.M):
            yield f"{node.lineno}: {node.name}: prose, not a list of arguments"


def safe(tree: ast.Module, path: str) -> Iterator[str]:
    """No pickle, no code from model folders, no swallowed failures."""
    for name, line, _ in imports(tree):
        if name.split(".")[0] in PICKLES or name in PICKLE_CALLS:
            yield f"{line}: {name} reads pickles"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in PICKLE_CALLS | {"eval", "exec"}:
                yield f"{node.lineno}: {called}"
            for word in node.keywords:
                if word.arg in ("trust_remote_code", "allow_pickle") and (
                    isinstance(word.value, ast.Constant) and word.value.value is not False
                ):
                    yield f"{node.lineno}: {word.arg} switched on"
        if isinstance(node, ast.ExceptHandler):
            wide = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            idle = all(
                isinstance(part, ast.Pass | ast.Continue)
                or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
                for part in node.body
            )
            if node.type is None or (wide and idle):
                yield f"{node.lineno}: a failure swallowed"


# --- rules for everything written in Python ---


def sizes(tree: ast.Module, path: str) -> Iterator[str]:
    """Functions fit on a screen, and take few things at once."""
    for node in functions(tree):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines >= 60:
            yield f"{node.lineno}: {node.name} has {lines} lines, 59 is the limit"
        taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = sum(one.arg not in ("self", "cls") for one in taken)
        count += (node.args.vararg is not None) + (node.args.kwarg is not None)
        if count > 8:
            yield f"{node.lineno}: {node.name} takes {count} parameters, 8 is the limit"


def style(tree: ast.Module, path: str) -> Iterator[str]:
    """No wildcard, no postponed annotations."""
    for name, line, _ in imports(tree):
        if name.endswith(".*"):
            yield f"{line}: wildcard import"
        if name == "__future__.annotations":
            yield f"{line}: annotations are not postponed here"


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Some circle in a graph, as its nodes in order; empty when there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return path[path.index(node) :]
        if node not in done:
            for other in sorted(edges.get(node, ())):
                if found := visit(other, [*path, node]):
                    return found
            done.add(node)
        return []

    return next((found for node in sorted(edges) if (found := visit(node, []))), [])
