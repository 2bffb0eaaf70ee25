"""Makes a self-contained HTML page from a template, without requests to the network.

The page has one script of this project, which adds sorting, copying and tables as files. The content security policy of
the page names the digest of that script, so that no other can run; without it the page lacks nothing to read.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from spikeport.errors import printable
from spikeport.pipeline.report.charts import svg as charts
from spikeport.pipeline.report.content import page_text, words

# All control characters but line ends.
_STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def render(template: str, **values: Any) -> str:
    """Renders a template. All text is escaped, control characters too, and no line breaks before a unit.

    Args:
        template: file name in the folder of templates.
        **values: variables of the template.

    Raises:
        jinja2.UndefinedError: the template has a variable without a value.
    """
    folder = Path(__file__).parent / "templates"
    script = (folder / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, charts=charts, script=Markup(script), script_digest=_digest(script))
    environment.filters.update(linked=page_text.linked, day=page_text.day, short=page_text.short_digests)
    page = environment.get_template(template).render(**values)
    return page_text.keep_units(_STEERING.sub(lambda found: printable(found[0]), page))


def _digest(script: str) -> str:
    """The source expression of a script for a content security policy (W3C CSP 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
