"""Makes a self-contained HTML page from a template, without scripts and without requests to the network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spikeport.errors import printable
from spikeport.pipeline.report.charts import svg as charts
from spikeport.pipeline.report.content import words

# All control characters but line ends.
_STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def render(template: str, **values: Any) -> str:
    """Renders a template. All text is escaped, control characters too.

    Args:
        template: file name in the folder of templates.
        **values: variables of the template.

    Raises:
        jinja2.UndefinedError: the template has a variable without a value.
    """
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
