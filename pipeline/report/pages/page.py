"""Makes a page of a template: one file that holds everything, asks the network for nothing, and runs no script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spikeport.errors import printable
from spikeport.pipeline.report.charts import svg as charts
from spikeport.pipeline.report.content import words

_STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")  # all but line ends


def render(template: str, **values: Any) -> str:
    """The page that `template` makes of `values`. All text is escaped, control characters too; a missing value is an
    error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, charts=charts)
    page = environment.get_template(template).render(**values)
    return _STEERING.sub(lambda found: printable(found[0]), page)
