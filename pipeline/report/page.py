"""Makes a page of a template: one file that holds everything, asks the network for nothing, and runs no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.report import charts, words


def render(template: str, **values: Any) -> str:
    """The page that `template` makes of `values`. All text is escaped; a missing value is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, charts=charts)
    return environment.get_template(template).render(**values)
