"""How text stands on a page: no line break before a unit, links to sources, dates and digests."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

NO_BREAK = "\u00a0"
UNITS = "%|µJ|mJ|nJ|pJ|J|µs|ms|ns|mW|MACs|points|pixels"
_BEFORE_UNIT = re.compile(rf"(?<=\d) (?=(?:{UNITS})(?![\w=]))")
_NOT_TEXT = re.compile(r"(<style>.*?</style>|<script>.*?</script>|<pre>.*?</pre>|<[^>]*>)", re.DOTALL)
_SOURCE = re.compile(
    r"\barXiv(?::\s?|\s)(?P<arxiv>\d{4}\.\d{4,5})(?:v\d+)?\b"
    r"|(?P<doi>\b10\.\d{4,9}/[^\s,;\"'<>]*[\w])"
)
DIGEST = re.compile(r"[0-9a-f]{64}")
SHORT = 12  # digits of a digest that are shown


def keep_units(page: str) -> str:
    """Puts a no-break space between a number and its unit, in the text of a page and not in its markup.

    Args:
        page: HTML.

    >>> keep_units('<p title="5 µJ">5 µJ</p>').replace(NO_BREAK, "_")
    '<p title="5 µJ">5_µJ</p>'
    """
    return "".join(
        part if place % 2 else _BEFORE_UNIT.sub(NO_BREAK, part) for place, part in enumerate(_NOT_TEXT.split(page))
    )


def linked(text: object) -> Markup:
    """Escapes a text and makes links of the arXiv numbers and DOIs in it; an address in a text may lead anywhere.

    Args:
        text: plain text.

    >>> linked("Frady, arXiv 2004.12691")
    Markup('Frady, <a href="https://arxiv.org/abs/2004.12691" rel="noreferrer">arXiv 2004.12691</a>')
    """
    plain, parts, end = str(text), [], 0
    for found in _SOURCE.finditer(plain):
        address = f"https://doi.org/{found['doi']}" if found["doi"] else f"https://arxiv.org/abs/{found['arxiv']}"
        parts.append(escape(plain[end : found.start()]))
        parts.append(Markup('<a href="{}" rel="noreferrer">{}</a>').format(address, found[0]))
        end = found.end()
    return Markup("").join([*parts, escape(plain[end:])])


def day(time: str) -> str:
    """A time of report.json as a reader writes it, `29 Nov 2026, 14:57 UTC`; other text stays as it is.

    Args:
        time: ISO 8601 with a zone.

    >>> day("2026-11-29T14:57:03Z")
    '29 Nov 2026, 14:57 UTC'
    """
    try:
        when = datetime.fromisoformat(time)
    except ValueError:
        return time
    if when.tzinfo is None:
        return time
    when = when.astimezone(UTC)
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{when.day} {months[when.month - 1]} {when.year}, {when:%H:%M} UTC"


def short_digests(text: str) -> str:
    """Cuts each SHA-256 in a text to its first digits.

    Args:
        text: plain text.

    >>> short_digests("loihi1.toml " + 64 * "a")
    'loihi1.toml aaaaaaaaaaaa…'
    """
    return DIGEST.sub(lambda found: found[0][:SHORT] + "…", text)


def sentences(text: str) -> list[str]:
    """The sentences of a text: a period, a space and a capital letter are between two, but for initials.

    Args:
        text: plain text.

    >>> sentences("It fires in 0.2 % (Yan et al. allow 5 %). With static power it is 7 µJ.")
    ['It fires in 0.2 % (Yan et al. allow 5 %).', 'With static power it is 7 µJ.']
    """
    return re.split(r"(?<=[a-z0-9)%]\.) (?=[A-Z])", text) or [text]
