"""What all pages are written on: a template, filled, with the style that stands in it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def filled(
    name: str, styles: Sequence[str], filters: Mapping[str, Callable[..., Any]] = {}, **values: Any
) -> str:
    """The page `page/<name>.html.jinja` as text: values are text unless it says that they are safe,
    and one that is missing is an error.  `styles` of `page/` stand in it as `css`.
    """
    env = Environment(
        loader=PackageLoader("accord.evaluate", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(filters)
    folder = Path(__file__).parent / "page"
    css = "".join((folder / f"{style}.css").read_text("utf-8") for style in styles)
    return env.get_template(f"{name}.html.jinja").render(css=css, **values)
